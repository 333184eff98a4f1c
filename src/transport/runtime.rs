//! The folder of the control sockets, and the name of each.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::shell::Shell;
use crate::inventory::SshTarget;

/// A connection that is kept for the next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptConnection {
    /// The process number of its master; `None` if that is gone, and left its socket.
    pub pid: Option<i32>,
    /// Whether a shell waits on the host.
    pub has_shell: bool,
}

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

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The control socket for `target`: the same for every run that reaches it in the same way.
    pub fn socket(&self, target: &SshTarget) -> PathBuf {
        self.0.join(Uuid::new_v5(&Uuid::NAMESPACE_URL, &way_to(target)).simple().to_string())
    }

    /// The connections of which there is a master or its socket, by their sockets.
    pub fn kept(&self) -> BTreeMap<PathBuf, KeptConnection> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().filter_map(Result::ok);
        let is_socket =
            |path: &PathBuf| std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
        let sockets = entries.map(|entry| entry.path()).filter(is_socket);
        let mut kept: BTreeMap<_, _> =
            sockets.map(|socket| (socket, KeptConnection { pid: None, has_shell: false })).collect();
        for (socket, pid) in super::master::processes_in(&self.0) {
            let has_shell = Shell::beside(&socket).is_waiting();
            kept.insert(socket, KeptConnection { pid: Some(pid.as_raw_pid()), has_shell });
        }
        kept
    }

    /// Ends the connection of a socket, and waits until it is gone.
    pub async fn end(&self, socket: &Path) {
        super::master::end(socket).await;
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
                super::master::remove(socket);
                Shell::beside(socket).forget();
            }
        }
    }
}

/// Everything that says how a host is reached, as bytes that can be read in one way only: of each value whether it is
/// there, its length, and itself.
fn way_to(target: &SshTarget) -> Vec<u8> {
    let bytes = |path: &Option<PathBuf>| path.as_ref().map(|path| path.as_os_str().as_bytes().to_vec());
    let text = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
    let values = [
        Some(target.address.as_bytes().to_vec()),
        text(&target.user),
        target.port.map(|port| port.to_be_bytes().to_vec()),
        bytes(&target.identity_file),
        bytes(&target.ssh_config),
        bytes(&target.known_hosts),
        text(&target.jump),
        text(&target.kex),
    ];
    let with_length = |value: &Option<Vec<u8>>| {
        let bytes = value.as_deref().unwrap_or_default();
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes();
        [&[u8::from(value.is_some())], length.as_slice(), bytes].concat()
    };
    values.iter().flat_map(with_length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> SshTarget {
        SshTarget::new("gpu1".to_owned())
    }

    #[test]
    fn a_sockets_name_stays_what_it_is() {
        // A change leaves a fleet's living masters behind at an upgrade.
        let dir = RuntimeDir(PathBuf::from("/run/fleetwatt"));
        let full = SshTarget {
            user: Some("monitor".to_owned()),
            port: Some(2222),
            identity_file: Some("~/.ssh/fleetwatt".into()),
            ssh_config: Some("/etc/fleetwatt/ssh_config".into()),
            known_hosts: Some("/etc/fleetwatt/known_hosts".into()),
            jump: Some("ops@bastion".to_owned()),
            kex: Some("curve25519-sha256".to_owned()),
            ..target()
        };
        assert_eq!(dir.socket(&target()), Path::new("/run/fleetwatt/4365b3e255ea58d4bd13779a202f4250"));
        assert_eq!(dir.socket(&full), Path::new("/run/fleetwatt/c7304db1983a558b9bdbb3d111a7a7bb"));
    }

    #[test]
    fn another_way_to_a_host_is_another_socket() {
        let dir = RuntimeDir(PathBuf::from("/run/fleetwatt"));
        let ways = [
            target(),
            SshTarget { port: Some(2222), ..target() },
            SshTarget { user: Some("m".to_owned()), ..target() },
            SshTarget { jump: Some("m".to_owned()), ..target() },
            SshTarget { identity_file: Some("m".into()), ..target() },
        ];
        let sockets: BTreeSet<_> = ways.iter().map(|way| dir.socket(way)).collect();
        assert_eq!(sockets.len(), ways.len());
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
