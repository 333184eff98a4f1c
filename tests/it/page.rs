//! The page of a report: foreign text is inert, paths are the energy, and every figure is that of the JSON.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "helpers of tests are tests too"
)]

mod chromium;
mod figures;
mod paths;
mod sample;
mod screen;

use fleetwatt::output::page;
use fleetwatt::report::{AlertRow, Band, Report};
use regex::Regex;

pub(crate) use figures::assert_figures_are_those_of_the_json;
use figures::assert_figures_are_those_of_the_report;
use sample::Plan;

/// A hostile name that a template has to escape, others that would be long or backward.
fn hostile_names() -> Vec<String> {
    vec![
        "<img src=x onerror=\"document.title='owned'\">".to_owned(),
        "</script><script>document.title='owned'</script>".to_owned(),
        "a".repeat(200),
        "\u{202e}שלום עולם abc".to_owned(),
        "' onmouseover='document.title=1' \"x|y&amp;".to_owned(),
    ]
}

/// A month in which one node is missing for nine hours, and all for one.
fn month() -> Plan {
    let mut plan = Plan::month(&[
        "hgx-01", "hgx-02", "hgx-03", "hgx-04", "hgx-05", "hgx-06", "hgx-07", "hgx-08", "hgx-09",
    ]);
    plan.holes = vec![(2, 1449..1485)];
    plan.holes.extend((0..9).map(|node| (node, 2150..2154)));
    plan.has_station = true;
    plan.alerts = vec![
        alert(&plan, true, "hgx-03", "host silent for 5 min: connection timed out"),
        alert(&plan, false, "hgx-02 GPU 4", "temperature 87 °C, above 85 °C"),
    ];
    plan
}

fn alert(plan: &Plan, is_critical: bool, subject: &str, message: &str) -> AlertRow {
    AlertRow {
        from: plan.at("2026-11-12T02:15"),
        to: (!is_critical).then(|| plan.at("2026-11-12T11:15")),
        is_critical,
        rule: "host_silent".to_owned(),
        subject: subject.to_owned(),
        message: message.to_owned(),
    }
}

#[test]
fn the_boundary_stands_once_on_the_page() {
    let html = page(&month().report());
    assert_eq!(html.matches("processors, fans and power supplies are not in it").count(), 1);
    assert!(html.contains("A month is played."), "the other notes stay");
}

/// The same fleet, with all names hostile.
fn hostile() -> Plan {
    let mut plan = month();
    let names = hostile_names();
    plan.nodes = names.clone();
    plan.holes = vec![(0, 100..140)];
    plan.alerts = names.iter().map(|name| alert(&plan, true, name, name)).collect();
    plan
}

#[test]
fn the_page_names_no_address() {
    for plan in [month(), hostile()] {
        let html = page(&plan.report());
        let text = html.replace("&lt;img src=x", "");
        for word in ["http:", "https:", "//", "url(", "@import", "src=", "<link", "<iframe", "javascript:"] {
            assert!(!text.contains(word), "{word}");
        }
    }
}

#[test]
fn hostile_names_are_text_and_no_element() {
    let html = page(&hostile().report());
    assert_eq!(html.matches("<script").count(), 1);
    assert_eq!(html.matches("</script").count(), 1);
    assert!(!html.contains("<img") && !html.contains('\u{202e}'));
    assert!(html.contains("&lt;/script&gt;&lt;script&gt;"));
}

#[test]
fn only_the_pages_own_script_may_run() {
    use base64::Engine;
    use sha2::Digest;
    let html = page(&month().report());
    let script = html.split("<script>").nth(1).unwrap().split("</script>").next().unwrap();
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(script));
    assert!(
        html.contains(&format!("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}';"))
    );
}

#[test]
fn without_a_tariff_there_is_no_money() {
    let html = page(&Plan { currencies: vec![], ..month() }.report());
    assert!(html.contains("no tariff set") && html.contains("<h2>Energy by day</h2>"));
    assert!(!html.contains('$') && !html.contains(">Cost</th>"));
}

#[test]
fn two_currencies_have_a_tile_and_a_chart_each_and_no_sum() {
    let report = Plan { currencies: vec!["USD", "EUR"], ..month() }.report();
    let html = page(&report);
    assert!(html.contains("Cost in USD") && html.contains("Cost in EUR"));
    assert!(html.contains("Cost of energy, USD") && html.contains("Cost of energy, EUR"));
    assert_eq!(html.matches("<div class=\"kpi\">").count(), 6);
    let bar = html.split("Cost of energy, EUR").nth(1).unwrap().split("title=\"").nth(1).unwrap();
    let title = bar.split('"').next().unwrap();
    assert_eq!(title.matches('€').count(), 3, "the sum and two bands of its own: {title}");
    assert_figures_are_those_of_the_report(&report, &html);
}

