//! The channel of the last snapshot: a slow subscriber misses some, and can neither fill memory nor hold up a
//! cycle.

use std::sync::Arc;

use tokio::sync::watch;

use crate::batch::Snapshot;

/// The side of the daemon.
#[derive(Debug)]
pub struct Publisher(watch::Sender<Option<Arc<Snapshot>>>);

/// The side of an output that follows the fleet.
#[derive(Debug, Clone)]
pub struct Snapshots(watch::Receiver<Option<Arc<Snapshot>>>);

impl Publisher {
    /// A channel on which nothing was published yet.
    #[expect(clippy::new_without_default, reason = "an empty channel is no value by default")]
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Makes this the last snapshot.
    pub fn publish(&self, snapshot: Snapshot) {
        self.0.send_replace(Some(Arc::new(snapshot)));
    }

    /// A subscription, which begins with the last snapshot if there is one.
    pub fn subscribe(&self) -> Snapshots {
        Snapshots(self.0.subscribe()).from_the_last()
    }
}

impl Snapshots {
    /// The same subscription, beginning again with the last snapshot.
    #[must_use]
    pub fn from_the_last(mut self) -> Self {
        if self.0.borrow_and_update().is_some() {
            self.0.mark_changed();
        }
        self
    }

    /// The last snapshot, if there is one.
    pub fn last(&self) -> Option<Arc<Snapshot>> {
        self.0.borrow().clone()
    }

    /// Waits for the next snapshot; `None` once nothing more is published. It may be dropped and called again.
    pub async fn next(&mut self) -> Option<Arc<Snapshot>> {
        self.0.changed().await.ok()?;
        self.0.borrow_and_update().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::fixtures;

    #[tokio::test]
    async fn a_subscriber_begins_with_the_last_snapshot_and_skips_what_it_missed() {
        let publisher = Publisher::new();
        let mut early = publisher.subscribe();
        for minute in 0..3 {
            let mut batch = fixtures::fleet();
            batch.started_at = crate::reading::Timestamp::from_micros(minute);
            publisher.publish(batch.into());
        }
        let mut late = publisher.subscribe();
        for snapshots in [&mut early, &mut late] {
            assert_eq!(snapshots.next().await.unwrap().batch.started_at.micros(), 2);
        }
        drop(publisher);
        assert!(early.next().await.is_none());
    }
}
