//! Logs on standard error. Under systemd they end in the journal, which adds the time itself.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The variable that sets the log's filter in tracing's own syntax: `fleetwatt=debug`.
const FILTER_VARIABLE: &str = "FLEETWATT_LOG";

/// Starts logging to standard error: warnings, or more by `verbosity` (1 info, 2 debug, 3 trace) or by
/// `$FLEETWATT_LOG`.
pub fn log_to_stderr(verbosity: u8) {
    let level = match verbosity {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE)
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,fleetwatt={level}")));
    let under_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let started = if under_journal { builder.without_time().try_init() } else { builder.try_init() };
    // Only a second call in one process fails, and then the first one's settings hold.
    drop(started);
}
