//! The troubles of the played days: who gives no reading when, and why.

use jiff::{ToSpan, ZonedDateTime};

use super::load::thousandths;
use crate::reading::Timestamp;

/// Of a thousand times of three cycles, in how many a node does not answer.
const N_MISSED: i64 = 2;

/// A trouble of a part of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing was polled.
    NotRunning,
    /// A node had no network.
    Unreachable,
    /// A node's tool hung.
    Hung,
    /// A board fell off the bus; its index.
    Lost(usize),
    /// A board was hot; its index.
    Hot(usize),
    /// A node was reserved and nobody used it.
    HeldIdle,
    /// A station was silent.
    Silent,
}

/// A trouble, whom it is of, so many days before the last one, its hour and minute, and how many minutes it lasts.
type Row = (Trouble, &'static str, i64, (i8, i8), i64);

/// The station's name here.
pub(super) const STATION: &str = "station";

/// The whole fleet's name here.
const ALL: &str = "";

const TROUBLES: [Row; 7] = [
    (Trouble::HeldIdle, "hgx-06", 18, (9, 0), 13 * 1_440),
    (Trouble::Unreachable, "hgx-03", 15, (2, 15), 9 * 60),
    (Trouble::Silent, STATION, 11, (7, 0), 315),
    (Trouble::Hot(4), "hgx-02", 10, (15, 30), 75),
    (Trouble::NotRunning, ALL, 8, (14, 30), 90),
    (Trouble::Lost(6), "hgx-05", 5, (9, 0), 41 * 60),
    // To the end, whenever that is.
    (Trouble::Hung, "turing-02", 1, (18, 45), 2 * 1_440),
];

/// The troubles of some days.
#[derive(Debug, Clone)]
pub(super) struct Troubles(Vec<(Trouble, &'static str, Timestamp, Timestamp)>);

impl Troubles {
    /// The troubles before an end.
    pub(super) fn before(end: &ZonedDateTime) -> Self {
        let at = |time: &ZonedDateTime| Timestamp::from_micros(time.timestamp().as_microsecond());
        let of = |(trouble, who, days, (hour, minute), minutes): Row| {
            let from = end.checked_sub(days.days()).ok()?.with().time(jiff::civil::time(hour, minute, 0, 0));
            let from = from.build().ok()?;
            let to = from.checked_add(minutes.minutes()).ok()?;
            Some((trouble, who, at(&from), at(&to)))
        };
        Self(TROUBLES.into_iter().filter_map(of).collect())
    }

    /// The troubles of a node, or of [`STATION`], at an instant: its own, and those of the whole fleet.
    pub(super) fn of<'a>(&'a self, who: &'a str, at: Timestamp) -> impl Iterator<Item = Trouble> + 'a {
        let is_it = move |(_, whose, from, to): &&(Trouble, &str, Timestamp, Timestamp)| {
            (*whose == who || *whose == ALL) && (*from..*to).contains(&at)
        };
        self.0.iter().filter(is_it).map(|(trouble, ..)| *trouble)
    }

    /// Whether nothing was polled at an instant.
    pub(super) fn is_stopped(&self, at: Timestamp) -> bool {
        self.of(ALL, at).any(|trouble| trouble == Trouble::NotRunning)
    }
}

/// Whether a node gives no answer in a cycle, for no lasting reason. Three cycles in a row, since less is no gap.
pub(super) fn is_missed(seed: u64, node: u64, cycle: u64) -> bool {
    thousandths(seed, &[7, node, cycle / 3]) < N_MISSED
}
