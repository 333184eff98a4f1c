//! Masters of multiplexed SSH connections: where their sockets are, how one is started, how one that does
//! not respond is ended.
//!
//! A master is the user's own `ssh` in the background. It outlives this process on purpose: a poll a
//! minute would otherwise log in 1,440 times a day. Its socket's name follows from how the host is
//! reached ([`super::RuntimeDir`]), so that the next run finds it without any memory.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::time::{Instant, timeout, timeout_at};

use super::classify::{classify, is_known};
use super::local::{cannot_start, clean_command, local_failure};
use super::options::{arguments, ssh_version};
use super::shell::{self, Shell};
use crate::inventory::SshTarget;
use crate::reading::{Failure, FailureKind};

/// The exit code of ssh when it is not the command there that ended.
const SSH_FAILED: i32 = 255;

/// A Unix socket's path has at most 107 bytes, and ssh first binds to the name with 17 bytes more.
const MAX_SOCKET_PATH: usize = 107 - 17;

/// The time for the rest of the messages of a dead `ssh`: a `ProxyCommand` that it left behind may hold the pipe open.
const STDERR_DRAIN_WITHIN: Duration = Duration::from_millis(50);

/// The time that an `ssh` may take to end that has closed its output, or that is killed.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Starts a master for `target` that listens on `socket` and waits in the background, and waits until it is
/// logged in.
pub(super) async fn launch(
    target: &SshTarget,
    socket: &Path,
    persist: Duration,
    deadline: Instant,
) -> Result<(), Failure> {
    is_short_enough(socket)?;
    let mut command = clean_command("ssh");
    command.args(arguments(target, socket, Some(persist), ssh_version().await?)).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| cannot_start("ssh", &error))?;
    let mut messages = Vec::new();
    let stderr = child.stderr.take();
    let reading = read_first(stderr, &mut messages);
    let ended = timeout_at(deadline, while_reading(reading, child.wait(), |_| true)).await;
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(_)) => Err(classify(&String::from_utf8_lossy(&messages), target.jump.as_deref())),
        Ok(Err(error)) => Err(cannot_start("ssh", &error)),
        Err(_) => Err(no_login(target, &messages)),
    }
}

/// Starts a master for `target` that listens on `socket`, whose own session is a shell that waits for
/// commands, and waits until that says that it is there. It ends with the shell.
///
/// False if there was a login and no shell: a forced command, a host without bash, start-up files that take
/// longer than a login may. No master is left then.
pub(super) async fn launch_with_shell(
    target: &SshTarget,
    socket: &Path,
    idle: Duration,
    deadline: Instant,
) -> Result<bool, Failure> {
    is_short_enough(socket)?;
    let mut command = clean_command("ssh");
    command.args(arguments(target, socket, None, ssh_version().await?)).arg(shell::script(idle));
    // In a process group of its own, so that it outlives us, and the keys that end us on a terminal.
    command.process_group(0);
    let (answers, said) = Shell::beside(socket)
        .attach(&mut command)
        .map_err(|error| local_failure(FailureKind::Spawn, "the pipes of a shell", &error))?;
    let child = command.spawn().map_err(|error| cannot_start("ssh", &error))?;
    // Nobody but ssh may hold the pipes open.
    drop(command);
    let mut ssh = KillOnDrop { child, is_kept: false };
    let mut messages = Vec::new();
    let reading = read_first(Some(said), &mut messages);
    // If the pipe of the answers ended, so did ssh.
    let ready = while_reading(reading, shell::is_ready(&answers), Result::is_err);
    let came = timeout_at(deadline, ready).await.map(Result::ok);
    match came {
        Ok(Some(true)) => {
            ssh.is_kept = true;
            return Ok(true);
        }
        // Its output ended. That is no proof that it did.
        Ok(None) => {
            let end_by = deadline.min(Instant::now() + END_WITHIN);
            if let Ok(ended) = timeout_at(end_by, ssh.child.wait()).await {
                let status = ended.map_err(|error| cannot_start("ssh", &error))?;
                return ended_without_shell(status, &String::from_utf8_lossy(&messages), target);
            }
        }
        Ok(Some(false)) | Err(_) => {}
    }
    // Whoever is logged in listens.
    if !socket.exists() {
        return Err(no_login(target, &messages));
    }
    ssh.kill().await;
    remove(socket);
    Ok(false)
}

