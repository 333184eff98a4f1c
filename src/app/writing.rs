//! The writer's task: takes batches from the cycle and puts them into the timeline.

use tokio::sync::mpsc;

use super::{Error, Settings};
use crate::batch::{BatchId, Event};
use crate::store::{Location, Timeline};

/// Batches that may wait for the writer: one that is being written, and the next.
const QUEUE: usize = 2;

/// The cycle's side: gives batches away.
#[derive(Debug)]
pub(super) struct Hand {
    batches: mpsc::Sender<(BatchId, Vec<Event>)>,
}

/// The writer's side.
#[derive(Debug)]
pub(super) struct Writing {
    batches: mpsc::Receiver<(BatchId, Vec<Event>)>,
    location: Location,
    table: String,
}

impl Writing {
    pub(super) async fn open(settings: &Settings) -> Result<(Hand, Self), Error> {
        let (sender, batches) = mpsc::channel(QUEUE);
        let location = settings.location.clone();
        let table = settings.inventory.store.table.clone();
        Ok((Hand { batches: sender }, Self { batches, location, table }))
    }

    /// Writes until no more batches can come.
    pub(super) async fn run(mut self) -> Result<(), Error> {
        let mut timeline: Option<Timeline> = None;
        while let Some((_, events)) = self.batches.recv().await {
            if timeline.is_none() {
                timeline = Timeline::open(&self.location, &self.table)
                    .await
                    .inspect_err(|error| tracing::error!(%error, "not kept"))
                    .ok();
            }
            if let Some(open) = &timeline
                && let Err(error) = open.write(&events).await
            {
                tracing::error!(%error, "not kept");
            }
        }
        if let Some(timeline) = timeline {
            timeline.close().await;
        }
        Ok(())
    }
}

impl Hand {
    /// Gives a batch to the writer; says in a few words how the store does.
    pub(super) async fn over(&mut self, id: BatchId, events: Vec<Event>) -> Result<String, Error> {
        let n_rows = events.len();
        self.batches.send((id, events)).await.map_err(|_| Error::TaskEnded)?;
        Ok(format!("{n_rows} rows"))
    }
}
