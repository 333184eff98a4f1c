//! `--host`, `--label` and `check --list`, and hosts in maintenance, by the program itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::path::PathBuf;

use crate::program::{Home, Ran, of_type};

fn scene(name: &str) -> String {
    format!("{}/fixtures/demo/{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

/// Five hosts without machines, in two racks.
fn fleet(home: &Home) -> PathBuf {
    let scene = scene("redfin");
    home.inventory(&format!(
        "[defaults]\nscripted = \"{scene}\"\nlabels = {{ site = \"x\" }}\n\
         [[host]]\nname = \"n[01-03]\"\nlabels = {{ rack = \"a\" }}\n\
         [[host]]\nname = \"login1,gpu12\"\nlabels = {{ rack = \"b\" }}\n\
         [[host]]\nname = \"n03\"\noverride = true\nlabels = {{ rack = \"b\" }}\n"
    ))
}

fn polled(home: &Home, args: &[&str]) -> Vec<String> {
    let inventory = fleet(home);
    let ran = home.poll(&inventory, &[&["--dry-run", "--format", "json"], args].concat());
    let document: serde_json::Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
    let nodes = document["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["node"].as_str().unwrap().to_owned()).collect()
}

fn refused(home: &Home, args: &[&str]) -> Ran {
    let inventory = fleet(home);
    let ran = home.poll(&inventory, &[&["--dry-run"], args].concat());
    assert_eq!(ran.code, Some(2), "{}", ran.stdout);
    ran
}

#[test]
fn hosts_are_named_by_lists_ranges_and_patterns_several_times() {
    let home = Home::new();
    assert_eq!(polled(&home, &["--host", "n[01-02],login1"]), ["n01", "n02", "login1"]);
    assert_eq!(polled(&home, &["--host", "login1", "--host", "n0?"]), ["n01", "n02", "n03", "login1"]);
    assert_eq!(polled(&home, &["--host", "gpu[12]"]), ["gpu12"]);
}

#[test]
fn labels_of_one_key_are_a_choice_and_several_keys_are_all_asked_for() {
    let home = Home::new();
    assert_eq!(polled(&home, &["--label", "rack=b"]), ["n03", "login1", "gpu12"]);
    assert_eq!(polled(&home, &["--label", "rack=b", "--label", "rack=a", "--label", "site=x"]).len(), 5);
    assert_eq!(polled(&home, &["--label", "rack=b", "--host", "n*"]), ["n03"]);
}

#[test]
fn a_name_label_or_choice_that_nobody_has_is_a_wrong_call() {
    let home = Home::new();
    let ran = refused(&home, &["--host", "n[01-05]"]);
    assert!(ran.stderr.contains("no host of the inventory matches `n04`, nor 1 more"), "{}", ran.stderr);
    assert!(refused(&home, &["--label", "rack=z"]).stderr.contains("has the label `rack=z`"));
    assert!(refused(&home, &["--label", "rack=b", "--host", "n01"]).stderr.contains("both the names and"));
    assert!(refused(&home, &["--host", "n[3-1]"]).stderr.contains("`n[3-1]` has a descending range"));
    assert!(refused(&home, &["--label", "rack"]).stderr.contains("key=value"));
}

#[test]
fn a_list_shows_each_host_as_it_is_meant_and_where_it_stands() {
    let home = Home::new();
    let inventory = home.inventory(
        "[defaults]\nuser = \"monitor\"\n[[host]]\nname = \"n[1-2]\"\naddress = \"10.0.0.[1-2]\"\nlabels = { rack = \"a\" }\n\
         [[host]]\nname = \"n2\"\noverride = true\njump = \"bastion\"\nport = 2222\nmaintenance = true\n\
         [[host]]\nname = \"here\"\nlocal = true\n",
    );
    let path = inventory.to_str().unwrap();
    let before = home.everything();
    let ran = home.run(&["check", "--list", "--inventory", path]);
    assert_eq!((ran.code, home.everything()), (Some(0), before));
    insta::assert_snapshot!(ran.stdout.replace(path, "FILE"), @r"
    name  address    way                                                    labels  from
    n1    10.0.0.1   ssh as monitor                                         rack=a  FILE:4
    n2    10.0.0.2   ssh as monitor port 2222 via bastion (in maintenance)  rack=a  FILE:4, changed by FILE:8
    here  localhost  local                                                          FILE:14
    ");
    let ran = home.run(&["check", "--list", "--format", "json", "--host", "n2", "--inventory", path]);
    insta::assert_snapshot!(ran.stdout.replace(path, "FILE"), @r#"{"schema":"fleetwatt.hosts/1","hosts":[{"name":"n2","address":"10.0.0.2","way":"ssh","user":"monitor","port":2222,"jump":"bastion","labels":{"rack":"a"},"maintenance":true,"origin":[{"file":"FILE","line":4},{"file":"FILE","line":8}]}]}"#);
}

#[test]
fn a_host_in_maintenance_is_polled_and_silent() {
    let home = Home::new();
    let inventory = home.inventory(&format!(
        "[alerts]\nhost_silent_for = \"1s\"\n[[host]]\nname = \"well\"\nscripted = \"{}\"\n\
         [[host]]\nname = \"resting\"\nscripted = \"{}\"\nmaintenance = true\n",
        scene("redfin"),
        scene("lost")
    ));
    let ran = home.poll(&inventory, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("in maintenance: resting: not well"), "{}", ran.stdout);
    let rows = home.rows();
    assert!(of_type(&rows, "alert").is_empty());
    let up = of_type(&rows, "node_up");
    let resting = up.iter().find(|row| row.1 == "node_resting").unwrap();
    assert_eq!((&resting.3["maintenance"], &resting.3["outcome"]), (&true.into(), &"partial".into()));
    assert!(up.iter().find(|row| row.1 == "node_well").unwrap().3.get("maintenance").is_none());
}
