//! The families of a snapshot. An absent value is no sample; what is not in the snapshot any more is gone.

use super::exposition::{Exposition, Format, LabelSet};
use crate::batch::{FLOWS, HostReport, Snapshot};
use crate::inventory::PrometheusSettings;
use crate::ledger::{EnergyTotal, SeriesKey};
use crate::reading::{
    AccountReport, Device, DeviceKind, Presence, Quantity, Role, SafeText, StationReading, StationStatus,
    Timestamp, Value,
};

/// The rules of an exposition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The labels of the inventory that the series of a host have.
    pub labels: Vec<String>,
    /// The most series of all hosts together.
    pub max_series: usize,
}

impl From<&PrometheusSettings> for Choice {
    fn from(settings: &PrometheusSettings) -> Self {
        Self { labels: settings.labels.clone(), max_series: settings.max_series }
    }
}

type OfHost = fn(&HostReport) -> Option<f64>;
type OfTotal = fn(EnergyTotal) -> f64;

/// A host, and the labels of its series.
struct Host<'a> {
    report: &'a HostReport,
    labels: LabelSet,
    gpus: Vec<Gpu<'a>>,
}

/// A GPU, and the labels of its series.
struct Gpu<'a> {
    device: &'a Device,
    labels: LabelSet,
    /// The name of its series in the ledger; none where another host has it.
    series: Option<String>,
}

/// All of a snapshot. Where that would be too much, the hosts are left out, a sample says so, and each can be had
/// [by itself](probe).
pub fn metrics(snapshot: &Snapshot, choice: &Choice, format: Format) -> String {
    let hosts: Vec<Host<'_>> =
        snapshot.batch.reports.iter().map(|report| Host::new(report, choice)).collect();
    let whole = exposition(snapshot, &hosts, 0, format);
    if whole.n_samples() <= choice.max_series {
        return whole.finish();
    }
    exposition(snapshot, &[], hosts.len(), format).finish()
}

/// One host of a snapshot; `None` if it has none of this name.
pub fn probe(snapshot: &Snapshot, node: &str, choice: &Choice, format: Format) -> Option<String> {
    let report = snapshot.batch.reports.iter().find(|report| report.node == node)?;
    let mut exposition = Exposition::new(format);
    of_hosts(&mut exposition, snapshot, &[Host::new(report, choice)]);
    Some(exposition.finish())
}

