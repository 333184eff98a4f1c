//! The paths of the plot: their area is the energy, and what was not measured has none.

use super::*;

/// The paths of a level of the plot, the highest first.
fn paths(html: &str, level: &str) -> Vec<String> {
    let plot = html.split(&format!("<svg class=\"{level}")).nth(1).unwrap().split("</svg>").next().unwrap();
    Regex::new(r#" d="([^"]*)""#).unwrap().captures_iter(plot).map(|found| found[1].to_owned()).collect()
}

/// The heights of a path by column, in units.
fn columns(path: &str, top: i64) -> Vec<(usize, i64)> {
    let step = Regex::new(r"([A-Za-z])(-?\d+)(?: (-?\d+))?").unwrap();
    let (mut x, mut y, mut found) = (0, top, vec![]);
    for part in step.captures_iter(path) {
        let number: i64 = part[2].parse().unwrap();
        match &part[1] {
            "M" => (x, y) = (usize::try_from(number).unwrap(), part[3].parse().unwrap()),
            "V" => y = number,
            "v" => y += number,
            "h" => {
                let n = usize::try_from(number).unwrap();
                found.extend((x..x + n).map(|column| (column, top - y)));
                x += n;
            }
            other => panic!("{other} is not a step"),
        }
    }
    found
}

/// The energy below the highest path of a level, in kWh.
fn energy_below(html: &str, level: &str, hours: f64) -> f64 {
    let near = html.split("<svg class=\"near").nth(1).unwrap();
    let unit: f64 = Regex::new(r#"data-unit="(\d+)""#).unwrap().captures(near).unwrap()[1].parse().unwrap();
    let top: i64 =
        Regex::new(r#"viewBox="0 0 [\d.]+ (\d+)""#).unwrap().captures(near).unwrap()[1].parse().unwrap();
    let units: i64 = columns(&paths(html, level)[0], top).iter().map(|(_, height)| height).sum();
    units as f64 * unit * hours / 1000.0
}

#[test]
fn the_area_of_the_near_path_is_the_energy_and_that_of_the_far_path_nearly() {
    let report = month().report();
    let html = page(&report);
    let energy = report.total.energy_kwh;
    let near = energy_below(&html, "near", 0.25);
    assert!((near / energy - 1.0).abs() < 1e-4, "{near} for {energy}");
    let far = energy_below(&html, "far", 0.25 * 4.0);
    assert!((far / energy - 1.0).abs() < 5e-3, "{far} for {energy}");
}

#[test]
fn the_highest_quarter_is_on_the_line_of_the_far_level() {
    let html = page(&month().report());
    let highest = |path: &str| columns(path, 5_000).iter().map(|(_, height)| *height).max();
    let line = paths(&html, "far").pop().unwrap();
    assert_eq!(highest(&line), highest(&paths(&html, "near")[0]));
}

#[test]
fn a_member_that_was_not_measured_has_no_height_and_a_hatch_is_behind_it() {
    let mut plan = month();
    plan.nodes.truncate(3);
    plan.holes = vec![(2, 1449..1485)];
    let html = page(&plan.report());
    let near = paths(&html, "near");
    // hgx-03 draws the least of the three: it is on top.
    let heights = |path: &str| columns(path, 5_000).into_iter().map(|(_, height)| height).collect::<Vec<_>>();
    let (all, two) = (heights(&near[0]), heights(&near[1]));
    assert_eq!(all[1449..1485], two[1449..1485]);
    assert!(all[1448] > two[1448] && all[1485] > two[1485]);
    // 1,449 and 36 of 28 days and an hour in quarters: 2,692.
    assert!(html.contains(r#"<em class="hatch" style="left:53.826%;width:max(2px,1.337%)">"#));
    assert!(html.contains(r#"data-none="1449+36""#));
}

#[test]
fn where_nothing_was_measured_the_paths_are_cut() {
    let html = page(&month().report());
    let cut: Vec<usize> =
        columns(&paths(&html, "near")[0], 5_000).into_iter().map(|(column, _)| column).collect();
    assert!(cut.contains(&2149) && cut.contains(&2154));
    assert!(!(2150..2154).any(|column| cut.contains(&column)));
}

#[test]
fn no_path_has_a_slope() {
    let html = page(&month().report());
    for path in Regex::new(r#" d="([^"]*)""#).unwrap().captures_iter(&html) {
        assert!(path[1].chars().all(|c| !c.is_ascii_alphabetic() || "MVvHhz".contains(c)), "{}", &path[1]);
    }
}
