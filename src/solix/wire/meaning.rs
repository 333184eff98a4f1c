//! Which value of which model is which figure of a reading.

use super::state::DeviceState;
use crate::reading::{PollingMode, Station, StationReading, Timestamp};

/// What `station` says by those values of `state` that were received at `since` or later. Its time is that
/// of the newest of them. `None` if there are none. A figure that the model does not have is absent as not
/// supported, one that it did not say as not reported.
pub fn reading(
    _station: &Station,
    _state: &DeviceState,
    _since: Timestamp,
    _mode: PollingMode,
) -> Option<StationReading> {
    None
}