fn exposition(snapshot: &Snapshot, hosts: &[Host<'_>], left_out: usize, format: Format) -> Exposition {
    let mut exposition = Exposition::new(format);
    of_hosts(&mut exposition, snapshot, hosts);
    of_fleet(&mut exposition, snapshot);
    exposition.gauge(
        "fleetwatt_hosts_left_out",
        "Hosts that are not in this answer, as it would have too many series. Scrape /probe for each target of /sd.",
        one(count(left_out)),
    );
    of_store(&mut exposition, snapshot);
    of_alerts(&mut exposition, snapshot);
    if let Some(account) = &snapshot.batch.account {
        of_account(&mut exposition, account, snapshot);
    }
    exposition
}

fn one(value: impl Into<Option<f64>>) -> impl Iterator<Item = (LabelSet, f64)> {
    value.into().into_iter().map(|value| (LabelSet::default(), value))
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

impl<'a> Host<'a> {
    fn new(report: &'a HostReport, choice: &Choice) -> Self {
        let mut labels = LabelSet::default().with("node", &report.node);
        for label in &choice.labels {
            labels = labels.with(label, report.labels.get(label).map_or("", String::as_str));
        }
        let gpu = |(device, key): (&'a Device, Option<SeriesKey>)| {
            let index = device.index().map(ToString::to_string).unwrap_or_default();
            let uuid = device.uuid().map_or("", SafeText::as_str);
            let labels = labels.clone().with("gpu", &index).with("uuid", uuid);
            Gpu { device, labels, series: key.map(|key| key.to_string()) }
        };
        let gpus = report.gpus.iter().zip(report.series()).map(gpu).collect();
        Self { report, labels, gpus }
    }
}

fn of_hosts(exposition: &mut Exposition, snapshot: &Snapshot, hosts: &[Host<'_>]) {
    let each =
        |value: OfHost| hosts.iter().filter_map(move |host| Some((host.labels.clone(), value(host.report)?)));
    exposition.gauge(
        "fleetwatt_host_up",
        "1 if a host answered in the last cycle, with all of its GPUs or some.",
        each(|report| Some(f64::from(report.outcome.is_up()))),
    );
    exposition.gauge(
        "fleetwatt_host_outcome",
        "How asking a host ended in the last cycle.",
        hosts.iter().map(|host| (host.labels.clone().with("kind", host.report.outcome.label()), 1.0)),
    );
    exposition.gauge(
        "fleetwatt_host_maintenance",
        "1 if the inventory says that somebody works on a host.",
        each(|report| Some(f64::from(report.maintenance))),
    );
    exposition.gauge(
        "fleetwatt_probe_duration_seconds",
        "Time from the question to a host to the end of its answer.",
        each(|report| Some(report.span.answered_at.since(report.span.asked_at).as_secs_f64())),
    );
    exposition.gauge(
        "fleetwatt_host_gpus_reporting",
        "GPUs of a host that gave a power reading in the last cycle.",
        each(|report| Some(count(report.gpus_reporting()))),
    );
    exposition.gauge(
        "fleetwatt_host_gpus_expected",
        "GPUs that a host should have.",
        each(|report| report.gpus_known().map(count)),
    );
    of_gpus(exposition, snapshot, hosts);
}

fn of_gpus(exposition: &mut Exposition, snapshot: &Snapshot, hosts: &[Host<'_>]) {
    let gpus = || hosts.iter().flat_map(|host| &host.gpus);
    exposition.info("fleetwatt_gpu_info", "The model and driver of a GPU.", gpus().map(info));
    let counted = || gpus().filter(|gpu| gpu.series.is_some());
    for quantity in Quantity::of(DeviceKind::Gpu) {
        let Some((name, help)) = quantity.columns().prometheus else { continue };
        let sample =
            |gpu: &Gpu<'_>| Some((gpu.labels.clone(), base_units(&*gpu.device.get(quantity).ok()?)?));
        exposition.gauge(name, help, counted().filter_map(sample));
    }
    exposition.gauge(
        "fleetwatt_gpu_absent",
        "A quantity of a GPU that has no value, and why.",
        gpus().flat_map(absent),
    );
    let total = |gpu: &Gpu<'_>| snapshot.energy.get(gpu.series.as_ref()?).copied();
    let each = |value: OfTotal| gpus().filter_map(move |gpu| Some((gpu.labels.clone(), value(total(gpu)?))));
    exposition.counter(
        "fleetwatt_gpu_energy_joules_total",
        "Energy of a GPU as measured, since its first reading.",
        each(EnergyTotal::joules),
    );
    exposition.counter(
        "fleetwatt_gpu_covered_seconds_total",
        "Time that the energy of a GPU is of.",
        each(EnergyTotal::covered_seconds),
    );
}

fn info(gpu: &Gpu<'_>) -> LabelSet {
    let labels = gpu.labels.clone().with("model", gpu.device.model().map_or("", SafeText::as_str));
    labels.with("driver", gpu.device.driver_version().map_or("", SafeText::as_str))
}

/// The quantities of a GPU that have no value. Where few boards have it at all, that says nothing.
fn absent<'a>(gpu: &'a Gpu<'_>) -> impl Iterator<Item = (LabelSet, f64)> + 'a {
    Quantity::of(DeviceKind::Gpu).filter_map(|quantity| {
        let columns = quantity.columns();
        let name = columns.prometheus?.0.trim_start_matches("fleetwatt_gpu_");
        let reason = match (gpu.device.get(quantity), &gpu.series) {
            (Ok(_), None) => "counted_elsewhere",
            (Ok(_), Some(_)) => return None,
            (Err(absent), _) if columns.role == Role::Extra && absent.reason.is_structural() => return None,
            (Err(absent), _) => absent.reason.label(),
        };
        Some((gpu.labels.clone().with("quantity", name).with("reason", reason), 1.0))
    })
}

/// A value in Prometheus' units: watts, joules, degrees Celsius, ratios, bytes.
fn base_units(value: &Value) -> Option<f64> {
    let number = value.number()?;
    Some(match value {
        Value::Share(share) => share.ratio(),
        Value::Memory(_) => number * 1_048_576.0,
        Value::Energy(energy) => energy.joules(),
        Value::Power(_) | Value::Temperature(_) => number,
        Value::Index(_) | Value::Mask(_) | Value::Switch(_) | Value::Label(_) | Value::Text(_) => {
            return None;
        }
    })
}

fn of_fleet(exposition: &mut Exposition, snapshot: &Snapshot) {
    let (batch, totals) = (&snapshot.batch, snapshot.batch.totals());
    exposition.gauge(
        "fleetwatt_fleet_power_watts",
        "Draw of all GPUs that gave one, each counted once.",
        one(totals.power.map(|power| power.watts())),
    );
    exposition.gauge(
        "fleetwatt_fleet_gpus_reporting",
        "GPUs that gave a power reading in the last cycle.",
        one(count(totals.gpus_reporting)),
    );
    exposition.gauge(
        "fleetwatt_fleet_gpus_expected",
        "GPUs that should have given one.",
        one(count(totals.gpus_expected)),
    );
    exposition.gauge("fleetwatt_fleet_hosts", "Hosts of the inventory.", one(count(batch.reports.len())));
    exposition.gauge(
        "fleetwatt_last_cycle_timestamp_seconds",
        "When the last cycle began.",
        one(batch.started_at.since(Timestamp::from_micros(0)).as_secs_f64()),
    );
    exposition.gauge(
        "fleetwatt_cycle_duration_seconds",
        "Length of the last cycle.",
        one(batch.closed_at().since(batch.started_at).as_secs_f64()),
    );
    exposition.gauge(
        "fleetwatt_config_last_reload_successful",
        "0 if the last edit of the inventory could not be taken.",
        one(f64::from(!snapshot.is_reload_failed)),
    );
    let version = LabelSet::default().with("version", env!("CARGO_PKG_VERSION"));
    exposition.info("fleetwatt_build_info", "The version of fleetwatt.", [version]);
}

fn of_store(exposition: &mut Exposition, snapshot: &Snapshot) {
    let store = &snapshot.store;
    let (waiting, since) = store.waiting.map_or((0, None), |(n_batches, since)| (n_batches, Some(since)));
    let age = since.map(|since| snapshot.batch.closed_at().since(since).as_secs_f64());
    exposition.gauge(
        "fleetwatt_store_up",
        "1 if the database takes what was measured.",
        one(f64::from(store.away.is_none())),
    );
    exposition.gauge(
        "fleetwatt_spool_batches",
        "Batches that wait for the database.",
        one(count(usize::try_from(waiting).unwrap_or(usize::MAX))),
    );
    exposition.gauge(
        "fleetwatt_spool_oldest_seconds",
        "Age of the oldest batch that waits, at the end of the last cycle.",
        one(age.filter(|_| waiting > 0)),
    );
    exposition.counter(
        "fleetwatt_dropped_batches_total",
        "Batches that were dropped since the spool was full or they were too old.",
        one(store.dropped_batches.map(|n_batches| count(usize::try_from(n_batches).unwrap_or(usize::MAX)))),
    );
    exposition.gauge(
        "fleetwatt_dead_letters",
        "Rows that the database refused, which lie aside.",
        one(count(usize::try_from(store.dead_letters).unwrap_or(usize::MAX))),
    );
}

fn of_alerts(exposition: &mut Exposition, snapshot: &Snapshot) {
    let labels = |alert: &crate::alert::Transition| {
        let labels = LabelSet::default().with("rule", alert.rule.label());
        labels.with("severity", alert.severity.label()).with("source", &alert.source)
    };
    exposition.gauge(
        "fleetwatt_alert_active",
        "An alert that is active.",
        snapshot.alerts.iter().map(|alert| (labels(alert), 1.0)),
    );
}

fn of_account(exposition: &mut Exposition, account: &AccountReport, snapshot: &Snapshot) {
    exposition.gauge(
        "fleetwatt_account_up",
        "1 if the account of the battery stations can be read.",
        one(f64::from(account.trouble.is_none())),
    );
    let stations: Vec<_> = account.stations.iter().map(|status| (station_labels(status), status)).collect();
    exposition.info(
        "fleetwatt_battery_info",
        "The model and name of a station.",
        stations.iter().map(|(labels, status)| {
            let labels = labels.clone().with("model", status.station.model.as_str());
            labels.with("name", status.station.name.as_str())
        }),
    );
    exposition.gauge(
        "fleetwatt_battery_up",
        "1 if a station is heard of.",
        stations
            .iter()
            .map(|(labels, status)| (labels.clone(), f64::from(status.presence == Presence::Live))),
    );
    of_stations(exposition, account, &stations, snapshot);
}

fn of_stations(
    exposition: &mut Exposition,
    account: &AccountReport,
    stations: &[(LabelSet, &StationStatus)],
    snapshot: &Snapshot,
) {
    let figure = |quantity: Quantity| {
        let value = move |status: &StationStatus| {
            let reading = last_heard(account, status)?;
            base_units(&*reading.device.get(quantity).ok()?)
        };
        stations.iter().filter_map(move |(labels, status)| Some((labels.clone(), value(status)?)))
    };
    if let Some((name, help)) = Quantity::StateOfCharge.columns().prometheus {
        exposition.gauge(name, help, figure(Quantity::StateOfCharge));
    }
    let flows = FLOWS.iter().flat_map(|(quantity, flow)| {
        figure(*quantity).map(|(labels, watts)| (labels.with("flow", flow.label()), watts))
    });
    if let Some((name, help)) = Quantity::PowerInput.columns().prometheus {
        exposition.gauge(name, help, flows);
    }
    exposition.counter(
        "fleetwatt_station_energy_joules_total",
        "Energy of a station by its flow as measured, since its first reading.",
        snapshot.energy.iter().filter_map(|(series, total)| {
            let (serial, flow) = SeriesKey::station_in(series)?;
            let is_there = |(_, status): &&(_, &StationStatus)| status.station.serial.as_str() == serial;
            let (labels, _) = stations.iter().find(is_there)?;
            Some((labels.clone().with("flow", flow), total.joules()))
        }),
    );
}

fn station_labels(status: &StationStatus) -> LabelSet {
    LabelSet::default().with("station", status.station.serial.as_str())
}

/// The last reading of a station that answers.
fn last_heard<'a>(account: &'a AccountReport, status: &'a StationStatus) -> Option<&'a StationReading> {
    let fresh = account.readings_of(&status.station).next_back();
    fresh.or(status.last.as_ref()).filter(|_| status.presence == Presence::Live)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::fixtures;
    use crate::output::prometheus::checked;

    fn choice() -> Choice {
        Choice::from(&PrometheusSettings::default())
    }

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::from(fixtures::fleet());
        let batch = std::sync::Arc::make_mut(&mut snapshot.batch);
        batch.account = Some(fixtures::station_report());
        let series = batch.reports.iter().flat_map(HostReport::series).flatten().map(|key| key.to_string());
        let total = EnergyTotal { energy_mj: 3_600_000_001, covered_ms: 60_500 };
        let station = ["station:9DNBH3D0PLDBLX1Y:out".to_owned()];
        snapshot.energy = series.chain(station).map(|series| (series, total)).collect();
        snapshot
    }

    fn sample<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
        text.lines().filter(|line| line.starts_with(start)).collect()
    }

    #[test]
    fn a_fleet_reads_like_this() {
        let mut snapshot = snapshot();
        std::sync::Arc::make_mut(&mut snapshot.batch).reports.truncate(1);
        let choice = Choice { labels: vec!["room".to_owned()], ..choice() };
        let text = metrics(&snapshot, &choice, Format::Text);
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        insta::assert_snapshot!(samples.join("\n"));
    }

    #[test]
    fn every_family_is_whole_with_its_unit_and_no_sample_is_doubled() {
        for format in [Format::Text, Format::OpenMetrics] {
            assert_eq!(checked::problems(&metrics(&snapshot(), &choice(), format), format), [""; 0]);
        }
    }

    #[test]
    fn a_lost_gpu_has_no_sample_but_its_reason() {
        let text = metrics(&snapshot(), &choice(), Format::Text);
        let of_node = r#"{node="node001",gpu="5","#;
        assert!(sample(&text, &format!("fleetwatt_gpu_power_watts{of_node}")).is_empty());
        let absent = sample(&text, &format!("fleetwatt_gpu_absent{of_node}"));
        let power = absent.iter().filter(|line| line.contains(r#"quantity="power_watts",reason="gpu_lost""#));
        assert_eq!(power.count(), 1);
    }

    #[test]
    fn a_gpu_that_another_host_counts_is_not_summed_twice() {
        let mut batch = fixtures::fleet();
        let mut alias = batch.reports[0].clone();
        alias.node = "alias".to_owned();
        batch.reports = vec![batch.reports[0].clone(), alias];
        crate::batch::mark_duplicates(&mut batch.reports);
        let text = metrics(&batch.into(), &choice(), Format::Text);
        assert_eq!(sample(&text, "fleetwatt_gpu_power_watts").len(), 1);
        let said = sample(&text, "fleetwatt_gpu_absent{node=\"alias\"");
        assert!(
            said.iter().any(|line| line.contains(r#"quantity="power_watts",reason="counted_elsewhere""#))
        );
    }

    #[test]
    fn too_many_series_leave_the_hosts_out_and_one_can_be_asked_for() {
        let (snapshot, choice) = (snapshot(), Choice { max_series: 100, ..choice() });
        let text = metrics(&snapshot, &choice, Format::Text);
        assert_eq!(sample(&text, "fleetwatt_hosts_left_out"), ["fleetwatt_hosts_left_out 5"]);
        assert!(sample(&text, "fleetwatt_gpu").is_empty() && !sample(&text, "fleetwatt_fleet").is_empty());
        let one = probe(&snapshot, "node001", &choice, Format::Text).unwrap();
        assert_eq!(sample(&one, "fleetwatt_host_up"), [r#"fleetwatt_host_up{node="node001"} 1"#]);
        assert_eq!(sample(&one, "fleetwatt_gpu_power_watts").len(), 7);
        assert_eq!(probe(&snapshot, "nobody", &choice, Format::Text), None);
    }

    #[test]
    fn a_station_that_is_silent_has_no_figures() {
        let mut snapshot = snapshot();
        let account = std::sync::Arc::make_mut(&mut snapshot.batch).account.as_mut().unwrap();
        account.stations[0].presence = Presence::Offline(fixtures::STARTED_AT);
        let text = metrics(&snapshot, &choice(), Format::Text);
        assert!(sample(&text, "fleetwatt_battery_charge").is_empty());
        assert_eq!(
            sample(&text, "fleetwatt_battery_up"),
            [r#"fleetwatt_battery_up{station="9DNBH3D0PLDBLX1Y"} 0"#]
        );
    }
}
