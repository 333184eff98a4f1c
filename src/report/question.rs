//! The question that a report answers: the range, the groups, and what is wanted beside them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use jiff::tz::TimeZone;

use crate::reading::{Quarter, SafeText};
use crate::support::decimal;
use crate::support::error::Diagnose;
use crate::tariff::{Labels, SITE};

/// The most groupings of a report.
const MAX_GROUPINGS: usize = 2;

/// Decimals of a kilowatt-hour in a watt-hour.
const WATT_HOUR_PLACES: usize = 3;

/// The question.
#[derive(Debug, Clone)]
pub struct Question {
    /// The time that is asked for; its end is excluded.
    pub range: Range<Quarter>,
    /// The zone whose hours, days and months count.
    pub zone: TimeZone,
    /// The groupings of the rows: one or two.
    pub by: Vec<By>,
    /// Whether the energy of what was not measured is estimated, in a column of its own.
    pub is_filled: bool,
    /// Energies that a meter said, to be shared out.
    pub bills: Vec<Bill>,
    /// The most rows; what is beyond them stands in one.
    pub top: Option<usize>,
    /// The charts that are wanted, if any are.
    pub charts: Option<Stack>,
}

/// A grouping of the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The node.
    Node,
    /// The board.
    Gpu,
    /// The model of the board.
    Model,
    /// The value of a label of the node.
    Label(String),
    /// The local day.
    Day,
    /// The local hour.
    Hour,
    /// The quarter-hour.
    Quarter,
    /// The band of the tariff.
    Band,
    /// The local month.
    Month,
}

/// A grouping, a stack, a bill or a form that cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadQuestion {
    message: String,
    hint: &'static str,
}

impl BadQuestion {
    /// A file whose ending tells no format.
    pub fn unknown_ending(ending: &str) -> Self {
        Self {
            message: format!("a file that ends with \".{}\" has no format of its own", SafeText::new(ending)),
            hint: "end it with .html, .csv, .json or .txt, or say what it is to be with --format",
        }
    }

    /// More groups than a report may have.
    pub(super) fn too_many(n_groups: usize) -> Self {
        let hint = "ask for a shorter time, or for groups that are larger";
        Self { message: format!("the report would have {n_groups} groups"), hint }
    }
}

impl Diagnose for BadQuestion {
    fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.hint)
    }

    fn is_transient(&self) -> bool {
        false
    }
}

const BY_HINT: &str = "group by node, gpu, model, label:KEY, day, hour, quarter, band or month, or by two of them, as \
                       in `node,day`";

impl By {
    /// Reads one or two groupings, joined by a comma.
    ///
    /// # Errors
    /// A word that is no grouping, more than two groupings, or one of them twice.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, BadQuestion> {
        let by = text.split(',').map(|part| part.trim().parse()).collect::<Result<Vec<Self>, _>>()?;
        let bad = |fault: &str| {
            let message = format!("\"{}\" {fault}", SafeText::new(text).as_str());
            Err(BadQuestion { message, hint: BY_HINT })
        };
        match by.as_slice() {
            [one, other] if one == other => bad("has the same grouping twice"),
            more if more.len() > MAX_GROUPINGS => bad("has more than two groupings"),
            _ => Ok(by),
        }
    }

    /// By site.
    pub(super) fn site() -> Self {
        Self::Label(SITE.to_owned())
    }

    /// Whether its groups are spans of time.
    pub const fn is_time(&self) -> bool {
        matches!(self, Self::Day | Self::Hour | Self::Quarter | Self::Month)
    }
}

impl FromStr for By {
    type Err = BadQuestion;

    fn from_str(text: &str) -> Result<Self, BadQuestion> {
        Ok(match text {
            "node" => Self::Node,
            "gpu" => Self::Gpu,
            "model" => Self::Model,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "quarter" => Self::Quarter,
            "band" => Self::Band,
            "month" => Self::Month,
            _ => match text.strip_prefix("label:").filter(|key| !key.is_empty()) {
                Some(key) => Self::Label(key.to_owned()),
                None => {
                    let message = format!("\"{}\" is not a grouping", SafeText::new(text).as_str());
                    return Err(BadQuestion { message, hint: BY_HINT });
                }
            },
        })
    }
}

/// As it is asked for.
impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Gpu => "gpu",
            Self::Model => "model",
            Self::Label(key) => return write!(f, "label:{key}"),
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Quarter => "quarter",
            Self::Band => "band",
            Self::Month => "month",
        })
    }
}