#[test]
fn an_hour_of_one_gpu_has_no_zoom_and_no_week() {
    let mut plan = Plan { from: "2026-11-19T14:00", to: "2026-11-19T15:00", gpus_of_a_node: 1, ..month() };
    (plan.nodes, plan.holes, plan.has_station) = (vec!["bluefin".to_owned()], vec![], false);
    let html = page(&plan.report());
    assert!(html.contains("<h1>19 November 2026, 14:00–15:00</h1>"));
    assert!(html.contains("1.0\u{a0}h, America/Chicago\u{a0}· 1 node, 1 GPU"));
    assert!(!html.contains("type=\"radio\"") && !html.contains("id=\"week\""));
    assert!(html.contains("Every GPU was measured all the time."));
}

#[test]
fn days_of_23_and_25_hours_say_so() {
    let autumn = Plan { from: "2026-10-29T00:00", to: "2026-11-05T00:00", holes: vec![], ..month() };
    assert!(page(&autumn.report()).contains("Sun 1 Nov (25\u{a0}h)"));
    let spring = Plan { from: "2027-03-10T00:00", to: "2027-03-17T00:00", holes: vec![], ..month() };
    assert!(page(&spring.report()).contains("Sun 14 Mar (23\u{a0}h)"));
}

#[test]
fn a_node_of_which_nothing_was_measured_has_words_and_no_zero() {
    let mut plan = month();
    plan.holes = vec![(8, 0..2692)];
    let html = page(&plan.report());
    let nodes = html.split("id=\"nodes\"").nth(1).unwrap();
    let row = nodes.split("<bdi>hgx-09</bdi>").nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(row.contains("not measured") && !row.contains("0.00"), "{row}");
}

#[test]
fn above_forty_nodes_the_first_stand_alone_and_all_in_details() {
    let mut plan = month();
    plan.nodes = (0..60).map(|idx| format!("hgx-{idx:03}")).collect();
    plan.holes = vec![];
    let html = page(&plan.report());
    assert!(html.contains("35 more nodes") && html.contains("All 60 nodes"));
}

#[test]
fn a_day_is_told_by_hours() {
    let plan = Plan { from: "2026-11-19T00:00", to: "2026-11-20T00:00", holes: vec![], ..month() };
    let html = page(&plan.report());
    assert!(html.contains("Energy and cost by hour") && html.contains("By quarter-hour, kWh"));
    assert_eq!(html.split("Cost of energy, USD").next().unwrap().matches("<div class=\"bar\"").count(), 24);
}

#[test]
fn four_hundred_days_have_columns_of_hours_and_a_zoom_to_no_day() {
    let mut plan = Plan { from: "2025-11-01T00:00", to: "2026-12-06T00:00", holes: vec![], ..month() };
    plan.nodes.truncate(2);
    let html = page(&plan.report());
    assert!(html.contains("each step is the mean of 4\u{a0}hours"), "{}", html.len());
    assert!(!html.contains(">day</label>") && html.len() < 1_000_000, "{}", html.len());
    assert!(html.contains("<h1>1 November 2025 – 5 December 2026</h1>"));
    // A day of the year comes twice.
    assert!(html.contains("12 Nov 2026 02:15"));
}

#[test]
fn the_mean_day_begins_at_midnight_though_the_period_does_not() {
    let plan = Plan { from: "2026-10-28T09:15", to: "2026-11-25T09:15", holes: vec![], ..month() };
    let html = page(&plan.report());
    let mean_day = html.split("Mean day, kW").nth(1).unwrap();
    assert!(mean_day.split("title=\"").nth(1).unwrap().starts_with("00:00: load"));
    assert!(html.contains("<h1>28 October 2026 09:15 – 25 November 2026 09:15</h1>"));
}

