//! Times that were not measured, and why.

use maud::{Markup, html};

use super::cells::{self, cell_or_dash, name, sentence};
use super::scale::css_percent;
use super::span::Span;
use crate::output::figures;
use crate::report::{Gap, Report};

pub(super) fn section(report: &Report) -> Markup {
    html! {
        section #gaps {
            h2 { "What was not measured" }
            @if report.gaps.is_empty() && report.total.unmeasured_h <= 0.0 && report.scope.silent_nodes.is_empty() {
                p.ok { "Every GPU was measured all the time." }
            } @else {
                (note(report))
                (table(report))
            }
        }
    }
}

fn note(report: &Report) -> Markup {
    let total = &report.total;
    html! {
        p.note {
            (cells::hours(total.unmeasured_h)) " GPU-hours"
            @if let Some(share) = total.measured_share { " (" (figures::measured(1.0 - share)) ")" }
            " have no reading. Their energy is in no figure on this page: it is unknown, not zero. "
            @if total.filled_kwh.is_none() {
                code { "--fill mean" } " adds an estimate in a column of its own."
            }
        }
    }
}

fn table(report: &Report) -> Markup {
    let span = Span { from: &report.from, to: &report.to };
    html! {
        div.tw {
            table.list.plain.gaps {
                thead { tr {
                    th scope="col" { "No." }
                    th.l scope="col" { "What" }
                    th.l scope="col" { "When" }
                    th.l.tl.w scope="col" { "In the period" }
                    th.w scope="col" { "For" }
                    th scope="col" { "GPU-hours" }
                    th.l scope="col" { "Why" }
                } }
                tbody {
                    @for (idx, gap) in report.gaps.iter().enumerate() {
                        @let is_told = report.gaps.iter().take(idx).any(|before| before.hint == gap.hint);
                        (row(gap, gap.hint.as_deref().filter(|_| !is_told), &span))
                    }
                    @if let Some(nodes) = report.scope.silent_in_words() { (silent_row(&nodes)) }
                }
            }
        }
    }
}

/// The row of the nodes that gave no reading: GPU-hours are those of GPUs, whose number is not known.
fn silent_row(nodes: &str) -> Markup {
    html! {
        tr.more {
            th scope="row" { span.vh { "others" } }
            td.l { (name(nodes)) }
            td.l.when { "the whole period" }
            td.tl.w { div { em style="left:0;width:100%" {} } }
            td.w { (figures::NOT_APPLICABLE) }
            td.hours { (figures::NOT_APPLICABLE) }
            td.l.why { (figures::SILENT) }
        }
    }
}

/// A row of a gap; its hint stands in the first row that has it.
fn row(gap: &Gap, hint: Option<&str>, span: &Span<'_>) -> Markup {
    let times = gap.from.as_ref().zip(gap.to.as_ref());
    html! {
        tr.more[gap.number.is_none()] id=[gap.number.map(|number| format!("gap-{number}"))] {
            th scope="row" {
                @match gap.number { Some(number) => span.gn { (number) }, None => span.vh { "others" } }
            }
            td.l { (name(&gap.what)) }
            td.l.when {
                @match times {
                    Some((from, to)) => (span.times(from, to)),
                    None => "spread over the period",
                }
            }
            td.tl.w {
                @if let Some((from, to)) = times {
                    @let (left, right) = (span.percent(from), span.percent(to));
                    div { em style={"left:min(" (css_percent(left)) "%,100% - 3px);width:max(3px," (css_percent(right - left)) "%)"} {} }
                }
            }
            td.w {
                @match times {
                    Some((from, to)) => (figures::duration(figures::hours_between(from, to))),
                    None => (figures::NOT_APPLICABLE),
                }
            }
            (cell_or_dash((gap.gpu_hours > 0.0).then(|| cells::hours(gap.gpu_hours)), "hours"))
            td.l.why { (sentence(&gap.reason)) @if let Some(hint) = hint { small { (sentence(hint)) } } }
        }
    }
}
