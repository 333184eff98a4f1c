//! Each rule by itself: when it raises, when it clears, and that it says so once.

use std::time::Duration;

use proptest::prelude::*;

use super::station_tests::any_account;
use super::*;
use crate::reading::{Power, Share, Temperature, Timestamp};

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// The instant of the n-th cycle.
pub(super) fn cycle(n: u32) -> Timestamp {
    Timestamp::from_micros(1_795_503_600_000_000).plus(MINUTE * n)
}

fn celsius(celsius: i64) -> Temperature {
    Temperature::from_millicelsius(celsius * 1000)
}

fn gpu(source: &str) -> GpuFacts {
    GpuFacts {
        source: source.to_owned(),
        name: "node3 GPU 2".to_owned(),
        temperature: Some(celsius(60)),
        power: Some(Power::from_watts(300)),
        limit: Some(Power::from_watts(700)),
    }
}

pub(super) fn node(name: &str) -> NodeFacts {
    NodeFacts {
        node: name.to_owned(),
        jump: None,
        answer: Answer::Complete,
        maintenance: false,
        gpus: Vec::new(),
        troubles: Vec::new(),
    }
}

fn silent(name: &str) -> NodeFacts {
    NodeFacts { answer: Answer::Silent("no connection".to_owned()), ..node(name) }
}

pub(super) fn facts(n: u32, nodes: Vec<NodeFacts>) -> Facts {
    Facts {
        at: cycle(n),
        scope: Scope::Whole,
        nodes,
        cluster_power: None,
        spool: None,
        store_away_since: None,
        rows_aside: 0,
        reload_failed: None,
        account: None,
    }
}

pub(super) fn every_rule() -> Rules {
    Rules {
        gpu_temperature: Some(Threshold { above: celsius(85), held_for: Duration::ZERO }),
        gpu_power: Some(Threshold { above: PowerThreshold::Fixed(Power::from_watts(600)), held_for: MINUTE }),
        host_silent_for: Some(MINUTE * 5),
        cluster_power: Some(Power::from_watts(12_000)),
        spool_older_than: Some(MINUTE * 10),
        store_away_for: Some(MINUTE * 5),
        battery_below: Some(Share::from_millipercent(30_000)),
        battery_critical_below: Some(Share::from_millipercent(10_000)),
        grid_lost_for: Some(Duration::ZERO),
        station_silent_for: Some(MINUTE * 15),
    }
}

/// `+` or `-` with the key, of each transition.
pub(super) fn keys(transitions: &[Transition]) -> Vec<String> {
    let sign = |raised| if raised { "+" } else { "-" };
    transitions.iter().map(|one| format!("{}{}", sign(one.raised), one.key)).collect()
}

/// Runs a series of facts through the rules, each state through what is kept of it across runs.
pub(super) fn run(rules: &Rules, series: impl IntoIterator<Item = Facts>) -> Vec<Vec<Transition>> {
    let mut state = State::default();
    let mut all = Vec::new();
    for facts in series {
        all.push(evaluate(rules, &mut state, &facts));
        state = State::from_text(&state.to_value().to_string()).unwrap();
    }
    all
}

pub(super) fn run_keys(rules: &Rules, series: impl IntoIterator<Item = Facts>) -> Vec<Vec<String>> {
    run(rules, series).iter().map(|transitions| keys(transitions)).collect()
}

fn temperatures(series: &[Option<i64>]) -> Vec<Facts> {
    let at = |(n, temperature): (u32, &Option<i64>)| {
        let gpu = GpuFacts { temperature: temperature.map(celsius), ..gpu("gpu_node3_2") };
        facts(n, vec![NodeFacts { gpus: vec![gpu], ..node("node3") }])
    };
    (0..).zip(series).map(at).collect()
}

