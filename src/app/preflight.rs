//! Files on this machine that hosts are reached by, looked at before the first of them is tried: a key that is not
//! there is the same failure at each host in each cycle, and its cause is here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use crate::inventory::{Host, HostKeyPolicy, SshTarget};
use crate::support::counted;

/// A file that the inventory names and that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    /// The inventory's key that names it.
    key: &'static str,
    path: PathBuf,
    /// The hosts that cannot be reached for it.
    hosts: Vec<String>,
    source: io::Error,
}

/// Says what cannot be read.
///
/// # Errors
/// No host can be reached for it.
pub(super) fn look_at_files(hosts: &[Host]) -> Result<(), Error> {
    let unreadable = unreadable(hosts);
    let affected: BTreeSet<&str> =
        unreadable.iter().flat_map(|file| &file.hosts).map(String::as_str).collect();
    if affected.len() < hosts.len() {
        for Unreadable { key, path, hosts, source } in &unreadable {
            tracing::error!(
                "{key} `{}` of {}: {source}",
                path.display(),
                counted(hosts.len(), "host", "hosts")
            );
        }
        return Ok(());
    }
    match unreadable.into_iter().next() {
        Some(Unreadable { key, path, source, .. }) => Err(Error::HostFile(key, path, source)),
        None => Ok(()),
    }
}

/// Each file once, with its hosts.
fn unreadable(hosts: &[Host]) -> Vec<Unreadable> {
    let mut looked_at: BTreeMap<(&'static str, &Path), Option<Unreadable>> = BTreeMap::new();
    for host in hosts {
        let Some(target) = host.ssh_target() else { continue };
        for (key, path) in files_of(target) {
            let found = looked_at.entry((key, path)).or_insert_with(|| look(key, path));
            if let Some(unreadable) = found {
                unreadable.hosts.push(host.name.clone());
            }
        }
    }
    looked_at.into_values().flatten().collect()
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

fn look(key: &'static str, path: &Path) -> Option<Unreadable> {
    // Looked up and not opened, which would wait at a FIFO.
    let source = rustix::fs::access(path, rustix::fs::Access::READ_OK).err()?.into();
    // With the private key in an agent, its public half is enough to name it.
    let public_half = path.with_file_name(format!("{}.pub", path.file_name()?.display()));
    if key == "identity_file" && public_half.exists() {
        return None;
    }
    Some(Unreadable { key, path: path.to_owned(), hosts: Vec::new(), source })
}
