//! A stand-in for `nvidia-smi` behind a real sshd: plays the scene that `FAKE_NVIDIA_SMI` names, or the case.

#[path = "case.rs"]
mod case;

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use fleetwatt::probe::nvidia_smi::simulated::{Behavior, PassOutput, Reply, Scenario};
use fleetwatt::transport::scripted;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    match play() {
        Ok(exit) => exit,
        // A reader that has gone away is not worth a word; the real program dies of SIGPIPE there.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(141),
        Err(error) => {
            writeln!(io::stderr(), "fake nvidia-smi: {error}").ok();
            ExitCode::from(70)
        }
    }
}

fn play() -> io::Result<ExitCode> {
    let path =
        env::var_os("FAKE_NVIDIA_SMI").ok_or_else(|| io::Error::other("FAKE_NVIDIA_SMI is not set"))?;
    let args: Vec<_> = env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    if Path::new(&path).extension().is_some_and(|extension| extension == "json") {
        let case = case::Case::read(Path::new(&path))?;
        note_call(Path::new(&path))?;
        let (stdout, exit) = case.answer(&args);
        io::stdout().write_all(stdout.as_bytes())?;
        return Ok(ExitCode::from(u8::try_from(exit).unwrap_or(u8::MAX)));
    }
    let scene = scripted::load(Path::new(&path)).map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        io::Error::other(format!("{error}{}", source.unwrap_or_default()))
    })?;
    note_call(Path::new(&path))?;
    let reply = scene.answer(&args);
    match reply.behavior {
        Behavior::Answer => print(&reply)?,
        Behavior::Delay(pause) => {
            thread::sleep(pause);
            print(&reply)?;
        }
        Behavior::Hang => loop {
            thread::park();
        },
        Behavior::Loop(pause) => return play_loop(&scene, &args, pause),
        Behavior::HangIgnoringTerm => ignore_term_for_ever()?,
        Behavior::Flood { bytes } => {
            print(&reply)?;
            flood(bytes)?;
        }
        Behavior::Killed => {
            print(&reply)?;
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
        }
    }
    Ok(ExitCode::from(u8::try_from(reply.exit).unwrap_or(u8::MAX)))
}

/// A line for each call, where somebody counts them.
fn note_call(scene: &Path) -> io::Result<()> {
    match File::options().append(true).open(scene.with_extension("calls")) {
        Ok(mut calls) => calls.write_all(b"called\n"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Prints sweep by sweep, each flushed, until a signal ends it, which is no error.
fn play_loop(scene: &Scenario, args: &[String], pause: Duration) -> io::Result<ExitCode> {
    let mut log = match scene.loop_log() {
        Some(path) => Some(File::options().create(true).append(true).open(path)?),
        None => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terms = signal(SignalKind::terminate())?;
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut hangups = signal(SignalKind::hangup())?;
        for number in 0.. {
            let pause = match scene.pass(args, number) {
                PassOutput::Rows(rows) => {
                    io::stdout().write_all(&rows)?;
                    io::stdout().flush()?;
                    if let Some(log) = &mut log {
                        log.write_all(format!("{} {number}\n", std::process::id()).as_bytes())?;
                    }
                    pause
                }
                PassOutput::Stalled => Duration::MAX,
                PassOutput::Died(words, exit) => {
                    io::stdout().write_all(&words)?;
                    return Ok(ExitCode::from(u8::try_from(exit).unwrap_or(u8::MAX)));
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = terms.recv() => break,
                _ = interrupts.recv() => break,
                _ = hangups.recv() => break,
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn print(reply: &Reply) -> io::Result<()> {
    io::stderr().write_all(&reply.stderr)?;
    io::stdout().write_all(&reply.stdout)?;
    io::stdout().flush()
}

fn flood(bytes: u64) -> io::Result<()> {
    let line = b"0, GPU-00000000-0000-0000-0000-000000000000, 9999.99, 9999.99, 99, 99\n";
    let chunk = line.repeat(1000);
    let mut stdout = io::stdout().lock();
    let mut printed = 0;
    while printed < bytes {
        stdout.write_all(&chunk)?;
        printed += u64::try_from(chunk.len()).unwrap_or(bytes);
    }
    stdout.flush()
}

/// A handler takes the place of the default action, which is to end.
fn ignore_term_for_ever() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terms = signal(SignalKind::terminate())?;
        loop {
            terms.recv().await;
        }
    })
}
