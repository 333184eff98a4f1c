//! The listener over real connections, from well-behaved clients and others.

use std::collections::BTreeMap;
use std::io::Read;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::batch::fixtures;
use crate::output::Publisher;

/// A server on a port of its own, for as long as it is held.
struct Running {
    address: SocketAddr,
    publisher: Publisher,
    _serving: JoinSet<()>,
}

fn choice() -> Choice {
    Choice::from(&crate::inventory::PrometheusSettings::default())
}

async fn running(token: Option<&str>) -> Running {
    let loopback = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
    let server = Server::bind(&loopback, token.map(Secret::new).as_ref(), choice()).await.unwrap();
    let (address, publisher) = (server.local_address().unwrap(), Publisher::new());
    let mut serving = JoinSet::new();
    serving.spawn(server.serve(publisher.subscribe()));
    Running { address, publisher, _serving: serving }
}

async fn running_with_a_fleet(token: Option<&str>) -> Running {
    let running = running(token).await;
    running.publisher.publish(fixtures::fleet().into());
    running
}

impl Running {
    /// Sends bytes, and reads until the connection is closed.
    async fn send(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is reset has its answer too.
        drop(stream.read_to_end(&mut answer).await);
        answer
    }

    /// The status, the headers and the body of an answer to a GET.
    async fn get(&self, path: &str, headers: &str) -> (u16, String, Vec<u8>) {
        parts(&self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes()).await)
    }
}

fn parts(answer: &[u8]) -> (u16, String, Vec<u8>) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

fn words((status, _, body): (u16, String, Vec<u8>)) -> (u16, String) {
    (status, String::from_utf8(body).unwrap().trim_end().to_owned())
}

#[tokio::test]
async fn before_the_first_cycle_it_lives_and_is_not_ready() {
    let running = running(None).await;
    assert_eq!(words(running.get("/healthz", "").await), (200, "ok".to_owned()));
    for path in ["/readyz", "/metrics", "/sd"] {
        assert_eq!(words(running.get(path, "").await), (503, "no cycle has ended yet".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn metrics_come_in_the_form_that_is_asked_for() {
    let running = running_with_a_fleet(None).await;
    let snapshot = Snapshot::from(fixtures::fleet());
    for (accept, format) in [
        ("", Format::Text),
        (
            "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2\r\n",
            Format::OpenMetrics,
        ),
        ("Accept: application/openmetrics-text;q=0,text/plain\r\n", Format::Text),
    ] {
        let (status, head, body) = running.get("/metrics", accept).await;
        assert_eq!((status, String::from_utf8(body).unwrap()), (200, metrics(&snapshot, &choice(), format)));
        assert!(head.contains(&format!("content-type: {}", format.content_type())), "{head}");
    }
}

#[tokio::test]
async fn a_zipped_answer_is_the_same() {
    let running = running_with_a_fleet(None).await;
    let (_, _, plain) = running.get("/metrics", "").await;
    let (_, head, zipped) = running.get("/metrics", "Accept-Encoding: deflate, gzip\r\n").await;
    let mut unzipped = Vec::new();
    flate2::read::GzDecoder::new(zipped.as_slice()).read_to_end(&mut unzipped).unwrap();
    assert!(head.contains("content-encoding: gzip") && zipped.len() < plain.len() / 4);
    assert_eq!(unzipped, plain);
}

#[tokio::test]
async fn each_cycle_is_rendered_anew() {
    let running = running_with_a_fleet(None).await;
    let (_, _, first) = running.get("/metrics", "").await;
    let mut batch = fixtures::fleet();
    batch.reports.truncate(1);
    running.publisher.publish(batch.into());
    let (_, _, second) = running.get("/metrics", "").await;
    assert!(second.len() < first.len());
}

#[tokio::test]
async fn one_host_is_probed_and_others_are_refused_with_words() {
    let running = running_with_a_fleet(None).await;
    let (status, body) = words(running.get("/probe?module=x&target=node%30%301", "").await);
    assert_eq!(status, 200);
    assert!(body.contains(r#"fleetwatt_host_up{node="node001"} 1"#) && !body.contains("redfin"));
    let nobody = (404, "the inventory has no host of this name".to_owned());
    assert_eq!(words(running.get("/probe?target=nobody", "").await), nobody);
    assert_eq!(words(running.get("/probe", "").await), (400, "name a host: /probe?target=HOST".to_owned()));
}

#[tokio::test]
async fn hosts_are_discovered_with_labels_that_collide_with_no_metric() {
    let running = running_with_a_fleet(None).await;
    let (_, head, body) = running.get("/sd", "").await;
    let groups: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(head.contains("content-type: application/json"));
    assert_eq!(
        groups[0],
        json!({ "targets": ["redfin"], "labels": { "__meta_fleetwatt_label_room": "lab" } })
    );
    assert_eq!(groups.as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn without_the_token_nothing_is_told_but_that_it_lives() {
    let running = running_with_a_fleet(Some("s3cret")).await;
    for headers in ["", "Authorization: Bearer s3cre\r\n", "Authorization: Basic s3cret\r\n"] {
        for path in ["/metrics", "/probe?target=redfin", "/sd", "/readyz", "/"] {
            let (status, head, body) = running.get(path, headers).await;
            assert_eq!((status, body), (401, b"a bearer token is needed\n".to_vec()), "{path} {headers}");
            assert!(head.contains("www-authenticate: bearer"));
        }
    }
    assert_eq!(running.get("/metrics", "Authorization: bearer s3cret\r\n").await.0, 200);
    assert_eq!(running.get("/healthz", "").await.0, 200);
}

#[tokio::test]
async fn nothing_but_get_is_answered() {
    let running = running_with_a_fleet(None).await;
    for method in ["POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT"] {
        let request = format!("{method} /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        let (status, head, _) = parts(&running.send(request.as_bytes()).await);
        assert_eq!(status, 405, "{method}");
        assert!(head.contains("allow: get"), "{method}");
    }
}

#[tokio::test]
async fn headers_without_end_and_noise_are_refused_and_the_next_is_served() {
    let running = running_with_a_fleet(None).await;
    let endless = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(1_000));
    for request in [endless.as_bytes(), many.as_bytes(), b"\x16\x03\x01\x02\x00\x01\x00\xfc", &[0; 9_000]] {
        let answer = running.send(request).await;
        assert!(answer.is_empty() || [400, 431].contains(&parts(&answer).0));
    }
    assert_eq!(running.get("/metrics", "").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_end_is_closed_and_holds_nobody_up() {
    let running = running_with_a_fleet(None).await;
    let mut slow = Vec::new();
    for _ in 0..MAX_CONNECTIONS - 1 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"GET /metrics HT").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(running.get("/metrics", "").await.0, 200);
    for mut stream in slow {
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        assert!(answer.is_empty() || parts(&answer).0 == 408);
    }
}

#[test]
fn labels_of_the_inventory_are_names_of_prometheus() {
    let mut batch = fixtures::fleet();
    batch.reports.truncate(1);
    batch.reports[0].labels = BTreeMap::from([("rack-row".to_owned(), "a".to_owned())]);
    assert!(service_discovery(&batch.into()).contains(r#""__meta_fleetwatt_label_rack_row":"a""#));
}
