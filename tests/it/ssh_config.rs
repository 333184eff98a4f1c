//! What a user may have in `~/.ssh/config`, over real sshd's.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

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
