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

/// Waits in a shell for words in the daemon's log, and ends the daemon.
const UNTIL: &str = "until_said() { n=0; until grep -q \"$1\" \"$STATE_DIRECTORY/../log\"; do
        n=$((n + 1)); [ $n -lt 600 ] || exit 8; sleep 0.1; done; }
    ended() { kill -TERM $pid; wait $pid; echo \"daemon: $?\"; cat \"$STATE_DIRECTORY/../log\" >&2; }";

#[tokio::test]
async fn a_daemon_whose_spool_fills_the_disk_lives_on_and_what_it_kept_is_delivered_from_the_full_disk() {
    let database = Database::new("faults_disk", TABLE).await;
    let home = Home::new();
    let there = scripted(&home, 32, "200ms", "190ms", Some(&database.url("postgres", "")));
    let there = std::fs::copy(there, home.path("there.toml")).map(|_| home.path("there.toml")).unwrap();
    let away = scripted(&home, 32, "200ms", "190ms", Some("postgres://postgres@127.0.0.1:9/none"));
    let script = format!(
        "{UNTIL}
        mount -t tmpfs -o size=600k tmpfs \"$1\" || exit 9
        \"$0\" run --inventory \"$2\" >/dev/null 2>\"$1/../log\" & pid=$!
        until_said 'batch is lost'; ended
        head -c 1m /dev/zero >\"$1/ballast\" 2>/dev/null
        \"$0\" store replay --inventory \"$3\""
    );
    let Some(output) = in_namespace(&home, &script, &[&away, &there]) else { return };
    let (stdout, stderr) = texts(&output);
    assert!(stdout.contains("daemon: 0\n"), "{stdout}{stderr}");
    assert!(stderr.contains("disk is full") && stderr.contains("make room"), "{stderr}");
    assert!(stdout.ends_with("the spool is empty\n"), "{stdout}{stderr}");
    let kept = acknowledged(&stderr);
    assert!(!kept.is_empty());
    assert_once_and_in_order(&database, &kept).await;
}

#[tokio::test]
async fn with_a_full_state_disk_and_a_database_that_is_well_every_cycle_is_in_the_timeline() {
    let database = Database::new("faults_disk_well", TABLE).await;
    let home = Home::new();
    let there = scripted(&home, 4, "200ms", "190ms", Some(&database.url("postgres", "")));
    let there = std::fs::copy(there, home.path("there.toml")).map(|_| home.path("there.toml")).unwrap();
    let away = scripted(&home, 1, "1s", "900ms", Some("postgres://postgres@127.0.0.1:9/none"));
    let script = format!(
        "{UNTIL}
        mount -t tmpfs -o size=600k tmpfs \"$1\" || exit 9
        for n in 1 2 3; do \"$0\" poll --quiet --inventory \"$2\" >/dev/null; echo \"away: $?\"; done
        dd if=/dev/zero of=\"$1/ballast\" bs=1k 2>/dev/null
        \"$0\" store replay --inventory \"$3\" >/dev/null; echo \"replay: $?\"
        for n in 1 2 3; do \"$0\" poll --quiet --inventory \"$3\" >/dev/null; echo \"there: $?\"; done
        \"$0\" run --inventory \"$3\" >/dev/null 2>\"$1/../log\" & pid=$!
        n=0; until [ $(grep -c 'batch kept\\|batch written directly' \"$1/../log\") -ge 5 ]; do
            n=$((n + 1)); [ $n -lt 600 ] || exit 8; sleep 0.1; done
        ended; rm \"$1/ballast\"
        \"$0\" store replay --inventory \"$3\""
    );
    let Some(output) = in_namespace(&home, &script, &[&away, &there]) else { return };
    let (stdout, stderr) = texts(&output);
    let wanted =
        "away: 4\naway: 4\naway: 4\nreplay: 0\nthere: 0\nthere: 0\nthere: 0\ndaemon: 0\nthe spool is empty\n";
    assert_eq!(stdout, wanted, "{stderr}");
    let all = assert_once_and_in_order(&database, &acknowledged(&stderr)).await;
    assert!(3 + 3 + 5 <= all, "{all}");
}

#[tokio::test]
async fn where_no_spool_can_be_opened_at_all_cycles_go_to_the_database_without_their_alerts() {
    let database = Database::new("faults_disk_none", TABLE).await;
    let home = Home::new();
    let url = database.url("postgres", "");
    let there = scripted(&home, 2, "200ms", "190ms", Some(&url));
    // Its GPUs draw more at once, and the alert has to wait for a batch that can be kept.
    let text = std::fs::read_to_string(&there).unwrap();
    let alerts = "[alerts]\ngpu_power_above = \"1W\"\n";
    std::fs::write(&there, format!("{text}{alerts}")).unwrap();
    let script = format!(
        "{UNTIL}
        mount -t tmpfs -o size=64k tmpfs \"$1\" || exit 9
        dd if=/dev/zero of=\"$1/ballast\" bs=1k 2>/dev/null
        \"$0\" run --inventory \"$2\" >/dev/null 2>\"$1/../log\" & pid=$!
        until_said 'batch written directly'; mount -o remount,size=64m \"$1\"; until_said 'batch kept'; ended"
    );
    let Some(output) = in_namespace(&home, &script, &[&there]) else { return };
    let (stdout, stderr) = texts(&output);
    assert_eq!(stdout, "daemon: 0\n", "{stderr}");
    assert!(stderr.contains("spool takes nothing; batches are written directly"), "{stderr}");
    let sql = "SELECT count(*) FILTER (WHERE event_type = 'alert'), count(DISTINCT metadata ->> 'batch') FROM unified_timeline";
    let (n_alerts, n_batches): (i64, i64) =
        sqlx::query_as(sql).fetch_one(&mut database.admin().await).await.unwrap();
    let n_direct = i64::try_from(stderr.matches("batch written directly").count()).unwrap();
    assert!(n_alerts == 2 && n_direct < n_batches, "{n_alerts} {n_direct} {n_batches}");
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
