//! Rows that were laid aside, for people: to look at, to bring in, to discard.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::Error;
use super::counts::from_length;
use super::receipt::{Bound, Progress, Receipt, RejectedRow};
use super::record::{EventRow, Record};
use super::spool::{DeadLetter, Spool};
use super::writer::Writer;
use crate::batch::{BatchId, Metadata};
use crate::support::error::Diagnose;

/// So many are tried and brought in together.
const ROWS_A_BATCH: u32 = 1_000;

/// The result of bringing rows in.
#[derive(Debug, Default)]
pub struct RetryReport {
    /// Rows that the table takes by now. They are in the queue, or in the timeline.
    pub taken: u64,
    /// Rows that it still refuses. They lie aside as before.
    pub refused: u64,
    /// The delivery, unless another program has the spool and delivers.
    pub receipt: Option<Receipt>,
    /// Why the rest was not tried: the database is away.
    pub stopped_by: Option<Error>,
}

/// The first `limit` rows that are laid aside in a state directory, in their order.
///
/// # Errors
/// The spool cannot be read.
pub async fn dead_letters(state_dir: &Path, limit: u32) -> Result<Vec<DeadLetter>, Error> {
    let Some(mut spool) = Spool::open_existing(state_dir).await? else { return Ok(Vec::new()) };
    let dead_letters = spool.dead_letters_after(i64::MIN, limit).await;
    spool.close().await;
    dead_letters
}

/// Discards rows that are laid aside, all of them without `ids`; says how many there were.
///
/// # Errors
/// The spool cannot be written.
pub async fn discard_dead_letters(state_dir: &Path, ids: Option<&[i64]>) -> Result<u64, Error> {
    let Some(mut spool) = Spool::open_existing(state_dir).await? else { return Ok(0) };
    let n_rows = spool.discard(ids).await;
    spool.close().await;
    n_rows
}

impl Writer {
    /// Brings rows that are laid aside into the timeline, as far as it takes them by now; all of them without
    /// `ids`. Each is there once: it leaves the others in the transaction in which it comes into the queue.
    ///
    /// # Errors
    /// The spool or the table cannot be used. What was not brought in lies aside as before.
    pub async fn retry_dead_letters(&mut self, ids: Option<&[i64]>) -> Result<RetryReport, Error> {
        let wanted: Option<BTreeSet<i64>> = ids.map(|ids| ids.iter().copied().collect());
        let mut retried = RetryReport::default();
        let mut after = i64::MIN;
        loop {
            let dead_letters = self.spool().await?.dead_letters_after(after, ROWS_A_BATCH).await?;
            let Some(last) = dead_letters.last() else { break };
            after = last.id;
            let is_wanted = |letter: &DeadLetter| wanted.as_ref().is_none_or(|ids| ids.contains(&letter.id));
            let dead_letters: Vec<DeadLetter> = dead_letters.into_iter().filter(is_wanted).collect();
            match self.retry(dead_letters, &mut retried).await {
                Err(error) if error.is_transient() => {
                    retried.stopped_by = Some(error);
                    return Ok(retried);
                }
                done => done?,
            }
        }
        if !self.is_shared {
            let mut receipt = Receipt::default();
            self.deliver(Bound::ALL, &mut receipt, &mut |_: Progress| ()).await?;
            retried.receipt = Some(receipt);
        }
        Ok(retried)
    }

    async fn retry(&mut self, dead_letters: Vec<DeadLetter>, retried: &mut RetryReport) -> Result<(), Error> {
        let id = BatchId(Uuid::now_v7());
        let n_letters = dead_letters.len();
        let (ids, records): (Vec<i64>, Vec<Record>) = dead_letters
            .into_iter()
            .filter_map(|letter| Some((letter.id, of_batch(letter.row?, id))))
            .unzip();
        let refused = if records.is_empty() { Vec::new() } else { self.find_rejected_rows(&records).await? };
        let refused: BTreeSet<usize> = refused.iter().map(|RejectedRow { row, .. }| *row).collect();
        let taken = ids.into_iter().zip(records).enumerate().filter(|(row, _)| !refused.contains(row));
        let (ids, records): (Vec<i64>, Vec<Record>) = taken.map(|(_, taken)| taken).unzip();
        let is_taken = !ids.is_empty() && self.spool().await?.requeue(id, &ids, &records).await?;
        let n_taken = if is_taken { ids.len() } else { 0 };
        retried.taken += from_length(n_taken);
        retried.refused += from_length(n_letters - n_taken);
        Ok(())
    }
}

/// The record as one of another batch. What keeps a batch from being written twice goes by its id in the metadata;
/// the other records of its first batch are there already.
fn of_batch(mut row: EventRow, id: BatchId) -> Record {
    if let Ok(mut metadata) = serde_json::from_str::<Map<String, Value>>(row.metadata.text()) {
        if let Some(first) = metadata.insert("batch".to_owned(), Value::String(id.to_string())) {
            metadata.entry("first_batch").or_insert(first);
        }
        row.metadata = Metadata::of(&metadata);
    }
    Record::Event(row)
}
