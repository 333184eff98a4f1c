//! Day-ahead prices of ENTSO-E's transparency platform: document type A44, `Publication_MarketDocument`.
//! <https://documenter.getpostman.com/view/7009892/2s93JtP3F6> (its RESTful API) and its implementation guide: prices
//! by `position` in a period; with curve type A03 a position that is missing has the price of the one before.

use roxmltree::{Document, Node};

use super::prices::{PriceRow, price_csv, quarter};
use super::{ImportError, ImportOptions, Imported, toml_text};
use crate::reading::{Quarter, SafeText};
use crate::tariff::money::{Currency, PricePerKwh};
use crate::tariff::number;
use crate::tariff::price_file::MAX_ROWS;

/// Prices are for a megawatt-hour.
const THOUSANDTHS: i32 = -3;

const AS_DOWNLOADED: &str = "give the XML of document type A44 as it was downloaded";

/// A series of the document.
struct TimeSeries<'a, 'i> {
    node: Node<'a, 'i>,
    /// The day-ahead auction first, then by the number of the auction; the coupled one has none or the lowest.
    rank: (bool, u32),
}

/// A period, with its prices.
struct Period {
    start: Quarter,
    end: Quarter,
    rows: Vec<PriceRow>,
}

pub(super) fn import(text: &str, options: &ImportOptions<'_>) -> Result<Imported, ImportError> {
    let document = Document::parse(text.trim_start_matches('\u{feff}'))
        .map_err(|error| ImportError::new(format!("is not XML: {error}"), AS_DOWNLOADED))?;
    let root = document.root_element();
    check_root(root)?;
    let mut series: Vec<TimeSeries<'_, '_>> = children(root, "TimeSeries").map(TimeSeries::new).collect();
    series.sort_by_key(|series| series.rank);
    let currency = currency(&series)?;
    let (periods, n_left_out) = chosen_periods(&series)?;
    let mut notes = vec!["From ENTSO-E: the market's price alone.".to_owned()];
    if let Some(zone) = series.first().and_then(|series| text_of(series.node, "in_Domain.mRID")) {
        notes.push(format!("Bidding zone {zone}."));
    }
    notes.push(
        "Write what your supplier adds to each kilowatt-hour as `add`, and the tax as `factor`.".to_owned(),
    );
    if n_left_out > 0 {
        notes.push(format!("Left out: {n_left_out} periods of other auctions for the same times."));
    }
    let rows = periods.into_iter().flat_map(|period| period.rows).collect();
    Ok(toml_text::with_prices("entsoe", currency, price_csv(rows)?, notes, options))
}

/// The platform answers a question without result by an acknowledgement with its reason.
fn check_root(root: Node<'_, '_>) -> Result<(), ImportError> {
    let name = root.tag_name().name();
    let reason = child(root, "Reason").and_then(|reason| text_of(reason, "text"));
    if let Some(reason) = reason.filter(|_| name == "Acknowledgement_MarketDocument") {
        let message = format!("has no prices: {}", SafeText::new(reason));
        return Err(ImportError::new(message, "ask for another zone or time"));
    }
    let kind = text_of(root, "type").unwrap_or_default();
    if name != "Publication_MarketDocument" || kind != "A44" {
        let found = SafeText::new(name);
        let message = format!("is a {found} of type \"{}\"", SafeText::new(kind));
        return Err(ImportError::new(message, AS_DOWNLOADED));
    }
    Ok(())
}

fn currency(series: &[TimeSeries<'_, '_>]) -> Result<Currency, ImportError> {
    let text = |name| series.iter().map(move |series| text_of(series.node, name).unwrap_or_default());
    if let Some(unit) = text("price_Measure_Unit.name").find(|unit| *unit != "MWH") {
        let message = format!("has prices for \"{}\" instead of MWH", SafeText::new(unit));
        return Err(ImportError::new(message, AS_DOWNLOADED));
    }
    let mut codes = text("currency_Unit.name");
    let first = codes.next().unwrap_or_default();
    if codes.any(|code| code != first) {
        return Err(ImportError::new("has prices in several currencies", "import them apart"));
    }
    Currency::parse(first)
        .map_err(|invalid| ImportError::new(format!("has a currency that {invalid}"), AS_DOWNLOADED))
}

