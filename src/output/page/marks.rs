//! Marks on the plot of power: what was not measured, and alerts.

use maud::{Markup, html};

use super::bars::mark_height;
use super::cells::plain_name;
use super::scale::{css_left, css_percent, float_count};
use super::span::Span;
use super::stack::runs;
use crate::report::{AlertRow, Gap, PowerStack};

/// The most gaps that have a number below the plot.
pub(super) const MAX_GAPS: usize = 8;

/// The most alerts that are marked.
pub(super) const MAX_ALERTS: usize = 30;

/// Columns of which less was measured are hatched.
const MIN_MEASURED: f64 = 0.95;

/// A smaller part than this that was not measured has no mark below the axis.
const MIN_UNMEASURED: f64 = 0.01;

/// Numbers nearer than this, in per cent of the width, would cover each other; and on a phone.
const MIN_DISTANCE: f64 = 2.8;
const MIN_DISTANCE_ON_A_PHONE: f64 = 6.5;

/// A gap with a number below the plot.
#[derive(Debug)]
struct Numbered<'a> {
    /// Its middle in per cent.
    place: f64,
    number: usize,
    gap: &'a Gap,
    /// Whether a phone leaves it out.
    is_wide_only: bool,
}

/// A gap in words: its nodes, and its time.
pub(super) fn gap_in_words(gap: &Gap, span: &Span<'_>) -> Option<String> {
    let (from, to) = (gap.from.as_ref()?, gap.to.as_ref()?);
    Some(format!("{}, {}", plain_name(&gap.what), span.times(from, to)))
}

/// The place and width of columns in per cent; the last column may be cut by the end of the range.
fn place(stack: &PowerStack, span: &Span<'_>, first: usize, n: usize) -> String {
    let hours = float_count(stack.quarters_per_column) / 4.0;
    let percent = |column: usize| (float_count(column) * hours / span.hours() * 100.0).min(100.0);
    let (left, right) = (percent(first), percent(first + n));
    format!("left:{}%;width:max(2px,{}%)", css_percent(left), css_percent(right - left))
}

/// Hatches over the full height.
pub(super) fn hatches(stack: &PowerStack, span: &Span<'_>) -> Markup {
    let runs = runs(&known(stack), |share| (share < MIN_MEASURED).then_some(()));
    html! {
        @for (first, n, ()) in runs { em.hatch style=(place(stack, span, first, n)) {} }
    }
}

/// The measured part of each column; nothing of one in which no GPU was expected, as before the first reading.
fn known(stack: &PowerStack) -> Vec<f64> {
    let is_known =
        |column: usize| stack.members.iter().any(|member| matches!(member.watts.get(column), Some(Some(_))));
    let share = |(column, share): (usize, &f64)| if is_known(column) { *share } else { 0.0 };
    stack.measured.iter().enumerate().map(share).collect()
}

/// Whether there is a column that is hatched.
pub(super) fn has_hatches(stack: &PowerStack) -> bool {
    known(stack).iter().any(|share| *share < MIN_MEASURED)
}

/// The marks below the axis: the higher, the larger the part that was not measured.
pub(super) fn coverage(stack: &PowerStack, span: &Span<'_>) -> Markup {
    let height = |share: f64| (1.0 - share >= MIN_UNMEASURED).then(|| mark_height(1.0 - share));
    // Heights are compared as texts, of which there are seven.
    let heights: Vec<Option<String>> = stack.measured.iter().copied().map(height).collect();
    let columns: Vec<Option<&str>> = heights.iter().map(Option::as_deref).collect();
    html! {
        div.covs title="the part of the GPUs that was not measured" {
            @for (first, n, height) in runs(&columns, |height| height) {
                em style={(place(stack, span, first, n)) ";height:" (height) "px"} {}
            }
        }
    }
}

