//! A report as CSV: the columns in their order, a row a group, no total, so that a column can be summed.

use crate::output::csv::{as_text, csv_rows};
use crate::report::{Moment, Report, Row};

/// A column: its name, and its cell in a row.
type Column = (&'static str, fn(&Row) -> String);

/// The columns of every report. They are only added to at the end.
const COLUMNS: [Column; 18] = [
    ("from", |row| row.from.to_string()),
    ("to", |row| row.to.to_string()),
    ("group", |row| as_text(&row.group)),
    ("gpus", |row| row.gpus.to_string()),
    ("energy_kwh", |row| number(row.energy_kwh)),
    ("u_kwh", |row| optional(row.u_kwh)),
    ("measured_share", |row| optional(row.measured_share)),
    ("unmeasured_h", |row| number(row.unmeasured_h)),
    ("mean_w", |row| optional(row.mean_w)),
    ("peak_w", |row| optional(row.peak_w)),
    ("peak_quarter_kw", |row| optional(row.peak_quarter_kw)),
    ("peak_quarter_at", |row| row.peak_quarter_at.as_ref().map(Moment::to_string).unwrap_or_default()),
    ("idle_kwh", |row| optional(row.idle_kwh)),
    ("energy_cost", |row| optional(row.energy_cost)),
    ("currency", |row| row.currency.as_deref().map(as_text).unwrap_or_default()),
    ("idle_cost", |row| optional(row.idle_cost)),
    ("co2_kg", |row| optional(row.co2_kg)),
    ("share", |row| optional(row.share)),
];

/// The column of `--fill mean`.
const FILLED: Column = ("filled_kwh", |row| optional(row.filled_kwh));

/// The column of `--bill`.
const BILLED: Column = ("billed_kwh", |row| optional(row.billed_kwh));

/// The rows with a header line. A cell of what is not known, or does not apply, is empty.
pub fn csv(report: &Report) -> String {
    let mut columns: Vec<Column> = COLUMNS.to_vec();
    columns.extend(report.total.filled_kwh.map(|_| FILLED));
    columns.extend(report.total.billed_kwh.map(|_| BILLED));
    let names = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let record = |row: &Row| columns.iter().map(|(_, cell)| cell(row)).collect();
    let records: Vec<Vec<String>> = std::iter::once(names).chain(report.rows.iter().map(record)).collect();
    csv_rows(&records)
}

fn optional(value: Option<f64>) -> String {
    value.map(number).unwrap_or_default()
}

/// With up to nine decimals: of an energy in kWh a few millijoules, so that rows add up.
fn number(value: f64) -> String {
    let text = format!("{value:.9}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::report::fixture;

    fn records(report: &Report) -> Vec<::csv::StringRecord> {
        let document = csv(report);
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(document.as_bytes());
        reader.records().map(|record| record.expect("of the header's length")).collect()
    }

    #[test]
    fn a_month_by_node_reads_like_this() {
        let mut report = fixture::month();
        report.rows.drain(2..);
        insta::assert_snapshot!(csv(&report), @r#"
        from,to,group,gpus,energy_kwh,u_kwh,measured_share,unmeasured_h,mean_w,peak_w,peak_quarter_kw,peak_quarter_at,idle_kwh,energy_cost,currency,idle_cost,co2_kg,share
        2026-10-28T00:00:00-05:00,2026-11-27T00:00:00-06:00,hgx-01,8,3144.1,290,0.998,1.44,4366.805555556,,,,31.441,298.12,USD,,,0.168
        2026-10-28T00:00:00-05:00,2026-11-27T00:00:00-06:00,hgx-02,8,3098.4,290,0.998,1.44,4303.333333333,,,,30.984,293.83,USD,,,0.166
        "#);
    }

    #[test]
    fn the_columns_are_those_of_the_contract() {
        let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names.join(","),
            "from,to,group,gpus,energy_kwh,u_kwh,measured_share,unmeasured_h,mean_w,peak_w,peak_quarter_kw,\
             peak_quarter_at,idle_kwh,energy_cost,currency,idle_cost,co2_kg,share"
        );
    }

    #[test]
    fn rows_add_up_to_the_total_and_the_total_is_none() {
        let report = fixture::month();
        let records = records(&report);
        let energies = records.iter().skip(1).map(|record| record[4].parse::<f64>().unwrap());
        assert!((energies.sum::<f64>() - report.total.energy_kwh).abs() < 0.001);
        assert_eq!(records.len(), report.rows.len() + 1);
    }

    #[test]
    fn an_estimate_and_a_bill_have_columns_of_their_own_at_the_end() {
        let mut report = fixture::month();
        report.total.filled_kwh = Some(110.0);
        report.total.billed_kwh = Some(20_000.0);
        report.rows[0].filled_kwh = Some(6.25);
        report.rows[0].billed_kwh = Some(3_363.0);
        let records = records(&report);
        let last = |row: usize| [&records[row][18], &records[row][19]].map(str::to_owned);
        assert_eq!([last(0), last(1)], [["filled_kwh", "billed_kwh"], ["6.25", "3363"]]);
    }

    #[test]
    fn a_name_is_no_formula_and_a_negative_number_is_one() {
        let mut report = fixture::month();
        report.rows[0].group = "=HYPERLINK(\"http://x\",\"y\")".to_owned();
        report.rows[0].energy_cost = Some(-1.5);
        report.rows[0].idle_cost = Some(-0.000_000_000_01);
        let records = records(&report);
        assert_eq!(&records[1][2], "'=HYPERLINK(\"http://x\",\"y\")");
        assert_eq!([&records[1][13], &records[1][15]], ["-1.5", "0"]);
    }
}
