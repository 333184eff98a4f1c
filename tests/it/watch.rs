//! `watch` beside a real daemon: frames that are printed, and the live view in a real terminal (tmux).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests are tests too"
)]

use std::process::{Child, Command};

use crate::program::{Home, wait_until};

/// A daemon of two played hosts, one of which has lost a GPU, and its socket.
struct Daemon {
    home: Home,
    process: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

fn inventory(home: &Home) -> String {
    let scene = |name: &str| format!("{}/fixtures/demo/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = format!(
        "[cycle]\ninterval = \"2s\"\n[defaults]\ntimeout = \"1500ms\"\nconnect_timeout = \"1s\"\n\
         [[host]]\nname = \"redfin\"\nscripted = \"{}\"\n[[host]]\nname = \"rack1-01\"\nscripted = \"{}\"\n",
        scene("redfin"),
        scene("lost"),
    );
    home.inventory(&text).to_str().unwrap().to_owned()
}

fn daemon() -> Daemon {
    let home = Home::new().with("TZ", "UTC");
    let inventory = inventory(&home);
    std::fs::create_dir(home.path("r")).unwrap();
    let socket = home.path("r/snapshot.sock");
    let args = ["run", "--inventory", &inventory, "--snapshot-socket", socket.to_str().unwrap()];
    let process = home.start(&args);
    wait_until("the socket", || socket.exists());
    Daemon { home, process }
}

#[test]
fn a_frame_is_printed_of_the_daemon_that_is_there() {
    let daemon = daemon();
    let watch = || daemon.home.run(&["watch", "--once", "--width", "80"]);
    let mut ran = watch();
    // A machine under load may miss a cycle.
    wait_until("a whole cycle", || {
        ran = watch();
        ran.stdout.contains("8/9 GPUs")
    });
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with(" fleetwatt  daemon, every 2 s"), "{}", ran.stdout);
    assert!(ran.stdout.contains("rack1-01       7/8"), "{}", ran.stdout);
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
}

#[test]
fn without_a_daemon_it_polls_by_itself_and_leaves_no_trace() {
    let home = Home::new().with("TZ", "UTC");
    let inventory = inventory(&home);
    let before = home.everything();
    let ran = home.run(&["watch", "--once", "--inventory", &inventory]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout.starts_with(" fleetwatt  polling itself, every 2 s"), "{}", ran.stdout);
    assert!(ran.stdout.contains("redfin"), "{}", ran.stdout);
    assert_eq!(home.everything(), before);
}

#[test]
fn a_socket_without_a_daemon_is_an_error_with_a_hint() {
    let home = Home::new();
    let socket = home.path("none.sock");
    let ran = home.run(&["watch", "--once", "--socket", socket.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(
        ran.stderr.contains("no daemon answers at") && ran.stderr.contains("--snapshot-socket"),
        "{}",
        ran.stderr
    );
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let ran = Home::new().run(&["watch"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.stderr, "error: `watch` needs a terminal; `watch --once` prints one frame anywhere\n");
}

/// A terminal in which a shell runs `watch` and then waits.
struct Terminal<'a> {
    home: &'a Home,
}

impl<'a> Terminal<'a> {
    /// The shell notes the terminal's settings before and after.
    fn open(home: &'a Home) -> Self {
        let terminal = Self { home };
        let program = env!("CARGO_BIN_EXE_fleetwatt");
        let (before, after) = (home.path("before"), home.path("after"));
        let script = format!(
            "stty -g > {}; {program} watch; stty -g > {}.new; mv {}.new {}; read line",
            before.display(),
            after.display(),
            after.display(),
            after.display()
        );
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", &script]);
        terminal
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command =
            self.home.command_of("tmux", &["-u", "-S", self.home.path("tmux").to_str().unwrap()]);
        command.args(args).env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
        command
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until the screen shows a text.
    fn wait_for(&self, text: &str) {
        let mut screen = String::new();
        wait_until(text, || {
            screen = self.screen();
            screen.contains(text)
        });
    }

    /// Waits until `watch` has ended, and holds that the terminal is as it was.
    fn is_left_as_it_was(&self) {
        wait_until("the end of watch", || self.home.path("after").exists());
        let read = |name: &str| std::fs::read_to_string(self.home.path(name)).unwrap();
        assert_eq!(read("after"), read("before"));
        let modes = "#{alternate_on} #{cursor_flag} #{mouse_any_flag}";
        assert_eq!(self.tmux(&["display-message", "-p", modes]).trim(), "0 1 0");
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.command(&["kill-server"]).output().map(drop).unwrap_or_default();
    }
}

#[test]
fn in_a_terminal_keys_and_sizes_change_the_frame_and_q_leaves_it_as_it_was() {
    let daemon = daemon();
    let terminal = Terminal::open(&daemon.home);
    terminal.wait_for("daemon, every 2 s");
    terminal.wait_for("8/9 GPUs");
    terminal.tmux(&["send-keys", "Right"]);
    terminal.wait_for("├ 0");
    terminal.tmux(&["resize-window", "-x", "120", "-y", "40"]);
    terminal.wait_for("8 of 9 GPUs");
    terminal.tmux(&["send-keys", "/", "redfin", "Enter"]);
    terminal.wait_for("1 hidden by the filter");
    terminal.tmux(&["resize-window", "-x", "40", "-y", "10"]);
    wait_until("the narrow frame", || {
        !terminal.screen().contains("hidden") && terminal.screen().contains("redfin")
    });
    terminal.tmux(&["send-keys", "q"]);
    terminal.is_left_as_it_was();
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let daemon = daemon();
    let terminal = Terminal::open(&daemon.home);
    terminal.wait_for("8/9 GPUs");
    let shell = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]);
    let killed = Command::new("pkill").args(["-TERM", "-P", shell.trim()]).status().unwrap();
    assert!(killed.success());
    terminal.is_left_as_it_was();
}

#[test]
fn a_daemon_that_ends_is_said_and_found_again() {
    let mut daemon = daemon();
    let terminal = Terminal::open(&daemon.home);
    terminal.wait_for("daemon, every 2 s");
    daemon.process.kill().unwrap();
    daemon.process.wait().unwrap();
    terminal.wait_for("daemon silent: data of");
    let (inventory, socket) = (daemon.home.path("inventory.toml"), daemon.home.path("r/snapshot.sock"));
    let args =
        ["run", "--inventory", inventory.to_str().unwrap(), "--snapshot-socket", socket.to_str().unwrap()];
    daemon.process = daemon.home.start(&args);
    terminal.wait_for("daemon, every 2 s");
}
