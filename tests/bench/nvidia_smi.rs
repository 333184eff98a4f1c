//! Answers one question as the played nvidia-smi did before, and refuses every other one.
//!
//! Clients and hosts of the benchmark share one machine, so that whatever a host spends dilutes the
//! difference between clients. `tests/bench/run` builds this into a static program, which starts in a fifth
//! of the time.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "nvidia-smi of the benchmark: {error}").ok();
            ExitCode::from(70)
        }
    }
}

fn answer() -> io::Result<()> {
    let scene = env::var("FAKE_NVIDIA_SMI").map_err(io::Error::other)?;
    let kept = fs::read_to_string(format!("{scene}.answer"))?;
    let (question, answer) = kept.split_once('\n').ok_or_else(|| io::Error::other("no answer is kept"))?;
    let asked = env::args().skip(1).collect::<Vec<_>>().join(" ");
    if asked != question {
        return Err(io::Error::other(format!("only `{question}` is answered, not `{asked}`")));
    }
    io::stdout().write_all(answer.as_bytes())
}
