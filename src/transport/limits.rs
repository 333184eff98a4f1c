//! The number of hosts that this process can ask at once, by the file descriptors that it may have.

use rustix::process::{Resource, getrlimit, setrlimit};

/// The most that one host takes while it is asked: three pipes of a shell, or the start of an `ssh` with
/// five, or two pipes and a socket of a call of its own; and a `ssh` or a command is a descriptor itself.
const PER_HOST: u64 = 8;

/// The descriptors that the loop of a sampled host holds from one cycle to the next.
const PER_STREAM: u64 = 3;

/// Everything that is open beside: the databases with their logs, sockets of the cloud and the webhook, the runtime.
const RESERVED: u64 = 64;

/// Raises the soft limit of open files to the hard one: the usual soft limit is 1,024.
pub fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

/// The number of file descriptors that this process may have; `None` if there is no limit.
pub fn descriptor_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// The number of hosts that can be asked at once by a process that may have `limit` file descriptors, while loops on
/// `n_sampled` hosts go on. At least one.
pub fn hosts_at_once(limit: u64, n_sampled: usize) -> usize {
    let held = u64::try_from(n_sampled).unwrap_or(u64::MAX).saturating_mul(PER_STREAM);
    let left = limit.saturating_sub(RESERVED).saturating_sub(held);
    usize::try_from(left / PER_HOST).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_share_what_the_limit_leaves() {
        assert_eq!(hosts_at_once(1024, 0), 120);
        assert_eq!(hosts_at_once(1024, 200), 45);
        assert_eq!(hosts_at_once(524_288, 1000), 65_153);
    }

    #[test]
    fn one_host_is_asked_however_low_the_limit_is() {
        assert_eq!((hosts_at_once(20, 0), hosts_at_once(1024, 1_000_000)), (1, 1));
    }
}
