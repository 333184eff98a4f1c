//! The inventory: what an operator writes, and what they are told when it is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetwatt::inventory::{
    Diagnostics, Files, HostKeyPolicy, Inventory, SecretSource, SshTarget, Target, load,
};
use proptest::prelude::*;

/// Files in memory. A pattern matches by its folder and by what stands before and after one `*`.
#[derive(Default)]
struct InMemory(BTreeMap<PathBuf, String>);

impl InMemory {
    fn with(mut self, path: &str, text: &str) -> Self {
        self.0.insert(path.into(), text.to_owned());
        self
    }
}

impl Files for InMemory {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        let pattern = pattern.to_string_lossy();
        let (before, after) = pattern.split_once('*').unwrap_or((&pattern, ""));
        let matches = |path: &&PathBuf| {
            let path = path.to_string_lossy();
            if pattern.contains('*') {
                path.starts_with(before) && path.ends_with(after)
            } else {
                *path == *pattern
            }
        };
        Ok(self.0.keys().filter(matches).cloned().collect())
    }
}

/// The files of this repository.
struct OnDisk;

impl Files for OnDisk {
    fn read(&self, path: &Path) -> io::Result<String> {
        std::fs::read_to_string(path)
    }

    fn glob(&self, pattern: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(if pattern.exists() { vec![pattern.to_owned()] } else { Vec::new() })
    }
}

pub(crate) fn loaded(text: &str) -> Result<Inventory, Diagnostics> {
    load(Path::new("fleet.toml"), &InMemory::default().with("fleet.toml", text))
}

pub(crate) fn good(text: &str) -> Inventory {
    loaded(text).unwrap_or_else(|faults| panic!("{faults}"))
}

/// `line:column message` of each fault.
pub(crate) fn faults_of(result: Result<Inventory, Diagnostics>) -> Vec<String> {
    let faults = result.expect_err("the inventory is wrong");
    faults.iter().map(|fault| format!("{}:{} {}", fault.line, fault.column, fault.message)).collect()
}

fn names(inventory: &Inventory) -> Vec<&str> {
    inventory.hosts.iter().map(|host| host.name.as_str()).collect()
}

fn ssh(inventory: &Inventory, idx: usize) -> &SshTarget {
    match inventory.hosts.get(idx).map(|host| &host.target) {
        Some(Target::Ssh(ssh)) => ssh,
        other @ (Some(Target::Local | Target::Scripted { .. }) | None) => panic!("not over SSH: {other:?}"),
    }
}

fn example(name: &str) -> Inventory {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventory").join(name);
    load(&path, &OnDisk).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn the_example_of_a_federation_loads() {
    let inventory = example("federation.toml");
    assert_eq!(names(&inventory), ["redfin", "bluefin"]);
    assert_eq!(inventory.hosts[0].target, Target::Local);
    assert_eq!(ssh(&inventory, 1).address, "192.168.132.222");
}

#[test]
fn the_commented_store_of_the_federation_loads_when_the_marks_are_taken_away() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventory/federation.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let (head, store) = text.split_once("# [store]").unwrap();
    let inventory = good(&format!("{head}[store]{}", store.replace("\n# ", "\n")));
    assert_eq!(inventory.store.password, Some(SecretSource::Env("CHEROKEE_DB_PASS".to_owned())));
}

#[test]
fn the_example_of_one_machine_loads() {
    assert_eq!(example("local.toml").hosts[0].target, Target::Local);
}

#[test]
fn the_example_of_a_cluster_loads() {
    let inventory = example("cluster.toml");
    assert_eq!(inventory.hosts.len(), 24 * 40 + 64 + 2 + 1);
    assert_eq!(inventory.hosts[0].name, "r01n01");
    assert_eq!(ssh(&inventory, 960).address, "10.20.30.1");
    assert_eq!(ssh(&inventory, 960).host_key, HostKeyPolicy::AcceptNew);
}

#[test]
fn the_demo_loads_and_has_only_scripted_hosts() {
    let inventory = example("demo.toml");
    assert_eq!(inventory.hosts.len(), 6);
    assert!(inventory.hosts.iter().all(|host| matches!(host.target, Target::Scripted { .. })));
}

