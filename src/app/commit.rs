//! Keeps a cycle, in one way for a poll and for the daemon: it is judged, kept together with its alerts, and only then
//! is what was judged and written taken for known.

use super::Error;
use super::alerts::{Alerting, SystemFacts};
use crate::alert::{Scope, Transition};
use crate::batch::{Batch, BatchId, InventorySent};
use crate::inventory::MetadataStyle;
use crate::reading::event_type;
use crate::store::{self, AlertRecord, Receipt, Record};

/// A cycle is judged so often when other processes judge at the same time. There is hardly a second one.
const MOST_JUDGEMENTS: u32 = 5;

/// A cycle that is closed, and what is to be known beside it.
#[derive(Debug)]
pub(super) struct Closed<'a> {
    pub(super) batch: &'a Batch,
    pub(super) scope: Scope,
    pub(super) style: MetadataStyle,
    pub(super) system: SystemFacts,
}

/// Judges a cycle, gives it with what that says of the alerts to `submit`, after which both are durable, and takes over
/// what follows: `written`, what the timeline has of the fleet's inventory, and what `alerting` knows. `None` for who
/// does not judge. Gives what was raised and cleared.
///
/// # Errors
/// The batch could not be kept; nothing was taken over.
pub(super) async fn commit(
    mut submit: impl AsyncFnMut(BatchId, Vec<Record>, Option<AlertRecord>) -> Result<Receipt, Error>,
    cycle: &Closed<'_>,
    written: &mut InventorySent,
    mut alerting: Option<&mut Alerting>,
) -> Result<(Receipt, Vec<Transition>), Error> {
    let batch = cycle.batch;
    if let Some(alerting) = &mut alerting {
        alerting.read().await;
        alerting.take_totals(false).await;
    }
    let mut n_refused = 0;
    loop {
        let mut newly_written = written.clone();
        let mut events = batch.events(cycle.style, &mut newly_written);
        if cycle.scope == Scope::Part {
            // The only one that is true of the whole fleet alone.
            events.retain(|event| event.event_type != event_type::CLUSTER_POWER);
        }
        let judging = alerting.as_deref().filter(|_| n_refused < MOST_JUDGEMENTS);
        let judged = judging.and_then(|alerting| alerting.judge(batch, cycle.scope, cycle.system.clone()));
        let record = judging.zip(judged.as_ref()).map(|(alerting, judged)| alerting.record(batch, judged));
        tracing::debug!(events = events.len(), "batch made");
        let mut records = Record::from_events(&events);
        match &judged {
            Some(judged) => records.extend(Record::from_energies(&judged.energies)),
            // Its readings are not where the next cycle of the ledger begins.
            None => records.iter_mut().for_each(Record::leave_out_of_ledger),
        }
        match submit(batch.id, records, record).await {
            Ok(receipt) => {
                log_kept(batch.id, &receipt);
                *written = newly_written;
                let judged = judged.filter(|_| !receipt.written_directly);
                let transitions = alerting.zip(judged).map(|(alerting, judged)| alerting.accept(judged));
                return Ok((receipt, transitions.unwrap_or_default()));
            }
            Err(Error::Timeline(store::Error::AlertsChanged(kept))) if n_refused < MOST_JUDGEMENTS => {
                n_refused += 1;
                if let Some(alerting) = &mut alerting {
                    alerting.take_over(Some(kept));
                }
            }
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn log_kept(id: BatchId, receipt: &Receipt) {
    let how = if receipt.written_directly { "batch written directly" } else { "batch kept" };
    tracing::debug!(batch = %id, rows = receipt.kept_rows, "{how}");
}
