//! The jobs of `store`.

use super::lock::lock_state;
use super::{Error, Settings};
use crate::store::{self, InitReport, Progress, Receipt, SpoolLimits, SpoolStatus, Status, Timeline, Writer};

/// Creates the timeline's table where there is none.
///
/// # Errors
/// The database cannot be reached or refuses.
pub async fn store_init(settings: &Settings) -> Result<InitReport, Error> {
    Timeline::init(&settings.location, &settings.inventory.store.table).await.map_err(Error::Timeline)
}

/// What the timeline says of itself.
///
/// # Errors
/// The database cannot be reached, or its table does not fit.
pub async fn store_status(settings: &Settings) -> Result<Status, Error> {
    let timeline =
        Timeline::open(&settings.location, &settings.inventory.store.table).await.map_err(Error::Timeline)?;
    let status = timeline.status().await.map_err(Error::Timeline);
    timeline.close().await;
    status
}

/// What waits in the spool, if there is one. Needs no database and no lock.
///
/// # Errors
/// The spool cannot be read.
pub async fn spool_status(settings: &Settings) -> Result<Option<SpoolStatus>, Error> {
    store::spool_status(&settings.state_dir).await.map_err(Error::Timeline)
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
    let mut writer = open_writer(settings).await.map_err(Error::Timeline)?;
    let receipt = writer.replay(progress).await.map_err(Error::Timeline);
    writer.close().await;
    receipt
}

/// The way of a batch, as the settings have it.
pub(super) async fn open_writer(settings: &Settings) -> Result<Writer, store::Error> {
    let store = &settings.inventory.store;
    let limits = SpoolLimits { bytes: store.spool_size, age: store.spool_age };
    Writer::open(&settings.state_dir, &settings.location, &store.table, limits).await
}
