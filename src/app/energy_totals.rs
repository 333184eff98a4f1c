//! Looks up in the ledger what was measured of series before their totals were kept beside their ends.
//!
//! The sums of the ledger are those totals only while nothing is on its way into it. So they are read while nothing waits
//! in the spool, and hold if no batch was kept meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::ledger::EnergyTotal;
use crate::reading::error_chain;
use crate::store::{self, LedgerAccess, LedgerReader, StoreUrl};

/// The longest time that reading may take.
const WITHIN: Duration = Duration::from_secs(30);

/// Series that are looked for at a time, so that a search ends within a cycle.
const MAX_SERIES: usize = 1_000;

/// The pause before the spool is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

type Totals = BTreeMap<String, EnergyTotal>;

/// Where the ledger is, and what is on its way there.
#[derive(Debug, Clone)]
pub(super) struct LedgerPlace {
    pub(super) store_url: StoreUrl,
    pub(super) table: String,
    pub(super) state_dir: PathBuf,
}

/// A search that runs; dropped, it ends.
#[derive(Debug)]
pub(super) struct Search {
    /// The revision of the kept state for which it was begun.
    revision: i64,
    task: JoinSet<Option<Totals>>,
}

impl Search {
    /// Begins to look for the totals of some series, or of the first of them where they are very many. `may_wait` is whether
    /// it waits for the spool to be empty.
    pub(super) fn begin(place: LedgerPlace, mut series: Vec<String>, revision: i64, may_wait: bool) -> Self {
        series.truncate(MAX_SERIES);
        let search = async move {
            let found = timeout(WITHIN, find(&place, &series, may_wait)).await;
            match found {
                Ok(Ok(totals)) => totals,
                Ok(Err(error)) => {
                    tracing::warn!(error = error_chain(&error), "energy counters are not known yet");
                    None
                }
                Err(_late) => None,
            }
        };
        let mut task = JoinSet::new();
        task.spawn(search);
        Self { revision, task }
    }

    /// The totals that it has found, with the revision that they are of. `None` while it runs, unless it is waited for.
    pub(super) async fn found(&mut self, waits: bool) -> Option<(i64, Totals)> {
        let ended = if waits { self.task.join_next().await } else { self.task.try_join_next() };
        Some((self.revision, ended?.ok()??))
    }
}

/// The totals; `None` while something waits, and where the ledger may not be read. Of a series that no ledger has, nothing was measured.
async fn find(
    place: &LedgerPlace,
    series: &[String],
    may_wait: bool,
) -> Result<Option<Totals>, store::Error> {
    while store::spool_status(&place.state_dir).await?.is_some_and(|spool| spool.batches > 0) {
        if !may_wait {
            return Ok(None);
        }
        sleep(LOOK_AGAIN).await;
    }
    let mut totals: Totals = series.iter().map(|series| (series.clone(), EnergyTotal::default())).collect();
    if let Some(mut reader) = LedgerReader::open(&place.store_url, &place.table).await? {
        // What cannot be read is not nothing.
        if reader.access() == LedgerAccess::Forbidden {
            reader.close().await;
            return Ok(None);
        }
        if reader.access().is_readable() {
            totals.extend(reader.totals(series).await?);
        }
        reader.close().await;
    }
    Ok(Some(totals))
}
