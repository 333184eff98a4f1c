//! Files on this machine that hosts are reached by, looked at before the first of them is tried: a key that is not
//! there is the same failure at each host in each cycle, and its cause is here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::Error;
use crate::inventory::{Host, HostKeyPolicy, SshTarget};
use crate::support::counted;

/// A file that cannot be read for a reason, and the hosts that name it.
type Unread<'a> = (Option<io::Error>, Vec<&'a str>);

/// Says which files cannot be read, each once.
///
/// # Errors
/// No host can be reached for it.
pub(super) fn look_at_files(hosts: &[Host]) -> Result<(), Error> {
    let mut looked_at: BTreeMap<(&'static str, &Path), Unread<'_>> = BTreeMap::new();
    for host in hosts {
        for (key, path) in host.ssh_target().into_iter().flat_map(files_of) {
            let found = looked_at.entry((key, path)).or_insert_with(|| (look(key, path), Vec::new()));
            found.1.push(&host.name);
        }
    }
    looked_at.retain(|_, (error, _)| error.is_some());
    let affected: BTreeSet<&str> = looked_at.values().flat_map(|(_, hosts)| hosts).copied().collect();
    for ((key, path), (source, of_file)) in looked_at {
        let Some(source) = source else { continue };
        if affected.len() == hosts.len() {
            return Err(Error::HostFile(key, path.to_owned(), source));
        }
        let n_hosts = counted(of_file.len(), "host", "hosts");
        tracing::error!("{key} `{}` of {n_hosts}: {source}", path.display());
    }
    Ok(())
}

/// The files without which no login can work. What begins with `~` is ssh's to expand.
fn files_of(target: &SshTarget) -> impl Iterator<Item = (&'static str, &Path)> {
    let is_strict = target.host_key == HostKeyPolicy::Strict;
    let files = [
        ("identity_file", target.identity_file.as_deref()),
        ("ssh_config", target.ssh_config.as_deref()),
        // Another policy has ssh make it.
        ("known_hosts", target.known_hosts.as_deref().filter(|_| is_strict)),
    ];
    files.into_iter().filter_map(|(key, path)| Some((key, path?))).filter(|(_, path)| path.is_absolute())
}

/// Why a file cannot be read; `None` if it can.
fn look(key: &'static str, path: &Path) -> Option<io::Error> {
    // Looked up and not opened, which would wait at a FIFO.
    let error = rustix::fs::access(path, rustix::fs::Access::READ_OK).err()?;
    // With the private key in an agent, its public half is enough to name it.
    let public_half = path.with_file_name(format!("{}.pub", path.file_name()?.display()));
    (key != "identity_file" || !public_half.exists()).then(|| error.into())
}
