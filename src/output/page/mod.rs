//! A report as one self-contained HTML page, for screens, phones and paper.
//!
//! A pure function of the [`Report`]: the page asks nobody for anything, is complete without its script, and foreign text is
//! inert in it. The order of its sections stands here.

mod alerts;
mod bands;
mod bars;
mod cells;
mod gaps;
mod header;
mod marks;
mod method;
mod nodes;
mod periods;
mod power;
mod scale;
mod span;
mod stack;
mod supply;
mod tiles;
mod week;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::figures;
use crate::report::Report;

/// The look, for light, dark, phones and paper.
const STYLE: &str = include_str!("page.css");

/// The read-out under the pointer, and sorting by a heading.
const SCRIPT: &str = include_str!("page.js");

/// The page of a report. With charts, where the report has them.
pub fn page(report: &Report) -> String {
    let title = format!("GPU energy, {}", figures::period(&report.from, report.end()));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(policy());
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header::header(report))
                main { (tiles::tiles(report)) (sections(report)) }
                footer {
                    p { "fleetwatt " (env!("CARGO_PKG_VERSION")) " · times in " (report.timezone) " · schema " (report.schema) " · no request leaves this page" }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// Nothing is loaded, and only the page's own script runs.
fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
    )
}

fn sections(report: &Report) -> Markup {
    let has_boards = report.scope.gpus > 0;
    html! {
        @if let Some(charts) = report.charts.as_deref() {
            @if has_boards && !report.total.is_unmeasured() {
                (power::section(report, charts))
                (periods::section(report, charts))
                @if let Some(week) = &charts.week { (week::section(week)) }
            }
            (supply::section(report, charts))
            @if has_boards { (nodes::section(report, charts)) }
        }
        @if has_boards || !report.gaps.is_empty() { (gaps::section(report)) }
        @if let Some(charts) = report.charts.as_deref() { (alerts::section(report, charts)) }
        (method::section(report))
    }
}
