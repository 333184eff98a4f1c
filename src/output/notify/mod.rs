//! Alerts to a webhook: what is sent, and how it gets there. Slow or dead, it delays no cycle.
//!
//! Messages come from an [`Outbox`], and leave it when the webhook took them or refused them for good.
//! [`Webhook::deliver_all`] is for one run that ends: bounded by a deadline. [`notifier`] is for the daemon:
//! a handle that never waits, and a future that delivers, and tries again, until it is told to stop.
//!
//! Delivery is at least once: where an answer got lost, or the process was killed before the message left
//! the outbox, the same transition is sent again, with the same key and time.

mod error;
mod post;
mod render;
mod retry;
mod run;

pub use error::{DeliveryError, WebhookError};
pub use post::{RetryPolicy, Webhook};
pub use render::HostLabels;
pub use retry::{Outbox, QueuedMessage};
pub use run::{Notifier, NotifierHandle, notifier};
