//! How many hosts are asked at once.

use crate::inventory::Inventory;
use crate::transport::{descriptor_limit, hosts_at_once};

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
