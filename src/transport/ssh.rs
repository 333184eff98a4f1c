//! Commands over a multiplexed SSH connection, by the `openssh` crate in native-mux mode: the user's own
//! `ssh` holds the connection, and we speak with its control socket.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::bounded::read_to_end;
use super::classify::is_worth_a_retry;
use super::local::{is_shortage, local_failure};
use super::master;
use super::runtime::RuntimeDir;
use super::shell::{PendingCommand, Shell};
use super::stream::{STREAM_BOUND, Stream};
use super::{bounded_argv, no_answer, program_of};
use crate::inventory::SshTarget;
use crate::probe::Output;
use crate::reading::{Failure, FailureKind, error_chain};
use crate::support::jitter;

/// The number of attempts to make a connection that sshd drops (`MaxStartups` drops at random).
const CONNECT_ATTEMPTS: u32 = 4;

/// The shortest pause before such a retry; each further one is longer by as much.
const RETRY_PAUSE: Duration = Duration::from_millis(150);

/// The idle time of a master of our own, which ends with us: by itself if we are killed.
const OWN_PERSIST: Duration = Duration::from_secs(60);

/// The time that a master has to hear that it shall end, before it is killed.
const END_WITHIN: Duration = Duration::from_secs(1);

/// The time that a shell waits longer than a stream, the start of which keeps it.
const LEEWAY: Duration = Duration::from_mins(1);

/// The time that a shell that was given a command may say nothing before the connection is looked at.
const SILENCE: Duration = Duration::from_secs(2);

/// The number of commands that are started at once, however many run at once. Each is a process on some host, and a
/// few wake-ups of a master here. Measured with 256 hosts on one machine: a poll takes 7 % less than without a bound,
/// with 4 to 32 about the same.
const STARTING: usize = 16;

/// The lifetime of the masters that this process starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterLifetime {
    /// They stay for the next run.
    Persistent,
    /// They can be found again if this process is killed, and end with it if it ends in order.
    Process,
    /// They are in folders of their own, which end with this process. Others that live are used.
    Ephemeral,
}

/// The state that all SSH sessions share.
#[derive(Debug)]
pub struct Connections {
    runtime: Option<RuntimeDir>,
    lifetime: MasterLifetime,
    /// Bounds the storm of logins: each costs this machine 20 to 125 ms of CPU.
    opening: Arc<Semaphore>,
    starting: Semaphore,
    /// The sockets of masters that end with this process.
    ending: Mutex<BTreeSet<PathBuf>>,
    /// Jump hosts that failed in this cycle, so that five hundred hosts behind one need not each find out.
    jumps_down: Mutex<BTreeMap<String, Failure>>,
}

impl Connections {
    /// With the masters that are found in `runtime`, and with at most `connecting` logins at once.
    pub fn new(runtime: Option<RuntimeDir>, lifetime: MasterLifetime, connecting: usize) -> Self {
        let opening = Arc::new(Semaphore::new(connecting.max(1)));
        let starting = Semaphore::new(STARTING);
        Self { runtime, lifetime, opening, starting, ending: Mutex::default(), jumps_down: Mutex::default() }
    }

    /// Forgets which jump hosts failed: a new cycle tries them anew.
    pub fn forget_failures(&self) {
        lock(&self.jumps_down).clear();
    }

    /// Ends the masters of sessions that were not closed, since their hosts hung.
    pub fn end_all(&self) {
        master::kill_all(&std::mem::take(&mut *lock(&self.ending)));
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
        lock(&self.jumps_down).get(target.jump.as_ref()?).cloned()
    }

    fn note(&self, target: &SshTarget, failure: &Failure) {
        if let (Some(jump), FailureKind::Jump) = (&target.jump, failure.kind) {
            lock(&self.jumps_down).insert(jump.clone(), failure.clone());
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Why nothing came over a connection.
enum Broken {
    /// Nobody listens on the socket.
    Exited,
    /// The master does not answer, or its network does not.
    Unresponsive,
    /// The command failed, and the connection may be well.
    Failed(Failure),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Failed(local_failure(FailureKind::Session, "the connection broke", &error))
    }
}

impl SshSession {
    pub(super) fn new(target: &SshTarget, connections: &Arc<Connections>) -> Self {
        let kept = connections.runtime.as_ref().map(|runtime| runtime.socket(target));
        if let (MasterLifetime::Process, Some(socket)) = (connections.lifetime, &kept) {
            lock(&connections.ending).insert(socket.clone());
        }
        Self { target: target.clone(), connections: connections.clone(), kept, own: None, turn: None }
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
                Ok(Err(_)) => self.drop_master(true),
                Err(_) => self.drop_master(false),
            }
        }
        self.open(deadline).await
    }