#[test]
fn energy_without_a_price_is_a_part_of_its_own() {
    let mut report = month().report();
    report.total.unpriced_kwh = Some(30.0);
    report.bands.push(Band {
        name: "no price".to_owned(),
        energy_kwh: 30.0,
        energy_cost: None,
        currency: None,
        mean_price: None,
    });
    let charts = report.charts.as_mut().unwrap();
    charts.periods.parts.push("no price".to_owned());
    for bar in &mut charts.periods.bars {
        bar.parts_kwh.push(1.0);
        bar.parts_cost.push(None);
    }
    let html = page(&report);
    assert!(html.contains("30.0\u{a0}kWh</span> have no price and no cost."));
    assert!(html.contains("The cost is for ") && html.contains("; for "));
    let is_outlined = |chart: &str| chart.split("</figure>").next().unwrap().contains("class=\"np\"");
    assert!(is_outlined(html.split("Energy, kWh").nth(1).unwrap()));
    assert!(!is_outlined(html.split("Cost of energy, USD").nth(1).unwrap()));
    assert_figures_are_those_of_the_report(&report, &html);
}

#[test]
fn energy_of_which_none_has_a_price_has_words_for_its_cost() {
    let mut report = month().report();
    report.total.unpriced_kwh = Some(report.total.energy_kwh);
    for cost in &mut report.costs {
        (cost.energy_cost, cost.u_cost, cost.cost, cost.idle_cost) = (None, None, None, None);
    }
    let html = page(&report);
    assert!(html.contains("<b class=\"none\">no price</b>") && html.contains("The energy has no price."));
    assert!(!html.contains(" and cost <b"));
}

#[test]
fn what_is_filled_in_and_what_is_billed_have_columns_of_their_own() {
    let mut report = month().report();
    for row in
        report.charts.as_mut().unwrap().nodes.iter_mut().map(|node| &mut node.row).chain([&mut report.total])
    {
        (row.filled_kwh, row.billed_kwh) = (Some(12.3), Some(2_345.6));
    }
    let html = page(&report);
    assert!(html.contains("Filled, kWh") && html.contains("Billed, kWh"));
    assert!(html.contains("an estimate of what was not measured"));
    assert_figures_are_those_of_the_report(&report, &html);
}

#[test]
fn stations_alone_have_their_figures_and_none_of_boards() {
    let mut report = month().report();
    report.scope.gpus = 0;
    (report.costs, report.gaps) = (vec![], vec![]);
    let html = page(&report);
    assert!(html.contains("There is no GPU in this period. The stations delivered"));
    assert!(html.contains("<dt>Delivered</dt>") && html.contains("Supply and battery"));
    assert!(!html.contains("<dt>Energy</dt>") && !html.contains("id=\"power\""));
}

#[test]
fn a_month_of_which_nothing_was_measured_has_no_zero() {
    let mut plan = month();
    plan.nodes.truncate(2);
    plan.holes = (0..2).map(|node| (node, 0..2692)).collect();
    let html = page(&plan.report());
    assert!(html.contains("Nothing was measured in this period, of 16 GPUs."));
    assert!(!html.contains(">0.00<") && !html.contains("$0.00<"), "a zero");
}

#[test]
fn a_day_of_which_nothing_was_measured_has_no_zero() {
    let mut plan = month();
    plan.nodes.truncate(2);
    // The second day.
    plan.holes = (0..2).map(|node| (node, 96..192)).collect();
    let html = page(&plan.report());
    let table = html.split("Table: each day").nth(1).unwrap();
    let row = table.split("Thu 29 Oct").nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(row.contains("not measured") && !row.contains("0.00"), "{row}");
    assert!(html.contains("title=\"Thu 29 Oct: not measured\""));
}

#[test]
fn a_day_before_the_first_reading_is_not_measured() {
    let mut report = month().report();
    let charts = report.charts.as_mut().unwrap();
    (charts.periods.bars[0].energy_kwh, charts.periods.bars[0].measured_share) = (0.0, None);
    for member in &mut charts.power.members {
        member.watts[..96].fill(None);
    }
    charts.power.measured[..96].fill(1.0);
    let html = page(&report);
    assert!(html.contains("title=\"Wed 28 Oct: not measured\""));
    let hatch = html.split("class=\"hatch\"").nth(1).unwrap();
    assert!(hatch.starts_with(" style=\"left:0%"), "{hatch:.60}");
}

#[test]
fn a_report_without_charts_is_a_page_without_them() {
    let report = Report { charts: None, ..month().report() };
    let html = page(&report);
    assert!(html.contains("charts, which were not asked for") && !html.contains("<svg"));
}

#[test]
fn eight_hundred_gpus_for_thirty_days_are_below_two_megabytes() {
    let mut plan = Plan { to: "2026-11-27T00:00", ..month() };
    plan.nodes = (0..100).map(|idx| format!("hgx-{idx:03}")).collect();
    plan.holes = (0..100).map(|node| (node, node * 25..node * 25 + 1)).collect();
    let size = page(&plan.report()).len();
    assert!(size < 2_000_000, "{size}");
}

