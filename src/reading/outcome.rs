//! The outcome of an attempt to read a host. Every host has exactly one in every cycle.

use std::fmt;

use super::table::table;
use super::{Reason, SafeText, Timestamp, Wording, Wordings};

/// The end of the attempt to read one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every GPU answered.
    Complete,
    /// Some GPUs answered; the report's faults say what is missing.
    Partial,
    /// Nothing usable came.
    Failed(Failure),
}

impl Outcome {
    /// Whether readings came: the value of a `node_up` event.
    pub const fn is_up(&self) -> bool {
        self.failure().is_none()
    }

    /// Why nothing usable came, if nothing did.
    pub const fn failure(&self) -> Option<&Failure> {
        if let Self::Failed(failure) = self { Some(failure) } else { None }
    }

    /// A short, stable label: `complete`, `partial`, or the kind of the failure.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Failed(failure) => failure.kind.label(),
        }
    }

    /// The failure and its hint, for a person; empty when all is well.
    pub fn to_message(&self) -> String {
        let message =
            |failure: &Failure| format!("{}; {}", failure.to_string().trim_end_matches('.'), failure.hint());
        self.failure().map(message).unwrap_or_default()
    }
}

/// Why nothing usable came from a host: which step failed, and the line that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The step that failed.
    pub kind: FailureKind,
    /// The line of evidence as the tool printed it, cleaned and bounded. May be empty.
    pub evidence: SafeText,
    /// Since when this host's last call has not returned; only with [`FailureKind::Hung`].
    pub since: Option<Timestamp>,
    /// The text about it for a person.
    pub wording: Wording,
}

impl Failure {
    /// A failure of one kind with its line of evidence.
    pub fn new(kind: FailureKind, evidence: &str) -> Self {
        Self { kind, evidence: SafeText::new(evidence), since: None, wording: kind.wording() }
    }

    /// The same failure in the words of a tool.
    #[must_use]
    pub fn worded(mut self, wordings: Wordings<FailureKind>) -> Self {
        self.wording = self.kind.wording().of_tool(&self.kind, wordings);
        self
    }

    /// The advice to a person, with the name of the jump host where that is what failed.
    pub fn hint(&self) -> String {
        let hint = self.wording.hint;
        match ssh_to_jump(self.evidence.as_str()).filter(|_| self.kind == FailureKind::Jump) {
            Some(command) => hint.replace("ssh <jump host>", &command),
            None => hint.to_owned(),
        }
    }
}

/// The command that reaches the jump host which evidence begins with, as `user@host:port: …`: the last of several
/// hops, by way of the others.
fn ssh_to_jump(evidence: &str) -> Option<String> {
    let (hops, _) = evidence.split_once(": ").filter(|(hops, _)| !hops.contains(' '))?;
    let (way, last) = match hops.rsplit_once(',') {
        Some((way, last)) => (format!(" -J {way}"), last),
        None => (String::new(), hops),
    };
    let port = last.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    Some(match port {
        Some((host, port)) => format!("ssh{way} -p {port} {host}"),
        None => format!("ssh{way} {last}"),
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wording.message)?;
        if let Some(since) = self.since {
            write!(f, " since {since}")?;
        }
        if !self.evidence.is_empty() {
            write!(f, ": {}", self.evidence)?;
        }
        Ok(())
    }
}

impl FailureKind {
    /// A short, stable label for a database column, a metric or a log field.
    pub const fn label(self) -> &'static str {
        self.row().0
    }

    /// Its wording, whichever tool it is.
    pub const fn wording(self) -> Wording {
        let (_, message, hint) = self.row();
        Wording { message, hint }
    }

    /// The failure of a host of which no GPU gives its power, by the reason of the first that tells one.
    pub fn of_powerless(reason: Reason) -> Self {
        let kinds = [
            (Reason::GpuLost, Self::GpuLost),
            (Reason::ResetRequired, Self::ResetRequired),
            (Reason::NoPermission, Self::NoPermission),
            (Reason::Timeout, Self::DriverTimeout),
        ];
        kinds.into_iter().find(|(known, _)| *known == reason).map_or(Self::NoPower, |(_, kind)| kind)
    }
}

