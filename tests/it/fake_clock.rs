//! A wall clock that a test sets. A library put before libc's does what a file says; it is built here, since no namespace
//! of Linux has a wall clock of its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::path::{Path, PathBuf};
use std::process::Stdio;

const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
  char text[32] = {0};
  const char *path = getenv("TEST_CLOCK");
  int file, done = syscall(SYS_clock_gettime, clock, at);
  if (done != 0 || clock != CLOCK_REALTIME || !path) return done;
  file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return done;
  if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
  close(file);
  if (text[0] == '@') {
    at->tv_sec = atol(text + 1);
    at->tv_nsec = 0;
  } else {
    at->tv_sec += atol(text);
  }
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

/// A clock in a folder.
pub(crate) struct FakeClock {
    library: PathBuf,
    setting: PathBuf,
}

impl FakeClock {
    /// One that goes as the real one does; `None` if there is no C compiler.
    #[allow(clippy::disallowed_methods, reason = "a test builds what it needs")]
    pub(crate) fn new(folder: &Path) -> Option<Self> {
        let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
        std::fs::write(&source, LIBRARY).unwrap();
        let mut cc = std::process::Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).stdin(Stdio::null());
        if !cc.status().is_ok_and(|status| status.success()) {
            return None;
        }
        let clock = Self { library, setting: folder.join("clock") };
        clock.shift(0);
        Some(clock)
    }

    /// The environment of a program that is to see it.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 2] {
        [("LD_PRELOAD", self.library.to_str().unwrap()), ("TEST_CLOCK", self.setting.to_str().unwrap())]
    }

    /// So many seconds before or after the real one, and goes on.
    pub(crate) fn shift(&self, seconds: i64) {
        self.set(&seconds.to_string());
    }

    /// Stands at so many seconds after 1970.
    pub(crate) fn stop_at(&self, seconds: i64) {
        self.set(&format!("@{seconds}"));
    }

    /// In one step, so that no look sees half a number.
    fn set(&self, text: &str) {
        let next = self.setting.with_extension("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, &self.setting).unwrap();
    }
}