/// Gaps with a number below the plot: the larger ones first, where there is room.
fn numbered<'a>(gaps: &'a [Gap], span: &Span<'_>) -> Vec<Numbered<'a>> {
    let mut shown: Vec<Numbered<'_>> = vec![];
    for gap in gaps {
        let (Some(number), Some(from), Some(to)) = (gap.number, &gap.from, &gap.to) else { continue };
        let place = f64::midpoint(span.percent(from), span.percent(to));
        let touches = |other: &Numbered<'_>, distance| (other.place - place).abs() < distance;
        if shown.len() < MAX_GAPS && !shown.iter().any(|other| touches(other, MIN_DISTANCE)) {
            let of_a_phone =
                |other: &Numbered<'_>| !other.is_wide_only && touches(other, MIN_DISTANCE_ON_A_PHONE);
            let is_wide_only = shown.iter().any(of_a_phone);
            shown.push(Numbered { place, number, gap, is_wide_only });
        }
    }
    shown
}

/// The numbers of gaps, each a link to its reason.
pub(super) fn numbers(gaps: &[Gap], span: &Span<'_>) -> Markup {
    html! {
        div.marks {
            @for Numbered { place, number, gap, is_wide_only } in numbered(gaps, span) {
                a.gm.w[is_wide_only] href={"#gap-" (number)} style=(css_left(place, 8)) title=(title(gap, span)) { (number) }
            }
        }
    }
}

fn title(gap: &Gap, span: &Span<'_>) -> String {
    format!("{}: {}", gap_in_words(gap, span).unwrap_or_default(), plain_name(&gap.reason))
}

/// The most severe alerts, the earliest first.
pub(super) fn most_severe(alerts: &[AlertRow]) -> Vec<&AlertRow> {
    let mut chosen: Vec<(usize, &AlertRow)> = alerts.iter().enumerate().collect();
    chosen.sort_by_key(|(idx, alert)| (!alert.is_critical, *idx));
    chosen.truncate(MAX_ALERTS);
    chosen.sort_by_key(|(idx, _)| *idx);
    chosen.into_iter().map(|(_, alert)| alert).collect()
}

/// Signs of alerts at the top edge.
pub(super) fn alerts(alerts: &[AlertRow], span: &Span<'_>) -> Markup {
    html! {
        @for alert in most_severe(alerts) {
            a.al.critical[alert.is_critical] href="#alerts" style=(css_left(span.percent(&alert.from), 6))
                title={(plain_name(&alert.subject)) ": " (plain_name(&alert.message)) ", " (span.time(&alert.from))} {
                @if alert.is_critical { "▼" } @else { "▽" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Moment;

    fn at(text: &str) -> Moment {
        Moment(format!("{text}[UTC]").parse().unwrap())
    }

    fn gap(number: usize, from: &str, to: &str) -> Gap {
        Gap {
            number: Some(number),
            what: "a".to_owned(),
            from: Some(at(from)),
            to: Some(at(to)),
            gpu_hours: 1.0,
            reason: "r".to_owned(),
            hint: None,
        }
    }

    #[test]
    fn a_smaller_gap_gives_way_to_a_larger_one_beside_it() {
        let (from, to) = (at("2026-11-01T00:00"), at("2026-11-11T00:00"));
        let gaps = [
            gap(1, "2026-11-05T00:00", "2026-11-05T06:00"),
            gap(2, "2026-11-05T06:00", "2026-11-05T07:00"),
            gap(3, "2026-11-10T00:00", "2026-11-11T00:00"),
            gap(4, "2026-11-05T12:00", "2026-11-05T18:00"),
        ];
        let shown = numbered(&gaps, &Span { from: &from, to: &to });
        let numbers: Vec<(usize, bool)> = shown.iter().map(|one| (one.number, one.is_wide_only)).collect();
        // The fourth is 5 % from the first: on a phone it has no room.
        assert_eq!(numbers, [(1, false), (3, false), (4, true)]);
        assert!((shown[1].place - 95.0).abs() < 1e-9);
    }

    #[test]
    fn of_many_alerts_the_most_severe_are_marked_in_the_order_of_time() {
        let alert = |idx: usize| AlertRow {
            from: at("2026-11-05T00:00"),
            to: None,
            is_critical: idx == 39,
            rule: idx.to_string(),
            subject: String::new(),
            message: String::new(),
        };
        let alerts: Vec<AlertRow> = (0..40).map(alert).collect();
        let rules: Vec<&str> = most_severe(&alerts).iter().map(|alert| alert.rule.as_str()).collect();
        assert_eq!((rules.len(), rules[0], rules[28], rules[29]), (30, "0", "28", "39"));
    }
}
