//! `fleetwatt poll` against real sshd's: what an operator may rely on.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::fleet::{Fleet, HostPlan, Mode};
use crate::postgres::Database;
use crate::program::{Home, Row, logins, masters_below, of_type, outcomes, signal};

const TWO_GPUS: &str = "gpus = 2";

/// Eight hosts of two GPUs; five of them fail, each in another way.
fn mixed_fleet() -> Fleet {
    let plan = |name: &str, scene: &str| HostPlan::new(name, scene);
    Fleet::start(vec![
        plan("good1", TWO_GPUS),
        plan("good2", TWO_GPUS),
        plan("good3", TWO_GPUS),
        plan("down", TWO_GPUS).mode(Mode::Down),
        plan("hanging", "fault = 'hang'"),
        plan("refusing", TWO_GPUS).mode(Mode::RefuseKey),
        plan("changed", TWO_GPUS).mode(Mode::ChangedKey),
        plan("garbage", "fault = 'garbage'"),
    ])
    .unwrap()
}

const MIXED_OUTCOMES: [&str; 8] = [
    "good1: complete",
    "good2: complete",
    "good3: complete",
    "down: connect",
    "hanging: timeout",
    "refusing: auth",
    "changed: host_key_changed",
    "garbage: garbled",
];

/// The fleet's inventory with other words behind it, and a shorter patience.
fn inventory_of(fleet: &Fleet, home: &Home, more: &str) -> std::path::PathBuf {
    let text = std::fs::read_to_string(fleet.inventory()).unwrap();
    let text = text.replace("timeout = \"15s\"", "timeout = \"12s\"");
    home.inventory(&format!("{text}\n{more}"))
}