/// Waits for what shall come of an ssh while its messages are read, which may end before. If ssh has ended,
/// waits a little for the rest of them.
async fn while_reading<T>(
    messages: impl Future<Output = ()>,
    event: impl Future<Output = T>,
    has_ended: impl FnOnce(&T) -> bool,
) -> T {
    let (mut messages, mut event) = (std::pin::pin!(messages), std::pin::pin!(event));
    let mut said_all = false;
    // Dropping the losing branch loses nothing: both go on below.
    let came = tokio::select! {
        came = &mut event => came,
        () = &mut messages => {
            said_all = true;
            event.await
        }
    };
    if has_ended(&came) && !said_all && timeout(STDERR_DRAIN_WITHIN, messages).await.is_err() {
        tracing::trace!("something that ssh started holds on to its messages");
    }
    came
}

/// An ssh that ended: whether that was a login to a host that has no shell for us. The pipes stay: whoever
/// comes next can use them.
fn ended_without_shell(status: ExitStatus, messages: &str, target: &SshTarget) -> Result<bool, Failure> {
    match status.code() {
        Some(SSH_FAILED) if is_known(messages) => Err(classify(messages, target.jump.as_deref())),
        Some(_) => Ok(false),
        None => Err(Failure::new(FailureKind::Session, &format!("ssh was ended here by {status}"))),
    }
}

/// An `ssh` that is to end if nobody waits for it any more, unless it got where it should.
struct KillOnDrop {
    child: Child,
    is_kept: bool,
}

impl KillOnDrop {
    async fn kill(&mut self) {
        // One that is stuck in the kernel is left to it.
        match timeout(END_WITHIN, self.child.kill()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "cannot end an ssh"),
            Err(_) => tracing::warn!(pid = self.child.id(), "an ssh does not end even when killed"),
        }
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = self.child.start_kill()
        {
            tracing::debug!(%error, "cannot end an ssh");
        }
    }
}

fn is_short_enough(socket: &Path) -> Result<(), Failure> {
    if socket.as_os_str().len() <= MAX_SOCKET_PATH {
        return Ok(());
    }
    let message = format!("{}: longer than {MAX_SOCKET_PATH} bytes; set RUNTIME_DIRECTORY", socket.display());
    Err(Failure::new(FailureKind::Spawn, &message))
}

/// The failure of an ssh that did not log in in time.
fn no_login(target: &SshTarget, messages: &[u8]) -> Failure {
    let messages = String::from_utf8_lossy(messages);
    if messages.trim().is_empty() {
        return Failure::new(FailureKind::ConnectTimeout, "no login within the time for connecting");
    }
    let said = classify(&messages, target.jump.as_deref());
    Failure::new(FailureKind::ConnectTimeout, said.evidence.as_str())
}

/// Reads a stream to its end, keeping the first [`super::MAX_STDERR`] bytes.
async fn read_first(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut chunk = [0_u8; 1024];
    while let Ok(n_read @ 1..) = stream.read(&mut chunk).await {
        let room = super::MAX_STDERR - kept.len();
        kept.extend_from_slice(chunk.get(..n_read.min(room)).unwrap_or_default());
    }
}

/// Ends the master that listens on `socket`, and waits until it is gone. False if it is one in the
/// background: the process that began to listen was the one that logged in, and that has ended since.
///
/// # Errors
/// Nobody listens there.
async fn end_with_shell(socket: &Path) -> io::Result<bool> {
    let mut connection = UnixStream::connect(socket).await?;
    let listener = connection.peer_cred()?.pid().and_then(Pid::from_raw);
    let Some(pid) = listener.filter(|pid| is_master(*pid, socket)) else { return Ok(false) };
    kill_process(pid, Signal::TERM)?;
    // Its greeting, and then its end.
    let mut greeting = [0_u8; 64];
    while connection.read(&mut greeting).await.is_ok_and(|n_read| n_read > 0) {}
    Ok(true)
}

