//! A host that is asked by two tools (feature `test-tools`): in one session, and one that fails costs nothing of the
//! other's readings.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::fleet::{Fleet, HostPlan};
use crate::program::{Home, logins, of_type, outcomes};

/// A login that finds, in place of the second tool's program, one that does this.
fn with_second_tool(dir: &Path, name: &str, does: &str) -> HostPlan {
    let (folder, program) = (dir.join(name), dir.join(name).join("cat"));
    std::fs::create_dir(&folder).unwrap();
    let script = format!("#!/bin/sh\ncase \"$*\" in */proc/uptime*) {does};; esac\nexec /bin/cat \"$@\"\n");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let login = format!("PATH={}:$PATH; eval \"$SSH_ORIGINAL_COMMAND\"", folder.display());
    HostPlan::new(name, "gpus = 2").forced(&login)
}

#[test]
fn both_are_asked_in_one_session_and_one_that_fails_costs_nothing_of_the_other() {
    let programs = tempfile::tempdir().unwrap();
    let plans = vec![
        HostPlan::new("good", "gpus = 2"),
        HostPlan::new("no-driver", "fault = 'no-driver'"),
        HostPlan::new("hanging", "fault = 'hang'"),
        with_second_tool(programs.path(), "no-uptime", "exit 1"),
        with_second_tool(programs.path(), "uptime-hangs", "exec sleep 600"),
    ];
    let (fleet, home) = (Fleet::start(plans).unwrap(), Home::new());
    let text = std::fs::read_to_string(fleet.inventory()).unwrap();
    let text = text.replace("[defaults]\n", "[defaults]\nprobes = [\"nvidia-smi\", \"uptime\"]\n");
    assert!(text.contains("probes"), "{text}");
    let ran = home.poll(&home.inventory(&text), &[]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let rows = home.rows();
    assert_eq!(
        outcomes(&rows),
        [
            "good: complete",
            "no-driver: partial",
            "hanging: partial",
            "no-uptime: partial",
            "uptime-hangs: partial"
        ]
    );
    // Those of the hosts whose second tool fails are there too.
    assert_eq!(of_type(&rows, "gpu_power_draw").len(), 6);
    for row in of_type(&rows, "node_up").iter().take(3) {
        let number = |label: &str| row.3["labels"][label].as_str().and_then(|text| text.parse::<f64>().ok());
        assert!(number("host_uptime_s").is_some() && number("host_load1").is_some(), "{row:?}");
    }
    assert!(ran.stdout.contains("one of the host's tools failed"), "{}", ran.stdout);
    assert_eq!(logins(&fleet)[..2], [1, 1]);
}
