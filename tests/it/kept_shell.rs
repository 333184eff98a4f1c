//! The shell that waits on a host between polls, over real sshd's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::fleet::{Fleet, HostPlan};
use crate::program::{Home, logins, masters_below, of_type, outcomes, signal, wait_until};

/// What a host may take for what happens by itself.
/// Runs what it is asked for, but no shell that waits.
const ONLY_CALLS: &str = "case $SSH_ORIGINAL_COMMAND in timeout*|true) eval \"$SSH_ORIGINAL_COMMAND\";; *) echo not allowed; OTHERWISE;; esac";

fn one(scene: &str) -> Fleet {
    Fleet::start(vec![HostPlan::new("node", scene)]).unwrap()
}

/// The fleet's inventory with other keys in its defaults.
pub(crate) fn inventory(fleet: &Fleet, home: &Home, keys: &[(&str, &str)]) -> PathBuf {
    let mut document: toml::Table =
        toml::from_str(&std::fs::read_to_string(fleet.inventory()).unwrap()).unwrap();
    let defaults = document["defaults"].as_table_mut().unwrap();
    defaults.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), value.parse().unwrap())));
    home.inventory(&document.to_string())
}

#[test]
fn every_poll_asks_the_shell_that_the_first_one_left() {
    let (fleet, home) = (one("gpus = 2"), Home::new());
    for _ in 0..3 {
        let ran = home.poll(&fleet.inventory(), &[]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    assert_eq!((fleet.commands("node"), fleet.calls("node"), logins(&fleet)), (1, 3, vec![1]));
    assert_eq!(outcomes(&home.rows()), ["node: complete"; 3]);
}

#[test]
fn who_wants_no_shell_gets_one_for_each_call() {
    let (fleet, home) = (one("gpus = 2"), Home::new());
    let inventory = inventory(&fleet, &home, &[("keep_shell", "false")]);
    for _ in 0..2 {
        assert_eq!(home.poll(&inventory, &[]).code, Some(0));
    }
    assert_eq!((fleet.commands("node"), logins(&fleet)), (2, vec![1]));
    assert_eq!(home.runtime_files().len(), 1, "the socket alone");
}

#[test]
fn a_host_that_allows_no_shell_is_read_without_one_and_asked_for_it_once() {
    for otherwise in ["exit 1", "exit 255", "exec cat"] {
        let plan = HostPlan::new("node", "gpus = 2").forced(&ONLY_CALLS.replace("OTHERWISE", otherwise));
        let (fleet, home) = (Fleet::start(vec![plan]).unwrap(), Home::new());
        let inventory = inventory(&fleet, &home, &[("connect_timeout", "'3s'")]);
        let first = home.poll(&inventory, &[]);
        assert_eq!(first.code, Some(0), "{otherwise}: {}", first.stderr);
        masters_below(&home.path("r")).into_iter().for_each(|pid| signal(pid, Signal::KILL));
        let second = home.poll(&inventory, &[]);
        assert_eq!(second.code, Some(0), "{otherwise}: {}", second.stderr);
        assert_eq!((logins(&fleet), fleet.calls("node")), (vec![3], 2), "{otherwise}");
    }
}

#[test]
fn an_answer_that_nobody_waited_for_is_not_the_next_ones() {
    let (fleet, home) = (one("gpus = 1"), Home::new());
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    fleet.set_scene("node", "gpus = 3\nslow = \"2s\"").unwrap();
    let mut killed = home.start(&["poll", "--inventory", fleet.inventory().to_str().unwrap()]);
    wait_until("the call", || fleet.running("node") == 1);
    killed.kill().unwrap();
    killed.wait().unwrap();
    fleet.set_scene("node", "gpus = 2").unwrap();
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    let power = of_type(&home.rows(), "gpu_power_draw").len();
    assert_eq!((power, logins(&fleet)), (1 + 2, vec![1]));
}

/// The fleet's inventory with an nvidia-smi that first does something else.
fn wrapped(fleet: &Fleet, home: &Home, first: &str, keep_shell: bool) -> PathBuf {
    let wrapper = home.path("wrapper");
    std::fs::write(&wrapper, format!("#!/bin/sh\n{first}\nexec nvidia-smi \"$@\"\n")).unwrap();
    std::fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755)).unwrap();
    let program = format!("'{}'", wrapper.display());
    inventory(fleet, home, &[("nvidia_smi", &program), ("keep_shell", &keep_shell.to_string())])
}

#[test]
fn what_a_call_leaves_behind_prints_into_no_later_answer() {
    let (fleet, home) = (one("gpus = 2"), Home::new());
    let stray = "(sleep 0.3; while :; do echo 0, GPU-of-another-call; sleep 0.01; done) &";
    let inventory = wrapped(&fleet, &home, &format!("if mkdir $0.once 2>/dev/null; then {stray} fi"), true);
    assert_eq!(home.poll(&inventory, &[]).code, Some(0));
    fleet.set_scene("node", "gpus = 2\nslow = \"1s\"").unwrap();
    let second = home.poll(&inventory, &["--format", "json"]);
    assert_eq!((second.code, logins(&fleet), fleet.commands("node")), (Some(0), vec![1], 1));
    assert!(!second.stdout.contains("another-call"), "{}", second.stdout);
}

