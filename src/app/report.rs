//! `report`: the rows of the ledger in a range, or of the timeline where there is no ledger, with prices, names and the
//! reasons of gaps.

mod alerts;
mod extents;
mod period;
mod reasons;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::tz::TimeZone;

use super::prices::{LoadedTariffs, load_tariffs};
use super::{Error, HostSelection, Settings};
use crate::battery::VENDOR;
use crate::cycle::Memory;
use crate::ledger::{LastSeen, Names, NumberedRow, SeriesKey, SeriesName};
use crate::reading::{Quantity, Quarter, SafeText, Timestamp, event_type};
use crate::report::{
    Bill, By, ChargeSpan, Facts, GapScope, MeasuredRange, Moment, Question, Report, Stack, Tally, Told,
};
use crate::store::{self, AlertEvent, DerivationRules, LedgerReader};
use crate::tariff::{Labels, SITE, TariffBook};
use alerts::alert_rows;
use extents::Extents;

pub use period::{Period, PeriodFault};

/// Rows between two calls that tell the progress.
const ROWS_PER_CALL: u64 = 50_000;

/// Quarters after which an estimate of a battery's hours is too old.
const RUNTIME_AGE: i64 = 4;

/// The remark on a report that is made from the timeline.
const NO_LEDGER: &str = "There is no ledger that this role may read: the energies are computed from the timeline. \
    `fleetwatt store init` makes one.";

/// The question of a report.
#[derive(Debug, Clone)]
pub struct ReportRequest {
    /// The range.
    pub period: Period,
    /// The groupings of its rows.
    pub by: Vec<By>,
    /// Whether what was not measured is estimated, in a column of its own.
    pub is_filled: bool,
    /// Energies that meters said, to be shared out.
    pub bills: Vec<Bill>,
    /// The most rows.
    pub top: Option<usize>,
    /// The charts that are wanted, if any are.
    pub charts: Option<Stack>,
    /// A file of tariffs in the place of the inventory's.
    pub tariff: Option<PathBuf>,
    /// The hosts.
    pub selection: HostSelection,
    /// The present.
    pub now: Timestamp,
}

/// The answer to the question.
#[derive(Debug)]
pub enum ReportOutcome {
    /// The report.
    Report(Box<Report>),
    /// There is no energy in the range.
    NoEnergy(Box<NoEnergy>),
}

/// A range without energy, and where there is some.
#[derive(Debug)]
pub struct NoEnergy {
    /// The beginning of the range.
    pub from: Moment,
    /// The end of the range.
    pub to: Moment,
    /// The IANA name of the zone.
    pub timezone: String,
    /// Where the timeline and its ledger are, without a password.
    pub location: String,
    /// The beginning of the ledger, if there is one.
    pub ledger_from: Option<Moment>,
    /// The first reading of the timeline, if it is known.
    pub timeline_from: Option<Moment>,
}

/// The parts of a report that are known before any row is read.
struct Plan<'a> {
    settings: &'a Settings,
    question: Question,
    book: TariffBook,
    /// The hosts with their labels.
    nodes: BTreeMap<String, Labels>,
    /// The hosts that the report is of, if it is not of all.
    selected: Option<BTreeSet<String>>,
    now: Timestamp,
    notes: Vec<String>,
}

/// The rows of the range, added up, and the names that belong to them.
struct Rows {
    names: Names,
    sum: RowSum,
    last_seen: Vec<LastSeen>,
}

/// Rows, added up.
struct RowSum {
    tally: Tally,
    n_rows: u64,
}

impl RowSum {
    fn add(&mut self, row: &NumberedRow, progress: &mut impl FnMut(Option<u64>)) {
        self.n_rows += 1;
        if self.n_rows.is_multiple_of(ROWS_PER_CALL) {
            progress(Some(self.n_rows));
        }
        self.tally.add(row);
    }
}

/// Makes a report. `progress` is given how many rows were read, and `None` at the end.
///
/// # Errors
/// The range is none, a host is none, prices cannot be read, or the database does not answer.
pub async fn report(
    settings: &Settings,
    request: &ReportRequest,
    mut progress: impl FnMut(Option<u64>) + Send,
) -> Result<ReportOutcome, Error> {
    let plan = Plan::new(settings, request)?;
    let table = &settings.inventory.store.table;
    let Some(mut reader) = LedgerReader::open(&settings.store_url, table).await? else {
        return Ok(plan.no_energy(Extents::default()));
    };
    let outcome = plan.outcome(&mut reader, &mut progress).await;
    progress(None);
    reader.close().await;
    outcome
}

