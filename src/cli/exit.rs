//! The exit codes, and what leads to each.

use std::process::ExitCode;

use crate::app::{self, CheckReport, Kept, Polled};
use crate::batch::HostReport;
use crate::reading::{AccountReport, Outcome};
use crate::store::{self, Receipt, RetryReport};

/// The way that the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// All well.
    Ok,
    /// Nothing usable came out, or nothing could be kept.
    Nothing,
    /// The call, the inventory or the settings are wrong.
    Usage,
    /// Kept, but some host, station or step failed.
    Partial,
    /// Kept in the spool: the database does not take it now.
    Spooled,
    /// Another fleetwatt holds the state directory (`EX_TEMPFAIL`).
    Locked,
}

impl Exit {
    pub(super) fn of_poll(polled: &Polled) -> Self {
        let has_hosts = !polled.snapshot.batch.reports.is_empty();
        // What fails where somebody works is no failure of the fleet.
        let reports = polled.snapshot.batch.reports.iter();
        let reports: Vec<&HostReport> = reports.filter(|report| !report.maintenance).collect();
        let has_readings =
            polled.snapshot.batch.account.as_ref().is_some_and(|account| !account.readings.is_empty());
        let is_usable = match (has_hosts, reports.is_empty()) {
            (true, true) => true,
            (true, false) => reports.iter().any(|report| report.outcome.is_up()),
            // An inventory may have stations alone.
            (false, _) => has_readings,
        };
        if matches!(polled.kept, Kept::Lost(_)) || !is_usable {
            return Self::Nothing;
        }
        if matches!(&polled.kept, Kept::Durable(receipt) if receipt.backlog.is_some()) {
            return Self::Spooled;
        }
        let cost_something = matches!(&polled.kept, Kept::Durable(receipt) if receipt.cost_something());
        let stations_are_well = polled.snapshot.batch.account.as_ref().is_none_or(AccountReport::is_well);
        if !cost_something
            && stations_are_well
            && reports.iter().all(|report| report.outcome == Outcome::Complete)
        {
            Self::Ok
        } else {
            Self::Partial
        }
    }

    pub(super) fn of_check(report: &CheckReport) -> Self {
        let n_well = report.hosts.iter().filter(|host| host.is_well()).count();
        let stations_are_well = report.account.as_ref().is_none_or(AccountReport::is_well);
        let webhook_is_well = report.webhook.as_ref().is_none_or(|webhook| webhook.status.is_ok());
        if n_well == report.hosts.len() && report.store.is_ok() && stations_are_well && webhook_is_well {
            Self::Ok
        } else if n_well == 0 && !report.hosts.is_empty() {
            Self::Nothing
        } else {
            Self::Partial
        }
    }

    pub(super) const fn of_replay(receipt: &Receipt) -> Self {
        if receipt.backlog.is_some() {
            Self::Spooled
        } else if receipt.cost_something() {
            Self::Partial
        } else {
            Self::Ok
        }
    }

    pub(super) const fn of_retry(retried: &RetryReport) -> Self {
        match &retried.receipt {
            _ if retried.stopped_by.is_some() => Self::Spooled,
            Some(receipt) if receipt.backlog.is_some() => Self::Spooled,
            _ if retried.refused > 0 => Self::Partial,
            _ => Self::Ok,
        }
    }

    pub(super) fn of_error(error: &app::Error) -> Self {
        match error {
            app::Error::NoInventory { .. }
            | app::Error::InventoryOfStdin
            | app::Error::Inventory(_)
            | app::Error::Prices(_)
            | app::Error::NoSuchHost { .. }
            | app::Error::NoSuchLabel { .. }
            | app::Error::NothingSelected
            | app::Error::Pattern { .. }
            | app::Error::Secret { .. }
            | app::Error::NoKeep
            | app::Error::Timeline(store::Error::RetentionUnsupported)
            | app::Error::HostFile { .. }
            | app::Error::StateOwner { .. }
            | app::Error::DemoFolder(_)
            | app::Error::Webhook(_)
            | app::Error::NoWebhook
            | app::Error::Period(_)
            | app::Error::Question(_) => Self::Usage,
            app::Error::Timeline(
                store::Error::Url { .. } | store::Error::TableName { .. } | store::Error::Password { .. },
            )
            | app::Error::SnapshotSocket { .. }
            | app::Error::OpenToOthers(_)
            | app::Error::Listen(..)
            | app::Error::BrokerTls(_) => Self::Usage,
            app::Error::Directory { .. }
            | app::Error::Output(_)
            | app::Error::Alerts(_)
            | app::Error::NoDaemon(..)
            | app::Error::Snapshot(_)
            | app::Error::Threads(_)
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
            Exit::Spooled => 4,
            Exit::Locked => 75,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, fixtures};
    use crate::reading::{AccountTrouble, Presence, Timestamp};

    const SINCE: Timestamp = fixtures::STARTED_AT;

    /// A fleet of one host that is well.
    fn fleet(account: Option<AccountReport>) -> Batch {
        let mut batch = Batch { account, ..fixtures::fleet() };
        batch.reports.truncate(1);
        batch
    }

    fn exit(batch: Batch) -> Exit {
        let kept = Kept::DryRun;
        Exit::of_poll(&Polled { snapshot: batch.into(), kept, is_judged: true, changes: Vec::new() })
    }

    fn with(presence: Presence) -> AccountReport {
        let mut report = fixtures::station_report();
        report.stations[0].presence = presence;
        report
    }

    #[test]
    fn a_fleet_with_a_station_that_answers_is_well() {
        assert_eq!(exit(fleet(None)), Exit::Ok);
        assert_eq!(exit(fleet(Some(with(Presence::Live)))), Exit::Ok);
    }

    #[test]
    fn a_station_that_does_not_answer_is_partial_and_never_nothing() {
        for presence in [Presence::Awaited, Presence::Stale(SINCE), Presence::Offline(SINCE)] {
            assert_eq!(exit(fleet(Some(with(presence)))), Exit::Partial, "{presence:?}");
        }
    }

    #[test]
    fn a_session_in_trouble_is_partial_and_never_nothing() {
        for needs_person in [false, true] {
            let trouble = AccountTrouble { kind: "x", message: String::new(), needs_person };
            let report = AccountReport { trouble: Some(trouble), ..fixtures::station_report() };
            assert_eq!(exit(fleet(Some(report))), Exit::Partial);
        }
    }

    #[test]
    fn a_fleet_that_says_nothing_is_nothing_though_a_station_answers() {
        let mut batch = fleet(Some(with(Presence::Live)));
        batch.reports = vec![fixtures::failed("node003")];
        assert_eq!(exit(batch), Exit::Nothing);
    }
}
