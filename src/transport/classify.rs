//! The messages of OpenSSH when it cannot connect, as the step that failed.
//!
//! The texts are those of OpenSSH 9.2 and of the C library's `strerror` in the C locale.

use crate::reading::{Failure, FailureKind};

/// A text of ssh and the step it stands for; an earlier row wins over a later one.
const TEXTS: &[(&str, FailureKind)] = &[
    ("Could not resolve hostname", FailureKind::Resolve),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", FailureKind::HostKeyChanged),
    ("Host key for ", FailureKind::HostKeyChanged),
    ("host key is known for", FailureKind::HostKeyUnknown),
    ("Host key verification failed", FailureKind::HostKeyUnknown),
    ("Permission denied (", FailureKind::Auth),
    ("Too many authentication failures", FailureKind::Auth),
    ("Bad owner or permissions", FailureKind::Spawn),
    ("Bad configuration option", FailureKind::Spawn),
    ("Bad SSH2 KexAlgorithms", FailureKind::Spawn),
    ("Can't open user config file", FailureKind::Spawn),
    // What ssh says of itself where it may not have another process or file.
    ("daemon() failed: ", FailureKind::LocalShortage),
    ("fork: Resource temporarily unavailable", FailureKind::LocalShortage),
    ("fork failed: ", FailureKind::LocalShortage),
    ("socket: Too many open files", FailureKind::LocalShortage),
    ("Connection timed out", FailureKind::ConnectTimeout),
    ("Operation timed out", FailureKind::ConnectTimeout),
    ("timed out during banner exchange", FailureKind::ConnectTimeout),
    ("Unable to negotiate with", FailureKind::Connect),
    ("Connection refused", FailureKind::Connect),
    ("No route to host", FailureKind::Connect),
    ("Network is unreachable", FailureKind::Connect),
    ("kex_exchange_identification", FailureKind::Connect),
    ("banner exchange", FailureKind::Connect),
    ("Connection reset by", FailureKind::Connect),
    ("Connection closed by", FailureKind::Connect),
];

/// The failure that ssh's messages tell of, with the line that shows it.
///
/// `jump` is the target's jump host, if it has one: what goes wrong on the way there is its failure, not
/// the target's.
pub(super) fn classify(stderr: &str, jump: Option<&str>) -> Failure {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let found = TEXTS
        .iter()
        .find_map(|(text, kind)| lines.iter().find(|line| line.contains(text)).map(|line| (*kind, *line)));
    let Some((kind, line)) = found else {
        return Failure::new(FailureKind::Connect, lines.last().copied().unwrap_or("ssh said nothing"));
    };
    let evidence = evidence(&lines, kind, line);
    if let Some(jump) = jump
        && is_of_the_jump(&lines, kind, line, jump)
    {
        return Failure::new(FailureKind::Jump, &format!("{jump}: {evidence}"));
    }
    let has_key_trouble = kind == FailureKind::Auth && lines.iter().any(|line| is_of_a_key_file(line));
    Failure::new(if has_key_trouble { FailureKind::KeyFile } else { kind }, &evidence)
}

/// Whether ssh's messages tell of a connection that failed.
pub(super) fn is_known(stderr: &str) -> bool {
    TEXTS.iter().any(|(text, _)| stderr.contains(text))
}

/// Whether the connection may succeed if it is tried again at once: sshd drops connections at random
/// when too many are opening (`MaxStartups`).
pub(super) fn is_worth_a_retry(failure: &Failure) -> bool {
    let text = failure.evidence.as_str();
    matches!(failure.kind, FailureKind::Connect | FailureKind::Jump)
        && ["kex_exchange_identification", "Connection reset by", "Connection closed by"]
            .iter()
            .any(|hint| text.contains(hint))
}

/// With a jump host there are two ssh: the inner one's messages name the jump host; the outer one's say
/// `UNKNOWN port 65535`, since it talks through a pipe. A channel that the jump host opened in vain is
/// the target's fault.
fn is_of_the_jump(lines: &[&str], kind: FailureKind, line: &str, jump: &str) -> bool {
    if lines.iter().any(|line| line.contains("open failed") || line.contains("stdio forwarding failed")) {
        return false;
    }
    let host_of = |hop: &str| {
        let host = hop.rsplit('@').next().unwrap_or(hop);
        host.split(':').next().unwrap_or(host).to_owned()
    };
    let names_a_hop = jump.split(',').any(|hop| line.contains(&host_of(hop)));
    let pipe_broke = lines.iter().any(|line| line.contains("UNKNOWN port 65535"));
    let before_the_target = matches!(
        kind,
        FailureKind::Resolve | FailureKind::Connect | FailureKind::ConnectTimeout | FailureKind::Auth
    );
    names_a_hop || (pipe_broke && before_the_target)
}

/// The line that helps most: where the offending key stands, and which key file could not be used.
fn evidence(lines: &[&str], kind: FailureKind, line: &str) -> String {
    let better = lines.iter().find(|line| {
        (kind == FailureKind::HostKeyChanged && line.contains("Offending"))
            || (kind == FailureKind::Auth && is_of_a_key_file(line))
    });
    match better {
        // The line itself is only the banner of a warning.
        Some(better) if kind == FailureKind::HostKeyChanged => (*better).to_owned(),
        Some(better) => format!("{}; {line}", better.trim_end_matches('.')),
        None => line.to_owned(),
    }
}