/// The members of the chart of power over time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stack {
    /// The first of nodes, labels and models whose seven largest have most of the energy.
    #[default]
    Auto,
    /// The groups of a grouping, which is not one of time.
    By(By),
}

impl FromStr for Stack {
    type Err = BadQuestion;

    fn from_str(text: &str) -> Result<Self, BadQuestion> {
        let by = if text == SITE { Ok(By::site()) } else { text.parse() };
        let is_member = |by: &By| matches!(by, By::Node | By::Model | By::Label(_));
        by.ok().filter(is_member).map(Self::By).ok_or_else(|| {
            let message = format!("\"{}\" is not a stack", SafeText::new(text).as_str());
            BadQuestion { message, hint: "stack by node, model, site or label:KEY" }
        })
    }
}

/// Energy that a meter said, to be shared out over what was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// The energy in watt-hours.
    pub watt_hours: i64,
    /// The value of the label `site` whose nodes the meter feeds; all nodes without one.
    pub site: Option<String>,
}

impl Bill {
    /// Whether its meter feeds a node with these labels.
    pub fn is_of(&self, labels: &Labels) -> bool {
        self.site.as_ref().is_none_or(|site| labels.get(SITE) == Some(site))
    }
}

/// As in `1234.5`, `1234.5kWh` and `1234.5kWh@home`.
impl FromStr for Bill {
    type Err = BadQuestion;

    fn from_str(text: &str) -> Result<Self, BadQuestion> {
        let (energy, site) = text.split_once('@').map_or((text, None), |(energy, site)| (energy, Some(site)));
        let digits = energy.trim();
        let digits = digits.strip_suffix("kWh").unwrap_or(digits).trim_end();
        let watt_hours = decimal::scaled_exactly(digits, WATT_HOUR_PLACES).filter(|energy| *energy >= 0);
        let is_named = site.is_none_or(|site| !site.is_empty());
        watt_hours
            .filter(|_| is_named)
            .map(|watt_hours| Self { watt_hours, site: site.map(str::to_owned) })
            .ok_or_else(|| {
                let message = format!("\"{}\" is not the energy of a bill", SafeText::new(text).as_str());
                let hint = "write kilowatt-hours with at most three decimals, as `1234.5kWh`, and the site of the \
                            meter if there are several: `1234.5kWh@home`";
                BadQuestion { message, hint }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_two_groupings_are_read_and_printed_alike() {
        let by = By::parse_list("label:rack, day").unwrap();
        assert_eq!(by, [By::Label("rack".to_owned()), By::Day]);
        for text in ["node", "gpu", "model", "label:site", "day", "hour", "quarter", "band", "month"] {
            assert_eq!(By::parse_list(text).unwrap()[0].to_string(), text);
        }
    }

    #[test]
    fn groupings_that_cannot_be_are_refused_with_those_that_can() {
        for (bad, message) in [
            ("user", "\"user\" is not a grouping"),
            ("label:", "\"label:\" is not a grouping"),
            ("", "\"\" is not a grouping"),
            ("node,node", "\"node,node\" has the same grouping twice"),
            ("node,day,hour", "\"node,day,hour\" has more than two groupings"),
        ] {
            let error = By::parse_list(bad).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert!(error.hint().contains("label:KEY"));
        }
    }

    #[test]
    fn a_bill_is_kilowatt_hours_to_the_watt_hour_and_maybe_a_site() {
        let read = |text: &str| text.parse::<Bill>().map(|bill| (bill.watt_hours, bill.site));
        assert_eq!(read("1234.5kWh"), Ok((1_234_500, None)));
        assert_eq!(read("0.001 kWh"), Ok((1, None)));
        assert_eq!(read("12@home"), Ok((12_000, Some("home".to_owned()))));
        for bad in ["", "kWh", "-1", "1.0001", "12 MWh", "12@"] {
            assert!(read(bad).unwrap_err().hint().contains("@home"), "{bad}");
        }
    }

    #[test]
    fn a_stack_has_groups_that_are_not_times() {
        assert_eq!("site".parse(), Ok(Stack::By(By::Label("site".to_owned()))));
        assert_eq!("node".parse(), Ok(Stack::By(By::Node)));
        for bad in ["day", "gpu", "user"] {
            assert!(bad.parse::<Stack>().unwrap_err().hint().contains("label:KEY"), "{bad}");
        }
    }
}
