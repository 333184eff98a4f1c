//! What a pattern finds besides files, and an inventory on standard input.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use super::{PATIENCE, wait_until};
use crate::program::{Home, of_type, signal};

fn scene() -> String {
    format!("{}/fixtures/demo/redfin.toml", env!("CARGO_MANIFEST_DIR"))
}

fn fifo(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
}

/// A fleet of one host in an included file.
fn fleet(home: &Home) -> std::path::PathBuf {
    std::fs::create_dir(home.path("racks")).unwrap();
    let rack = format!("[[host]]\nname = \"zz\"\nscripted = \"{}\"\n", scene());
    std::fs::write(home.path("racks/a.toml"), rack).unwrap();
    home.inventory("include = [\"racks/*.toml\"]\n[cycle]\ninterval = \"300ms\"\n[defaults]\ntimeout = \"200ms\"\nconnect_timeout = \"100ms\"\n")
}

#[test]
fn a_fifo_or_device_that_an_include_finds_is_a_fault_at_once() {
    for what in ["fifo", "device"] {
        let home = Home::new();
        let inventory = fleet(&home);
        let odd = home.path("racks/x.toml");
        if what == "fifo" {
            fifo(&odd);
        } else {
            std::os::unix::fs::symlink("/dev/zero", &odd).unwrap();
        }
        let ran = home.run(&["check", "--inventory", inventory.to_str().unwrap()]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        let said = ran.stderr.to_lowercase();
        assert!(said.contains("racks/x.toml`: it is a ") && said.contains(what), "{}", ran.stderr);
        assert!(ran.peak_kib < 200_000, "{} KiB", ran.peak_kib);
    }
}

#[test]
fn a_daemon_goes_on_and_ends_though_a_fifo_came_into_its_inventory() {
    let home = Home::new();
    let inventory = fleet(&home);
    let mut child = home.start(&["run", "--inventory", inventory.to_str().unwrap()]);
    let n_rows = |event_type: &str| of_type(&home.rows(), event_type).len();
    wait_until("two cycles", PATIENCE, || n_rows("node_up"), |n_cycles| *n_cycles >= 2);
    fifo(&home.path("racks/x.toml"));
    wait_until("the alert of the edit", PATIENCE, || n_rows("alert"), |n_alerts| *n_alerts == 1);
    let before = n_rows("node_up");
    wait_until("three cycles more", PATIENCE, || n_rows("node_up"), |n_cycles| before + 3 <= *n_cycles);
    signal(i32::try_from(child.id()).unwrap(), Signal::TERM);
    let ended = wait_until("its end", PATIENCE, || child.try_wait().unwrap(), Option::is_some);
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
}

#[test]
fn a_secret_in_a_fifo_holds_nothing_up() {
    let home = Home::new();
    fifo(&home.path("hook"));
    let inventory = home.inventory(&format!(
        "[alerts]\nwebhook_file = \"hook\"\n[[host]]\nname = \"zz\"\nscripted = \"{}\"\n",
        scene()
    ));
    let ran = home.poll(&inventory, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("it is a FIFO"), "{}", ran.stderr);
}

#[test]
fn an_inventory_is_read_from_standard_input_but_not_by_the_daemon() {
    let home = Home::new();
    let text = format!("[[host]]\nname = \"zz\"\nscripted = \"{}\"\n", scene());
    let from_stdin = |args: &[&str], text: &str| {
        let mut command = home.command(args);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let polled = from_stdin(&["poll", "--dry-run", "-i", "-"], &text);
    assert_eq!(polled.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&polled.stdout).contains("zz"));
    let faulty = from_stdin(&["check", "-i", "-"], "[[host]]\nnam = 1\n");
    assert!(String::from_utf8_lossy(&faulty.stderr).contains("-:2:1"));
    let run = from_stdin(&["run", "-i", "-"], &text);
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run.stderr).contains("cannot be read twice"));
}
