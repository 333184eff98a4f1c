//! One cycle as CSV: a row per GPU, and one for a host of which no GPU is known. Columns are only added at
//! the end. Battery stations are not in it, as a sum of a column would mix what they give with what GPUs
//! draw.

use std::sync::LazyLock;

use crate::batch::{Batch, HostReport, Snapshot};
use crate::reading::{Device, Quantity, Value};

/// A row: a GPU, or a host of which no GPU is known.
struct Row<'a> {
    batch: &'a Batch,
    report: &'a HostReport,
    gpu: Option<&'a Device>,
}

type OfReport = fn(&Row<'_>) -> String;

#[derive(Clone, Copy)]
enum Cell {
    Report(OfReport),
    Quantity(Quantity),
}

/// The columns beside the quantities.
const REPORT_COLUMNS: [(usize, &str, OfReport); 9] = [
    (0, "node", |row| as_text(&row.report.node)),
    (1, "address", |row| as_text(&row.report.address)),
    (2, "outcome", |row| row.report.outcome.label().to_owned()),
    (3, "answered_at", |row| row.report.span.answered_at.to_string()),
    (21, "absent", |row| row.gpu.map(absent).unwrap_or_default()),
    (22, "message", |row| {
        row.report.outcome.failure().map(|failure| as_text(&failure.to_string())).unwrap_or_default()
    }),
    (23, "faults", |row| joined(row.report.faults.iter().map(ToString::to_string))),
    (24, "batch", |row| row.batch.id.to_string()),
    (25, "labels", |row| joined(row.report.labels.iter().map(|(key, value)| format!("{key}={value}")))),
];

/// Every column in its place.
static COLUMNS: LazyLock<Vec<(usize, &'static str, Cell)>> = LazyLock::new(|| {
    let of_report = REPORT_COLUMNS.map(|(place, name, cell)| (place, name, Cell::Report(cell)));
    let of_gpu = Quantity::ALL.iter().filter_map(|quantity| {
        let (place, name) = quantity.columns().csv?;
        Some((place, name, Cell::Quantity(*quantity)))
    });
    let mut columns: Vec<_> = of_report.into_iter().chain(of_gpu).collect();
    columns.sort_by_key(|(place, _, _)| *place);
    columns
});

/// The batch as CSV with a header line. An absent cell is empty, and `absent` says why.
pub fn csv(snapshot: &Snapshot) -> String {
    let batch = &snapshot.batch;
    let mut rows = vec![COLUMNS.iter().map(|(_, name, _)| (*name).to_owned()).collect()];
    for report in &batch.reports {
        if report.gpus.is_empty() {
            rows.push(record(&Row { batch, report, gpu: None }));
        }
        rows.extend(report.gpus.iter().map(|gpu| record(&Row { batch, report, gpu: Some(gpu) })));
    }
    csv_rows(&rows)
}

/// Rows of one length as CSV, cells in quotes where that is needed.
pub fn csv_rows(rows: &[Vec<String>]) -> String {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect("records of one length, written to memory, cannot fail");
    }
    let bytes = writer.into_inner().expect("flushing to memory cannot fail");
    String::from_utf8(bytes).expect("only text was written")
}

fn record(row: &Row<'_>) -> Vec<String> {
    let cell = |(_, _, cell): &(usize, &str, Cell)| match *cell {
        Cell::Report(cell) => cell(row),
        Cell::Quantity(quantity) => match row.gpu.and_then(|gpu| gpu.get(quantity).ok()).as_deref() {
            Some(Value::Text(text)) => as_text(text.as_str()),
            Some(value) => value.to_string(),
            None => String::new(),
        },
    };
    COLUMNS.iter().map(cell).collect()
}

/// Why cells of a GPU are empty.
fn absent(gpu: &Device) -> String {
    let reason = |(_, name, cell): &(usize, &str, Cell)| {
        let Cell::Quantity(quantity) = *cell else { return None };
        let absent = gpu.get(quantity).err().filter(|_| !quantity.is_untold())?;
        Some(format!("{name}={}", absent.reason.label()))
    };
    COLUMNS.iter().filter_map(reason).collect::<Vec<_>>().join(" ")
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    as_text(&texts.collect::<Vec<_>>().join("; "))
}

