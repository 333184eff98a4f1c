//! When a login is sent, and when not: over simulated days, and across processes.

use fleetwatt::battery::anker::rest::{CloudError, Pause};

use super::server::{DEVICES, LOGIN, Reply};
use super::{HOUR, MINUTE, Stage, files, hidden, pass};

#[tokio::test]
async fn a_restart_does_not_log_in() {
    let stage = Stage::new().await;
    for _ in 0..3 {
        let mut cloud = stage.cloud();
        assert_eq!(cloud.devices().await.unwrap().len(), 3);
        assert!(cloud.login().is_some());
        pass(MINUTE);
    }
    assert_eq!((stage.server.n(LOGIN), stage.server.n(DEVICES)), (1, 3));
}

#[tokio::test]
async fn what_is_kept_is_for_this_user_alone() {
    let stage = Stage::new().await;
    stage.cloud().devices().await.unwrap();
    let files = files(stage.state());
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["solix-attempts.json", "solix-login.json", "solix-login.lock", "solix-rest.json"]);
    assert!(files.iter().all(|(_, mode)| *mode == 0o600), "{files:?}");
}

#[tokio::test]
async fn a_login_is_renewed_in_its_last_minute_and_not_before() {
    let stage = Stage::new().await;
    stage.cloud().devices().await.unwrap();
    pass(7 * 24 * HOUR - 2 * MINUTE);
    stage.cloud().devices().await.unwrap();
    assert_eq!(stage.server.n(LOGIN), 1);
    pass(MINUTE);
    stage.cloud().devices().await.unwrap();
    assert_eq!(stage.server.n(LOGIN), 2);
}

#[tokio::test]
async fn a_login_without_calls_that_work_is_sent_a_few_times_a_day_however_often_it_is_asked() {
    let stage = Stage::new().await;
    stage.server.always(DEVICES, Reply::status(401));
    let mut cloud = stage.cloud();
    let mut sent_at = Vec::new();
    for minute in 0..3 * 24 * 60 {
        if minute % 47 == 0 {
            cloud = stage.cloud();
        }
        assert!(cloud.devices().await.is_err());
        while sent_at.len() < stage.server.n(LOGIN) {
            sent_at.push(minute);
        }
        pass(MINUTE);
    }
    assert!((3..=18).contains(&sent_at.len()), "{sent_at:?}");
    assert!(sent_at.windows(2).all(|pair| pair[1] - pair[0] >= 10), "{sent_at:?}");
    assert!(sent_at.windows(7).all(|seven| seven[6] - seven[0] >= 24 * 60), "{sent_at:?}");
}

#[tokio::test]
async fn a_token_that_is_thrown_out_each_minute_costs_at_most_six_logins_a_day() {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    for minute in 0..24 * 60 {
        if minute % 47 == 0 {
            cloud = stage.cloud();
        }
        if minute % 2 == 1 {
            stage.server.once(DEVICES, Reply::status(401));
        }
        let _may_fail = cloud.devices().await;
        pass(MINUTE);
    }
    assert_eq!(stage.server.n(LOGIN), 6);
}

#[tokio::test]
async fn a_wrong_password_is_sent_once_and_again_when_it_was_changed() {
    for code in [26_108, 26_156] {
        let mut stage = Stage::new().await;
        stage.server.once(LOGIN, Reply::code(code));
        stage.set_password("wrong");
        for _ in 0..50 {
            let error = stage.cloud().devices().await.unwrap_err();
            assert!(matches!(error, CloudError::CredentialsRefused { .. }), "{error:?}");
            assert!(error.needs_person());
            pass(HOUR);
        }
        assert_eq!(stage.server.n(LOGIN), 1);
        stage.set_password("right");
        assert!(stage.cloud().devices().await.is_ok());
        assert_eq!(stage.server.n(LOGIN), 2);
    }
}

#[tokio::test]
async fn a_demand_for_verification_waits_for_a_person() {
    for code in [26_050, 26_051, 26_052, 26_053, 26_054, 26_055, 100_032, 100_033] {
        let stage = Stage::new().await;
        stage.server.once(LOGIN, Reply::code(code));
        for _ in 0..3 {
            let error = stage.cloud().devices().await.unwrap_err();
            assert!(matches!(error, CloudError::VerificationNeeded { .. }), "{error:?}");
            pass(24 * HOUR);
        }
        assert_eq!(stage.server.n(LOGIN), 1);
        stage.cloud().log_in("me@example.com", &hidden("right")).await.unwrap();
        assert!(stage.cloud().devices().await.is_ok());
        assert_eq!(stage.server.n(LOGIN), 2);
    }
}

