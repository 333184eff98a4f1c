//! Charts of bars that stand on zero, with parts above and below it.

use maud::{Markup, html};

use super::scale::{Scale, css_percent, float_count};
use super::span::Tick;
use crate::output::figures;

/// More bars than this leave less room between them.
const MAX_WIDE_BARS: usize = 40;

/// More bars than this leave none.
const MAX_SEPARATE_BARS: usize = 120;

/// From this on an axis is labelled in thousands of its unit.
const MIN_OF_THOUSANDS: f64 = 10_000.0;

/// A part of a bar: the class of its colour, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) class: &'static str,
    pub(super) value: f64,
}

/// A bar.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bar {
    /// Its figures in words.
    pub(super) title: String,
    /// Its parts, the lowest first; those below zero hang from it.
    pub(super) parts: Vec<Part>,
    /// The part of its time that was not measured, 0 to 1.
    pub(super) unmeasured: f64,
    /// Why, in words.
    pub(super) unmeasured_title: String,
}

impl Bar {
    fn above(&self) -> impl DoubleEndedIterator<Item = &Part> {
        self.parts.iter().filter(|part| part.value > 0.0)
    }

    fn below(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.value < 0.0)
    }
}

/// A chart of bars.
#[derive(Debug)]
pub(super) struct BarChart<'a> {
    /// The quantity, without its unit.
    pub(super) title: &'a str,
    /// The unit, and that of a thousand.
    pub(super) units: (&'a str, &'a str),
    /// A sentence for those who do not see it.
    pub(super) description: &'a str,
    pub(super) bars: &'a [Bar],
    pub(super) ticks: &'a [Tick],
    /// Something below the bars on the same time axis.
    pub(super) strip: Option<Markup>,
}

impl BarChart<'_> {
    pub(super) fn render(&self) -> Markup {
        let scale = self.scale();
        let is_thousands = scale.top.max(-scale.bottom) >= MIN_OF_THOUSANDS;
        let (unit, size) = if is_thousands { (self.units.1, 1000.0) } else { (self.units.0, 1.0) };
        let has_marks = self.bars.iter().any(|bar| bar.unmeasured > 0.0);
        html! {
            figure.plot {
                figcaption { (self.title) ", " (unit) }
                p.vh { (self.description) }
                div.frame.b {
                    (axis(&scale, size))
                    div.inner {
                        div.pane.mir[scale.bottom < 0.0] {
                            (grid(&scale))
                            (bars(self.bars, &scale))
                        }
                        @if has_marks { (coverage_marks(self.bars)) }
                        @if let Some(strip) = &self.strip { (strip) }
                        (labels(self.ticks))
                    }
                }
            }
        }
    }

    fn scale(&self) -> Scale {
        let sum = |parts: &mut dyn Iterator<Item = &Part>| parts.map(|part| part.value).sum::<f64>();
        let highest = self.bars.iter().map(|bar| sum(&mut bar.above())).fold(0.0, f64::max);
        let lowest = self.bars.iter().map(|bar| sum(&mut bar.below())).fold(0.0, f64::min);
        Scale::new(lowest, highest)
    }
}

/// The labels of the vertical axis.
pub(super) fn axis(scale: &Scale, unit: f64) -> Markup {
    let decimals = scale.decimals(unit);
    html! {
        div.yax aria-hidden="true" {
            @for tick in scale.ticks() {
                i style={"bottom:" (css_percent(scale.percent(tick))) "%"} {
                    @if is_zero(tick) { "0" } @else { (figures::number(tick / unit, decimals)) }
                }
            }
        }
    }
}

fn is_zero(tick: f64) -> bool {
    tick.abs() < f64::EPSILON
}

/// The lines of the vertical axis; that of zero is the plot's edge unless something is below it.
pub(super) fn grid(scale: &Scale) -> Markup {
    html! {
        @for tick in scale.ticks().into_iter().filter(|tick| *tick > scale.bottom) {
            u.zero[is_zero(tick)] style={"bottom:" (css_percent(scale.percent(tick))) "%"} {}
        }
    }
}