/// Foreign text with a quote before what would start a formula in a spreadsheet.
pub fn as_text(text: &str) -> String {
    // The full-width forms count as formulas in some locales.
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::fixtures;
    use crate::reading::{Failure, FailureKind, Outcome, Power, SafeText};

    #[test]
    fn the_mixed_fleet_reads_like_this() {
        let mut batch = fixtures::fleet();
        batch.reports[1].gpus.drain(..5);
        batch.reports[1].gpus.truncate(2);
        insta::assert_snapshot!(csv(&batch.into()), @r#"
        node,address,outcome,answered_at,gpu_index,gpu_uuid,gpu_bus_id,gpu_model,driver_version,power_w,power_kind,power_limit_w,power_of_limit_pct,temperature_c,utilization_pct,memory_used_mb,memory_total_mb,fan_speed_pct,pstate,clocks_event_reasons,module_power_w,absent,message,faults,batch,labels,memory_temperature_c
        redfin,localhost,complete,2026-11-24T07:00:00.767000Z,0,GPU-7f9a1c00-0000-0000-0000-000000000000,00000000:0B:00.0,GeForce RTX 3090,590.48.01,285.5,draw,300,95.2,86,98,876,24576,71,P0,0x0000000000000004,,module_power_w=not_supported memory_temperature_c=not_supported,,,019ab5c0-0000-7000-8000-000000000001,room=lab,
        node001,node001.example,partial,2026-11-24T07:00:00.767000Z,5,GPU-7f9a1c00-0000-0000-0000-000000000005,00000000:10:00.0,,,,,,,,,,,,,,,gpu_model=gpu_lost driver_version=gpu_lost power_w=gpu_lost power_limit_w=gpu_lost power_of_limit_pct=gpu_lost temperature_c=gpu_lost utilization_pct=gpu_lost memory_used_mb=gpu_lost memory_total_mb=gpu_lost fan_speed_pct=gpu_lost pstate=gpu_lost clocks_event_reasons=gpu_lost module_power_w=gpu_lost memory_temperature_c=gpu_lost,,a GPU is lost (GPU-7f9a1c00-0000-0000-0000-000000000005): [GPU is lost],019ab5c0-0000-7000-8000-000000000001,,
        node001,node001.example,partial,2026-11-24T07:00:00.767000Z,6,GPU-7f9a1c00-0000-0000-0000-000000000006,00000000:11:00.0,H100 80GB HBM3,590.48.01,612.25,average,700,87.5,64,98,71232,81559,,P0,0x0000000000000004,,fan_speed_pct=not_supported module_power_w=not_supported memory_temperature_c=not_supported,,a GPU is lost (GPU-7f9a1c00-0000-0000-0000-000000000005): [GPU is lost],019ab5c0-0000-7000-8000-000000000001,,
        node003,node003.example,host_key_changed,2026-11-24T07:00:00.767000Z,,,,,,,,,,,,,,,,,,,the host key has changed: Host key verification failed.,,019ab5c0-0000-7000-8000-000000000001,,
        mig01,mig01.example,complete,2026-11-24T07:00:00.767000Z,0,GPU-7f9a1c00-0000-0000-0000-000000000000,00000000:0B:00.0,A100-SXM4-40GB,590.48.01,211.4,average,400,52.9,64,,19802,40960,,P0,0x0000000000000004,,utilization_pct=not_supported fan_speed_pct=not_supported module_power_w=not_supported memory_temperature_c=not_supported,,,019ab5c0-0000-7000-8000-000000000001,,
        spark,spark.example,complete,2026-11-24T07:00:00.767000Z,0,GPU-7f9a1c00-0000-0000-0000-000000000000,00000000:0B:00.0,GB10,590.48.01,11.32,average,,,41,0,,,,P0,0x0000000000000004,,power_limit_w=not_supported power_of_limit_pct=not_supported memory_used_mb=not_supported memory_total_mb=not_supported fan_speed_pct=not_supported module_power_w=not_supported memory_temperature_c=not_supported,,,019ab5c0-0000-7000-8000-000000000001,,
"#);
    }

    #[test]
    fn stations_change_nothing() {
        let batch = Batch { account: Some(fixtures::station_report()), ..fixtures::fleet() };
        assert_eq!(csv(&batch.into()), csv(&fixtures::fleet().into()));
    }

    #[test]
    fn no_place_is_empty_or_taken_twice() {
        let places: Vec<usize> = COLUMNS.iter().map(|(place, _, _)| *place).collect();
        assert_eq!(places, (0..COLUMNS.len()).collect::<Vec<_>>());
    }

    #[test]
    fn every_record_has_every_column() {
        let document = csv(&fixtures::fleet().into());
        let mut reader = ::csv::Reader::from_reader(document.as_bytes());
        let records: Vec<_> =
            reader.records().map(|record| record.expect("of the header's length")).collect();
        assert_eq!(records.len(), 12);
        assert_eq!(reader.headers().expect("a header").len(), COLUMNS.len());
    }

    #[test]
    fn a_formula_becomes_text_and_a_negative_number_stays_one() {
        let mut batch = fixtures::fleet();
        batch.reports.truncate(1);
        let gpu = &mut batch.reports[0].gpus[0];
        gpu.set(Quantity::Model, Ok(SafeText::new("=HYPERLINK(\"http://x\",\"y\")").into()));
        gpu.set(Quantity::PowerDraw, Ok(Power::from_milliwatts(-1_500).into()));
        let mut down = fixtures::failed("node9");
        down.outcome = Outcome::Failed(Failure::new(FailureKind::CommandMissing, "-bash: no"));
        down.address = "@SUM(A1)".to_owned();
        batch.reports.push(down);
        let document = csv(&batch.into());
        assert!(document.contains(r#","'=HYPERLINK(""http://x"",""y"")","#), "{document}");
        assert!(document.contains(",-1.5,draw,"), "{document}");
        assert!(document.contains(",'@SUM(A1),"), "{document}");
    }
}
