//! The words of `ledger`, `store` and `report` where there is no ledger, little of one, or one that cannot be written.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use crate::faults::say;
use crate::program::Home;

/// The user `nobody`.
const NOBODY: &str = "65534";

fn demo(home: &Home) -> String {
    let demo = format!("{}/fixtures/demo", env!("CARGO_MANIFEST_DIR"));
    let text = format!("[[host]]\nname = \"redfin\"\nscripted = \"{demo}/redfin.toml\"\n");
    home.inventory(&text).to_str().unwrap().to_owned()
}

fn allow(path: impl AsRef<Path>, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// `ledger status` of a user who is not root.
fn status_of_a_user(home: &Home, inventory: &str) -> Output {
    let args = ["ledger", "status", "--inventory", inventory];
    if !rustix::process::geteuid().is_root() {
        return home.command(&args).output().unwrap();
    }
    // Where another user may read it.
    let program = home.path("fleetwatt");
    std::fs::copy(env!("CARGO_BIN_EXE_fleetwatt"), &program).unwrap();
    let user = ["--clear-groups", "--regid", NOBODY, "--reuid", NOBODY, program.to_str().unwrap()];
    home.command_of("setpriv", &[&user[..], &args].concat()).output().unwrap()
}

#[test]
fn a_ledger_that_cannot_be_written_is_said_to_be_so() {
    let home = Home::new();
    let inventory = demo(&home);
    assert_eq!(home.poll(Path::new(&inventory), &[]).code, Some(0));
    allow(home.path(""), 0o755);
    allow(home.path("s"), 0o555);
    for (path, _) in home.everything() {
        if path.starts_with(home.path("s")) && path.is_file() {
            allow(path, 0o444);
        }
    }
    let status = status_of_a_user(&home, &inventory);
    allow(home.path("s"), 0o755);
    let (told, refused) =
        (String::from_utf8_lossy(&status.stdout), String::from_utf8_lossy(&status.stderr).into_owned());
    if refused.contains("No such file") && told.is_empty() {
        return say("passed over: setpriv or the fixtures cannot be had by another user");
    }
    let words = "ledger    there, and cannot be written: this role may only read it\n";
    assert!(told.starts_with(words), "{told}{refused}");
}

#[test]
fn a_file_that_is_not_there_is_named_and_nothing_is_computed() {
    let home = Home::new();
    let inventory = demo(&home);
    let report = home.run(&["report", "--inventory", &inventory]);
    let file = home.path("s/fleetwatt.db");
    let words =
        format!("There is no ledger in `sqlite:{}` yet: `fleetwatt poll` begins one.", file.display());
    assert!(report.code == Some(1) && report.stderr.contains(&words), "{}", report.stderr);
    let rebuild = home.run(&["ledger", "rebuild", "--inventory", &inventory]);
    assert_eq!(rebuild.code, Some(1));
    assert!(rebuild.stdout.contains("the file is not there"), "{}", rebuild.stdout);
}

#[test]
fn a_file_without_a_timeline_is_not_said_to_be_missing() {
    let home = Home::new();
    let inventory = demo(&home);
    std::fs::create_dir(home.path("s")).unwrap();
    std::fs::write(home.path("s/fleetwatt.db"), "").unwrap();
    for command in ["ledger", "store"] {
        let status = home.run(&[command, "status", "--inventory", &inventory]);
        let words = "SQLite, and the file has no table `unified_timeline` yet: the first poll creates it\n";
        assert!(status.stdout.contains(words), "{}{}", status.stdout, status.stderr);
    }
}

#[test]
fn after_two_readings_the_third_is_said_to_count() {
    let home = Home::new();
    let inventory = demo(&home);
    (0..2).for_each(|_| assert_eq!(home.poll(Path::new(&inventory), &[]).code, Some(0)));
    let report = home.run(&["report", "--since", "1h", "--inventory", &inventory]);
    assert_eq!(report.code, Some(1), "{}", report.stdout);
    assert!(report.stderr.contains("from the third reading of a board on"), "{}", report.stderr);
}