impl<'a> Plan<'a> {
    fn new(settings: &'a Settings, request: &ReportRequest) -> Result<Self, Error> {
        let LoadedTariffs { book, warnings } = load_tariffs(Some(settings), request.tariff.as_deref())?;
        let zone = book.site.zone();
        let range = request.period.quarters(request.now, &zone).map_err(Error::Period)?;
        labels_are_known(settings, request)?;
        let (all, hosts) = (&settings.inventory.hosts, request.selection.of(&settings.inventory)?);
        let selected = !request.selection.is_whole();
        let question = Question {
            range,
            zone,
            by: request.by.clone(),
            is_filled: request.is_filled,
            bills: request.bills.clone(),
            top: request.top,
            charts: request.charts.clone(),
        };
        Ok(Self {
            settings,
            question,
            book,
            nodes: all.iter().map(|host| (host.name.clone(), host.labels.clone())).collect(),
            selected: selected.then(|| hosts.iter().map(|host| host.name.clone()).collect()),
            now: request.now,
            notes: warnings.iter().map(|warning| format!("{}: {}.", warning.message, warning.hint)).collect(),
        })
    }

    async fn outcome(
        &self,
        reader: &mut LedgerReader,
        progress: &mut (impl FnMut(Option<u64>) + Send),
    ) -> Result<ReportOutcome, Error> {
        let has_ledger = reader.access().is_readable();
        let rows = if has_ledger {
            self.rows_of_ledger(reader, progress).await?
        } else {
            self.rows_of_timeline(reader, progress).await?
        };
        let extents = Extents::read(reader, &self.rules()).await?;
        let indices = self.indices(reader, &rows.names).await;
        let facts = Facts {
            names: &rows.names,
            nodes: &self.nodes,
            selected: self.selected.as_ref(),
            indices: &indices,
            tariffs: &self.book,
            calibrations: &self.settings.inventory.energy.calibrations,
            idle_below: self.settings.inventory.energy.ledger.idle_below,
            last_seen: &rows.last_seen,
            now: self.now,
        };
        let measured = MeasuredRange::new(rows.sum.tally, &self.question, facts);
        if measured.is_empty() {
            return Ok(self.no_energy(extents));
        }
        let kept_from = extents.kept_from(self.settings.inventory.store.keep, self.now);
        let told = self.told(reader, &measured, &rows.names, kept_from).await?;
        let mut report = measured.report(&told).map_err(Error::Question)?;
        report.notes.extend(match has_ledger {
            true => extents.notes(&self.question.range, &self.question.zone),
            false => vec![NO_LEDGER.to_owned()],
        });
        report.notes.extend(self.notes.iter().cloned());
        Ok(ReportOutcome::Report(Box::new(report)))
    }

    async fn rows_of_ledger(
        &self,
        reader: &mut LedgerReader,
        progress: &mut (impl FnMut(Option<u64>) + Send),
    ) -> Result<Rows, Error> {
        let names = reader.names().await?;
        let range = &self.question.range;
        let mut sum = self.sum();
        reader.rows(range.clone(), |row: NumberedRow| sum.add(&row, progress)).await?;
        let last_seen = reader.last_seen(range.start).await?;
        Ok(Rows { names, sum, last_seen })
    }

    /// The rows where there is no ledger, which are computed from those of the timeline.
    async fn rows_of_timeline(
        &self,
        reader: &mut LedgerReader,
        progress: &mut (impl FnMut(Option<u64>) + Send),
    ) -> Result<Rows, Error> {
        let mut sum = self.sum();
        let on_row = |row: NumberedRow| sum.add(&row, progress);
        let derived = reader.derive(self.question.range.clone(), &self.rules(), on_row).await?;
        Ok(Rows { names: derived.names, sum, last_seen: derived.last_seen })
    }

    fn sum(&self) -> RowSum {
        let tally = Tally::new(self.question.range.clone(), self.question.zone.clone());
        RowSum { tally, n_rows: 0 }
    }

    fn rules(&self) -> DerivationRules {
        DerivationRules { figures: VENDOR.figures, max_gap: self.settings.inventory.energy.ledger.max_gap }
    }

    /// The indices of boards by the numbers of their series: as the collector's memory has them, if it is here, else as
    /// the timeline has them.
    async fn indices(&self, reader: &mut LedgerReader, names: &Names) -> BTreeMap<i64, u32> {
        let memory = Memory::load(&self.settings.state_dir).unwrap_or_default();
        let mut by_uuid: BTreeMap<String, u32> =
            memory.gpu_indices().map(|(uuid, index)| (uuid.to_owned(), index)).collect();
        let mut uuids = names.series.values().filter_map(|name| SeriesKey::uuid_in(&name.key));
        if uuids.any(|uuid| !by_uuid.contains_key(uuid)) {
            let range = &self.question.range;
            let told = reader.gpu_indices(range.start.start(), range.end.start()).await;
            let told = told.unwrap_or_else(|error| {
                tracing::debug!(%error, "boards are called by their UUID");
                BTreeMap::new()
            });
            for (uuid, index) in told {
                by_uuid.entry(uuid).or_insert(index);
            }
        }
        let index = |(number, name): (&i64, &SeriesName)| {
            Some((*number, *by_uuid.get(SeriesKey::uuid_in(&name.key)?)?))
        };
        names.series.iter().filter_map(index).collect()
    }

