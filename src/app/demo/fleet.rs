//! The played fleet: what its hosts would have answered, cycle by cycle. Hosts and boards are those of one real cycle
//! over the scene files, so that a poll later goes on with the same boards; draw, load and temperature are played.

use std::borrow::Cow;
use std::time::Duration;

use jiff::ZonedDateTime;
use jiff::tz::TimeZone;
use uuid::Builder;

use super::load::{Place, Rhythm, load, mixed_number};
use super::station::PlayedStation;
use super::trouble::{STATION, Trouble, Troubles, is_missed};
use crate::batch::{Batch, BatchId, HostReport};
use crate::reading::{
    Absent, Device, DeviceKind, Failure, FailureKind, Fault, FaultKind, Outcome, Power, Quantity, Reason,
    Span, Temperature, Timestamp,
};

/// The nodes with this label `site` are behind the station.
const SITE_OF_STATION: &str = "home";

/// The house draws this without its GPUs.
const HOUSE: Power = Power::from_watts(230);

/// The words of a driver for a board that is lost.
const LOST: &str = "[GPU is lost]";

/// The words of ssh for a host without a network.
const NO_ROUTE: &str = "connect to host: No route to host";

/// A fleet that is played.
#[derive(Debug)]
pub(super) struct PlayedFleet {
    seed: u64,
    zone: TimeZone,
    /// A host each, with all of its boards.
    hosts: Vec<HostReport>,
    troubles: Troubles,
    station: PlayedStation,
    last: Option<Timestamp>,
}

impl PlayedFleet {
    /// A fleet of these hosts, until `end`.
    pub(super) fn new(hosts: Vec<HostReport>, seed: u64, end: &ZonedDateTime) -> Self {
        Self {
            seed,
            zone: end.time_zone().clone(),
            hosts,
            troubles: Troubles::before(end),
            station: PlayedStation::new(seed),
            last: None,
        }
    }

    /// Number of boards.
    pub(super) fn n_gpus(&self) -> usize {
        self.hosts.iter().map(|host| host.gpus.len()).sum()
    }

    /// Number of hosts.
    pub(super) const fn n_hosts(&self) -> usize {
        self.hosts.len()
    }

    /// The cycle of this number that begins at `at`; `None` of one that nobody ran.
    pub(super) fn cycle(&mut self, number: u64, at: Timestamp) -> Option<Batch> {
        let local = jiff::Timestamp::from_microsecond(at.micros()).ok()?.to_zoned_datetime(self.zone.clone());
        let reports: Vec<HostReport> = (0..)
            .zip(&self.hosts)
            .map(|(node, host)| self.report(host, node, number, (at, &local)))
            .collect();
        let home = reports.iter().filter(|report| is_at(report, SITE_OF_STATION));
        let behind = home.filter_map(HostReport::power).map(Power::milliwatts).sum::<i64>();
        let load = Power::from_milliwatts(HOUSE.milliwatts() + behind);
        let after = self.last.map_or(Duration::ZERO, |last| at.since(last));
        self.last = Some(at);
        let is_silent = self.troubles.of(STATION, at).next().is_some();
        let account = self.station.report(at, &local, load, after, is_silent);
        if self.troubles.is_stopped(at) {
            return None;
        }
        Some(Batch { id: batch_id(self.seed, number, at), started_at: at, reports, account: Some(account) })
    }

    fn report(
        &self,
        host: &HostReport,
        node: u64,
        number: u64,
        (at, local): (Timestamp, &ZonedDateTime),
    ) -> HostReport {
        let troubles: Vec<Trouble> = self.troubles.of(&host.node, at).collect();
        let took = Duration::from_millis(180 + mixed_number(self.seed, &[9, node, number]) % 240);
        let mut report = HostReport {
            span: Span { asked_at: at.plus(Duration::from_millis(5)), answered_at: at.plus(took) },
            probe_time: took / 2,
            ..host.clone()
        };
        if let Some(failure) = failure(&troubles, is_missed(self.seed, node, number)) {
            report.outcome = Outcome::Failed(failure);
            report.gpus.clear();
            return report;
        }
        let rhythm = Rhythm::of(host.labels.get("use").map(String::as_str));
        let is_held_idle = troubles.contains(&Trouble::HeldIdle);
        for (gpu, board) in (0..).zip(&mut report.gpus) {
            let limit = board.limit().unwrap_or_default();
            let place = Place { node, gpu, rhythm, limit, is_held_idle };
            draw(board, &load(self.seed, &place, at, local));
        }
        for trouble in troubles {
            apply(&mut report, trouble);
        }
        report
    }
}

/// Gives a board its figures.
fn draw(board: &mut Device, load: &super::load::Load) {
    for quantity in [Quantity::PowerDraw, Quantity::PowerAverage, Quantity::PowerInstant] {
        if board.get(quantity).is_ok() {
            board.set(quantity, Ok(load.power.into()));
        }
    }
    board.set(Quantity::Utilization, Ok(load.busy.into()));
    board.set(Quantity::Temperature, Ok(load.temperature.into()));
}

