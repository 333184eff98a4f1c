//! Words for people: errors, summaries, and the answers of `check` and `store`.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::app::{self, CheckReport, HostCheck, Settings};
use crate::batch::Batch;
use crate::inventory::Target;
use crate::output::TextOptions;
use crate::reading::Outcome;
use crate::store::{self, InitReport, Status, Written};

/// A line on standard error, where everything that is not data goes.
#[allow(clippy::print_stderr, reason = "this is where the program speaks to people")]
pub(super) fn note(line: &str) {
    eprintln!("{line}");
}

/// An error without causes or remedy.
pub(super) fn plain_error(words: &str) {
    note(&format!("error: {words}"));
}

/// An error, its causes, and what to do about it.
pub(super) fn error(error: &app::Error, colour: bool) {
    if let app::Error::Inventory(faults) = error {
        return note(faults.render(colour).trim_end());
    }
    explain(&with_causes(error), &error.remedy(), colour);
}

/// The readings of a cycle could not be kept.
pub(super) fn not_kept(error: &store::Error, colour: bool) {
    explain(&format!("nothing was kept: {}", with_causes(error)), &error.remedy(), colour);
}

fn explain(words: &str, remedy: &str, colour: bool) {
    let (red, bold) = if colour {
        (Style::new().bold().fg_color(Some(AnsiColor::Red.into())), Style::new().bold())
    } else {
        (Style::new(), Style::new())
    };
    note(&format!("{red}error{red:#}: {words}"));
    if !remedy.is_empty() {
        note(&format!("  {bold}help{bold:#}: {remedy}"));
    }
}

/// An error with all its causes, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        // Some libraries repeat their cause in their own words.
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    words
}

/// How wide and how colourful a table may be.
pub(super) fn text_options(colour: bool) -> TextOptions {
    TextOptions { colour, width: terminal_width() }
}

/// The width of the terminal on standard output, if there is one.
fn terminal_width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (0 < size.ws_col).then_some(size.ws_col)
}

/// One line about a batch that is in the timeline.
pub(super) fn written(batch: &Batch, written: &Written, settings: &Settings, with_totals: bool) -> String {
    let mut line =
        format!("{} rows written to {} in {}", written.rows, settings.location, rounded(written.took));
    if with_totals {
        line = format!("{}; {line}", totals(batch));
    }
    line
}

fn totals(batch: &Batch) -> String {
    let totals = batch.totals();
    let power = totals.power.map_or_else(|| "no power reading".to_owned(), |power| power.to_string());
    format!(
        "{} of {} nodes, {} GPUs, {power}",
        totals.nodes_reporting, totals.nodes_expected, totals.gpus_reporting
    )
}

/// What `check` found without leaving this machine.
pub(super) fn settings(settings: &Settings) -> String {
    let hosts = &settings.inventory.hosts;
    let n_ssh = hosts.iter().filter(|host| matches!(host.target, Target::Ssh(_))).count();
    let n_local = hosts.iter().filter(|host| host.target == Target::Local).count();
    let kinds = [(n_local, "local"), (n_ssh, "over SSH"), (hosts.len() - n_local - n_ssh, "scripted")];
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(n_hosts, _)| 0 < *n_hosts)
        .map(|(n_hosts, kind)| format!("{n_hosts} {kind}"))
        .collect();
    format!(
        "inventory  {}: {} hosts ({})\nstore      {}, table {}\nstate      {}\nsockets    {}\n",
        settings.inventory_path.display(),
        hosts.len(),
        kinds.join(", "),
        settings.location,
        settings.inventory.store.table,
        settings.state_dir.display(),
        settings.runtime_dir.display(),
    )
}