#[tokio::test]
async fn a_lock_is_obeyed_for_as_long_as_it_was_said() {
    let told = [("Please try again in 3 hours.", 3), ("Please try again later.", 24)];
    for (msg, hours) in told {
        let mut stage = Stage::new().await;
        stage.server.once(LOGIN, Reply::said(100_053, msg));
        assert!(stage.cloud().devices().await.is_err());
        pass(hours * HOUR - MINUTE);
        // Neither another password nor a person changes that.
        stage.set_password("other");
        let mut cloud = stage.cloud();
        let errors =
            [cloud.devices().await.err(), cloud.log_in("me@example.com", &hidden("other")).await.err()];
        for error in errors {
            assert!(matches!(error, Some(CloudError::LoginPaused { pause: Pause::Locked, .. })), "{error:?}");
        }
        assert_eq!(stage.server.n(LOGIN), 1);
        pass(2 * MINUTE);
        assert!(stage.cloud().devices().await.is_ok());
        assert_eq!(stage.server.n(LOGIN), 2);
    }
}

#[tokio::test]
async fn a_key_that_is_not_accepted_is_replaced_once() {
    let stage = Stage::new().await;
    stage.server.once(LOGIN, Reply::code(26_070));
    assert!(stage.cloud().devices().await.is_ok());
    let keys: Vec<_> =
        stage.server.calls(LOGIN).iter().map(|call| call.body["client_secret_info"].clone()).collect();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);

    let stage = Stage::new().await;
    stage.server.always(LOGIN, Reply::code(26_070));
    for _ in 0..20 {
        let error = stage.cloud().devices().await.unwrap_err();
        assert!(matches!(error, CloudError::LoginPaused { pause: Pause::KeyRefused, .. }), "{error:?}");
        pass(HOUR);
    }
    assert_eq!(stage.server.n(LOGIN), 2);
}

