//! Logging in: when it has to be, and only when it may.

use std::time::Duration;

use tokio::time::Instant;

use super::action::{Action, Missing};
use super::cloud::{Cloud, LoggedIn};
use super::endpoint::Endpoint;
use super::http::{Answer, secret_header};
use super::{CloudError, Pause, json};
use crate::battery::anker::auth::{Attempts, Credentials, KeyPair, Login, take_lock};
use crate::reading::{Timestamp, error_chain};
use crate::support::secret::Secret;

/// No login is tried for this long after the server has not accepted two keys of ours.
const AFTER_KEYS: Duration = Duration::from_secs(24 * 60 * 60);

impl Cloud {
    /// Logs in, if there is no login that holds.
    pub(super) async fn ensure_login(&mut self) -> Result<(), CloudError> {
        if self.login().is_some() { Ok(()) } else { self.renew_login().await }
    }

    /// Takes the login that another process has made meanwhile, else logs in.
    pub(super) async fn renew_login(&mut self) -> Result<(), CloudError> {
        if self.take_cached_login()? {
            return Ok(());
        }
        if self.config.read_only {
            return Err(CloudError::NotLoggedIn);
        }
        let (Some(email), Some(password)) = (self.config.email.clone(), self.config.password.clone()) else {
            return Err(CloudError::NoCredentials);
        };
        let _only_one = take_lock(&self.config.state_dir, self.deadline).await?;
        // Whoever had the lock may have been logging in.
        if self.take_cached_login()? {
            return Ok(());
        }
        self.log_in_as(Credentials { email: &email, password: &password }, false).await
    }

    /// Logs in as a person asks for it, and keeps the login. The limits of logins hold here too; only a demand
    /// for verification does not hinder it, since the person may have just met it.
    ///
    /// # Errors
    /// It was refused, or is not allowed now.
    pub async fn log_in(&mut self, email: &str, password: &Secret) -> Result<LoggedIn, CloudError> {
        let credentials = Credentials { email: &Secret::new(email.trim()), password };
        let _only_one = take_lock(&self.config.state_dir, self.deadline).await?;
        self.log_in_as(credentials, true).await?;
        self.account = Some(credentials.account());
        self.login().ok_or(CloudError::NoCredentials)
    }

    /// Whether the file has a login of this account, country and server that holds, and is not the one that was
    /// just refused. If so, it is ours now.
    pub(super) fn take_cached_login(&mut self) -> Result<bool, CloudError> {
        let now = self.now();
        let is_good = |login: &Login| {
            self.account.as_ref().is_none_or(|account| *account == login.account)
                && login.country == self.config.country
                && login.server == self.server.as_str()
                && login.holds(now)
                && Some(&login.token) != self.dropped.as_ref()
                && secret_header(&login.token).is_some()
        };
        let cached = self.login_file.load()?.ok().filter(is_good);
        let is_there = cached.is_some();
        self.login = cached.or_else(|| self.login.take());
        Ok(is_there)
    }

    /// Sends a login if it may be sent; twice, if the first key is not accepted.
    async fn log_in_as(
        &mut self,
        credentials: Credentials<'_>,
        is_by_person: bool,
    ) -> Result<(), CloudError> {
        let mut attempts = Attempts::load(&self.config.state_dir, self.now())?;
        attempts.allowed(credentials, self.now(), is_by_person)?;
        let mut login = self.try_to_log_in(credentials, &mut attempts).await?;
        if login.is_none() {
            attempts.allowed_today(credentials, self.now())?;
            login = self.try_to_log_in(credentials, &mut attempts).await?;
        }
        let Some(login) = login else {
            let (until, pause) = (self.now().plus(AFTER_KEYS), Pause::KeyRefused);
            attempts.pause(&credentials.account(), until, pause)?;
            return Err(CloudError::LoginPaused { until, pause });
        };
        // It is in force whether it can be kept or not.
        if let Err(error) = attempts.accept(credentials).and_then(|()| self.login_file.save(&login)) {
            tracing::warn!(error = error_chain(&error), "cannot keep the login");
        }
        match login.expires_at {
            Some(until) => tracing::info!(%until, "logged in to the Solix cloud"),
            None => tracing::info!("logged in to the Solix cloud"),
        }
        self.login = Some(login);
        Ok(())
    }

    /// Sends a login. `None` if the server does not accept the key.
    async fn try_to_log_in(
        &mut self,
        credentials: Credentials<'_>,
        attempts: &mut Attempts,
    ) -> Result<Option<Login>, CloudError> {
        // All that can still fail without the server comes before the count.
        self.take_turn(Endpoint::Login).await?;
        let enough = Instant::now() + self.pace.timeout / 2;
        if self.deadline.is_some_and(|deadline| deadline < enough) {
            return Err(CloudError::NoTime(Endpoint::Login));
        }
        let key = KeyPair::generate(&self.login_key).ok_or(CloudError::Random)?;
        let body = key.login_body(&self.config.country, credentials, self.now());
        let body = body.map_err(|_says_nothing| CloudError::Random)?;

        attempts.count(credentials, self.now())?;
        let answer = self.send(Endpoint::Login, body.to_vec()).await;
        if let Err(CloudError::NoConnection(..)) = answer {
            attempts.withdraw(credentials)?;
        }
        self.read_login(&answer?, credentials, attempts)
    }

    fn read_login(
        &self,
        answer: &Answer,
        credentials: Credentials<'_>,
        attempts: &mut Attempts,
    ) -> Result<Option<Login>, CloudError> {
        let now = self.now();
        match answer.action {
            Action::Take => self.login_in(answer, credentials, now).map(Some),
            Action::NewKey => Ok(None),
            Action::Refuse(verification) => {
                attempts.refuse(credentials, now, verification)?;
                Err(CloudError::from_refusal(verification, now))
            }
            Action::Locked(lock) => {
                let (until, pause) = (now.plus(lock), Pause::Locked);
                attempts.pause(&credentials.account(), until, pause)?;
                Err(CloudError::LoginPaused { until, pause })
            }
            Action::DoWithout(_)
            | Action::Fail
            | Action::LogInAgain
            | Action::WaitAndLogIn
            | Action::Throttle
            | Action::WaitAndRepeat => {
                if answer.action == Action::DoWithout(Missing::Outage) && answer.code.is_none() {
                    // The gateway has nobody to ask: no login has come to the vendor's count.
                    attempts.withdraw(credentials)?;
                }
                Err(CloudError::LoginFailed(answer.status, answer.code))
            }
        }
    }

    /// The login in an answer that says that it is one.
    fn login_in(
        &self,
        answer: &Answer,
        credentials: Credentials<'_>,
        now: Timestamp,
    ) -> Result<Login, CloudError> {
        let unexpected = |what| CloudError::UnexpectedResponse(Endpoint::Login, what);
        let secret = |key| json::text(&answer.data, key).map(Secret::new);
        let (Some(token), Some(user_id)) = (secret("auth_token"), secret("user_id")) else {
            return Err(unexpected("has no token or no account"));
        };
        if secret_header(&token).is_none() {
            return Err(unexpected("has a token that no header can hold"));
        }
        let end = json::integer(&answer.data, "token_expires_at").and_then(|end| end.checked_mul(1_000_000));
        let login = Login {
            account: credentials.account(),
            country: self.config.country.clone(),
            server: self.server.to_string(),
            token,
            user_id,
            expires_at: end.map(Timestamp::from_micros),
            is_proven: false,
        };
        // An end that is over, as a clock of ours that is wrong would have it, would mean a login for each call.
        if login.holds(now) { Ok(login) } else { Ok(Login { expires_at: None, ..login }) }
    }
}
