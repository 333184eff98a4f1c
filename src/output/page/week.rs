//! Mean power by hour of the week, as a table in colours.

use maud::{Markup, html};

use super::cells::{kilowatts, name};
use super::scale::float_count;
use crate::output::figures::{self, NBSP};
use crate::report::Week;

/// Steps of the colours.
const N_STEPS: usize = 7;
const CLASSES: [&str; N_STEPS] = ["h0", "h1", "h2", "h3", "h4", "h5", "h6"];

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The unit of all cells: watts below a kilowatt.
#[derive(Debug, Clone, Copy)]
struct Unit {
    name: &'static str,
    kilowatts: f64,
    decimals: usize,
}

impl Unit {
    fn new(highest_kw: f64) -> Self {
        match highest_kw {
            kw if kw < 1.0 => Self { name: "W", kilowatts: 0.001, decimals: 0 },
            kw if kw < 10.0 => Self { name: "kW", kilowatts: 1.0, decimals: 1 },
            _ => Self { name: "kW", kilowatts: 1.0, decimals: 0 },
        }
    }
}

pub(super) fn section(week: &Week) -> Markup {
    let values = || week.mean_kw.iter().flatten().flatten().copied();
    let (lowest, highest) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if lowest > highest {
        return html! {};
    }
    let unit = Unit::new(highest);
    let has_hole = week.mean_kw.iter().flatten().any(Option::is_none);
    html! {
        section #week {
            h2 { "Hours of the week" }
            p.note {
                "Mean power of the fleet in " (unit.name) ", local time. "
                @if let Some(band) = &week.peak_band {
                    "The frame marks the hours of " (name(band))
                    @if let Some(site) = &week.peak_site { " at site " (name(site)) }
                    ": load inside it costs the most. "
                }
                @if has_hole { "Hatched: no quarter-hour was measured to 90" (NBSP) "%." }
            }
            table.heat {
                thead { tr { td {} @for hour in 0..24 { th scope="col" { (format!("{hour:02}")) } } } }
                tbody {
                    @for (day, (row, title)) in week.mean_kw.iter().zip(DAYS).enumerate() {
                        tr {
                            th scope="row" { (title) }
                            @for (hour, kw) in row.iter().enumerate() {
                                (cell(*kw, (lowest, highest), unit, &frame(week, day, hour)))
                            }
                        }
                    }
                }
            }
            p.scale {
                (kilowatts(lowest))
                @for class in CLASSES { i class=(class) {} }
                (kilowatts(highest))
            }
        }
    }
}

fn cell(kw: Option<f64>, (lowest, highest): (f64, f64), unit: Unit, frame: &str) -> Markup {
    let Some(kw) = kw else {
        return html! { td class={"hatch" (frame)} { span.vh { "not measured" } } };
    };
    let class = CLASSES.get(step(kw, lowest, highest)).copied().unwrap_or_default();
    let number = figures::number(kw / unit.kilowatts, unit.decimals);
    let factor = (unit.kilowatts < 1.0).then_some(unit.kilowatts);
    html! { td class={(class) (frame)} data-v=(kw) data-k=[factor] { (number) } }
}

/// The step of a value between the lowest and the highest.
fn step(value: f64, lowest: f64, highest: f64) -> usize {
    let n = float_count(N_STEPS);
    let is_above =
        |idx: &usize| highest > lowest && (value - lowest) / (highest - lowest) * n >= float_count(*idx);
    (1..N_STEPS).filter(is_above).count()
}

/// The classes of the edges at which an hour of the dearest band meets one that is not.
fn frame(week: &Week, day: usize, hour: usize) -> String {
    let is_peak = |day: Option<usize>, hour: Option<usize>| {
        let hours = day.and_then(|day| week.is_peak.get(day));
        hours.and_then(|hours| hours.get(hour?)).copied().unwrap_or_default()
    };
    let (here, there) = (Some(day), Some(hour));
    if !is_peak(here, there) {
        return String::new();
    }
    let neighbours = [
        ("ft", day.checked_sub(1), there),
        ("fb", Some(day + 1), there),
        ("fl", here, hour.checked_sub(1)),
        ("fr", here, Some(hour + 1)),
    ];
    let edges = neighbours.into_iter().filter(|(_, day, hour)| !is_peak(*day, *hour));
    edges.fold(String::from(" f"), |classes, (edge, ..)| classes + " " + edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seven_steps_go_from_the_lowest_value_to_the_highest() {
        assert_eq!([10.0, 10.9, 11.0, 13.5, 16.9, 17.0].map(|kw| step(kw, 10.0, 17.0)), [0, 0, 1, 3, 6, 6]);
        assert_eq!(step(3.0, 3.0, 3.0), 0);
    }

    #[test]
    fn a_frame_is_around_the_hours_and_not_between_them() {
        let mut is_peak = vec![vec![false; 24]; 7];
        is_peak[1][12] = true;
        is_peak[1][13] = true;
        let week = Week { mean_kw: vec![], is_peak, peak_band: None, peak_site: None };
        assert_eq!([11, 12, 13].map(|hour| frame(&week, 1, hour)), ["", " f ft fb fl", " f ft fb fr"]);
    }

    #[test]
    fn a_small_fleet_is_told_in_watts() {
        let week = Week {
            mean_kw: vec![vec![Some(0.054), None]],
            is_peak: vec![],
            peak_band: None,
            peak_site: None,
        };
        let text = section(&week).into_string();
        assert!(text.contains(r#"<td class="h0" data-v="0.054" data-k="0.001">54</td>"#), "{text}");
        assert!(text.contains("in W, local time"));
    }
}
