//! The pace at which stations are asked, and whether they are heard of. Pure.

use std::time::Duration;

use crate::reading::{DataSource, GridState, PollingMode, Presence, Share, StationReading, Timestamp};

/// The fast mode ends when the state of charge has risen so far above the threshold: a battery whose
/// charge flutters about the threshold must not switch at each reading.
const HYSTERESIS: Share = Share::from_millipercent(3_000);

/// The numbers that REST gives change every five minutes, and are up to so old when they come.
const CLOUD_EVERY: Duration = Duration::from_secs(5 * 60);

/// A station that has been silent for this long is offline.
const OFFLINE_AFTER: Duration = Duration::from_secs(10 * 60);

/// So many intervals without a word make a station stale.
const STALE_AFTER_INTERVALS: u32 = 2;

/// The pace at which stations are asked at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// From one question to a station to the next.
    pub(super) interval: Duration,
    /// The REST interface is asked every so many intervals.
    pub(super) rest_every: u32,
}

impl Pace {
    /// From one question to the REST interface to the next.
    pub(super) fn rest_interval(self) -> Duration {
        self.interval.saturating_mul(self.rest_every)
    }

    /// The age that the last word of a station that is read this way may have: two intervals, and by REST as much more
    /// as its numbers are old when they come.
    pub(super) fn stale_after(self, way: DataSource) -> Duration {
        match way {
            DataSource::Mqtt => self.interval.saturating_mul(STALE_AFTER_INTERVALS),
            DataSource::RestApi => {
                let interval = self.rest_interval().max(CLOUD_EVERY);
                interval.saturating_mul(STALE_AFTER_INTERVALS).saturating_add(CLOUD_EVERY)
            }
        }
    }
}

/// The condition of one station that decides the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    /// Its state of charge, if it is known.
    pub(super) soc: Option<Share>,
    /// Whether it had the grid once, and has it no more although it gives power.
    pub(super) grid_lost: bool,
}

impl Condition {
    /// The condition that a reading tells. A station that never had the grid cannot have lost it; `grid_seen` is
    /// whether this one had.
    pub(super) fn from_reading(reading: &StationReading, grid_seen: bool) -> Self {
        let gives_power = reading.device.power_output().is_ok_and(|power| power.milliwatts() > 0);
        Self {
            soc: reading.device.soc().ok().copied(),
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
/// is listened for, `cloud_says` whether the cloud says that it is connected, `way` how it is read. One that was
/// never heard but by the cloud, and that the cloud calls offline, is.
pub(super) fn presence(
    heard_at: Option<Timestamp>,
    awaited_since: Timestamp,
    cloud_says: Option<bool>,
    (way, pace): (DataSource, Pace),
    now: Timestamp,
) -> Presence {
    let stale_after = pace.stale_after(way);
    let silent_since = heard_at.unwrap_or(awaited_since);
    let silence = now.since(silent_since);
    let is_stale = stale_after < silence;
    let is_told = cloud_says == Some(false) && (is_stale || heard_at.is_none() || way == DataSource::RestApi);
    if OFFLINE_AFTER.max(stale_after) < silence || is_told {
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
    const PACE: Pace = Pace { interval: Duration::from_secs(120), rest_every: 5 };

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
        presence(heard.then_some(START), START, cloud_says, (DataSource::Mqtt, PACE), now)
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
        assert_eq!(presence_after(1, false, Some(false)), Presence::Offline(START), "it was never heard");
        let by_rest = presence(Some(START), START, Some(false), (DataSource::RestApi, PACE), START);
        assert_eq!(by_rest, Presence::Offline(START), "the cloud's numbers are as old as its word");
    }

    #[test]
    fn a_station_that_rest_alone_reads_is_stale_after_two_intervals_of_that() {
        let by_rest = |pace: Pace| pace.stale_after(DataSource::RestApi).as_secs() / 60;
        assert_eq!(by_rest(PACE), 25);
        let fast = Pace { interval: Duration::from_secs(30), ..PACE };
        assert_eq!((fast.rest_interval().as_secs(), by_rest(fast)), (150, 15));
    }

    #[test]
    fn an_interval_that_is_longer_than_ten_minutes_makes_nobody_offline() {
        let pace = Pace { interval: Duration::from_secs(3_600), ..PACE };
        let now = START.plus(Duration::from_secs(7_000));
        let presence = presence(Some(START), START, None, (DataSource::Mqtt, pace), now);
        assert_eq!(presence, Presence::Live);
    }
}
