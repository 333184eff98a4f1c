//! Frames as they are seen, and what keys do.

use std::collections::BTreeMap;
use std::time::Duration;

use ratatui_core::buffer::Buffer;
use ratatui_core::style::Color;
use serde_json::{Value, json};

use super::*;
use crate::alert::{Rules, Scope, Threshold, evaluate};
use crate::batch::{Batch, Snapshot, Today, fixtures};
use crate::output::json_line;
use crate::reading::{Energy, Share, Temperature, Timestamp};
use crate::tariff::{Currency, Money};

const PLAIN: Theme = Theme { colours: Colours::None, is_ascii: false };
const COLOURED: Theme = Theme { colours: Colours::Many, is_ascii: false };

/// The mixed fleet with two alerts, a station and a day, 37 seconds after its cycle began.
fn snapshot() -> Snapshot {
    let mut batch = Batch { account: Some(fixtures::station_report()), ..fixtures::fleet() };
    for (report, rack) in batch.reports.iter_mut().zip(["a", "a", "b", "b", "b"]) {
        report.labels = BTreeMap::from([("rack".to_owned(), rack.to_owned())]);
    }
    let above = Temperature::from_millicelsius(80_000);
    let gpu_temperature = Some(Threshold { above, held_for: Duration::ZERO });
    let rules = Rules { gpu_temperature, ..Rules::default() };
    let alerts = evaluate(&rules, &mut crate::alert::State::default(), &batch.alert_facts(Scope::Whole));
    let today = Today {
        energy: Energy::from_millijoules(41_234_567 * 3_600),
        costs: vec![(Currency::parse("USD").unwrap(), Money::from_micros(5_772_839))],
        measured: Some(Share::from_millipercent(98_912)),
    };
    Snapshot { alerts, today: Some(today), interval: Some(Duration::from_mins(1)), ..batch.into() }
}

fn document() -> Document {
    Document::parse(&json_line(&snapshot())).unwrap()
}

/// The same document with changes.
fn changed(change: impl Fn(&mut Value)) -> Document {
    let mut value: Value = serde_json::from_str(&json_line(&snapshot())).unwrap();
    change(&mut value);
    Document::parse(&value.to_string()).unwrap()
}

fn after(seconds: u64) -> Now {
    Now { at: fixtures::STARTED_AT.plus(Duration::from_secs(seconds)), zone: jiff::tz::TimeZone::UTC }
}

fn state() -> State {
    let mut state = State::new(Feed::Daemon("/run/fleetwatt/snapshot.sock".to_owned()));
    // Half an hour of cycles before the last one.
    for minute in (1..=30).rev() {
        let at = fixtures::STARTED_AT.minus(Duration::from_mins(minute)).to_string();
        state.take(changed(|value| value["started_at"] = json!(at)));
    }
    state.take(document());
    state
}

fn seen(state: &State) -> String {
    printed(&frame(state, &after(37), PLAIN), false)
}

fn sized(width: u16, height: u16) -> State {
    let mut state = state();
    state.resize(width, height);
    state
}

fn press(state: &mut State, keys: &str) {
    for key in keys.chars() {
        state.press(match key {
            '\n' => Key::Enter,
            '\u{1b}' => Key::Escape,
            '↓' => Key::Down,
            '↑' => Key::Up,
            '→' => Key::Right,
            '←' => Key::Left,
            letter => Key::Char(letter),
        });
    }
}

