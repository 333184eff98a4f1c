//! The test fleet itself: real sshd's that answer, refuse and misbehave as planned.

#![allow(clippy::disallowed_methods, reason = "what is tested here is the far side, by the plain ssh client")]

use std::process::{Command, Output};

use crate::fleet::{Fleet, HostPlan, Mode};

fn ssh(fleet: &Fleet, host: &str, command: &str) -> Output {
    ssh_within(fleet, host, command, "20")
}

/// Exits with 124 when it takes longer than `seconds`.
fn ssh_within(fleet: &Fleet, host: &str, command: &str, seconds: &str) -> Output {
    let mut ssh = Command::new("timeout");
    ssh.args([seconds, "ssh", "-F"]).arg(fleet.ssh_config()).args(["--", host, command]);
    ssh.output().expect("ssh is installed")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const QUERY: &str = "nvidia-smi --query-gpu=index,name,power.draw --format=csv,noheader,nounits";

#[test]
fn a_fleet_answers_over_real_ssh_and_a_new_scene_counts_from_the_next_call_on() {
    let fleet = Fleet::start(HostPlan::many(3, "gpus = 2\n[set]\n'power.draw' = '123.45 W'")).unwrap();
    for host in ["node001", "node003"] {
        let output = ssh(&fleet, host, QUERY);
        let expected = "0, NVIDIA H100 80GB HBM3, 123.45\n1, NVIDIA H100 80GB HBM3, 123.45\n";
        assert_eq!(text(&output.stdout), expected, "{}", text(&output.stderr));
    }
    fleet.set_scene("node001", "fault = 'mismatch'").unwrap();
    let output = ssh(&fleet, "node001", QUERY);
    assert_eq!(output.status.code(), Some(18));
    assert!(text(&output.stdout).starts_with("Failed to initialize NVML: Driver/library version mismatch\n"));
    assert_eq!((fleet.logins("node001"), fleet.commands("node001")), (2, 2));
    assert_eq!((fleet.logins("node002"), fleet.logins("node003")), (0, 1));
}

#[test]
fn hosts_refuse_in_their_own_ways() {
    let plan = |name: &str, mode| HostPlan::new(name, "").mode(mode);
    let plans = vec![
        plan("refuses", Mode::RefuseKey),
        plan("changed", Mode::ChangedKey),
        plan("unknown", Mode::UnknownKey),
        plan("down", Mode::Down),
        plan("blackhole", Mode::Blackhole),
    ];
    let fleet = Fleet::start(plans).unwrap();
    let expect = |host: &str, exit: i32, message: &str| {
        let output = ssh(&fleet, host, QUERY);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(exit), String::new()), "{host}");
        assert!(text(&output.stderr).contains(message), "{host}: {}", text(&output.stderr));
    };
    expect("refuses", 255, "Permission denied (publickey)");
    expect("changed", 255, "REMOTE HOST IDENTIFICATION HAS CHANGED");
    expect("unknown", 255, "Host key verification failed");
    expect("down", 255, "Connection refused");
    assert_eq!(ssh_within(&fleet, "blackhole", QUERY, "1").status.code(), Some(124));
    assert_eq!(fleet.logins("refuses"), 0);
}

#[test]
fn a_stopped_host_takes_its_hung_commands_along_and_can_come_back() {
    let plans =
        vec![HostPlan::new("a", "fault = 'hang-ignoring-term'"), HostPlan::new("b", "fault = 'hang'")];
    let mut fleet = Fleet::start(plans).unwrap();
    for host in ["a", "b"] {
        let output = ssh(&fleet, host, &format!("timeout 0.3 {QUERY} >/dev/null 2>&1 & sleep 1; exit 7"));
        assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    }
    assert_eq!((fleet.running("a"), fleet.running("b")), (1, 0), "TERM ends one and not the other");
    fleet.stop_host("a").unwrap();
    assert_eq!(fleet.running("a"), 0);
    assert_eq!(ssh(&fleet, "a", QUERY).status.code(), Some(255));
    fleet.set_scene("a", "").unwrap();
    fleet.start_host("a").unwrap();
    assert_eq!(ssh(&fleet, "a", QUERY).status.code(), Some(0));
    fleet.freeze_host("a").unwrap();
    assert_eq!(ssh_within(&fleet, "a", QUERY, "1").status.code(), Some(124));
    fleet.thaw_host("a").unwrap();
    assert_eq!(ssh(&fleet, "a", QUERY).status.code(), Some(0));
}

#[test]
fn nothing_is_left_of_a_dropped_fleet() {
    let fleet = Fleet::start(HostPlan::many(2, "fault = 'hang-ignoring-term'")).unwrap();
    let output = ssh(&fleet, "node001", &format!("{QUERY} >/dev/null 2>&1 & sleep 0.5"));
    assert_eq!((output.status.code(), fleet.running("node001")), (Some(0), 1), "{}", text(&output.stderr));
    let (dir, config) = (fleet.dir().to_owned(), fleet.ssh_config());
    let addresses = std::fs::read_to_string(config).unwrap();
    let address =
        addresses.lines().find_map(|line| line.trim().strip_prefix("HostName ")).unwrap().to_owned();
    let port: u16 =
        addresses.lines().find_map(|line| line.trim().strip_prefix("Port ")).unwrap().parse().unwrap();
    drop(fleet);
    assert!(!dir.exists());
    assert!(std::net::TcpStream::connect((address, port)).is_err(), "nothing listens any more");
}