fn powers(series: &[i32]) -> Vec<Facts> {
    let at = |(n, watts): (u32, &i32)| {
        let gpu = GpuFacts { power: Some(Power::from_watts(*watts)), ..gpu("gpu_node3_2") };
        facts(n, vec![NodeFacts { gpus: vec![gpu], ..node("node3") }])
    };
    (0..).zip(series).map(at).collect()
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_hot_gpu_is_told_once_and_cleared_three_degrees_below() {
    let told = run(&every_rule(), temperatures(&[Some(85), Some(91), Some(92), Some(83), Some(82)]));
    assert_eq!(keys(&told[1]), ["+gpu_temperature:gpu_node3_2"]);
    assert_eq!(told[1][0].message, "node3 GPU 2 is at 91 °C (limit 85 °C)");
    assert_eq!((told[1][0].severity, told[1][0].at), (Severity::Warning, cycle(1)));
    assert_eq!((told[0].len(), told[2].len(), told[3].len()), (0, 0, 0));
    assert_eq!(keys(&told[4]), ["-gpu_temperature:gpu_node3_2"]);
    assert_eq!(told[4][0].message, "node3 GPU 2 is at 82 °C again (limit 85 °C)");
    assert_eq!((told[4][0].at, told[4][0].raised_at), (cycle(4), cycle(1)));
}

#[test]
fn a_temperature_that_was_not_measured_neither_raises_nor_clears() {
    let told = run_keys(&every_rule(), temperatures(&[None, Some(90), None, Some(90), None, Some(60)]));
    let raised = vec!["+gpu_temperature:gpu_node3_2".to_owned()];
    let cleared = vec!["-gpu_temperature:gpu_node3_2".to_owned()];
    assert_eq!(told, [nothing(), raised, nothing(), nothing(), nothing(), cleared]);
}

#[test]
fn ten_degrees_above_is_critical_from_the_beginning() {
    let told = run(&every_rule(), temperatures(&[Some(95), Some(99), Some(60)]));
    assert_eq!(keys(&told[0]), ["+gpu_temperature:gpu_node3_2"]);
    assert_eq!(told[0][0].severity, Severity::Critical);
    assert_eq!((told[1].len(), keys(&told[2])), (0, vec!["-gpu_temperature:gpu_node3_2".to_owned()]));
    assert_eq!(told[2][0].severity, Severity::Critical);
}

#[test]
fn a_warned_gpu_that_gets_far_too_hot_is_an_alert_of_its_own() {
    let told = run_keys(&every_rule(), temperatures(&[Some(90), Some(95), Some(93), Some(92), Some(80)]));
    let critical = "gpu_temperature_critical:gpu_node3_2";
    assert_eq!(told[1], [format!("+{critical}")]);
    assert_eq!((told[2].len(), told[3].clone()), (0, vec![format!("-{critical}")]));
    assert_eq!(told[4], ["-gpu_temperature:gpu_node3_2"]);
    let both = run_keys(&every_rule(), temperatures(&[Some(90), Some(96), Some(70)]));
    assert_eq!(both[2], ["-gpu_temperature:gpu_node3_2".to_owned(), format!("-{critical}")]);
}

#[test]
fn a_power_must_hold_for_as_long_as_the_rule_says() {
    let told = run_keys(&every_rule(), powers(&[610, 590, 610, 610, 610]));
    assert_eq!(told[..3], [nothing(), nothing(), nothing()]);
    assert_eq!(told[3], ["+gpu_power:gpu_node3_2"]);
    assert_eq!(told[4], nothing());
}

#[test]
fn a_power_clears_five_percent_below() {
    let told = run(&every_rule(), powers(&[650, 650, 571, 570]));
    assert_eq!(told[1][0].message, "node3 GPU 2 draws 650.0 W (limit 600.0 W)");
    assert_eq!((told[2].len(), told[3][0].raised), (0, false));
}

#[test]
fn a_share_of_the_limit_is_that_of_each_gpu_and_needs_a_limit() {
    let above = PowerThreshold::OfLimit(Share::from_millipercent(105_000));
    let rules = Rules { gpu_power: Some(Threshold { above, held_for: Duration::ZERO }), ..Rules::default() };
    let of = |limit, watts| {
        let gpu = GpuFacts { limit, power: Some(Power::from_watts(watts)), ..gpu("gpu_node3_2") };
        run(&rules, [facts(0, vec![NodeFacts { gpus: vec![gpu], ..node("node3") }])]).remove(0)
    };
    let told = of(Some(Power::from_watts(700)), 736);
    assert_eq!(told[0].message, "node3 GPU 2 draws 736.0 W (105 % of its limit of 700.0 W is 735.0 W)");
    assert_eq!(of(Some(Power::from_watts(700)), 735), []);
    assert_eq!(of(None, 5_000), []);
    assert_eq!(of(Some(Power::from_watts(0)), 5_000), []);
}

#[test]
fn a_silent_host_is_told_after_its_time_and_cleared_by_its_first_answer() {
    let series = (0..7).map(|n| facts(n, vec![silent("node3")])).chain([facts(7, vec![node("node3")])]);
    let told = run(&every_rule(), series);
    assert_eq!(told[..5].iter().map(Vec::len).sum::<usize>(), 0);
    assert_eq!(keys(&told[5]), ["+host_silent:node_node3"]);
    assert_eq!(told[5][0].message, "node3 has given no answer for 5m: no connection");
    assert_eq!((told[5][0].severity, told[6].len()), (Severity::Critical, 0));
    assert_eq!(told[7][0].message, "node3 answers again, after 7m");
}

#[test]
fn an_answer_in_between_starts_the_silence_anew() {
    let up = |n| facts(n, vec![node("a")]);
    let down = |n| facts(n, vec![silent("a")]);
    let told = run_keys(&every_rule(), [down(0), down(4), up(5), down(6), down(10), down(11)]);
    assert_eq!(told.concat(), ["+host_silent:node_a"]);
    assert_eq!(told[5].len(), 1);
}

#[test]
fn a_jump_host_that_fails_is_one_alert_for_all_behind_it() {
    let behind = |name: &str, answer| NodeFacts { jump: Some("bastion".to_owned()), answer, ..node(name) };
    let fails = || Answer::BehindJump("the jump host failed".to_owned());
    let down = |n| facts(n, vec![behind("a", fails()), behind("b", fails())]);
    let told = run(
        &every_rule(),
        [
            down(0),
            down(5),
            facts(6, vec![behind("a", Answer::Complete), behind("b", fails())]),
            facts(11, vec![behind("a", Answer::Complete), behind("b", fails())]),
        ],
    );
    assert_eq!(keys(&told[1]), ["+jump_silent:jump_bastion"]);
    assert_eq!(
        told[1][0].message,
        "2 hosts behind the jump host bastion have given no answer for 5m: the jump host failed"
    );
    assert_eq!(keys(&told[2]), ["-jump_silent:jump_bastion"]);
    // What still fails while others behind the same jump host answer is that host's own trouble.
    assert_eq!(keys(&told[3]), ["+host_silent:node_b"]);
}

#[test]
fn the_clusters_budget_has_a_hysteresis_and_needs_the_whole_fleet() {
    let at = |n, watts: i32| Facts { cluster_power: Some(Power::from_watts(watts)), ..facts(n, Vec::new()) };
    let part = Facts { scope: Scope::Part, ..at(3, 1_000) };
    let told = run(&every_rule(), [at(0, 12_000), at(1, 12_001), at(2, 11_500), part, at(4, 11_400)]);
    assert_eq!(keys(&told[1]), ["+cluster_power:gpu_cluster"]);
    assert_eq!(told[1][0].message, "all GPUs together draw 12001.0 W (budget 12000.0 W)");
    assert_eq!((told[0].len(), told[2].len(), told[3].len()), (0, 0, 0));
    assert_eq!(keys(&told[4]), ["-cluster_power:gpu_cluster"]);
}

#[test]
fn a_spool_that_grows_old_is_told_until_it_is_younger_than_half() {
    let at = |n, oldest| Facts { spool: Some((11, cycle(oldest))), ..facts(n, Vec::new()) };
    let told = run(&every_rule(), [at(10, 0), at(11, 0), at(12, 6), at(13, 8), at(30, 0), facts(31, vec![])]);
    assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 0, 1, 1, 1]);
    assert_eq!(told[1][0].message, "11 batches wait in the spool, the oldest for 11m");
    assert_eq!(told[5][0].message, "the spool is delivered again");
}