/// The names of the lines of the table, the selected one marked.
fn lines(state: &State) -> String {
    let table = rows::table(state);
    let selected = rows::place(state, &table);
    let name = |(place, row): (usize, &rows::Row<'_>)| {
        format!("{}{}", if place == selected { "*" } else { "" }, row.name)
    };
    table.rows.iter().enumerate().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn eighty_columns_read_like_this() {
    insta::assert_snapshot!(seen(&sized(80, 24)));
}

#[test]
fn an_open_node_in_a_hundred_and_twenty_columns_reads_like_this() {
    let mut state = sized(120, 40);
    press(&mut state, "→");
    insta::assert_snapshot!(seen(&state));
}

#[test]
fn two_hundred_columns_read_like_this() {
    insta::assert_snapshot!(seen(&sized(200, 60)));
}

#[test]
fn forty_columns_have_names_and_powers() {
    insta::assert_snapshot!(seen(&sized(40, 10)));
}

#[test]
fn the_other_views_read_like_this() {
    let mut all = String::new();
    for key in ["a", "b", "d", "?"] {
        let mut state = sized(80, 24);
        press(&mut state, key);
        all += &seen(&state);
    }
    insta::assert_snapshot!(all);
}

#[test]
fn groups_and_a_filter_read_like_this() {
    let mut state = sized(80, 16);
    press(&mut state, "g→/node");
    insta::assert_snapshot!(seen(&state));
}

#[test]
fn a_daemon_that_is_silent_is_said_and_marked() {
    let state = sized(80, 14);
    insta::assert_snapshot!(printed(&frame(&state, &after(540), PLAIN), false));
}

#[test]
fn a_missing_gpu_is_said_where_no_alert_says_so_and_nothing_is_called_well() {
    let with = |nodes: std::ops::Range<usize>| {
        let mut state = state();
        state.take(changed(|value| {
            value["alerts"] = json!([]);
            let all = value["nodes"].as_array().unwrap().clone();
            value["nodes"] = json!(all[nodes.clone()]);
            value["totals"]["nodes_expected"] = json!(nodes.len());
        }));
        seen(&state)
    };
    assert!(with(1..2).contains("△ 1 GPU missing") && with(1..2).contains("node001: 1 GPU missing"));
    assert!(with(0..1).contains("1 node: none down, no GPU missing, no alert"));
}

#[test]
fn no_frame_is_wider_than_its_terminal_whatever_its_size() {
    let base = state();
    for width in [1, 2, 9, 29, 30, 59, 60, 61, 79, 80, 81, 99, 100, 129, 130, 160, 200] {
        for height in [1, 2, 4, 5, 9, 10, 12, 24] {
            for keys in ["→", "a", "b", "d", "?", "g", "/x"] {
                let mut state = base.clone();
                state.resize(width, height);
                press(&mut state, keys);
                let text = printed(&frame(&state, &after(37), PLAIN), false);
                let widest = text.lines().map(pen::width).max().unwrap_or(0);
                assert!(
                    widest <= width && text.lines().count() <= usize::from(height),
                    "{width} {height}\n{text}"
                );
            }
        }
    }
}

fn has_colour(buffer: &Buffer) -> bool {
    buffer.content().iter().any(|cell| (cell.fg, cell.bg) != (Color::Reset, Color::Reset))
}

#[test]
fn without_colour_there_is_none() {
    for keys in ["", "a", "b", "d", "?"] {
        let mut state = sized(120, 40);
        press(&mut state, keys);
        assert!(!has_colour(&frame(&state, &after(37), PLAIN)), "{keys}");
        assert!(has_colour(&frame(&state, &after(37), COLOURED)), "{keys}");
    }
    assert!(!printed(&frame(&state(), &after(37), PLAIN), false).contains('\u{1b}'));
}

#[test]
fn a_terminal_without_utf_8_gets_ascii() {
    for keys in ["→", "a", "b", "d", "?"] {
        let mut state = sized(200, 60);
        press(&mut state, keys);
        let text = printed(&frame(&state, &after(37), Theme { is_ascii: true, ..PLAIN }), false);
        assert!(text.is_ascii(), "{text}");
        assert!(!text.contains("??"), "{text}");
    }
}

#[test]
fn foreign_text_is_inert() {
    let document = changed(|value| {
        value["nodes"][0]["node"] = json!("\u{1b}[2Jred\u{202e}fin");
        value["nodes"][0]["labels"] = json!({ "rack\u{7}": "\u{1b}]0;x\u{7}" });
    });
    let mut state = State::new(Feed::Polling("fleet.toml".to_owned()));
    state.take(document);
    press(&mut state, "g");
    let text = seen(&state);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn a_document_of_another_version_is_refused() {
    let error = Document::parse(r#"{"schema": "fleetwatt.poll/2"}"#).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it is `fleetwatt.poll/2`, and this program shows `fleetwatt.poll/1`: use the fleetwatt that the daemon has"
    );
}

#[test]
fn keys_move_open_close_sort_and_filter() {
    let cases = [
        ("", "*node001 redfin mig01 spark node003"),
        ("↓", "node001 *redfin mig01 spark node003"),
        ("jjk", "node001 *redfin mig01 spark node003"),
        ("↓↓↓↓↓↓", "node001 redfin mig01 spark *node003"),
        ("→", "*node001 0 1 2 3 4 5 6 7 redfin mig01 spark node003"),
        ("→↓↓←", "*node001 0 1 2 3 4 5 6 7 redfin mig01 spark node003"),
        ("→←", "*node001 redfin mig01 spark node003"),
        ("ssss", "mig01 *node001 node003 redfin spark"),
        ("ssssS", "spark redfin node003 *node001 mig01"),
        ("s", "redfin mig01 *node001 spark node003"),
        ("S", "spark mig01 redfin *node001 node003"),
        ("/node\n", "*node001 node003"),
        ("/node\u{1b}", "*node001 redfin mig01 spark node003"),
        ("/node\n\u{1b}", "*node001 redfin mig01 spark node003"),
        ("/is:down", "*node003"),
        ("/power>250w", "*node001 redfin"),
        ("/temp>=80 rack=a", "*redfin"),
        ("/model:h100", "*node001"),
        ("/is:alert", "*node001 redfin"),
        ("/nothing", ""),
        ("g", "*a b"),
        ("g→", "*a node001 redfin b"),
        ("g→↓←", "*a node001 redfin b"),
        ("gg", "*H100 80GB HBM3 GeForce RTX 3090 A100-SXM4-40GB GB10 (none)"),
        ("n", "node001 *redfin mig01 spark node003"),
        ("nn", "node001 redfin mig01 spark *node003"),
        ("N", "node001 redfin mig01 spark *node003"),
        ("a\n", "*node001 redfin mig01 spark node003"),
        ("d\n", "node001 redfin mig01 spark *node003"),
        ("/redfin\nd\n", "node001 redfin mig01 spark *node003"),
    ];
    let base = sized(80, 24);
    for (keys, expected) in cases {
        let mut state = base.clone();
        press(&mut state, keys);
        assert_eq!(lines(&state), expected, "{keys:?}");
    }
}

#[test]
fn only_q_and_ctrl_c_leave() {
    let mut state = state();
    for key in [Key::Escape, Key::Char('x'), Key::Enter, Key::Char('?'), Key::Char('q')] {
        assert_eq!(state.press(key), Then::Stay, "{key:?}");
    }
    assert_eq!(state.press(Key::Char('q')), Then::Quit);
    press(&mut state, "/");
    assert_eq!(state.press(Key::Char('q')), Then::Stay);
    assert_eq!(state.press(Key::Interrupt), Then::Quit);
}

#[test]
fn the_selection_stays_on_its_node_over_a_new_cycle() {
    let mut state = sized(80, 24);
    press(&mut state, "↓");
    state.take(changed(|value| {
        value["started_at"] = json!(fixtures::STARTED_AT.plus(Duration::from_mins(1)).to_string());
        value["nodes"][0]["gpus"][0]["power_w"] = json!(9_000.0);
    }));
    assert_eq!(lines(&state), "*redfin node001 mig01 spark node003");
}

#[test]
fn a_frozen_frame_stays_until_it_goes_on() {
    let mut state = sized(80, 24);
    press(&mut state, " ");
    let before = lines(&state);
    state.take(changed(|value| {
        value["started_at"] = json!(fixtures::STARTED_AT.plus(Duration::from_mins(1)).to_string());
        value["nodes"][0]["gpus"][0]["power_w"] = json!(9_000.0);
    }));
    assert_eq!(lines(&state), before);
    press(&mut state, " ");
    assert_ne!(lines(&state), before);
}

#[test]
fn a_click_selects_then_opens_and_one_on_a_heading_sorts() {
    let mut state = sized(80, 24);
    state.press(Key::Click(5, 7));
    assert_eq!(lines(&state), "node001 *redfin mig01 spark node003");
    state.press(Key::Click(5, 7));
    assert_eq!(lines(&state), "node001 *redfin 0 mig01 spark node003");
    state.press(Key::Click(5, 7));
    state.press(Key::Click(4, 5));
    assert_eq!(lines(&state), "mig01 node001 node003 *redfin spark");
    state.press(Key::Click(4, 23));
    assert_eq!(lines(&state), "mig01 node001 node003 *redfin spark");
}

/// A fleet of many nodes with eight GPUs each.
fn many(n_nodes: usize) -> State {
    let document = changed(|value| {
        let node = value["nodes"][1].clone();
        let named = |place: usize| {
            let mut node = node.clone();
            node["node"] = json!(format!("node{place:04}"));
            node["labels"] = json!({ "rack": format!("rack-{}", place / 12) });
            node
        };
        value["nodes"] = (0..n_nodes).map(named).collect();
    });
    let mut state = State::new(Feed::Daemon(String::new()));
    state.resize(120, 40);
    state.take(document);
    state
}

#[test]
fn a_thousand_nodes_begin_in_groups_and_scroll() {
    let mut state = many(1_000);
    assert_eq!(rows::table(&state).rows.len(), 84);
    press(&mut state, "gg");
    for _ in 0..50 {
        state.press(Key::Down);
    }
    let text = seen(&state);
    assert!(text.contains("►  node0050"), "{text}");
    assert!(text.contains("lines 20–51 of 1,000"), "{text}");
}

#[test]
fn a_whole_frame_has_every_line_and_no_keys() {
    let mut state = many(150);
    state.resize(80, 0);
    let text = printed(&whole_frame(&state, &after(37), PLAIN), false);
    assert!(text.contains("node0149") && !text.contains("q quit"), "{text}");
}

#[test]
fn what_was_not_seen_is_not_measured() {
    let mut history = history::History::default();
    history.add(&document());
    assert_eq!(history.fleet(None, 6), "·····▇");
    history.add(&changed(|value| {
        value["started_at"] = json!(fixtures::STARTED_AT.plus(Duration::from_mins(30)).to_string());
        value["totals"]["power_w"] = json!(2_396.985);
    }));
    // 2,397 W are half of the 4,794 W of before: the fourth of seven heights.
    assert_eq!(history.fleet(None, 6), "··▇··▄");
    let later: Timestamp = fixtures::STARTED_AT.plus(Duration::from_mins(95));
    history.add(&changed(|value| value["started_at"] = json!(later.to_string())));
    assert_eq!(history.fleet(None, 6), "·····▇");
}
