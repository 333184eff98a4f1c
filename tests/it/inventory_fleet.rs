//! A fleet as clusters write it: lists of ranges, hosts that differ, are left out, or rest.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use fleetwatt::inventory::{Host, Inventory, Target};

use crate::inventory::{faults_of, good, loaded};

fn names(inventory: &Inventory) -> Vec<&str> {
    inventory.hosts.iter().map(|host| host.name.as_str()).collect()
}

fn host<'i>(inventory: &'i Inventory, name: &str) -> &'i Host {
    inventory.hosts.iter().find(|host| host.name == name).unwrap()
}

fn port(host: &Host) -> Option<u16> {
    match &host.target {
        Target::Ssh(ssh) => ssh.port,
        Target::Local | Target::Scripted { .. } => None,
    }
}

#[test]
fn a_list_as_slurm_prints_it_is_one_entry() {
    let fleet = good("[[host]]\nname = \"node[001-003,007],gpu[1-2]\"\n");
    assert_eq!(names(&fleet), ["node001", "node002", "node003", "node007", "gpu1", "gpu2"]);
}

#[test]
fn addresses_may_be_a_list_too() {
    let fleet = good("[[host]]\nname = \"a[1-2],b\"\naddress = \"10.0.0.[1-2],10.0.1.9\"\n");
    let addresses: Vec<&str> = fleet.hosts.iter().map(Host::address).collect();
    assert_eq!(addresses, ["10.0.0.1", "10.0.0.2", "10.0.1.9"]);
}

#[test]
fn a_blank_in_a_list_is_a_fault_that_says_so() {
    let faults = loaded("[[host]]\nname = \"a, b\"\n").unwrap_err();
    assert!(faults.render(false).contains("join several names by commas without blanks"));
}

const OVERRIDE: &str = r#"
[defaults]
user = "monitor"
port = 22

[[host]]
name = "node[001-004]"
address = "10.0.0.[1-4]"
labels = { rack = "a", room = "hall" }
timeout = "9s"

[[host]]
name = "node003"
override = true
port = 2222
labels = { rack = "b" }
"#;

#[test]
fn an_override_changes_what_it_says_and_nothing_else() {
    let fleet = good(OVERRIDE);
    assert_eq!(names(&fleet), ["node001", "node002", "node003", "node004"]);
    let changed = host(&fleet, "node003");
    assert_eq!((port(changed), changed.address()), (Some(2222), "10.0.0.3"));
    assert_eq!(changed.timeout, std::time::Duration::from_secs(9));
    let labels: Vec<(&str, &str)> =
        changed.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("rack", "b"), ("room", "hall")]);
    assert_eq!(port(host(&fleet, "node002")), Some(22));
    let lines: Vec<usize> = fleet.origins["node003"].iter().map(|origin| origin.line).collect();
    assert_eq!(lines, [7, 13]);
}

#[test]
fn defaults_do_not_come_back_over_what_a_range_says() {
    let fleet = good(
        "[defaults]\nport = 22\n[[host]]\nname = \"n[1-2]\"\nport = 2200\n[[host]]\nname = \"n1\"\noverride = true\nuser = \"u\"\n",
    );
    assert_eq!(port(host(&fleet, "n1")), Some(2200));
}

#[test]
fn an_override_may_stand_before_what_it_changes_and_the_last_of_several_counts() {
    let fleet = good(
        "[[host]]\nname = \"n[1-3]\"\noverride = true\nport = 1\n[[host]]\nname = \"n2\"\noverride = true\nport = 2\n[[host]]\nname = \"n[1-4]\"\n",
    );
    let ports: Vec<Option<u16>> = fleet.hosts.iter().map(port).collect();
    assert_eq!(ports, [Some(1), Some(2), Some(1), None]);
}

#[test]
fn a_slip_in_a_name_neither_changes_a_host_nor_adds_one_in_silence() {
    let twice = loaded("[[host]]\nname = \"n[1-4]\"\n[[host]]\nname = \"n3\"\nport = 2222\n").unwrap_err();
    assert!(twice.render(false).contains("write `override = true` here"), "{twice}");
    let nowhere = "[[host]]\nname = \"n[1-4]\"\n[[host]]\nname = \"n[4-6]\"\noverride = true\nport = 2222\n";
    assert_eq!(
        faults_of(loaded(nowhere)),
        ["4:8 `n5` (and 1 more) is to be changed, but no [[host]] gives it"]
    );
}

