//! Alerts to a webhook: what is sent, and how it gets there. Slow or dead, it delays no cycle.
//!
//! [`Webhook::deliver_all`] is for one run that ends: bounded by a deadline, and what is left comes back.
//! [`notifier`] is for the daemon: a handle that never waits, and a future that delivers, and tries again,
//! until it is told to stop.
//!
//! Delivery is at least once: where an answer got lost, the same transition is sent again, with the same
//! key and time.

mod error;
mod post;
mod queue;
mod render;
mod retry;
mod run;

pub use error::{DeliveryError, WebhookError};
pub use post::Webhook;
pub use queue::Counts;
pub use render::{ALERTS_SCHEMA, MAX_IN_MESSAGE, Message, Validity, render};
pub use retry::{Delivered, Patience};
pub use run::{Notifier, NotifierHandle, notifier};
