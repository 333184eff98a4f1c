//! The figures of a report, as `report --format json` prints them and every other form shows them.
//!
//! `None` is a figure that is not known or does not apply. It is left out of the JSON; nothing stands in for it. Energies,
//! powers and times are of the measured time: the rest is in no figure but `unmeasured_h`.

use std::fmt;

use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use crate::reading::Timestamp;
use crate::support::named;

/// The name and version of the JSON.
pub const SCHEMA: &str = "fleetwatt.report/1";

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The beginning of the range, in RFC 3339 with the zone's offset.
    pub from: Moment,
    /// The end of the range.
    pub to: Moment,
    /// The present, where the range ends with the quarter-hour that has begun.
    #[serde(skip)]
    pub now: Option<Moment>,
    /// The IANA name of the zone whose days count.
    pub timezone: String,
    /// The fleet in this range.
    pub scope: Scope,
    /// The groups that were asked for, the largest energy first; groups of time in the order of time.
    pub rows: Vec<Row>,
    /// All of them together.
    pub total: Row,
    /// The cost by currency: energy, demand and fixed charges. Empty without a tariff.
    pub costs: Vec<Cost>,
    /// The energy by band of the tariffs, the lowest mean price first. Empty without a tariff.
    pub bands: Vec<Band>,
    /// The battery stations and what they fed. `None` without a station.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supply: Option<Supply>,
    /// The largest times that were not measured, by GPU-hours; the last may stand for all that are smaller.
    pub gaps: Vec<Gap>,
    /// Remarks that a reader needs for the figures, in sentences.
    pub notes: Vec<String>,
    /// The further figures that the page draws. `None` where nobody asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charts: Option<Box<Charts>>,
}

impl Report {
    /// The end of the range for a person: not in the future.
    pub fn end(&self) -> &Moment {
        self.now.as_ref().unwrap_or(&self.to)
    }
}

/// An instant with the offset of the report's zone at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment(pub jiff::ZonedDateTime);

impl Moment {
    /// An instant in a zone.
    pub fn new(instant: Timestamp, zone: &TimeZone) -> Self {
        let instant = jiff::Timestamp::from_microsecond(instant.micros()).unwrap_or_default();
        Self(instant.to_zoned_datetime(zone.clone()))
    }
}

/// RFC 3339 to the second: `2026-10-28T00:00:00-05:00`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%S%:z"))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The fleet of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// Local days, begun ones too.
    pub days: usize,
    /// Number of nodes that have GPUs in the report.
    pub nodes: usize,
    /// Number of GPUs in the report.
    pub gpus: usize,
    /// The values of the label `site`, in the order of their names.
    pub sites: Vec<String>,
    /// Nodes of the inventory that gave no reading at all in the range, so that their number of GPUs is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silent_nodes: Vec<String>,
    /// The grouping of the rows: `node`, `gpu`, `model`, `label:KEY`, `day`, `hour`, `quarter`, `band`, `month`.
    pub by: Vec<String>,
}

/// The most nodes that a sentence names.
const MAX_NAMED_NODES: usize = 5;

impl Scope {
    /// The nodes that gave no reading, at most five by name; `None` of none.
    pub fn silent_in_words(&self) -> Option<String> {
        let names: Vec<&str> = self.silent_nodes.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| named(&names, MAX_NAMED_NODES))
    }
}

