//! Logs on standard error. In the journal each line has a priority, and the journal adds the time itself.
//!
//! A log that cannot be written is dropped: a full disk, a closed pipe or a terminal that was stopped costs
//! lines, and nothing else.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The variable that sets the log's filter in tracing's own syntax: `fleetwatt=debug`.
const FILTER_VARIABLE: &str = "FLEETWATT_LOG";

/// The least priority of a line in the journal, for a unit whose `LogLevelMax=` keeps systemd's own remarks out.
const PRIORITY_VARIABLE: &str = "FLEETWATT_LOG_PRIORITY";

/// Lines that may wait for standard error. More of them are dropped.
const MAX_WAITING: usize = 4_096;

/// The time for the last lines at the end.
const FLUSH_WITHIN: Duration = Duration::from_millis(500);

/// The reader of the log, and so what is in it without `-v`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOf {
    /// A person at a terminal, who sees the command's own output beside it: warnings.
    Command,
    /// A journal or a file that a timer's runs write to: what changes, too.
    Timer,
    /// The same of a daemon, which no reader of its log may stop.
    Daemon,
    /// A person whose terminal is drawn on: nothing there, and what a command says elsewhere.
    Screen,
}

/// The log. What waits is written when it is dropped.
#[derive(Debug)]
pub struct Log(Option<SyncSender<Line>>);

/// A priority of the journal (`SD_WARNING` and its like, sd-daemon(3)), with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Something is wrong.
    Error = 3,
    /// Somebody should look at it.
    Warning = 4,
    /// Good to know.
    Info = 6,
    /// For whoever looks for a defect.
    Debug = 7,
}

impl Priority {
    const fn of(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warning,
            Level::INFO => Self::Info,
            Level::DEBUG | Level::TRACE => Self::Debug,
        }
    }

    /// The priority that `$FLEETWATT_LOG_PRIORITY` names, as systemd writes it.
    fn of_name(name: &str) -> Option<Self> {
        let names = [("err", Self::Error), ("warning", Self::Warning), ("info", Self::Info)];
        names.into_iter().find(|(known, _)| *known == name).map(|(_, priority)| priority)
    }

    /// Each line of a text as the journal wants it, with this priority, or the least one that was asked for.
    pub fn mark(self, text: &str) -> String {
        let least = std::env::var(PRIORITY_VARIABLE).ok().and_then(|name| Self::of_name(&name));
        self.mark_at_least(least, text)
    }

    fn mark_at_least(self, least: Option<Self>, text: &str) -> String {
        let number = least.map_or(self, |least| self.min(least)) as u8;
        text.lines().map(|line| format!("<{number}>{line}\n")).collect()
    }
}

/// Starts logging to standard error: warnings, or what changes too, and more by `verbosity` or by
/// `$FLEETWATT_LOG`. A daemon's log is written by a thread of its own, so that a reader who stopped reading never
/// stops a cycle.
pub fn log_to_stderr(verbosity: u8, of: LogOf) -> Log {
    let is_drawn_on = of == LogOf::Screen && io::stderr().is_terminal();
    let level = match (of, verbosity) {
        _ if is_drawn_on => "off",
        (LogOf::Command | LogOf::Screen, 0) => "warn",
        (LogOf::Command | LogOf::Screen, 1) | (LogOf::Timer | LogOf::Daemon, 0) => "info",
        (LogOf::Command | LogOf::Screen, 2) | (LogOf::Timer | LogOf::Daemon, 1) => "debug",
        (LogOf::Command | LogOf::Screen | LogOf::Timer | LogOf::Daemon, _) => "trace",
    };
    let written = std::env::var(FILTER_VARIABLE).ok();
    let written = written.filter(|written| !written.is_empty() && !is_drawn_on);
    let written = written.map(EnvFilter::try_new).transpose();
    let refused = written.as_ref().err().map(ToString::to_string);
    let default =
        || EnvFilter::new(if is_drawn_on { level.to_owned() } else { format!("warn,fleetwatt={level}") });
    let filter = written.ok().flatten().unwrap_or_else(default);
    let relay = (of == LogOf::Daemon).then(start_relay).flatten();
    let log = Log(relay.clone());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Out(relay.clone()))
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        // Its own word on a write that fails would go to the same place, by a macro that panics then.
        .log_internal_errors(false)
        .with_target(false);
    let started = if stderr_is_journal() {
        builder
            .event_format(Journal(Format::default().without_time().with_level(false).with_target(false)))
            .try_init()
    } else {
        builder.try_init()
    };
    // Only a second call in one process fails, and then the first one's settings hold.
    drop(started);
    if let Some(error) = refused {
        tracing::warn!(%error, "${FILTER_VARIABLE} is not a filter; it is passed over");
    }
    log
}

