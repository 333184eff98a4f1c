//! One cycle as CSV: a row per GPU, and one for a host of which no GPU is known. The columns' order may
//! grow at the end, never change.
//!
//! Battery stations are not in it: they have none of these columns, and whoever sums a column would add what
//! the batteries give to what the GPUs draw.

use crate::batch::{Batch, HostReport, Snapshot, efficiency};
use crate::reading::{Absent, GpuReading, Measured, Outcome, SafeText};

const HEADER: [&str; 26] = [
    "node",
    "address",
    "outcome",
    "answered_at",
    "gpu_index",
    "gpu_uuid",
    "gpu_bus_id",
    "gpu_model",
    "driver_version",
    "power_w",
    "power_kind",
    "power_limit_w",
    "power_of_limit_pct",
    "temperature_c",
    "utilization_pct",
    "memory_used_mb",
    "memory_total_mb",
    "fan_speed_pct",
    "pstate",
    "clocks_event_reasons",
    "module_power_w",
    "absent",
    "message",
    "faults",
    "batch",
    "labels",
];
const GPU_COLUMNS: std::ops::Range<usize> = 4..21;

/// The batch as CSV with a header line. An absent cell is empty, and `absent` says why.
pub fn csv(snapshot: &Snapshot) -> String {
    let batch = &snapshot.batch;
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let mut write = |record: &[String]| {
        writer.write_record(record).expect("records of one length, written to memory, cannot fail");
    };
    write(&HEADER.map(str::to_owned));
    for report in &batch.reports {
        if report.gpus.is_empty() {
            write(&record(batch, report, vec![String::new(); GPU_COLUMNS.len()], String::new()));
        }
        for gpu in &report.gpus {
            let (cells, absent) = gpu_cells(gpu);
            write(&record(batch, report, cells, absent));
        }
    }
    let bytes = writer.into_inner().expect("flushing to memory cannot fail");
    String::from_utf8(bytes).expect("only text was written")
}

fn record(batch: &Batch, report: &HostReport, gpu: Vec<String>, absent: String) -> Vec<String> {
    let message = match &report.outcome {
        Outcome::Complete | Outcome::Partial => String::new(),
        Outcome::Failed(failure) => failure.to_string(),
    };
    let labels: Vec<String> = report.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    let mut record = vec![
        as_text(&report.node),
        as_text(&report.address),
        report.outcome.label().to_owned(),
        report.span.answered_at.to_string(),
    ];
    record.extend(gpu);
    record.extend([absent, as_text(&message), as_text(&faults.join("; ")), batch.id.to_string()]);
    record.push(as_text(&labels.join("; ")));
    record
}

/// The cells of [`GPU_COLUMNS`], and why some are empty.
fn gpu_cells(gpu: &GpuReading) -> (Vec<String>, String) {
    let text = |clean: &SafeText| as_text(clean.as_str());
    let power = gpu.power();
    let kind = power.as_ref().map(|draw| draw.kind.label()).unwrap_or_default();
    let cells = [
        cell(&gpu.index, u32::to_string),
        cell(&gpu.uuid, text),
        cell(&gpu.bus_id, text),
        cell(&gpu.model, text),
        cell(&gpu.driver_version, text),
        cell(&power, |draw| draw.power.watts().to_string()),
        Ok(kind.to_owned()),
        cell(&gpu.limit(), |limit| limit.watts().to_string()),
        cell(&efficiency(gpu), |share| share.percent().to_string()),
        cell(&gpu.temperature, |temperature| temperature.celsius().to_string()),
        cell(&gpu.utilization, |share| share.percent().to_string()),
        cell(&gpu.memory_used, |memory| memory.mebibytes().to_string()),
        cell(&gpu.memory_total, |memory| memory.mebibytes().to_string()),
        cell(&gpu.fan_speed, |share| share.percent().to_string()),
        cell(&gpu.pstate, text),
        cell(&gpu.clocks_event_reasons, |mask| format!("{mask:#018x}")),
        cell(&gpu.module_power_instant, |power| power.watts().to_string()),
    ];
    let names = HEADER.get(GPU_COLUMNS).unwrap_or_default();
    let absent: Vec<String> = names
        .iter()
        .zip(&cells)
        .filter_map(|(name, cell)| cell.as_ref().err().map(|label| format!("{name}={label}")))
        .collect();
    (cells.into_iter().map(Result::unwrap_or_default).collect(), absent.join(" "))
}

/// The value as text, or the label of its absence.
fn cell<T>(measured: &Measured<T>, text: impl Fn(&T) -> String) -> Result<String, &'static str> {
    measured.as_ref().map(text).map_err(|Absent { reason, .. }| reason.label())
}

