//! Words for people: errors, summaries, and the answers of `check` and `store`.

use std::io::{IsTerminal as _, Write as _};
use std::iter;
use std::path::Path;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

use crate::app::{
    self, CheckReport, Connection, HostCheck, LocalTrouble, PriceError, PriceWarning, Priority, Settings,
    WebhookAnswer,
};
use crate::battery::VENDOR;
use crate::inventory::Target;
use crate::output::TextOptions;
use crate::reading::{AccountReport, Outcome, SafeText, StationStatus, error_chain};
use crate::store::{
    self, Backlog, InitReport, LedgerAccess, Progress, Pruned, Receipt, Rescued, SpoolStatus, Status,
};
use crate::support::counted;
use crate::support::error::Diagnose;
use crate::tariff::FileFault;

/// Interval at which a line of progress is renewed.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Names longer than this do not push what stands behind the others' names.
const MAX_NAME: usize = 28;

/// Labels of the steps of a check, all of one width.
const OK: &str = "ok       ";
const PARTIAL: &str = "PARTIAL  ";
const FAILED: &str = "FAILED   ";
const MORE: &str = "         ";

/// Text on standard error. That it cannot be written, for a full disk or a reader who left, changes nothing
/// else.
fn write_stderr(priority: Priority, text: &str) {
    let text = if app::stderr_is_journal() { priority.mark(text) } else { format!("{text}\n") };
    std::io::stderr().write_all(text.as_bytes()).unwrap_or_default();
}

/// A line that is good to know.
pub(super) fn eprint_line(line: &str) {
    write_stderr(Priority::Info, line);
}

/// An error without causes or remedy.
pub(super) fn eprint_plain_error(message: &str) {
    write_stderr(Priority::Error, &format!("error: {message}"));
}

/// An error, its causes, and what to do about it.
pub(super) fn error(error: &app::Error, colour: bool) {
    write_stderr(Priority::Error, &error_message(error, colour));
}

/// The same as text, without a line break at its end.
pub(super) fn error_message(error: &app::Error, colour: bool) -> String {
    if let app::Error::Inventory(faults) | app::Error::Prices(PriceError::Tables(faults)) = error {
        return faults.render(colour).trim_end().to_owned();
    }
    if let app::Error::Prices(PriceError::Rows(faults)) = error {
        let told = |fault: &FileFault| labelled(Priority::Error, &fault.to_string(), &fault.hint(), colour);
        return faults.iter().map(told).collect::<Vec<_>>().join("\n");
    }
    labelled(Priority::Error, &error_chain(error), &error.hint(), colour)
}

/// Prints an error after `context`, which may be empty, with its causes and its hint.
pub(super) fn eprint_error<E: Diagnose>(context: &str, error: &E, colour: bool) {
    let message = format!("{context}{}", error_chain(error));
    eprint_labelled(Priority::Error, &message, &error.hint(), colour);
}

/// Prints the backlog of the spool and its reason, if there is one.
pub(super) fn backlog(receipt: &Receipt, colour: bool) {
    let Some(Backlog { batches, oldest, error }) = &receipt.backlog else { return };
    let age = humantime::format_duration(Duration::from_secs(oldest.as_secs()));
    let (reason, hint) = match error {
        Some(error) => (error_chain(error), error.hint()),
        None => {
            let hint = "the next cycles deliver them, or `fleetwatt store replay` now";
            ("there was no more time".to_owned(), hint.into())
        }
    };
    let batches = counted(*batches, "batch", "batches");
    let message = format!("kept in the spool ({batches}, oldest {age}): {reason}");
    eprint_labelled(Priority::Warning, &message, &hint, colour);
}

fn eprint_labelled(priority: Priority, message: &str, hint: &str, colour: bool) {
    write_stderr(priority, &labelled(priority, message, hint, colour));
}

fn labelled(priority: Priority, message: &str, hint: &str, colour: bool) -> String {
    let (label, label_colour) = match priority {
        Priority::Error => ("error", AnsiColor::Red),
        Priority::Warning | Priority::Info | Priority::Debug => ("warning", AnsiColor::Yellow),
    };
    let bold = if colour { Style::new().bold() } else { Style::new() };
    let strong = if colour { bold.fg_color(Some(label_colour.into())) } else { bold };
    let help = if hint.is_empty() { String::new() } else { format!("\n  {bold}help{bold:#}: {hint}") };
    format!("{strong}{label}{strong:#}: {message}{help}")
}