/// The periods of the first auction for each time, and how many there are of others.
fn chosen_periods(series: &[TimeSeries<'_, '_>]) -> Result<(Vec<Period>, usize), ImportError> {
    let (mut chosen, mut n_left_out) = (Vec::<(Period, (bool, u32))>::new(), 0);
    for TimeSeries { node, rank } in series {
        let repeats = text_of(*node, "curveType") == Some("A03");
        for period in children(*node, "Period") {
            let period = Period::new(period, repeats)?;
            let overlaps = |other: &Period| other.start < period.end && period.start < other.end;
            if chosen.iter().any(|(other, before)| before < rank && overlaps(other)) {
                n_left_out += 1;
            } else {
                chosen.push((period, *rank));
            }
        }
    }
    Ok((chosen.into_iter().map(|(period, _)| period).collect(), n_left_out))
}

impl<'a, 'i> TimeSeries<'a, 'i> {
    fn new(node: Node<'a, 'i>) -> Self {
        let is_other = text_of(node, "contract_MarketAgreement.type").is_some_and(|kind| kind != "A01");
        let auction = text_of(node, "classificationSequence_AttributeInstanceComponent.position");
        Self { node, rank: (is_other, auction.and_then(|number| number.parse().ok()).unwrap_or_default()) }
    }
}

impl Period {
    fn new(node: Node<'_, '_>, repeats: bool) -> Result<Self, ImportError> {
        let interval = child(node, "timeInterval");
        let time = |name| quarter(interval.and_then(|interval| text_of(interval, name)).unwrap_or_default());
        let (start, end) = (time("start")?, time("end")?);
        let step = match text_of(node, "resolution") {
            Some("PT15M") => 1,
            Some("PT30M") => 2,
            Some("PT60M" | "PT1H") => 4,
            other => {
                let message = format!("has the resolution \"{}\"", SafeText::new(other.unwrap_or_default()));
                return Err(ImportError::new(message, "ask for prices by 15, 30 or 60 minutes"));
            }
        };
        let n_positions = usize::try_from(end.since(start) / step).unwrap_or_default();
        if n_positions == 0 || n_positions > MAX_ROWS || end.since(start) % step != 0 {
            let message = format!("has a period of {} quarter-hours", end.since(start));
            return Err(ImportError::new(message, AS_DOWNLOADED));
        }
        let prices = positions(node, n_positions, repeats)?;
        let starts = (0..).map(|at: i64| start.plus(at.saturating_mul(step)));
        let rows = starts
            .zip(prices)
            .filter_map(|(start, price)| Some(PriceRow { start, end: start.plus(step), price: price? }));
        Ok(Self { start, end, rows: rows.collect() })
    }
}

/// The price of each position; those that are missing have that of the one before, if the curve type says so.
fn positions(
    period: Node<'_, '_>,
    count: usize,
    repeats: bool,
) -> Result<Vec<Option<PricePerKwh>>, ImportError> {
    let mut prices = vec![None; count];
    for point in children(period, "Point") {
        let position = text_of(point, "position").unwrap_or_default();
        let amount = text_of(point, "price.amount").unwrap_or_default();
        let at = position.parse::<usize>().ok().and_then(|position| position.checked_sub(1));
        let slot = at.and_then(|at| prices.get_mut(at));
        let (Some(slot), Some(micros)) = (slot, number::micros(amount, THOUSANDTHS)) else {
            let (position, amount) = (SafeText::new(position), SafeText::new(amount));
            let message = format!("has the price \"{amount}\" at position \"{position}\" of {count}");
            return Err(ImportError::new(message, AS_DOWNLOADED));
        };
        *slot = Some(PricePerKwh::from_micros(micros));
    }
    let mut before = None;
    for price in prices.iter_mut().filter(|_| repeats) {
        *price = price.or(before);
        before = *price;
    }
    Ok(prices)
}

fn children<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn child<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'static str) -> Option<Node<'a, 'i>> {
    children(node, name).next()
}

fn text_of<'a>(node: Node<'a, '_>, name: &'static str) -> Option<&'a str> {
    child(node, name)?.text().map(str::trim)
}
