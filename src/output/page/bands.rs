//! The parts of each bar: the bands of the tariffs with their colours, the lowest price first.

use super::cells::plain_name;
use crate::output::figures;
use crate::report::{Band, Periods, Report};

/// More bands than this are grouped into three.
const MAX_BANDS: usize = 6;

/// Colours from the lowest price to the highest, and their tints.
const CLASSES: [&str; 3] = ["b0", "b1", "b2"];
const TINTS: [&str; 3] = ["b0 t", "b1 t", "b2 t"];

/// Energy without a price: an outline.
pub(super) const UNPRICED: &str = "np";

/// A part of each bar.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part<'a> {
    pub(super) label: String,
    pub(super) class: &'static str,
    /// Its places in the report's parts; more than one where bands are grouped.
    pub(super) places: Vec<usize>,
    /// The band, if it is one.
    pub(super) band: Option<&'a Band>,
}

impl Part<'_> {
    /// The sum of its values.
    pub(super) fn sum(&self, values: &[f64]) -> f64 {
        self.places.iter().filter_map(|place| values.get(*place)).sum()
    }
}

/// The parts of a report's bars.
pub(super) fn parts<'a>(report: &'a Report, periods: &Periods) -> Vec<Part<'a>> {
    let band = |place: usize| report.bands.get(place);
    let is_unpriced = |place: &usize| {
        band(*place).is_some_and(|band| band.mean_price.is_none() && band.energy_cost.is_none())
    };
    let (unpriced, priced): (Vec<usize>, Vec<usize>) = (0..periods.parts.len()).partition(is_unpriced);
    let label = |place: usize| plain_name(periods.parts.get(place).map_or("", String::as_str));
    let part = |place, class| Part { label: label(place), class, places: vec![place], band: band(place) };
    let mut parts = vec![];
    for (number, places) in by_currency(report, priced).into_iter().enumerate() {
        // Of a second currency: tints.
        let classes @ [low, middle, high] = if number == 0 { CLASSES } else { TINTS };
        parts.extend(match places.as_slice() {
            [place] => vec![part(*place, middle)],
            [lowest, highest] => vec![part(*lowest, low), part(*highest, high)],
            places if places.len() <= MAX_BANDS => places
                .iter()
                .zip(classes_of(places.len()))
                .map(|(place, class)| part(*place, class))
                .collect(),
            places => grouped_parts(places, classes, &label),
        });
    }
    parts.extend(unpriced.into_iter().map(|place| part(place, UNPRICED)));
    parts
}

/// Places of bands by currency, in the order of the costs.
fn by_currency(report: &Report, places: Vec<usize>) -> Vec<Vec<usize>> {
    let currency = |place: usize| report.bands.get(place).and_then(|band| band.currency.as_deref());
    let mut groups: Vec<Vec<usize>> = vec![];
    for place in places {
        let is_own =
            |group: &&mut Vec<usize>| group.first().is_some_and(|first| currency(*first) == currency(place));
        match groups.iter_mut().find(is_own) {
            Some(group) => group.push(place),
            None => groups.push(vec![place]),
        }
    }
    groups
}

/// Bands in three groups.
fn grouped_parts<'a>(
    places: &[usize],
    classes: [&'static str; 3],
    label: &impl Fn(usize) -> String,
) -> Vec<Part<'a>> {
    let group = |(third, class): (std::ops::Range<usize>, &'static str)| {
        let places: Vec<usize> = places.get(third).unwrap_or_default().to_vec();
        let names: Vec<String> = places.iter().map(|place| label(*place)).collect();
        Part { label: grouped(&names), class, places, band: None }
    };
    thirds(places.len()).into_iter().zip(classes).map(group).collect()
}

/// The colours of three to six bands: of two in a third, the first is a tint.
fn classes_of(n: usize) -> Vec<&'static str> {
    let third = |idx: usize| idx * 3 / n;
    let class = |idx: usize| {
        let has_follower = idx + 1 < n && third(idx + 1) == third(idx);
        let classes = if has_follower { TINTS } else { CLASSES };
        classes.get(third(idx)).copied().unwrap_or(UNPRICED)
    };
    (0..n).map(class).collect()
}

/// Thirds of so many bands.
fn thirds(n: usize) -> [std::ops::Range<usize>; 3] {
    [0..n / 3, n / 3..n * 2 / 3, n * 2 / 3..n]
}

/// The names of grouped bands: `a to d, 4 bands`.
fn grouped(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => name.clone(),
        [first, .., last] => format!("{first} to {last}, {} bands", figures::count(names.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_bands_are_tints_of_the_three() {
        assert_eq!(classes_of(3), ["b0", "b1", "b2"]);
        assert_eq!(classes_of(4), ["b0 t", "b0", "b1", "b2"]);
        assert_eq!(classes_of(6), ["b0 t", "b0", "b1 t", "b1", "b2 t", "b2"]);
    }

    #[test]
    fn many_bands_are_three_groups_and_none_is_lost() {
        assert_eq!(thirds(8), [0..2, 2..5, 5..8]);
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(grouped(&names), "a to c, 3 bands");
    }
}
