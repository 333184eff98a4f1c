//! A check of expositions that finds what `promtool` passes: doubled samples, split families, and names without their
//! unit.

use std::collections::BTreeSet;

use super::Format;

/// Each problem of an exposition, with its line.
pub(crate) fn problems(text: &str, format: Format) -> Vec<String> {
    let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
    let (mut family, mut problems) = (String::new(), Vec::new());
    let mut say = |problem: &str, line: &str| problems.push(format!("{problem}: {line}"));
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(header) = line.strip_prefix("# HELP ") {
            family = header.split(' ').next().unwrap_or_default().to_owned();
            if !families.insert(family.clone()) {
                say("a family that is split", line);
            }
            let unit = family.trim_end_matches("_total").rsplit('_').next().unwrap_or_default();
            if ["seconds", "watts", "joules", "celsius", "ratio", "bytes"].contains(&unit) == is_bare(&family)
            {
                say("a name without its unit", line);
            }
        } else if !line.starts_with('#') {
            let (key, value) = line.rsplit_once(' ').unwrap_or_default();
            if !samples.insert(key) {
                say("a doubled sample", line);
            }
            let name = key.split('{').next().unwrap_or_default();
            let of_family = name.strip_prefix(&*family).unwrap_or(" ");
            if !["", "_total", "_info"].contains(&of_family) || !value.parse().is_ok_and(f64::is_finite) {
                say("not a sample of its family", line);
            }
        }
    }
    let ends = if format == Format::OpenMetrics { "\n# EOF\n" } else { "\n" };
    if !text.ends_with(ends) {
        problems.push("its end is missing".to_owned());
    }
    problems
}

/// Whether a family counts things, or says that something is so, and so has no unit.
fn is_bare(family: &str) -> bool {
    let things = ["_up", "_outcome", "_absent", "_info", "_active", "_maintenance", "_successful"];
    let counts = ["_gpus_reporting", "_gpus_expected", "_hosts", "_left_out", "_batches", "_letters"];
    let infos = ["fleetwatt_gpu", "fleetwatt_build", "fleetwatt_battery"];
    things.iter().chain(&counts).any(|end| family.ends_with(end)) || infos.contains(&family)
}
