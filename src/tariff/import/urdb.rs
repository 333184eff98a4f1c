//! A rate of OpenEI's Utility Rate Database, as its API answers with `format=json&detail=full`.
//! <https://openei.org/services/doc/rest/util_rates/?version=7>

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::toml_text::{line, quoted, quoted_name, window_line};
use super::urdb_grid::Grid;
use super::{ImportError, ImportOptions, Imported, raw_json};
use crate::tariff::money::{Currency, Money, PricePerKwh};
use crate::tariff::window::{Days, Hours, Months, Window};

const BY_HAND: &str = "write the price that you pay as `per_kwh` of a [[tariff]] by hand";

#[derive(Debug, Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// The fields of a rate that tables can say, and those of which a note says that they are left out.
#[derive(Debug, Deserialize)]
struct Rate<'a> {
    name: Option<String>,
    utility: Option<String>,
    uri: Option<String>,
    startdate: Option<i64>,
    enddate: Option<i64>,
    #[serde(borrow, default)]
    energyratestructure: Vec<Vec<Tier<'a>>>,
    energyweekdayschedule: Option<Vec<Vec<usize>>>,
    energyweekendschedule: Option<Vec<Vec<usize>>>,
    #[serde(default)]
    energytoulabels: Vec<String>,
    #[serde(borrow, default)]
    demandratestructure: Vec<Vec<Tier<'a>>>,
    demandweekdayschedule: Option<Vec<Vec<usize>>>,
    demandweekendschedule: Option<Vec<Vec<usize>>>,
    demandrateunit: Option<String>,
    #[serde(borrow, default)]
    flatdemandstructure: Vec<Vec<Tier<'a>>>,
    flatdemandmonths: Option<Vec<usize>>,
    flatdemandunit: Option<String>,
    #[serde(borrow)]
    fixedchargefirstmeter: Option<&'a RawValue>,
    fixedchargeunits: Option<String>,
    #[serde(borrow)]
    fixedmonthlycharge: Option<&'a RawValue>,
    #[serde(borrow)]
    demandratchetpercentage: Option<&'a RawValue>,
    #[serde(borrow)]
    minmonthlycharge: Option<&'a RawValue>,
    #[serde(borrow)]
    coincidentratestructure: Option<&'a RawValue>,
    #[serde(borrow)]
    demandreactivepowercharge: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Tier<'a> {
    #[serde(borrow)]
    rate: Option<&'a RawValue>,
    #[serde(borrow)]
    adj: Option<&'a RawValue>,
    #[serde(borrow)]
    sell: Option<&'a RawValue>,
    unit: Option<String>,
}

impl Tier<'_> {
    fn micros(&self) -> Result<i64, ImportError> {
        let number = |value: Option<&RawValue>| value.map_or(Ok(0), |value| raw_json::micros(value, 0));
        Ok(number(self.rate)?.saturating_add(number(self.adj)?))
    }
}

/// Tables in the making.
struct Writer<'a> {
    rate: &'a Rate<'a>,
    toml: String,
    notes: Vec<String>,
}

