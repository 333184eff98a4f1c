//! The writer's task: takes batches from the cycle, and delivers them whenever the database takes them.
//!
//! The cycle waits until its batch is durable, which takes milliseconds, and never for the database.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::store::open_writer;
use super::{Error, Settings};
use crate::batch::{BatchId, StoreState};
use crate::cycle::Clock;
use crate::reading::error_chain;
use crate::store::{self, AlertRecord, Receipt, Record, SpoolAppender, Writer};
use crate::support::backoff::Backoff;
use crate::support::error::Diagnose;

/// Batches that may wait for the writer. The cycle waits for its batch, so there is never a second one.
const QUEUE: usize = 1;

/// The pause after a delivery that failed; doubled up to the longest one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A batch on its way to the writer.
#[derive(Debug)]
struct Submission {
    id: BatchId,
    records: Vec<Record>,
    alerts: Option<AlertRecord>,
    kept: oneshot::Sender<(Result<Receipt, store::Error>, StoreState)>,
}

/// The cycle's side: gives batches away.
#[derive(Debug)]
pub(super) struct WriterHandle {
    batches: mpsc::Sender<Submission>,
    /// The store at the last batch.
    pub(super) store: StoreState,
}

/// The writer's side.
#[derive(Debug)]
pub(super) struct WriterTask {
    batches: mpsc::Receiver<Submission>,
    /// `None` with SQLite, which is written directly, and while the disk of the spool is full.
    appender: Option<SpoolAppender>,
    state: StoreState,
    backoff: Backoff,
    /// Not to be tried before this instant.
    not_before: Instant,
    /// Whether something may wait in the spool.
    is_due: bool,
}

/// A delivery that goes on while batches are taken. It has the writer meanwhile.
type Delivery = Pin<Box<dyn Future<Output = (Writer, Result<Receipt, store::Error>)> + Send>>;

impl WriterHandle {
    /// Gives a batch to the writer, and waits until it is durable.
    pub(super) async fn submit(
        &mut self,
        id: BatchId,
        records: Vec<Record>,
        alerts: Option<AlertRecord>,
    ) -> Result<Receipt, Error> {
        let (kept, answer) = oneshot::channel();
        let submission = Submission { id, records, alerts, kept };
        self.batches.send(submission).await.map_err(|_closed| Error::TaskEnded)?;
        let (kept, store) = answer.await.map_err(|_closed| Error::TaskEnded)?;
        self.store = store;
        Ok(kept?)
    }
}

impl WriterTask {
    /// Opens the spool. The database is not needed yet.
    pub(super) async fn open(settings: &Settings) -> Result<(WriterHandle, Self, Writer), Error> {
        let writer = open_writer(settings).await?;
        let appender = writer.appender().await?;
        let (sender, batches) = mpsc::channel(QUEUE);
        let writing = Self {
            batches,
            appender,
            state: StoreState::default(),
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            not_before: Instant::now(),
            is_due: true,
        };
        Ok((WriterHandle { batches: sender, store: StoreState::default() }, writing, writer))
    }

    /// Takes and delivers until no more batches can come.
    pub(super) async fn run(mut self, writer: Writer) -> Result<(), Error> {
        let mut idle = Some(writer);
        let mut delivery: Option<Delivery> = None;
        loop {
            if self.is_due
                && let Some(writer) = idle.take_if(|_| self.not_before <= Instant::now())
            {
                delivery = Some(deliver(writer));
            }
            let not_before = self.not_before;
            // Without an intake batches are written by the writer itself, so they wait for it.
            let may_take = self.appender.is_some() || delivery.is_none();
            // No branch loses anything when another one wins: the delivery goes on where it was.
            tokio::select! {
                submission = self.batches.recv(), if may_take => match submission {
                    Some(submission) => self.take(submission, &mut idle, &mut delivery).await?,
                    None => break,
                },
                (writer, done) = running(&mut delivery) => {
                    delivery = None;
                    idle = Some(writer);
                    self.note(done)?;
                }
                () = tokio::time::sleep_until(not_before), if self.is_due && delivery.is_none() => (),
            }
        }
        if let Some(delivery) = delivery {
            let (writer, done) = delivery.await;
            idle = Some(writer);
            self.note(done)?;
        }
        self.close(idle).await
    }

    /// Makes a batch durable, and says so.
    async fn take(
        &mut self,
        submission: Submission,
        idle: &mut Option<Writer>,
        delivery: &mut Option<Delivery>,
    ) -> Result<(), Error> {
        let Submission { id, records, alerts, kept } = submission;
        let alerts = alerts.as_ref();
        let done = match self.append(id, &records, alerts).await {
            Some(done) => done,
            None => {
                if let Some(delivery) = delivery.take() {
                    let (writer, done) = delivery.await;
                    *idle = Some(writer);
                    self.note(done)?;
                }
                let Some(writer) = idle else { return Err(Error::TaskEnded) };
                self.keep(writer, id, &records, alerts).await
            }
        };
        // The cycle that waited for this may have been ended meanwhile.
        drop(kept.send((done, self.state.clone())));
        if let Some(writer) = idle {
            writer.maintain().await;
        }
        Ok(())
    }

