//! The broker of the cloud: who gets in, what is granted, and how it fails.

use crate::cloud::{Cloud, Options, Refusal};

use super::client::{Listener, plain};

const CODE: &str = "A1790P";
const SERIAL: &str = "9DNC2C0TEST00001";

fn topic(rest: &str) -> String {
    format!("dt/anker_power/{CODE}/{SERIAL}/{rest}")
}

#[tokio::test]
async fn only_the_accounts_own_topics_are_granted() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let mut listener = Listener::to(&cloud, CODE, SERIAL).await;
    for granted in [topic("param_info"), topic("state_info")] {
        assert!(listener.subscribe(&granted).await, "{granted}");
    }
    let foreign = [
        "#".to_owned(),
        "dt/#".to_owned(),
        format!("dt/anker_power/{CODE}/+/param_info"),
        format!("dt/anker_power/{CODE}/9DNC2C0OTHER0001/#"),
        format!("cmd/anker_power/{CODE}/{SERIAL}/req"),
        "$CONTROL/#".to_owned(),
    ];
    for foreign in &foreign {
        assert!(!listener.subscribe(foreign).await, "{foreign}");
    }
    for foreign in [topic("param_info"), "cmd/anker_power/A1790P/9DNC2C0OTHER0001/req".to_owned()] {
        listener.publish(&foreign, "x");
    }
    // Behind them, so that they have been seen.
    listener.send(CODE, SERIAL, &plain(0x0030));
    listener.frame().await;
    assert_eq!(cloud.broker().denied_publishes(), 2);
    let seen = cloud.broker().subscriptions();
    assert_eq!(seen.iter().filter(|it| it.is_granted).count(), 3);
    assert_eq!(seen.iter().filter(|it| !it.is_granted).count(), foreign.len());
    let connections = cloud.broker().connections();
    assert_eq!(connections.len(), 1);
    assert!(connections[0].client_id.ends_with("-anker_power_04711"));
    assert!(connections[0].is_clean && connections[0].is_3_1_1 && connections[0].keep_alive == 60);
}

#[tokio::test]
async fn subscriptions_can_be_refused_with_128() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let info = Listener::info(&cloud).await;
    for (refusal, all, explicit) in
        [(Refusal::Wildcards, false, true), (Refusal::All, false, false), (Refusal::Foreign, true, true)]
    {
        cloud.broker().refuse(refusal).unwrap();
        let mut listener = Listener::with(&cloud, info.clone());
        listener.connect().await.unwrap();
        let granted = (listener.subscribe(&topic("#")).await, listener.subscribe(&topic("param_info")).await);
        assert_eq!(granted, (all, explicit), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_connection_can_be_refused_by_connack() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let info = Listener::info(&cloud).await;
    cloud.broker().refuse_connections(true).unwrap();
    let refused = Listener::with(&cloud, info.clone()).connect().await.unwrap_err();
    assert!(refused.contains("NotAuthorized"), "{refused}");
    cloud.broker().refuse_connections(false).unwrap();
    Listener::with(&cloud, info).connect().await.unwrap();
}

#[tokio::test]
async fn certificates_that_expired_or_were_revoked_are_refused_by_tls() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let good = Listener::info(&cloud).await;
    cloud.hand_out_expired_certificates(true).unwrap();
    let expired = Listener::info(&cloud).await;
    assert_ne!(expired["certificate_id"], good["certificate_id"]);
    let refused = Listener::with(&cloud, expired).connect().await.unwrap_err();
    assert!(refused.contains("CertificateExpired"), "{refused}");
    cloud.hand_out_expired_certificates(false).unwrap();

    cloud.revoke_certificate().unwrap();
    let refused = Listener::with(&cloud, good.clone()).connect().await.unwrap_err();
    assert!(refused.contains("CertificateRevoked"), "{refused}");
    let next = Listener::info(&cloud).await;
    assert_ne!(next["certificate_id"], good["certificate_id"]);
    Listener::with(&cloud, next).connect().await.unwrap();
}

#[tokio::test]
async fn the_broker_can_be_another_than_the_one_that_is_vouched_for() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    cloud.hand_out_wrong_root(true);
    let info = Listener::info(&cloud).await;
    let refused = Listener::with(&cloud, info).connect().await.unwrap_err();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
}

#[tokio::test]
async fn nobody_gets_in_without_a_certificate() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let mut info = Listener::info(&cloud).await;
    // One of the same name, which the broker's authority has not signed.
    let key = rcgen::KeyPair::from_pem(&pkcs8(&info)).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, info["thing_name"].as_str().unwrap());
    info["certificate_pem"] = params.self_signed(&key).unwrap().pem().into();
    let refused = Listener::with(&cloud, info).connect().await.unwrap_err();
    assert!(refused.contains("alert"), "{refused}");
    assert_eq!(cloud.broker().connections(), []);
}

/// The account's key, in the form that can sign here.
fn pkcs8(info: &serde_json::Value) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    #[allow(clippy::disallowed_methods, reason = "openssl is the test's, not the program's")]
    let mut command = Command::new("openssl");
    command.args(["pkcs8", "-topk8", "-nocrypt"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(info["private_key"].as_str().unwrap().as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn a_killed_broker_comes_back_with_its_stations() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let mut listener = Listener::to(&cloud, CODE, SERIAL).await;
    cloud.broker().kill().unwrap();
    assert!(listener.poll().await.is_err());
    assert!(listener.connect().await.unwrap_err().contains("refused"));
    cloud.broker().start().unwrap();
    listener.connect().await.unwrap();
    assert!(listener.subscribe(&topic("#")).await);
    listener.send(CODE, SERIAL, &plain(0x0040));
    assert_eq!(listener.frame().await.1[7..9], [0x08, 0x40]);
}

#[tokio::test]
async fn a_frozen_broker_keeps_its_connections_and_goes_on() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let mut listener = Listener::to(&cloud, CODE, SERIAL).await;
    cloud.broker().freeze().unwrap();
    listener.send(CODE, SERIAL, &plain(0x0040));
    let short = std::time::Duration::from_millis(300);
    assert!(tokio::time::timeout(short, listener.raw()).await.is_err(), "it speaks");
    assert_eq!(cloud.requests().len(), 0);
    cloud.broker().thaw().unwrap();
    assert_eq!(listener.frame().await.1[7..9], [0x08, 0x40]);
    assert_eq!(cloud.broker().connections().len(), 1);
}

#[tokio::test]
async fn another_client_with_the_same_id_throws_the_first_out() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let mut listener = Listener::to(&cloud, CODE, SERIAL).await;
    cloud.broker().evict().unwrap();
    assert!(listener.poll().await.is_err());
    let ids: Vec<_> = cloud.broker().connections().into_iter().map(|it| it.client_id).collect();
    assert_eq!(ids[0], ids[1]);
}
