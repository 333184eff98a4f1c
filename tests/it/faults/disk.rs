//! The state directory on a disk that is full or read-only. The disk is a tmpfs in a mount namespace of the
//! program's own, so that nothing is left of it; that needs root.

use std::path::Path;
use std::process::{Output, Stdio};

use super::{acknowledged, assert_once_and_in_order, say, scripted};
use crate::postgres::Database;
use crate::program::Home;
use crate::spool_once::TABLE;

/// Runs a script in a mount namespace of its own. `$0` is the program, `$1` the state directory. `None` if
/// this may not be done here.
#[allow(clippy::disallowed_methods, reason = "a test mounts what it needs")]
pub(super) fn in_namespace(home: &Home, script: &str, more: &[&Path]) -> Option<Output> {
    let can = std::process::Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        say("passed over: no mount namespace can be made here");
        return None;
    }
    std::fs::create_dir(home.path("s")).unwrap();
    let program = home.command(&[]);
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(program.get_program()).arg(home.path("s")).args(more);
    command.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(command.env("FLEETWATT_LOG", "fleetwatt=debug").stdin(Stdio::null()).output().unwrap())
}

pub(super) fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn a_daemon_whose_spool_fills_the_disk_ends_with_these_words_and_what_it_kept_is_delivered() {
    let database = Database::new("faults_disk", TABLE).await;
    let home = Home::new();
    let there = scripted(&home, 32, "200ms", "190ms", Some(&database.url("postgres", "")));
    let there = std::fs::copy(there, home.path("there.toml")).map(|_| home.path("there.toml")).unwrap();
    let away = scripted(&home, 32, "200ms", "190ms", Some("postgres://postgres@127.0.0.1:9/none"));
    let script = "mount -t tmpfs -o size=448k tmpfs \"$1\" || exit 9
        timeout 60 \"$0\" run --inventory \"$2\" >/dev/null; echo \"full: $?\"
        mount -o remount,size=64m \"$1\"
        \"$0\" store replay --inventory \"$3\"";
    let Some(output) = in_namespace(&home, script, &[&away, &there]) else { return };
    let (stdout, stderr) = texts(&output);
    assert!(stdout.contains("full: 1\n"), "{stdout}{stderr}");
    assert!(stderr.contains("disk is full"), "{stderr}");
    assert!(stdout.ends_with("the spool is empty\n"), "{stdout}{stderr}");
    let kept = acknowledged(&stderr);
    assert!(!kept.is_empty());
    assert_once_and_in_order(&database, &kept).await;
}

#[test]
fn a_state_directory_on_a_full_disk_is_an_error_with_words_and_no_more_when_there_is_room() {
    let home = Home::new();
    let inventory = scripted(&home, 2, "1s", "900ms", Some("postgres://postgres@127.0.0.1:9/none"));
    let script = "mount -t tmpfs -o size=64k tmpfs \"$1\" || exit 9
        head -c 1m /dev/zero >\"$1/ballast\" 2>/dev/null
        timeout 60 \"$0\" run --inventory \"$2\" >/dev/null; echo \"full: $?\"
        mount -o remount,size=64m \"$1\"
        \"$0\" poll --quiet --inventory \"$2\" >/dev/null; echo \"room: $?\"";
    let Some(output) = in_namespace(&home, script, &[&inventory]) else { return };
    let (stdout, stderr) = texts(&output);
    assert_eq!(stdout, "full: 1\nroom: 4\n", "{stderr}");
    assert!(stderr.contains("No space left") && stderr.contains("make room"), "{stderr}");
}

#[test]
fn a_read_only_state_directory_is_an_error_before_any_host_is_asked() {
    let home = Home::new();
    let inventory = scripted(&home, 2, "1s", "900ms", Some("postgres://postgres@127.0.0.1:9/none"));
    let script = "mount -t tmpfs -o ro tmpfs \"$1\" || exit 9
        timeout 60 \"$0\" run --inventory \"$2\" >/dev/null; echo \"read-only: $?\"
        mount -o remount,rw \"$1\"
        \"$0\" poll --quiet --inventory \"$2\" >/dev/null; echo \"writable: $?\"";
    let Some(output) = in_namespace(&home, script, &[&inventory]) else { return };
    let (stdout, stderr) = texts(&output);
    assert!(stderr.contains("Read-only") && stderr.contains("STATE_DIRECTORY"), "{stderr}");
    assert_eq!(stdout, "read-only: 1\nwritable: 4\n", "{stderr}");
}
