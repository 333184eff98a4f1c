//! Figures and foreign names in HTML.
//!
//! A figure that is rounded has the report's value beside it (`data-v`, and in `data-k` the factor by which the shown number
//! is multiplied to get it), so that a program finds both.

use maud::{Markup, Render, html};
use unicode_width::UnicodeWidthStr as _;

use crate::output::figures::{self, Figure, NBSP, NOT_APPLICABLE};
use crate::reading::SafeText;

/// Columns of a name up to which it is not broken.
const MAX_UNBROKEN: usize = 18;

/// A figure as it is shown, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    value: f64,
    pub(super) number: String,
    pub(super) unit: &'static str,
    factor: Option<f64>,
    /// Whether a reader is warned of it.
    is_warning: bool,
}

impl Shown {
    /// A figure whose shown number is the value, rounded.
    fn plain(value: f64, number: String) -> Self {
        Self { value, number, unit: "", factor: None, is_warning: false }
    }

    /// A figure in a unit that may be larger than `base`, in which the value is.
    fn in_unit(value: f64, figure: Figure, base: &str) -> Self {
        let factor = size(figure.unit) / size(base);
        let factor = ((factor - 1.0).abs() > f64::EPSILON).then_some(factor);
        Self { value, number: figure.number, unit: figure.unit, factor, is_warning: false }
    }

    /// The class of a figure of which a reader is warned.
    fn class(&self) -> Option<&'static str> {
        self.is_warning.then_some("low")
    }

    /// The number and its unit.
    pub(super) fn text(&self) -> String {
        if self.unit.is_empty() { self.number.clone() } else { format!("{}{NBSP}{}", self.number, self.unit) }
    }

    /// A cell of a table.
    pub(super) fn cell(&self, class: &str) -> Markup {
        let class = self.class().or((!class.is_empty()).then_some(class));
        html! { td class=[class] data-v=(self.value) data-k=[self.factor] { (self.text()) } }
    }

    /// Large, with its unit beside it: in a tile.
    pub(super) fn large(&self) -> Markup {
        html! {
            b class=[self.class()] data-v=(self.value) data-k=[self.factor] { (self.number) }
            @if !self.unit.is_empty() { span { (self.unit) } }
        }
    }

    /// Emphasized.
    pub(super) fn bold(&self) -> Markup {
        html! { b class=[self.class()] data-v=(self.value) data-k=[self.factor] { (self.text()) } }
    }
}

impl Render for Shown {
    fn render(&self) -> Markup {
        html! { span class=[self.class()] data-v=(self.value) data-k=[self.factor] { (self.text()) } }
    }
}

/// The size of a unit among those of its kind.
fn size(unit: &str) -> f64 {
    match unit {
        "MW" | "MWh" => 1e6,
        "kW" | "kWh" | "t" => 1e3,
        "days" => 24.0,
        "min" => 1.0 / 60.0,
        _ => 1.0,
    }
}

/// An energy in a table, whose heading has the unit.
pub(super) fn energy(kwh: f64) -> Shown {
    Shown::plain(kwh, figures::energy_number(kwh))
}

/// An energy with its unit.
pub(super) fn energy_with_unit(kwh: f64) -> Shown {
    Shown::in_unit(kwh, figures::energy(kwh), "kWh")
}

/// An energy of a sentence.
pub(super) fn energy_in_words(kwh: f64) -> Shown {
    Shown::in_unit(kwh, figures::energy_in_words(kwh), "kWh")
}

/// A power that is kept in watts.
pub(super) fn watts(watts: f64) -> Shown {
    Shown::in_unit(watts, figures::power(watts), "W")
}

/// A power that is kept in kilowatts.
pub(super) fn kilowatts(kw: f64) -> Shown {
    Shown::in_unit(kw, figures::power(kw * 1000.0), "kW")
}

/// The uncertainty of an energy, with its sign.
pub(super) fn uncertainty(value: f64, kwh: f64) -> Shown {
    Shown::plain(value, format!("±{NBSP}{}", figures::uncertainty(value, figures::energy_decimals(kwh))))
}

pub(super) fn money(amount: f64, currency: &str) -> Shown {
    Shown::plain(amount, figures::money(amount, currency))
}

pub(super) fn price(per_kwh: f64, currency: &str) -> Shown {
    Shown::plain(per_kwh, figures::price(per_kwh, currency))
}

pub(super) fn share(share: f64) -> Shown {
    Shown { factor: Some(0.01), ..Shown::plain(share, figures::share(share)) }
}