#[test]
fn a_store_that_is_away_is_told_after_its_time_whether_or_not_the_beginning_is_known() {
    let away = |n, since| Facts { store_away_since: Some(cycle(since)), ..facts(n, Vec::new()) };
    assert_eq!(run_keys(&every_rule(), [away(9, 4)])[0], ["+store_away:fleetwatt"]);
    let told = run_keys(&every_rule(), [away(0, 0), away(4, 4), away(5, 5), facts(6, Vec::new())]);
    assert_eq!(told.concat(), ["+store_away:fleetwatt", "-store_away:fleetwatt"]);
    assert_eq!(told[2].len(), 1);
}

#[test]
fn rows_that_lie_aside_are_told_without_any_rule_and_over_when_none_does() {
    let aside = |n, rows_aside| Facts { rows_aside, ..facts(n, Vec::new()) };
    let told = run(&Rules::default(), [aside(0, 0), aside(1, 7), aside(2, 9), aside(3, 0)]);
    assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 0, 1]);
    assert_eq!((told[1][0].key.as_str(), told[3][0].raised), ("rows_refused:fleetwatt", false));
    assert!(told[1][0].message.starts_with("7 rows lie aside"), "{}", told[1][0].message);
}

#[test]
fn a_missing_gpu_is_told_without_any_rule_and_over_when_the_host_answers_without_it() {
    let missing = Trouble::Missing {
        gpu: "00000000:0B:00.0".to_owned(),
        message: "node3: a GPU is lost (00000000:0B:00.0)".to_owned(),
    };
    let lost = NodeFacts { answer: Answer::Partial, troubles: vec![missing], ..node("node3") };
    let told = run(
        &Rules::default(),
        [
            facts(0, vec![lost.clone()]),
            facts(1, vec![lost]),
            facts(2, vec![silent("node3")]),
            facts(3, vec![node("node3")]),
        ],
    );
    assert_eq!(keys(&told[0]), ["+gpu_missing:node_node3/00000000:0B:00.0"]);
    assert_eq!((told[0][0].source.as_str(), told[0][0].severity), ("node_node3", Severity::Critical));
    assert_eq!((told[1].len(), told[2].len()), (0, 0));
    assert_eq!(told[3][0].message, "over: node3: a GPU is lost (00000000:0B:00.0)");
}

