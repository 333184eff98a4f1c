//! Delivery: batches leave the spool for the timeline in their order.
//!
//! Constraints: a batch leaves the spool only after the timeline has it, so that it may be sent twice and is written
//! once ([`Guarantee`](super::Guarantee)). Nothing waits indefinitely behind one bad batch, and a fault of the table
//! costs no data:
//! - Rows that are refused for their content become dead letters, and the rest of their batch goes on.
//! - If only the ledger refuses a batch, it goes without its energies, which can be computed from its events later.
//! - A batch of which every row is refused waits, since the cause may be the table (a missing partition, a trigger
//!   during maintenance). It becomes dead letters only once the table takes rows of the newest batch.
//! - A batch of a later version waits for that version.
//!
//! A delivery ends when the spool is empty, when the database fails, or at its [`Bound`]. When the disk is full, what
//! waits is delivered first, and a batch that still does not fit is written without the spool, its alerts and its
//! energies.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::alerts::AlertRecord;
use super::counts::from_length;
use super::receipt::{Backlog, Bound, Progress, Receipt, RejectedRow};
use super::record::{Record, energies, events};
use super::writer::Writer;
use super::{Error, failpoint};
use crate::batch::BatchId;
use crate::reading::{error_chain, event_type};

/// A batch that the spool cannot take may keep its cycle waiting so long.
const DIRECT_WITHIN: Duration = Duration::from_secs(20);

