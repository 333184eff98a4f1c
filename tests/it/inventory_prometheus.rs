//! `[prometheus]`: what it means, and what is told of a wrong one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fleetwatt::inventory::{ListenAddress, PrometheusSettings, SecretSource};

use crate::inventory::{faults_of, good, loaded};

const HOST: &str = "[[host]]\nname = \"a\"\n";

/// `line:column message` of the faults of the section, whose first line is 3.
fn told(section: &str) -> Vec<String> {
    faults_of(loaded(&format!("{HOST}[prometheus]\n{section}")))
}

fn settings(section: &str) -> PrometheusSettings {
    good(&format!("{HOST}[prometheus]\n{section}")).prometheus
}

#[test]
fn everything_of_the_section_is_taken() {
    let settings = settings(
        "listen = \"[::]:9836\"\ntoken_env = \"TOKEN\"\ntextfile = \"/t/fleetwatt.prom\"\nlabels = [\"rack\", \"rack\"]\n\
         max_series = 100000\n",
    );
    assert_eq!(
        settings,
        PrometheusSettings {
            listen: Some(ListenAddress::Tcp("[::]:9836".parse().unwrap())),
            token: Some(SecretSource::Env("TOKEN".to_owned())),
            textfile: Some("/t/fleetwatt.prom".into()),
            labels: vec!["rack".to_owned()],
            max_series: 100_000,
        }
    );
}

#[test]
fn localhost_and_the_path_of_a_socket_are_addresses() {
    let listen = |text: &str| settings(&format!("listen = \"{text}\"")).listen.unwrap();
    assert_eq!(listen("localhost:9836").to_string(), "127.0.0.1:9836");
    assert_eq!(listen("/run/fleetwatt/prometheus"), ListenAddress::Unix("/run/fleetwatt/prometheus".into()));
}

#[test]
fn what_is_no_address_is_told_with_one_that_is() {
    for wrong in ["9836", ":9836", "127.0.0.1", "example.org:9836", "127.0.0.1:99999", ""] {
        assert_eq!(told(&format!("listen = \"{wrong}\"")), ["4:10 `listen` is not an address"], "{wrong}");
    }
}

#[test]
fn other_machines_need_a_token() {
    let open = ["4:10 other machines could read everything"];
    for address in ["0.0.0.0:9836", "[::]:9836", "192.168.1.4:9836", "[::ffff:10.0.0.1]:1"] {
        assert_eq!(told(&format!("listen = \"{address}\"")), open, "{address}");
    }
    for address in ["127.8.0.1:9836", "[::1]:9836", "[::ffff:127.0.0.1]:1", "/run/s"] {
        assert!(settings(&format!("listen = \"{address}\"")).listen.is_some());
    }
}

#[test]
fn a_label_has_a_name_that_prometheus_takes_and_that_is_free() {
    assert_eq!(told("labels = [\"rack-row\"]"), ["4:11 `labels` has a name that is no label of Prometheus"]);
    assert_eq!(told("labels = [\"9a\"]"), ["4:11 `labels` has a name that is no label of Prometheus"]);
    assert_eq!(told("labels = [\"__a\"]"), ["4:11 `labels` has a name that is no label of Prometheus"]);
    assert_eq!(told("labels = [\"gpu\"]"), ["4:11 `labels` has a name that is taken"]);
    let nine = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|label| format!("\"{label}\"")).join(", ");
    assert_eq!(told(&format!("labels = [{nine}]")), ["4:10 `labels` names too many"]);
}

#[test]
fn a_textfile_has_the_name_that_a_collector_reads() {
    assert_eq!(told("textfile = \"/t/fleetwatt.txt\""), ["4:12 `textfile` does not end in .prom"]);
}
