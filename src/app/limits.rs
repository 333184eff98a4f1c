//! How many hosts are asked at once.

use std::sync::mpsc;

use super::Error;
use crate::inventory::Inventory;
use crate::transport::{descriptor_limit, hosts_at_once};

/// The stack of a thread that only waits.
const MIN_STACK: usize = 16 << 10;

/// That this user may start so many more threads: all are there at once, and end.
///
/// # Errors
/// This machine refuses one.
pub fn can_start_threads(n_threads: usize) -> Result<(), Error> {
    let mut started = Vec::new();
    let refused = (0..n_threads).find_map(|_| {
        let (release, released) = mpsc::channel::<()>();
        match std::thread::Builder::new().stack_size(MIN_STACK).spawn(move || released.recv()) {
            Ok(thread) => {
                started.push((release, thread));
                None
            }
            Err(error) => Some(error),
        }
    });
    let (hold, threads): (Vec<_>, Vec<_>) = started.into_iter().unzip();
    drop(hold);
    for thread in threads {
        // It ends as it is released, with an error that says so.
        thread.join().map(drop).unwrap_or_default();
    }
    refused.map_or(Ok(()), |error| Err(Error::Threads(error)))
}

/// `concurrency`, or as many hosts as this process has file descriptors for, which is said then.
pub(super) fn concurrency(inventory: &Inventory, samples: bool) -> usize {
    let wanted = inventory.cycle.concurrency.max(1);
    let Some(limit) = descriptor_limit() else { return wanted };
    let n_sampled = inventory.hosts.iter().filter(|host| samples && host.sample.is_some()).count();
    let possible = hosts_at_once(limit, n_sampled);
    if possible < wanted.min(inventory.hosts.len()) {
        tracing::warn!(
            "{possible} hosts are asked at once instead of {wanted}: this process may have {limit} open files; \
             raise `ulimit -n` (LimitNOFILE= in a unit), or lower `concurrency`"
        );
    }
    wanted.min(possible)
}
