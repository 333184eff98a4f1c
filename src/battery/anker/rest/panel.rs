//! A home power panel's means of five minutes: with a panel, the only watts that REST gives.

use std::fmt;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};
use serde_json::Value;

use super::json;
use crate::battery::anker::wire::one_way;
use crate::reading::{Absent, Measured, Power, SafeText, Share, Timestamp};

/// The last five minutes of a day.
pub(super) const LAST_SLOT: &str = "23:55";

/// The last five minutes that `energy_statistics` knows of a site with a panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanelAverage {
    /// The day and the beginning of these five minutes by the site's clock, as `2026-06-09 21:25`.
    pub slot: SafeText,
    /// The end of these five minutes, less five seconds, as anker-solix-api counts; if the site's time zone is
    /// known, which [`Cloud::devices`](super::Cloud::devices) learns.
    pub valid_at: Option<Timestamp>,
    /// The state of charge of the batteries.
    pub soc: Measured<Share>,
    /// Into the batteries. Never negative.
    pub charge_power: Measured<Power>,
    /// Out of the batteries. Never negative.
    pub discharge_power: Measured<Power>,
    /// From solar panels. Never negative.
    pub solar_power: Measured<Power>,
    /// The use of the home. Never negative.
    pub home_power: Measured<Power>,
    /// From the grid. The cloud gives no power into the grid, so that no power from it is a known zero only
    /// where nothing went into it on the whole day.
    pub grid_power: Measured<Power>,
    /// The names of the fields of the battery's answer.
    pub keys: Vec<String>,
}

/// A day of a site, by its own clock if its time zone is known, else in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    date: Date,
    pub(super) zone: Option<TimeZone>,
}

impl Day {
    /// The day that it is there.
    pub(super) fn at(now: Timestamp, zone: Option<TimeZone>) -> Option<Self> {
        let now = jiff::Timestamp::from_microsecond(now.micros()).ok()?;
        let date = zone.as_ref().unwrap_or(&TimeZone::UTC).to_datetime(now).date();
        Some(Self { date, zone })
    }

    pub(super) fn before(&self) -> Option<Self> {
        Some(Self { date: self.date.yesterday().ok()?, zone: self.zone.clone() })
    }

    pub(super) fn after(&self) -> Option<Self> {
        Some(Self { date: self.date.tomorrow().ok()?, zone: self.zone.clone() })
    }

    /// When the five minutes from `slot` on are over, less five seconds.
    fn valid_at(&self, slot: &str) -> Option<Timestamp> {
        self.after_begin(slot, 4.minutes().seconds(55))
    }

    /// Whether the five minutes from `slot` on have begun, as far as that is known.
    fn has_begun(&self, slot: &str, now: Timestamp) -> bool {
        self.after_begin(slot, 0.seconds()).is_none_or(|begin| begin <= now)
    }

    fn after_begin(&self, slot: &str, span: Span) -> Option<Timestamp> {
        let (hour, minute) = slot.split_once(':')?;
        let begin = self.date.to_datetime(Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()?);
        let then = self.zone.clone()?.to_timestamp(begin.checked_add(span).ok()?).ok()?;
        Some(Timestamp::from_micros(then.as_microsecond()))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date)
    }
}

/// The last five minutes of which a battery's day has a state of charge. What is still to come is filled with
/// zeros, and a real state of charge is never zero. What is to come by our clock is not taken.
pub(super) fn last_slot(day: &Day, hes: &Value, now: Timestamp) -> Option<String> {
    let levels = json::list(hes, "chargeLevel").iter().rev();
    let known = levels
        .filter(|level| json::percent(level, "value").is_ok_and(|soc| soc != Share::from_millipercent(0)));
    let mut slots = known.filter_map(|level| json::text(level, "time"));
    slots.find(|slot| day.has_begun(slot, now))
}

/// The last five minutes of the four days.
pub(super) fn average(
    day: &Day,
    hes: &Value,
    solar: &Value,
    home: &Value,
    grid: &Value,
    now: Timestamp,
) -> Option<PanelAverage> {
    let slot = last_slot(day, hes, now)?;
    let level = entry(hes, "chargeLevel", &slot).ok_or_else(Absent::not_reported);
    let soc = level.and_then(|level| json::percent(level, "value"));
    let is_never_exported =
        json::watt_hours(grid, "totalExportedEnergy", json::text(grid, "totalExportedEnergyUnit").as_deref())
            == Some(0);
    let grid_power = power(grid, &slot, 0).and_then(one_way).and_then(|power| {
        let is_known = power != Power::from_watts(0) || is_never_exported;
        if is_known { Ok(power) } else { Err(Absent::not_reported()) }
    });
    Some(PanelAverage {
        valid_at: day.valid_at(&slot),
        soc,
        // Charging has a minus sign, and a place of its own.
        charge_power: power(hes, &slot, 0)
            .map(|power| Power::from_milliwatts(power.milliwatts().saturating_abs())),
        discharge_power: power(hes, &slot, 1).and_then(one_way),
        solar_power: power(solar, &slot, 0).and_then(one_way),
        home_power: power(home, &slot, 0).and_then(one_way),
        grid_power,
        keys: json::keys(hes),
        slot: SafeText::new(&format!("{day} {slot}")),
    })
}