/// The measured part of a time; a reader is warned where it is small.
pub(super) fn measured(share: f64) -> Shown {
    let is_warning = figures::is_poorly_measured(share);
    Shown { factor: Some(0.01), is_warning, ..Shown::plain(share, figures::measured(share)) }
}

/// A cell of the measured part of a time.
pub(super) fn measured_cell(share: Option<f64>) -> Markup {
    cell_or_dash(share.map(measured), "")
}

/// A small part, such as that of an uncertainty in its energy.
pub(super) fn part(share: f64) -> Shown {
    Shown { factor: Some(0.01), ..Shown::plain(share, figures::measured(share)) }
}

/// An intensity of carbon.
pub(super) fn intensity(g_per_kwh: f64) -> Shown {
    Shown { unit: "g/kWh", ..Shown::plain(g_per_kwh, figures::number(g_per_kwh, 0)) }
}

pub(super) fn co2(kg: f64) -> Shown {
    Shown::in_unit(kg, figures::co2(kg), "kg")
}

/// Hours without their unit, such as GPU-hours.
pub(super) fn hours(hours: f64) -> Shown {
    Shown::plain(hours, figures::hours(hours))
}

/// A duration that is kept in hours.
pub(super) fn duration(hours: f64) -> Shown {
    Shown::in_unit(hours, figures::duration(hours), "h")
}

/// A cell of a figure, or one to which its column does not apply.
pub(super) fn cell_or_dash(shown: Option<Shown>, class: &str) -> Markup {
    match shown {
        Some(shown) => shown.cell(class),
        None => html! { td class=[(!class.is_empty()).then_some(class)] { (NOT_APPLICABLE) } },
    }
}

/// A foreign name: harmless, in a direction of its own, and not broken if it is short.
pub(super) fn name(text: &str) -> Markup {
    let class = (text.width() > MAX_UNBROKEN).then_some("br");
    html! { bdi class=[class] { (SafeText::new(text).as_str()) } }
}

/// A sentence of the product, with foreign words in it; what stands between backticks is code.
pub(super) fn sentence(text: &str) -> Markup {
    let text = plain_name(text);
    let parts = text.split('`').enumerate();
    html! { bdi.br { @for (idx, part) in parts { @if idx % 2 == 1 { code { (part) } } @else { (part) } } } }
}

/// Foreign text of an attribute.
pub(super) fn plain_name(text: &str) -> String {
    SafeText::new(text).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_its_value_and_the_factor_of_what_is_shown() {
        let text = |shown: Shown| shown.cell("").into_string().replace(NBSP, " ");
        assert_eq!(text(watts(4370.8)), r#"<td data-v="4370.8" data-k="1000">4.4 kW</td>"#);
        assert_eq!(text(kilowatts(0.5449)), r#"<td data-v="0.5449" data-k="0.001">545 W</td>"#);
        assert_eq!(text(kilowatts(40.6)), r#"<td data-v="40.6">40.6 kW</td>"#);
        assert_eq!(text(share(0.172)), r#"<td data-v="0.172" data-k="0.01">17 %</td>"#);
        assert_eq!(text(co2(7040.0)), r#"<td data-v="7040" data-k="1000">7.0 t</td>"#);
        assert_eq!(text(duration(58.5)), r#"<td data-v="58.5" data-k="24">2.4 days</td>"#);
        assert!(text(duration(0.25)).ends_with(r#">15 min</td>"#));
    }

    #[test]
    fn a_share_is_marked_wherever_it_stands_if_little_was_measured() {
        let of = |share: f64| {
            [measured_cell(Some(share)), measured(share).large(), measured(share).render()]
                .map(Markup::into_string)
        };
        assert!(of(0.989).iter().all(|text| text.contains(r#"class="low""#)), "{:?}", of(0.989));
        assert!(of(0.99).iter().all(|text| !text.contains("class")), "{:?}", of(0.99));
        assert_eq!(measured_cell(None).into_string(), "<td>–</td>");
    }

    #[test]
    fn only_a_long_name_is_broken() {
        assert_eq!(name("turing-02").into_string(), "<bdi>turing-02</bdi>");
        assert!(name("hgx-[001-007,009-015]").into_string().starts_with(r#"<bdi class="br">"#));
    }

    #[test]
    fn code_in_a_sentence_is_code_and_markup_in_it_is_text() {
        let text = sentence("try `a <b>` & wait").into_string();
        assert_eq!(text, "<bdi class=\"br\">try <code>a &lt;b&gt;</code> &amp; wait</bdi>");
    }
}
