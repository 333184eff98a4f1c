//! What the README shows, tried: each of its inventories is one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use crate::program::Home;

/// The blocks of a document that are marked so.
fn blocks(document: &str, mark: &str) -> Vec<String> {
    let path = format!("{}/{document}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let opening = format!("```{mark}\n");
    text.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// A block as an inventory of its own: with a host where it has none, and with its section where it is the rest of
/// one.
fn inventory(block: &str) -> String {
    let is_whole = block.lines().any(|line| line.starts_with('['));
    let head = if is_whole { "" } else { "[solix]\ncountry = \"US\"\n[alerts]\n" };
    let has_host = block.lines().any(|line| line.starts_with("[[host]]"));
    let host = if has_host { "" } else { "\n[[host]]\nname = \"a\"\n" };
    format!("{head}{block}{host}")
}

#[test]
fn every_inventory_that_the_documents_show_is_one() {
    let home =
        Home::new().with("FLEETWATT_DB_PASSWORD", "x").with("FLEETWATT_WEBHOOK", "https://example.org/x");
    let mut n_blocks = 0;
    for document in ["README.md", "systemd/README.md"] {
        for block in blocks(document, "toml") {
            let path = home.inventory(&inventory(&block));
            let ran = home.run(&["check", "--inventory", path.to_str().unwrap()]);
            assert_eq!(ran.code, Some(0), "{document}:\n{block}\n{}", ran.stderr);
            n_blocks += 1;
        }
    }
    assert!(n_blocks >= 6, "only {n_blocks} were found");
}

#[test]
fn every_command_says_its_exit_codes() {
    let home = Home::new();
    let leaves: [&[&str]; 20] = [
        &["poll"],
        &["run"],
        &["watch"],
        &["report"],
        &["check"],
        &["store", "init"],
        &["store", "status"],
        &["store", "replay"],
        &["store", "prune"],
        &["alerts", "test"],
        &["connections", "list"],
        &["connections", "close"],
        &["solix", "login"],
        &["solix", "devices"],
        &["solix", "listen"],
        &["solix", "decode"],
        &["tariff", "show"],
        &["tariff", "import"],
        &["completions"],
        &["man"],
    ];
    for names in leaves {
        let help = home.run(&[names, &["--help"]].concat()).stdout;
        assert!(help.contains("Exit code: 0 "), "{names:?}: {help}");
    }
}

#[test]
fn a_page_is_printed_for_each_command_and_for_the_inventory() {
    let home = Home::new();
    assert!(home.run(&["man"]).stdout.contains(".TH fleetwatt 1"));
    assert!(home.run(&["man", "store", "status"]).stdout.contains(".TH fleetwatt-store-status 1"));
    assert!(home.run(&["man", "inventory"]).stdout.contains("host_silent_for"));
    let none = home.run(&["man", "nothing"]);
    assert_eq!((none.code, none.stdout.as_str()), (Some(2), ""));
}

#[test]
fn every_source_file_that_the_documents_name_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "STYLE.md"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        for name in
            text.split('`').skip(1).step_by(2).filter(|name| name.contains('/') && name.ends_with(".rs"))
        {
            // A whole path, one within the source, or one within its vendor's folder.
            let places = ["", "src", "src/battery/anker", "tests/it"];
            if !places.iter().any(|place| root.join(place).join(name).is_file()) {
                missing.push(format!("{document}: {name}"));
            }
        }
    }
    assert_eq!(missing, [""; 0]);
}
