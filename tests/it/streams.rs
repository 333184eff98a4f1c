//! Standard streams that cannot be written, or that nobody reads: they cost lines, and nothing else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::program::{Home, of_type, signal};

const PATIENCE: Duration = Duration::from_secs(60);

fn demo() -> String {
    format!("{}/inventory/demo.toml", env!("CARGO_MANIFEST_DIR"))
}

/// A device that is full, as a disk can be.
fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// A fleet that is read every second.
fn quick(home: &Home) -> PathBuf {
    let scene = format!("{}/fixtures/demo/redfin.toml", env!("CARGO_MANIFEST_DIR"));
    home.inventory(&format!(
        "[defaults]\ntimeout = \"500ms\"\n[cycle]\ninterval = \"1s\"\n[[host]]\nname = \"redfin\"\nscripted = \"{scene}\"\n"
    ))
}

/// Waits for three cycles of the daemon, and ends it; gives its exit code.
fn three_cycles(home: &Home, mut daemon: Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    while of_type(&home.rows(), "node_up").len() < 3 {
        assert_eq!(daemon.try_wait().unwrap(), None, "it ended by itself");
        assert!(Instant::now() < deadline, "three cycles did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
    signal(i32::try_from(daemon.id()).unwrap(), Signal::TERM);
    daemon.wait().unwrap().code()
}

#[test]
fn a_daemon_whose_log_is_on_a_full_disk_goes_on() {
    let home = Home::new();
    let inventory = quick(&home);
    let mut command = home.command(&["run", "-vv", "--inventory", inventory.to_str().unwrap()]);
    let daemon = command.stdout(Stdio::null()).stderr(full()).spawn().unwrap();
    assert_eq!(three_cycles(&home, daemon), Some(0));
}

#[test]
fn a_daemon_whose_log_nobody_reads_goes_on() {
    let home = Home::new().with("FLEETWATT_LOG", "trace");
    let inventory = quick(&home);
    // A pipe takes 64 KiB, and then each write waits for ever.
    let (nobody_reads, log) = std::io::pipe().unwrap();
    fill(&log);
    let mut command = home.command(&["run", "--inventory", inventory.to_str().unwrap()]);
    let daemon = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    drop(command);
    assert_eq!(three_cycles(&home, daemon), Some(0));
    drop(nobody_reads);
}

/// Fills a pipe to its brim.
fn fill(pipe: &std::io::PipeWriter) {
    let flags = rustix::fs::fcntl_getfl(pipe).unwrap();
    rustix::fs::fcntl_setfl(pipe, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while rustix::io::write(pipe, &[b'\n'; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(pipe, flags).unwrap();
}

#[test]
fn a_poll_that_cannot_say_anything_keeps_its_readings_all_the_same() {
    for (nth, args) in [&["--quiet"][..], &["-vv"], &[]].iter().enumerate() {
        let home = Home::new();
        let mut command = home.command(&[&["poll", "--inventory", &demo()], *args].concat());
        let ended = command.stdout(Stdio::null()).stderr(full()).status().unwrap();
        assert_eq!((nth, ended.code()), (nth, Some(3)), "one GPU of the demo is lost");
        assert_eq!(of_type(&home.rows(), "node_up").len(), 6);
    }
}

#[test]
fn a_table_that_cannot_be_written_is_an_error_and_the_readings_are_kept() {
    let home = Home::new();
    let mut command = home.command(&["poll", "--inventory", &demo()]);
    let ended = command.stdout(full()).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("rows written") && said.contains("error: standard output: No space left"),
        "{said}"
    );
    assert_eq!(of_type(&home.rows(), "node_up").len(), 6);
}

#[test]
fn no_command_panics_for_a_stream_that_is_full() {
    let home = Home::new();
    let demo = demo();
    let commands: [&[&str]; 10] = [
        &["--help"],
        &["--version"],
        &["no-such-command"],
        &["completions", "bash"],
        &["man"],
        &["check", "--inventory", &demo],
        &["check", "--connect", "--inventory", &demo],
        &["store", "status", "--inventory", &demo],
        &["store", "replay", "--inventory", &demo],
        &["solix", "decode", "ff09"],
    ];
    for args in commands {
        let ended = home.command(args).stdout(full()).stderr(full()).status().unwrap();
        assert!(matches!(ended.code(), Some(1 | 2)), "{args:?}: {ended}");
    }
}

#[test]
fn lines_have_priorities_where_systemd_connected_the_journal_and_only_there() {
    for is_ours in [true, false] {
        let home = Home::new();
        let path = home.path("log");
        let log = File::create(&path).unwrap();
        let metadata = log.metadata().unwrap();
        let inode = if is_ours { metadata.ino() } else { metadata.ino() + 1 };
        let home = home.with("JOURNAL_STREAM", format!("{}:{inode}", metadata.dev()));
        home.command(&["poll", "-q", "--inventory", &demo()]).stderr(log).status().unwrap();
        let said = std::fs::read_to_string(path).unwrap();
        let of = |priority: &str| said.lines().filter(|line| line.starts_with(priority)).count();
        if is_ours {
            assert_eq!(of("<3>") + of("<4>") + of("<6>"), said.lines().count(), "{said}");
            assert!(of("<4>") >= 1 && of("<6>") >= 1, "{said}");
        } else {
            assert_eq!(of("<"), 0, "{said}");
            assert!(said.lines().count() >= 2, "{said}");
        }
    }
}

/// What a terminal of 80 columns shows of a command, and its exit code.
fn on_a_terminal(home: &Home, args: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_fleetwatt");
    let line = format!("stty cols 80; {program} {}", args.join(" "));
    let shown = home.command_of("script", &["-qec", &line, "/dev/null"]).output().unwrap();
    String::from_utf8(shown.stdout).unwrap()
}

#[test]
fn a_terminal_shows_how_far_a_poll_or_a_check_has_come_and_lines_that_fit_it() {
    let home = Home::new();
    let scene = std::fs::read_to_string(format!("{}/fixtures/demo/redfin.toml", env!("CARGO_MANIFEST_DIR")));
    let dump = format!("{}/fixtures/demo/", env!("CARGO_MANIFEST_DIR"));
    let slow = scene.unwrap().replace("dump = \"", &format!("dump = \"{dump}"));
    std::fs::write(home.path("slow.toml"), format!("slow = \"900ms\"\n{slow}")).unwrap();
    let name = "gpu-node-1.rack-17.building-4.campus-north.research.example.org";
    let inventory = home.inventory(&format!("[[host]]\nname = \"{name}\"\nscripted = \"slow.toml\"\n"));
    let inventory = inventory.to_str().unwrap();
    let shown = on_a_terminal(&home, &["poll", "--color", "never", "--inventory", inventory]);
    let (progress, page) = shown.rsplit_once("\r\u{1b}[K").unwrap_or_default();
    assert!(progress.contains("\r0 of 1 hosts"), "{shown:?}");
    let table = page.lines().take_while(|line| !line.contains("rows written"));
    assert!(table.clone().count() >= 3, "{page}");
    assert!(table.clone().all(|line| line.trim_end().chars().count() <= 80), "{page}");
    let shown = on_a_terminal(&home, &["check", "--connect", "--inventory", inventory]);
    let (progress, page) = shown.rsplit_once("\r\u{1b}[K").unwrap_or_default();
    assert!(progress.contains("1 host (1 scripted)") && progress.contains("\r0 of 1 hosts"), "{shown:?}");
    assert!(!page.contains("of 1 hosts"), "{shown:?}");
}