fn is_master(pid: Pid, socket: &Path) -> bool {
    let cmdline = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
    let is_named = cmdline.split(|byte| *byte == 0).any(|word| word == socket.as_os_str().as_encoded_bytes());
    cmdline.starts_with(b"ssh\0") && is_named
}

/// Ends the master that listens on `socket`, however it was started, and removes what is beside it.
pub(super) async fn end(socket: &Path) {
    let session = openssh::Session::resume_mux(socket.into(), None);
    let ending = async {
        // One in the background ends as soon as it is idle and nobody can ask it for anything.
        if !end_with_shell(socket).await.unwrap_or(false) && session.close().await.is_err() {
            tracing::trace!("an ssh master was gone already");
        }
    };
    match timeout(END_WITHIN, ending).await {
        Ok(()) => remove(socket),
        Err(_) => kill_all(&BTreeSet::from([socket.to_owned()])),
    }
}

/// Ends masters that do not answer, and removes their sockets, which are all in one folder. Also those that are
/// still logging in and have no socket yet, or found it taken when they were done.
pub(super) fn kill_all(sockets: &BTreeSet<PathBuf>) {
    let Some(folder) = sockets.first().and_then(|socket| socket.parent()) else { return };
    for (socket, pid) in processes_in(folder).into_iter().filter(|(socket, _)| sockets.contains(socket)) {
        match kill_process(pid, Signal::KILL) {
            Ok(()) => tracing::warn!(
                pid = pid.as_raw_pid(),
                socket = %socket.display(),
                "ended an ssh master that did not answer"
            ),
            Err(error) => tracing::debug!(%error, "cannot end an ssh master that does not answer"),
        }
    }
    sockets.iter().for_each(|socket| remove(socket));
}

/// The processes of our masters whose sockets are in a folder, each with its socket.
///
/// A process is found by the socket's path among its arguments, or in the title that it takes in the background:
/// it was started by an earlier run, or it has forked since, so nobody knows its number. `/proc` is gone through
/// once, however many sockets there are.
pub(super) fn processes_in(folder: &Path) -> Vec<(PathBuf, Pid)> {
    let mut prefix = folder.as_os_str().as_encoded_bytes().to_vec();
    prefix.push(b'/');
    let own_uid = rustix::process::geteuid().as_raw();
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok) {
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let is_ours = process.metadata().is_ok_and(|metadata| metadata.uid() == own_uid);
        let (Some(pid), true) = (pid, is_ours) else { continue };
        let Ok(cmdline) = std::fs::read(process.path().join("cmdline")) else { continue };
        if let Some(name) = socket_in(&cmdline, &prefix).filter(|_| cmdline.starts_with(b"ssh")) {
            found.push((folder.join(name), pid));
        }
    }
    found
}

/// The name of the socket in a folder that a command line names; `prefix` is the folder with its slash.
fn socket_in<'a>(cmdline: &'a [u8], prefix: &[u8]) -> Option<&'a str> {
    let at = cmdline.windows(prefix.len()).position(|window| window == prefix)?;
    let rest = cmdline.get(at + prefix.len()..)?;
    let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// Removes a socket that nobody listens on, and the pipes beside it.
pub(super) fn remove(socket: &Path) {
    Shell::beside(socket).remove();
    if let Err(error) = std::fs::remove_file(socket)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(socket = %socket.display(), %error, "cannot remove a dead control socket");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_found_in_arguments_and_in_a_title() {
        let found = |cmdline: &str| socket_in(cmdline.as_bytes(), b"/run/f/").map(str::to_owned);
        assert_eq!(found("ssh\0-M\0-S\0/run/f/0a1b\0-o\0x").as_deref(), Some("0a1b"));
        assert_eq!(found("ssh: /run/f/0a1b [mux]\0\0").as_deref(), Some("0a1b"));
        assert_eq!(found("ssh\0-S\0/run/g/0a1b"), None);
    }
}
