//! The energy and cost of the local day so far, from the rows that each cycle adds to the ledger.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::Settings;
use super::price_error::PriceError;
use super::prices::{LoadedTariffs, folder_of, read_files};
use crate::batch::Today;
use crate::ledger::{Calibrations, DayTotals, EnergyRow, SeriesKey};
use crate::reading::{Energy, Quarter, Share, Timestamp, error_chain};
use crate::tariff::{Currency, Labels, LocalQuarter, Money, Priced, Resolver, TariffBook, day_quarters};

/// Price files are read again after this time: those of tomorrow come once a day.
const READ_AGAIN_AFTER: Duration = Duration::from_hours(1);

/// Adds up the day.
#[derive(Debug)]
pub(super) struct DayMeter {
    zone: TimeZone,
    calibrations: Calibrations,
    /// As the inventory has them, and the folder of their price files.
    written: (TariffBook, PathBuf),
    /// With their price files; `None` until they are read.
    tariffs: Option<TariffBook>,
    loading: Option<JoinHandle<Result<LoadedTariffs, PriceError>>>,
    /// When the last reading of price files began.
    loaded_at: Option<Instant>,
    /// The labels of each node that a tariff asks for, as JSON: nodes of one group have one price.
    groups: BTreeMap<String, String>,
}

impl DayMeter {
    /// With the prices and labels of these settings.
    pub(super) fn new(settings: &Settings) -> Self {
        let energy = &settings.inventory.energy;
        let tariffs = &energy.tariff_book;
        let asked = |key: &String| {
            tariffs.tariffs.as_slice().iter().any(|tariff| tariff.applies_to.contains_key(key))
        };
        let group = |labels: &Labels| {
            let labels: BTreeMap<_, _> = labels.iter().filter(|(key, _)| asked(key)).collect();
            serde_json::to_string(&labels).unwrap_or_default()
        };
        let hosts = settings.inventory.hosts.iter();
        Self {
            zone: tariffs.site.zone(),
            calibrations: energy.calibrations.clone(),
            written: (tariffs.clone(), folder_of(&settings.inventory_path)),
            tariffs: None,
            loading: None,
            loaded_at: None,
            groups: hosts.map(|host| (host.name.clone(), group(&host.labels))).collect(),
        }
    }

    /// Begins to read the prices, if they were not read lately.
    pub(super) fn begin_prices(&mut self) {
        let (written, base) = &self.written;
        if written.tariffs.as_slice().iter().all(|tariff| tariff.prices.is_none()) {
            self.tariffs.get_or_insert_with(|| written.clone());
            return;
        }
        if self.loading.is_none() && self.loaded_at.is_none_or(|at| READ_AGAIN_AFTER <= at.elapsed()) {
            self.loaded_at = Some(Instant::now());
            let (book, base) = (TariffBook { carbon: None, ..written.clone() }, base.clone());
            self.loading = Some(tokio::task::spawn_blocking(move || read_files(book, &base)));
        }
    }

    /// Reads the prices, if they were not read lately, and waits so long for them. To be called before [`Self::today`].
    pub(super) async fn read_prices(&mut self, within: Duration) {
        self.begin_prices();
        let Some(loading) = &mut self.loading else { return };
        let Ok(loaded) = timeout(within, loading).await else { return };
        self.loading = None;
        match loaded {
            Ok(Ok(loaded)) => self.tariffs = Some(loaded.book),
            Ok(Err(error)) => {
                tracing::warn!(error = error_chain(&error), "the day so far is said without its cost");
            }
            Err(error) => tracing::debug!(%error, "price files were not read"),
        }
    }

    /// The totals of the day of an instant, with the rows of its cycle.
    pub(super) fn after(&self, totals: &DayTotals, rows: &[EnergyRow], at: Timestamp) -> DayTotals {
        let rows: Vec<EnergyRow> = rows.iter().map(|row| self.calibrated(row)).collect();
        let group = |row: &EnergyRow| self.groups.get(&row.node).map_or("{}", String::as_str);
        totals.after(&self.day(at), rows.iter().map(|row| (group(row), row)))
    }

    /// The day so far in words and numbers, with so many GPUs that should have been measured; `None` if nothing
    /// of it was measured.
    pub(super) fn today(&self, totals: &DayTotals, at: Timestamp, gpus_expected: usize) -> Option<Today> {
        let day = self.day(at);
        if !totals.is_of(&day) || totals.covered_ms() == 0 {
            return None;
        }
        let elapsed = i64::try_from(at.since(day.start.start()).as_millis()).ok()?;
        let whole = elapsed.saturating_mul(i64::try_from(gpus_expected).ok()?);
        let measured = totals.covered_ms().saturating_mul(100_000).checked_div(whole);
        let energy = totals.energies().map(|(_, _, energy)| energy.millijoules()).sum();
        Some(Today {
            energy: Energy::from_millijoules(energy),
            costs: self.costs(totals, day),
            measured: measured.map(|share| Share::from_millipercent(share.min(100_000))),
        })
    }

    /// The cost by currency; nothing where a part has no price.
    fn costs(&self, totals: &DayTotals, day: Range<Quarter>) -> Vec<(Currency, Money)> {
        let Some(TariffBook { site, tariffs, .. }) = &self.tariffs else { return Vec::new() };
        let mut resolver = Resolver::new(tariffs, day, &self.zone);
        let mut costs: BTreeMap<Currency, Priced> = BTreeMap::new();
        // A quarter that has only begun needs no price yet.
        let energies = totals.energies().filter(|(.., energy)| *energy != Energy::default());
        for (group, quarter, energy) in energies {
            let labels: Labels = serde_json::from_str(group).unwrap_or_default();
            let table = resolver.site(&labels);
            let price = resolver.table(table).and_then(|table| table.at(quarter).ok());
            let tariff = price.and_then(|price| tariffs.as_slice().get(price.tariff));
            let Some((price, tariff)) = price.zip(tariff) else { return Vec::new() };
            costs.entry(tariff.currency).or_default().add(site.pue().apply(energy), Ok(price));
        }
        costs.into_iter().map(|(currency, priced)| (currency, priced.cost.to_money())).collect()
    }

    /// The quarters of the local day of an instant.
    fn day(&self, at: Timestamp) -> Range<Quarter> {
        day_quarters(LocalQuarter::new(Quarter::at(at), &self.zone).date, &self.zone)
    }

    /// A row with the energy that a board's own measurement makes of it.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a gain has fewer digits than a float"
    )]
    fn calibrated(&self, row: &EnergyRow) -> EnergyRow {
        let mut row = row.clone();
        let (_, calibration) = self.calibrations.of(SeriesKey::uuid_in(&row.series), &row.model);
        row.entry.energy_mj = (row.entry.energy_mj as f64 * calibration.gain).round() as i64;
        row
    }
}
