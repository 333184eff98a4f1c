//! Local days: quarter-hours that are old become a row for each of them.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{Entry, Method};
use crate::reading::{Quarter, Timestamp};

/// The first quarter of the local day that holds an instant.
pub fn local_day(instant: Timestamp, zone: &TimeZone) -> Quarter {
    let at = jiff::Timestamp::from_microsecond(instant.micros()).unwrap_or_default();
    let midnight = at.to_zoned_datetime(zone.clone()).start_of_day().map(|midnight| midnight.timestamp());
    // Beyond the years that have days.
    Quarter::at(Timestamp::from_micros(midnight.unwrap_or(at).as_microsecond()))
}

/// Rows of a series, of a node in a quarter each, added up to local days.
pub fn rolled_up(
    rows: impl IntoIterator<Item = (i64, Quarter, Entry)>,
    zone: &TimeZone,
) -> BTreeMap<(Quarter, i64), Entry> {
    let mut days: BTreeMap<(Quarter, i64), Entry> = BTreeMap::new();
    for (node, quarter, entry) in rows {
        let entry = Entry { method: entry.method.and(Method::DAY), ..entry };
        let day = local_day(quarter.start(), zone);
        days.entry((day, node)).and_modify(|sum| *sum = sum.plus(entry)).or_insert(entry);
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").unwrap()
    }

    fn quarter(text: &str) -> Quarter {
        let instant: jiff::Timestamp = text.parse().unwrap();
        Quarter::at(Timestamp::from_micros(instant.as_microsecond()))
    }

    fn watt_hour() -> Entry {
        Entry { energy_mj: 3_600_000, covered_ms: 900_000, ..Entry::reading(14_400) }
    }

    /// The number of quarters of the day that begins at an instant, as they are rolled up.
    fn quarters_of_the_day(first: &str) -> i64 {
        let first = quarter(first);
        let around = first.plus(-96).until(first.plus(192)).map(|quarter| (7, quarter, watt_hour()));
        let days = rolled_up(around, &berlin());
        assert!(days.values().all(|entry| entry.method.has(Method::DAY)));
        days[&(first, 7)].energy_mj / 3_600_000
    }

    #[test]
    fn a_day_has_23_or_25_hours_where_the_clocks_are_changed() {
        assert_eq!(quarters_of_the_day("2026-03-28T23:00:00Z"), 92);
        assert_eq!(quarters_of_the_day("2026-10-24T22:00:00Z"), 100);
        assert_eq!(quarters_of_the_day("2026-06-01T22:00:00Z"), 96);
    }

    #[test]
    fn each_node_has_its_part_of_a_day() {
        let first = quarter("2026-06-01T22:00:00Z");
        let rows =
            [(1, first, watt_hour()), (2, first.plus(1), watt_hour()), (2, first.plus(2), watt_hour())];
        let days = rolled_up(rows, &berlin());
        let energies: Vec<_> = days.iter().map(|(key, entry)| (*key, entry.energy_mj)).collect();
        assert_eq!(energies, [((first, 1), 3_600_000), ((first, 2), 7_200_000)]);
    }

    #[test]
    fn a_day_of_a_zone_beside_the_hour_begins_at_a_quarter() {
        let kathmandu = TimeZone::get("Asia/Kathmandu").unwrap();
        let noon = quarter("2026-06-01T12:00:00Z").start();
        assert_eq!(local_day(noon, &kathmandu), quarter("2026-05-31T18:15:00Z"));
    }
}