/// Rows of cells under each other, with a line break behind each; a rule below the first, if it is to be `ruled`.
pub(super) fn columns<T: AsRef<str>, const N: usize>(rows: &[[T; N]], ruled: bool) -> String {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let width = |column| cells(column).map(|cell| cell.as_ref().width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let rule = "─".repeat(widths.iter().sum::<usize>() + 2 * N.saturating_sub(1)) + "\n";
    let line = |(idx, row): (usize, &[T; N])| {
        let pad = |cell: &str, width: &usize| format!("{cell}{}  ", " ".repeat(width - cell.width()));
        let line: String = row.iter().zip(&widths).map(|(cell, width)| pad(cell.as_ref(), width)).collect();
        format!("{}\n{}", line.trim_end(), if ruled && idx == 0 { rule.as_str() } else { "" })
    };
    rows.iter().enumerate().map(line).collect()
}

/// Width and colour of a table: the width is that of the terminal on standard output, if there is one.
pub(super) fn text_options(colour: bool) -> TextOptions {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    let width = size.ok().map(|size| size.ws_col).filter(|width| *width > 0);
    TextOptions { colour, width }
}

/// One line about what was brought into the timeline.
pub(super) fn delivered(receipt: &Receipt, settings: &Settings) -> String {
    let n_batches = receipt.batches;
    let of_batches = format!(" of {}", counted(n_batches, "batch", "batches"));
    let of_batches = if n_batches == 1 { "" } else { &of_batches };
    let (rows, took) = (counted(receipt.rows, "row", "rows"), rounded(receipt.took));
    format!("{rows}{of_batches} written to {} in {took}{}", settings.store_url, remarks(receipt))
}

/// All that did not go as usual, each part after a semicolon.
fn remarks(receipt: &Receipt) -> String {
    let mut line = String::new();
    let Receipt { dead_letters, refused_rows_lost, swallowed, energies_refused, .. } = receipt;
    if *dead_letters > 0 {
        line += &format!("; {dead_letters} refused and laid aside, see `fleetwatt store dead-letters list`");
    }
    if *refused_rows_lost > 0 {
        line += &format!("; {refused_rows_lost} refused and lost, as there is no room to lay them aside");
    }
    if *swallowed > 0 {
        line += &format!("; of {swallowed} rows it shows nothing: a trigger or a rule keeps them");
    }
    if *energies_refused > 0 {
        line += &format!(
            "; the ledger refused {energies_refused} of its rows: once it takes them, `fleetwatt ledger rebuild` adds them"
        );
    }
    if receipt.written_directly {
        line += "; directly, without its alerts and energies, as the spool's disk is full";
    }
    if let Some(Rescued { saved, lost }) = &receipt.rescued {
        line += &format!("; the spool was damaged: {saved} batches saved, {lost} lost");
    }
    line
}

/// The result of `store replay`.
pub(super) fn replayed(receipt: &Receipt, settings: &Settings) -> String {
    if receipt.batches == 0 && receipt.backlog.is_none() && !receipt.cost_something() {
        return "the spool is empty\n".to_owned();
    }
    let line = delivered(receipt, settings);
    if receipt.backlog.is_some() { format!("{line}\n") } else { format!("{line}; the spool is empty\n") }
}

/// The result of `store prune`, or of its dry run.
pub(super) fn pruned(pruned: &Pruned, dry_run: bool) -> String {
    let Pruned { rows, before, bytes_before, bytes_after } = pruned;
    let rows = counted(*rows, "row", "rows");
    if dry_run {
        return format!("{rows} of before {before} would be removed; the file has {bytes_before} bytes\n");
    }
    format!("{rows} of before {before} removed; the file had {bytes_before} bytes and has {bytes_after}\n")
}

/// Shows on a terminal how far a replay has come.
pub(super) fn replay_progress() -> impl FnMut(Progress) + Send {
    let mut render = progress("batches");
    move |Progress { delivered, of }| render(delivered, of)
}

/// Shows on a terminal, in one line that is taken away at the end, the progress of what takes its time.
pub(super) fn progress(of_what: &'static str) -> impl FnMut(u64, u64) + Send {
    let is_terminal = std::io::stderr().is_terminal();
    let mut shown_at = Instant::now();
    let mut is_shown = false;
    move |done, of| {
        let is_due = shown_at.elapsed() >= PROGRESS_EVERY;
        let is_over = done == of;
        if !is_terminal || !(is_due || (is_over && is_shown)) {
            return;
        }
        shown_at = Instant::now();
        is_shown = !is_over;
        let line = if is_over { String::new() } else { format!("{done} of {of} {of_what}") };
        // A terminal that is gone is no reason to stop.
        write!(std::io::stderr(), "\r{line}\x1b[K").unwrap_or_default();
    }
}

/// Time after which it is worth a line that something takes its time.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// Shows on a terminal how many rows were read, where that takes longer than a second; at the end, which is `None`, the
/// line is taken away.
pub(super) fn row_progress() -> impl FnMut(Option<u64>) + Send {
    let is_terminal = std::io::stderr().is_terminal();
    let started_at = Instant::now();
    let mut shown_at = None::<Instant>;
    move |n_rows| {
        let is_due = shown_at.map_or(started_at.elapsed() >= SLOW_AFTER, |at| at.elapsed() >= PROGRESS_EVERY);
        let line = match n_rows {
            Some(n_rows) if is_terminal && is_due => format!("{n_rows} rows of the ledger"),
            None if shown_at.is_some() => String::new(),
            Some(_) | None => return,
        };
        shown_at = Some(Instant::now());
        write!(std::io::stderr(), "\r{line}\x1b[K").unwrap_or_default();
    }
}

/// The result of `check` without connecting.
pub(super) fn settings(settings: &Settings) -> String {
    let hosts = &settings.inventory.hosts;
    let n = |is_it: fn(&Target) -> bool| hosts.iter().filter(|host| is_it(&host.target)).count();
    let kinds = [
        (n(|target| *target == Target::Local), "local"),
        (n(|target| matches!(target, Target::Ssh(_))), "over SSH"),
        (n(|target| matches!(target, Target::Scripted { .. })), "scripted"),
    ];
    let kinds = kinds.iter().filter(|(n_hosts, _)| *n_hosts > 0);
    let kinds: Vec<String> = kinds.map(|(n_hosts, kind)| format!("{n_hosts} {kind}")).collect();
    let account = settings.account.as_ref().map(|account| {
        let every = humantime::format_duration(account.settings.interval);
        let fast = humantime::format_duration(account.settings.fast_interval);
        format!(
            "{:<10} country {}, stations asked every {every}, in fast mode every {fast}\n",
            VENDOR.source, account.country
        )
    });
    format!(
        "inventory  {}: {} ({})\nstore      {}, table {}\nstate      {}\nsockets    {}\n{}",
        settings.inventory_path.display(),
        counted(hosts.len(), "host", "hosts"),
        kinds.join(", "),
        settings.store_url,
        settings.inventory.store.table,
        settings.state_dir.display(),
        settings.runtime_dir.path.display(),
        account.unwrap_or_default(),
    )
}

/// The connections that are kept, a line each.
pub(super) fn connections(connections: &[Connection]) -> String {
    let line = |connection: &Connection| {
        let nodes = match connection.nodes.as_slice() {
            [] => "(no host of this inventory)".to_owned(),
            nodes => nodes.join(", "),
        };
        let state = match connection.kept.pid {
            Some(pid) if connection.kept.has_shell => format!("process {pid}, a shell waits there"),
            Some(pid) => format!("process {pid}"),
            None => "gone, its socket is left".to_owned(),
        };
        format!("{nodes}  {state}\n")
    };
    connections.iter().map(line).collect()
}

/// Files of this machine that keep hosts from being logged in to.
pub(super) fn local_troubles(troubles: &[LocalTrouble]) -> String {
    let line = |LocalTrouble { nodes, message }: &LocalTrouble| match nodes.as_slice() {
        [first, second, _, ..] => {
            format!("warning    {first}, {second} and {} more: {message}\n", nodes.len() - 2)
        }
        few => format!("warning    {}: {message}\n", few.join(", ")),
    };
    troubles.iter().map(line).collect()
}

/// Prints the warnings of the inventory, unread variables and missing secrets.
pub(super) fn warnings(settings: &Settings, colour: bool) {
    let warnings = settings.inventory.warnings.render(colour);
    if !warnings.is_empty() {
        eprint_line(warnings.trim_end());
    }
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for (name, hint) in settings.unread_variables(variables) {
        eprint_labelled(Priority::Warning, &format!("nothing reads the variable {name}"), &hint, colour);
    }
    for missing in settings.missing_secrets() {
        let message = format!("cannot be had here: {}", error_chain(&missing));
        eprint_labelled(Priority::Warning, &message, &missing.hint(), colour);
    }
}

/// Prints warnings about tariffs and their files.
pub(super) fn price_warnings(warnings: &[PriceWarning], colour: bool) {
    for PriceWarning { message, hint } in warnings {
        eprint_labelled(Priority::Warning, message, hint, colour);
    }
}

/// The result of `check --connect`.
pub(super) fn check(report: &CheckReport, settings: &Settings) -> String {
    let longest = if report.webhook.is_some() { "webhook" } else { "store" };
    let names = report.hosts.iter().map(|host| host.node.len());
    let width = names.max().unwrap_or(0).clamp(longest.len(), MAX_NAME);
    let mut lines: Vec<(&str, String)> = Vec::new();
    for host in &report.hosts {
        lines.extend(host_lines(host).into_iter().map(|line| (host.node.as_str(), line)));
    }
    match &report.store {
        Ok(None) => lines.push(("store", format!("{OK}{}", not_begun(settings)))),
        Ok(Some(status)) => {
            let version = status.version.as_deref().unwrap_or("of unknown version");
            let (kind, table_kind, table) = (&status.kind, &status.table_kind, &status.table);
            lines.push(("store", format!("{OK}{kind} {version}, {table_kind} {table}")));
            lines.push(("", format!("{MORE}delivery {}", status.guarantee)));
            lines.push(("", format!("{MORE}ledger {}", ledger_access(status.ledger))));
            let hints = status.hints.iter().cloned().chain(owner_lines(&status.owner_sql));
            lines.extend(hints.map(|hint| ("", format!("{MORE}{hint}"))));
        }
        Err(error) => lines.extend(failed("store", error)),
    }
    if let Some(account) = &report.account {
        lines.extend(station_lines(account).into_iter().map(|line| (account.vendor.source, line)));
    }
    match &report.webhook {
        Some(WebhookAnswer { endpoint, status: Ok(status) }) => {
            let hint = "`fleetwatt alerts test` sends an alert";
            lines.push(("webhook", format!("{OK}{endpoint} answers (HTTP {status}); {hint}")));
        }
        Some(WebhookAnswer { status: Err(error), .. }) => lines.extend(failed("webhook", error)),
        None => (),
    }
    let lines = lines.iter().map(|(name, message)| format!("{name:width$}  {message}\n"));
    iter::once("\n".to_owned()).chain(lines).collect()
}

fn failed<'n, E: Diagnose>(name: &'n str, error: &E) -> [(&'n str, String); 2] {
    [(name, format!("{FAILED}{}", error_chain(error))), ("", format!("{MORE}{}", error.hint()))]
}

fn station_lines(account: &AccountReport) -> Vec<String> {
    let station = |status: &StationStatus| {
        let name = account.name_of(&status.station);
        match account.readings_of(&status.station).next_back() {
            Some(reading) => format!("{OK}{}", reading.summary()),
            None => format!("{FAILED}{name}: {}", status.presence),
        }
    };
    let trouble = account.trouble.iter().map(|trouble| format!("{FAILED}{}", trouble.message));
    trouble.chain(account.stations.iter().map(station)).collect()
}

fn host_lines(host: &HostCheck) -> Vec<String> {
    let failed = |step: &str, outcome: &Outcome| vec![format!("{FAILED}{step}: {}", outcome.to_message())];
    let Some(checked) = &host.checked else { return vec![format!("{FAILED}the check itself")] };
    let connected = match &checked.connected {
        Ok(took) => rounded(*took),
        Err(failure) => return failed("connect", &Outcome::Failed(failure.clone())),
    };
    let Some(report) = &checked.answered else { return vec![format!("{FAILED}not asked")] };
    if !report.outcome.is_up() {
        return failed(&checked.tools, &report.outcome);
    }
    let driver = report.gpus.iter().find_map(|gpu| gpu.driver_version().ok());
    let driver = driver.map(|driver| format!(", driver {driver}")).unwrap_or_default();
    let word = if report.outcome == Outcome::Complete { OK } else { PARTIAL };
    let address = if host.address == host.node { String::new() } else { format!("{}: ", host.address) };
    let mut lines = vec![format!(
        "{word}{address}connected in {connected}, {} in {}{driver}",
        counted(report.gpus.len(), "GPU", "GPUs"),
        rounded(report.probe_time)
    )];
    lines.extend(report.faults.iter().map(|fault| format!("{MORE}{fault}")));
    lines
}

impl HostCheck {
    /// Whether every step went well, or nothing else is expected.
    pub(super) fn is_well(&self) -> bool {
        if self.maintenance {
            return true;
        }
        let answered = self.checked.as_ref().and_then(|checked| checked.answered.as_ref());
        answered.is_some_and(|report| report.outcome == Outcome::Complete)
    }
}

/// The result of `store init`.
pub(super) fn store_init(report: &InitReport) -> String {
    let mut text = if report.already_there() {
        format!("{} is already there; it was left as it is\n", report.table)
    } else {
        format!("created {}\n", report.table)
    };
    let statements = report.created.iter().chain(&report.delivery_log);
    text.extend(statements.map(|statement| format!("  {statement}\n")));
    text.extend(owner_lines(&report.owner_sql).into_iter().map(|line| line + "\n"));
    text
}

/// The SQL for an owner of the database, line by line.
fn owner_lines(owner_sql: &[String]) -> Vec<String> {
    if owner_sql.is_empty() {
        return Vec::new();
    }
    let message =
        "for a table of delivered batches and a ledger let an owner of the database run:".to_owned();
    std::iter::once(message).chain(owner_sql.iter().map(|statement| format!("  {statement}"))).collect()
}

/// The backlog of the spool.
pub(super) fn spool_status(spool: Option<&SpoolStatus>) -> String {
    let Some(spool) = spool else { return "spool     none\n".to_owned() };
    let mut text = format!(
        "spool     {}, {}, {} bytes in {}\n",
        counted(spool.batches, "batch", "batches"),
        counted(spool.rows, "row", "rows"),
        spool.bytes,
        spool.path.display()
    );
    let mut line = |name: &str, message: String| text += &format!("{name:8}  {message}\n");
    if let Some(oldest) = spool.oldest {
        line("oldest", humantime::format_duration(Duration::from_secs(oldest.as_secs())).to_string());
    }
    if let Some((attempts, error)) = &spool.last_error {
        line("error", format!("{error} (tried {})", counted(*attempts, "time", "times")));
    }
    for (name, number, what) in [
        ("refused", spool.dead_letters, "rows lie aside, see `fleetwatt store dead-letters list`"),
        ("refused", spool.dead_letters_dropped_total, "rows in all were dropped, as too many lay aside"),
        ("dropped", spool.dropped_total, "batches in all"),
        ("lost", spool.lost_total, "batches in all"),
    ] {
        if number > 0 {
            line(name, format!("{number} {what}"));
        }
    }
    text
}

/// The place where `store status` looked; somebody beside a service is told where that one's is.
pub(super) fn state_dir(settings: &Settings, is_empty: bool) -> String {
    let there = if settings.state_dir.is_dir() { "" } else { " (not there)" };
    let mut text = format!("state     {}{there}\n", settings.state_dir.display());
    if !settings.has_given_state && is_empty {
        text.push_str(
            "advice    nothing is kept in this user's own state directory; a service's is in /var/lib/fleetwatt: \
             `STATE_DIRECTORY=/var/lib/fleetwatt fleetwatt store status`\n",
        );
    }
    text
}

/// A timeline that nobody has written to.
pub(super) fn no_timeline(settings: &Settings) -> String {
    format!("store     {}\nlocation  {}\n", not_begun(settings), settings.store_url)
}

/// A SQLite timeline that is not there: the file, or what is to be in it.
fn not_begun(settings: &Settings) -> String {
    if settings.store_url.path().is_some_and(Path::exists) {
        let table = SafeText::new(&settings.inventory.store.table);
        format!("SQLite, and the file has no table `{table}` yet: the first poll creates it")
    } else {
        "SQLite, the file is not there: the first poll creates it".to_owned()
    }
}

/// A timeline that this shell has no password for.
pub(super) fn unseen_timeline(settings: &Settings, error: &store::Error) -> String {
    format!("store     not looked into: {}\nlocation  {}\n", error_chain(&error), settings.store_url)
}

/// The result of `store status`.
pub(super) fn store_status(status: &Status) -> String {
    let mut lines = vec![
        format!("store     {} {}", status.kind, status.version.as_deref().unwrap_or("of unknown version")),
        format!("location  {}", status.store_url),
        format!("table     {} ({})", status.table, status.table_kind),
    ];
    let columns = status.columns.iter().map(|column| {
        format!("{} {}{}", column.name, column.sql_type, if column.not_null { " not null" } else { "" })
    });
    lines.push(format!("columns   {}", columns.collect::<Vec<_>>().join(", ")));
    lines.push(format!("rights    insert {}, select {}", yes(status.may_insert), yes(status.may_select)));
    lines.push(format!("delivery  {}", status.guarantee));
    lines.push(format!("ledger    {}", ledger_access(status.ledger)));
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
    lines.extend(status.hints.iter().map(|hint| format!("advice    {hint}")));
    lines.extend(owner_lines(&status.owner_sql));
    lines.join("\n") + "\n"
}

/// The advice where there is no ledger that can be read.
pub(super) const NO_LEDGER_ADVICE: &str = "run `fleetwatt store init`, or let an owner of the database run what it prints; \
    then `fleetwatt ledger rebuild` takes in the timeline";

/// Whether there is a ledger, and what follows for reports.
pub(super) const fn ledger_access(access: LedgerAccess) -> &'static str {
    match access {
        LedgerAccess::ReadWrite => "there, and kept by this role",
        LedgerAccess::ReadOnly => "there, and cannot be written: this role may only read it",
        LedgerAccess::NotKept => {
            "there, and not kept: this role may not use fleetwatt.delivered_batch, and a batch that comes twice would count twice"
        }
        LedgerAccess::Forbidden => {
            "there, and this role may not read it: reports are derived from the timeline, which takes longer"
        }
        LedgerAccess::Missing => "none: reports are derived from the timeline, which takes longer",
    }
}

const fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// A duration to the millisecond, or to the microsecond below one.
fn rounded(duration: Duration) -> humantime::FormattedDuration {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let rounded = if micros < 1000 { micros } else { micros / 1000 * 1000 };
    humantime::format_duration(Duration::from_micros(rounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_were_refused_on_a_full_disk_are_told_as_lost() {
        let receipt = Receipt { refused_rows_lost: 2, ..Receipt::default() };
        assert_eq!(remarks(&receipt), "; 2 refused and lost, as there is no room to lay them aside");
        assert!(receipt.cost_something());
    }

    #[test]
    fn a_batch_that_went_past_the_spool_is_told_to_have_no_energies() {
        let receipt = Receipt { written_directly: true, ..Receipt::default() };
        let expected = "; directly, without its alerts and energies, as the spool's disk is full";
        assert_eq!(remarks(&receipt), expected);
    }

    #[test]
    fn energies_that_a_ledger_refused_are_told_with_their_remedy() {
        let receipt = Receipt { energies_refused: 3, ..Receipt::default() };
        let expected =
            "; the ledger refused 3 of its rows: once it takes them, `fleetwatt ledger rebuild` adds them";
        assert_eq!(remarks(&receipt), expected);
        assert_eq!(remarks(&Receipt::default()), "");
    }
}
