//! The count of logins, over simulated days and restarts.

use proptest::prelude::*;

use super::*;

/// 2026-11-24T07:00:00Z.
const START: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);

const MINUTE: Duration = Duration::from_secs(60);

struct Secrets {
    email: Secret,
    password: Secret,
}

impl Secrets {
    fn new(email: &str, password: &str) -> Self {
        Self { email: Secret::new(email), password: Secret::new(password) }
    }

    fn credentials(&self) -> Credentials<'_> {
        Credentials { email: &self.email, password: &self.password }
    }
}

fn secrets() -> Secrets {
    Secrets::new("me@example.com", "one")
}

fn at(minutes: u32) -> Timestamp {
    START.plus(MINUTE * minutes)
}

/// Every question is asked of a new process.
fn attempts(dir: &tempfile::TempDir, now: Timestamp) -> Attempts {
    Attempts::load(dir.path(), now).unwrap()
}

fn why(dir: &tempfile::TempDir, secrets: &Secrets, now: Timestamp, is_by_person: bool) -> Option<String> {
    let allowed = attempts(dir, now).allowed(secrets.credentials(), now, is_by_person);
    allowed.err().map(|error| error.to_string())
}

fn allowed(dir: &tempfile::TempDir, secrets: &Secrets, now: Timestamp) -> bool {
    why(dir, secrets, now, false).is_none()
}

fn login(dir: &tempfile::TempDir, secrets: &Secrets, now: Timestamp) {
    attempts(dir, now).count(secrets.credentials(), now).unwrap();
}

#[test]
fn one_login_in_ten_minutes() {
    let dir = tempfile::tempdir().unwrap();
    assert!(allowed(&dir, &secrets(), at(0)));
    login(&dir, &secrets(), at(0));
    assert!(!allowed(&dir, &secrets(), at(9)));
    assert!(why(&dir, &secrets(), at(9), true).unwrap().contains("one in ten minutes"));
    assert!(allowed(&dir, &secrets(), at(10)));
}

#[test]
fn six_logins_a_day_and_another_account_has_its_own() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..6 {
        assert!(allowed(&dir, &secrets(), at(n * 10)));
        login(&dir, &secrets(), at(n * 10));
    }
    assert!(why(&dir, &secrets(), at(60), false).unwrap().contains("six a day"));
    assert!(!allowed(&dir, &Secrets::new(" ME@Example.com", "two"), at(60)));
    assert!(allowed(&dir, &Secrets::new("you@example.com", "two"), at(60)));
    assert!(!allowed(&dir, &secrets(), at(24 * 60 - 1)));
    assert!(allowed(&dir, &secrets(), at(24 * 60)));
}

#[test]
fn a_login_that_was_never_sent_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    login(&dir, &secrets(), at(0));
    attempts(&dir, at(0)).withdraw(secrets().credentials()).unwrap();
    assert!(allowed(&dir, &secrets(), at(0)));
}

#[test]
fn a_refused_password_is_not_sent_again_and_a_corrected_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = secrets();
    login(&dir, &wrong, at(0));
    attempts(&dir, at(0)).refuse(wrong.credentials(), at(0), None).unwrap();
    assert!(why(&dir, &wrong, at(100 * 24 * 60), false).unwrap().contains("refused"));
    assert!(why(&dir, &wrong, at(60), true).is_some());
    assert!(why(&dir, &wrong, at(24 * 60), true).is_none());
    assert!(allowed(&dir, &Secrets::new("me@example.com", "two"), at(10)));
}

#[test]
fn two_wrong_passwords_by_turns_are_both_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (secrets(), Secrets::new("me@example.com", "two"));
    for secrets in [&one, &two] {
        attempts(&dir, at(0)).refuse(secrets.credentials(), at(0), None).unwrap();
    }
    assert!(!allowed(&dir, &one, at(60)));
    assert!(!allowed(&dir, &two, at(60)));
}

#[test]
fn a_verification_is_waited_for_until_a_person_asks() {
    let dir = tempfile::tempdir().unwrap();
    attempts(&dir, at(0)).refuse(secrets().credentials(), at(0), Some(26052)).unwrap();
    assert!(why(&dir, &secrets(), at(90 * 24 * 60), false).unwrap().contains("26052"));
    assert!(why(&dir, &secrets(), at(1), true).is_none());
    attempts(&dir, at(1)).accept(secrets().credentials()).unwrap();
    assert!(allowed(&dir, &secrets(), at(20)));
}

#[test]
fn a_lock_holds_for_its_time_also_with_another_password() {
    let dir = tempfile::tempdir().unwrap();
    attempts(&dir, at(0)).pause(&AccountId::from_email("me@example.com"), at(180), Pause::Locked).unwrap();
    assert!(!allowed(&dir, &Secrets::new("me@example.com", "two"), at(179)));
    assert!(why(&dir, &secrets(), at(179), true).unwrap().contains("locked"));
    assert!(allowed(&dir, &secrets(), at(180)));
}

#[test]
fn a_count_that_is_lost_may_have_been_one() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE_NAME), "{").unwrap();
    assert!(why(&dir, &secrets(), at(0), false).unwrap().contains("lost"));
    assert!(!allowed(&dir, &secrets(), at(9)));
    assert!(allowed(&dir, &secrets(), at(10)));
}

#[test]
fn a_clock_that_was_years_ahead_does_not_block_for_years() {
    let dir = tempfile::tempdir().unwrap();
    let wrong_now = at(50_000_000);
    login(&dir, &secrets(), wrong_now);
    attempts(&dir, wrong_now)
        .pause(&AccountId::from_email("me@example.com"), wrong_now.plus(DAY), Pause::Locked)
        .unwrap();
    assert!(!allowed(&dir, &secrets(), at(0)));
    assert!(allowed(&dir, &secrets(), at(8 * 24 * 60)));
}

#[test]
fn the_file_has_neither_the_address_nor_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = Secrets::new("canary@example.com", "canary");
    login(&dir, &secrets, at(0));
    attempts(&dir, at(0)).refuse(secrets.credentials(), at(0), None).unwrap();
    let text = std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
    assert!(!text.contains("canary"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn however_often_it_is_tried_no_ten_minutes_have_two_logins_and_no_day_has_seven(
        steps in proptest::collection::vec(1..90_u32, 1..80)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut now = 0;
        let mut sent: Vec<u32> = Vec::new();
        for step in steps {
            now += step;
            if allowed(&dir, &secrets(), at(now)) {
                login(&dir, &secrets(), at(now));
                sent.push(now);
            }
        }
        prop_assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 10));
        prop_assert!(sent.windows(7).all(|week| week[6] - week[0] >= 24 * 60));
    }
}