/// A group of the report, or its total: the columns of the contract in their order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The beginning of its time.
    pub from: Moment,
    /// The end of its time.
    pub to: Moment,
    /// Its name; of two groups both, joined by ` / `. `total` for the total.
    pub group: String,
    /// Number of GPUs.
    pub gpus: usize,
    /// The measured energy.
    pub energy_kwh: f64,
    /// The expanded uncertainty (k = 2) of the energy, to two significant digits; `None` if all of it is an estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub u_kwh: Option<f64>,
    /// The measured part of the time, 0 to 1; `None` of no time at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_share: Option<f64>,
    /// GPU-hours that were not measured.
    pub unmeasured_h: f64,
    /// The energy over the measured time: of a group the sum of its GPUs' means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_w: Option<f64>,
    /// The highest reading; of a single GPU only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_w: Option<f64>,
    /// The highest quarter-hour of the group's sum, of those that were measured to 90 % or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_quarter_kw: Option<f64>,
    /// The beginning of that quarter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_quarter_at: Option<Moment>,
    /// The energy of quarters in which the GPU did not work; `None` where no utilization is known, as of rolled-up days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_kwh: Option<f64>,
    /// The cost of its energy; `None` without a tariff, or with several currencies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_cost: Option<f64>,
    /// The currency, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The cost of its idle energy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_cost: Option<f64>,
    /// Carbon dioxide; `None` without an intensity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub co2_kg: Option<f64>,
    /// The mean carbon intensity of the energy that has one, in g/kWh; the factor of the site is not in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub co2_g_per_kwh: Option<f64>,
    /// Its part of the report's energy, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The energy whose price is not known. `None` of nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpriced_kwh: Option<f64>,
    /// The energy of boards whose driver estimates it. `None` of nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_kwh: Option<f64>,
    /// The calibration's part of the uncertainty (k = 2), as a share of the energy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub u_calibration_share: Option<f64>,
    /// The sampling's part of the uncertainty (k = 2), as a share of the energy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub u_sampling_share: Option<f64>,
    /// With `--fill mean`: the energy of what was not measured, at the mean of what was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filled_kwh: Option<f64>,
    /// With `--bill`: its part of what the meter said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_kwh: Option<f64>,
    /// The models of its GPUs with their numbers, the most frequent first; of groups of nodes or boards only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelCount>,
    /// The node, of a row of a GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Since when nothing was measured, if that is so at the range's end; of a node or board only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down_since: Option<Moment>,
}

impl Row {
    /// Whether nothing of it was measured: its energy is not known then, and not 0.
    pub fn is_unmeasured(&self) -> bool {
        is_unmeasured(self.measured_share, self.energy_kwh)
    }
}

fn is_unmeasured(measured_share: Option<f64>, energy_kwh: f64) -> bool {
    measured_share.is_none_or(|share| share <= 0.0) && energy_kwh <= 0.0
}

/// GPUs of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelCount {
    /// The model as its driver calls it.
    pub model: String,
    /// Number of GPUs.
    pub gpus: usize,
}

/// The cost in a currency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// Its code, such as `EUR`.
    pub currency: String,
    /// The energy at its prices; `None` if no energy has a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_cost: Option<f64>,
    /// The expanded uncertainty (k = 2) of the cost, of energy and demand, to two significant digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub u_cost: Option<f64>,
    /// Demand charges of the months that are charged.
    pub demand_cost: f64,
    /// Fixed charges of the months that are charged.
    pub fixed_cost: f64,
    /// All three; `None` if no energy has a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// The cost of idle energy, which is within the energy's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_cost: Option<f64>,
    /// The charges by month and tariff, those that are only shown too.
    pub charges: Vec<Charge>,
}

/// A demand or fixed charge of a month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Charge {
    /// `demand` or `fixed`.
    pub kind: ChargeKind,
    /// The month, as `2026-11`.
    pub month: String,
    /// The name of the tariff.
    pub tariff: String,
    /// The charge.
    pub cost: f64,
    /// Whether it is in the cost; else the range begins after the month's beginning, and it is only shown.
    pub is_charged: bool,
    /// Whether the range goes on to the month's end, its readings begin no later than the month, and, of demand, all its
    /// quarter-hours are still kept.
    pub is_complete: bool,
    /// Of demand: the price of a kilowatt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_kw: Option<f64>,
    /// Of demand: the highest quarter-hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_kw: Option<f64>,
    /// The beginning of that quarter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_at: Option<Moment>,
}

/// The kind of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChargeKind {
    /// For the highest quarter-hour.
    Demand,
    /// For each month.
    Fixed,
}

