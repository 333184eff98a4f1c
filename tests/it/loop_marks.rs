//! Whose loop is whose, and which call may hang: the patterns, tried by the real `pgrep` on processes of such names.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "helpers of tests are tests too")]

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fleetwatt::probe::nvidia_smi::{Query, outstanding_pattern};
use fleetwatt::probe::{HostProfile, loop_mark, loop_pattern};

/// A process that looks in a process list as a call does, and does nothing.
struct Looks(Child);

impl Looks {
    fn like(command_line: &str) -> Self {
        let mut command = Command::new("bash");
        command.args(["-c", "exec -a \"$0\" sleep 600", command_line]).stdin(Stdio::null());
        let looks = Self(command.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(10);
        while !looks.is_named(command_line) {
            assert!(Instant::now() < deadline, "it does not start");
            std::thread::sleep(Duration::from_millis(2));
        }
        looks
    }

    fn is_named(&self, name: &str) -> bool {
        let line = std::fs::read(format!("/proc/{}/cmdline", self.0.id())).unwrap_or_default();
        line.starts_with(name.as_bytes())
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Which of these processes `pgrep` finds by a pattern.
fn found(pattern: &str, processes: &[&Looks]) -> Vec<usize> {
    let output = Command::new("pgrep").args(["-f", pattern]).output().unwrap();
    let pids: BTreeSet<u32> =
        String::from_utf8(output.stdout).unwrap().lines().map(|pid| pid.parse().unwrap()).collect();
    let is_found = |place: &usize| processes.get(*place).is_some_and(|looks| pids.contains(&looks.0.id()));
    (0..processes.len()).filter(is_found).collect()
}

#[test]
fn a_collector_finds_its_own_loops_and_every_call_that_may_hang() {
    // Names that no other test has.
    let (one, other) = (format!("one{}", std::process::id()), format!("other{}", std::process::id()));
    let query = Query::open(HostProfile::default(), None).1.args.join(" ");
    let of_loop = |collector: &str| {
        let mark = loop_mark(collector);
        Looks::like(&format!("timeout -k 1 900 env {mark} nvidia-smi {query} --loop-ms=200 -i GPU-1"))
    };
    let (ours, theirs) = (of_loop(&one), of_loop(&other));
    let call = Looks::like(&format!("timeout -k 1 14 nvidia-smi {query}"));
    let chosen = Looks::like(&format!("nvidia-smi {query} -i GPU-1,GPU-2"));
    let their_smi = Looks::like(&format!("nvidia-smi {query} --loop-ms=200"));
    let all = [&ours, &theirs, &call, &chosen, &their_smi];
    assert_eq!(found(&loop_pattern(&one), &all), [0]);
    assert_eq!(found(&loop_pattern(&other), &all), [1]);
    assert_eq!(found(&outstanding_pattern(&one), &all), [0, 2, 3]);
}
