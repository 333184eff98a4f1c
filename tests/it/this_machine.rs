//! What this machine and its users may do to the program: limits of a process, folders of other users, a
//! terminal that is closed.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "helpers of tests are tests too, and start the program under limits"
)]

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use fleetwatt::app::{Environment, HostSelection, Kept, PollRequest, RuntimePlace, Settings};

use crate::faults::{is_slow, say};
use crate::fleet::{Fleet, HostPlan};
use crate::program::{Home, logins, masters_below, of_type, outcomes, wait_until};

/// A user with few processes.
const NOBODY: u32 = 65_534;

/// The program under another one that changes its limits, or gives it a terminal.
fn under(home: &Home, program: &str, args: &[&str], fleetwatt: &[&str]) -> Command {
    let inner = home.command(fleetwatt);
    let variables = inner.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(variables);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if program != "script" {
        command.arg(inner.get_program()).args(inner.get_args());
    }
    command
}

/// A poll that may have so many open files: its exit code and what it says on standard error.
fn poll_with(home: &Home, n_files: u32, inventory: &Path) -> (Option<i32>, String) {
    let limit = format!("--nofile={n_files}:{n_files}");
    let poll = ["poll", "--inventory", inventory.to_str().unwrap()];
    let output = under(home, "prlimit", &[&limit], &poll).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The fleet's inventory with other settings of the cycle.
fn with_cycle(fleet: &Fleet, home: &Home, cycle: &str) -> std::path::PathBuf {
    let text = std::fs::read_to_string(fleet.inventory()).unwrap();
    // So many logins may take this machine longer than one does.
    let text = text.replace("connect_timeout = \"5s\"", "connect_timeout = \"30s\"");
    let text = text.replace("\ntimeout = \"15s\"", "\ntimeout = \"70s\"");
    home.inventory(&format!("[cycle]\n{cycle}\n{text}"))
}

#[test]
fn more_hosts_than_open_files_allow_at_once_are_all_read() {
    let (n_hosts, n_files) = if is_slow() { (400, 1024) } else { (40, 128) };
    let fleet = Fleet::start(HostPlan::many(n_hosts, "gpus = 1")).unwrap();
    let home = Home::new();
    let inventory = with_cycle(&fleet, &home, "concurrency = 512\ninterval = \"120s\"");
    for _ in 0..3 {
        let (code, said) = poll_with(&home, n_files, &inventory);
        let rows = home.rows();
        let failed: Vec<_> = of_type(&rows, "node_up")
            .into_iter()
            .filter(|row| row.2 == Some(0.0))
            .map(|row| &row.3["message"])
            .collect();
        assert_eq!(code, Some(0), "{failed:?} {said}");
        assert_eq!(said.matches("hosts are asked at once instead of 512").count(), 1, "{said}");
    }
    let n_complete = outcomes(&home.rows()).iter().filter(|outcome| outcome.ends_with(": complete")).count();
    assert_eq!((n_complete, logins(&fleet)), (3 * n_hosts, vec![1; n_hosts]));
}

#[test]
fn what_this_machine_is_short_of_is_held_against_no_host() {
    let fleet = Fleet::start(HostPlan::many(4, "gpus = 1")).unwrap();
    let home = Home::new();
    let inventory = fleet.inventory();
    let mut seen = false;
    // Each limit stops at another step.
    for n_files in 12..36 {
        poll_with(&home, n_files, &inventory);
        seen |= outcomes(&home.rows()).iter().any(|outcome| outcome.ends_with(": local_shortage"));
    }
    let noted =
        home.runtime_files().into_iter().find(|path| path.extension().is_some_and(|end| end == "noshell"));
    assert!(seen && noted.is_none(), "{noted:?} {:?}", outcomes(&home.rows()));
    let rows = home.rows();
    let short =
        of_type(&rows, "node_up").into_iter().find(|row| row.3["outcome"] == "local_shortage").unwrap();
    assert!(short.3["message"].as_str().unwrap().contains("this machine, not the host"), "{}", short.3);
    assert_eq!(home.poll(&inventory, &[]).code, Some(0));
    let n_kept =
        home.runtime_files().iter().filter(|path| path.extension().is_some_and(|end| end == "in")).count();
    assert_eq!(n_kept, 4, "each has its shell");
}

#[test]
fn a_user_who_may_start_no_more_threads_is_told_so_or_served() {
    if !rustix::process::geteuid().is_root() {
        return say("passed over: only root can start the program as a user who has no processes");
    }
    // Where another user may read it.
    let dir = tempfile::Builder::new().prefix("fw-").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let (program, state) = (dir.path().join("fleetwatt"), dir.path().join("s"));
    std::fs::copy(env!("CARGO_BIN_EXE_fleetwatt"), &program).unwrap();
    std::fs::create_dir(&state).unwrap();
    chown(&state, Some(NOBODY), Some(NOBODY)).unwrap();
    let scene = dir.path().join("scene.toml");
    std::fs::write(&scene, "gpus = 1").unwrap();
    let inventory = dir.path().join("inventory.toml");
    std::fs::write(&inventory, "[[host]]\nname = \"node\"\nscripted = \"scene.toml\"\n").unwrap();
    let mut codes = std::collections::BTreeSet::new();
    for limit in [1, 2, 3, 5, 8, 60] {
        let mut command = Command::new("timeout");
        command.args(["20", "setpriv", "--clear-groups", "--regid"]).arg(NOBODY.to_string());
        command.arg("--reuid").arg(NOBODY.to_string()).args(["prlimit", &format!("--nproc={limit}:{limit}")]);
        command.arg(&program).arg("-i").arg(&inventory).arg("poll").env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("STATE_DIRECTORY", &state);
        let output = command.env("HOME", dir.path()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let is_told = said.contains("start no more threads") && output.status.code() == Some(1);
        assert!(is_told || output.status.code() == Some(0), "{limit}: {:?} {said}", output.status);
        codes.insert(output.status.code());
    }
    assert_eq!(codes.len(), 2, "the limits are too low, or too high, to show anything");
}

#[test]
fn another_users_state_directory_is_not_written_to() {
    if !rustix::process::geteuid().is_root() {
        return say("passed over: only root can give a folder to another user");
    }
    let fleet = Fleet::start(vec![HostPlan::new("node", "gpus = 1")]).unwrap();
    let home = Home::new();
    let text = std::fs::read_to_string(fleet.inventory()).unwrap();
    let inventory = home
        .inventory(&format!("{text}\n[store]\nkeep = \"30d\"\n[solix]\napi_url = \"https://127.0.0.1:9\"\n"));
    assert_eq!(home.poll(&fleet.inventory(), &[]).code, Some(0));
    for path in
        home.everything().into_iter().map(|(path, _)| path).filter(|path| path.starts_with(home.path("s")))
    {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let state = |home: &Home| -> Vec<_> {
        home.everything().into_iter().filter(|(path, _)| path.starts_with(home.path("s"))).collect()
    };
    let before = state(&home);
    let inventory = inventory.to_str().unwrap();
    let writing: [&[&str]; 7] = [
        &["poll"],
        &["run"],
        &["store", "init"],
        &["store", "replay"],
        &["store", "prune"],
        &["store", "dead-letters", "discard", "--all"],
        &["solix", "login"],
    ];
    for command in writing {
        let ran = home.run(&[command, &["--inventory", inventory]].concat());
        assert_eq!(ran.code, Some(2), "{command:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("belongs to user 65534, and this is user 0"), "{}", ran.stderr);
        assert_eq!(state(&home), before, "{command:?}");
    }
    let reading: [&[&str]; 5] = [
        &["poll", "--dry-run"],
        &["check"],
        &["check", "--connect"],
        &["store", "status"],
        &["solix", "devices"],
    ];
    for command in reading {
        let ran = home.run(&[command, &["--inventory", inventory]].concat());
        assert!(ran.stderr.contains("belongs to user 65534: it is only read"), "{command:?} {}", ran.stderr);
        assert_eq!(state(&home), before, "{command:?}");
    }
}

#[test]
fn where_somebody_has_taken_the_sockets_folder_polls_go_on_in_another_one() {
    fn no_variable(_: &str) -> Option<std::ffi::OsString> {
        None
    }
    let (fleet, home) = (Fleet::start(vec![HostPlan::new("node", "gpus = 1")]).unwrap(), Home::new());
    let taken = home.path("taken");
    std::fs::create_dir(&taken).unwrap();
    // As far as we are concerned, one that anybody may write to is anybody's.
    std::fs::set_permissions(&taken, PermissionsExt::from_mode(0o777)).unwrap();
    let mut settings = Settings::load(Some(fleet.inventory()), Environment(no_variable)).unwrap();
    settings.state_dir = home.path("s");
    settings.store_url = fleetwatt::store::StoreUrl::sqlite(home.path("s/fleetwatt.db"));
    settings.runtime_dir = RuntimePlace { path: taken.clone(), is_shared: true };
    let request = PollRequest {
        dry_run: false,
        selection: HostSelection::default(),
        changes_only: false,
        by_hand: false,
        alerts: false,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for _ in 0..2 {
        let polled = runtime.block_on(fleetwatt::app::poll(&settings, &request, |_, _| ())).unwrap();
        assert!(matches!(polled.kept, Kept::Durable(_)));
    }
    assert_eq!((outcomes(&home.rows()), logins(&fleet)), (vec!["node: complete".to_owned(); 2], vec![1]));
    assert_eq!(std::fs::read_dir(taken).unwrap().count(), 0);
}

#[test]
fn closing_the_terminal_ends_the_daemon_in_order() {
    let (fleet, home) = (Fleet::start(vec![HostPlan::new("node", "gpus = 1")]).unwrap(), Home::new());
    let run = home.command(&["run", "--inventory", fleet.inventory().to_str().unwrap()]);
    let message: Vec<_> =
        std::iter::once(run.get_program()).chain(run.get_args()).map(|word| word.to_str().unwrap()).collect();
    // Where the tests themselves run under `nohup`, SIGHUP would be ignored here too.
    let line = format!("exec env --default-signal=HUP {}", message.join(" "));
    let mut terminal = under(&home, "script", &["-qfec", &line, "/dev/null"], &[]).spawn().unwrap();
    wait_until("a row", || !outcomes(&home.rows()).is_empty());
    let daemon: i32 = std::fs::read_to_string(home.path("s/lock")).unwrap().trim().parse().unwrap();
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    wait_until("the daemon's end", || !Path::new(&format!("/proc/{daemon}")).exists());
    assert!(
        masters_below(&home.path("r")).is_empty() && home.sockets().is_empty(),
        "its connections are left"
    );
}