table! {
    /// The step of reading a host that failed, in the order of the steps.
    FailureKind;
    /// Its label, what happened, and what a person can do about it.
    row: (&'static str, &'static str, &'static str);
    Resolve: ("resolve", "the name cannot be resolved",
        "set `address` for this host in the inventory, or fix the name in DNS or ~/.ssh/config");
    /// No TCP connection: refused, no route, reset.
    Connect: ("connect", "no connection",
        "check that the host is up and that sshd listens at this address and port");
    ConnectTimeout: ("connect_timeout", "no connection in time",
        "check that the host is up and not behind a firewall, or raise `connect_timeout`");
    Jump: ("jump", "the jump host failed",
        "try `ssh <jump host>` as the user that runs fleetwatt; every host behind it fails with it");
    HostKeyUnknown: ("host_key_unknown", "the host key is not known",
        "compare its fingerprint, then add it with `ssh-keyscan` or by logging in once, or set `host_key = \"accept-new\"`");
    HostKeyChanged: ("host_key_changed", "the host key has changed",
        "if the host was reinstalled, remove the old key with `ssh-keygen -R`; if not, somebody may be in between");
    Auth: ("auth", "the login was refused",
        "put the public key into the host's authorized_keys, and check `user` and `identity_file`");
    /// The connection broke, or its master does not answer.
    Session: ("session", "the SSH session broke",
        "the next cycle connects anew; if it stays, look into sshd's log on the host");
    KeyFile: ("key_file", "a key file cannot be used here",
        "check `identity_file` in the inventory or IdentityFile in ~/.ssh/config: it must be there, and readable for the user that runs fleetwatt alone");
    Spawn: ("spawn", "the command could not be started here",
        "check that the OpenSSH client (or the tool, for a local host) is installed here, and its configuration");
    LocalShortage: ("local_shortage", "this machine, not the host, ran out of what a call needs",
        "raise the limit here (`ulimit -n` for open files, `ulimit -u` for processes; LimitNOFILE= and TasksMax= in a unit), or lower `concurrency`");
    CommandMissing: ("command_missing", "the tool was not found",
        "install it there, or name its full path in the inventory");
    TimeoutMissing: ("timeout_missing", "the `timeout` command was not found",
        "install coreutils on the host: without it a hung tool could not be ended");
    NoDriver: ("no_driver", "the driver is not running",
        "load it, or install it for the running kernel");
    NoLibrary: ("no_library", "the driver's library was not found",
        "install it on the host");
    DriverMismatch: ("driver_mismatch", "driver and library versions differ",
        "the driver was upgraded while loaded: reboot the host");
    NoGpus: ("no_gpus", "no GPU was found",
        "check that the host has one, and that this login may see it");
    /// GPUs are there, none can be reached.
    GpuLost: ("gpu_lost", "the GPU is lost",
        "look for Xid messages in the kernel log; a reset or reboot is needed");
    ResetRequired: ("reset_required", "the GPU requires a reset",
        "drain the host and reset the GPU, or reboot it");
    NoPermission: ("no_permission", "the user may not read the GPU",
        "give this user access to the GPU's device files on the host");
    Blocked: ("blocked", "the operating system blocks the GPU",
        "look for a policy that denies the GPU's device files");
    /// NVML does not start, and says no more than that.
    InitUnknown: ("init_unknown", "the driver's library cannot be started",
        "look into the host's kernel log");
    DriverTimeout: ("driver_timeout", "the driver had no answer from a GPU",
        "look for NVRM and Xid messages in the kernel log; a reset or reboot may be needed");
    Interrupt: ("interrupt", "the kernel has a problem with a GPU's interrupts",
        "reseat the board, or try another PCIe or interrupt setting (`pci=nomsi`, IOMMU)");
    ExternalPower: ("external_power", "a GPU's power cables are not connected",
        "switch the machine off and connect the board's power cables");
    Inforom: ("inforom", "a GPU's configuration memory is damaged",
        "the board's maker can repair it");
    OutOfMemory: ("out_of_memory", "no memory was left for the driver's library",
        "look for what uses up the memory of the host or the login's cgroup");
    /// The installed boards are none that the driver's library can read.
    NotSupported: ("not_supported", "the tool does not support this machine",
        "use another tool");
    NoPower: ("no_power", "no GPU gives a power reading",
        "compare with the tool's own answer on the host");
    Refused: ("refused", "the tool refused the query",
        "run the command by hand there; its version may be too old");
    RemoteExit: ("remote_exit", "the tool failed",
        "run it on the host and look into its kernel log");
    OutputTooLarge: ("output_too_large", "the answer was too large and was cut off",
        "run the command by hand there: something else than the tool answers");
    Garbled: ("garbled", "the answer was not the tool's",
        "run the command by hand there; a login script or a wrapper may print into it");
    /// Connected, but no answer within `timeout`.
    Timeout: ("timeout", "no answer in time",
        "run the tool on the host; if it is only slow, raise `timeout`");
    /// An earlier call has not returned; no second one is started behind it.
    Hung: ("hung", "an earlier command still hangs",
        "look for its process in D state on the host; it probably needs a reboot");
    StillBusy: ("still_busy", "still busy with the last cycle",
        "raise the interval, or lower this host's `timeout`");
    Late: ("late", "not done when the cycle closed",
        "raise the interval or the concurrency, or lower `timeout`");
    Internal: ("internal", "fleetwatt itself failed on this host",
        "this is a defect of fleetwatt: please report it with the log");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_failure_kind_has_a_label_of_its_own() {
        let labels: BTreeSet<_> = FailureKind::ALL.iter().map(|kind| kind.label()).collect();
        assert_eq!(labels.len(), FailureKind::ALL.len());
    }

    #[test]
    fn a_jump_host_that_failed_is_named_in_what_to_try() {
        let hint = |evidence| Failure::new(FailureKind::Jump, evidence).hint();
        for (evidence, command) in [
            ("bastion: Connection refused", "`ssh bastion`"),
            ("ops@bastion:2222: Connection refused", "`ssh -p 2222 ops@bastion`"),
            ("gate,ops@inner: Connection refused", "`ssh -J gate ops@inner`"),
            ("Connection refused", "`ssh <jump host>`"),
        ] {
            assert!(hint(evidence).contains(command), "{}", hint(evidence));
        }
    }

    #[test]
    fn a_failure_reads_as_step_evidence_and_remedy() {
        let failure = Failure::new(FailureKind::NoDriver, "The tool has failed because\n…");
        assert_eq!(
            Outcome::Failed(failure).to_message(),
            "the driver is not running: The tool has failed because …; \
             load it, or install it for the running kernel"
        );
    }
}
