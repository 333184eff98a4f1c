//! The played load of a board: when it works and how much, from a seed and the time alone. Nothing of it is measured.

use jiff::ZonedDateTime;
use jiff::civil::Weekday;

use crate::reading::{Power, Share, Temperature, Timestamp};

/// A machine is given a new job, or none, every two hours.
const JOB_MICROS: i64 = 2 * 3_600_000_000;

/// The rhythm of a machine's work, by its label `use`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rhythm {
    /// Day and night.
    Training,
    /// Working days, and some of the nights.
    Research,
    /// Now and then.
    Batch,
    /// While somebody sits there.
    Desk,
}

/// The figures of a board at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) power: Power,
    pub(super) busy: Share,
    pub(super) temperature: Temperature,
}

/// A board's place in the fleet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) node: u64,
    pub(super) gpu: u64,
    pub(super) rhythm: Rhythm,
    /// The most that the board draws.
    pub(super) limit: Power,
    /// Whether its node is reserved and nobody uses it.
    pub(super) is_held_idle: bool,
}

impl Rhythm {
    /// The rhythm of a label.
    pub(super) fn of(label: Option<&str>) -> Self {
        match label {
            Some("training") => Self::Training,
            Some("research") => Self::Research,
            Some("batch") => Self::Batch,
            _ => Self::Desk,
        }
    }

    /// The part of the time in which a machine has work, in thousandths.
    fn chance(self, local: &ZonedDateTime) -> i64 {
        let is_weekend = matches!(local.weekday(), Weekday::Saturday | Weekday::Sunday);
        match (self, is_weekend, local.hour()) {
            (Self::Training, ..) => 930,
            (Self::Research, false, 8..22) => 860,
            (Self::Research, false, _) => 320,
            (Self::Research, true, _) => 250,
            (Self::Batch, ..) => 230,
            (Self::Desk, false, 9..18) => 550,
            (Self::Desk, _, 18..23) => 300,
            (Self::Desk, ..) => 60,
        }
    }

    /// The draw of a board that waits, in thousandths of its limit.
    const fn idle(self) -> i64 {
        match self {
            Self::Desk => 40,
            Self::Training | Self::Research | Self::Batch => 105,
        }
    }
}

/// The load of a board at an instant, which is `local` where it stands.
pub(super) fn load(seed: u64, place: &Place, at: Timestamp, local: &ZonedDateTime) -> Load {
    let job = u64::try_from(at.micros().div_euclid(JOB_MICROS)).unwrap_or_default();
    let cycle = u64::try_from(at.micros()).unwrap_or_default();
    let is_busy =
        !place.is_held_idle && thousandths(seed, &[1, place.node, job]) < place.rhythm.chance(local);
    let level = if is_busy {
        // How hard the job is, how much this board takes, and how much it sways.
        let job = 620 + thousandths(seed, &[2, place.node, job]) * 330 / 1_000;
        let board = thousandths(seed, &[3, place.node, place.gpu]) * 60 / 1_000 - 30;
        let sway = thousandths(seed, &[4, place.node, place.gpu, cycle]) * 50 / 1_000 - 25;
        job + board + sway
    } else {
        place.rhythm.idle() + thousandths(seed, &[5, place.node, place.gpu, cycle]) * 10 / 1_000
    };
    let share = thousandths(seed, &[6, place.node, place.gpu, cycle]);
    // In the steps in which drivers tell them: 10 mW, whole percents and degrees.
    let percent = if is_busy { 88 + share * 13 / 1_000 } else { share * 3 / 1_000 };
    Load {
        power: Power::from_milliwatts(place.limit.milliwatts() * level / 10_000 * 10),
        busy: Share::from_millipercent(percent * 1_000),
        temperature: Temperature::from_millicelsius((28 + level * 48 / 1_000) * 1_000),
    }
}

/// A number from 0 to 999 that follows from these.
pub(super) fn thousandths(seed: u64, of: &[u64]) -> i64 {
    i64::try_from(mixed_number(seed, of) % 1_000).unwrap_or_default()
}

/// A number that follows from these, and looks like chance: the mixing steps of SplitMix64.
pub(super) fn mixed_number(seed: u64, of: &[u64]) -> u64 {
    of.iter().fold(mixed(seed), |sum, part| mixed(sum ^ mixed(*part)))
}

const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_w(rhythm: Rhythm, days: std::ops::Range<i64>) -> i64 {
        let place = Place { node: 3, gpu: 1, rhythm, limit: Power::from_watts(700), is_held_idle: false };
        // Monday 2026-11-02T00:00:00Z and the days after it.
        let hours = days.flat_map(|day| (0..24).map(move |hour| day * 24 + hour));
        let watts: Vec<i64> = hours
            .map(|hour| {
                let at = Timestamp::from_micros((1_793_577_600 + hour * 3_600) * 1_000_000);
                let local = jiff::Timestamp::from_microsecond(at.micros())
                    .unwrap()
                    .to_zoned_datetime(jiff::tz::TimeZone::UTC);
                load(7, &place, at, &local).power.milliwatts() / 1_000
            })
            .collect();
        watts.iter().sum::<i64>() / i64::try_from(watts.len()).unwrap()
    }

    #[test]
    fn a_trainer_works_all_the_time_and_research_rests_at_the_weekend() {
        assert!(mean_w(Rhythm::Training, 0..28) > 450);
        let weekends: i64 = (0..4).map(|week| mean_w(Rhythm::Research, 7 * week + 5..7 * week + 7)).sum();
        let workdays: i64 = (0..4).map(|week| mean_w(Rhythm::Research, 7 * week..7 * week + 5)).sum();
        assert!(weekends + 400 < workdays, "{} W, {} W", weekends / 4, workdays / 4);
    }

    #[test]
    fn a_board_stays_within_its_limit_and_nobody_works_where_it_is_held_idle() {
        for micros in 0..5_000 {
            let at = Timestamp::from_micros(1_793_577_600_000_000 + micros * 300_000_000);
            let local = jiff::Timestamp::from_microsecond(at.micros())
                .unwrap()
                .to_zoned_datetime(jiff::tz::TimeZone::UTC);
            let limit = Power::from_watts(700);
            let place =
                |is_held_idle| Place { node: 1, gpu: 0, rhythm: Rhythm::Training, limit, is_held_idle };
            let busy = load(1, &place(false), at, &local);
            assert!(Power::from_watts(70) < busy.power && busy.power < limit, "{busy:?}");
            let idle = load(1, &place(true), at, &local);
            assert!(
                idle.power < Power::from_watts(90) && idle.busy < Share::from_millipercent(5_000),
                "{idle:?}"
            );
        }
    }
}