/// Whether a line says that a key file of this side could not be used, and names it.
fn is_of_a_key_file(line: &str) -> bool {
    ["Identity file ", "no such identity: ", "Load key \"", "Permissions 0"]
        .iter()
        .zip(["not accessible", "", "", "are too open"])
        .any(|(begin, end)| line.contains(begin) && line.contains(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stderr: &str, kind: FailureKind, evidence: &str) {
        let failure = classify(stderr, None);
        assert_eq!((failure.kind, failure.evidence.as_str()), (kind, evidence));
    }

    #[test]
    fn each_message_of_openssh_is_the_step_it_stands_for() {
        check(
            "ssh: Could not resolve hostname gpu9.invalid: Name or service not known\r\n",
            FailureKind::Resolve,
            "ssh: Could not resolve hostname gpu9.invalid: Name or service not known",
        );
        check(
            "ssh: connect to host 127.0.0.1 port 1: Connection refused\r\n",
            FailureKind::Connect,
            "ssh: connect to host 127.0.0.1 port 1: Connection refused",
        );
        check(
            "ssh: connect to host 10.0.0.1 port 22: Connection timed out",
            FailureKind::ConnectTimeout,
            "ssh: connect to host 10.0.0.1 port 22: Connection timed out",
        );
        check(
            "Connection timed out during banner exchange\r\nConnection to 127.0.0.1 port 2222 timed out",
            FailureKind::ConnectTimeout,
            "Connection timed out during banner exchange",
        );
        check(
            "fleet@127.0.0.1: Permission denied (publickey).",
            FailureKind::Auth,
            "fleet@127.0.0.1: Permission denied (publickey).",
        );
        check(
            "No ED25519 host key is known for [127.0.0.1]:2222 and you have requested strict checking.\nHost key verification failed.",
            FailureKind::HostKeyUnknown,
            "No ED25519 host key is known for [127.0.0.1]:2222 and you have requested strict checking.",
        );
        check("something new", FailureKind::Connect, "something new");
    }

    #[test]
    fn a_key_file_that_cannot_be_used_is_named_and_no_fault_of_the_host() {
        check(
            "Warning: Identity file /home/m/.ssh/gpu not accessible: No such file or directory.\n\
             m@gpu1: Permission denied (publickey).",
            FailureKind::KeyFile,
            "Warning: Identity file /home/m/.ssh/gpu not accessible: No such file or directory; \
             m@gpu1: Permission denied (publickey).",
        );
        check(
            "no such identity: /home/m/.ssh/gpu: No such file or directory\nm@gpu1: Permission denied (publickey).",
            FailureKind::KeyFile,
            "no such identity: /home/m/.ssh/gpu: No such file or directory; m@gpu1: Permission denied (publickey).",
        );
        check(
            "Permissions 0644 for '/home/m/.ssh/gpu' are too open.\nThis private key will be ignored.\n\
             Load key \"/home/m/.ssh/gpu\": bad permissions\nm@gpu1: Permission denied (publickey).",
            FailureKind::KeyFile,
            "Permissions 0644 for '/home/m/.ssh/gpu' are too open; m@gpu1: Permission denied (publickey).",
        );
    }

    #[test]
    fn a_changed_key_names_the_line_of_known_hosts() {
        let stderr = "@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@@@@@@@\n\
            Offending ED25519 key in /home/m/.ssh/known_hosts:3\nHost key verification failed.";
        let failure = classify(stderr, None);
        assert_eq!(failure.kind, FailureKind::HostKeyChanged);
        assert_eq!(failure.evidence.as_str(), "Offending ED25519 key in /home/m/.ssh/known_hosts:3");
    }

    #[test]
    fn a_jump_host_that_is_down_is_its_own_failure() {
        let stderr = "ssh: connect to host bastion port 22: Connection refused\r\n\
            kex_exchange_identification: Connection closed by remote host\r\n\
            Connection closed by UNKNOWN port 65535";
        let failure = classify(stderr, Some("ops@bastion:22"));
        assert_eq!(failure.kind, FailureKind::Jump);
        assert_eq!(
            failure.evidence.as_str(),
            "ops@bastion:22: ssh: connect to host bastion port 22: Connection refused"
        );
    }

    #[test]
    fn a_target_that_the_jump_host_cannot_reach_is_the_targets_failure() {
        let stderr = "channel 0: open failed: connect failed: Connection refused\r\nstdio forwarding failed\r\n\
            Connection closed by UNKNOWN port 65535";
        assert_eq!(classify(stderr, Some("bastion")).kind, FailureKind::Connect);
    }

    #[test]
    fn a_dropped_connection_is_worth_a_retry_and_a_refused_login_is_not() {
        let dropped = classify("kex_exchange_identification: read: Connection reset by peer", None);
        let refused = classify("m@gpu1: Permission denied (publickey).", None);
        assert!(is_worth_a_retry(&dropped) && !is_worth_a_retry(&refused));
    }
}
