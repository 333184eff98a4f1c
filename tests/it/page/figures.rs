//! Each figure of a page is a number of the JSON, rounded.

use super::*;

/// All numbers of a JSON value.
fn numbers(value: &serde_json::Value, found: &mut Vec<f64>) {
    match value {
        serde_json::Value::Number(number) => found.push(number.as_f64().unwrap()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| numbers(item, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|item| numbers(item, found)),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::String(_) => {}
    }
}

/// Figures of a page: the value, the factor of what is shown, and what is shown.
fn shown(html: &str) -> Vec<(f64, f64, String)> {
    let figure =
        Regex::new(r#"<(\w+)[^>]* data-v="([^"]+)"(?: data-k="([^"]+)")?[^>]*>(.*?)</(?:td|b|span)>"#)
            .unwrap();
    let tag = Regex::new("<[^>]*>").unwrap();
    let factor = |text: Option<regex::Match<'_>>| text.map_or(1.0, |text| text.as_str().parse().unwrap());
    figure
        .captures_iter(html)
        .map(|found| {
            let text = tag.replace_all(&found[4], "").replace("&lt;", "<").replace("&gt;", ">");
            (found[2].parse().unwrap(), factor(found.get(3)), text)
        })
        .collect()
}

/// Checks that each figure is a number of the JSON, and is shown within half of its last digit.
pub(super) fn assert_figures_are_those_of_the_report(report: &Report, html: &str) {
    assert_figures_are_those_of_the_json(&serde_json::to_value(report).unwrap(), html);
}

/// The same with JSON that was printed.
pub(crate) fn assert_figures_are_those_of_the_json(json: &serde_json::Value, html: &str) {
    let mut known = vec![];
    numbers(json, &mut known);
    let digits = Regex::new(r"\d[\d,]*(?:\.(\d+))?").unwrap();
    let figures = shown(html);
    assert!(figures.len() > 20, "{}", figures.len());
    for (value, factor, text) in figures {
        assert!(
            known.iter().any(|known| (known - value).abs() <= 1e-12 * value.abs()),
            "{value} ({text}) is not in the JSON"
        );
        if text.contains("not measured") {
            continue;
        }
        let found = digits.captures(&text).unwrap_or_else(|| panic!("{text} has no number"));
        let decimals = found.get(1).map_or(0, |fraction| fraction.as_str().len());
        let size: f64 = found[0].replace(',', "").parse().unwrap();
        let shown = if text.contains('\u{2212}') { -size } else { size };
        let value = value / factor;
        let is_right = match text.chars().next() {
            Some('<') => value < shown,
            Some('±') if text.contains('<') => value < shown,
            Some('>') => value > shown,
            // Of two significant digits: half of the last of them.
            Some('±') => (shown - value).abs() <= value.abs() * 0.05 + 1e-9,
            _ => (shown - value).abs() <= 0.5 * 10_f64.powi(-i32::try_from(decimals).unwrap()) + 1e-9,
        };
        assert!(is_right, "{text} is not {value}");
    }
}

#[test]
fn every_figure_is_a_number_of_the_json_rounded() {
    for plan in [month(), hostile()] {
        let report = plan.report();
        assert_figures_are_those_of_the_report(&report, &page(&report));
    }
}