#[test]
fn an_implausible_reading_is_told_about_its_gpu() {
    let implausible =
        Trouble::Implausible { source: "gpu_node3_2".to_owned(), message: "9999.00 W".to_owned() };
    let with = NodeFacts { troubles: vec![implausible.clone(), implausible], ..node("node3") };
    let told = run_keys(&Rules::default(), [facts(0, vec![with]), facts(1, vec![node("node3")])]);
    assert_eq!(told.concat(), ["+implausible_reading:gpu_node3_2", "-implausible_reading:gpu_node3_2"]);
}

#[test]
fn a_broken_edit_of_the_inventory_is_told_without_any_rule() {
    let broken = |n| Facts { reload_failed: Some("fleet.toml:3:1".to_owned()), ..facts(n, Vec::new()) };
    let told = run(&Rules::default(), [broken(0), broken(1), facts(2, Vec::new())]);
    assert_eq!(told[0][0].message, "the edited inventory is not used, the one before it is: fleet.toml:3:1");
    assert_eq!((told[1].len(), keys(&told[2])), (0, vec!["-reload_failed:fleetwatt".to_owned()]));
}

#[test]
fn alerts_of_what_is_no_longer_watched_are_cleared() {
    let mut state = State::default();
    let hot = temperatures(&[Some(90)]).remove(0);
    evaluate(&every_rule(), &mut state, &hot);
    let gone = evaluate(&every_rule(), &mut state.clone(), &facts(1, vec![node("other")]));
    assert_eq!(gone[0].message, "node3 is no longer in the inventory");
    let replaced = evaluate(&every_rule(), &mut state.clone(), &facts(1, vec![node("node3")]));
    assert_eq!(
        replaced[0].message,
        "gpu_node3_2 is no longer there, and its host has all GPUs that it should have"
    );
    let part = Facts { scope: Scope::Part, ..facts(1, vec![node("other")]) };
    assert_eq!(evaluate(&every_rule(), &mut state.clone(), &part), []);
    let unruled = evaluate(&Rules::default(), &mut state, &Facts { at: cycle(1), ..hot });
    assert_eq!(keys(&unruled), ["-gpu_temperature:gpu_node3_2"]);
    assert_eq!(state, State::default());
}