    /// A connection and the time by which it is to answer: a living one, unless it must be a new one.
    async fn connection(
        &mut self,
        is_new: &mut bool,
        deadline: Instant,
    ) -> Result<(openssh::Session, Instant), Failure> {
        if !*is_new && let Some(session) = self.living() {
            return Ok((session, self.answer_by(deadline)));
        }
        self.open(deadline).await?;
        *is_new = true;
        let gone = || Failure::new(FailureKind::Session, "the new connection is gone already");
        Ok((self.living().ok_or_else(gone)?, deadline))
    }

    /// Drops a master that exited or does not respond. It is replaced within the same deadline, once.
    fn drop_broken(&mut self, error: Broken, is_new: &mut bool) -> Result<(), Failure> {
        let what = match error {
            Broken::Failed(failure) => return Err(failure),
            Broken::Exited => "broke at once",
            Broken::Unresponsive => "does not answer",
        };
        self.drop_master(matches!(error, Broken::Exited));
        let failed = || Failure::new(FailureKind::Session, &format!("the new connection {what}"));
        if std::mem::replace(is_new, true) { Err(failed()) } else { Ok(()) }
    }

    pub(super) async fn run(
        &mut self,
        program: &str,
        args: &[String],
        deadline: Instant,
    ) -> Result<Output, Failure> {
        let mut is_new = false;
        loop {
            let (session, answer_by) = self.connection(&mut is_new, deadline).await?;
            let argv = bounded_argv(program, args, deadline);
            match self.run_over(&session, &argv, answer_by, deadline).await {
                Ok(output) => return Ok(output),
                Err(error) => self.drop_broken(error, &mut is_new)?,
            }
        }
    }

    /// Runs a command over a living connection: by the shell that waits there, or else by one of its own.
    async fn run_over(
        &self,
        session: &openssh::Session,
        argv: &[String],
        answer_by: Instant,
        deadline: Instant,
    ) -> Result<Output, Broken> {
        let Some(pending) = self.shell().and_then(|shell| shell.send(argv)) else {
            return execute(session, argv, &self.connections.starting, answer_by, deadline).await;
        };
        let ended = await_answer(pending, session, answer_by, deadline).await;
        let is_stuck = match &ended {
            Ok(output) => output.truncated,
            Err(error) => matches!(error, Broken::Failed(_)),
        };
        if is_stuck && self.connections.lifetime != MasterLifetime::Ephemeral {
            // The shell is busy with what nobody waits for any more, and would answer nothing else.
            self.end_master().await;
        }
        ended
    }

    /// The shell that waits on the host, if one may.
    fn shell(&self) -> Option<Shell> {
        let kept = self.kept.as_ref().filter(|_| self.own.is_none() && self.target.keep_shell)?;
        Some(Shell::beside(kept))
    }