/// The labels of the time axis.
pub(super) fn labels(ticks: &[Tick]) -> Markup {
    html! {
        div.xax aria-hidden="true" {
            @for tick in ticks {
                i class=(tick.class()) style={"left:" (css_percent(tick.percent)) "%"} {
                    @if let Some(weekday) = &tick.weekday { span { (weekday) " " } }
                    (tick.label)
                }
            }
        }
    }
}

/// The class that says how far bars stand from each other.
pub(super) fn density(n_bars: usize) -> &'static str {
    match n_bars {
        0..=MAX_WIDE_BARS => "",
        n if n <= MAX_SEPARATE_BARS => "near1",
        _ => "near0",
    }
}

fn bars(bars: &[Bar], scale: &Scale) -> Markup {
    let zero = css_percent(scale.percent(0.0));
    html! {
        div class={"bars " (density(bars.len()))} style={"--z:" (zero) "%"} {
            @for bar in bars {
                div.bar title=(bar.title) {
                    @for part in bar.above().rev() {
                        i class=(part.class) style={"height:" (css_percent(scale.length(part.value))) "%"} {}
                    }
                    @for (place, part) in hanging(bar, scale) {
                        i class={(part.class) " low"}
                            style={"top:" (css_percent(place)) "%;height:" (css_percent(scale.length(-part.value))) "%"} {}
                    }
                }
            }
        }
    }
}

/// The parts below zero, each with the distance of its upper edge from the plot's top.
fn hanging<'a>(bar: &'a Bar, scale: &Scale) -> Vec<(f64, &'a Part)> {
    let mut top = 100.0 - scale.percent(0.0);
    let mut parts = vec![];
    for part in bar.below() {
        parts.push((top, part));
        top += scale.length(-part.value);
    }
    parts
}

/// Marks below the bars that were not measured whole; the higher, the more of their time.
fn coverage_marks(bars: &[Bar]) -> Markup {
    let width = 100.0 / float_count(bars.len().max(1));
    html! {
        div.covs {
            @for (idx, bar) in bars.iter().enumerate().filter(|(_, bar)| bar.unmeasured > 0.0) {
                em title=(bar.unmeasured_title) style={
                    "left:" (css_percent(float_count(idx) * width)) "%;width:" (css_percent(width)) "%;height:"
                    (mark_height(bar.unmeasured)) "px"
                } {}
            }
        }
    }
}

/// The height of a mark by the share that was not measured: 2 to 8 pixels.
pub(super) fn mark_height(unmeasured: f64) -> String {
    format!("{:.0}", 2.0 + unmeasured.clamp(0.0, 1.0) * 6.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(value: f64) -> Part {
        Part { class: "b0", value }
    }

    fn bar(values: &[f64]) -> Bar {
        let parts = values.iter().copied().map(part).collect();
        Bar { title: String::new(), parts, unmeasured: 0.0, unmeasured_title: String::new() }
    }

    #[test]
    fn parts_below_zero_hang_below_each_other() {
        // The axis goes from -10 to 10 in steps of 5: zero is in the middle, and 5 is a quarter of it.
        let scale = Scale::new(-10.0, 10.0);
        let bar = bar(&[5.0, -5.0, -2.5]);
        let places: Vec<f64> = hanging(&bar, &scale).into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, [50.0, 75.0]);
    }

    #[test]
    fn an_axis_above_ten_thousand_is_in_the_larger_unit() {
        let chart = |value| {
            let bars = [bar(&[value])];
            BarChart {
                title: "Energy",
                units: ("kWh", "MWh"),
                description: "",
                bars: &bars,
                ticks: &[],
                strip: None,
            }
            .render()
            .into_string()
        };
        assert!(chart(7_900.0).contains("Energy, kWh") && chart(7_900.0).contains(">8,000<"));
        assert!(chart(11_000.0).contains("Energy, MWh") && chart(11_000.0).contains(">12.5<"));
    }
}