#[test]
fn what_a_call_leaves_behind_holds_up_no_answer_of_a_host_without_a_shell() {
    let (fleet, home) = (one("gpus = 2"), Home::new());
    let inventory = wrapped(&fleet, &home, "sleep 20 &", false);
    let ran = home.poll(&inventory, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
}

#[test]
fn a_call_that_loses_its_connection_is_not_made_again() {
    let (fleet, home) = (one("gpus = 2\nslow = \"8s\""), Home::new());
    let mut poll = home.start(&["poll", "--inventory", fleet.inventory().to_str().unwrap()]);
    // When that has ended there, the program knows that the connection lives.
    wait_until("a look at the silent connection", || fleet.log("node").contains("Close session"));
    masters_below(&home.path("r")).into_iter().for_each(|pid| signal(pid, Signal::KILL));
    assert_eq!(poll.wait().unwrap().code(), Some(1));
    assert_eq!((outcomes(&home.rows()), fleet.calls("node")), (vec!["node: session".to_owned()], 1));
}

#[test]
fn two_at_once_get_an_answer_each() {
    let (fleet, home) = (one("gpus = 2\nslow = \"1s\""), Home::new());
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    let before = fleet.calls("node");
    let mut first = home.start(&["poll", "--inventory", fleet.inventory().to_str().unwrap()]);
    wait_until("the first call", || fleet.calls("node") == before + 1);
    let second = home.poll(&fleet.inventory(), &["--dry-run", "--format", "csv"]);
    assert_eq!((second.code, second.stdout.lines().count()), (Some(0), 1 + 2), "{}", second.stderr);
    assert_eq!(first.wait().unwrap().code(), Some(0));
    assert_eq!((outcomes(&home.rows()).len(), fleet.commands("node")), (2, 2), "the second had its own");
}

#[test]
fn a_flood_ends_with_its_connection_and_the_next_poll_is_well() {
    let (fleet, home) = (one("fault = 'flood'"), Home::new());
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(1));
    wait_until("the flood's end", || fleet.running("node") == 0);
    fleet.set_scene("node", "gpus = 2").unwrap();
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    assert_eq!(outcomes(&home.rows()), ["node: output_too_large", "node: complete"]);
}

#[test]
fn a_call_that_hangs_is_ended_there_and_leaves_the_next_one_free() {
    let (fleet, home) = (one("fault = 'hang'"), Home::new());
    let inventory = inventory(&fleet, &home, &[("timeout", "'4s'"), ("connect_timeout", "'2s'")]);
    assert_eq!(home.poll(&inventory, &[]).code, Some(1));
    assert_eq!(fleet.running("node"), 0, "by its own bound, before ours");
    fleet.set_scene("node", "gpus = 2").unwrap();
    assert_eq!(home.poll(&inventory, &[]).code, Some(0));
    assert_eq!(outcomes(&home.rows()), ["node: timeout", "node: complete"]);
    assert_eq!(logins(&fleet), [1]);
}

#[test]
fn a_program_that_is_not_there_is_said_by_the_shell() {
    let (fleet, home) = (one(""), Home::new());
    let inventory = inventory(&fleet, &home, &[("nvidia_smi", "'/opt/none/nvidia-smi'")]);
    for _ in 0..2 {
        assert_eq!(home.poll(&inventory, &[]).code, Some(1));
    }
    let rows = home.rows();
    assert_eq!(outcomes(&rows), ["node: command_missing"; 2]);
    let message = of_type(&rows, "node_up")[1].3["message"].clone();
    assert!(message.as_str().unwrap().contains("/opt/none/nvidia-smi"), "{message}");
}

#[test]
fn a_shell_that_nobody_needs_ends_with_its_connection() {
    let (fleet, home) = (one("gpus = 2"), Home::new());
    let inventory = inventory(&fleet, &home, &[("control_persist", "'1s'")]);
    assert_eq!(home.poll(&inventory, &[]).code, Some(0));
    wait_until("the master's end", || masters_below(&home.path("r")).is_empty() && home.sockets().is_empty());
    assert_eq!(home.poll(&inventory, &[]).code, Some(0));
    assert_eq!(logins(&fleet), [2]);
}

#[test]
fn connections_are_listed_by_host_and_closed_by_name() {
    let (fleet, home) = (Fleet::start(HostPlan::many(3, "gpus = 1")).unwrap(), Home::new());
    let inventory = fleet.inventory();
    let connections = |args: &[&str]| {
        let ran = home.run(&[&["connections", "--inventory", inventory.to_str().unwrap()], args].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout
    };
    assert_eq!(connections(&["list"]), "");
    assert_eq!(home.poll(&inventory, &[]).code, Some(0));
    let listed = connections(&["list"]);
    let nodes: Vec<_> = listed.lines().map(|line| line.split_once("  process ").unwrap().0).collect();
    assert_eq!(nodes, ["node001", "node002", "node003"]);
    assert_eq!(listed.matches("a shell waits there").count(), 3, "{listed}");
    assert!(connections(&["close", "--host", "node00[12]"]).ends_with("closed 2\n"));
    assert_eq!((masters_below(&home.path("r")).len(), home.sockets().len()), (1, 1));
    assert!(connections(&["close"]).ends_with("closed 1\n"));
    assert_eq!(masters_below(&home.path("r")), [] as [i32; 0]);
    assert_eq!(home.runtime_files(), [] as [PathBuf; 0]);
}