#[test]
fn a_restart_raises_nothing_twice_and_forgets_nothing_that_fires() {
    let mut state = State::default();
    let hot = temperatures(&[Some(90)]).remove(0);
    let told = evaluate(&every_rule(), &mut state, &hot);
    let mut restarted = State::from_text(&state.to_value().to_string()).unwrap();
    assert_eq!(restarted, state);
    assert_eq!(restarted.firing(), told);
    assert_eq!(evaluate(&every_rule(), &mut restarted, &hot), []);
}

#[test]
fn a_clock_that_is_set_back_keeps_no_alert_waiting() {
    let down = |n| facts(n, vec![silent("a")]);
    let told = run_keys(&every_rule(), [down(1_000), down(1), down(6)]);
    assert_eq!(told.concat(), ["+host_silent:node_a"]);
}

#[test]
fn more_alerts_than_the_bound_are_not_followed() {
    let names = (0..MAX_ACTIVE_ALERTS + 3).map(|n| silent(&format!("n{n}"))).collect();
    let mut state = State::default();
    assert!(!state.is_full());
    evaluate(&every_rule(), &mut state, &facts(0, names));
    assert_eq!((state.active.len(), state.is_full()), (MAX_ACTIVE_ALERTS, true));
}

#[test]
fn a_kept_state_that_is_not_ours_is_refused() {
    assert!(State::from_text("[]").is_err());
    let mut kept = State::default().to_value();
    kept["version"] = 2.into();
    assert_eq!(
        State::from_text(&kept.to_string()).unwrap_err().to_string(),
        "the kept alerts are of version 2, not 1"
    );
}

#[test]
fn a_transition_that_is_kept_is_the_one_that_is_read_back() {
    let told = run(&every_rule(), temperatures(&[Some(90)])).remove(0).remove(0);
    let kept = serde_json::to_value(&told).unwrap();
    assert_eq!(serde_json::from_str::<Transition>(&kept.to_string()).unwrap(), told);
    assert!(told.node.is_some());
    // An earlier version kept what it could not tell within the state.
    let state = serde_json::json!({ "undelivered": [kept, { "key": "of no rule" }] });
    assert_eq!(Transition::undelivered_in(&state), [told]);
}

prop_compose! {
    fn any_node()(
        name in "[abc]",
        jump in proptest::option::of("[jk]"),
        answer in 0..4_u8,
        gpus in proptest::collection::vec((proptest::option::of(70..100_i64), proptest::option::of(500..800_i32), any::<bool>()), 0..3),
        troubles in proptest::collection::vec((any::<bool>(), 0..2_u8), 0..2),
        maintenance in proptest::bool::weighted(0.1),
    ) -> NodeFacts {
        let gpus = (0..).zip(gpus).map(|(n, (temperature, power, limited)): (u32, _)| GpuFacts {
            temperature: temperature.map(celsius),
            power: power.map(Power::from_watts),
            limit: limited.then(|| Power::from_watts(600)),
            ..gpu(&format!("gpu_{name}_{n}"))
        }).collect();
        let troubles = troubles.into_iter().map(|(missing, n)| if missing {
            Trouble::Missing { gpu: n.to_string(), message: "missing".to_owned() }
        } else {
            Trouble::Implausible { source: format!("gpu_{name}_{n}"), message: "implausible".to_owned() }
        }).collect();
        let answer = match answer {
            0 => Answer::Complete,
            1 => Answer::Partial,
            2 => Answer::Silent("s".to_owned()),
            _ => Answer::BehindJump("j".to_owned()),
        };
        NodeFacts { node: name, jump, answer, maintenance, gpus, troubles }
    }
}