#[test]
fn seventy_gpus_for_thirty_days_are_below_four_hundred_kilobytes() {
    let nodes: Vec<String> = (0..10).map(|idx| format!("hgx-{idx:02}")).collect();
    let plan = Plan { to: "2026-11-27T00:00", nodes, gpus_of_a_node: 7, ..month() };
    let report = plan.report();
    assert_eq!((report.scope.gpus, report.scope.days), (70, 30));
    let size = page(&report).len();
    assert!(size < 400_000, "{size}");
}

#[test]
fn the_rows_of_gaps_sum_to_what_was_not_measured() {
    let html = page(&month().report());
    let (tiles, gaps) = html.split_once("id=\"gaps\"").unwrap();
    let hours = Regex::new(r#"<td class="hours" data-v="([^"]+)""#).unwrap();
    let sum: f64 = hours.captures_iter(gaps).map(|found| found[1].parse::<f64>().unwrap()).sum();
    let tile = Regex::new(r#"data-v="([^"]+)">[^<]*</span> GPU-hours were not measured"#).unwrap();
    let unmeasured: f64 = tile.captures(tiles).unwrap()[1].parse().unwrap();
    // 8 GPUs for 9 h, and 72 for an hour.
    assert_eq!((sum, unmeasured), (144.0, 144.0));
}

/// What stands in a row of the table of days.
fn row_of_day<'a>(html: &'a str, day: &str) -> &'a str {
    let table = html.split("Table: each day").nth(1).unwrap();
    table.split(day).nth(1).unwrap().split("</tr>").next().unwrap()
}

#[test]
fn a_day_without_any_price_has_no_cost() {
    for currencies in [vec!["USD"], vec!["USD", "EUR"]] {
        let mut report = Plan { currencies, ..month() }.report();
        let bar = &mut report.charts.as_mut().unwrap().periods.bars[0];
        bar.energy_cost = None;
        bar.parts_cost.fill(None);
        let html = page(&report);
        assert!(html.contains("title=\"Wed 28 Oct: no price\""));
        let row = row_of_day(&html, "Wed 28 Oct");
        assert!(!row.contains("0.00") && row.contains("<td>–</td>"), "{row}");
    }
}

#[test]
fn of_costs_in_two_currencies_no_day_is_the_most_expensive() {
    let words = "The most expensive day was";
    assert!(page(&month().report()).contains(words));
    let mut report = Plan { currencies: vec!["USD", "EUR"], ..month() }.report();
    report.charts.as_mut().unwrap().periods.bars[0].energy_cost = Some(12.0);
    assert!(!page(&report).contains(words));
}

#[test]
fn hours_over_midnight_are_not_two_days() {
    let plan = Plan { from: "2026-11-19T12:00", to: "2026-11-20T11:30", holes: vec![], ..month() };
    assert!(page(&plan.report()).contains("23.5\u{a0}h, America/Chicago"));
}

#[test]
fn an_alert_of_seconds_was_there_for_less_than_a_minute() {
    let mut plan = month();
    let from = plan.at("2026-11-12T02:15:00");
    plan.alerts = vec![AlertRow { to: Some(plan.at("2026-11-12T02:15:10")), from, ..plan.alerts[0].clone() }];
    assert!(page(&plan.report()).contains("<td>&lt;1\u{a0}min</td>"));
}

#[test]
fn a_silent_day_of_a_station_is_not_measured_and_another_has_its_share() {
    let mut report = month().report();
    report.charts.as_mut().unwrap().supply.as_mut().unwrap().bars[0].measured_share = 0.0;
    let html = page(&report);
    let supply = html.split("id=\"supply\"").nth(1).unwrap();
    assert!(supply.contains("title=\"Wed 28 Oct: not measured; charge 12–60\u{a0}%\""));
    // A quarter of the fifth day is missing: 2 px and a quarter of 6.
    let mark = supply.split("title=\"Sun 1 Nov: 75.0\u{a0}% measured\"").nth(1).unwrap();
    assert!(mark.split('>').next().unwrap().ends_with("height:4px\""), "{mark:.120}");
}

#[test]
fn a_charge_that_stays_the_same_is_a_line_and_an_unknown_one_a_hatch() {
    let mut report = month().report();
    report.charts.as_mut().unwrap().supply.as_mut().unwrap().charge[0] = Some((100.0, 100.0));
    let html = page(&report);
    let strip = html.split("class=\"soc\"").nth(1).unwrap();
    assert!(strip.contains("bottom:min(100%,100% - 2px);height:max(2px,0%)"));
    assert!(strip.split("</div>").next().unwrap().contains("<i class=\"hatch\">"));
}