/// A band of a tariff; the last may be the energy without a price.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Band {
    /// Its name; `standard` for a tariff's price outside of its bands.
    pub name: String,
    /// Its energy.
    pub energy_kwh: f64,
    /// The cost of it; `None` where there is no price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_cost: Option<f64>,
    /// The currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The mean price of a kilowatt-hour. The cost is this times the energy and the PUE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_price: Option<f64>,
}

/// A time that was not measured, of neighbouring series with one cause.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    /// Its number on the page, the most GPU-hours first; `None` of the rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<usize>,
    /// The nodes or boards: `hgx-[037-048]`, `hgx-05 GPU 6`, `all nodes`; `single readings` for the rest.
    pub what: String,
    /// Its beginning, to the quarter-hour; `None` of a rest, which is spread over the range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Moment>,
    /// Its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Moment>,
    /// The GPU-hours that were not measured. All gaps sum to `unmeasured_h` of the total.
    pub gpu_hours: f64,
    /// Why, in the words of the product.
    pub reason: String,
    /// More of it, or advice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Battery stations and what they fed, in quarters in which their flows were measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Supply {
    /// The stations' models and serial numbers as they are shown.
    pub stations: Vec<String>,
    /// All that went out to loads: sun, battery and grid together.
    pub load_kwh: f64,
    /// The energy of the panels.
    pub solar_kwh: f64,
    /// The energy from the grid.
    pub grid_kwh: f64,
    /// Of the load: from the sun at that time.
    pub sun_direct_kwh: f64,
    /// Of the load: from the battery.
    pub battery_out_kwh: f64,
    /// Of the load: from the grid at that time.
    pub grid_direct_kwh: f64,
    /// Into the battery.
    pub battery_in_kwh: f64,
    /// 1 - what came from the grid, directly or through the battery, over the load; `None` without a load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_sufficiency: Option<f64>,
    /// The battery's output over its input; `None` where nothing went in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip: Option<f64>,
    /// Hours that the battery lasts at the present draw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours_left: Option<f64>,
    /// The measured part of the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_share: Option<f64>,
    /// The rule by which energy from the battery is priced.
    pub battery_rule: String,
    /// The price of a kilowatt-hour out of the battery by that rule; `None` where not all that charged it has a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub battery_price: Option<f64>,
    /// The currency of that price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// The figures of the page's charts, and its tables of nodes, boards and alerts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Charts {
    /// A row a node, the largest energy first.
    pub nodes: Vec<NodeRow>,
    /// A row a board. Empty above [`MAX_BOARD_ROWS`].
    pub gpus: Vec<Row>,
    /// Power over time, stacked.
    pub power: PowerStack,
    /// Energy and cost over time, by band.
    pub periods: Periods,
    /// Mean power by hour of the week: Monday first, 24 hours each; `None` below seven days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub week: Option<Week>,
    /// The stations' energies over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supply: Option<SupplyCharts>,
    /// Alerts that were raised in the range, in the order of time.
    pub alerts: Vec<AlertRow>,
}

/// The most boards that have rows of their own on the page.
pub const MAX_BOARD_ROWS: usize = 2_000;

/// A node of the page's table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeRow {
    /// Its figures.
    #[serde(flatten)]
    pub row: Row,
    /// Its energy by local day, in kWh; `None` of a day of which less than 2 % was measured.
    pub days_kwh: Vec<Option<f64>>,
}

/// Power over time, stacked by member.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PowerStack {
    /// The grouping: `node`, `label:KEY`, `model`, `site`.
    pub by: String,
    /// At most seven members, the largest first, then the rest together if there is one.
    pub members: Vec<StackMember>,
    /// Quarter-hours of a column: 1, or a power of two where the range has more than 3,000.
    pub quarters_per_column: usize,
    /// Number of columns; the first one begins at the report's `from`, and the last may be cut by its end.
    pub columns: usize,
    /// For each column: the measured part of all boards that were expected, 0 to 1; 1 where none was.
    pub measured: Vec<f64>,
}

