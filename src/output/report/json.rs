//! A report as one JSON document.

use crate::report::Report;

/// The document, a key a line; with the figures of charts, which are long, in one line. A line break is at its end.
pub fn json(report: &Report) -> String {
    let has_charts = report.charts.is_some();
    let to_text = if has_charts { serde_json::to_string } else { serde_json::to_string_pretty };
    to_text(report).expect("numbers and text become JSON in memory") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::report::fixture;

    #[test]
    fn what_is_not_known_is_left_out_and_times_have_the_zones_offset() {
        let mut report = fixture::month();
        report.rows.drain(1..);
        report.total.u_kwh = None;
        let value: serde_json::Value = serde_json::from_str(&json(&report)).unwrap();
        assert_eq!(value["schema"], "fleetwatt.report/1");
        assert_eq!(value["from"], "2026-10-28T00:00:00-05:00");
        assert_eq!(value["to"], "2026-11-27T00:00:00-06:00");
        assert_eq!(value["rows"][0]["energy_kwh"], 3144.1);
        assert_eq!(value["total"].get("u_kwh"), None);
        assert_eq!(value.get("charts"), None);
    }
}