/// What `check --connect` found.
pub(super) fn check(report: &CheckReport) -> String {
    let width = report.hosts.iter().map(|host| host.node.len()).max().unwrap_or(0).max("store".len());
    let mut text = String::from("\n");
    let mut line = |name: &str, words: &str| {
        // Writing to a String cannot fail.
        writeln!(text, "{name:width$}  {words}").unwrap_or_default();
    };
    for host in &report.hosts {
        for words in host_lines(host) {
            line(&host.node, &words);
        }
    }
    match &report.store {
        Ok(status) => {
            let version = status.version.as_deref().unwrap_or("of unknown version");
            line(
                "store",
                &format!("ok      {} {version}, {} {}", status.kind, status.table_kind, status.table),
            );
            for advice in &status.advice {
                line("", &format!("        {advice}"));
            }
        }
        Err(error) => {
            line("store", &format!("FAILED  {}", with_causes(error)));
            line("", &format!("        {}", error.remedy()));
        }
    }
    text
}

fn host_lines(host: &HostCheck) -> Vec<String> {
    let failed = |step: &str, outcome: &Outcome| vec![format!("FAILED  {step}: {}", outcome.advice())];
    let Some(checked) = &host.checked else { return vec!["FAILED  the check itself".to_owned()] };
    let connected = match &checked.connected {
        Ok(took) => rounded(*took),
        Err(failure) => return failed("connect", &Outcome::Failed(failure.clone())),
    };
    let Some(report) = &checked.answered else { return vec!["FAILED  not asked".to_owned()] };
    if !report.outcome.is_up() {
        return failed("nvidia-smi", &report.outcome);
    }
    let driver = report.gpus.iter().find_map(|gpu| gpu.driver_version.as_ref().ok());
    let driver = driver.map(|driver| format!(", driver {driver}")).unwrap_or_default();
    let word = if report.outcome == Outcome::Complete { "ok    " } else { "PARTIAL" };
    let address = if host.address == host.node { String::new() } else { format!("{}: ", host.address) };
    let mut lines = vec![format!(
        "{word}  {address}connected in {connected}, {} GPUs in {}{driver}",
        report.gpus.len(),
        rounded(report.probe_time)
    )];
    lines.extend(report.faults.iter().map(|fault| format!("        {fault}")));
    lines
}

impl HostCheck {
    /// Whether every step went well.
    pub(super) fn is_well(&self) -> bool {
        let answered = self.checked.as_ref().and_then(|checked| checked.answered.as_ref());
        answered.is_some_and(|report| report.outcome == Outcome::Complete)
    }
}

/// What `store init` did.
pub(super) fn store_init(report: &InitReport) -> String {
    if report.already_there() {
        return format!("{} is already there; it was left as it is\n", report.table);
    }
    let mut text = format!("created {}\n", report.table);
    for statement in &report.created {
        writeln!(text, "  {statement}").unwrap_or_default();
    }
    text
}

/// What `store status` found.
pub(super) fn store_status(status: &Status) -> String {
    let mut lines = vec![
        format!("store     {} {}", status.kind, status.version.as_deref().unwrap_or("of unknown version")),
        format!("location  {}", status.location),
        format!("table     {} ({})", status.table, status.table_kind),
    ];
    let columns = status.columns.iter().map(|column| {
        format!("{} {}{}", column.name, column.sql_type, if column.not_null { " not null" } else { "" })
    });
    lines.push(format!("columns   {}", columns.collect::<Vec<_>>().join(", ")));
    lines.push(format!("rights    insert {}, select {}", yes(status.may_insert), yes(status.may_select)));
    if let Some(tls) = &status.tls {
        lines.push(format!("TLS       {}", tls.as_deref().unwrap_or("no: the connection is in clear")));
    }
    lines.push(match status.newest {
        Some(newest) => format!("newest    {newest}"),
        None => "newest    no row, or not readable".to_owned(),
    });
    if let Some(size) = status.size_bytes {
        lines.push(format!("size      {size} bytes"));
    }
    for (event_type, n_rows) in status.recent.iter().flatten() {
        lines.push(format!("24 hours  {event_type}: {n_rows}"));
    }
    lines.extend(status.advice.iter().map(|advice| format!("advice    {advice}")));
    lines.join("\n") + "\n"
}

const fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// A duration to the millisecond, or to the microsecond below one.
fn rounded(duration: Duration) -> impl std::fmt::Display {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let rounded = if micros < 1000 { micros } else { micros / 1000 * 1000 };
    humantime::format_duration(Duration::from_micros(rounded)).to_string()
}
