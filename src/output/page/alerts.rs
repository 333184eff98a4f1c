//! Alerts that were raised in the period.

use maud::{Markup, html};

use super::cells::{name, sentence};
use super::marks::{MAX_ALERTS, most_severe};
use super::span::Span;
use crate::output::figures;
use crate::report::{AlertRow, Charts, Report};

pub(super) fn section(report: &Report, charts: &Charts) -> Markup {
    let span = Span { from: &report.from, to: &report.to };
    let alerts = &charts.alerts;
    if alerts.is_empty() {
        return html! {};
    }
    html! {
        section #alerts {
            h2 { "Alerts" }
            @if alerts.len() > MAX_ALERTS {
                p.note {
                    (figures::count(alerts.len())) " alerts; the " (MAX_ALERTS) " most severe are below. By rule: "
                    @for (idx, (rule, n)) in by_rule(alerts).iter().enumerate() {
                        @if idx > 0 { ", " }
                        (name(rule)) " " (figures::count(*n))
                    }
                    "."
                }
            }
            div.tw {
                table.list.plain.alerts {
                    thead { tr {
                        th scope="col" { "Raised" }
                        th scope="col" { "For" }
                        th.l scope="col" { "Severity" }
                        th.l scope="col" { "About" }
                        th.l scope="col" { "Message" }
                    } }
                    tbody { @for alert in most_severe(alerts) { (row(alert, &span)) } }
                }
            }
        }
    }
}

fn row(alert: &AlertRow, span: &Span<'_>) -> Markup {
    html! {
        tr {
            th.when scope="row" { (span.time(&alert.from)) }
            td {
                @match &alert.to {
                    Some(to) => (figures::duration(figures::hours_between(&alert.from, to))),
                    None => "active",
                }
            }
            td.l {
                @if alert.is_critical { span.sev.critical { "critical" } } @else { span.sev.warning { "warning" } }
            }
            td.l { (name(&alert.subject)) }
            td.l.why { (sentence(&alert.message)) }
        }
    }
}

/// The numbers of alerts by rule, the most frequent first.
fn by_rule(alerts: &[AlertRow]) -> Vec<(&str, usize)> {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for alert in alerts {
        *counts.entry(&alert.rule).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    counts
}