/// The failure of a host in trouble.
fn failure(troubles: &[Trouble], is_missed: bool) -> Option<Failure> {
    let unreachable = || Failure::new(FailureKind::Connect, NO_ROUTE);
    let hung = || Failure::new(FailureKind::Timeout, "");
    troubles
        .iter()
        .find_map(|trouble| match trouble {
            Trouble::Unreachable => Some(unreachable()),
            Trouble::Hung => Some(hung()),
            Trouble::NotRunning
            | Trouble::Lost(_)
            | Trouble::Hot(_)
            | Trouble::HeldIdle
            | Trouble::Silent => None,
        })
        .or_else(|| is_missed.then(hung))
}

/// The trouble of a board of a host that answers.
fn apply(report: &mut HostReport, trouble: Trouble) {
    match trouble {
        Trouble::Lost(index) => {
            let Some(board) = report.gpus.get_mut(index) else { return };
            *board = lost(board);
            report.outcome = Outcome::Partial;
            let fault = Fault::new(FaultKind::GpuLost, board.uuid().ok().cloned(), LOST);
            report.faults.push(Fault { index: board.index().ok().copied(), ..fault });
        }
        Trouble::Hot(index) => {
            if let Some(board) = report.gpus.get_mut(index) {
                board.set(Quantity::Temperature, Ok(Temperature::from_millicelsius(87_000).into()));
            }
        }
        Trouble::NotRunning | Trouble::Unreachable | Trouble::Hung | Trouble::HeldIdle | Trouble::Silent => {}
    }
}

/// The board as its driver shows it once it is lost.
fn lost(board: &Device) -> Device {
    let mut lost = Device::all_absent(DeviceKind::Gpu, &Absent::new(Reason::GpuLost, LOST));
    for quantity in [Quantity::Index, Quantity::Uuid, Quantity::BusId] {
        lost.set(quantity, board.get(quantity).map(Cow::into_owned).map_err(Cow::into_owned));
    }
    lost
}

fn is_at(report: &HostReport, site: &str) -> bool {
    report.labels.get("site").is_some_and(|label| label == site)
}

/// The identity of a cycle, the same whenever it is played.
fn batch_id(seed: u64, number: u64, at: Timestamp) -> BatchId {
    let milliseconds = u64::try_from(at.micros() / 1_000).unwrap_or_default();
    let (high, low) = (mixed_number(seed, &[10, number]), mixed_number(seed, &[11, number]));
    let bytes = u128::from(high) << 64 | u128::from(low);
    let mut random = [0; 10];
    random.copy_from_slice(bytes.to_be_bytes().get(..10).unwrap_or(&[0; 10]));
    BatchId(Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::fixtures::{gpu, host};

    const NODES: [(&str, usize); 4] = [("hgx-01", 8), ("hgx-03", 8), ("hgx-05", 8), ("turing-02", 2)];

    /// Until 2026-11-27T00:30 in Chicago.
    fn fleet() -> PlayedFleet {
        let boards = |n_gpus| (0..u32::try_from(n_gpus).unwrap()).map(|index| gpu(index, 300_000)).collect();
        let hosts = NODES.map(|(node, n_gpus)| HostReport { gpus: boards(n_gpus), ..host(node, n_gpus) });
        let end: ZonedDateTime = "2026-11-27T00:30[America/Chicago]".parse().unwrap();
        PlayedFleet::new(hosts.to_vec(), 1, &end)
    }

    fn at(local: &str) -> Timestamp {
        let local: ZonedDateTime = format!("{local}[America/Chicago]").parse().unwrap();
        Timestamp::from_micros(local.timestamp().as_microsecond())
    }

    /// The number of boards of each node that give their power then; of no cycle none.
    fn reporting(local: &str) -> Option<Vec<usize>> {
        let batch = fleet().cycle(1, at(local))?;
        Some(batch.reports.iter().map(HostReport::gpus_reporting).collect())
    }

    #[test]
    fn what_goes_wrong_costs_the_readings_of_whom_it_is_of_and_no_others() {
        assert_eq!(reporting("2026-11-10T12:00"), Some(vec![8, 8, 8, 2]));
        assert_eq!(reporting("2026-11-12T02:14"), Some(vec![8, 8, 8, 2]));
        assert_eq!(reporting("2026-11-12T02:15"), Some(vec![8, 0, 8, 2]), "hgx-03 has no network");
        assert_eq!(reporting("2026-11-19T14:29"), Some(vec![8, 8, 8, 2]));
        assert_eq!(reporting("2026-11-19T14:30"), None, "nothing is polled");
        assert_eq!(reporting("2026-11-19T16:00"), Some(vec![8, 8, 8, 2]));
        assert_eq!(reporting("2026-11-22T09:00"), Some(vec![8, 8, 7, 2]), "a board of hgx-05 is lost");
        assert_eq!(reporting("2026-11-24T02:00"), Some(vec![8, 8, 8, 2]));
        assert_eq!(reporting("2026-11-27T00:30"), Some(vec![8, 8, 8, 0]), "turing-02 is down in the end");
    }

    #[test]
    fn a_cycle_is_the_same_whenever_it_is_played_and_others_follow_from_another_seed() {
        let now = at("2026-11-10T12:00");
        assert_eq!(fleet().cycle(7, now), fleet().cycle(7, now));
        let mut other = PlayedFleet { seed: 2, ..fleet() };
        assert_ne!(fleet().cycle(7, now), other.cycle(7, now));
    }
}
