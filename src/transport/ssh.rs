//! Commands over a multiplexed SSH connection, by the `openssh` crate in native-mux mode: the user's own
//! `ssh` holds the connection, and we speak with its control socket.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::bounded::{Streams, read_to_end};
use super::classify::is_worth_a_retry;
use super::local::{is_shortage, local_failure};
use super::master;
use super::runtime::RuntimeDir;
use super::shell::{PendingCommand, ReadState, Shell};
use super::stream::{STREAM_BOUND, Stream};
use super::{Output, bounded_argv, no_answer};
use crate::inventory::SshTarget;
use crate::reading::{Failure, FailureKind, error_chain};
use crate::support::jitter;

/// How often a connection that sshd dropped is tried again (`MaxStartups` drops at random).
const CONNECT_ATTEMPTS: u32 = 4;

/// The shortest pause before such a retry; each further one is longer by as much.
const RETRY_PAUSE: Duration = Duration::from_millis(150);

/// How long a master of our own may be idle: it ends with us, and by itself if we are killed.
const OWN_PERSIST: Duration = Duration::from_secs(60);

/// How long a master may take to hear that it shall end, before it is killed.
const END_WITHIN: Duration = Duration::from_secs(1);

/// How much longer than a stream a shell waits, that is kept by the start of each.
const LEEWAY: Duration = Duration::from_mins(1);

/// How long a shell that was given a command may say nothing before the connection is looked at.
const SILENCE: Duration = Duration::from_secs(2);

/// How many commands are started at once; how many run at once is another matter. Measured with 256 hosts
/// on one machine: a poll takes 7 % less than without a bound, with 4 to 32 about the same.
const STARTING: usize = 16;

/// What becomes of the masters that this process starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MasterLifetime {
    /// They stay for the next run.
    Persistent,
    /// They can be found again if this process is killed, and end with it if it ends in order.
    Process,
    /// They are in folders of their own, which end with this process.
    Ephemeral,
}

/// What all SSH sessions share.
#[derive(Debug)]
pub struct Connections {
    runtime: Option<RuntimeDir>,
    lifetime: MasterLifetime,
    /// Bounds the storm of logins: each costs this machine 20 to 125 ms of CPU.
    opening: Arc<Semaphore>,
    /// Bounds how many commands are being started at once. Each is a process on some host, and on this
    /// side a few wake-ups of a master: a storm of them costs all of them more than a queue does.
    starting: Semaphore,
    /// The sockets of masters that end with this process.
    ending: Mutex<BTreeSet<PathBuf>>,
    /// Jump hosts that failed in this cycle, so that five hundred hosts behind one need not each find out.
    jumps_down: Mutex<BTreeMap<String, Failure>>,
}

impl Connections {
    /// With masters that are found in `runtime` and stay there for the next run.
    pub fn persistent(runtime: RuntimeDir, connecting: usize) -> Self {
        Self::new(Some(runtime), MasterLifetime::Persistent, connecting)
    }

    /// With masters that are found in `runtime`, and end when their sessions are closed.
    pub fn process_bound(runtime: RuntimeDir, connecting: usize) -> Self {
        Self::new(Some(runtime), MasterLifetime::Process, connecting)
    }

    /// With masters that end with us. Those living in `runtime` are used, but none is added.
    pub fn ephemeral(runtime: Option<RuntimeDir>, connecting: usize) -> Self {
        Self::new(runtime, MasterLifetime::Ephemeral, connecting)
    }

    fn new(runtime: Option<RuntimeDir>, lifetime: MasterLifetime, connecting: usize) -> Self {
        let opening = Arc::new(Semaphore::new(connecting.max(1)));
        let starting = Semaphore::new(STARTING);
        Self { runtime, lifetime, opening, starting, ending: Mutex::default(), jumps_down: Mutex::default() }
    }

