//! What an operator is told who writes an inventory from memory: our names for theirs, and their own numbers
//! as they are written rightly.

use std::path::Path;

use fleetwatt::inventory::{Files, load};

use crate::inventory::{faults_of, loaded};

/// One file, under its bare name.
struct One(&'static str, String);

impl Files for One {
    fn read(&self, path: &Path) -> std::io::Result<String> {
        if path == Path::new(self.0) { Ok(self.1.clone()) } else { Err(std::io::ErrorKind::NotFound.into()) }
    }

    fn glob(&self, _pattern: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
        Ok(Vec::new())
    }
}

fn said_of(name: &'static str) -> String {
    let path = format!("{}/fixtures/inventory/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the fixture is there");
    let faults = load(Path::new(name), &One(name, text)).expect_err("the fixture is wrong");
    faults.iter().map(|fault| format!("{}: {}: {}\n", fault.line, fault.message, fault.hint)).collect()
}

#[test]
fn keys_under_names_of_other_tools() {
    insta::assert_snapshot!(said_of("wrong-keys.toml"), @r#"
    2: unknown key `username` in [defaults]: here it is called `user`
    3: unknown key `ssh_key` in [defaults]: here it is called `identity_file`
    4: unknown key `ssh_user` in [defaults]: here it is called `user`
    5: unknown key `proxyjump` in [defaults]: here it is called `jump`: `host`, `user@host` or `user@host:port`, joined by commas
    6: unknown key `strict_host_key_checking` in [defaults]: here it is called `host_key`: "strict", or "accept-new" to add a host's key on first contact
    7: `host_key` cannot be "no": without the check anybody on the way could answer as this host; use "strict", or "accept-new" to add a host's key on first contact
    9: unknown key `intervall` in [cycle]: did you mean `interval`?
    11: unknown key `hostname` in [[host]]: here it is called `name`, and `address` beside it where that is another one
    12: unknown key `ip` in [[host]]: here it is called `address`
    13: unknown key `proxy_jump` in [[host]]: here it is called `jump`: `host`, `user@host` or `user@host:port`, joined by commas
    14: unknown key `alert` at the top of the file: here it is called [alerts]
    17: unknown key `gpu_temp_above` in [alerts]: did you mean `gpu_temperature_above`?
    18: `gpu_temperature_above` must be a string, not a whole number: write `gpu_temperature_above = "85C"`
    19: `host_silent_for` must be a string, not a whole number: write `host_silent_for = "300s"`
    20: unknown key `storage` at the top of the file: here it is called [store]
    "#);
}

#[test]
fn values_of_another_type_or_without_their_unit() {
    insta::assert_snapshot!(said_of("wrong-types.toml"), @r#"
    2: `timeout` must be a string, not a whole number: write `timeout = "15s"`
    3: `connect_timeout` is not a duration: write `connect_timeout = "5s"`
    4: `port` must be a whole number, not a string: write `port = 22`
    6: `interval` must be a string, not a whole number: write `interval = "60s"`
    8: `name` has a blank in it: a name is letters, digits, `.`, `_` and `-`; put an address or alias into `address`, and join several names by commas without blanks
    9: `gpus` must be a whole number, not a string: write `gpus = 8`
    10: `local` must be true or false, not a string: write `local = true`
    13: `user` is empty: write a value, or take the key out
    "#);
}

fn hint(text: &str) -> String {
    let faults = loaded(&format!("{text}\n[[host]]\nname = \"n1\"\n")).expect_err("it is wrong");
    faults.iter().next().map(|fault| fault.hint.clone()).unwrap_or_default()
}

#[test]
fn every_remedy_has_the_number_that_was_written() {
    for (written, meant) in [
        ("[cycle]\ninterval = 90", "`interval = \"90s\"`"),
        ("[cycle]\nconcurrency = \"12\"", "`concurrency = 12`"),
        ("[cycle]\nconcurrency = 12.0", "`concurrency = 12`"),
        ("[defaults]\nport = \"2222\"", "`port = 2222`"),
        ("[defaults]\nport = \"ssh\"", "`port = 22`"),
        ("[defaults]\nsample = 0.5", "`sample = \"500ms\"`"),
        ("[defaults]\nsample = false", "`sample = \"off\"`"),
        ("[defaults]\nconnect_timeout = \"3\"", "`connect_timeout = \"3s\"`"),
        ("[defaults]\nkeep_shell = \"no\"", "`keep_shell = false`"),
        ("[defaults]\nkeep_shell = 1", "`keep_shell = true`"),
        ("[defaults]\nuser = 1000", "`user = \"1000\"`"),
        ("[defaults]\nlabels = { rack = 3 }", "`labels.rack = \"3\"`"),
        ("[defaults]\nhost_key = true", "`host_key = \"strict\"`"),
        ("[alerts]\ngpu_power_above = 600", "`gpu_power_above = \"600W\"`"),
        ("[alerts]\ngpu_power_above = 1.1", "`gpu_power_above = \"110%\"`"),
        ("[alerts]\ngpu_temperature_above = \"85\"", "`gpu_temperature_above = \"85C\"`"),
        ("[alerts]\nhost_silent_for = 300", "`host_silent_for = \"300s\"`"),
        ("[store]\nspool_age = 14", "`spool_age = \"14d\"`"),
        ("[store]\nspool_size = 5000000", "`spool_size = \"5000000\"`"),
    ] {
        assert_eq!(hint(written), format!("write {meant}"), "{written}");
    }
}

#[test]
fn a_number_that_would_be_refused_again_is_not_advised() {
    for written in ["[cycle]\ninterval = 0", "[defaults]\ntimeout = 1e9", "[defaults]\nport = \"99999\""] {
        let hint = hint(written);
        assert!(!hint.contains("= \"0") && !hint.contains("99999"), "{written}: {hint}");
    }
}

#[test]
fn a_list_where_one_text_is_meant_is_joined_and_the_other_way_round() {
    let text = "include = \"racks/*.toml\"\n[[host]]\nname = [\"a\", \"b[1-2]\"]\n";
    let faults = loaded(text).expect_err("it is wrong");
    let remedies: Vec<&str> = faults.iter().map(|fault| fault.hint.as_str()).collect();
    assert_eq!(remedies, ["write `include = [\"racks/*.toml\"]`", "write `name = \"a,b[1-2]\"`"]);
}

#[test]
fn a_file_of_another_system_is_read_as_it_is_meant() {
    let windows = "\u{feff}[[host]]\r\nname = \"n1\"\r\nprot = 22\r\n";
    assert_eq!(faults_of(loaded(windows)), ["3:1 unknown key `prot` in [[host]]"]);
}

#[test]
fn a_label_that_is_given_twice_is_named_at_its_place() {
    let twice = "[[host]]\nname = \"n1\"\n[host.labels]\nrack = \"a\"\nrack = \"b\"\n";
    assert_eq!(faults_of(loaded(twice)), ["5:1 not valid TOML: duplicate key"]);
}
