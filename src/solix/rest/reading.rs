//! Readings of stations that REST alone gives.

use super::{BoundDevice, PanelAverage, Scene};
use crate::reading::{StationReading, Timestamp};

/// The readings in a site's answers, received `at`: one of the panel, if there are means of five minutes, and
/// one of each solarbank, if the scene is fresh. `devices` names the panel where the scene does not.
pub fn readings(
    devices: &[BoundDevice],
    scene: &Scene,
    average: Option<&PanelAverage>,
    at: Timestamp,
) -> Vec<StationReading> {
    drop((devices, scene, average, at));
    Vec::new()
}
