//! A host that is asked by two tools (feature `test-tools`): in one session, and one that fails costs nothing of the
//! other's readings.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use crate::fleet::{Fleet, HostPlan};
use crate::program::{Home, logins, of_type, outcomes};

#[test]
fn both_are_asked_in_one_session_and_one_that_fails_costs_nothing_of_the_other() {
    let plans = vec![
        HostPlan::new("good", "gpus = 2"),
        HostPlan::new("no-driver", "fault = 'no-driver'"),
        HostPlan::new("hanging", "fault = 'hang'"),
    ];
    let (fleet, home) = (Fleet::start(plans).unwrap(), Home::new());
    let text = std::fs::read_to_string(fleet.inventory()).unwrap();
    let text = text.replace("[defaults]\n", "[defaults]\nprobes = [\"nvidia-smi\", \"uptime\"]\n");
    assert!(text.contains("probes"), "{text}");
    let ran = home.poll(&home.inventory(&text), &[]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let rows = home.rows();
    assert_eq!(outcomes(&rows), ["good: complete", "no-driver: partial", "hanging: partial"]);
    assert_eq!(of_type(&rows, "gpu_power_draw").len(), 2);
    for row in of_type(&rows, "node_up") {
        let number = |label: &str| row.3["labels"][label].as_str().and_then(|text| text.parse::<f64>().ok());
        assert!(number("host_uptime_s").is_some() && number("host_load1").is_some(), "{row:?}");
    }
    assert!(ran.stdout.contains("one of the host's tools failed"), "{}", ran.stdout);
    assert_eq!(logins(&fleet)[..2], [1, 1]);
}
