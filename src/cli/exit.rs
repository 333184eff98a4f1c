//! The exit codes, and what leads to each.

use std::process::ExitCode;

use crate::app::{self, CheckReport, Kept, Polled};
use crate::reading::Outcome;
use crate::store;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// All well.
    Ok,
    /// Nothing usable came out, or nothing could be kept.
    Nothing,
    /// The call, the inventory or the settings are wrong.
    Usage,
    /// Kept, but some host or step failed.
    Partial,
    /// Another fleetwatt holds the state directory (`EX_TEMPFAIL`).
    Locked,
}

impl Exit {
    pub(super) fn of_poll(polled: &Polled) -> Self {
        let reports = &polled.batch.reports;
        if matches!(polled.kept, Kept::Lost(_)) || !reports.iter().any(|report| report.outcome.is_up()) {
            return Self::Nothing;
        }
        if reports.iter().all(|report| report.outcome == Outcome::Complete) {
            Self::Ok
        } else {
            Self::Partial
        }
    }

    pub(super) fn of_check(report: &CheckReport) -> Self {
        let n_well = report.hosts.iter().filter(|host| host.is_well()).count();
        if n_well == report.hosts.len() && report.store.is_ok() {
            Self::Ok
        } else if n_well == 0 {
            Self::Nothing
        } else {
            Self::Partial
        }
    }

    pub(super) fn of_error(error: &app::Error) -> Self {
        match error {
            app::Error::NoInventory { .. }
            | app::Error::Inventory(_)
            | app::Error::NoSuchHost { .. }
            | app::Error::Pattern { .. }
            | app::Error::Password { .. } => Self::Usage,
            app::Error::Timeline(store::Error::Url { .. } | store::Error::TableName { .. }) => Self::Usage,
            app::Error::Directory { .. }
            | app::Error::Signals(_)
            | app::Error::TaskEnded
            | app::Error::Task(_)
            | app::Error::Timeline(_) => Self::Nothing,
            app::Error::Locked { .. } => Self::Locked,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Nothing => 1,
            Exit::Usage => 2,
            Exit::Partial => 3,
            Exit::Locked => 75,
        })
    }
}
