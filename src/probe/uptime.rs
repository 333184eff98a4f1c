//! The uptime of a host and the load of its processors: two files of the kernel, read by `cat`.
//!
//! A tool of one command that shows no GPU. It shows what another tool has to bring along, and is built for tests
//! alone (feature `test-tools`).

use std::collections::BTreeMap;

use super::exchange::{Command, Next, Output, Product};
use super::profile::HostProfile;
use crate::reading::{Failure, FailureKind, Outcome};

/// The tool's name.
pub(super) const LABEL: &str = "uptime";

/// The program that is run.
pub(super) const PROGRAM: &str = "cat";

const FILES: [&str; 2] = ["/proc/uptime", "/proc/loadavg"];

/// A query of the two files.
#[derive(Debug)]
pub struct Query {
    profile: HostProfile,
    gpus_expected: Option<usize>,
}

impl Query {
    pub(super) fn open(profile: HostProfile, gpus_expected: Option<usize>) -> (Self, Command) {
        (Self { profile, gpus_expected }, Command { args: FILES.map(str::to_owned).to_vec() })
    }

    pub(super) fn answer(&mut self, output: &Output) -> Next {
        let stdout = String::from_utf8_lossy(&output.stdout);
        let result = match labels(&stdout) {
            Some(labels) if output.exit == Some(0) => Ok(labels),
            _ => {
                let stderr = String::from_utf8_lossy(&output.stderr);
                let line = stderr.lines().chain(stdout.lines()).next().unwrap_or("no output");
                Err(Failure::new(FailureKind::Garbled, line))
            }
        };
        Next::Done(Box::new(self.product(result)))
    }

    pub(super) fn give_up(self, failure: Failure) -> Product {
        self.product(Err(failure))
    }

    fn product(&self, result: Result<BTreeMap<String, String>, Failure>) -> Product {
        let (outcome, labels) = match result {
            Ok(labels) => (Outcome::Complete, labels),
            Err(failure) => (Outcome::Failed(failure), BTreeMap::new()),
        };
        Product {
            outcome,
            gpus: Vec::new(),
            labels,
            faults: Vec::new(),
            gpus_expected: self.gpus_expected,
            profile: self.profile.clone(),
        }
    }
}

/// A pattern for `pgrep -f`. The brackets keep it from finding the `pgrep` itself.
pub(super) fn outstanding_pattern() -> String {
    format!("[c]at {}", FILES.join(" "))
}

/// The first number of each file; `None` if one of them is not a number.
fn labels(text: &str) -> Option<BTreeMap<String, String>> {
    let mut numbers = text.lines().map(|line| line.split_whitespace().next());
    let mut number = |name: &str| {
        let number = numbers.next()??;
        number.parse::<f64>().ok().filter(|number| number.is_finite())?;
        Some((name.to_owned(), number.to_owned()))
    };
    Some(BTreeMap::from([number("host_uptime_s")?, number("host_load1")?]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_files_are_read_or_none() {
        let read = labels("350735.47 234388.90\n0.20 0.18 0.12 1/80 11206\n").unwrap();
        assert_eq!((read["host_uptime_s"].as_str(), read["host_load1"].as_str()), ("350735.47", "0.20"));
        for text in ["", "350735.47 234388.90\n", "350735.47\ninf\n", "cat: /proc/uptime\n0.20 0.18\n"] {
            assert_eq!(labels(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_ends_the_query(stdout in any::<Vec<u8>>(), exit in any::<Option<i32>>()) {
            let (mut query, _) = Query::open(HostProfile::default(), None);
            let next = query.answer(&Output { stdout, exit, ..Output::default() });
            prop_assert!(matches!(next, Next::Done(_)));
        }
    }
}
