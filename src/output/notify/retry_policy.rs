//! Backoff and time limit of the delivery of one message.

use std::time::Duration;

/// Backoff and time limit of the delivery of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The pause after the first failure; each further one is twice as long, all of them with jitter.
    pub initial_backoff: Duration,
    /// The longest pause of its own choice. What the other side asks for may be longer.
    pub max_backoff: Duration,
    /// After this long a message is given up that the webhook answered and did not take, so that newer ones
    /// get their turn. One that is away is waited for.
    pub give_up_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
            give_up_after: Duration::from_secs(60 * 60),
        }
    }
}