#[test]
fn times_are_checked_as_they_are_after_an_override() {
    let text = "[defaults]\ntimeout = \"50s\"\nconnect_timeout = \"9s\"\n[[host]]\nname = \"n[1-4]\"\n[[host]]\nname = \"n3\"\noverride = true\ntimeout = \"8s\"\n";
    assert_eq!(faults_of(loaded(text)), ["3:19 the connect_timeout of 9s is above the timeout of 8s"]);
}

#[test]
fn machines_are_compared_as_they_are_after_overrides() {
    let moved = "[[host]]\nname = \"n[1-2]\"\n[[host]]\nname = \"n2\"\noverride = true\naddress = \"n1\"\n";
    assert_eq!(faults_of(loaded(moved)), ["6:11 `n2` and `n1` are one machine"]);
    let apart =
        "[[host]]\nname = \"a,b\"\naddress = \"h,h\"\n[[host]]\nname = \"b\"\noverride = true\nport = 2222\n";
    assert_eq!(names(&good(apart)), ["a", "b"]);
}

#[test]
fn hosts_of_a_range_are_left_out_by_name_range_or_pattern() {
    let fleet = good("[[host]]\nname = \"n[01-20]\"\nexclude = [\"n[02-09]\", \"n1?\"]\n");
    assert_eq!(names(&fleet), ["n01", "n20"]);
    let fleet = good("exclude = \"n03,m*\"\n[[host]]\nname = \"n[01-03]\"\n[[host]]\nname = \"m[1-2]\"\n");
    assert_eq!(names(&fleet), ["n01", "n02"]);
}

#[test]
fn a_name_that_a_range_leaves_out_may_be_given_by_another_entry() {
    let fleet =
        good("[[host]]\nname = \"n[1-3]\"\nexclude = \"n2\"\n[[host]]\nname = \"n2\"\nlocal = true\n");
    assert_eq!(names(&fleet), ["n1", "n3", "n2"]);
}

#[test]
fn an_exclude_that_leaves_nothing_out_is_a_fault() {
    let faults =
        faults_of(loaded("exclude = \"n[2-5],x*\"\n[[host]]\nname = \"n[1-3]\"\nexclude = \"m1\"\n"));
    assert_eq!(
        faults,
        [
            "1:11 `exclude` names `n4` (and 2 more), which is no host of the fleet",
            "4:11 `exclude` names `m1`, which is no host of this [[host]]",
        ]
    );
}

#[test]
fn a_fleet_of_which_nothing_is_left_is_a_fault() {
    assert_eq!(
        faults_of(loaded("exclude = \"*\"\n[[host]]\nname = \"n[1-3]\"\n")),
        ["1:11 every host is excluded"]
    );
}

#[test]
fn maintenance_is_a_host_that_is_still_polled() {
    let fleet =
        good("[[host]]\nname = \"n[1-2]\"\n[[host]]\nname = \"n2\"\noverride = true\nmaintenance = true\n");
    let resting: Vec<bool> = fleet.hosts.iter().map(|host| host.maintenance).collect();
    assert_eq!(resting, [false, true]);
}

#[test]
fn ranges_without_bound_are_never_expanded() {
    for text in [
        "[[host]]\nname = \"n[1-2]\"\n[[host]]\nname = \"n[1-999999999999]\"\noverride = true\n",
        "exclude = \"n[1-999999999999]\"\n[[host]]\nname = \"n[1-2]\"\n",
        "[[host]]\nname = \"a[1-60000],b[1-60000]\"\n",
    ] {
        assert_eq!(faults_of(loaded(text)).len(), 1, "{text}");
    }
}

#[test]
fn probes_are_tools_that_are_known() {
    let named = good("[[host]]\nname = \"n1\"\nprobes = [\"nvidia-smi\", \"nvidia-smi\"]\n");
    let defaults = good("[[host]]\nname = \"n1\"\n");
    assert_eq!(named.hosts[0].probes, defaults.hosts[0].probes);
    let warnings: Vec<String> = named.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["fleet.toml:3:25: a probe is named twice"]);
    let none = loaded("[[host]]\nname = \"n1\"\nprobes = []\n").unwrap_err();
    assert_eq!(faults_of(Err(none)), ["3:10 `probes` names none"]);
    let faults = loaded("[[host]]\nname = \"n1\"\nprobes = [\"rocm-smi\"]\n").unwrap_err();
    assert_eq!(faults_of(Err(faults)), ["3:11 `probes` has an unknown probe"]);
}