    /// Starts a command that keeps printing.
    pub(super) async fn stream(&mut self, argv: &[String], deadline: Instant) -> Result<Stream, Failure> {
        let mut is_new = false;
        loop {
            let (session, answer_by) = self.connection(&mut is_new, deadline).await?;
            match start(session, argv, &self.connections.starting, answer_by).await {
                Ok(stream) => {
                    // As long as there are streams, nothing else may be asked of the host.
                    self.shell().iter().for_each(Shell::keepalive);
                    return Ok(stream);
                }
                Err(error) => self.drop_broken(error, &mut is_new)?,
            }
        }
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

    fn drop_master(&mut self, has_exited: bool) {
        let socket = match (self.own.take(), &self.kept) {
            (Some(own), _) => own.control_socket().to_owned(),
            (None, Some(kept)) if self.connections.lifetime != MasterLifetime::Ephemeral => kept.clone(),
            // Not ours to remove: whoever keeps it there will.
            (None, _) => return self.kept = None,
        };
        if has_exited {
            master::remove(&socket);
        } else {
            master::kill_all(&BTreeSet::from([socket]));
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
            let address = &self.target.address;
            tracing::info!(address, "no shell waits there; one is started for each call");
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

/// Waits for the shell's answer. A connection that says nothing is tried with a command of its own,
/// which does nothing: sshd answers as long as it is there.
async fn await_answer(
    mut pending: PendingCommand,
    session: &openssh::Session,
    answer_by: Instant,
    deadline: Instant,
) -> Result<Output, Broken> {
    let started_at = Instant::now();
    let answer_within = answer_by.saturating_duration_since(started_at);
    let mut silent_until = Some(started_at + SILENCE.min(answer_within / 2));
    loop {
        match timeout_at(silent_until.unwrap_or(deadline), pending.read()).await {
            Ok(Ok(true)) => break,
            Ok(Ok(false)) => silent_until = None,
            // It was about to end when it was asked.
            Ok(Err(_)) if silent_until.is_some() => return Err(Broken::Exited),
            // The command may still run there, so it is not asked again.
            Ok(Err(error)) => return Err(error.into()),
            Err(_) if silent_until.take().is_some() => does_answer(session, answer_by).await?,
            Err(_) => return Err(no_answer(started_at).into()),
        }
    }
    timeout_at(deadline, pending.read_messages()).await.map_err(|_| no_answer(started_at))??;
    Ok(Output { took: started_at.elapsed(), ..pending.into_output() })
}

/// Whether a command can still be started over a connection.
async fn does_answer(session: &openssh::Session, answer_by: Instant) -> Result<(), Broken> {
    let mut command = session.command("true");
    command.stdin(openssh::Stdio::null()).stdout(openssh::Stdio::null()).stderr(openssh::Stdio::null());
    match timeout_at(answer_by, command.spawn()).await {
        Ok(Err(openssh::Error::Disconnected)) => Err(Broken::Exited),
        // A refusal is an answer too.
        Ok(Ok(_) | Err(_)) => Ok(()),
        Err(_) => Err(Broken::Unresponsive),
    }
}

/// Runs one command over a connection that may turn out to be lost.
async fn execute(
    session: &openssh::Session,
    argv: &[String],
    starting: &Semaphore,
    answer_by: Instant,
    deadline: Instant,
) -> Result<Output, Broken> {
    let started_at = Instant::now();
    let (program, args) = program_of(argv)?;
    let mut command = session.command(program);
    command.args(args).stderr(openssh::Stdio::piped());
    let mut child = spawn(command, starting, answer_by).await?;
    // Leaving the child closes its pipes, so that what floods us there ends at its next write.
    let (stdout, stderr) = (child.stdout().take(), child.stderr().take());
    let reading = read_to_end(stdout, stderr, child.wait(), |_| ());
    let (output, ended) = timeout_at(deadline, reading).await.map_err(|_| no_answer(started_at))??;
    let exit = match ended {
        None => None,
        Some(Ok(status)) => status.code(),
        // The crate's way to say 127.
        Some(Err(openssh::Error::Remote(error))) if error.kind() == io::ErrorKind::NotFound => Some(127),
        Some(Err(openssh::Error::RemoteProcessTerminated)) => None,
        Some(Err(error)) => return Err(session_failure(&error).into()),
    };
    Ok(Output { exit, took: started_at.elapsed(), ..output })
}

/// Starts a command whose output is a stream, over a connection that may turn out to be lost.
async fn start(
    session: openssh::Session,
    argv: &[String],
    starting: &Semaphore,
    answer_by: Instant,
) -> Result<Stream, Broken> {
    let (program, args) = program_of(argv)?;
    let mut command = Arc::new(session).arc_command(program);
    command.args(args).stderr(openssh::Stdio::null());
    spawn(command, starting, answer_by).await.map(Stream::ssh)
}

/// Starts a command whose output is read, in its turn.
async fn spawn<S: Clone>(
    mut command: openssh::OwningCommand<S>,
    starting: &Semaphore,
    answer_by: Instant,
) -> Result<openssh::Child<S>, Broken> {
    command.stdin(openssh::Stdio::null()).stdout(openssh::Stdio::piped());
    let spawned = async {
        let _place = starting.acquire().await;
        command.spawn().await
    };
    match timeout_at(answer_by, spawned).await {
        Ok(Err(openssh::Error::Disconnected)) => Err(Broken::Exited),
        Ok(spawned) => spawned.map_err(|error| session_failure(&error).into()),
        Err(_) => Err(Broken::Unresponsive),
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
    causes.filter_map(|error| error.downcast_ref::<io::Error>()).any(is_shortage)
}
