//! Each result code leads to what the table of codes says: how many calls, how many logins, and what is
//! remembered.

use std::time::Duration;

use fleetwatt::battery::anker::rest::{Cloud, CloudError, Pace, Site};
use fleetwatt::support::error::Diagnose;
use tokio::time::Instant;

use super::server::{DEVICES, LOGIN, Reply, SCENE};
use super::{HOUR, MINUTE, PACE, Stage, pass};

async fn site(cloud: &mut Cloud) -> Site {
    cloud.sites().await.unwrap().remove(0)
}

/// The kind of the error, or `ok`.
fn kind<T>(answer: Result<T, CloudError>) -> &'static str {
    answer.map_or_else(|error| error.kind(), |_| "ok")
}

/// Asks for the devices with `reply` as the first answer, and gives what came of it, the calls and the logins.
async fn first(reply: Reply) -> (&'static str, usize, usize) {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    // A login that has proved itself, as most are.
    cloud.sites().await.unwrap();
    stage.server.once(DEVICES, reply);
    let kind = kind(cloud.devices().await);
    (kind, stage.server.n(DEVICES), stage.server.n(LOGIN))
}

/// The same with `reply` as every answer.
async fn every(reply: Reply) -> (&'static str, usize, usize) {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    cloud.sites().await.unwrap();
    stage.server.always(DEVICES, reply);
    pass(10 * MINUTE);
    let kind = kind(cloud.devices().await);
    (kind, stage.server.n(DEVICES), stage.server.n(LOGIN))
}

#[tokio::test]
async fn what_may_pass_is_repeated_once() {
    for reply in [Reply::status(502), Reply::status(504), Reply::code(21_105), Reply::status(429)] {
        assert_eq!(first(reply.clone()).await, ("ok", 2, 1), "{reply:?}");
    }
    assert_eq!(every(Reply::status(502)).await, ("call_failed", 2, 1));
    assert_eq!(every(Reply::code(21_105)).await, ("call_failed", 2, 1));
    assert_eq!(every(Reply::status(429)).await, ("too_many_calls", 2, 1));
}

#[tokio::test]
async fn what_is_refused_is_not_repeated() {
    let codes =
        [-1, 1, 9, 997, 999, 10_003, 10_007, 26_161, 31_001, 200_104, 777_777, 26_108, 26_052, 26_070];
    for code in codes {
        assert_eq!(first(Reply::code(code)).await, ("call_failed", 1, 1), "{code}");
    }
    for status in [302, 400, 500, 503] {
        assert_eq!(first(Reply::status(status)).await, ("call_failed", 1, 1), "{status}");
    }
}

