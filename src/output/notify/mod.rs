//! Alerts to a webhook: what is sent, and how it gets there. Slow or dead, it delays no cycle.
//!
//! Messages come from an [`Outbox`], and leave it when the webhook took them or refused them for good.
//! [`Webhook::deliver_all`] is for one run that ends: bounded by a deadline. [`notifier`] is for the daemon:
//! a handle that never waits, and a future that delivers, and tries again, until it is told to stop.
//!
//! Delivery is at least once: where an answer got lost, or the process was killed before the message left
//! the outbox, the same transition is sent again, with the same key and time.

mod error;
mod outbox;
mod post;
mod render;
mod retry;
mod retry_policy;
mod run;

pub use error::{DeliveryError, WebhookError};
pub use outbox::{Outbox, QueuedMessage};
pub use post::Webhook;
pub use render::{ALERTS_SCHEMA, HostLabels, MAX_IN_MESSAGE, Message, Validity, render};
pub use retry::Delivered;
pub use retry_policy::RetryPolicy;
pub use run::{Notifier, NotifierHandle, notifier};
