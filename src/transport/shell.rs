//! A shell that waits on a host for the next command, so that none has to be started there for each command: over a
//! living connection, most of the cost of a poll is sshd starting a login shell, which reads the user's start-up files.
//!
//! The session that a master is started with is one `bash`. Its standard input, output and error are three named
//! pipes beside the control socket (`.in`, `.out`, `.err`). ssh holds each of them open for reading and for writing,
//! so that they outlive a poll: none reaches its end and none breaks before ssh itself ends. The shell ends when no
//! command has come for as long as connections are kept. A host that gives no such shell is noted in a file
//! (`.noshell`) and not tried again.
//!
//! - The answer of a command ends with a line that has the number of the command, so that the rest of an earlier
//!   answer is recognised and thrown away.
//! - All commands share one output. So everything that a command left in its process group is ended before that
//!   line: it would print into later answers.
//! - The caller holds a lock on the pipe of requests. If it is locked, or nothing reads it, or the command does not
//!   fit into one write, the command is run without the shell.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::io::Errno;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;
use uuid::Uuid;

use super::{MAX_STDERR, MAX_STDOUT};
use crate::probe::Output;
use crate::reading::error_chain;
use crate::support::state_file;

/// The most bytes that are written to a pipe as a whole or not at all (`PIPE_BUF`).
const MAX_REQUEST: usize = 4096;

/// The beginning of the line that ends an answer. No program that is asked prints one.
const END: &str = "\n=fleetwatt ";

/// The first words of the shell, as if an answer had ended. Its script has them in two pieces: a program that only
/// repeats the script is no shell.
const READY: &[u8] = b"\n=fleetwatt ready 0\n";

/// The time in seconds from TERM to KILL for processes that a command leaves behind.
const GRACE: &str = "0.2";

/// The most bytes of earlier answers that are thrown away before a call. Where there are more, something
/// still floods, and no call is made.
const MAX_STALE: usize = 256 << 10;

/// The most bytes that are read at once: eight GPUs print 2 KB.
const PIECE: usize = 8 << 10;

/// The shell of the master that listens on a socket, by its pipes beside that.
#[derive(Debug, Clone)]
pub(super) struct Shell {
    socket: PathBuf,
}

