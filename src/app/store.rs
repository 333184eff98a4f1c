//! The jobs of `store`.

use super::{Error, Settings};
use crate::store::{InitReport, Status, Timeline};

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