#[test]
fn the_carbon_intensity_is_that_of_the_report() {
    let mut report = month().report();
    // With cooling, and with energy that has no intensity.
    let kg = report.total.energy_kwh * 0.412;
    (report.total.co2_kg, report.total.co2_g_per_kwh) = (Some(kg * 1.3), Some(412.0));
    let words = "at <span data-v=\"412\">412\u{a0}g/kWh</span> on average";
    assert!(page(&report).contains(&format!("{words}, times the PUE")));
    report.total.co2_kg = Some(kg);
    assert!(page(&report).contains(&format!("{words}</small>")));
}

#[test]
fn a_node_that_gave_no_reading_is_told_and_has_no_figure() {
    let mut report = Plan { holes: vec![], ..month() }.report();
    report.scope.silent_nodes = vec!["hgx-10".to_owned()];
    let html = page(&report);
    assert!(html.contains("<bdi>hgx-10</bdi> gave no reading at all."));
    assert!(!html.contains("Every GPU was measured all the time."));
    let row = html.split("id=\"gaps\"").nth(1).unwrap().split("<bdi>hgx-10</bdi>").nth(1).unwrap();
    let row = row.split("</tr>").next().unwrap();
    assert!(row.contains("<td class=\"hours\">–</td>") && !row.contains(">0"), "{row}");
}

#[test]
fn a_gap_that_is_too_small_to_be_hatched_is_marked_below_the_plot() {
    let mut plan = month();
    plan.nodes = (0..30).map(|idx| format!("hgx-{idx:02}")).collect();
    plan.holes = vec![(4, 100..140)];
    let html = page(&plan.report());
    assert!(html.contains("Marked below: not measured") && !html.contains("class=\"k hatch\""));
    assert!(page(&month().report()).contains("Hatched: not measured"));
}

#[test]
fn advice_stands_once() {
    let html = page(&month().report());
    assert!(html.matches("host down: connection timed out</bdi>").count() > 1);
    assert_eq!(html.matches("check that it is switched on").count(), 1);
}

#[test]
fn the_method_has_the_parts_of_the_uncertainty_and_the_months_by_name() {
    let html = page(&month().report());
    let method = html.split("id=\"method\"").nth(1).unwrap();
    assert!(
        method.contains("calibration <span data-v=\"0.092\" data-k=\"0.01\">9.2\u{a0}%</span>, sampling ")
    );
    assert!(method.contains("Demand charge of November, <bdi>colo</bdi>: "));
    assert!(method.contains("three intervals unless <code>max_gap</code> says otherwise"));
}

#[test]
fn the_method_says_what_is_filled_in() {
    let mut report = month().report();
    assert!(page(&report).contains("is not measured, and nothing is filled in."));
    report.total.filled_kwh = Some(3.0);
    let html = page(&report);
    assert!(
        !html.contains("nothing is filled in") && html.contains("is only in the column of what is filled in")
    );
}

#[test]
fn without_a_priced_band_there_are_no_mean_prices() {
    let mut report = month().report();
    assert!(page(&report).contains("Mean prices: "));
    report.bands.iter_mut().for_each(|band| band.mean_price = None);
    assert!(!page(&report).contains("Mean prices"));
}

#[test]
fn little_that_was_measured_is_marked_in_the_tile_the_total_and_the_day() {
    let mut report = month().report();
    report.total.measured_share = Some(0.985);
    report.charts.as_mut().unwrap().periods.bars[0].measured_share = Some(0.984);
    let html = page(&report);
    assert_eq!(html.matches("class=\"low\" data-v=\"0.985\"").count(), 2);
    assert!(row_of_day(&html, "Wed 28 Oct").contains("<td class=\"low\" data-v=\"0.984\""));
}

#[test]
fn the_table_of_members_has_the_energies_of_the_report() {
    let mut report = month().report();
    report.charts.as_mut().unwrap().power.members[1].periods_kwh[..2]
        .clone_from_slice(&[Some(12.345_678), None]);
    let html = page(&report);
    let table = html.split("Table: energy by day and node").nth(1).unwrap().split("</table>").next().unwrap();
    let row = |day: &str| table.split(day).nth(1).unwrap().split("</tr>").next().unwrap();
    assert!(row("Wed 28 Oct").contains("<td data-v=\"12.345678\">12.3</td>"));
    assert!(row("Thu 29 Oct").contains("not measured"));
}
