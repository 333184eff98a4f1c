//! Hosts of an inventory that are one machine, whose GPUs would be counted twice.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use crate::inventory::{faults_of, good, loaded};

#[test]
fn two_names_of_one_machine_are_a_fault_that_says_why() {
    let local = "[[host]]\nname = \"a\"\nlocal = true\n[[host]]\nname = \"b\"\nlocal = true\n";
    let faults = loaded(local).unwrap_err();
    assert_eq!(faults_of(Err(faults.clone())), ["5:8 `b` and `a` are one machine"]);
    let message = faults.render(false);
    assert!(
        message.contains("first given at fleet.toml:2") && message.contains("counted twice"),
        "{message}"
    );
    let ranges = "[[host]]\nname = \"n[1-3]\"\naddress = \"10.0.0.[1-3]\"\n[[host]]\nname = \"m\"\naddress = \"10.0.0.2\"\n";
    assert_eq!(faults_of(loaded(ranges)), ["6:11 `m` and `n2` are one machine"]);
}

#[test]
fn one_address_may_lead_to_several_machines() {
    let host =
        |name: &str, more: &str| format!("[[host]]\nname = \"{name}\"\naddress = \"gateway\"\n{more}\n");
    let hosts = [
        host("a", ""),
        host("b", "port = 2222"),
        host("c", "user = \"c\""),
        host("d", "jump = \"bastion\""),
        host("e", "ssh_config = \"other\""),
        // Another program may see other boards.
        host("f", "nvidia_smi = \"/opt/slice2/nvidia-smi\""),
    ];
    assert_eq!(good(&hosts.concat()).hosts.len(), 6);
}