/// Whether standard error is the journal, so that a line may begin with its priority. systemd says which stream
/// it connected (`JOURNAL_STREAM`, systemd.exec(5)); the variable alone is inherited by whoever redirects.
pub fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stat) = rustix::fs::fstat(io::stderr().as_fd()) else { return false };
    is_stream(&stream, stat.st_dev, stat.st_ino)
}

/// Whether `device:inode` in decimal is this one.
fn is_stream(written: &str, device: u64, inode: u64) -> bool {
    let Some((written_device, written_inode)) = written.split_once(':') else { return false };
    written_device.parse() == Ok(device) && written_inode.parse() == Ok(inode)
}

/// Lines with the journal's priorities in front.
struct Journal(Format<Full, ()>);

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.0.format_event(context, Writer::new(&mut text), event)?;
        writer.write_str(&Priority::of(*event.metadata().level()).mark(text.trim_end()))
    }
}

/// A line for the thread that writes.
#[derive(Debug)]
enum Line {
    Text(Vec<u8>),
    /// Everything before it is written.
    Flush(SyncSender<()>),
}

/// Starts the thread that writes. `None` where there can be none; then lines are written directly.
fn start_relay() -> Option<SyncSender<Line>> {
    let (sender, lines) = sync_channel(MAX_WAITING);
    let started = thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&lines));
    started.is_ok().then_some(sender)
}

/// Writes until nobody can send any more.
fn write_lines(lines: &Receiver<Line>) {
    for line in lines {
        match line {
            // What cannot be written is dropped.
            Line::Text(text) => io::stderr().write_all(&text).unwrap_or_default(),
            Line::Flush(done) => done.send(()).unwrap_or_default(),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let Some(lines) = &self.0 else { return };
        let (done, written) = sync_channel(1);
        if lines.try_send(Line::Flush(done)).is_ok() {
            // In time or not: it is the end.
            written.recv_timeout(FLUSH_WITHIN).unwrap_or_default();
        }
    }
}

/// Where the log goes. Never fails, and with a relay never waits.
struct Out(Option<SyncSender<Line>>);

impl Write for Out {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match &self.0 {
            // A full channel drops the line.
            Some(lines) => drop(lines.try_send(Line::Text(text.to_owned()))),
            None => io::stderr().write_all(text).unwrap_or_default(),
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_that_systemd_connected_is_the_journal() {
        assert!(is_stream("9:1234", 9, 1234));
        for other in ["", "9", "9:", "9:1235", "8:1234", "9:1234:1", "x:y"] {
            assert!(!is_stream(other, 9, 1234), "{other}");
        }
    }

    #[test]
    fn each_line_of_a_text_has_its_priority() {
        assert_eq!(Priority::Error.mark_at_least(None, "a\nb"), "<3>a\n<3>b\n");
        assert_eq!(Priority::of(Level::WARN).mark_at_least(None, "a"), "<4>a\n");
        assert_eq!(Priority::of(Level::INFO).mark_at_least(None, "a"), "<6>a\n");
    }

    #[test]
    fn no_line_is_below_the_priority_that_was_asked_for() {
        let least = Priority::of_name("warning");
        assert_eq!(Priority::Info.mark_at_least(least, "a"), "<4>a\n");
        assert_eq!(Priority::Error.mark_at_least(least, "a"), "<3>a\n");
        assert_eq!(Priority::of_name("loud"), None);
    }
}