/// The n-th power of a day's five minutes.
fn power(answer: &Value, slot: &str, n: usize) -> Measured<Power> {
    let unit = json::text(answer, "powerUnit");
    let found = entry(answer, "power", slot).and_then(|entry| json::list(entry, "powerInfos").get(n));
    json::power(found.ok_or_else(Absent::not_reported)?, "value", unit.as_deref())
}

fn entry<'a>(answer: &'a Value, list: &str, slot: &str) -> Option<&'a Value> {
    json::list(answer, list).iter().find(|entry| json::text(entry, "time").as_deref() == Some(slot))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slots(n: usize) -> impl Iterator<Item = String> {
        (0..n).map(|n| format!("{:02}:{:02}", n * 5 / 60, n * 5 % 60))
    }

    /// A day as the recordings have it: what is known up to 21:25, and then zeros. 21:25 is slot 257.
    fn day_of(source: &str, values: &[&str], exported: &str) -> Value {
        let power: Vec<Value> = slots(288)
            .enumerate()
            .map(|(n, time)| {
                let infos = values.iter().map(|value| {
                    let value = if n == 257 {
                        value
                    } else if n < 257 {
                        &"1.00"
                    } else {
                        &"0.00"
                    };
                    json!({"type": source, "value": value})
                });
                json!({"time": time, "powerInfos": infos.collect::<Vec<_>>()})
            })
            .collect();
        json!({"power": power, "powerUnit": "KW", "totalExportedEnergy": exported, "totalExportedEnergyUnit": "KWh"})
    }

    fn hes(values: [&str; 2]) -> Value {
        let mut day = day_of("hes", &values, "10.44");
        let levels = slots(288).enumerate().map(|(n, time)| {
            let value = if n == 257 {
                "17"
            } else if n < 257 {
                "90"
            } else {
                "0"
            };
            json!({"time": time, "value": value})
        });
        day["chargeLevel"] = levels.collect();
        day
    }

    fn new_york() -> Option<TimeZone> {
        Some(TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap())
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_micros(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    }

    fn average_of(zone: Option<TimeZone>, grid: &Value) -> PanelAverage {
        let now = at("2026-06-10T01:31:07Z");
        let day = Day::at(now, zone).unwrap();
        let (solar, home) = (day_of("solar", &["0.00"], "0"), day_of("home", &["4.11"], "0"));
        average(&day, &hes(["-2.63", "0.00"]), &solar, &home, grid, now).unwrap()
    }

    #[test]
    fn now_is_the_last_slot_with_a_state_of_charge() {
        let average = average_of(new_york(), &day_of("grid", &["4.11"], "0.00"));
        assert_eq!(average.slot.as_str(), "2026-06-09 21:25");
        assert_eq!(average.soc, Ok(Share::from_millipercent(17_000)));
        assert_eq!(average.home_power, Ok(Power::from_milliwatts(4_110_000)));
        assert_eq!(average.grid_power, Ok(Power::from_milliwatts(4_110_000)));
        assert_eq!(average.solar_power, Ok(Power::from_watts(0)));
    }

    #[test]
    fn charging_loses_its_minus_sign() {
        let average = average_of(new_york(), &Value::Null);
        assert_eq!(average.charge_power, Ok(Power::from_milliwatts(2_630_000)));
        assert_eq!(average.discharge_power, Ok(Power::from_watts(0)));
    }

    #[test]
    fn it_is_valid_until_five_seconds_before_the_next_slot_by_the_sites_clock() {
        assert_eq!(average_of(new_york(), &Value::Null).valid_at, Some(at("2026-06-10T01:29:55Z")));
        assert_eq!(average_of(None, &Value::Null).valid_at, None);
    }

    #[test]
    fn no_power_from_the_grid_is_a_zero_only_if_none_went_into_it() {
        let grid = |exported| average_of(new_york(), &day_of("grid", &["0.00"], exported)).grid_power;
        assert_eq!(grid("0.00"), Ok(Power::from_watts(0)));
        assert_eq!(grid("3.20"), Err(Absent::not_reported()));
    }

    #[test]
    fn a_day_without_a_state_of_charge_has_no_now() {
        let empty = json!({"chargeLevel": [{"time": "00:00", "value": "0"}, {"time": "00:05", "value": ""}]});
        let now = at("2026-06-10T01:31:07Z");
        let day = Day::at(now, new_york()).unwrap();
        assert_eq!(last_slot(&day, &empty, now), None);
        assert_eq!(last_slot(&day, &Value::Null, now), None);
    }

    #[test]
    fn five_minutes_that_have_not_begun_are_not_taken() {
        let now = at("2026-06-10T01:21:07Z");
        let day = Day::at(now, new_york()).unwrap();
        let slot = last_slot(&day, &hes(["0.00", "0.00"]), now);
        assert_eq!(slot.as_deref(), Some("21:20"), "21:25 is to come");
    }

    #[test]
    fn a_sites_day_is_that_of_its_own_clock() {
        let now = at("2026-06-10T01:31:07Z");
        assert_eq!(Day::at(now, new_york()).unwrap().to_string(), "2026-06-09");
        assert_eq!(Day::at(now, None).unwrap().to_string(), "2026-06-10");
    }
}
