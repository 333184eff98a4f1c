//! Masters of multiplexed SSH connections: where their sockets are, how one is started, how one that is
//! frozen is ended.
//!
//! A master is the user's own `ssh` in the background. It outlives this process on purpose: a poll a
//! minute would otherwise log in 1,440 times a day. Its socket's name follows from how the host is
//! reached, so that the next run finds it without any memory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::UnixStream;
use tokio::process::Child;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::classify::{classify, is_known};
use super::local::clean_command;
use super::shell::{self, Ends, Listening, Shell};
use crate::inventory::{HostKeyPolicy, SshTarget};
use crate::reading::{Failure, FailureKind};

/// How ssh exits when it is not the command there that ended.
const SSH_FAILED: i32 = 255;

/// A Unix socket's path has at most 107 bytes, and ssh first binds to the name with 17 bytes more.
const MAX_SOCKET_PATH: usize = 107 - 17;

/// How long a dead `ssh` may keep us waiting for the rest of its messages: a `ProxyCommand` that it left
/// behind may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// The folder that holds the control sockets of living masters. Ours alone.
#[derive(Debug, Clone)]
pub struct RuntimeDir(PathBuf);

impl RuntimeDir {
    /// Uses `path`, which is created for us alone if it is not there.
    ///
    /// # Errors
    /// It cannot be created, belongs to somebody else, or others can write to it.
    pub fn create(path: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        Self::existing(path)?.ok_or_else(|| io::Error::other("it vanished as soon as it was created"))
    }

    /// Uses `path` if it is there.
    ///
    /// # Errors
    /// It belongs to somebody else, or others can write to it: whoever can put a socket there can answer
    /// for any host.
    pub fn existing(path: &Path) -> io::Result<Option<Self>> {
        let own_uid = rustix::process::geteuid().as_raw();
        let link = match std::fs::symlink_metadata(path) {
            Ok(link) => link,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // systemd gives a dynamic user's folder as a link of root's to /run/private.
        let metadata = std::fs::metadata(path)?;
        let is_ours = metadata.is_dir() && metadata.uid() == own_uid && metadata.mode() & 0o022 == 0;
        if !is_ours || ![0, own_uid].contains(&link.uid()) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it must be a folder that belongs to this user and that nobody else can write to",
            ));
        }
        Ok(Some(Self(path.to_owned())))
    }

    /// The control socket for `target`: the same for every run that reaches it in the same way.
    pub(super) fn socket(&self, target: &SshTarget) -> PathBuf {
        let how = format!("{:?}", (&target.address, &target.user, target.port, &target.identity_file))
            + &format!("{:?}", (&target.ssh_config, &target.known_hosts, &target.jump, &target.kex));
        self.0.join(Uuid::new_v5(&Uuid::NAMESPACE_URL, how.as_bytes()).simple().to_string())
    }

    /// Removes the sockets of hosts that are not among `targets` and whose masters are gone, and the pipes
    /// beside them. A master that ends in order removes its socket; one that was killed cannot.
    pub fn sweep<'a>(&self, targets: impl Iterator<Item = &'a SshTarget>) {
        let in_use: BTreeSet<PathBuf> = targets.map(|target| self.socket(target)).collect();
        let Ok(entries) = std::fs::read_dir(&self.0) else { return };
        let sockets: BTreeSet<PathBuf> =
            entries.filter_map(Result::ok).map(|entry| entry.path().with_extension("")).collect();
        for socket in sockets.difference(&in_use) {
            let is_dead = std::os::unix::net::UnixStream::connect(socket).is_err_and(|error| {
                matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
            });
            if is_dead {
                remove(socket);
                Shell::beside(socket).forget();
            }
        }
    }
}

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
    command.args(arguments(target, socket, Some(persist))).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| cannot_start(&error))?;
    let mut messages = Vec::new();
    let stderr = child.stderr.take();
    let ended = {
        let mut drain = std::pin::pin!(read_first(stderr, &mut messages));
        let waiting = async {
            let mut said_all = false;
            // Dropping the losing branch loses nothing: the drain goes on below.
            let status = tokio::select! {
                status = child.wait() => status,
                () = &mut drain => {
                    said_all = true;
                    child.wait().await
                }
            };
            if !said_all && timeout(LAST_WORDS, &mut drain).await.is_err() {
                tracing::trace!("something that ssh started holds on to its messages");
            }
            status
        };
        timeout_at(deadline, waiting).await
    };
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(_)) => Err(classify(&String::from_utf8_lossy(&messages), target.jump.as_deref())),
        Ok(Err(error)) => Err(cannot_start(&error)),
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
    let (ends, listening) = match Shell::beside(socket).make() {
        Ok(made) => made,
        Err(error) => {
            tracing::warn!(socket = %socket.display(), %error, "cannot make the pipes of a shell");
            return Ok(false);
        }
    };
    let child = spawn_with_shell(target, socket, idle, ends).map_err(|error| cannot_start(&error))?;
    let mut unfinished = Unfinished(Some(child));
    let Listening { answers, messages: said } = listening;
    let mut messages = Vec::new();
    let came = {
        let mut drain = std::pin::pin!(read_first(Some(said), &mut messages));
        let waiting = async {
            let mut ready = std::pin::pin!(shell::is_ready(&answers));
            let mut said_all = false;
            // Dropping the losing branch loses nothing: both go on below.
            let is_ready = tokio::select! {
                is_ready = &mut ready => is_ready,
                () = &mut drain => {
                    said_all = true;
                    ready.await
                }
            };
            // If the pipe ended, so did ssh.
            if is_ready.is_err() && !said_all && timeout(LAST_WORDS, &mut drain).await.is_err() {
                tracing::trace!("something that ssh started holds on to its messages");
            }
            is_ready.ok()
        };
        timeout_at(deadline, waiting).await
    };
    match came {
        Ok(Some(true)) => {
            unfinished.stays();
            Ok(true)
        }
        Ok(None) => {
            let status = unfinished.wait().await.map_err(|error| cannot_start(&error))?;
            let messages = String::from_utf8_lossy(&messages);
            // The pipes stay: whoever comes next can use them.
            if status.code() == Some(SSH_FAILED) && is_known(&messages) {
                return Err(classify(&messages, target.jump.as_deref()));
            }
            Ok(false)
        }
        // Whoever is logged in listens.
        Ok(Some(false)) | Err(_) if socket.exists() => {
            unfinished.kill().await;
            remove(socket);
            Ok(false)
        }
        Ok(Some(false)) | Err(_) => Err(no_login(target, &messages)),
    }
}