impl Shell {
    pub(super) fn beside(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    fn requests(&self) -> PathBuf {
        self.socket.with_extension("in")
    }

    fn answers(&self) -> PathBuf {
        self.socket.with_extension("out")
    }

    fn messages(&self) -> PathBuf {
        self.socket.with_extension("err")
    }

    /// Says that there is no shell to be had at this host.
    fn refused(&self) -> PathBuf {
        self.socket.with_extension("noshell")
    }

    /// Makes the pipes for us alone, and gives them to the ssh that is to be started: its answers and its messages
    /// come back to be read. Pipes that a master left, and that nobody has open, are as good as new.
    pub(super) fn attach(&self, ssh: &mut Command) -> io::Result<(Receiver, Receiver)> {
        let both_ways = |path: PathBuf| {
            if !is_unused(&path) {
                remove(&path);
                mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
            }
            OpenOptions::new().read(true).write(true).open(path)
        };
        ssh.stdin(both_ways(self.requests())?);
        ssh.stdout(both_ways(self.answers())?);
        ssh.stderr(both_ways(self.messages())?);
        let reader = |path: PathBuf| Receiver::from_file(open(&path, OFlags::RDONLY)?);
        Ok((reader(self.answers())?, reader(self.messages())?))
    }

    /// Removes the pipes. A shell that reads them goes on until it ends by itself.
    pub(super) fn remove(&self) {
        [self.requests(), self.answers(), self.messages()].iter().for_each(|pipe| remove(pipe));
    }

    /// Removes the pipes, and forgets whether the host has a shell for us.
    pub(super) fn forget(&self) {
        self.remove();
        remove(&self.refused());
    }

    /// Notes that the host has no shell for us, so that it is not tried at each login. Forgotten with the
    /// folder, which is at the next boot.
    pub(super) fn refuse(&self) {
        self.remove();
        if let Err(error) = state_file::write(&self.refused(), b"") {
            tracing::debug!(error = error_chain(&error), "cannot note that a host has no shell for us");
        }
    }

    /// Whether the host had no shell for us.
    pub(super) fn is_refused(&self) -> bool {
        self.refused().exists()
    }

    /// Hands a command to the shell. `None` if there is no shell, somebody else uses it, or the command is
    /// none that fits a line.
    pub(super) fn send(&self, argv: &[String]) -> Option<PendingCommand> {
        let requests = self.locked()?;
        let number = Uuid::now_v7().simple().to_string();
        let request = request(argv, &number)?;
        let answers = emptied(&self.answers())?;
        let messages = emptied(&self.messages())?;
        let answers = Receiver::from_file(answers).ok()?;
        // It fits the pipe, which is empty, or else the shell does not read: then no call is made.
        let n_written = (&requests).write(&request).ok()?;
        let (stdout, stderr) = (Vec::new(), Vec::new());
        (n_written == request.len()).then_some(PendingCommand {
            _locked: requests,
            answers,
            messages,
            number,
            stdout,
            exit: None,
            stderr,
        })
    }

    /// Whether a shell reads the requests.
    pub(super) fn is_waiting(&self) -> bool {
        open(&self.requests(), OFlags::WRONLY).is_ok()
    }

    /// Keeps the shell from ending, as a command would.
    pub(super) fn keepalive(&self) {
        if let Some(mut requests) = self.locked()
            && let Err(error) = requests.write_all(b":\n")
        {
            tracing::debug!(%error, "cannot keep a shell from ending");
        }
    }

    /// The pipe of requests, locked, if somebody reads it.
    fn locked(&self) -> Option<File> {
        let requests = open(&self.requests(), OFlags::WRONLY).ok()?;
        let is_pipe = requests.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
        (is_pipe && requests.try_lock().is_ok()).then_some(requests)
    }
}

/// The command that the other side is to run: a shell that needs nothing of the login shell but `exec`.
///
/// The bound on the time is on a line's first character only: bash reads by the character, and with a bound it makes
/// five system calls for each, which for one line was 1 ms on the host. For the same reason everything that all lines
/// have in common is a function of the shell: it ends what a command leaves behind, and says that the command ended.
/// One system call finds out that nothing is left, and then no process is started for this.
pub(super) fn script(idle: Duration) -> String {
    let seconds = idle.as_secs().max(1);
    let mark = END.trim();
    let said = format!("printf \"\\n{mark} %s %d\\n\" $1 $e");
    format!(
        "exec bash --norc -c 'set +h; \
         ended() {{ p=$!; wait $p; e=$?; \
         if kill -TERM -- -$p 2>&-; then sleep {GRACE}; kill -KILL -- -$p 2>&-; fi; \
         [ $e -eq 0 ] || {said} >&2; {said}; }}; \
         printf \"\\n=%s ready 0\\n\" fleetwatt; \
         while IFS= read -r -t {seconds} -n 1 first && IFS= read -r rest; do eval \"$first$rest\"; done' fleetwatt"
    )
}

/// The line that runs `argv`, and waits for its end. Every word of `argv` stays data: it is quoted.
///
/// It runs in the background for the sake of its number only: `timeout` makes itself the leader of a process
/// group, and a shell only tells the number of what it does not wait for at once.
fn request(argv: &[String], number: &str) -> Option<Vec<u8>> {
    if argv.iter().any(|word| word.contains(char::is_control)) {
        return None;
    }
    let message: Vec<_> = argv.iter().map(|word| shell_escape::unix::escape(word.into())).collect();
    let line = format!("{} </dev/null & ended {number}\n", message.join(" "));
    (line.len() <= MAX_REQUEST).then(|| line.into_bytes())
}

/// A command that was handed to the shell. Whoever drops it leaves the rest of its answer in the pipes.
#[derive(Debug)]
pub(super) struct PendingCommand {
    /// Open, it has the lock.
    _locked: File,
    answers: Receiver,
    messages: File,
    number: String,
    stdout: Vec<u8>,
    exit: Option<i32>,
    stderr: Vec<u8>,
}

impl PendingCommand {
    /// Waits for the next piece of the answer: true if that was the last one, or if there is more than may be kept.
    /// May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// The pipe ended or cannot be read: ssh is gone.
    pub(super) async fn read(&mut self) -> io::Result<bool> {
        let searched = self.stdout.len();
        more(&self.answers, &mut self.stdout).await?;
        self.exit = trim(&mut self.stdout, searched, &self.number);
        Ok(self.exit.is_some() || self.stdout.len() > MAX_STDOUT)
    }

    /// Reads the standard error of a command that failed. Of one that did well nobody needs it.
    ///
    /// # Errors
    /// The pipe ended or cannot be read: ssh is gone.
    pub(super) async fn read_messages(&mut self) -> io::Result<()> {
        if matches!(self.exit, None | Some(0)) || self.stdout.len() > MAX_STDOUT {
            return Ok(());
        }
        let messages = Receiver::from_file(self.messages.try_clone()?)?;
        while self.stderr.len() <= MAX_STDERR {
            let searched = self.stderr.len();
            more(&messages, &mut self.stderr).await?;
            if trim(&mut self.stderr, searched, &self.number).is_some() {
                break;
            }
        }
        Ok(())
    }

