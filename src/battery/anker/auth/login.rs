//! A login that holds: the token, whose it is, and where it came from.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::attempts::AccountId;
use super::files::{Loaded, PrivateFile};
use super::gtoken;
use crate::battery::anker::rest::CloudError;
use crate::reading::Timestamp;
use crate::support::secret::Secret;

/// The file's name in the state directory.
pub(in crate::battery::anker) const LOGIN_FILE: &str = "solix-login.json";

/// A login is renewed when it holds for less than this.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// What a login gave, and which account, country and server it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::battery::anker) struct Login {
    pub(in crate::battery::anker) account: AccountId,
    pub(in crate::battery::anker) country: String,
    /// The base URL that it was made at.
    pub(in crate::battery::anker) server: String,
    pub(in crate::battery::anker) token: Secret,
    pub(in crate::battery::anker) user_id: Secret,
    pub(in crate::battery::anker) gtoken: Secret,
    /// As the server says; about seven days after the login.
    pub(in crate::battery::anker) expires_at: Option<Timestamp>,
    /// Whether any call has been answered with this token. One that never worked must not be replaced at once.
    pub(in crate::battery::anker) is_proven: bool,
}

impl Login {
    /// A login as the server gave it.
    pub(in crate::battery::anker) fn new(
        account: AccountId,
        country: &str,
        server: &str,
        token: Secret,
        user_id: Secret,
        expires_at: Option<Timestamp>,
    ) -> Self {
        let gtoken = gtoken(&user_id);
        let (country, server) = (country.to_owned(), server.to_owned());
        Self { account, country, server, token, user_id, gtoken, expires_at, is_proven: false }
    }

    /// Whether it holds now, and for more than a minute.
    pub(in crate::battery::anker) fn holds(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now.plus(RENEW_BEFORE) < end)
    }

    /// The cached one, of whatever account.
    pub(in crate::battery::anker) fn load(file: &PrivateFile) -> Result<Option<Self>, CloudError> {
        let row = match file.load::<Row>()? {
            Loaded::Ok(row) => row,
            Loaded::Missing | Loaded::Corrupt => return Ok(None),
        };
        let (token, user_id) = (Secret::new(row.token), Secret::new(row.user_id));
        let expires_at = row.expires_at_us.map(Timestamp::from_micros);
        let login = Self::new(
            AccountId::from_hex(row.account),
            &row.country,
            &row.server,
            token,
            user_id,
            expires_at,
        );
        Ok(Some(Self { is_proven: row.is_proven, ..login }))
    }

    /// Caches it for the next process.
    pub(in crate::battery::anker) fn save(&self, file: &PrivateFile) -> Result<(), CloudError> {
        file.save(&RowRef {
            account: self.account.as_hex(),
            country: &self.country,
            server: &self.server,
            token: self.token.expose(),
            user_id: self.user_id.expose(),
            expires_at_us: self.expires_at.map(Timestamp::micros),
            is_proven: self.is_proven,
        })
    }
}

#[derive(Deserialize)]
struct Row {
    account: String,
    country: String,
    server: String,
    token: String,
    user_id: String,
    expires_at_us: Option<i64>,
    is_proven: bool,
}

#[derive(Serialize)]
struct RowRef<'a> {
    account: &'a str,
    country: &'a str,
    server: &'a str,
    token: &'a str,
    user_id: &'a str,
    expires_at_us: Option<i64>,
    is_proven: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(expires_at: Option<Timestamp>) -> Login {
        let hidden = |text: &str| Secret::new(text);
        let account = AccountId::from_email("me@example.com");
        Login::new(account, "US", "https://h", hidden("token"), hidden("user"), expires_at)
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
            login.save(&file).unwrap();
            assert_eq!(Login::load(&file).unwrap(), Some(login));
        }
    }
}
