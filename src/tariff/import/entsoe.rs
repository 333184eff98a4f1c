//! Day-ahead prices of ENTSO-E's transparency platform: document type A44, `Publication_MarketDocument`.
//! <https://documenter.getpostman.com/view/7009892/2s93JtP3F6> (its RESTful API) and its implementation guide: prices
//! by `position` in a period; with curve type A03 a position that is missing has the price of the one before.

use roxmltree::{Document, Node};

use super::prices::{PriceRow, price_csv, quarter};
use super::{ImportError, ImportOptions, Imported, toml_text};
use crate::reading::SafeText;
use crate::support::counted;
use crate::tariff::money::{Currency, PricePerKwh};
use crate::tariff::number;
use crate::tariff::price_file::MAX_ROWS;

/// Prices are for a megawatt-hour.
const THOUSANDTHS: i32 = -3;

const AS_DOWNLOADED: &str = "give the XML of document type A44 as it was downloaded";

pub(super) fn import(text: &str, options: &ImportOptions<'_>) -> Result<Imported, ImportError> {
    let document = Document::parse(text.trim_start_matches('\u{feff}'))
        .map_err(|error| ImportError::new(format!("is not XML: {error}"), AS_DOWNLOADED))?;
    let root = document.root_element();
    check_root(root)?;
    let (series, others): (Vec<Node<'_, '_>>, Vec<_>) = children(root, "TimeSeries").partition(is_coupled);
    if series.is_empty() && !others.is_empty() {
        let hint = "ask again when the coupled day-ahead auction is published, in the afternoon before";
        return Err(ImportError::new("has prices of other auctions alone", hint));
    }
    let currency = currency(&series)?;
    let mut notes = vec!["From ENTSO-E: the market's price alone.".to_owned()];
    if let Some(zone) = series.first().and_then(|series| text_of(*series, "in_Domain.mRID")) {
        notes.push(format!("Bidding zone {zone}."));
    }
    notes.push(
        "Write what your supplier adds to each kilowatt-hour as `add`, and the tax as `factor`.".to_owned(),
    );
    if !others.is_empty() {
        notes.push(format!("Left out: {} of other auctions.", counted(others.len(), "series", "series")));
    }
    let mut rows = Vec::new();
    for (period, repeats) in series.iter().flat_map(|series| periods(*series)) {
        rows.extend(period_rows(period, repeats)?);
        if rows.len() > MAX_ROWS {
            break; // Told below.
        }
    }
    Ok(toml_text::with_prices("entsoe", currency, price_csv(rows)?, notes, options))
}

/// Whether a series is of the coupled day-ahead auction. It has no number or 1; Germany and Austria have those of a
/// smaller auction (EXAA) as number 2, hours before: <https://github.com/EnergieID/entsoe-py/issues/422>.
fn is_coupled(series: &Node<'_, '_>) -> bool {
    let auction = text_of(*series, "classificationSequence_AttributeInstanceComponent.position");
    let is_day_ahead = text_of(*series, "contract_MarketAgreement.type").is_none_or(|kind| kind == "A01");
    is_day_ahead && auction.is_none_or(|number| number == "1")
}

/// The periods of a series, with whether a position that is missing repeats the one before.
fn periods<'a, 'i: 'a>(series: Node<'a, 'i>) -> impl Iterator<Item = (Node<'a, 'i>, bool)> {
    let repeats = text_of(series, "curveType") == Some("A03");
    children(series, "Period").map(move |period| (period, repeats))
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

fn currency(series: &[Node<'_, '_>]) -> Result<Currency, ImportError> {
    let text = |name| series.iter().map(move |series| text_of(*series, name).unwrap_or_default());
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

/// The prices of a period.
fn period_rows(period: Node<'_, '_>, repeats: bool) -> Result<Vec<PriceRow>, ImportError> {
    let interval = child(period, "timeInterval");
    let time = |name| quarter(interval.and_then(|interval| text_of(interval, name)).unwrap_or_default());
    let (start, end) = (time("start")?, time("end")?);
    let step = match text_of(period, "resolution") {
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
    let starts = (0..).map(|at: i64| start.plus(at.saturating_mul(step)));
    let rows = starts.zip(positions(period, n_positions, repeats)?);
    let rows =
        rows.filter_map(|(start, price)| Some(PriceRow { start, end: start.plus(step), price: price? }));
    Ok(rows.collect())
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