impl Writer {
    /// Delivers from the front of the spool until it is empty, the database refuses, or the bound is met.
    pub(super) async fn deliver(
        &mut self,
        bound: Bound,
        receipt: &mut Receipt,
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> Result<(), Error> {
        let started = Instant::now();
        let before = self.spool().await?.status().await?;
        receipt.note_totals(&before);
        let mut stopped_by = None;
        while receipt.batches < bound.batches && started.elapsed() < bound.within {
            let Some(batch) = self.spool().await?.oldest().await? else {
                self.spool().await?.shrink().await?;
                receipt.backlog = None;
                return Ok(());
            };
            let seq = batch.seq;
            let delivered = match batch.records {
                Ok(records) => self.deliver_spooled(seq, batch.id, &records, receipt).await?,
                Err(error) => Err(error),
            };
            if let Err(error) = delivered {
                stopped_by = Some((seq, error));
                break;
            }
            progress(Progress { delivered: receipt.batches, of: before.batches });
        }
        if let Some((seq, error)) = &stopped_by {
            self.spool().await?.failed(*seq, &error_chain(&error)).await?;
        }
        let status = self.spool().await?.status().await?;
        let error = stopped_by.map(|(_, error)| error);
        receipt.backlog = status.oldest.map(|oldest| Backlog { batches: status.batches, oldest, error });
        Ok(())
    }

    /// One batch out of the spool into the timeline. The inner error says why it has to wait.
    async fn deliver_spooled(
        &mut self,
        seq: i64,
        id: BatchId,
        records: &[Record],
        receipt: &mut Receipt,
    ) -> Result<Result<(), Error>, Error> {
        match self.deliver_rows(id, records, None, receipt).await {
            Ok(()) => {
                failpoint::reach(failpoint::AFTER_COMMIT_BEFORE_DELETE).await;
                self.spool().await?.delivered(seq).await.map(Ok)
            }
            Err(error) if error.is_data_error() => {
                self.dead_letter_rows((seq, id), records, error, receipt).await
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// One batch into the timeline.
    pub(super) async fn deliver_rows(
        &mut self,
        id: BatchId,
        records: &[Record],
        alerts: Option<&AlertRecord>,
        receipt: &mut Receipt,
    ) -> Result<(), Error> {
        if let Some(error) = self.connect_error.take() {
            return Err(error);
        }
        let written = self.timeline().await?.deliver(id, records, alerts).await?;
        receipt.batches += 1;
        receipt.rows += written.rows;
        receipt.took += written.took;
        receipt.swallowed += written.swallowed;
        self.n_new = written.rows;
        if written.swallowed > 0 && !self.swallows {
            tracing::error!(batch = %id, rows = written.swallowed, "database took rows and shows nothing of them: a trigger or a rule keeps them");
        }
        self.swallows = written.swallowed > 0;
        Ok(())
    }

    /// The disk is full. What waits is delivered and removed, which makes room in the file, if not on the disk; a
    /// batch that still does not fit goes to the timeline directly.
    pub(super) async fn keep_on_full_disk(
        &mut self,
        id: BatchId,
        records: &[Record],
        alerts: Option<&AlertRecord>,
        full: Error,
    ) -> Result<Receipt, Error> {
        let mut receipt = Receipt::default();
        if self.store_url.is_file() {
            return Err(full);
        }
        let delivered = timeout(DIRECT_WITHIN, self.deliver(Bound::CYCLE, &mut receipt, &mut |_| ())).await;
        if matches!(delivered, Ok(Ok(()))) && self.append(id, records, alerts).await.is_ok() {
            self.deliver(Bound::CYCLE, &mut receipt, &mut |_| ()).await?;
            return Ok(receipt);
        }
        if let Ok(Err(error)) = delivered
            && !error.is_full_spool()
        {
            return Err(error);
        }
        // Alerts that are told are remembered in the spool, and so are the ends of the ledger's series: these are told
        // and counted with a batch that fits there, unless the gap up to it is too long for a segment.
        let is_apart =
            |record: &Record| record.is_event(event_type::ALERT) || matches!(record, Record::Energy(_));
        let mut records: Vec<Record> = records.iter().filter(|record| !is_apart(record)).cloned().collect();
        records.iter_mut().for_each(Record::leave_out_of_ledger);
        let done = match timeout(DIRECT_WITHIN, self.deliver_directly(id, records, &mut receipt)).await {
            Ok(done) => done,
            Err(_) => Err(Error::Timeout("insert", None)),
        };
        match done {
            Ok(()) => {
                if !self.written_directly {
                    let error = error_chain(&full);
                    tracing::warn!(
                        error,
                        "spool takes nothing; batches are written directly, without alerts and energies"
                    );
                }
                self.written_directly = true;
                receipt.written_directly = true;
                Ok(receipt)
            }
            Err(error) => {
                tracing::error!(batch = %id, error = error_chain(&error), "spool takes nothing, nor does the database");
                Err(full)
            }
        }
    }

    async fn deliver_directly(
        &mut self,
        id: BatchId,
        mut records: Vec<Record>,
        receipt: &mut Receipt,
    ) -> Result<(), Error> {
        let error = match self.deliver_rows(id, &records, None, receipt).await {
            Err(error) if error.is_data_error() => error,
            done => return done,
        };
        let refused = self.find_rejected_rows(&records).await?;
        if refused.len() == events(&records).len() {
            return Err(error);
        }
        // There is no room to lay them aside.
        tracing::error!(batch = %id, n_rows = refused.len(), error = error_chain(&error), "rows are refused and lost");
        let places: BTreeSet<usize> = refused.iter().map(|refusal| refusal.row).collect();
        let mut place = 0..;
        records.retain(|_| place.next().is_none_or(|place| !places.contains(&place)));
        receipt.refused_rows_lost += from_length(refused.len());
        self.deliver_rows(id, &records, None, receipt).await
    }

    /// Takes the refused records out of a batch and keeps them as dead letters. The inner error says why the whole
    /// batch has to wait.
    async fn dead_letter_rows(
        &mut self,
        (seq, id): (i64, BatchId),
        records: &[Record],
        error: Error,
        receipt: &mut Receipt,
    ) -> Result<Result<(), Error>, Error> {
        let refused = match self.find_rejected_rows(records).await {
            Ok(refused) => refused,
            Err(error) => return Ok(Err(error)),
        };
        let mut refused: Vec<(usize, String)> =
            refused.iter().map(|RejectedRow { row, error }| (*row, error_chain(&error))).collect();
        if refused.is_empty() {
            match self.deliver_again(id, records, receipt).await {
                Ok(()) => return self.spool().await?.delivered(seq).await.map(Ok),
                Err(error) if error.is_data_error() => {
                    let message = error_chain(&error);
                    refused = places_of_events(records).map(|row| (row, message.clone())).collect();
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        if refused.len() == events(records).len() {
            let n_dead_letters = receipt.dead_letters_total + from_length(refused.len());
            match self.is_batch_at_fault(seq, n_dead_letters).await {
                Ok(true) => {}
                Ok(false) => return Ok(Err(error)),
                Err(error) if error.is_damaged_spool() => return Err(error),
                Err(error) => return Ok(Err(error)),
            }
        }
        let n_rows = from_length(refused.len());
        let first = refused.first().map(|(_, error)| error.as_str()).unwrap_or_default();
        tracing::error!(batch = %id, n_rows, first, "rows are refused and laid aside");
        let n_dropped = self.spool().await?.dead_letter((seq, id), records, &refused).await?;
        if n_dropped > 0 {
            tracing::error!(rows = n_dropped, "too many rows lie aside, the oldest are dropped");
        }
        receipt.dead_letters += n_rows;
        receipt.dead_letters_total = (receipt.dead_letters_total + n_rows).saturating_sub(n_dropped);
        receipt.dead_letters_dropped += n_dropped;
        Ok(Ok(()))
    }

    /// Delivers a batch once more of which each event is taken and the whole is not: what refused it may be over. If the
    /// ledger refuses it, its events go without the energies.
    async fn deliver_again(
        &mut self,
        id: BatchId,
        records: &[Record],
        receipt: &mut Receipt,
    ) -> Result<(), Error> {
        let error = match self.deliver_rows(id, records, None, receipt).await {
            Err(error) if error.is_data_error() && !energies(records).is_empty() => error,
            done => return done,
        };
        let without: Vec<Record> =
            records.iter().filter(|record| matches!(record, Record::Event(_))).cloned().collect();
        self.deliver_rows(id, &without, None, receipt).await?;
        let n_rows = from_length(energies(records).len());
        receipt.energies_refused += n_rows;
        tracing::error!(batch = %id, n_rows, error = error_chain(&error), "ledger refuses energies; their batch is written without them");
        Ok(())
    }

    /// Whether a batch of which no row is taken can be laid aside: the table takes other rows, so it is not the
    /// table, and nothing has to be dropped for the `n_dead_letters` that there would be.
    async fn is_batch_at_fault(&mut self, seq: i64, n_dead_letters: u64) -> Result<bool, Error> {
        let newest = self.spool().await?.newest_after(seq).await?;
        let Some(Ok(records)) = newest.map(|batch| batch.records) else { return Ok(false) };
        let refused = self.find_rejected_rows(&records).await?;
        Ok(refused.len() < events(&records).len() && n_dead_letters <= super::spool::MAX_DEAD_LETTERS)
    }

    /// The events that the table does not take. Writes nothing.
    pub(super) async fn find_rejected_rows(&mut self, records: &[Record]) -> Result<Vec<RejectedRow>, Error> {
        self.timeline().await?.find_rejected_rows(records).await
    }
}

fn places_of_events(records: &[Record]) -> impl Iterator<Item = usize> {
    let places = records.iter().enumerate();
    places.filter(|(_, record)| matches!(record, Record::Event(_))).map(|(place, _)| place)
}
