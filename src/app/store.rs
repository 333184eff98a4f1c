//! The jobs of `store`.

use super::lock::{is_ours, lock_state};
use super::{Error, Settings};
use crate::store::{
    self, DeadLetter, InitReport, Progress, Pruned, Receipt, RetryReport, RollUp, SpoolLimits, SpoolStatus,
    Status, Timeline, Writer,
};

/// Creates the timeline's table where there is none.
///
/// # Errors
/// The database cannot be reached or refuses.
pub async fn store_init(settings: &Settings) -> Result<InitReport, Error> {
    may_write(settings)?;
    Ok(Timeline::init(&settings.store_url, &settings.inventory.store.table).await?)
}

/// That the timeline is not a file in another user's state directory.
fn may_write(settings: &Settings) -> Result<(), Error> {
    if settings.store_url.is_file() { is_ours(&settings.state_dir) } else { Ok(()) }
}

/// The status of the timeline; `None` where a SQLite timeline is not there yet. Creates nothing.
///
/// # Errors
/// The database cannot be reached, or its table does not fit.
pub async fn store_status(settings: &Settings) -> Result<Option<Status>, Error> {
    Ok(Timeline::inspect(&settings.store_url, &settings.inventory.store.table).await?)
}

/// Removes the rows that are older than `[store] keep`; a dry run only counts them.
///
/// # Errors
/// There is no `keep`, the timeline is in PostgreSQL, or the file cannot be written.
pub async fn store_prune(settings: &Settings, dry_run: bool) -> Result<Pruned, Error> {
    let Some(keep) = settings.inventory.store.keep else { return Err(Error::NoKeep) };
    if !dry_run {
        may_write(settings)?;
    }
    let timeline = Timeline::open(&settings.store_url, &settings.inventory.store.table).await?;
    let pruned = timeline.prune(keep, dry_run).await;
    timeline.close().await;
    Ok(pruned?)
}

/// The status of the spool, if there is one. Needs no database and no lock.
///
/// # Errors
/// The spool cannot be read.
pub async fn spool_status(settings: &Settings) -> Result<Option<SpoolStatus>, Error> {
    Ok(store::spool_status(&settings.state_dir).await?)
}

/// Delivers everything that waits in the spool.
///
/// # Errors
/// Another fleetwatt is at it, or the spool cannot be read. That the database is away stands in the
/// receipt.
pub async fn store_replay(
    settings: &Settings,
    progress: impl FnMut(Progress) + Send,
) -> Result<Receipt, Error> {
    let _lock = lock_state(&settings.state_dir)?;
    let mut writer = open_writer(settings).await?;
    let receipt = writer.replay(progress).await;
    writer.close().await;
    Ok(receipt?)
}

/// The first `limit` rows that are laid aside in the spool. Needs no database and no lock.
///
/// # Errors
/// The spool cannot be read.
pub async fn store_dead_letters(settings: &Settings, limit: u32) -> Result<Vec<DeadLetter>, Error> {
    Ok(store::dead_letters(&settings.state_dir, limit).await?)
}

/// Discards rows that are laid aside, all of them without `ids`; says how many there were.
///
/// # Errors
/// The spool cannot be written.
pub async fn store_discard(settings: &Settings, ids: Option<&[i64]>) -> Result<u64, Error> {
    is_ours(&settings.state_dir)?;
    Ok(store::discard_dead_letters(&settings.state_dir, ids).await?)
}

/// Brings rows that are laid aside into the timeline, all of them without `ids`. Beside a daemon they only go into
/// the queue, which it delivers.
///
/// # Errors
/// The database is away, or the spool cannot be used.
pub async fn store_retry(settings: &Settings, ids: Option<&[i64]>) -> Result<RetryReport, Error> {
    let lock = lock_state(&settings.state_dir);
    let writer = match &lock {
        Ok(_) => Some(open_writer(settings).await?),
        Err(Error::Locked(..)) => {
            let (table, limits) = (&settings.inventory.store.table, limits(settings));
            Writer::join(&settings.state_dir, &settings.store_url, table, limits).await?
        }
        Err(_) => return lock.map(|_| RetryReport::default()),
    };
    let Some(mut writer) = writer else { return Ok(RetryReport::default()) };
    let retried = writer.retry_dead_letters(ids).await;
    writer.close().await;
    Ok(retried?)
}

/// The way of a batch, as the settings have it.
pub(super) async fn open_writer(settings: &Settings) -> Result<Writer, store::Error> {
    let table = &settings.inventory.store.table;
    let keep = settings.inventory.store.keep;
    let writer = Writer::open(&settings.state_dir, &settings.store_url, table, limits(settings)).await?;
    if keep.is_some() && !settings.store_url.is_file() {
        return Err(store::Error::RetentionUnsupported);
    }
    let energy = &settings.inventory.energy;
    let roll_up = RollUp { keep: energy.ledger.keep_quarters, zone: energy.tariff_book.site.zone() };
    Ok(writer.with_retention(keep).with_roll_up(roll_up))
}

fn limits(settings: &Settings) -> SpoolLimits {
    let store = &settings.inventory.store;
    SpoolLimits { bytes: store.spool_size, age: store.spool_age }
}