#[tokio::test]
async fn what_is_no_answer_of_the_vendor_is_not_taken_for_one() {
    for body in ["", "{}", "[]", "null", "{\"code\":null,\"data\":{}}", "<html>", "{\"code\":0"] {
        let reply = Reply::Body(200, body.to_owned());
        assert_eq!(first(reply).await, ("call_failed", 1, 1), "{body}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let body = format!("{{\"code\":0,\"data\":{{\"x\":\"{}\"}}}}", "x".repeat(3 << 20));
    assert_eq!(first(Reply::Body(200, body)).await, ("call_failed", 1, 1));
}

#[tokio::test]
async fn silence_is_asked_twice() {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    cloud.sites().await.unwrap();
    stage.server.always(DEVICES, Reply::Silence);
    cloud.pace = Pace { timeout: Duration::from_millis(100), ..PACE };
    assert!(matches!(cloud.devices().await, Err(CloudError::Timeout { .. })));
    assert_eq!(stage.server.n(DEVICES), 2);
}

#[tokio::test]
async fn a_token_that_is_over_is_replaced_once_and_the_call_repeated() {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    cloud.sites().await.unwrap();
    for status in [401, 403] {
        pass(10 * MINUTE);
        let (n_logins, n_calls) = (stage.server.n(LOGIN), stage.server.n(DEVICES));
        stage.server.once(DEVICES, Reply::status(status));
        assert_eq!(cloud.devices().await.unwrap().len(), 3);
        assert_eq!(stage.server.n(LOGIN) - n_logins, 1);
        let calls = stage.server.calls(DEVICES).split_off(n_calls);
        assert_eq!(calls.len(), 2);
        assert_ne!(calls[0].token, calls[1].token);
    }
}

#[tokio::test]
async fn a_new_token_that_is_not_accepted_ends_the_logins_for_an_hour() {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    cloud.sites().await.unwrap();
    pass(10 * MINUTE);
    stage.server.always(DEVICES, Reply::status(401));
    assert_eq!(kind(cloud.devices().await), "login_blocked");
    assert_eq!((stage.server.n(DEVICES), stage.server.n(LOGIN)), (2, 2));

    pass(59 * MINUTE);
    assert_eq!(kind(stage.cloud().devices().await), "login_blocked");
    assert_eq!((stage.server.n(DEVICES), stage.server.n(LOGIN)), (2, 2));
    pass(2 * MINUTE);
    assert_eq!(kind(stage.cloud().devices().await), "login_blocked");
    assert_eq!((stage.server.n(DEVICES), stage.server.n(LOGIN)), (3, 3));
}

#[tokio::test]
async fn one_endpoint_that_accepts_no_token_does_not_cost_the_others_theirs() {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    let site = site(&mut cloud).await;
    pass(10 * MINUTE);
    stage.server.always(SCENE, Reply::status(401));
    assert_eq!(kind(cloud.scene(&site).await), "forbidden");
    assert_eq!((stage.server.n(SCENE), stage.server.n(LOGIN)), (2, 2));

    pass(MINUTE);
    assert_eq!(kind(cloud.devices().await), "ok");
    assert_eq!(kind(cloud.scene(&site).await), "forbidden");
    assert_eq!((stage.server.n(SCENE), stage.server.n(LOGIN)), (2, 2));
}

#[tokio::test]
async fn who_was_kicked_out_waits_before_it_logs_in() {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    cloud.sites().await.unwrap();
    pass(HOUR);
    stage.server.once(DEVICES, Reply::code(26_084));
    assert_eq!(kind(cloud.devices().await), "login_blocked");
    assert!(cloud.login().is_none());

    pass(29 * MINUTE);
    assert_eq!(kind(stage.cloud().devices().await), "login_blocked");
    assert_eq!((stage.server.n(DEVICES), stage.server.n(LOGIN)), (1, 1));
    pass(2 * MINUTE);
    assert_eq!(kind(stage.cloud().devices().await), "ok");
    assert_eq!(stage.server.n(LOGIN), 2);
}

/// Asks for a scene with `reply` as the answer, then again after 23 and after 25 hours in new processes.
async fn a_day(reply: Reply) -> (&'static str, Vec<usize>) {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    let site = site(&mut cloud).await;
    stage.server.always(SCENE, reply);
    let first = kind(cloud.scene(&site).await);
    let mut n_calls = vec![stage.server.n(SCENE)];
    for hours in [23, 2] {
        pass(hours * HOUR);
        assert_eq!(kind(stage.cloud().scene(&site).await), first);
        n_calls.push(stage.server.n(SCENE));
    }
    (first, n_calls)
}

#[tokio::test]
async fn what_is_not_there_is_not_asked_for_a_day() {
    for reply in [Reply::status(404), Reply::code(10_000), Reply::code(10_004)] {
        assert_eq!(a_day(reply.clone()).await, ("unsupported", vec![1, 1, 2]), "{reply:?}");
    }
    assert_eq!(a_day(Reply::code(160_003)).await, ("forbidden", vec![1, 1, 2]));
}

#[tokio::test]
async fn the_list_of_devices_is_never_taken_for_missing() {
    for reply in [Reply::status(404), Reply::code(10_000), Reply::code(160_003)] {
        let stage = Stage::new().await;
        let mut cloud = stage.cloud();
        stage.server.once(DEVICES, reply);
        assert_eq!(kind(cloud.devices().await), "call_failed");
        assert_eq!(kind(cloud.devices().await), "ok");
    }
}

#[tokio::test]
async fn three_outages_in_a_row_are_a_service_that_is_not_there() {
    let stage = Stage::new().await;
    let site = site(&mut stage.cloud()).await;
    stage.server.always(SCENE, Reply::status(503));
    let mut kinds = Vec::new();
    for _ in 0..4 {
        pass(MINUTE);
        kinds.push(kind(stage.cloud().scene(&site).await));
    }
    assert_eq!(kinds, ["call_failed", "call_failed", "unsupported", "unsupported"]);
    assert_eq!(stage.server.n(SCENE), 3);
}

#[tokio::test]
async fn a_call_that_cannot_be_in_time_is_not_made() {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    cloud.sites().await.unwrap();
    cloud.pace = Pace { between: Duration::from_secs(60), ..PACE };
    cloud.deadline = Some(Instant::now() + Duration::from_secs(5));
    assert_eq!(kind(cloud.devices().await), "no_time");
    assert_eq!(stage.server.n(DEVICES), 0);
}

#[tokio::test]
async fn an_answer_is_not_waited_for_beyond_the_deadline() {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    cloud.sites().await.unwrap();
    stage.server.always(DEVICES, Reply::Silence);
    cloud.deadline = Some(Instant::now() + Duration::from_millis(100));
    assert_eq!(kind(cloud.devices().await), "no_time");
    assert_eq!(stage.server.n(DEVICES), 1);
}

#[tokio::test]
async fn a_login_that_would_be_cut_off_is_not_sent_and_not_counted() {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    cloud.deadline = Some(Instant::now() + Duration::from_secs(1));
    assert_eq!(kind(cloud.devices().await), "no_time");
    cloud.deadline = None;
    assert_eq!(kind(cloud.devices().await), "ok");
    assert_eq!(stage.server.n(LOGIN), 1);
}

#[tokio::test]
async fn a_login_that_the_gateway_did_not_let_through_is_tried_again_soon() {
    for (status, n_logins) in [(503, 2), (502, 1), (504, 1), (429, 1), (403, 1)] {
        let stage = Stage::new().await;
        stage.server.once(LOGIN, Reply::status(status));
        let error = stage.cloud().devices().await.unwrap_err();
        let vendor = error.hint().contains("changed its interface");
        assert_eq!((error.kind(), vendor), ("login_failed", false), "{status}");
        pass(MINUTE);
        assert_eq!(stage.cloud().devices().await.is_ok(), n_logins == 2, "{status}");
        assert_eq!(stage.server.n(LOGIN), n_logins, "{status}");
    }
}