    /// The reasons of gaps, and the alerts of the range where charts are wanted.
    async fn told(
        &self,
        reader: &mut LedgerReader,
        measured: &MeasuredRange<'_>,
        names: &Names,
        kept_from: Option<Timestamp>,
    ) -> Result<Told, Error> {
        let range = &self.question.range;
        let has_charts = self.question.charts.is_some();
        let of_boards = measured.gaps().iter().any(|gap| gap.scope == GapScope::Boards);
        let events = match has_charts || of_boards {
            true => reader.alerts(range.start.start()..range.end.start()).await?,
            false => Vec::new(),
        };
        let nodes: BTreeSet<&str> =
            self.nodes.keys().chain(names.nodes.values()).map(String::as_str).collect();
        let mut reasons = Vec::new();
        for gap in measured.gaps() {
            reasons.push(reasons::reason(reader, gap, names, (&events, &nodes), kept_from).await?);
        }
        let is_asked = |event: &AlertEvent| {
            let is_selected = |selected: &BTreeSet<String>| {
                alerts::split(&event.source, &nodes).is_some_and(|(node, _)| selected.contains(node))
            };
            self.selected.as_ref().is_none_or(is_selected)
        };
        let events: Vec<AlertEvent> = events.into_iter().filter(is_asked).collect();
        let alerts = if has_charts { alert_rows(&events, &nodes, &self.question.zone) } else { Vec::new() };
        let (charge, battery_hours) = self.batteries(reader, names).await?;
        Ok(Told { reasons, charge, battery_hours, alerts })
    }

    /// The states of charge where charts are wanted, and the hours that the first battery to be empty lasts, in a report
    /// that goes on to the present.
    async fn batteries(
        &self,
        reader: &mut LedgerReader,
        names: &Names,
    ) -> Result<(Vec<ChargeSpan>, Option<f64>), Error> {
        if self.selected.is_some()
            || !names.series.values().any(|name| SeriesKey::station_in(&name.key).is_some())
        {
            return Ok((Vec::new(), None));
        }
        let range = &self.question.range;
        let soc = VENDOR.figures.iter().find(|(quantity, _)| *quantity == Quantity::StateOfCharge);
        let mut charge = Vec::new();
        if let Some((_, event_type)) = soc.filter(|_| self.question.charts.is_some()) {
            // By quarter, since the hours of some zones begin within those of UTC.
            let spans = reader.charges(event_type, range.clone(), 1).await?;
            let span = |store::ChargeSpan { source: station, from, min, max, mean }| ChargeSpan {
                station,
                from,
                min,
                max,
                mean,
            };
            charge = spans.into_iter().map(span).collect();
        }
        if range.end <= Quarter::at(self.now) {
            return Ok((charge, None));
        }
        let of_late = range.end.plus(-RUNTIME_AGE)..range.end;
        let estimates = reader.charges(event_type::BATTERY_RUNTIME, of_late, 1).await?;
        let last: BTreeMap<String, f64> = estimates.into_iter().map(|one| (one.source, one.mean)).collect();
        Ok((charge, last.into_values().reduce(f64::min)))
    }

    fn no_energy(&self, extents: Extents) -> ReportOutcome {
        let Question { range, zone, .. } = &self.question;
        ReportOutcome::NoEnergy(Box::new(NoEnergy {
            from: moment(range.start, zone),
            to: Moment::new(range.end.start().min(self.now), zone),
            timezone: zone.iana_name().unwrap_or("UTC").to_owned(),
            location: self.settings.store_url.to_string(),
            ledger_from: extents.ledger_start().map(|quarter| moment(quarter, zone)),
            timeline_from: extents.timeline_of(range).map(|quarter| moment(quarter, zone)),
        }))
    }
}

/// That some host has each label that is grouped by, and the site of each bill.
fn labels_are_known(settings: &Settings, request: &ReportRequest) -> Result<(), Error> {
    let hosts = &settings.inventory.hosts;
    let unknown = Error::NoSuchLabel;
    let stack = match &request.charts {
        Some(Stack::By(by)) => Some(by),
        Some(Stack::Auto) | None => None,
    };
    for by in request.by.iter().chain(stack) {
        if let By::Label(key) = by
            && !hosts.iter().any(|host| host.labels.contains_key(key))
        {
            return Err(unknown(SafeText::new(key).to_string()));
        }
    }
    for bill in &request.bills {
        if let Some(site) = &bill.site
            && !hosts.iter().any(|host| bill.is_of(&host.labels))
        {
            return Err(unknown(format!("{SITE}={}", SafeText::new(site))));
        }
    }
    Ok(())
}

fn moment(quarter: Quarter, zone: &TimeZone) -> Moment {
    Moment::new(quarter.start(), zone)
}