    /// The short way, beside a delivery. `None` where there is none, or it is not to be used again: the file is full,
    /// damaged or gone, and the writer has the answers to that.
    async fn append(
        &mut self,
        id: BatchId,
        records: &[Record],
        alerts: Option<&AlertRecord>,
    ) -> Option<Result<Receipt, store::Error>> {
        let mut appender = self.appender.take()?;
        match appender.append(id, records, alerts).await {
            Ok(receipt) => {
                self.is_due = true;
                self.appender = Some(appender);
                Some(Ok(receipt))
            }
            // The alerts are judged again, and then it comes again.
            Err(error @ store::Error::AlertsChanged(_)) => {
                self.appender = Some(appender);
                Some(Err(error))
            }
            Err(error) => {
                tracing::warn!(error = error_chain(&error), "spool does not take the batch at once");
                appender.close().await;
                None
            }
        }
    }

    async fn keep(
        &mut self,
        writer: &mut Writer,
        id: BatchId,
        records: &[Record],
        alerts: Option<&AlertRecord>,
    ) -> Result<Receipt, store::Error> {
        let done = writer.keep(id, records, alerts).await;
        self.appender = writer.appender().await.unwrap_or_default();
        match &done {
            Ok(receipt) => self.state = store_after(receipt, &self.state),
            // What such a disk says is durable may not be.
            Err(error) if error.is_failing_disk() => return done,
            Err(store::Error::AlertsChanged(_)) => return done,
            Err(error) => {
                tracing::error!(batch = %id, error = error_chain(&error), help = error.hint().as_ref(), "batch is lost");
            }
        }
        self.is_due = self.appender.is_some() || self.state.waiting.is_some();
        done
    }

    /// Takes note of a delivery. A spool that is damaged or full is the next batch's to mend; only a disk that fails
    /// ends the daemon.
    fn note(&mut self, done: Result<Receipt, store::Error>) -> Result<(), Error> {
        let receipt = match done {
            Ok(receipt) => receipt,
            Err(error) if error.is_failing_disk() => return Err(error.into()),
            Err(error) => {
                tracing::error!(error = error_chain(&error), "spool cannot be delivered");
                self.wait();
                return Ok(());
            }
        };
        let was_away = self.state.away.is_some();
        self.state = store_after(&receipt, &self.state);
        match &receipt.backlog {
            None => {
                self.is_due = false;
                self.backoff.reset();
            }
            Some(left) if left.error.is_some() => self.wait(),
            Some(_) => self.backoff.reset(),
        }
        match &self.state.away {
            Some((_, message)) if !was_away => {
                tracing::warn!(error = message, "database unavailable; spooling")
            }
            None if was_away => tracing::info!(batches = receipt.batches, "database available again"),
            Some(_) | None => (),
        }
        Ok(())
    }

    /// The next delivery is not to come at once.
    fn wait(&mut self) {
        self.not_before = Instant::now() + self.backoff.fail();
    }

    async fn close(self, writer: Option<Writer>) -> Result<(), Error> {
        if let Some(mut writer) = writer {
            let done = if self.is_due { Some(writer.deliver_some().await) } else { None };
            writer.close().await;
            if let Some(Err(error)) = done {
                tracing::error!(error = error_chain(&error), "spool could not be emptied at the end");
            }
        }
        if let Some(appender) = self.appender {
            appender.close().await;
        }
        Ok(())
    }
}

fn deliver(mut writer: Writer) -> Delivery {
    Box::pin(async move {
        let done = writer.deliver_some().await;
        (writer, done)
    })
}

/// The delivery that is going on; for ever if there is none.
async fn running(delivery: &mut Option<Delivery>) -> (Writer, Result<Receipt, store::Error>) {
    match delivery {
        Some(delivery) => delivery.await,
        None => std::future::pending().await,
    }
}

/// The state of the store after a call, which was `before`.
pub(super) fn store_after(receipt: &Receipt, before: &StoreState) -> StoreState {
    let now = Clock.now();
    let backlog = receipt.backlog.as_ref();
    let away = backlog.and_then(|backlog| backlog.error.as_ref()).map(|error| {
        let since = before.away.as_ref().map_or(now, |(since, _)| *since);
        (since, error_chain(&error))
    });
    let waiting = backlog.map(|backlog| (backlog.batches, now.minus(backlog.oldest)));
    let dropped_batches = receipt.dropped_total.or(before.dropped_batches);
    StoreState { waiting, away, dead_letters: receipt.dead_letters_total, dropped_batches }
}
