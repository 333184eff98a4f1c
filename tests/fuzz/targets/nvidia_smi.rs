//! Whatever a host answers, the conversation with it ends, with a bounded number of questions.

#![no_main]

use fleetwatt::probe::nvidia_smi::Query;
use fleetwatt::probe::{Output, HostProfile, Next};
use libfuzzer_sys::fuzz_target;

/// No conversation asks more often than this: one question for each field that may be dropped, and one
/// for each GPU in a salvage.
const MOST_QUESTIONS: usize = 200;

fuzz_target!(|answers: Vec<(Vec<u8>, Option<i32>, bool)>| {
    let mut profile = HostProfile::default();
    // Twice, since the second conversation begins with what the first one taught.
    for _ in 0..2 {
        let (mut query, _) = Query::open(profile, None);
        let mut answers = answers.iter().cycle();
        let mut n_questions = 0;
        profile = loop {
            let empty = (Vec::new(), Some(0), false);
            let (stdout, exit, truncated) = answers.next().unwrap_or(&empty);
            let answer = Output { stdout: stdout.clone(), exit: *exit, truncated: *truncated, ..Output::default() };
            match query.answer(&answer) {
                Next::Done(probed) => break probed.profile,
                Next::Ask(_) => n_questions += 1,
            }
            assert!(n_questions < MOST_QUESTIONS);
        };
    }
});