/// In a process group of its own, so that it outlives us, and the keys that end us on a terminal.
fn spawn_with_shell(target: &SshTarget, socket: &Path, idle: Duration, ends: Ends) -> io::Result<Child> {
    let mut command = clean_command("ssh");
    command.args(arguments(target, socket, None)).arg(shell::command(idle)).process_group(0);
    command.stdin(ends.stdin).stdout(ends.stdout).stderr(ends.stderr);
    command.spawn()
}

/// An `ssh` that is to end if nobody waits for it any more, unless it got where it should.
struct Unfinished(Option<Child>);

impl Unfinished {
    fn stays(&mut self) {
        self.0 = None;
    }

    async fn wait(&mut self) -> io::Result<std::process::ExitStatus> {
        match &mut self.0 {
            Some(child) => child.wait().await,
            None => Err(io::Error::other("it was left to itself")),
        }
    }

    async fn kill(&mut self) {
        if let Some(child) = &mut self.0
            && let Err(error) = child.kill().await
        {
            tracing::debug!(%error, "cannot end an ssh");
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0
            && let Err(error) = child.start_kill()
        {
            tracing::debug!(%error, "cannot end an ssh");
        }
    }
}

fn is_short_enough(socket: &Path) -> Result<(), Failure> {
    if socket.as_os_str().len() <= MAX_SOCKET_PATH {
        return Ok(());
    }
    let words = format!("{}: longer than {MAX_SOCKET_PATH} bytes; set RUNTIME_DIRECTORY", socket.display());
    Err(Failure::new(FailureKind::Spawn, &words))
}

fn cannot_start(error: &io::Error) -> Failure {
    Failure::new(FailureKind::Spawn, &format!("ssh: {error}"))
}

/// The failure of an ssh that did not log in in time.
fn no_login(target: &SshTarget, messages: &[u8]) -> Failure {
    let messages = String::from_utf8_lossy(messages);
    if messages.trim().is_empty() {
        return Failure::new(FailureKind::ConnectTimeout, "no login within the time for connecting");
    }
    let said = classify(&messages, target.jump.as_deref());
    Failure { kind: FailureKind::ConnectTimeout, ..said }
}

/// The arguments that make `ssh` a master: in the background, if it is to persist there, or else for as long
/// as the command runs that is to follow. What the inventory says goes into option values and behind `--`
/// only, so that nothing in it can become an option.
fn arguments(target: &SshTarget, socket: &Path, persist: Option<Duration>) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-M".into(), "-S".into(), socket.into()];
    args.extend(if persist.is_some() { vec!["-N".into(), "-f".into()] } else { vec!["-T".into()] });
    let mut option = |value: String| args.extend(["-o".into(), OsString::from(value)]);
    option(match persist {
        Some(persist) => format!("ControlPersist={}s", persist.as_secs().max(1)),
        None => "ControlPersist=no".to_owned(),
    });
    option("BatchMode=yes".to_owned());
    option(format!(
        "StrictHostKeyChecking={}",
        match target.host_key {
            HostKeyPolicy::Strict => "yes",
            HostKeyPolicy::AcceptNew => "accept-new",
        }
    ));
    option(format!("ConnectTimeout={}", target.connect_timeout.as_secs().max(1)));
    // A master whose network is gone ends itself after 15 s.
    option("ServerAliveInterval=5".to_owned());
    option("ServerAliveCountMax=3".to_owned());
    for off in ["ForwardAgent", "ForwardX11", "PermitLocalCommand", "Tunnel"] {
        option(format!("{off}=no"));
    }
    option("ClearAllForwardings=yes".to_owned());
    // The user's own setting may be quieter than what classify needs.
    option("LogLevel=INFO".to_owned());
    if let Some(kex) = &target.kex {
        option(format!("KexAlgorithms={kex}"));
    }
    if let Some(known_hosts) = &target.known_hosts {
        option(format!("UserKnownHostsFile=\"{}\"", known_hosts.display().to_string().replace('%', "%%")));
    }
    if target.identity_file.is_some() {
        option("IdentitiesOnly=yes".to_owned());
    }
    if let Some(identity_file) = &target.identity_file {
        args.extend(["-i".into(), identity_file.into()]);
    }
    if let Some(ssh_config) = &target.ssh_config {
        args.extend(["-F".into(), home_expanded(ssh_config).into()]);
    }
    if let Some(port) = target.port {
        args.extend(["-p".into(), port.to_string().into()]);
    }
    if let Some(user) = &target.user {
        args.extend(["-l".into(), user.into()]);
    }
    if let Some(jump) = &target.jump {
        args.extend(["-J".into(), jump.into()]);
    }
    args.extend(["--".into(), OsString::from(&target.address)]);
    args
}