    /// The answer, as far as it came; the time is for the caller to fill in.
    pub(super) fn into_output(mut self) -> Output {
        let truncated = self.stdout.len() > MAX_STDOUT || self.stderr.len() > MAX_STDERR;
        self.stdout.truncate(MAX_STDOUT);
        self.stderr.truncate(MAX_STDERR);
        let exit = self.exit.filter(|_| !truncated).and_then(exit_code);
        Output { stdout: self.stdout, stderr: self.stderr, exit, truncated, took: Duration::ZERO }
    }
}

/// Waits until the shell says that it is there: false if something else goes on talking.
///
/// # Errors
/// The pipe ended or cannot be read: ssh is gone.
pub(super) async fn is_ready(answers: &Receiver) -> io::Result<bool> {
    let mut said = Vec::new();
    while said.len() <= MAX_STDERR {
        more(answers, &mut said).await?;
        if said.ends_with(READY) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A shell says 128 + n of what signal n ended. 137 is also how `timeout` says that it had to kill.
fn exit_code(code: i32) -> Option<i32> {
    let is_signal = (129..=159).contains(&code) && code != 137;
    (!is_signal).then_some(code)
}

/// Reads what is there, waiting for something.
async fn more(pipe: &Receiver, kept: &mut Vec<u8>) -> io::Result<()> {
    loop {
        pipe.readable().await?;
        match read_now(pipe, kept) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// Apart, so that the buffer is no part of the future of each host that waits.
fn read_now(pipe: &Receiver, kept: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0_u8; PIECE];
    let n_read = pipe.try_read(&mut piece)?;
    if n_read == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    kept.extend_from_slice(piece.get(..n_read).unwrap_or_default());
    Ok(())
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove what belongs to a shell");
    }
}

/// Opens a pipe without waiting for its other side.
fn open(path: &Path, access: OFlags) -> io::Result<File> {
    Ok(rustix::fs::open(path, access | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// Whether this is a pipe, and no ssh has it open: that would be a reader too.
fn is_unused(path: &Path) -> bool {
    let is_pipe = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
    let no_reader = Some(Errno::NXIO.raw_os_error());
    is_pipe && open(path, OFlags::WRONLY).is_err_and(|error| error.raw_os_error() == no_reader)
}

/// A pipe without what earlier calls left in it. `None` if it does not get empty.
fn emptied(path: &Path) -> Option<File> {
    let pipe = open(path, OFlags::RDONLY).ok()?;
    let mut stale = [0_u8; PIECE];
    let mut n_stale = 0;
    while n_stale < MAX_STALE {
        match (&pipe).read(&mut stale) {
            Ok(0) => return None,
            Ok(n_read) => n_stale += n_read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(pipe),
            Err(_) => return None,
        }
    }
    None
}

/// Leaves the answer that has this number, if it has ended, and gives its exit code.
fn trim(said: &mut Vec<u8>, searched: usize, number: &str) -> Option<i32> {
    let (end, exit) = end_of(said, searched, number)?;
    said.truncate(end);
    said.drain(..begin_of(said));
    Some(exit)
}

/// Where the answer ends that has this number, and with which code. Nothing before `searched` is looked at
/// again.
fn end_of(said: &[u8], searched: usize, number: &str) -> Option<(usize, i32)> {
    let mark = format!("{END}{number} ");
    // The line may have begun in an earlier piece, with a code of some digits.
    let from = searched.saturating_sub(mark.len() + 8);
    let at = from + find(said.get(from..)?, mark.as_bytes())?;
    let rest = said.get(at + mark.len()..)?;
    let code = rest.get(..rest.iter().position(|byte| *byte == b'\n')?)?;
    Some((at, std::str::from_utf8(code).ok()?.parse().ok()?))
}

/// Where an answer begins: behind the end of an earlier one, if there is one.
fn begin_of(said: &[u8]) -> usize {
    let mut begin = 0;
    while let Some(at) = find(said.get(begin..).unwrap_or_default(), END.as_bytes()) {
        let line = begin + at + END.len();
        let rest = said.get(line..).unwrap_or_default();
        begin = line + rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
    }
    begin
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use proptest::prelude::*;

    use super::*;

    /// The output of real bash when it waits for commands as on a host, and is given these.
    #[allow(clippy::disallowed_methods, reason = "this room is the one that starts processes")]
    fn run(requests: &[u8]) -> (String, String) {
        let mut login = std::process::Command::new("sh");
        login.arg("-c").arg(script(Duration::from_secs(60)));
        login.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut shell = login.spawn().unwrap();
        shell.stdin.take().unwrap().write_all(requests).unwrap();
        let output = shell.wait_with_output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn argv(message: &[&str]) -> Vec<String> {
        message.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn words_are_data_whatever_they_hold() {
        let hostile = ["a b", "'; echo no; '", "$(echo no)", "`echo no`", "!!", "\\", "*", "", "ü", "#", "~"];
        let request = request(&argv(&[&["printf", "<%s>"][..], &hostile].concat()), "7").unwrap();
        let wanted: String = hostile.iter().map(|word| format!("<{word}>")).collect();
        assert_eq!(run(&request).0, format!("\n=fleetwatt ready 0\n{wanted}\n=fleetwatt 7 0\n"));
    }

    #[test]
    fn a_failure_is_told_on_both_streams_and_the_shell_goes_on() {
        let failing = request(&argv(&["sh", "-c", "echo why >&2; exit 9"]), "1").unwrap();
        let next = request(&argv(&["cat"]), "2").unwrap();
        let (stdout, stderr) = run(&[failing, b":\n".to_vec(), next].concat());
        assert_eq!(stdout, "\n=fleetwatt ready 0\n\n=fleetwatt 1 9\n\n=fleetwatt 2 0\n");
        assert_eq!(stderr, "why\n\n=fleetwatt 1 9\n");
    }

    #[test]
    fn what_a_command_leaves_in_its_group_ends_before_its_answer_does() {
        let stray = "trap '' TERM; while :; do echo stray; sleep 0.01; done";
        let script = format!("({stray}) & echo answer; exit 3");
        let leaving = request(&argv(&["timeout", "60", "sh", "-c", &script]), "1").unwrap();
        let next = request(&argv(&["timeout", "60", "sh", "-c", "sleep 0.3; echo next"]), "2").unwrap();
        let (stdout, _) = run(&[leaving, next].concat());
        let (_, behind) = stdout.split_once("\n=fleetwatt 1 3\n").unwrap();
        assert_eq!(behind, "next\n\n=fleetwatt 2 0\n");
    }

    #[test]
    fn a_command_that_is_no_line_is_not_handed_over() {
        assert_eq!(request(&argv(&["echo", "a\nreboot"]), "1"), None);
        assert_eq!(request(&argv(&["echo", &"x".repeat(MAX_REQUEST)]), "1"), None);
    }

    #[test]
    fn a_signals_end_is_no_exit_code() {
        assert_eq!([0, 9, 124, 137, 255].map(exit_code), [0, 9, 124, 137, 255].map(Some));
        assert_eq!([129, 139, 143].map(exit_code), [None; 3]);
    }

    /// Feeds an answer in pieces, and gives back what would be kept of it.
    fn fed(answer: &[u8], pieces: &[usize], number: &str) -> Option<(Vec<u8>, i32)> {
        let (mut said, mut left) = (Vec::new(), answer);
        for piece in pieces.iter().chain(&[answer.len()]) {
            let (now, later) = left.split_at(left.len().min(*piece));
            let searched = said.len();
            said.extend_from_slice(now);
            left = later;
            if let Some(exit) = trim(&mut said, searched, number) {
                return Some((said, exit));
            }
        }
        None
    }

    proptest! {
        #[test]
        fn an_answer_is_whole_however_it_comes_and_whatever_came_before(
            body in "[a-z,=\n ]{0,200}",
            stale in proptest::option::of("[a-z,=\n ]{0,100}"),
            exit in 0..256,
            pieces in proptest::collection::vec(1_usize..40, 0..20),
        ) {
            let stale = stale.map(|body| format!("{body}\n=fleetwatt 6 124\n")).unwrap_or_default();
            let answer = format!("{stale}{body}\n=fleetwatt 7 {exit}\n");
            prop_assert_eq!(fed(answer.as_bytes(), &pieces, "7"), Some((body.into_bytes(), exit)));
        }

        #[test]
        fn whatever_a_host_says_is_only_data(
            answer in proptest::collection::vec(any::<u8>(), 0..200),
            end in "\n?=fleetwatt [67]? ?-?[0-9]{0,12}\n?",
            pieces in proptest::collection::vec(1_usize..40, 0..20),
        ) {
            fed(&[&answer, end.as_bytes()].concat(), &pieces, "7");
        }
    }
}