/// A member of the stack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StackMember {
    /// Its name, such as `hgx-01` or `5 more nodes`.
    pub name: String,
    /// Its energy.
    pub energy_kwh: f64,
    /// Its part of all energy, 0 to 1.
    pub share: f64,
    /// Whether it is the rest.
    pub is_rest: bool,
    /// Its mean power in each column (energy over the column's whole time, so that area is energy), in whole watts; `None`
    /// where nothing of it was measured.
    pub watts: Vec<Option<i64>>,
    /// Its energy in each of the bars of `periods`; `None` where nothing of it was measured.
    pub periods_kwh: Vec<Option<f64>>,
}

/// Energy and cost by day, hour, week or month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Periods {
    /// `hour`, `day`, `week` or `month`.
    pub unit: String,
    /// The names of the parts of each bar, the lowest price first, as in the report's `bands`; one `energy` without tariffs.
    pub parts: Vec<String>,
    /// The bars in the order of time.
    pub bars: Vec<PeriodBar>,
}

/// A bar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeriodBar {
    /// Its beginning.
    pub from: Moment,
    /// Its end.
    pub to: Moment,
    /// Its whole length in hours: 23 or 25 on two days of a year.
    pub hours: f64,
    /// Its energy.
    pub energy_kwh: f64,
    /// The energy of each part, in the order of `parts`.
    pub parts_kwh: Vec<f64>,
    /// The cost of each part; `None` without a price.
    pub parts_cost: Vec<Option<f64>>,
    /// The cost; `None` without a tariff or with several currencies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy_cost: Option<f64>,
    /// The measured part, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_share: Option<f64>,
}

impl PeriodBar {
    /// Whether nothing of it was measured; of one before the first reading, nothing was to be.
    pub fn is_unmeasured(&self) -> bool {
        is_unmeasured(self.measured_share, self.energy_kwh)
    }
}

/// Mean power by hour of the week.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Week {
    /// Monday to Sunday, 24 hours each, in kilowatts; `None` without a quarter that was measured to 90 %.
    pub mean_kw: Vec<Vec<Option<f64>>>,
    /// Whether the hour is in the dearest band of the site with most energy; all `false` without bands.
    pub is_peak: Vec<Vec<bool>>,
    /// The name of that band.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_band: Option<String>,
    /// The site whose band it is, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_site: Option<String>,
}

/// The stations' energies by period and of a mean day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SupplyCharts {
    /// By day; by quarter-hour up to three days.
    pub bars: Vec<SupplyBar>,
    /// The mean day, by hour; empty up to three days.
    pub mean_day: Vec<SupplyBar>,
    /// The lowest and highest state of charge of each bar, in percent.
    pub charge: Vec<Option<(f64, f64)>>,
    /// The mean state of charge by hour of the day, in percent; empty up to three days.
    pub charge_by_hour: Vec<Option<f64>>,
}

/// A bar of the supply: energies of a day, or mean powers of an hour (kW, as kWh in an hour).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SupplyBar {
    /// Its beginning; of the mean day, the first such hour of the range.
    pub from: Moment,
    /// Sun used directly.
    pub sun_kwh: f64,
    /// Out of the battery.
    pub battery_kwh: f64,
    /// From the grid.
    pub grid_kwh: f64,
    /// Into the battery.
    pub into_battery_kwh: f64,
    /// Whether all of it was measured; of the mean day, whether each station was at some time.
    pub is_whole: bool,
    /// The measured part of its time, 0 to 1: 0 where nothing was measured, and its energies are not known.
    pub measured_share: f64,
}

/// An alert of the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertRow {
    /// When it was raised.
    pub from: Moment,
    /// When it was over; `None` if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Moment>,
    /// Whether it is critical; else it is a warning.
    pub is_critical: bool,
    /// The rule.
    pub rule: String,
    /// The node or device.
    pub subject: String,
    /// Its message.
    pub message: String,
}
