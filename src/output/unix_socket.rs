//! A listening unix socket with its file.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Owner and group may connect: connecting needs the right to write.
pub(super) const MODE: u32 = 0o660;

/// The reason why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process answers on it.
    #[error("another process listens on it")]
    InUse,
    /// The path is taken by something that is not a socket. It is left as it is.
    #[error("a file that is not a socket is there")]
    NotASocket,
    /// The system refuses it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A listening socket. Its file is removed when it is dropped.
#[derive(Debug)]
pub(super) struct UnixSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl UnixSocket {
    /// Listens at `path`. A socket that no process listens on any more is replaced.
    pub(super) async fn bind(path: &Path) -> Result<Self, SocketError> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => return Err(SocketError::NotASocket),
            Ok(_) => match UnixStream::connect(path).await {
                Ok(_) => return Err(SocketError::InUse),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
                Err(error) => return Err(error.into()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(error.into()),
        }
        let socket = Self { listener: UnixListener::bind(path)?, path: path.to_owned() };
        std::fs::set_permissions(path, PermissionsExt::from_mode(MODE))?;
        Ok(socket)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "the socket's file is not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_living_one_or_another_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let living = UnixSocket::bind(&path).await.unwrap();
        assert!(matches!(UnixSocket::bind(&path).await, Err(SocketError::InUse)));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        drop(living);
        std::fs::write(&path, "mine").unwrap();
        assert!(matches!(UnixSocket::bind(&path).await, Err(SocketError::NotASocket)));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
