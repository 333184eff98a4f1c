//! Alerts to a webhook: what is sent, and how it gets there. Slow or dead, it delays no cycle.
//!
//! Messages leave an [`Outbox`] when the webhook took them or refused them for good. [`Webhook::deliver_all`]
//! is for one run that ends, [`notifier`] for the daemon. Delivery is at least once: where an answer got
//! lost, the same transition is sent again, with the same key and time.

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