/// Foreign text as a spreadsheet may open it: what would start a formula gets a quote before it.
/// Numbers do not come through here, so a negative one stays a number.
fn as_text(text: &str) -> String {
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
    use crate::batch::sample;
    use crate::reading::{Failure, FailureKind, Power};

    #[test]
    fn the_mixed_fleet_reads_like_this() {
        let mut batch = sample::fleet();
        batch.reports[1].gpus.drain(..5);
        batch.reports[1].gpus.truncate(2);
        insta::assert_snapshot!(csv(&batch.into()), @r#"
        node,address,outcome,answered_at,gpu_index,gpu_uuid,gpu_bus_id,gpu_model,driver_version,power_w,power_kind,power_limit_w,power_of_limit_pct,temperature_c,utilization_pct,memory_used_mb,memory_total_mb,fan_speed_pct,pstate,clocks_event_reasons,module_power_w,absent,message,faults,batch,labels
        redfin,localhost,complete,2026-11-24T07:00:00.767000Z,0,GPU-7f9a1c00-0000-0000-0000-000000000000,00000000:0B:00.0,NVIDIA GeForce RTX 3090,590.48.01,285.5,draw,300,95.2,86,98,876,24576,71,P0,0x0000000000000004,,module_power_w=not_supported,,,019ab5c0-0000-7000-8000-000000000001,room=lab
        node001,node001.example,partial,2026-11-24T07:00:00.767000Z,5,GPU-7f9a1c00-0000-0000-0000-000000000005,00000000:10:00.0,,,,,,,,,,,,,,,gpu_model=gpu_lost driver_version=gpu_lost power_w=gpu_lost power_limit_w=gpu_lost power_of_limit_pct=gpu_lost temperature_c=gpu_lost utilization_pct=gpu_lost memory_used_mb=gpu_lost memory_total_mb=gpu_lost fan_speed_pct=gpu_lost pstate=gpu_lost clocks_event_reasons=gpu_lost module_power_w=gpu_lost,,a GPU is lost (GPU-7f9a1c00-0000-0000-0000-000000000005): [GPU is lost],019ab5c0-0000-7000-8000-000000000001,
        node001,node001.example,partial,2026-11-24T07:00:00.767000Z,6,GPU-7f9a1c00-0000-0000-0000-000000000006,00000000:11:00.0,NVIDIA H100 80GB HBM3,590.48.01,612.25,average,700,87.5,64,98,71232,81559,,P0,0x0000000000000004,,fan_speed_pct=not_supported module_power_w=not_supported,,a GPU is lost (GPU-7f9a1c00-0000-0000-0000-000000000005): [GPU is lost],019ab5c0-0000-7000-8000-000000000001,
        node003,node003.example,host_key_changed,2026-11-24T07:00:00.767000Z,,,,,,,,,,,,,,,,,,,the host key has changed: Host key verification failed.,,019ab5c0-0000-7000-8000-000000000001,
        mig01,mig01.example,complete,2026-11-24T07:00:00.767000Z,0,GPU-7f9a1c00-0000-0000-0000-000000000000,00000000:0B:00.0,NVIDIA A100-SXM4-40GB,590.48.01,211.4,average,400,52.9,64,,19802,40960,,P0,0x0000000000000004,,utilization_pct=not_supported fan_speed_pct=not_supported module_power_w=not_supported,,,019ab5c0-0000-7000-8000-000000000001,
        spark,spark.example,complete,2026-11-24T07:00:00.767000Z,0,GPU-7f9a1c00-0000-0000-0000-000000000000,00000000:0B:00.0,NVIDIA GB10,590.48.01,11.32,average,,,41,0,,,,P0,0x0000000000000004,,power_limit_w=not_supported power_of_limit_pct=not_supported memory_used_mb=not_supported memory_total_mb=not_supported fan_speed_pct=not_supported module_power_w=not_supported,,,019ab5c0-0000-7000-8000-000000000001,
"#);
    }

    #[test]
    fn stations_change_nothing() {
        let batch = Batch { solix: Some(sample::station_report()), ..sample::fleet() };
        assert_eq!(csv(&batch.into()), csv(&sample::fleet().into()));
    }

    #[test]
    fn every_record_has_every_column() {
        let document = csv(&sample::fleet().into());
        let mut reader = ::csv::Reader::from_reader(document.as_bytes());
        let records: Vec<_> =
            reader.records().map(|record| record.expect("of the header's length")).collect();
        assert_eq!(records.len(), 12);
        assert_eq!(reader.headers().expect("a header").len(), HEADER.len());
    }

    #[test]
    fn a_formula_becomes_text_and_a_negative_number_stays_one() {
        let mut batch = sample::fleet();
        batch.reports.truncate(1);
        let gpu = &mut batch.reports[0].gpus[0];
        gpu.model = Ok(SafeText::new("=HYPERLINK(\"http://x\",\"y\")"));
        gpu.power_draw = Ok(Power::from_milliwatts(-1_500));
        let mut down = sample::failed("node9");
        down.outcome = Outcome::Failed(Failure::new(FailureKind::CommandMissing, "-bash: no"));
        down.address = "@SUM(A1)".to_owned();
        batch.reports.push(down);
        let document = csv(&batch.into());
        assert!(document.contains(r#","'=HYPERLINK(""http://x"",""y"")","#), "{document}");
        assert!(document.contains(",-1.5,draw,"), "{document}");
        assert!(document.contains(",'@SUM(A1),"), "{document}");
    }
}
