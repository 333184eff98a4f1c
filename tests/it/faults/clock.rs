//! A wall clock that is set back and forward while the daemon runs. A library put before libc's adds to the
//! clock what a file says; it is built here, since no namespace of Linux has a wall clock of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{Batches, Daemon, acknowledged, arrived, replay, say, scripted};
use crate::postgres::Database;
use crate::program::Home;
use crate::spool_once::TABLE;

const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long offset(void) {
  char text[32] = {0};
  const char *path = getenv("TEST_CLOCK_OFFSET");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return 0;
  if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
  close(file);
  return atol(text);
}
int clock_gettime(clockid_t clock, struct timespec *at) {
  int done = syscall(SYS_clock_gettime, clock, at);
  if (done == 0 && clock == CLOCK_REALTIME) at->tv_sec += offset();
  return done;
}
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
"#;

/// The library, or `None` if there is no compiler.
#[allow(clippy::disallowed_methods, reason = "a test builds what it needs")]
fn library(home: &Home) -> Option<PathBuf> {
    let (source, library) = (home.path("clock.c"), home.path("clock.so"));
    std::fs::write(&source, LIBRARY).unwrap();
    let mut cc = std::process::Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).stdin(Stdio::null());
    cc.status().is_ok_and(|status| status.success()).then_some(library)
}

/// In one step, so that no look sees half a number.
fn set_clock(path: &Path, seconds: i64) {
    let next = path.with_extension("next");
    std::fs::write(&next, seconds.to_string()).unwrap();
    std::fs::rename(next, path).unwrap();
}

#[tokio::test]
async fn batches_are_delivered_once_while_the_clock_jumps_an_hour_back_and_a_day_forward() {
    let database = Database::new("faults_clock", TABLE).await;
    let home = Home::new();
    let Some(library) = library(&home) else { return say("passed over: there is no C compiler") };
    let offset = home.path("offset");
    set_clock(&offset, 0);
    let url = database.url("postgres", "");
    let inventory = scripted(&home, 3, "300ms", "290ms", Some(&url));
    let variables =
        [("LD_PRELOAD", library.to_str().unwrap()), ("TEST_CLOCK_OFFSET", offset.to_str().unwrap())];
    let daemon = Daemon::with(&home, &inventory, &variables);
    let mut n_kept = 0;
    for seconds in [0, -3_600, 86_400, 0] {
        set_clock(&offset, seconds);
        // The first of them may have begun before.
        n_kept = daemon.keeps(3).len();
    }
    let log = daemon.log.clone();
    assert_eq!(daemon.stop().0, Some(0));
    replay(&home, &inventory);
    let log = std::fs::read_to_string(log).unwrap();
    let lines = log.lines().filter(|line| line.contains("batch kept")).count();
    let kept = acknowledged(&log);
    assert!(n_kept <= lines && kept.len() == lines, "each batch has an id of its own");
    let there = arrived(&database).await;
    let rows: Batches = there.iter().map(|(batch, n_rows, _)| (batch.clone(), *n_rows)).collect();
    assert_eq!(rows, kept, "each has the rows that it was acknowledged with");
    assert!(there.iter().all(|(_, n_rows, n_different)| n_rows == n_different), "{there:?}");
}