const BAD_FLEET: &str = r#"# our fleet
[defaults]
usr     = "monitor"
timeout = "90s"

[cycle]
interval = "60s"

[[host]]
name    = "node[01-04]"
address = "10.0.0.1"

[[host]]
name = "node[08-03]"

[[host]]
name  = "redfin"
local = true
port  = 22

[[host]]
name     = "node02"
host_key = "no"

[[host]]
name    = "evil"
address = "-oProxyCommand=reboot"

[[host]]
adress = "10.0.0.9"

[store]
url      = "postgres://claude:hunter2@192.168.132.222/zammad"
password = "hunter2"

[alerts]
battery_below = "30%"
"#;

#[test]
#[expect(clippy::too_many_lines, reason = "the snapshot is most of it")]
fn everything_wrong_is_shown_at_once_with_place_and_remedy() {
    insta::assert_snapshot!(loaded(BAD_FLEET).unwrap_err().render(false), @r#"
    error: unknown key `usr` in [defaults]
     --> fleet.toml:3:1
      |
    3 | usr     = "monitor"
      | ^^^ not a key that is known here
      |
      = help: did you mean `user`?

    error: the timeout of 1m 30s is not below the interval of 1m
     --> fleet.toml:4:11
      |
    4 | timeout = "90s"
      |           ^^^^^ not below the interval
      |
      = help: an answer must be in before the next cycle: lower `timeout` in [defaults], or raise `interval` in [cycle]

    error: `name` and `address` differ in count: 4 and 1
      --> fleet.toml:11:11
       |
    11 | address = "10.0.0.1"
       |           ^^^^^^^^^^ not one for each name
       |
       = help: give `address` a range of the same count, or leave it out to use the names

    error: `name` has a descending range
      --> fleet.toml:14:14
       |
    14 | name = "node[08-03]"
       |              ^^^^^ ends below its start
       |
       = help: write ranges as `node[1-8]`, `node[001-128,200]` or `r[1-2]n[01-04]`

    error: `port` contradicts `local = true` of the same host
      --> fleet.toml:19:1
       |
    19 | port  = 22
       | ^^^^ cannot both hold
       |
       = help: take one of them out: this machine is asked without SSH

    error: the name `node02` is given twice
      --> fleet.toml:22:12
       |
    22 | name     = "node02"
       |            ^^^^^^^^ given before
       |
       = note: first given at fleet.toml:10
       = help: each host has one name of its own: take one out or rename it; if this is to change that host, write `override = true` here

    error: `host_key` cannot be "no"
      --> fleet.toml:23:12
       |
    23 | host_key = "no"
       |            ^^^^ not offered
       |
       = help: without the check anybody on the way could answer as this host; use "strict", or "accept-new" to add a host's key on first contact

    error: `address` begins with `-`
      --> fleet.toml:27:12
       |
    27 | address = "-oProxyCommand=reboot"
       |            ^ not at the beginning
       |
       = help: an address is a host name, an IP address or an alias of ssh_config; the login name goes into `user`, the port into `port`

    error: a host without a name
      --> fleet.toml:29:1
       |
    29 | [[host]]
       | ^^^^^^^^ no `name` in here
       |
       = help: write `name = "node1"`; an address may be given besides

    error: unknown key `adress` in [[host]]
      --> fleet.toml:30:1
       |
    30 | adress = "10.0.0.9"
       | ^^^^^^ not a key that is known here
       |
       = help: did you mean `address`?

    error: `url` has a password in it
      --> fleet.toml:33:12
       |
    33 | url      = "postgres://claude:***@192.168.132.222/zammad"
       |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ a secret does not belong in this file
       |
       = help: take it out, change it if others could read the file, and say where it is by password_env, password_file or password_credential in [store]

    error: a password in the inventory
      --> fleet.toml:34:1
       |
    34 | password = ***
       | ^^^^^^^^ a secret does not belong in this file
       |
       = help: take it out, change it if others could read the file, and say where it is by password_env, password_file or password_credential in [store]

    error: `battery_below` without [solix]
      --> fleet.toml:37:1
       |
    37 | battery_below = "30%"
       | ^^^^^^^^^^^^^ there is no station to watch
       |
       = help: add the section [solix], or take `battery_below` out: it would never raise an alert

    error: the inventory has 13 faults
    "#);
}

#[test]
fn no_secret_is_ever_repeated() {
    let faults = loaded(BAD_FLEET).unwrap_err();
    assert!(!faults.render(true).contains("hunter2"));
    assert!(!format!("{faults:?}").contains("hunter2"));
}

#[test]
fn a_password_is_hidden_however_it_is_written() {
    for text in [
        "[store]\nurl = \"postgres:\\u002f/u:hunter2@h\"\n",
        "store = { url = \"postgres:\\u002f/u:hunter2@h\", bogus = 1 }\n",
        "store = { \"p\\u0061ssword\" = \"hunter2\", bogus = 1 }\n",
        "[store]\npassword_env = \"hunter2!\"\n",
        "[store]\nurl = \"mysql://u:hunter2@h\"\n",
        "[store]\npassword = \"hunter2\n",
        "[[host]]\nname = \"a\"\nlabels = { password = \"hunter2\" }\n",
    ] {
        let faults = loaded(text).unwrap_err();
        assert!(!format!("{faults} {faults:?}").contains("hunter2"), "{faults}");
    }
}

#[test]
fn a_syntax_error_is_one_fault_and_the_included_files_are_still_checked() {
    let files = InMemory::default()
        .with("fleet.toml", "include = [\"racks/*.toml\"]\n[defaults\nuser = \"x\"\n")
        .with("racks/a.toml", "[[host]]\nname = \"a b\"\n");
    let faults = load(Path::new("fleet.toml"), &files).unwrap_err();
    let places: Vec<_> =
        faults.iter().map(|fault| (fault.file.to_str().unwrap(), fault.line, fault.column)).collect();
    assert_eq!(places, [("fleet.toml", 2, 10), ("racks/a.toml", 2, 10)]);
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let result = load(Path::new("nowhere.toml"), &InMemory::default());
    assert_eq!(faults_of(result), ["1:1 cannot read `nowhere.toml`: entity not found"]);
}

#[test]
fn an_inventory_without_a_host_is_a_fault() {
    assert_eq!(faults_of(loaded("")), ["1:1 an inventory without a host"]);
}

#[test]
fn defaults_of_an_included_file_lie_over_those_of_the_including_file() {
    let files = InMemory::default()
        .with("f/fleet.toml", "include = [\"racks/*.toml\"]\n[defaults]\nuser = \"a\"\nport = 1\nlabels = {x = \"1\", y = \"1\"}\n[[host]]\nname = \"own\"\n")
        .with("f/racks/a.toml", "[defaults]\nuser = \"b\"\nidentity_file = \"key\"\nlabels = {y = \"2\"}\n[[host]]\nname = \"included\"\n");
    let inventory = load(Path::new("f/fleet.toml"), &files).unwrap();
    assert_eq!(names(&inventory), ["own", "included"]);
    assert_eq!(ssh(&inventory, 0).user.as_deref(), Some("a"));
    let included = ssh(&inventory, 1);
    assert_eq!((included.user.as_deref(), included.port), (Some("b"), Some(1)));
    assert_eq!(included.identity_file.as_deref(), Some(Path::new("f/racks/key")));
    let labels: Vec<_> =
        inventory.hosts[1].labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(labels, ["x=1", "y=2"]);
}

#[test]
fn an_include_that_matches_nothing_is_a_fault() {
    let found = faults_of(loaded("include = [\"racks/*.toml\"]\n"));
    assert_eq!(found, ["1:12 an include that matches no file"]);
}

#[test]
fn a_file_that_includes_itself_or_is_included_twice_is_a_fault() {
    let files = InMemory::default()
        .with("fleet.toml", "include = [\"a.toml\", \"./x/../a.toml\"]\n")
        .with("a.toml", "include = [\"fleet.toml\"]\n[[host]]\nname = \"n\"\n")
        .with("./x/../a.toml", "");
    let found = faults_of(load(Path::new("fleet.toml"), &files));
    assert_eq!(
        found,
        [
            "1:22 `./x/../a.toml` is included twice, or includes itself",
            "1:12 `fleet.toml` is included twice, or includes itself",
        ]
    );
}

#[test]
fn settings_of_the_whole_fleet_are_refused_in_an_included_file() {
    let files = InMemory::default()
        .with("fleet.toml", "include = [\"a.toml\"]\n")
        .with("a.toml", "[cycle]\n[store]\n[[tariff]]\n[[host]]\nname = \"n\"\n");
    let found = faults_of(load(Path::new("fleet.toml"), &files));
    let wanted =
        ["[cycle] in an included file", "[store] in an included file", "[[tariff]] in an included file"];
    let places = ["1:2 ", "2:2 ", "3:3 "];
    assert_eq!(found, std::array::from_fn::<_, 3, _>(|at| format!("{}{}", places[at], wanted[at])));
}

#[test]
fn a_name_given_twice_across_ranges_names_the_first_place() {
    let faults = loaded("[[host]]\nname = \"n[1-4]\"\n[[host]]\nname = \"n[3-9]\"\n").unwrap_err();
    assert_eq!(faults_of(Err(faults.clone())), ["4:8 the name `n3` (and 1 more) is given twice"]);
    assert!(faults.render(false).contains("first given at fleet.toml:2"));
}

#[test]
fn more_hosts_than_the_bound_are_one_fault_and_are_not_expanded() {
    let found = faults_of(loaded(
        "[[host]]\nname = \"n[1-65536]\"\n[[host]]\nname = \"m[1-99999999999]\"\n[[host]]\nname = \"k\"\n",
    ));
    assert_eq!(found, ["4:8 more than 65536 hosts"]);
}

#[test]
fn a_default_timeout_that_is_too_long_is_one_fault_however_many_hosts_have_it() {
    let found =
        faults_of(loaded("[cycle]\ninterval = \"10s\"\n[[host]]\nname = \"a\"\n[[host]]\nname = \"b\"\n"));
    assert_eq!(found, ["2:12 the timeout of 15s is not below the interval of 10s"]);
}

#[test]
fn connecting_may_not_take_longer_than_the_whole() {
    let found = faults_of(loaded("[[host]]\nname = \"a\"\nconnect_timeout = \"20s\"\n"));
    assert_eq!(found, ["3:19 the connect_timeout of 20s is above the timeout of 15s"]);
}

#[test]
fn a_sampling_period_has_its_bounds_and_is_below_the_interval() {
    let written = |sample: &str| format!("[defaults]\nsample = \"{sample}\"\n[[host]]\nname = \"a\"\n");
    for (sample, period) in [("100ms", 100), ("1s", 1000), ("10s", 10_000)] {
        assert_eq!(good(&written(sample)).hosts[0].sample, Some(Duration::from_millis(period)));
    }
    for sample in ["99ms", "10s 1ms", "0s", "100500us"] {
        let found = faults_of(loaded(&written(sample)));
        assert!(found.len() == 1 && found[0].starts_with("2:10 `sample` is "), "{found:?}");
    }
    let short = "[cycle]\ninterval = \"5s\"\n[defaults]\ntimeout = \"4s\"\nconnect_timeout = \"2s\"\nsample = \"5s\"\n";
    let found = faults_of(loaded(&format!("{short}[[host]]\nname = \"a\"\n[[host]]\nname = \"b\"\n")));
    assert_eq!(found, ["6:10 the sample of 5s is not below the interval of 5s"]);
}

#[test]
fn one_host_may_be_left_out_of_the_sampling_of_all_others() {
    let text =
        "[defaults]\nsample = \"1s\"\n[[host]]\nname = \"a\"\n[[host]]\nname = \"b\"\nsample = \"off\"\n";
    let inventory = good(text);
    let periods: Vec<_> = inventory.hosts.iter().map(|host| host.sample).collect();
    assert_eq!(periods, [Some(Duration::from_secs(1)), None]);
}

#[test]
fn a_host_without_address_has_its_name_as_address() {
    assert_eq!(ssh(&good("[[host]]\nname = \"a[1-2]\"\n"), 1).address, "a2");
}

#[test]
fn a_path_under_home_is_kept_as_it_is() {
    let inventory = good("[[host]]\nname = \"a\"\nidentity_file = \"~/.ssh/key\"\n");
    assert_eq!(ssh(&inventory, 0).identity_file.as_deref(), Some(Path::new("~/.ssh/key")));
}

#[test]
fn ssh_keys_in_defaults_do_not_contradict_a_local_host() {
    let inventory = good("[defaults]\nuser = \"m\"\n[[host]]\nname = \"a\"\nlocal = true\n");
    assert_eq!(inventory.hosts[0].target, Target::Local);
}

#[test]
fn a_fleet_that_says_little_has_the_documented_defaults() {
    let inventory = good("[[host]]\nname = \"a\"\n");
    assert_eq!(inventory.cycle.interval, Duration::from_secs(60));
    assert_eq!((inventory.cycle.concurrency, inventory.cycle.connecting), (256, 64));
    assert_eq!(inventory.store.table, "unified_timeline");
    assert_eq!(inventory.hosts[0].timeout, Duration::from_secs(15));
    assert_eq!(ssh(&inventory, 0).connect_timeout, Duration::from_secs(5));
    assert_eq!(ssh(&inventory, 0).control_persist, Duration::from_secs(600));
}

#[test]
fn a_duration_without_a_unit_is_refused_with_an_example() {
    let faults = loaded("[[host]]\nname = \"a\"\ntimeout = 15\n").unwrap_err();
    let remedies: Vec<_> = faults.iter().map(|fault| fault.hint.as_str()).collect();
    assert_eq!(remedies, ["write `timeout = \"15s\"`"]);
}

#[test]
fn single_brackets_around_host_are_one_fault() {
    assert_eq!(faults_of(loaded("[host]\nname = \"a\"\n")), ["1:2 `host` must be a list of tables"]);
}

#[test]
fn hosts_instead_of_host_is_one_fault() {
    assert_eq!(
        faults_of(loaded("[[hosts]]\nname = \"a\"\n")),
        ["1:3 unknown key `hosts` at the top of the file"]
    );
}

#[test]
fn addresses_are_given_to_names_in_order() {
    let inventory = good("[[host]]\nname = \"n[01-03]\"\naddress = \"10.0.0.[7-9]\"\n");
    assert_eq!(
        (names(&inventory), ssh(&inventory, 2).address.as_str()),
        (vec!["n01", "n02", "n03"], "10.0.0.9")
    );
}

#[test]
fn a_line_that_is_too_long_is_cut_around_the_mark_and_keeps_its_true_column() {
    let text = format!("[[host]]\nname = \"a\"\nlabels = {{ a = \"{}\", b = 1 }}\n", "x".repeat(3_000));
    let rendered = loaded(&text).unwrap_err().render(false);
    assert!(rendered.contains("fleet.toml:3:3024"), "{rendered}");
    assert!(rendered.lines().all(|line| line.chars().count() < 200), "{rendered}");
}

#[test]
fn only_one_source_of_the_password_is_taken() {
    let found =
        faults_of(loaded("[[host]]\nname = \"a\"\n[store]\npassword_env = \"P\"\npassword_file = \"p\"\n"));
    assert_eq!(found, ["5:17 the password is said to come from two places"]);
}

#[test]
fn control_characters_of_the_file_never_reach_the_terminal() {
    let rendered = loaded("[[host]]\nname = \"a\u{1b}[2J\u{202e}\"\n").unwrap_err().render(false);
    assert!(rendered.chars().all(|c| c == '\n' || !c.is_control()), "{rendered:?}");
    assert!(!rendered.contains('\u{202e}'));
}

#[test]
fn deeply_nested_documents_are_refused_or_read_without_harm() {
    for text in [
        "a.".repeat(100_000) + "a = 1",
        "a = ".to_owned() + &"[".repeat(100_000),
        "[".to_owned() + &"a.".repeat(100_000) + "a]",
    ] {
        assert!(loaded(&text).is_err());
    }
}

/// Keys that end up on a command line, and a value of each that is taken.
const COMMAND_LINE_KEYS: &[(&str, &str)] =
    &[("name", "n"), ("address", "n"), ("user", "n"), ("jump", "n"), ("nvidia_smi", "n"), ("kex", "n")];

fn host_with(key: &str, value: &str) -> String {
    let name = if key == "name" { "" } else { "name = \"x\"\n" };
    format!("[[host]]\n{name}{key} = {}\n", toml::Value::String(value.to_owned()))
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        if let Err(faults) = loaded(&text) {
            faults.render(true);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(faults) = loaded(&String::from_utf8_lossy(&bytes)) {
            faults.render(false);
        }
    }

    #[test]
    fn no_value_panics_wherever_it_stands(
        key in prop::sample::select(vec!["name", "address", "user", "jump", "kex", "labels", "timeout", "scripted", "password", "gpus", "port"]),
        value in prop_oneof!["[\\x00-\\x7f]{0,30}", "\\PC{0,30}", "[a-z\\[\\]0-9,-]{0,20}", "\"[\\PC\\x00-\\x1f]{0,20}\"", "'[a-z\\[\\]0-9,-]{0,20}'"],
    ) {
        if let Err(faults) = loaded(&format!("[[host]]\nname = \"x\"\n{key} = {value}\n[store]\nurl = \"{value}\"")) {
            faults.render(false);
        }
    }

    #[test]
    fn mutations_of_a_whole_file_do_not_panic(at in 0..BAD_FLEET.len(), len in 0..12_usize, with in "\\PC{0,4}") {
        let mut bytes = BAD_FLEET.as_bytes().to_vec();
        let end = (at + len).min(bytes.len());
        bytes.splice(at..end, with.into_bytes());
        let faults = loaded(&String::from_utf8_lossy(&bytes)).unwrap_err();
        faults.render(true);
    }

    #[test]
    fn a_range_gives_as_many_unique_names_as_its_product(low in 0..500_u32, n in 1..40_u32, low2 in 0..9_u32, n2 in 1..9_u32, width in 0..5_usize) {
        let (high, high2) = (low + n - 1, low2 + n2 - 1);
        let text = format!("[[host]]\nname = \"r[{low:0width$}-{high:0width$}]n[{low2}-{high2},x]\"\n", width = width).replace(",x]", "]");
        let inventory = good(&text);
        let unique: BTreeSet<&str> = names(&inventory).into_iter().collect();
        prop_assert_eq!(unique.len(), usize::try_from(n * n2).unwrap());
        prop_assert_eq!(inventory.hosts.len(), unique.len());
    }

    #[test]
    fn nothing_that_could_be_an_option_or_a_shell_word_is_taken(
        which in 0..COMMAND_LINE_KEYS.len(),
        before in "[a-z0-9.]{0,6}",
        hostile in prop::sample::select(" \t\n\0\u{1b};|&$`'\"\\<>(){}!*?~#=\u{a0}\u{202e}ä".chars().collect::<Vec<_>>()),
        after in "[a-z0-9.=-]{0,6}",
    ) {
        let (key, fine) = COMMAND_LINE_KEYS[which];
        prop_assert!(loaded(&host_with(key, fine)).is_ok());
        let value = format!("{before}{hostile}{after}");
        prop_assert!(loaded(&host_with(key, &value)).is_err(), "{} takes {:?}", key, value);
    }

    #[test]
    fn nothing_that_begins_with_a_hyphen_is_taken_where_it_could_be_an_option(
        key in prop::sample::select(vec!["name", "address", "user", "jump", "nvidia_smi", "identity_file", "ssh_config", "known_hosts", "scripted"]),
        rest in "[a-zA-Z0-9=./-]{0,12}",
    ) {
        let value = format!("-{rest}");
        prop_assert!(loaded(&host_with(key, &value)).is_err(), "{} takes {:?}", key, value);
    }
}
