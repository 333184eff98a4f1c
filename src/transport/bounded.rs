//! Reading an answer with a bound on its size.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Both streams of an answer, as far as they were read.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// Whether one of them had more than its bound; reading stopped then.
    pub(super) truncated: bool,
}

/// Reads both streams to their ends at once, so that neither can block the other, or until one of them
/// exceeds its bound.
pub(super) async fn read_both(
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin>,
) -> io::Result<Streams> {
    let mut streams = Streams::default();
    let outcome = tokio::try_join!(
        read_up_to(stdout, &mut streams.stdout, super::MAX_STDOUT),
        read_up_to(stderr, &mut streams.stderr, super::MAX_STDERR),
    );
    match outcome {
        Ok(_) => Ok(streams),
        Err(ReadError::TooMuch) => Ok(Streams { truncated: true, ..streams }),
        Err(ReadError::Io(error)) => Err(error),
    }
}

/// Why reading ended before the end of a stream.
enum ReadError {
    TooMuch,
    Io(io::Error),
}

async fn read_up_to(
    stream: Option<impl AsyncRead + Unpin>,
    kept: &mut Vec<u8>,
    bound: usize,
) -> Result<(), ReadError> {
    let Some(mut stream) = stream else { return Ok(()) };
    let mut chunk = [0_u8; 8192];
    loop {
        let n_read = stream.read(&mut chunk).await.map_err(ReadError::Io)?;
        let read = chunk.get(..n_read).unwrap_or_default();
        if read.is_empty() {
            return Ok(());
        }
        let room = bound - kept.len();
        if room < read.len() {
            kept.extend_from_slice(read.get(..room).unwrap_or_default());
            return Err(ReadError::TooMuch);
        }
        kept.extend_from_slice(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_is_kept_up_to_the_bound_and_no_further() {
        let streams = read_both(Some(tokio::io::repeat(b'y')), Some(tokio::io::empty())).await.unwrap();
        assert!(streams.truncated);
        assert_eq!(streams.stdout.len(), crate::transport::MAX_STDOUT);
    }

    #[tokio::test]
    async fn a_short_answer_is_read_whole() {
        let streams = read_both(Some(&b"0, GPU-1\n"[..]), Some(&b"warning"[..])).await.unwrap();
        assert!(!streams.truncated);
        assert_eq!((streams.stdout.as_slice(), streams.stderr.as_slice()), (&b"0, GPU-1\n"[..], &b"warning"[..]));
    }
}
