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
    let Some(stream) = stream else { return Ok(()) };
    let one_too_many = u64::try_from(bound).unwrap_or(u64::MAX).saturating_add(1);
    stream.take(one_too_many).read_to_end(kept).await.map_err(ReadError::Io)?;
    if bound < kept.len() {
        kept.truncate(bound);
        return Err(ReadError::TooMuch);
    }
    Ok(())
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
        assert_eq!(
            (streams.stdout.as_slice(), streams.stderr.as_slice()),
            (&b"0, GPU-1\n"[..], &b"warning"[..])
        );
    }
}
