//! One line for a service manager: the fleet, its stations and the store.

use std::fmt::Write;

use crate::batch::{Snapshot, StoreState};
use crate::reading::{AccountReport, Presence};
use crate::support::counted;

/// The last cycle in one line, without a line break.
pub fn status_line(snapshot: &Snapshot) -> String {
    let totals = snapshot.batch.totals();
    let power = totals.power.map_or_else(|| "no power reading".to_owned(), |power| power.to_string());
    let today = snapshot.today.as_ref().map(|today| format!(", today {today}")).unwrap_or_default();
    format!(
        "{} of {} nodes, {}, {power}{today}{}; {}",
        totals.nodes_reporting,
        totals.nodes_expected,
        counted(totals.gpus_reporting, "GPU", "GPUs"),
        snapshot.batch.account.as_ref().map(stations).unwrap_or_default(),
        store(&snapshot.store)
    )
}

/// The last charge of each station, or its presence.
fn stations(account: &AccountReport) -> String {
    let mut line = String::new();
    for status in &account.stations {
        let soc = status.last.as_ref().and_then(|last| last.device.soc().ok());
        let name = account.name_of(&status.station);
        let _infallible = match soc.filter(|_| status.presence == Presence::Live) {
            Some(soc) => write!(line, "; {name} at {soc}"),
            None => write!(line, "; {name} {}", status.presence.label()),
        };
    }
    let trouble =
        account.trouble.as_ref().map(|trouble| format!("; {}: {}", account.vendor.source, trouble.kind));
    line + &trouble.unwrap_or_default()
}

fn store(state: &StoreState) -> String {
    if state.waiting.is_none() && state.away.is_none() {
        return "nothing waits for the store".to_owned();
    }
    let n_batches = state.waiting.map_or(0, |(n_batches, _)| n_batches);
    let batches = counted(n_batches, "batch waits", "batches wait");
    let away = state.away.as_ref().map(|(since, message)| format!(", away since {since}: {message}"));
    format!("{batches} for the store{}", away.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::fixtures;
    use crate::reading::Timestamp;

    #[test]
    fn the_mixed_fleet_reads_like_this() {
        let batch = crate::batch::Batch { account: Some(fixtures::station_report()), ..fixtures::fleet() };
        insta::assert_snapshot!(
            status_line(&batch.into()),
            @"4 of 5 nodes, 10 GPUs, 4794.0 W; F3800 Plus at 87 %; nothing waits for the store"
        );
    }

    #[test]
    fn the_day_so_far_stands_behind_the_power() {
        let today = crate::batch::Today {
            energy: crate::reading::Energy::from_millijoules(148_320_000_000),
            costs: Vec::new(),
            measured: None,
        };
        let snapshot = Snapshot { today: Some(today), ..fixtures::fleet().into() };
        assert_eq!(
            status_line(&snapshot),
            "4 of 5 nodes, 10 GPUs, 4794.0 W, today 41.2 kWh; nothing waits for the store"
        );
    }

    #[test]
    fn a_database_that_is_away_is_said_with_its_reason() {
        let state = StoreState {
            waiting: Some((1, Timestamp::from_micros(0))),
            away: Some((Timestamp::from_micros(0), "connection refused".to_owned())),
            dead_letters: 0,
            dropped_batches: None,
        };
        assert_eq!(
            store(&state),
            "1 batch waits for the store, away since 1970-01-01T00:00:00.000000Z: connection refused"
        );
    }
}
