//! Reading an answer with a bound on its size.

use std::io;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::{MAX_STDERR, MAX_STDOUT};
use crate::probe::Output;

/// The time for the rest of an answer whose command has ended: twice, should something hold it open.
const LEFT_FOR: Duration = Duration::from_millis(500);

/// Reads both streams to their ends at once, so that neither can block the other, or until one of them
/// exceeds its bound, and waits for the command's end: `None` if there was too much. The exit code and the time are
/// for the caller to fill in.
///
/// A process that a command leaves behind may hold its output open for ever. So when it has `ended` and its output
/// has not, `signal` is to end what is left, and what came until then counts.
pub(super) async fn read_to_end<T>(
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin>,
    ended: impl Future<Output = T>,
    signal: impl Fn(Signal),
) -> io::Result<(Output, Option<T>)> {
    let mut output = Output::default();
    let (read, end) = {
        let mut reading = std::pin::pin!(async {
            tokio::try_join!(
                read_up_to(stdout, &mut output.stdout, MAX_STDOUT),
                read_up_to(stderr, &mut output.stderr, MAX_STDERR),
            )
        });
        let mut ended = std::pin::pin!(ended);
        // Dropping the losing branch loses nothing: both go on below.
        tokio::select! {
            read = &mut reading => match read {
                Ok(_) => (Ok(()), Some(ended.await)),
                Err(error) => (Err(error), None),
            },
            end = &mut ended => {
                signal(Signal::TERM);
                let mut read = timeout(LEFT_FOR, &mut reading).await;
                if read.is_err() {
                    signal(Signal::KILL);
                    read = timeout(LEFT_FOR, &mut reading).await;
                }
                (read.map_or(Ok(()), |read| read.map(drop)), Some(end))
            }
        }
    };
    match read {
        Ok(()) => Ok((output, end)),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            Ok((Output { truncated: true, ..output }, None))
        }
        Err(error) => Err(error),
    }
}

/// Reads a stream to its end; [`io::ErrorKind::FileTooLarge`] if it has more than the bound.
async fn read_up_to(
    stream: Option<impl AsyncRead + Unpin>,
    kept: &mut Vec<u8>,
    bound: usize,
) -> io::Result<()> {
    let Some(stream) = stream else { return Ok(()) };
    let one_too_many = u64::try_from(bound).unwrap_or(u64::MAX).saturating_add(1);
    stream.take(one_too_many).read_to_end(kept).await?;
    if bound < kept.len() {
        kept.truncate(bound);
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(stdout: impl AsyncRead + Unpin, stderr: impl AsyncRead + Unpin) -> (Output, Option<u8>) {
        read_to_end(Some(stdout), Some(stderr), async { 7 }, |_| ()).await.unwrap()
    }

    #[tokio::test]
    async fn a_flood_is_kept_up_to_the_bound_and_no_further() {
        let (streams, ended) = read(tokio::io::repeat(b'y'), tokio::io::empty()).await;
        assert!(streams.truncated && ended.is_none());
        assert_eq!(streams.stdout.len(), crate::transport::MAX_STDOUT);
    }

    #[tokio::test]
    async fn a_short_answer_is_read_whole() {
        let (streams, ended) = read(&b"0, GPU-1\n"[..], &b"warning"[..]).await;
        assert!(!streams.truncated && ended == Some(7));
        assert_eq!(
            (streams.stdout.as_slice(), streams.stderr.as_slice()),
            (&b"0, GPU-1\n"[..], &b"warning"[..])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_whose_output_stays_open_is_what_came_until_its_end() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut theirs, b"0, GPU-1\n").await.unwrap();
        let (streams, ended) = read(ours, tokio::io::empty()).await;
        assert_eq!((streams.stdout.as_slice(), ended), (&b"0, GPU-1\n"[..], Some(7)));
    }
}
