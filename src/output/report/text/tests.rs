//! The text of reports at several widths.

use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::output::report::fixture;
use crate::report::{Charge, ChargeKind};

fn shown(report: &Report, width: Option<u16>) -> String {
    text(report, &ReportTextOptions { text: TextOptions { colour: false, width }, has_bars: true })
}

fn month() -> Report {
    Report { charts: Some(Box::new(fixture::charts())), ..fixture::month() }
}

/// Two currencies, so that no row and no total has one.
fn two_currencies() -> Report {
    let mut report = fixture::month();
    report.rows.iter_mut().chain([&mut report.total]).for_each(|row| {
        row.energy_cost = None;
        row.currency = None;
    });
    report.rows[0].energy_cost = Some(298.12);
    report.rows[0].currency = Some("USD".to_owned());
    let euros = Cost {
        currency: "EUR".to_owned(),
        energy_cost: Some(100.0),
        u_cost: None,
        demand_cost: 0.0,
        fixed_cost: 0.0,
        cost: Some(100.0),
        idle_cost: None,
        charges: Vec::new(),
    };
    report.costs.push(euros);
    report
}

#[test]
fn a_month_by_node_reads_like_this() {
    insta::assert_snapshot!(shown(&month(), None), @r#"
    Energy of GPU boards, 28 October – 26 November 2026
    30 days, America/Chicago; 12 nodes, 70 GPUs

    energy    18,694.5 kWh ± 1,700      measured   99.4 %, 290.4 GPU-hours missing
    cost      $2,225.43 ± $200          peak       40.6 kW, Mon 2 Nov 20:30
    idle      1,709.0 kWh, $146.27      CO2        7.0 t

    NODE       GPUS       kWh      ±  SHARE                IDLE       COST  MEASURED
    hgx-01        8   3,144.1    290  ━━━━━━━━━━━━━  17 %   1 %    $298.12    99.8 %
    hgx-02        8   3,098.4    290  ━━━━━━━━━━━━━  17 %   1 %    $293.83    99.8 %
    hgx-03        8   3,092.8    280  ━━━━━━━━━━━━━  16 %   1 %    $292.73    98.5 %
    hgx-05        8   1,937.5    180  ━━━━━━━━       10 %  18 %    $203.24    99.0 %
    hgx-07        8   1,936.7    180  ━━━━━━━━       10 %  19 %    $203.27    99.8 %
    hgx-06        8   1,934.1    180  ━━━━━━━━       10 %  10 %    $184.33    99.8 %
    hgx-04        8   1,915.1    180  ━━━━━━━━       10 %  19 %    $200.56    99.8 %
    hgx-08        8   1,234.1    110  ━━━━━           7 %  24 %    $115.71    99.8 %
    redfin        1     187.5     17  ━               1 %  11 %     $17.99    99.8 %
    turing-02     2      97.7    9.0  ╸              <1 %  18 %     $10.51    95.7 %
    turing-01     2      85.8    7.9  ╸              <1 %  24 %      $9.02    99.8 %
    bluefin       1      30.7    2.8  ╸              <1 %  27 %      $5.19    99.7 %
    ────────────────────────────────────────────────────────────────────────────────
    total        70  18,694.5  1,700                100 %   9 %  $1,834.50    99.4 %
    demand, November: 38.6 kW at $9.80, Wed 4 Nov 19:15            $378.43
    fixed charges                                                   $12.50
    cost                                                         $2,225.43

    By day, kWh    ███▇████▇█▇▇▇▆▇▇▆▆▆▇▆▆▆▇▆▅▇▇█▇  467 to 732
    Not measured                  ·      ·  ·····
                        └      └      └      └     Mondays: 2, 9, 16, 23 Nov

    NOT MEASURED                                                           GPU-HOURS
    all nodes     19 Nov 14:30–16:00           fleetwatt was not running       105.0
    hgx-03        12 Nov 02:15–11:15           host down: connection timed out  72.0
                                               during the login
    turing-02     25 Nov 18:45 – 27 Nov 00:00  host down: no route to host      58.5
    hgx-05 GPU 6  22 Nov 09:00 – 24 Nov 02:00  GPU is lost (fell off the bus);  41.0
                                               reboot the node
    single readings  time-outs of single polls                                  13.9

    ± is k = 2: calibration 9.2 %, sampling 0.1 %. What was not measured is in no
    figure; --fill mean estimates it in a column of its own. Energy of GPU boards as
    their driver reports it, on the side of direct current: processors, fans and
    power supplies are not in it. PUE 1.0: cost and CO2 are of the boards' energy
    times it.
    "#);
}

#[test]
fn a_small_part_of_the_uncertainty_is_not_nothing() {
    let mut report = fixture::month();
    report.total.u_sampling_share = Some(0.000_4);
    assert!(shown(&report, None).contains("calibration 9.2 %, sampling <0.1 %."));
}

#[test]
fn no_line_is_wider_than_its_terminal() {
    let mut hostile = month();
    hostile.rows[0].group = "gpu-node-01.rack-17.building-4.campus-north.research.example.org".to_owned();
    hostile.rows[0].filled_kwh = Some(10.0);
    hostile.total.filled_kwh = Some(110.0);
    hostile.total.billed_kwh = Some(20_000.0);
    hostile.gaps[0].what = "hgx-[001-007,009-015,017-023,025-031,033-039,041-047]".to_owned();
    hostile.supply = Some(fixture::supply());
    for report in [month(), two_currencies(), hostile] {
        for width in (40..120).chain([300]) {
            let text = shown(&report, Some(width));
            let longest = text.lines().max_by_key(|line| line.width()).unwrap_or_default();
            assert!(longest.width() <= usize::from(width), "{width}: {longest}");
        }
    }
}

#[test]
fn a_wider_terminal_has_longer_bars_and_a_narrow_one_none() {
    let longest = |width: u16| {
        let text = shown(&fixture::month(), Some(width));
        text.lines().map(|line| line.matches('━').count()).max().unwrap_or_default()
    };
    assert_eq!([60, 80, 100, 200].map(longest), [0, 13, 33, 40]);
}

#[test]
fn without_bars_the_figures_stay() {
    let options = ReportTextOptions { text: TextOptions::default(), has_bars: false };
    let text = text(&month(), &options);
    assert!(!text.contains(['━', '█']), "{text}");
    assert!(text.contains("hgx-01        8   3,144.1    290   17 %   1 %    $298.12    99.8 %\n"), "{text}");
}

#[test]
fn several_currencies_are_never_summed() {
    let text = shown(&two_currencies(), None);
    for line in ["cost      $2,225.43 ± $200", "cost      €100.00"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    for (label, amount) in
        [("energy, USD", "$1,834.50"), ("cost, USD", "$2,225.43"), ("cost, EUR", "€100.00")]
    {
        assert!(
            text.lines().any(|line| line.starts_with(label) && line.ends_with(amount)),
            "{label}: {text}"
        );
    }
    let total = text.lines().find(|line| line.starts_with("total")).unwrap();
    assert!(!total.contains('$'), "{total}");
}

#[test]
fn energy_without_a_price_is_beside_the_cost_of_the_other() {
    let mut report = fixture::month();
    report.total.unpriced_kwh = Some(18_000.0);
    let shown_partly = shown(&report, None);
    assert!(shown_partly.contains("\npriced    694.5 of 18,694.5 kWh"), "{shown_partly}");
    assert!(
        shown_partly.lines().any(|line| line.starts_with("without a price: 18,000.0 kWh")),
        "{shown_partly}"
    );
    report.total.unpriced_kwh = Some(report.total.energy_kwh);
    let cost = &mut report.costs[0];
    (cost.energy_cost, cost.u_cost, cost.cost) = (None, None, None);
    let text = shown(&report, None);
    assert!(text.contains("\ncost      no price in USD") && !text.contains("\npriced"), "{text}");
    report.costs.clear();
    let text = shown(&report, None);
    assert!(text.contains("\ncost      no price                  peak "), "{text}");
}

#[test]
fn without_a_tariff_nothing_costs_anything() {
    let mut report = two_currencies();
    report.costs.clear();
    report.rows[0].energy_cost = None;
    let text = shown(&report, None);
    assert!(text.contains("cost      no tariff set"), "{text}");
    assert!(!text.contains("COST") && !text.contains('$'), "{text}");
}

#[test]
fn a_charge_of_a_month_that_began_earlier_is_in_brackets() {
    let mut report = fixture::month();
    let shown_only = Charge {
        kind: ChargeKind::Demand,
        month: "2026-10".to_owned(),
        tariff: "home".to_owned(),
        cost: 392.0,
        is_charged: false,
        is_complete: true,
        per_kw: Some(9.8),
        peak_kw: Some(40.0),
        peak_at: Some(fixture::at("2026-10-30T20:00")),
    };
    let fixed = Charge { kind: ChargeKind::Fixed, cost: 12.5, ..shown_only.clone() };
    let of_another = Charge { tariff: "office".to_owned(), cost: 7.5, ..fixed.clone() };
    report.costs[0].charges.extend([shown_only, fixed, of_another]);
    let text = shown(&report, None);
    for line in [
        "(demand, October, home: 40.0 kW at $9.80, 30 Oct 20:00)      ($392.00)\n",
        "(fixed charges, October)                                      ($20.00)\n",
        "fixed charges, November                                         $12.50\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let third = Charge { month: "2026-12".to_owned(), ..report.costs[0].charges[1].clone() };
    report.costs[0].charges.push(third);
    assert!(shown(&report, None).contains("\nfixed charges, November – December "));
}

#[test]
fn an_estimate_has_no_uncertainty_and_a_small_energy_more_decimals() {
    let mut report = fixture::month();
    report.rows = vec![Row { estimated_kwh: Some(0.25), ..fixture::row("k620", 1, 0.25) }];
    report.total = Row { share: Some(1.0), estimated_kwh: Some(0.25), ..fixture::row("total", 1, 0.25) };
    let text = shown(&report, None);
    assert!(text.contains("energy    0.250 kWh, an estimate"), "{text}");
    let row = text.lines().find(|line| line.starts_with("k620")).unwrap();
    assert!(row.contains("0.250  estimate"), "{row}");
}

#[test]
fn of_many_gaps_five_have_lines_and_all_sum_to_what_is_missing() {
    let mut report = fixture::month();
    for number in 5..=9 {
        let gap = crate::report::Gap { number: Some(number), gpu_hours: 2.0, ..report.gaps[3].clone() };
        report.gaps.insert(4, gap);
    }
    let text = shown(&report, None);
    let (_, gaps) = text.split_once("NOT MEASURED").unwrap();
    let (gaps, _) = gaps.split_once("\n\n").unwrap();
    // The second line of a reason has no hours.
    let lines: Vec<&str> = gaps.lines().skip(1).filter(|line| !line.starts_with(' ')).collect();
    let hours = lines.iter().map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    assert!((hours.sum::<f64>() - (290.4 + 10.0)).abs() < 0.01, "{gaps}");
    assert_eq!(lines.len(), 7, "{gaps}");
    assert!(gaps.contains("\n4 smaller ones  in --format json"), "{gaps}");
}

#[test]
fn a_node_that_gave_no_reading_is_told_and_has_no_hours() {
    let mut report = fixture::month();
    report.scope.silent_nodes = vec!["turing-03".to_owned()];
    let line = "turing-03  no reading at all; how many GPUs are there is not known";
    assert!(shown(&report, None).contains(&format!("\n{line:79}–\n")));
    report.gaps.clear();
    assert!(shown(&report, None).contains("\nNOT MEASURED "));
}

#[test]
fn a_station_tells_where_its_energy_came_from() {
    let report = Report { supply: Some(fixture::supply()), ..fixture::month() };
    let text = shown(&report, None);
    assert!(text.contains("CO2        7.0 t\n"), "{text}");
    assert!(text.contains("station    self-sufficiency of load 43 %\n"), "{text}");
    let (_, supply) = text.split_once("\nSUPPLY\n").unwrap();
    assert_eq!(
        supply.split("\n\n").next().unwrap(),
        "F3800 …9876.\n\
         In: 150.0 kWh from the panels, 190.0 kWh from the grid.\n\
         Out to the loads: 320.0 kWh; of it from the sun 64.0 kWh (20 %), the battery\n\
         80.0 kWh (25 %), the grid 176.0 kWh (55 %).\n\
         Battery: 100.0 kWh in, 80.0 kWh out, round trip 80 %; at the present draw it\n\
         lasts 5.2 h.\n\
         Measured: 99.1 %."
    );
}

#[test]
fn colour_marks_what_was_poorly_measured() {
    let options = ReportTextOptions { text: TextOptions { colour: true, width: Some(80) }, has_bars: true };
    let text = text(&month(), &options);
    assert!(text.contains("\u{1b}[1m\u{1b}[33m95.7 %\u{1b}[0m"), "{text:?}");
    assert!(!text.contains("\u{1b}[1m\u{1b}[33m99.8"), "{text:?}");
}

#[test]
fn a_range_of_hours_says_so() {
    let mut report = fixture::month();
    report.to = fixture::at("2026-10-28T01:30");
    let text = shown(&report, None);
    assert!(
        text.starts_with("Energy of GPU boards, 28 October 2026, 00:00–01:30\n1.5 h, America/Chicago;"),
        "{text}"
    );
}

#[test]
fn an_energy_of_which_nothing_was_measured_is_not_zero() {
    let mut report = month();
    report.rows[11] = Row { measured_share: Some(0.0), share: Some(0.0), ..fixture::row("bluefin", 1, 0.0) };
    let periods = &mut report.charts.as_mut().unwrap().periods;
    periods.bars[3].energy_kwh = 0.0;
    periods.bars[3].measured_share = Some(0.0);
    let text = shown(&report, None);
    let row = text.lines().find(|line| line.starts_with("bluefin")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells, ["bluefin", "1", "–", "–", "–", "–", "–", "0.0", "%"]);
    assert!(text.contains("███ ████▇█") && text.contains("467 to 732"), "{text}");
}

#[test]
fn a_node_that_is_down_says_so_below_its_figures() {
    let mut report = fixture::month();
    report.rows[9].down_since = Some(fixture::at("2026-11-25T18:45"));
    let below = |report: &Report, width: u16| {
        let text = shown(report, Some(width));
        text.lines().skip_while(|line| !line.starts_with("turing-02")).nth(1).map(str::to_owned).unwrap()
    };
    let bar = shown(&report, None).lines().find_map(|line| Some(line.split_once('━')?.0.width()));
    assert_eq!(below(&report, 80), format!("{:1$}▲ down since 25 Nov 18:45", "", bar.unwrap()));
    assert_eq!(below(&report, 40), "  ▲ down since 25 Nov 18:45");
    report.scope.by = vec!["gpu".to_owned()];
    assert!(below(&report, 80).starts_with("turing-01"));
}

#[test]
fn in_a_range_of_a_year_times_have_their_year() {
    let mut report = fixture::month();
    report.from = fixture::at("2025-11-27T00:00");
    let text = shown(&report, Some(120));
    assert!(text.contains("\nhgx-03        12 Nov 2026 02:15–11:15  "), "{text}");
}

#[test]
fn hours_over_midnight_are_not_two_days() {
    let mut report = fixture::month();
    (report.from, report.to) = (fixture::at("2026-11-25T12:00"), fixture::at("2026-11-26T11:30"));
    report.scope.days = 2;
    let text = shown(&report, None);
    assert!(text.contains("23.5 h, America/Chicago"), "{text:.200}");
}