fn batches(rows: &[Row]) -> std::collections::BTreeSet<String> {
    rows.iter().map(|row| row.3["batch"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_of_eight_hosts_has_its_outcome_and_the_good_readings_are_one_batch() {
    let (fleet, home) = (mixed_fleet(), Home::new());
    let ran = home.poll(&inventory_of(&fleet, &home, ""), &[]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.took < Duration::from_secs(45), "the cycle closes by three quarters of its interval");
    let rows = home.rows();
    assert_eq!(outcomes(&rows), MIXED_OUTCOMES);
    assert_eq!(of_type(&rows, "gpu_power_draw").len(), 6);
    assert_eq!(batches(&rows).len(), 1);
    let cluster = of_type(&rows, "cluster_gpu_power_total");
    assert_eq!(
        (&cluster[0].3["nodes_reporting"], &cluster[0].3["nodes_expected"]),
        (&Value::from(3), &Value::from(8))
    );
}

#[test]
fn a_host_that_is_in_the_inventory_by_two_ways_is_counted_once() {
    let (fleet, home) = (Fleet::start(vec![HostPlan::new("one", TWO_GPUS)]).unwrap(), Home::new());
    let config = std::fs::read_to_string(fleet.ssh_config()).unwrap();
    let port = config.split("Port ").nth(1).unwrap().lines().next().unwrap().to_owned();
    let twin = format!("[[host]]\nname = \"twin\"\naddress = \"one\"\nport = {port}\n");
    let ran = home.poll(&inventory_of(&fleet, &home, &twin), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("twin: the same GPU as on another host, where it is counted"),
        "{}",
        ran.stdout
    );
    let rows = home.rows();
    let watts =
        |event_type| of_type(&rows, event_type).iter().map(|row| row.2.unwrap()).collect::<Vec<f64>>();
    let (nodes, cluster) = (watts("node_gpu_power_total"), watts("cluster_gpu_power_total"));
    assert_eq!((nodes.len(), cluster.len()), (2, 1));
    assert!((nodes[0] - cluster[0]).abs() < 0.001, "{nodes:?} {cluster:?}");
    assert_eq!(of_type(&rows, "cluster_gpu_power_total")[0].3["gpus_expected"], 2);
}

#[test]
fn each_failure_says_what_happened_and_what_to_do() {
    let (fleet, home) = (mixed_fleet(), Home::new());
    let ran = home.poll(&inventory_of(&fleet, &home, ""), &["--dry-run"]);
    let said: Vec<&str> =
        ran.stdout.lines().filter(|line| line.contains(": ") && !line.starts_with("Cluster")).collect();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"127\.66\.\d+\.\d+", "<address>");
    settings.add_filter(r"port \d+", "port <port>");
    settings.add_filter(r"[\w-]+@<address>", "<user>@<address>");
    settings.add_filter(r"after \d+\.\d s", "after <time>");
    settings.add_filter(r"/tmp/fw-\w+", "<fleet>");
    settings.add_filter(r"nvidia-smi's: [^\n]*; run", "nvidia-smi's: <garbage>; run");
    settings.bind(|| {
        insta::assert_snapshot!(said.join("\n"), @r"
        down      failed: no connection
        hanging   failed: no answer in time
        refusing  failed: the login was refused
        changed   failed: the host key has changed
        garbage   failed: the answer was not nvidia-smi's
        down: no connection: ssh: connect to host <address> port <port>: Connection refused; check that the host is up and that sshd listens at this address and port
        hanging: no answer in time: nvidia-smi was ended after <time>, no output; run nvidia-smi on the host: if it is only slow, enable persistence mode or raise `timeout`
        refusing: the login was refused: <user>@<address>: Permission denied (publickey); put the public key into the host's authorized_keys, and check `user` and `identity_file`
        changed: the host key has changed: Offending ED25519 key in <fleet>/known_hosts:6; if the host was reinstalled, remove the old key with `ssh-keygen -R`; if not, somebody may be in between
        garbage: the answer was not nvidia-smi's: <garbage>; run the command by hand there; a login script or a wrapper may print into it
        ");
    });
}

#[tokio::test]
async fn the_same_cycle_goes_to_postgresql_in_one_transaction() {
    let database = Database::new("poll_mixed", "").await;
    let (fleet, home) = (mixed_fleet(), Home::new());
    let store = format!("[store]\nurl = \"{}\"", database.url("postgres", ""));
    let inventory = inventory_of(&fleet, &home, &store);
    let init = home.run(&["store", "init", "--inventory", inventory.to_str().unwrap()]);
    assert_eq!(init.code, Some(0), "{}", init.stderr);
    let ran = home.poll(&inventory, &[]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let query = "SELECT count(*), count(*) FILTER (WHERE event_type = 'node_up'), \
                 count(*) FILTER (WHERE event_type = 'gpu_power_draw'), \
                 count(DISTINCT xmin::text), count(DISTINCT metadata->>'batch') FROM unified_timeline";
    let counts: (i64, i64, i64, i64, i64) =
        sqlx::query_as(query).fetch_one(&mut database.admin().await).await.unwrap();
    let (n_rows, n_hosts, n_powers, n_transactions, n_batches) = counts;
    assert_eq!((n_hosts, n_powers, n_transactions, n_batches), (8, 6, 1, 1));
    assert_eq!(n_rows, 3 * 6 + 3 + 1 + 8);
}

#[test]
fn a_second_poll_logs_in_nowhere() {
    let (fleet, home) = (Fleet::start(HostPlan::many(4, TWO_GPUS)).unwrap(), Home::new());
    for _ in 0..3 {
        let ran = home.poll(&fleet.inventory(), &["--quiet"]);
        assert_eq!((ran.code, logins(&fleet)), (Some(0), vec![1; 4]), "{}", ran.stderr);
    }
    assert_eq!(batches(&home.rows()).len(), 3);
}

#[test]
fn a_dry_run_has_the_same_readings_and_leaves_nothing_behind() {
    let (fleet, home) = (Fleet::start(HostPlan::many(3, TWO_GPUS)).unwrap(), Home::new());
    let before = home.everything();
    let dry = home.poll(&fleet.inventory(), &["--dry-run", "--format", "json"]);
    assert_eq!(home.everything(), before, "{}", dry.stderr);
    assert_eq!(masters_below(&home.path("")), Vec::<i32>::new());
    let real = home.poll(&fleet.inventory(), &["--format", "json"]);
    assert_eq!(readings(&dry.stdout), readings(&real.stdout));
    assert_ne!(home.everything(), before);
}

#[test]
fn a_dry_run_over_living_masters_opens_no_connection_and_ends_none() {
    let (fleet, home) = (Fleet::start(HostPlan::many(2, TWO_GPUS)).unwrap(), Home::new());
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    let before = home.everything();
    assert_eq!(home.poll(&fleet.inventory(), &["--dry-run"]).code, Some(0));
    assert_eq!((home.everything(), logins(&fleet)), (before, vec![1, 1]));
}

/// The GPUs of a poll's JSON: everything that does not depend on when it ran.
fn readings(json: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(json).unwrap();
    document["nodes"].as_array().unwrap().iter().map(|node| node["gpus"].clone()).collect()
}

#[test]
fn an_old_driver_is_asked_once_from_the_second_cycle_on_and_gives_full_readings() {
    let old = "dump = '../nvidia-smi/corpus/smi-full-465.27-linux-rtx-2080-super.csv'";
    let fleet = Fleet::start(vec![HostPlan::new("old", old)]).unwrap();
    let home = Home::new();
    let mut n_calls = Vec::new();
    for _ in 0..3 {
        let before = fleet.calls("old");
        assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
        n_calls.push(fleet.calls("old") - before);
    }
    assert_eq!(n_calls[1..], [1, 1], "calls of each cycle: {n_calls:?}");
    assert!(n_calls[0] > 1);
    let rows = home.rows();
    let power = of_type(&rows, "gpu_power_draw");
    assert_eq!((power.len(), &power[2].3["power_kind"]), (3, &Value::from("draw")));
    assert!(power[2].3["power_limit_w"].is_number() && power[2].3["clocks_event_reasons"].is_string());
}

#[test]
fn a_new_driver_that_renamed_fields_is_asked_once() {
    let new = "dump = '../nvidia-smi/corpus/smi-full-linux-rtx-4080-super-595.71.05-load.csv'";
    let fleet = Fleet::start(vec![HostPlan::new("new", new)]).unwrap();
    let home = Home::new();
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    assert_eq!(fleet.calls("new"), 1);
    let rows = home.rows();
    let power = of_type(&rows, "gpu_power_draw");
    assert_eq!(power[0].3["power_kind"], Value::from("average"));
    assert!(power[0].3["clocks_event_reasons"].is_string());
}

#[test]
fn a_lost_gpu_of_eight_costs_one_reading_and_is_named_by_its_bus_id() {
    for fault in ["handle-lost = 3", "row-dropped = 3"] {
        let fleet = Fleet::start(vec![HostPlan::new("node", "gpus = 8")]).unwrap();
        let home = Home::new();
        assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
        let known = of_type(&home.rows(), "gpu_power_draw")[3].3["gpu_bus_id"].clone();
        fleet.set_scene("node", &format!("gpus = 8\n{fault}")).unwrap();
        assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(3), "{fault}");
        let rows = home.rows();
        assert_eq!(of_type(&rows, "gpu_power_draw").len(), 8 + 7, "{fault}");
        let node = of_type(&rows, "node_up")[1];
        let faults = node.3["faults"].as_array().unwrap();
        assert_eq!(faults.len(), 1, "{fault}: {faults:?}");
        assert_eq!((&faults[0]["kind"], &faults[0]["gpu"]), (&Value::from("gpu_missing"), &known), "{fault}");
    }
}

#[test]
fn hostile_hosts_change_nothing_for_their_neighbours_and_cost_no_memory() {
    let plans = vec![
        HostPlan::new("good1", TWO_GPUS),
        HostPlan::new("flood", "fault = 'flood'"),
        HostPlan::new("escapes", "fault = 'escapes'"),
        HostPlan::new("wide", "fault = 'wide'"),
        HostPlan::new("babble", "fault = 'babble'"),
        HostPlan::new("good2", TWO_GPUS),
    ];
    let (fleet, home) = (Fleet::start(plans).unwrap(), Home::new());
    let ran = home.poll(&inventory_of(&fleet, &home, ""), &["--color", "never"]);
    let rows = home.rows();
    let outcomes = outcomes(&rows);
    assert_eq!((&*outcomes[0], &*outcomes[5]), ("good1: complete", "good2: complete"));
    assert_eq!(outcomes[1], "flood: output_too_large");
    assert_eq!(outcomes[4], "babble: complete");
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{}", ran.stdout);
    assert!(rows.iter().all(|row| !row.3.to_string().contains("\\u001b")));
    assert!(ran.peak_kib < 64 * 1024, "{} KiB", ran.peak_kib);
}

#[test]
fn a_master_that_was_killed_is_replaced_in_the_same_cycle() {
    let (fleet, home) = (Fleet::start(HostPlan::many(2, TWO_GPUS)).unwrap(), Home::new());
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    masters_below(&home.path("r")).into_iter().for_each(|pid| signal(pid, Signal::KILL));
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    assert_eq!((logins(&fleet), home.sockets().len()), (vec![2, 2], 2));
}

#[test]
fn a_master_that_is_frozen_is_ended_and_replaced_in_the_same_cycle() {
    let (fleet, home) = (Fleet::start(HostPlan::many(1, TWO_GPUS)).unwrap(), Home::new());
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    let frozen = masters_below(&home.path("r"));
    frozen.iter().for_each(|pid| signal(*pid, Signal::STOP));
    let ran = home.poll(&fleet.inventory(), &[]);
    assert_eq!((ran.code, logins(&fleet)), (Some(0), vec![2]), "{}", ran.stderr);
    assert!(frozen.iter().all(|pid| !masters_below(&home.path("r")).contains(pid)));
}

#[test]
fn no_second_call_is_started_behind_one_that_hangs() {
    let home = Home::new();
    // A stuck driver cannot be had here. This one is out of reach of any signal to its group, and holds
    // on to the pipe, as a process in the kernel does.
    let stuck = home.path("stuck-nvidia-smi");
    let script = "#!/bin/sh\nsetsid sh -c 'exec -a \"$0\" sleep 60' \"nvidia-smi $*\" &\nwait\n";
    let script = script.replace("sh -c 'exec -a", "bash -c 'exec -a");
    std::fs::write(&stuck, script).unwrap();
    std::fs::set_permissions(&stuck, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let inventory = home.inventory(&format!(
        "[defaults]\ntimeout = \"2s\"\nconnect_timeout = \"1s\"\n[[host]]\nname = \"stuck\"\nlocal = true\nnvidia_smi = \"{}\"\n",
        stuck.display()
    ));
    for _ in 0..3 {
        assert_eq!(home.poll(&inventory, &[]).code, Some(1));
    }
    let n_calls = stuck_calls();
    stuck_calls().into_iter().for_each(|pid| signal(pid, Signal::KILL));
    assert_eq!(n_calls.len(), 1);
    assert_eq!(outcomes(&home.rows()), ["stuck: timeout", "stuck: hung", "stuck: hung"]);
    let message = of_type(&home.rows(), "node_up")[2].3["message"].clone();
    assert!(message.as_str().unwrap().contains(" since 20"), "{message}");
}

/// The calls that the stuck driver holds.
fn stuck_calls() -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
    let is_call = |pid: &i32| {
        let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        cmdline.starts_with(b"nvidia-smi --query-gpu=index,uuid,pci.bus_id")
    };
    pids.filter(is_call).collect()
}

#[test]
fn a_jump_host_that_is_down_is_one_fault_for_its_group() {
    let mut plans = HostPlan::many(6, TWO_GPUS);
    plans.push(HostPlan::new("bastion", "").mode(Mode::Down));
    let (fleet, home) = (Fleet::start(plans).unwrap(), Home::new());
    let text = std::fs::read_to_string(fleet.inventory()).unwrap();
    let (defaults, _) = text.split_once("[[host]]").unwrap();
    let inventory =
        home.inventory(&format!("{defaults}\n[[host]]\nname = \"node[001-006]\"\njump = \"bastion\"\n"));
    let ran = home.poll(&inventory, &[]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(outcomes(&home.rows()), (1..=6).map(|n| format!("node00{n}: jump")).collect::<Vec<_>>());
    assert_eq!(ran.stdout.matches("6 nodes behind bastion: ").count(), 1, "{}", ran.stdout);
}

#[test]
fn a_fleet_behind_a_jump_host_is_read_through_it() {
    let mut plans = HostPlan::many(2, TWO_GPUS);
    plans.push(HostPlan::new("bastion", ""));
    let (fleet, home) = (Fleet::start(plans).unwrap(), Home::new());
    let text = std::fs::read_to_string(fleet.inventory()).unwrap();
    let (defaults, _) = text.split_once("[[host]]").unwrap();
    let inventory =
        home.inventory(&format!("{defaults}\n[[host]]\nname = \"node[001-002]\"\njump = \"bastion\"\n"));
    let ran = home.poll(&inventory, &[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(fleet.logins("bastion"), 2);
}

#[test]
fn a_blackholed_host_does_not_delay_the_others_readings() {
    let mut plans = HostPlan::many(3, TWO_GPUS);
    plans.push(HostPlan::new("blackhole", "").mode(Mode::Blackhole));
    let (fleet, home) = (Fleet::start(plans).unwrap(), Home::new());
    let ran = home.poll(&inventory_of(&fleet, &home, ""), &[]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert_eq!(outcomes(&home.rows())[3], "blackhole: connect_timeout");
    assert_eq!(of_type(&home.rows(), "gpu_power_draw").len(), 6);
}

#[test]
fn the_second_of_two_says_who_holds_the_state_directory() {
    let (fleet, home) = (Fleet::start(vec![HostPlan::new("slow", "fault = 'hang'")]).unwrap(), Home::new());
    let inventory = inventory_of(&fleet, &home, "");
    let mut first = home.start(&["poll", "--inventory", inventory.to_str().unwrap()]);
    let lock = home.path("s/lock");
    let holder = first.id().to_string();
    while std::fs::read_to_string(&lock).unwrap_or_default().trim() != holder {
        assert!(first.try_wait().unwrap().is_none(), "the first one ended too early");
        std::thread::yield_now();
    }
    let second = home.poll(&inventory, &[]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.code, Some(75));
    assert!(second.stderr.contains(&format!("(process {holder})")), "{}", second.stderr);
}

#[test]
fn a_poll_that_is_killed_before_its_commit_leaves_no_row() {
    let (fleet, home) = (Fleet::start(HostPlan::many(2, TWO_GPUS)).unwrap(), Home::new());
    let home = home.with("FLEETWATT_FAILPOINT", "");
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    let before = home.rows().len();
    let reached = home.path("reached");
    let home = home.with("FLEETWATT_FAILPOINT", format!("before_commit:{}", reached.display()));
    let mut child = home.start(&["poll", "--inventory", fleet.inventory().to_str().unwrap()]);
    while !reached.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before the fail point");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(home.rows().len(), before);
    let home = home.with("FLEETWATT_FAILPOINT", "");
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    assert_eq!(home.rows().len(), 2 * before);
}

#[test]
fn only_the_named_hosts_are_read_and_the_clusters_total_is_not_written() {
    let (fleet, home) = (Fleet::start(HostPlan::many(3, TWO_GPUS)).unwrap(), Home::new());
    assert_eq!(home.poll(&fleet.inventory(), &["--host", "node00[13]"]).code, Some(0));
    let rows = home.rows();
    assert_eq!(outcomes(&rows), ["node001: complete", "node003: complete"]);
    assert!(of_type(&rows, "cluster_gpu_power_total").is_empty());
    let none = home.poll(&fleet.inventory(), &["--host", "rack*"]);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
}

#[test]
fn the_demo_fleet_gives_its_table_and_its_rows_without_any_host() {
    let home = Home::new();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventory/demo.toml");
    let ran = home.poll(&demo, &[]);
    assert_eq!(ran.code, Some(3), "one of its GPUs is lost: {}", ran.stderr);
    assert!(ran.stdout.contains("Cluster: 6 of 6 nodes"), "{}", ran.stdout);
    assert_eq!(of_type(&home.rows(), "node_up").len(), 6);
}