pub(super) fn import(text: &str, options: &ImportOptions<'_>) -> Result<Imported, ImportError> {
    let document: &RawValue = raw_json::parse(text, "OpenEI's Utility Rate Database")?;
    let is_list = raw_json::member(document, "items").is_some();
    let items =
        if is_list { raw_json::parse::<Answer<'_>>(text, "a list of rates")?.items } else { vec![document] };
    let [item] = items.as_slice() else {
        let message = format!("has {} rates", items.len());
        return Err(ImportError::new(message, "ask for one rate by its label, with `getpage`"));
    };
    let rate: Rate<'_> = raw_json::parse(item.get(), "a rate of OpenEI's Utility Rate Database")?;
    if rate.energyratestructure.is_empty() {
        let message = "has no `energyratestructure`: it is no rate of OpenEI's Utility Rate Database, or one without prices";
        return Err(ImportError::new(message, "give the JSON of one rate, with `detail=full`"));
    }
    let mut writer = Writer { rate: &rate, toml: String::new(), notes: Vec::new() };
    writer.notes.push(format!("From OpenEI's Utility Rate Database: {}", rate.title()));
    writer.head(options)?;
    writer.energy()?;
    writer.flat_demand()?;
    writer.demand()?;
    writer.left_out();
    let Writer { toml, notes, .. } = writer;
    Ok(Imported { toml, prices: None, notes })
}

impl Rate<'_> {
    fn title(&self) -> String {
        let parts = [&self.utility, &self.name, &self.uri];
        parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl Writer<'_> {
    fn head(&mut self, options: &ImportOptions<'_>) -> Result<(), ImportError> {
        let name = options.name.or(self.rate.name.as_deref()).unwrap_or("urdb");
        let currency = options.currency.or_else(|| Currency::parse("USD").ok());
        self.toml.push_str("[[tariff]]\n");
        line(&mut self.toml, "name", quoted_name(name, "urdb"));
        line(&mut self.toml, "currency", quoted(currency.as_ref().map_or("USD", Currency::code)));
        if let Some(from) = self.rate.startdate.and_then(day) {
            line(&mut self.toml, "from", quoted(&from.to_string()));
        }
        // The last day on which the rate holds.
        if let Some(until) = self.rate.enddate.and_then(day).and_then(|last| last.tomorrow().ok()) {
            line(&mut self.toml, "until", quoted(&until.to_string()));
        }
        self.fixed()
    }

    fn fixed(&mut self) -> Result<(), ImportError> {
        let units = self.rate.fixedchargeunits.as_deref().unwrap_or("$/month");
        let (value, units) = match (self.rate.fixedchargefirstmeter, self.rate.fixedmonthlycharge) {
            (Some(value), _) => (value, units),
            (None, Some(value)) => (value, "$/month"),
            (None, None) => return Ok(()),
        };
        let amount = Money::from_micros(raw_json::micros(value, 0)?.into());
        match units {
            _ if amount == Money::ZERO => {}
            "$/month" => line(&mut self.toml, "fixed_per_month", amount),
            "$/year" => line(&mut self.toml, "fixed_per_month", amount.share(1, 12)),
            _ => self.notes.push(format!("Left out: the fixed charge of {amount} {units}.")),
        }
        Ok(())
    }

    /// The period with the most hours is `per_kwh`, each other one has its bands.
    fn energy(&mut self) -> Result<(), ImportError> {
        let rate = self.rate;
        let (weekday, weekend) = (rate.energyweekdayschedule.clone(), rate.energyweekendschedule.clone());
        let grid = Grid::new(weekday, weekend, rate.energyratestructure.len())?;
        let hours = grid.hours_by_period();
        let tiers: Result<Vec<(usize, &Tier<'_>)>, ImportError> = hours
            .keys()
            .map(|period| Ok((*period, only_tier(&rate.energyratestructure, *period)?)))
            .collect();
        let tiers = tiers?;
        let base =
            hours.iter().max_by_key(|(_, hours)| **hours).map(|(period, _)| *period).unwrap_or_default();
        let mut bands = String::new();
        for (period, tier) in &tiers {
            let per_kwh = PricePerKwh::from_micros(tier.micros()?);
            if *period == base {
                line(&mut self.toml, "per_kwh", per_kwh);
                continue;
            }
            let label = rate.energytoulabels.get(*period).map(String::as_str).unwrap_or_default();
            let name = quoted_name(label, &format!("period {period}"));
            for window in grid.windows(*period) {
                bands.push_str("[[tariff.band]]\n");
                line(&mut bands, "name", &name);
                window_lines(&mut bands, &window);
                line(&mut bands, "per_kwh", per_kwh);
            }
        }
        self.toml.push_str(&bands);
        self.export(&tiers)
    }

    fn export(&mut self, tiers: &[(usize, &Tier<'_>)]) -> Result<(), ImportError> {
        let sell = |tier: &Tier<'_>| tier.sell.map(|value| raw_json::micros(value, 0)).transpose();
        let prices: Result<Vec<Option<i64>>, ImportError> =
            tiers.iter().map(|(_, tier)| sell(tier)).collect();
        let prices = prices?;
        match prices.first().copied().flatten() {
            Some(price) if prices.iter().all(|other| *other == Some(price)) => {
                self.toml.push_str("[tariff.export]\n");
                line(&mut self.toml, "per_kwh", PricePerKwh::from_micros(price));
            }
            _ if prices.iter().any(Option::is_some) => {
                self.notes.push("Left out: prices of export, which differ by time.".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    /// Charges for the highest demand of a month at any hour.
    fn flat_demand(&mut self) -> Result<(), ImportError> {
        let rate = self.rate;
        if rate.flatdemandstructure.is_empty() || !self.is_kw(rate.flatdemandunit.as_deref()) {
            return Ok(());
        }
        let months = rate.flatdemandmonths.clone().unwrap_or_else(|| vec![0; 12]);
        if months.len() != 12 {
            let hint = "give the JSON of one rate as it was downloaded";
            return Err(ImportError::new("has flatdemandmonths that are not twelve", hint));
        }
        for period in 0..rate.flatdemandstructure.len() {
            let own = (0..12_u32).zip(&months).filter(|(_, own)| **own == period);
            let bits = own.fold(0_u16, |bits, (month, _)| bits | 1 << month);
            if bits != 0 {
                let window = Window { months: Months::from_bits(bits), ..Window::ALWAYS };
                self.charge(None, &[window], only_tier(&rate.flatdemandstructure, period)?)?;
            }
        }
        Ok(())
    }

    /// Charges for the highest demand of a month within some hours.
    fn demand(&mut self) -> Result<(), ImportError> {
        let rate = self.rate;
        if rate.demandratestructure.is_empty() || !self.is_kw(rate.demandrateunit.as_deref()) {
            return Ok(());
        }
        let (weekday, weekend) = (rate.demandweekdayschedule.clone(), rate.demandweekendschedule.clone());
        let grid = Grid::new(weekday, weekend, rate.demandratestructure.len())?;
        for period in grid.hours_by_period().into_keys() {
            let name = format!("demand {period}");
            self.charge(Some(&name), &grid.windows(period), only_tier(&rate.demandratestructure, period)?)?;
        }
        Ok(())
    }

    fn charge(&mut self, name: Option<&str>, windows: &[Window], tier: &Tier<'_>) -> Result<(), ImportError> {
        let per_kw = Money::from_micros(tier.micros()?.into());
        for window in windows.iter().filter(|_| per_kw != Money::ZERO) {
            self.toml.push_str("[[tariff.demand]]\n");
            if let Some(name) = name {
                line(&mut self.toml, "name", quoted(name));
            }
            window_lines(&mut self.toml, window);
            line(&mut self.toml, "per_kw", per_kw);
        }
        Ok(())
    }

    fn is_kw(&mut self, unit: Option<&str>) -> bool {
        let unit = unit.unwrap_or("kW");
        if unit != "kW" {
            self.notes.push(format!("Left out: demand charges by {unit}."));
        }
        unit == "kW"
    }

    fn left_out(&mut self) {
        let rate = self.rate;
        for (value, meaning) in [
            (rate.demandratchetpercentage, "ratchets of the demand"),
            (rate.minmonthlycharge, "the least charge of a month"),
            (rate.coincidentratestructure, "charges for the demand at the system's peak"),
            (rate.demandreactivepowercharge, "the charge for reactive power"),
        ] {
            if value.is_some_and(|value| value.get().contains(|c: char| c.is_ascii_digit() && c != '0')) {
                self.notes.push(format!("Left out: {meaning}."));
            }
        }
    }
}

fn window_lines(to: &mut String, window: &Window) {
    window_line(to, "days", &window.days, &Days::ALL);
    window_line(to, "hours", &window.hours, &Hours::ALL);
    window_line(to, "months", &window.months, &Months::ALL);
}

/// The tier of a period that has no others: which one holds depends on what was used before.
fn only_tier<'a, 'b>(periods: &'b [Vec<Tier<'a>>], period: usize) -> Result<&'b Tier<'a>, ImportError> {
    let tiers = periods.get(period).map(Vec::as_slice).unwrap_or_default();
    let [tier] = tiers else {
        let message = format!(
            "has {} tiers in period {period}, so that its price depends on the use before",
            tiers.len()
        );
        return Err(ImportError::new(message, BY_HAND));
    };
    match tier.unit.as_deref() {
        None | Some("kWh" | "kW") => Ok(tier),
        Some(unit) => {
            Err(ImportError::new(format!("has prices by {}", crate::reading::SafeText::new(unit)), BY_HAND))
        }
    }
}

/// The day of a Unix time: the database has midnight there, which is the same day in UTC.
fn day(seconds: i64) -> Option<Date> {
    let instant = jiff::Timestamp::from_second(seconds).ok()?;
    Some(jiff::tz::TimeZone::UTC.to_datetime(instant).date())
}