    /// Forgets which jump hosts failed: a new cycle tries them anew.
    pub fn forget_failures(&self) {
        self.jumps_down.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Ends the masters of sessions that were not closed, since their hosts hung.
    pub fn end_all(&self) {
        let ending = std::mem::take(&mut *self.ending.lock().unwrap_or_else(PoisonError::into_inner));
        master::kill_all(&ending);
    }

    async fn turn(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Failure> {
        match timeout_at(deadline, self.opening.clone().acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => {
                Err(Failure::new(FailureKind::Late, "too many other connections were opening (`connecting`)"))
            }
        }
    }

    fn jump_failure(&self, target: &SshTarget) -> Option<Failure> {
        let jumps = self.jumps_down.lock().unwrap_or_else(PoisonError::into_inner);
        target.jump.as_ref().and_then(|jump| jumps.get(jump).cloned())
    }

    fn note(&self, target: &SshTarget, failure: &Failure) {
        if let (Some(jump), FailureKind::Jump) = (&target.jump, failure.kind) {
            let mut jumps = self.jumps_down.lock().unwrap_or_else(PoisonError::into_inner);
            jumps.insert(jump.clone(), failure.clone());
        }
    }
}

/// One host's connection.
#[derive(Debug)]
pub struct SshSession {
    target: SshTarget,
    connections: Arc<Connections>,
    /// The socket of a master that outlives us, if there may be one.
    kept: Option<PathBuf>,
    /// A master of our own, which ends with us.
    own: Option<openssh::Session>,
    /// Our turn to log in, if it was waited for beforehand.
    turn: Option<OwnedSemaphorePermit>,
}

/// How a living connection turned out not to be one.
enum MasterError {
    /// Nobody listens on the socket.
    Exited,
    /// The master does not answer, or its network does not.
    Unresponsive,
}

impl SshSession {
    pub(super) fn new(target: SshTarget, connections: Arc<Connections>) -> Result<Self, Failure> {
        let kept = connections.runtime.as_ref().map(|runtime| runtime.socket(&target));
        if let (MasterLifetime::Process, Some(socket)) = (connections.lifetime, &kept) {
            let mut ending = connections.ending.lock().unwrap_or_else(PoisonError::into_inner);
            ending.insert(socket.clone());
        }
        Ok(Self { target, connections, kept, own: None, turn: None })
    }

    /// The session over whatever master there is.
    fn living(&self) -> Option<openssh::Session> {
        if let Some(own) = &self.own {
            return Some(openssh::Session::resume_mux(own.control_socket().into(), None));
        }
        let kept = self.kept.as_ref().filter(|socket| socket.exists())?;
        Some(openssh::Session::resume_mux(kept.clone().into_boxed_path(), None))
    }

    /// Waits for a turn to log in, if there is no master yet.
    pub(super) async fn wait_for_turn(&mut self, deadline: Instant) -> Result<(), Failure> {
        if self.turn.is_none() && self.living().is_none() {
            self.turn = Some(self.connections.turn(deadline).await?);
        }
        Ok(())
    }

    pub(super) async fn connect(&mut self, deadline: Instant) -> Result<(), Failure> {
        if let Some(session) = self.living() {
            match timeout_at(self.answer_by(deadline), session.check()).await {
                Ok(Ok(())) => return Ok(()),
                // It may be well: it could not be asked.
                Ok(Err(error)) if shortage_in(&error) => return Err(session_failure(&error)),
                Ok(Err(_)) => self.drop_master(&MasterError::Exited),
                Err(_) => self.drop_master(&MasterError::Unresponsive),
            }
        }
        self.open(deadline).await
    }

    /// Runs a command. A master that exited or does not respond is replaced within the same deadline, once.
    pub(super) async fn run(
        &mut self,
        program: &str,
        args: &[String],
        deadline: Instant,
    ) -> Result<Output, Failure> {
        if let Some(session) = self.living() {
            let argv = bounded_argv(program, args, deadline);
            match self.run_over(&session, &argv, self.answer_by(deadline), deadline).await {
                Ok(ended) => return ended,
                Err(error) => self.drop_master(&error),
            }
        }
        self.open(deadline).await?;
        let session = self
            .living()
            .ok_or_else(|| Failure::new(FailureKind::Session, "the new connection is gone already"))?;
        let argv = bounded_argv(program, args, deadline);
        match self.run_over(&session, &argv, deadline, deadline).await {
            Ok(ended) => ended,
            Err(MasterError::Exited) => {
                Err(Failure::new(FailureKind::Session, "the new connection broke at once"))
            }
            Err(MasterError::Unresponsive) => {
                self.drop_master(&MasterError::Unresponsive);
                Err(Failure::new(FailureKind::Session, "the new connection does not answer"))
            }
        }
    }

    /// Runs a command over a living connection: by the shell that waits there, or else by one of its own.
    async fn run_over(
        &mut self,
        session: &openssh::Session,
        argv: &[String],
        answer_by: Instant,
        deadline: Instant,
    ) -> Result<Result<Output, Failure>, MasterError> {
        let Some(pending) = self.shell().and_then(|shell| shell.send(argv)) else {
            return execute(session, argv, &self.connections.starting, answer_by, deadline).await;
        };
        let ended = await_answer(pending, session, answer_by, deadline).await?;
        let is_stuck = match &ended {
            Ok(output) => output.truncated,
            Err(_) => true,
        };
        if is_stuck && self.connections.lifetime != MasterLifetime::Ephemeral {
            // The shell is busy with what nobody waits for any more, and would answer nothing else.
            self.end_master().await;
        }
        Ok(ended)
    }

    /// The shell that waits on the host, if one may.
    fn shell(&self) -> Option<Shell> {
        let kept = self.kept.as_ref().filter(|_| self.own.is_none() && self.target.keep_shell)?;
        Some(Shell::beside(kept))
    }

    /// Starts a command that keeps printing. A master that exited or does not respond is replaced, once.
    pub(super) async fn stream(&mut self, argv: &[String], deadline: Instant) -> Result<Stream, Failure> {
        if let Some(session) = self.living() {
            match start(session, argv, &self.connections.starting, self.answer_by(deadline)).await {
                Ok(started) => {
                    // As long as there are streams, nothing else may be asked of the host.
                    if let Some(shell) = self.shell() {
                        shell.keepalive();
                    }
                    return started;
                }
                Err(error) => self.drop_master(&error),
            }
        }
        self.open(deadline).await?;
        let gone = || Failure::new(FailureKind::Session, "the new connection is gone already");
        let session = self.living().ok_or_else(gone)?;
        let started = start(session, argv, &self.connections.starting, deadline).await;
        started.unwrap_or_else(|_error| Err(gone()))
    }

    pub(super) async fn close(mut self) {
        if let Some(own) = self.own.take() {
            // Not by its drop, which waits for the master without a deadline.
            let socket = own.control_socket().to_owned();
            if !matches!(timeout(END_WITHIN, own.close()).await, Ok(Ok(()))) {
                master::kill_all(&BTreeSet::from([socket]));
            }
        } else if self.connections.lifetime == MasterLifetime::Process {
            self.end_master().await;
        }
    }

    /// Ends the master that is kept, if there is one.
    async fn end_master(&self) {
        let Some(socket) = &self.kept else { return };
        if socket.exists() {
            master::end(socket).await;
        } else {
            // It ended by itself, and left its pipes.
            master::remove(socket);
        }
    }

    /// A living master answers at once; as long as connecting may take is more than patient.
    fn answer_by(&self, deadline: Instant) -> Instant {
        deadline.min(Instant::now() + self.target.connect_timeout)
    }

    fn drop_master(&mut self, error: &MasterError) {
        let socket = match (self.own.take(), &self.kept) {
            (Some(own), _) => own.control_socket().to_owned(),
            (None, Some(kept)) if self.connections.lifetime != MasterLifetime::Ephemeral => kept.clone(),
            // Not ours to remove: whoever keeps it there will.
            (None, _) => return self.kept = None,
        };
        match error {
            MasterError::Exited => master::remove(&socket),
            MasterError::Unresponsive => master::kill_all(&BTreeSet::from([socket])),
        }
    }

    /// Starts a master, with retries where sshd only dropped us.
    async fn open(&mut self, deadline: Instant) -> Result<(), Failure> {
        let connections = self.connections.clone();
        let _turn = match self.turn.take() {
            Some(turn) => turn,
            None => connections.turn(deadline).await?,
        };
        let mut attempt = 1;
        loop {
            if let Some(failure) = connections.jump_failure(&self.target) {
                return Err(failure);
            }
            let Err(failure) = self.open_once(deadline).await else { return Ok(()) };
            // Random, so that many hosts do not come back together.
            let pause = jitter::between(RETRY_PAUSE * attempt, RETRY_PAUSE * (attempt + 1));
            let in_time = Instant::now() + pause < deadline;
            if attempt == CONNECT_ATTEMPTS || !is_worth_a_retry(&failure) || !in_time {
                connections.note(&self.target, &failure);
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn open_once(&mut self, deadline: Instant) -> Result<(), Failure> {
        if self.connections.lifetime != MasterLifetime::Ephemeral
            && let Some(socket) = &self.kept
        {
            return self.open_kept(socket, deadline).await;
        }
        self.open_own(deadline).await
    }

    /// Connecting is one step, authenticating another: ssh's own timeout bounds only the first.
    fn login_by(&self, deadline: Instant) -> Instant {
        deadline.min(Instant::now() + self.target.connect_timeout * 2)
    }

    /// Starts a master that is kept, with a shell that waits if the host has one for us.
    async fn open_kept(&self, socket: &Path, deadline: Instant) -> Result<(), Failure> {
        let persist = self.target.control_persist;
        if let Some(shell) = self.shell().filter(|shell| !shell.is_refused()) {
            let idle = match self.connections.lifetime {
                MasterLifetime::Process => persist.max(STREAM_BOUND + LEEWAY),
                MasterLifetime::Persistent | MasterLifetime::Ephemeral => persist,
            };
            if master::launch_with_shell(&self.target, socket, idle, self.login_by(deadline)).await? {
                return Ok(());
            }
            tracing::info!(
                address = self.target.address,
                "no shell waits there; one is started for each call"
            );
            shell.refuse();
        }
        master::launch(&self.target, socket, persist, self.login_by(deadline)).await
    }

    async fn open_own(&mut self, deadline: Instant) -> Result<(), Failure> {
        let home = tempfile::Builder::new()
            .prefix("fleetwatt-")
            .tempdir()
            .map_err(|error| local_failure(FailureKind::Spawn, "a folder for the ssh socket", &error))?;
        // The crate's own name for the socket; its session removes the folder and ends the master on drop.
        let socket = home.path().join("master");
        master::launch(&self.target, &socket, OWN_PERSIST, self.login_by(deadline)).await?;
        self.own = Some(openssh::Session::new_native_mux(home));
        Ok(())
    }
}

/// Waits for what the shell answers. A connection that says nothing is tried with a command of its own,
/// which does nothing: sshd answers as long as it is there.
async fn await_answer(
    mut pending: PendingCommand,
    session: &openssh::Session,
    answer_by: Instant,
    deadline: Instant,
) -> Result<Result<Output, Failure>, MasterError> {
    let started_at = Instant::now();
    let answer_within = answer_by.saturating_duration_since(started_at);
    let mut silent_until = Some(started_at + SILENCE.min(answer_within / 2));
    let truncated = loop {
        match timeout_at(silent_until.unwrap_or(deadline), pending.read()).await {
            Ok(Ok(ReadState::More)) => silent_until = None,
            Ok(Ok(ReadState::Ended)) => match timeout_at(deadline, pending.messages()).await {
                Ok(Ok(truncated)) => break truncated,
                Ok(Err(error)) => return Ok(Err(broken(&error))),
                Err(_) => return Ok(Err(no_answer(started_at))),
            },
            Ok(Ok(ReadState::TooLarge)) => break true,
            // It was about to end when it was asked.
            Ok(Err(_)) if silent_until.is_some() => return Err(MasterError::Exited),
            // What was asked may still run there, so it is not asked again.
            Ok(Err(error)) => return Ok(Err(broken(&error))),
            Err(_) if silent_until.take().is_some() => does_answer(session, answer_by).await?,
            Err(_) => return Ok(Err(no_answer(started_at))),
        }
    };
    let (stdout, stderr, exit) = pending.into_parts();
    let exit = exit.filter(|_| !truncated);
    Ok(Ok(Output { stdout, stderr, exit, truncated, took: started_at.elapsed() }))
}

fn broken(error: &std::io::Error) -> Failure {
    local_failure(FailureKind::Session, "the connection broke", error)
}

/// Whether a command can still be started over a connection.
async fn does_answer(session: &openssh::Session, answer_by: Instant) -> Result<(), MasterError> {
    let mut command = session.command("true");
    command.stdin(openssh::Stdio::null()).stdout(openssh::Stdio::null()).stderr(openssh::Stdio::null());
    match timeout_at(answer_by, command.spawn()).await {
        Ok(Err(openssh::Error::Disconnected)) => Err(MasterError::Exited),
        // A refusal is an answer too.
        Ok(Ok(_) | Err(_)) => Ok(()),
        Err(_) => Err(MasterError::Unresponsive),
    }
}

/// Runs one command over a connection that may turn out to be lost.
async fn execute(
    session: &openssh::Session,
    argv: &[String],
    starting: &Semaphore,
    answer_by: Instant,
    deadline: Instant,
) -> Result<Result<Output, Failure>, MasterError> {
    let started_at = Instant::now();
    let Some((program, args)) = argv.split_first() else {
        return Ok(Err(Failure::new(FailureKind::Internal, "no command")));
    };
    let mut command = session.command(program.as_str());
    command.args(args).stderr(openssh::Stdio::piped());
    let mut child = match spawn(command, starting, answer_by).await? {
        Ok(child) => child,
        Err(failure) => return Ok(Err(failure)),
    };
    // Leaving the child closes its pipes, so that what floods us there ends at its next write.
    let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
    let reading = read_to_end(stdout, stderr, child.wait(), |_| ());
    let (streams, ended) = match timeout_at(deadline, reading).await {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => return Ok(Err(broken(&error))),
        Err(_) => return Ok(Err(no_answer(started_at))),
    };
    let exit = match ended {
        None => None,
        Some(Ok(status)) => status.code(),
        // The crate's way to say 127.
        Some(Err(openssh::Error::Remote(error))) if error.kind() == std::io::ErrorKind::NotFound => Some(127),
        Some(Err(openssh::Error::RemoteProcessTerminated)) => None,
        Some(Err(error)) => return Ok(Err(session_failure(&error))),
    };
    let Streams { stdout, stderr, truncated } = streams;
    Ok(Ok(Output { stdout, stderr, exit, truncated, took: started_at.elapsed() }))
}

/// Starts a command whose output is a stream, over a connection that may turn out to be lost.
async fn start(
    session: openssh::Session,
    argv: &[String],
    starting: &Semaphore,
    answer_by: Instant,
) -> Result<Result<Stream, Failure>, MasterError> {
    let Some((program, args)) = argv.split_first() else {
        return Ok(Err(Failure::new(FailureKind::Internal, "no command")));
    };
    let mut command = Arc::new(session).arc_command(program.as_str());
    command.args(args).stderr(openssh::Stdio::null());
    Ok(spawn(command, starting, answer_by).await?.map(Stream::ssh))
}

/// Starts a command whose output is read, in its turn.
async fn spawn<S: Clone>(
    mut command: openssh::OwningCommand<S>,
    starting: &Semaphore,
    answer_by: Instant,
) -> Result<Result<openssh::Child<S>, Failure>, MasterError> {
    command.stdin(openssh::Stdio::null()).stdout(openssh::Stdio::piped());
    let spawned = async {
        let _place = starting.acquire().await;
        command.spawn().await
    };
    match timeout_at(answer_by, spawned).await {
        Ok(Err(openssh::Error::Disconnected)) => Err(MasterError::Exited),
        Ok(spawned) => Ok(spawned.map_err(|error| session_failure(&error))),
        Err(_) => Err(MasterError::Unresponsive),
    }
}

/// The crate's error with all of its causes: only the innermost says what the other side answered, or what
/// this side is short of.
fn session_failure(error: &openssh::Error) -> Failure {
    let kind = if shortage_in(error) { FailureKind::LocalShortage } else { FailureKind::Session };
    Failure::new(kind, &error_chain(error))
}

/// Whether this side is short of something.
fn shortage_in(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.filter_map(|error| error.downcast_ref::<std::io::Error>()).any(is_shortage)
}