#[tokio::test]
async fn a_login_that_fails_otherwise_is_tried_every_ten_minutes_and_six_times_a_day() {
    let stage = Stage::new().await;
    stage.server.always(LOGIN, Reply::status(502));
    let mut n_logins = Vec::new();
    for _ in 0..8 {
        assert!(stage.cloud().devices().await.is_err());
        n_logins.push(stage.server.n(LOGIN));
        pass(5 * MINUTE);
    }
    assert_eq!(n_logins, [1, 1, 2, 2, 3, 3, 4, 4]);
    pass(10 * HOUR);
    for _ in 0..10 {
        assert!(stage.cloud().devices().await.is_err());
        pass(HOUR);
    }
    assert_eq!(stage.server.n(LOGIN), 6);
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent_and_nothing_counts() {
    let mut stage = Stage::new().await;
    let right = stage.config.settings.api_url.clone();
    // Nobody listens on the port that was just free.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    stage.config.settings.api_url = Some(format!("https://127.0.0.1:{port}"));
    for _ in 0..8 {
        let error = stage.cloud().devices().await.unwrap_err();
        assert!(matches!(error, CloudError::NoConnection { .. }), "{error:?}");
    }
    stage.config.settings.api_url = right;
    assert!(stage.cloud().devices().await.is_ok());
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_no_password() {
    let mut stage = Stage::new().await;
    let other = super::server::Authority::new();
    stage.config.settings.extra_ca = Some(other.path.clone());
    assert!(matches!(stage.cloud().devices().await, Err(CloudError::NoConnection { .. })));
    assert_eq!(stage.server.n(LOGIN), 0);
}

#[tokio::test]
async fn without_a_place_for_the_count_there_is_no_login() {
    let mut stage = Stage::new().await;
    std::fs::create_dir(stage.state()).unwrap();
    // A folder where the file should be cannot be replaced, by root neither.
    std::fs::create_dir_all(stage.state().join("solix-attempts.json/x")).unwrap();
    let error = stage.cloud().devices().await.unwrap_err();
    assert!(matches!(error, CloudError::State { .. }) && error.needs_person(), "{error:?}");

    stage.config.state_dir = std::path::PathBuf::from("/proc/self/no-such-folder");
    let error = stage.cloud().devices().await.unwrap_err();
    assert!(matches!(error, CloudError::State { .. }), "{error:?}");
    assert_eq!(stage.server.n(LOGIN), 0);
}

#[tokio::test]
async fn a_damaged_login_is_set_aside_and_made_anew() {
    let stage = Stage::new().await;
    stage.cloud().devices().await.unwrap();
    std::fs::write(stage.state().join("solix-login.json"), "{\"token\": \"f00d").unwrap();
    std::fs::write(stage.state().join("solix-rest.json"), "").unwrap();
    pass(10 * MINUTE);
    assert!(stage.cloud().devices().await.is_ok());
    assert_eq!(stage.server.n(LOGIN), 2);
    for name in ["solix-login.json.damaged", "solix-rest.json.damaged"] {
        assert!(stage.state().join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn processes_share_a_login() {
    let stage = Stage::new().await;
    let (mut one, mut two) = (stage.cloud(), stage.cloud());
    one.devices().await.unwrap();
    two.devices().await.unwrap();
    assert_eq!(stage.server.n(LOGIN), 1);

    // What one has made anew, the other takes when its own is refused, whatever the code is.
    for refusal in [None, Some(Reply::code(26_084))] {
        pass(HOUR);
        stage.server.forget_token();
        one.devices().await.unwrap();
        let n_logins = stage.server.n(LOGIN);
        if let Some(reply) = refusal {
            stage.server.once(DEVICES, reply);
        }
        two.devices().await.unwrap();
        assert_eq!(stage.server.n(LOGIN), n_logins);
    }
}

#[tokio::test]
async fn two_processes_at_once_log_in_once() {
    let stage = Stage::new().await;
    let (mut one, mut two) = (stage.cloud(), stage.cloud());
    let (one, two) = tokio::join!(one.devices(), two.devices());
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(stage.server.n(LOGIN), 1);
}

#[tokio::test]
async fn the_login_of_another_account_is_not_used() {
    let mut stage = Stage::new().await;
    stage.cloud().devices().await.unwrap();
    stage.config.email = Some(hidden("you@example.com"));
    stage.cloud().devices().await.unwrap();
    assert_eq!(stage.server.n(LOGIN), 2);
    assert_eq!(stage.server.calls(LOGIN)[1].body["email"], "you@example.com");
}

#[tokio::test]
async fn without_credentials_the_kept_login_is_enough() {
    let mut stage = Stage::new().await;
    stage.cloud().log_in(" me@example.com ", &hidden("right")).await.unwrap();
    (stage.config.email, stage.config.password) = (None, None);
    assert!(stage.cloud().devices().await.is_ok());
    pass(8 * 24 * HOUR);
    assert!(matches!(stage.cloud().devices().await, Err(CloudError::NoCredentials)));
    assert_eq!(stage.server.n(LOGIN), 1);
    assert_eq!(stage.server.calls(LOGIN)[0].body["email"], "me@example.com");
}

#[tokio::test]
async fn who_leaves_no_trace_uses_the_kept_login_and_makes_none() {
    let mut stage = Stage::new().await;
    stage.config.read_only = true;
    assert!(matches!(stage.cloud().devices().await, Err(CloudError::NotLoggedIn)));
    assert!(!stage.state().exists());

    stage.config.read_only = false;
    stage.cloud().log_in("me@example.com", &hidden("right")).await.unwrap();
    let before = files(stage.state());
    stage.config.read_only = true;
    assert!(stage.cloud().devices().await.is_ok());
    stage.server.forget_token();
    assert!(stage.cloud().devices().await.is_err());
    assert_eq!(files(stage.state()), before);
    assert_eq!(stage.server.n(LOGIN), 1);
}

#[tokio::test]
async fn an_end_that_is_over_by_our_clock_does_not_mean_a_login_for_each_call() {
    let stage = Stage::new().await;
    pass(30 * 24 * HOUR);
    let mut cloud = stage.cloud();
    for _ in 0..3 {
        cloud.devices().await.unwrap();
    }
    assert_eq!(stage.server.n(LOGIN), 1);
    assert_eq!(cloud.login().unwrap().until, None);
}
