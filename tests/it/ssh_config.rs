//! What a user may have in `~/.ssh/config`, over real sshd's.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests are tests too, and make keys"
)]

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::fleet::{Fleet, HostPlan};
use crate::kept_shell::inventory;
use crate::program::{Home, logins, outcomes};

/// Settings for sessions at a terminal, and others that no master needs, each for every host.
const SETTINGS: &[&str] = &[
    "StdinNull yes",
    "SessionType none",
    "SessionType subsystem",
    "RemoteCommand sleep 60",
    "ForkAfterAuthentication yes",
    "RequestTTY force",
    "PermitLocalCommand yes\n    LocalCommand sleep 60",
    "LogLevel QUIET",
    "LogLevel DEBUG3",
    "EscapeChar a",
    "ControlMaster auto\n    ControlPath ~/%C\n    ControlPersist yes",
    "ControlMaster no\n    ControlPath none",
    "LocalForward 127.0.0.1:1 127.0.0.1:1\n    ExitOnForwardFailure yes",
    "VisualHostKey yes",
    "BatchMode no\n    StrictHostKeyChecking ask",
];

#[test]
fn whatever_the_user_has_set_readings_come_by_the_shell_that_waits() {
    let fleet = Fleet::start(vec![HostPlan::new("node", "gpus = 2")]).unwrap();
    let config = std::fs::read_to_string(fleet.ssh_config()).unwrap();
    for (done, setting) in SETTINGS.iter().enumerate() {
        let home = Home::new();
        let path = home.path("ssh_config");
        std::fs::write(&path, format!("Host *\n    {setting}\n{config}")).unwrap();
        let inventory = inventory(&fleet, &home, &[("ssh_config", &format!("'{}'", path.display()))]);
        for _ in 0..2 {
            let ran = home.poll(&inventory, &[]);
            assert_eq!(ran.code, Some(0), "{setting}: {}{}", ran.stdout, ran.stderr);
        }
        assert_eq!(outcomes(&home.rows()), ["node: complete"; 2], "{setting}");
        assert_eq!((logins(&fleet), fleet.commands("node")), (vec![done + 1], done + 1), "{setting}");
    }
}

#[test]
fn a_key_file_that_is_not_there_is_named() {
    let (fleet, home) = (Fleet::start(vec![HostPlan::new("node", "gpus = 2")]).unwrap(), Home::new());
    let config = std::fs::read_to_string(fleet.ssh_config()).unwrap();
    let (path, missing) = (home.path("ssh_config"), home.path("no-key"));
    let without_key = config.lines().filter(|line| !line.contains("IdentityFile"));
    std::fs::write(&path, without_key.collect::<Vec<_>>().join("\n")).unwrap();
    let quoted = |path: &std::path::Path| format!("'{}'", path.display());
    let keys = [("ssh_config", &*quoted(&path)), ("identity_file", &*quoted(&missing))];
    let ran = home.poll(&inventory(&fleet, &home, &keys), &[]);
    assert_eq!((ran.code, outcomes(&home.rows())), (Some(1), vec!["node: key_file".to_owned()]));
    assert!(ran.stdout.contains(missing.to_str().unwrap()), "{}", ran.stdout);
}

#[test]
fn check_finds_what_is_wrong_here_without_connecting() {
    let (fleet, home) = (Fleet::start(HostPlan::many(3, "gpus = 2")).unwrap(), Home::new());
    let key = home.path("key");
    let said = |key: &std::path::Path, known_hosts: &std::path::Path| {
        let quoted = |path: &std::path::Path| format!("'{}'", path.display());
        let keys = [("identity_file", &*quoted(key)), ("known_hosts", &*quoted(known_hosts))];
        let inventory = inventory(&fleet, &home, &keys);
        let ran = home.run(&["check", "--inventory", inventory.to_str().unwrap()]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout.lines().filter(|line| line.starts_with("warning")).map(str::to_owned).collect::<Vec<_>>()
    };
    let known_hosts = fleet.dir().join("known_hosts");
    let right = std::fs::read(fleet.dir().join("client_key")).unwrap();
    let all = "node001, node002 and 1 more: ";
    let is_one = |said: &[String], message: &str| {
        said.len() == 1 && said[0].contains(all) && said[0].contains(message)
    };

    assert_eq!(said(&fleet.dir().join("client_key"), &known_hosts), [] as [String; 0]);
    let missing = said(&key, &known_hosts);
    assert!(is_one(&missing, "No such file"), "{missing:?}");
    std::fs::write(&key, right).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let open = said(&key, &known_hosts);
    assert!(is_one(&open, "chmod 600"), "{open:?}");
    std::fs::remove_file(&key).unwrap();
    let arguments = ["-q", "-t", "ed25519", "-N", "a passphrase", "-f"];
    assert!(Command::new("ssh-keygen").args(arguments).arg(&key).status().unwrap().success());
    let encrypted = said(&key, &known_hosts);
    assert!(is_one(&encrypted, "has a passphrase"), "{encrypted:?}");

    let text = std::fs::read_to_string(&known_hosts).unwrap();
    let without_second = home.path("known_hosts");
    let others = text.lines().enumerate().filter(|(at, _)| *at != 1).map(|(_, line)| line);
    std::fs::write(&without_second, others.collect::<Vec<_>>().join("\n")).unwrap();
    let unknown = said(&fleet.dir().join("client_key"), &without_second);
    assert!(unknown.len() == 1 && unknown[0].contains("node002: the host key of"), "{unknown:?}");
    assert_eq!(logins(&fleet), [0; 3]);
}