/// `~/` at the beginning becomes the home folder: ssh does that for keys, but not for `-F`.
fn home_expanded(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
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
pub(super) async fn end_with_shell(socket: &Path) -> io::Result<bool> {
    let mut connection = UnixStream::connect(socket).await?;
    let listener = connection.peer_cred()?.pid().and_then(Pid::from_raw);
    let Some(pid) = listener.filter(|pid| is_master(*pid, socket)) else { return Ok(false) };
    kill_process(pid, Signal::TERM)?;
    // Its greeting, and then its end.
    let mut greeting = [0_u8; 64];
    while connection.read(&mut greeting).await.is_ok_and(|n_read| 0 < n_read) {}
    Ok(true)
}

fn is_master(pid: Pid, socket: &Path) -> bool {
    let cmdline = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_pid())).unwrap_or_default();
    let is_named = cmdline.split(|byte| *byte == 0).any(|word| word == socket.as_os_str().as_encoded_bytes());
    cmdline.starts_with(b"ssh\0") && is_named
}

/// Ends masters that do not answer, and removes their sockets, which are all in one folder. Also those that are
/// still logging in and have no socket yet, or found it taken when they were done.
///
/// A process is found by the socket's path among its arguments, or in the title that it takes in the background:
/// it was started by an earlier run, or it has forked since, so nobody knows its number. `/proc` is gone through
/// once, however many sockets there are.
pub(super) fn kill_all(sockets: &BTreeSet<PathBuf>) {
    let Some(folder) = sockets.first().and_then(|socket| socket.parent()) else { return };
    let mut prefix = folder.as_os_str().as_encoded_bytes().to_vec();
    prefix.push(b'/');
    let own_uid = rustix::process::geteuid().as_raw();
    for process in std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok) {
        let pid = process.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let is_ours = process.metadata().is_ok_and(|metadata| metadata.uid() == own_uid);
        let (Some(pid), true) = (pid, is_ours) else { continue };
        let Ok(cmdline) = std::fs::read(process.path().join("cmdline")) else { continue };
        let named = socket_in(&cmdline, &prefix).map(|name| folder.join(name));
        if cmdline.starts_with(b"ssh") && named.is_some_and(|socket| sockets.contains(&socket)) {
            match kill_process(pid, Signal::KILL) {
                Ok(()) => tracing::warn!(pid = pid.as_raw_pid(), "ended an ssh master that did not answer"),
                Err(error) => tracing::debug!(%error, "cannot end an ssh master that does not answer"),
            }
        }
    }
    sockets.iter().for_each(|socket| remove(socket));
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

    fn target() -> SshTarget {
        SshTarget {
            address: "gpu1".to_owned(),
            user: None,
            port: None,
            identity_file: None,
            ssh_config: None,
            known_hosts: None,
            jump: None,
            kex: None,
            host_key: HostKeyPolicy::Strict,
            connect_timeout: Duration::from_secs(5),
            control_persist: Duration::from_secs(600),
            keep_shell: true,
        }
    }

    #[test]
    fn the_host_stands_behind_the_end_of_options() {
        let args = arguments(&target(), Path::new("/run/x"), Some(Duration::from_secs(600)));
        assert_eq!(args[args.len() - 2..], [OsString::from("--"), OsString::from("gpu1")]);
    }

    #[test]
    fn a_socket_is_found_again_by_how_the_host_is_reached() {
        let dir = RuntimeDir(PathBuf::from("/run/fleetwatt"));
        let other_port = SshTarget { port: Some(2222), ..target() };
        assert_eq!(dir.socket(&target()), dir.socket(&target()));
        assert_ne!(dir.socket(&target()), dir.socket(&other_port));
        // Pinned: a change of this name would leave a fleet's living masters behind at an upgrade.
        assert_eq!(dir.socket(&target()).file_name().unwrap().len(), 32);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        std::fs::DirBuilder::new().mode(0o700).create(&open).unwrap();
        std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        assert_eq!(RuntimeDir::create(&open).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_socket_is_found_in_arguments_and_in_a_title() {
        let found = |cmdline: &str| socket_in(cmdline.as_bytes(), b"/run/f/").map(str::to_owned);
        assert_eq!(found("ssh\0-M\0-S\0/run/f/0a1b\0-o\0x").as_deref(), Some("0a1b"));
        assert_eq!(found("ssh: /run/f/0a1b [mux]\0\0").as_deref(), Some("0a1b"));
        assert_eq!(found("ssh\0-S\0/run/g/0a1b"), None);
    }

    #[test]
    fn sweeping_removes_dead_sockets_with_what_is_beside_them_and_leaves_living_ones() {
        let dir = tempfile::tempdir().unwrap();
        let (dead, living) = (dir.path().join("dead"), dir.path().join("living"));
        for beside in ["dead.in", "living.in", "gone.out", "gone.noshell"] {
            std::fs::write(dir.path().join(beside), "").unwrap();
        }
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        let _listener = std::os::unix::net::UnixListener::bind(&living).unwrap();
        RuntimeDir(dir.path().to_owned()).sweep(std::iter::empty());
        let left = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: BTreeSet<_> = left.collect();
        assert_eq!(left, BTreeSet::from(["living".into(), "living.in".into()]));
    }
}
