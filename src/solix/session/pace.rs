//! How often stations are asked, and whether they are heard of. Pure.

use std::time::Duration;

use crate::reading::{GridState, PollingMode, Presence, Share, StationReading, Timestamp};

/// How far the state of charge must rise above the threshold until the fast mode ends: a battery whose
/// charge flutters about the threshold must not switch at each reading.
const HYSTERESIS: Share = Share::from_millipercent(3_000);

/// A station that has been silent for this long is offline.
const OFFLINE_AFTER: Duration = Duration::from_secs(10 * 60);

/// So many intervals without a word make a station stale.
const STALE_AFTER_INTERVALS: u32 = 2;

/// What of one station decides the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    /// Its state of charge, if it is known.
    pub(super) soc: Option<Share>,
    /// Whether it had the grid once, and has it no more although it gives power.
    pub(super) grid_lost: bool,
}

impl Condition {
    /// What a reading says of it. A station that never had the grid cannot have lost it; `grid_seen` is
    /// whether this one had.
    pub(super) fn of(reading: &StationReading, grid_seen: bool) -> Self {
        let gives_power = reading.power_output.as_ref().is_ok_and(|power| 0 < power.milliwatts());
        Self {
            soc: reading.soc.as_ref().ok().copied(),
            grid_lost: reading.grid == GridState::Absent && grid_seen && gives_power,
        }
    }
}

/// The mode that follows from the conditions of all stations. Fast from `below` on downwards, or where the
/// grid is lost; normal again when every state of charge that is known is past the hysteresis.
pub(super) fn next_mode(
    mode: PollingMode,
    below: Share,
    conditions: impl IntoIterator<Item = Condition>,
) -> PollingMode {
    let bound = match mode {
        PollingMode::Normal => below,
        PollingMode::Fast => Share::from_millipercent(below.millipercent() + HYSTERESIS.millipercent() - 1),
    };
    let is_low = |one: Condition| one.grid_lost || one.soc.is_some_and(|soc| soc <= bound);
    if conditions.into_iter().any(is_low) { PollingMode::Fast } else { PollingMode::Normal }
}

/// Whether a station is heard of. `heard_at` is when it said something last, `awaited_since` since when it
/// is listened for, `cloud_says` whether the cloud says that it is connected.
pub(super) fn presence(
    heard_at: Option<Timestamp>,
    awaited_since: Timestamp,
    cloud_says: Option<bool>,
    interval: Duration,
    now: Timestamp,
) -> Presence {
    let silent_since = heard_at.unwrap_or(awaited_since);
    let silence = now.since(silent_since);
    let is_stale = interval * STALE_AFTER_INTERVALS < silence;
    if OFFLINE_AFTER < silence || (is_stale && cloud_says == Some(false)) {
        return Presence::Offline(silent_since);
    }
    match heard_at {
        _ if is_stale => Presence::Stale(silent_since),
        Some(_) => Presence::Live,
        None => Presence::Awaited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BELOW: Share = Share::from_millipercent(30_000);
    const START: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);
    const INTERVAL: Duration = Duration::from_secs(120);

    fn charged(percent: i64) -> Condition {
        Condition { soc: Some(Share::from_millipercent(percent * 1_000)), grid_lost: false }
    }

    fn mode_after(percents: &[i64]) -> PollingMode {
        let step = |mode, percent: &i64| next_mode(mode, BELOW, [charged(*percent)]);
        percents.iter().fold(PollingMode::Normal, step)
    }

    #[test]
    fn the_fast_mode_begins_at_the_threshold_and_ends_past_the_hysteresis() {
        assert_eq!(mode_after(&[31]), PollingMode::Normal);
        assert_eq!(mode_after(&[31, 30]), PollingMode::Fast);
        assert_eq!(mode_after(&[30, 31, 32]), PollingMode::Fast);
        assert_eq!(mode_after(&[30, 33]), PollingMode::Normal);
        assert_eq!(mode_after(&[30, 33, 31]), PollingMode::Normal);
    }

    #[test]
    fn one_low_station_of_two_is_enough() {
        assert_eq!(next_mode(PollingMode::Normal, BELOW, [charged(90), charged(12)]), PollingMode::Fast);
    }

    #[test]
    fn an_unknown_charge_starts_nothing() {
        let unknown = Condition { soc: None, grid_lost: false };
        assert_eq!(next_mode(PollingMode::Normal, BELOW, [unknown]), PollingMode::Normal);
    }

    #[test]
    fn a_lost_grid_is_fast_whatever_the_charge() {
        let lost = Condition { grid_lost: true, ..charged(90) };
        assert_eq!(next_mode(PollingMode::Normal, BELOW, [lost]), PollingMode::Fast);
    }

    fn presence_after(seconds: u64, heard: bool, cloud_says: Option<bool>) -> Presence {
        let now = START.plus(Duration::from_secs(seconds));
        presence(heard.then_some(START), START, cloud_says, INTERVAL, now)
    }

    #[test]
    fn silence_is_stale_after_two_intervals_and_offline_after_ten_minutes() {
        assert_eq!(presence_after(240, true, Some(true)), Presence::Live);
        assert_eq!(presence_after(241, true, Some(true)), Presence::Stale(START));
        assert_eq!(presence_after(600, true, Some(true)), Presence::Stale(START));
        assert_eq!(presence_after(601, true, Some(true)), Presence::Offline(START));
    }

    #[test]
    fn a_station_that_never_spoke_is_awaited_before_it_is_missed() {
        assert_eq!(presence_after(100, false, None), Presence::Awaited);
        assert_eq!(presence_after(300, false, None), Presence::Stale(START));
        assert_eq!(presence_after(700, false, None), Presence::Offline(START));
    }

    #[test]
    fn the_clouds_word_makes_a_stale_station_offline_but_never_a_live_one() {
        assert_eq!(presence_after(100, true, Some(false)), Presence::Live);
        assert_eq!(presence_after(300, true, Some(false)), Presence::Offline(START));
    }
}