prop_compose! {
    fn any_facts()(
        minute in 0..60_u32,
        whole in any::<bool>(),
        nodes in proptest::collection::vec(any_node(), 0..4),
        cluster in proptest::option::of(10_000..14_000_i32),
        spool in proptest::option::of(0..60_u32),
        away in proptest::option::of(0..60_u32),
        reload in any::<bool>(),
        account in proptest::option::of(any_account()),
    ) -> Facts {
        Facts {
            scope: if whole { Scope::Whole } else { Scope::Part },
            cluster_power: cluster.map(Power::from_watts),
            spool: spool.map(|oldest| (1, cycle(oldest))),
            store_away_since: away.map(cycle),
            reload_failed: reload.then(|| "broken".to_owned()),
            account,
            ..facts(minute, nodes)
        }
    }
}

proptest! {
    #[test]
    fn raise_and_clear_alternate_for_each_key_whatever_the_facts_are(
        series in proptest::collection::vec((any_facts(), any::<bool>()), 0..20),
    ) {
        let mut state = State::default();
        let mut raised = std::collections::BTreeSet::new();
        for (facts, ruled) in series {
            let rules = if ruled { every_rule() } else { Rules::default() };
            for transition in evaluate(&rules, &mut state, &facts) {
                let news = if transition.raised {
                    raised.insert(transition.key.clone())
                } else {
                    raised.remove(&transition.key)
                };
                prop_assert!(news, "{:?} a second time", transition);
            }
            let firing: std::collections::BTreeSet<_> = state.firing().into_iter().map(|one| one.key).collect();
            prop_assert_eq!(&firing, &raised);
            let again = State::from_text(&state.to_value().to_string()).unwrap();
            prop_assert_eq!(&again, &state);
        }
    }
}

#[test]
fn what_was_raised_is_over_with_maintenance_and_nothing_new_is_raised_in_it() {
    let rules = Rules { host_silent_for: Some(Duration::ZERO), ..Rules::default() };
    let resting = NodeFacts { maintenance: true, ..silent("node3") };
    let transitions = run(
        &rules,
        [
            facts(0, vec![silent("node3")]),
            facts(1, vec![resting.clone()]),
            facts(2, vec![resting]),
            facts(3, vec![silent("node3")]),
        ],
    );
    let told: Vec<Vec<(bool, &str)>> = transitions
        .iter()
        .map(|cycle| cycle.iter().map(|told| (told.raised, told.message.as_str())).collect())
        .collect();
    assert_eq!(told[0].len(), 1);
    assert_eq!(told[1], [(false, "node3 is in maintenance")]);
    assert!(told[2].is_empty());
    assert!(told[3][0].0);
}

#[test]
fn a_jump_host_is_not_told_of_while_all_behind_it_are_in_maintenance() {
    let rules = Rules { host_silent_for: Some(Duration::ZERO), ..Rules::default() };
    let behind = |maintenance| NodeFacts {
        jump: Some("bastion".to_owned()),
        answer: Answer::BehindJump("refused".to_owned()),
        maintenance,
        ..node("node3")
    };
    let transitions = run(
        &rules,
        [facts(0, vec![behind(true)]), facts(1, vec![behind(false)]), facts(2, vec![behind(true)])],
    );
    let raised: Vec<Vec<bool>> =
        transitions.iter().map(|cycle| cycle.iter().map(|told| told.raised).collect()).collect();
    assert_eq!(raised, [vec![], vec![true], vec![false]]);
}
