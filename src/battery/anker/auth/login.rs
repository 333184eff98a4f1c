//! A login that holds: the token, whose it is, and where it came from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::attempts::AccountId;
use super::files::exposed;
use crate::reading::Timestamp;
use crate::support::secret::Secret;

/// The file's name in the state directory.
pub(crate) const LOGIN_FILE: &str = "solix-login.json";

/// A login is renewed when it holds for less than this.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// The product of a login, as it is kept for the next process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) account: AccountId,
    pub(crate) country: String,
    /// The base URL that it was made at.
    pub(crate) server: String,
    #[serde(with = "exposed")]
    pub(crate) token: Secret,
    #[serde(with = "exposed")]
    pub(crate) user_id: Secret,
    /// As the server says; about seven days after the login.
    #[serde(rename = "expires_at_us")]
    pub(crate) expires_at: Option<Timestamp>,
    /// Whether any call has been answered with this token. One that never worked must not be replaced at once.
    pub(crate) is_proven: bool,
}

impl Login {
    /// Whether it holds now, and for more than a minute.
    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now.plus(RENEW_BEFORE) < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::battery::anker::auth::PrivateFile;

    fn login(expires_at: Option<Timestamp>) -> Login {
        let hidden = |text: &str| Secret::new(text);
        Login {
            account: AccountId::from_email("me@example.com"),
            country: "US".to_owned(),
            server: "https://h".to_owned(),
            token: hidden("token"),
            user_id: hidden("user"),
            expires_at,
            is_proven: false,
        }
    }

    #[test]
    fn a_login_is_renewed_in_its_last_minute() {
        let end = Timestamp::from_micros(1_795_503_600_000_000);
        let before = |seconds| end.minus(Duration::from_secs(seconds));
        assert!(login(Some(end)).holds(before(61)));
        assert!(!login(Some(end)).holds(before(60)));
        assert!(!login(Some(end)).holds(end.plus(Duration::from_secs(1))));
        assert!(login(None).holds(end));
    }

    #[test]
    fn a_cached_login_is_the_same_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = PrivateFile::new(dir.path(), LOGIN_FILE);
        for end in [None, Some(Timestamp::from_micros(1_795_503_600_000_000))] {
            let login = Login { is_proven: end.is_some(), ..login(end) };
            file.save(&login).unwrap();
            assert_eq!(file.load().unwrap(), Ok(login));
        }
    }
}
