//! The jobs of `ledger`.

use std::ops::Range;

use super::lock::is_ours;
use super::{Error, Settings};
use crate::battery::VENDOR;
use crate::reading::{Quarter, Timestamp};
use crate::store::{
    CountedTwice, DerivationRules, Error as StoreError, LedgerAccess, LedgerReader, LedgerSize,
    RebuildReport, RebuildRequest, Timeline, rebuild_ledger,
};

/// The status of a ledger and of the timeline that it follows from.
#[derive(Debug)]
pub struct LedgerStatus {
    /// Whether it is there.
    pub access: LedgerAccess,
    /// Its size; `None` where it cannot be read.
    pub size: Option<LedgerSize>,
    /// Its quarters, the end excluded; `None` also where it is empty.
    pub span: Option<Range<Quarter>>,
    /// The series that were counted more than once, if there are any.
    pub counted_twice: Option<CountedTwice>,
    /// The times of the timeline's first and last reading of power, if there are any, or why it cannot be read.
    pub timeline: Result<Option<(Timestamp, Timestamp)>, StoreError>,
}

/// The part of the ledger that `ledger rebuild` computes.
#[derive(Debug, Clone, Copy, Default)]
pub struct LedgerRange {
    /// Only quarters that begin at or after this.
    pub from: Option<Timestamp>,
    /// Only quarters that end at or before this.
    pub to: Option<Timestamp>,
}

/// The status of the ledger; `None` where a SQLite timeline is not there yet. Changes nothing.
///
/// # Errors
/// The database cannot be reached, or has no such table.
pub async fn ledger_status(settings: &Settings) -> Result<Option<LedgerStatus>, Error> {
    let reader = LedgerReader::open(&settings.store_url, &settings.inventory.store.table).await?;
    let Some(mut reader) = reader else { return Ok(None) };
    let access = reader.access();
    let (size, span) =
        if access.is_readable() { (Some(reader.size().await?), reader.span().await?) } else { (None, None) };
    let counted_twice = if access.is_readable() { reader.counted_twice().await? } else { None };
    let timeline = reader.timeline_ends(&derivation_rules(settings)).await;
    reader.close().await;
    Ok(Some(LedgerStatus { access, size, span, counted_twice, timeline }))
}

/// Computes the ledger again; `None` where a SQLite timeline is not there yet. `progress` is given how many quarters are
/// done, of how many.
///
/// # Errors
/// There is no ledger, or the database cannot be read or changed. Nothing was changed.
pub async fn ledger_rebuild(
    settings: &Settings,
    range: LedgerRange,
    dry_run: bool,
    progress: impl FnMut(u64, u64) + Send + 'static,
) -> Result<Option<RebuildReport>, Error> {
    let (store_url, table) = (&settings.store_url, &settings.inventory.store.table);
    if store_url.is_file() {
        let Some(reader) = LedgerReader::open(store_url, table).await? else { return Ok(None) };
        reader.close().await;
        if !dry_run {
            is_ours(&settings.state_dir)?;
            // A file of an earlier version gets the tables.
            Timeline::open(store_url, table).await?.close().await;
        }
    }
    let request =
        RebuildRequest { from: range.from, to: range.to, dry_run, rules: derivation_rules(settings) };
    Ok(Some(rebuild_ledger(store_url, table, request, progress).await?))
}

/// The rules by which this fleet's readings become energy.
pub(super) fn derivation_rules(settings: &Settings) -> DerivationRules {
    DerivationRules { figures: VENDOR.figures, max_gap: settings.inventory.energy.ledger.max_gap }
}
