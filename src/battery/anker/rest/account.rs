//! Logging in: when it has to be, and only when it may.

use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::action::{Action, action};
use super::cloud::{Cloud, LoggedIn};
use super::endpoint::Endpoint;
use super::http::{Answer, secret_header};
use super::{CloudError, Pause, json};
use crate::battery::anker::auth::{
    AccountId, Asked, Attempts, Credentials, KeyPair, Login, LoginBody, Refusal, take_lock,
};
use crate::reading::{Timestamp, error_chain};
use crate::support::secret::Secret;

/// How long no login is tried after the server has not accepted two keys of ours.
const AFTER_KEYS: Duration = Duration::from_secs(24 * 60 * 60);

/// What became of one attempt.
enum LoginOutcome {
    LoggedIn(Login),
    KeyRefused,
}

impl Cloud {
    /// Logs in, if there is no login that holds.
    pub(super) async fn ensure_login(&mut self) -> Result<(), CloudError> {
        let now = self.now();
        if self.login.as_ref().is_some_and(|login| login.holds(now)) {
            return Ok(());
        }
        self.renew_login().await
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
        self.log_in_as(Credentials { email: &email, password: &password }, Asked::ByProgram).await
    }

    /// Logs in as a person asks for it.
    pub(super) async fn log_in_by_person(
        &mut self,
        email: &str,
        password: &Secret,
    ) -> Result<LoggedIn, CloudError> {
        let email = Secret::new(email.trim());
        let _only_one = take_lock(&self.config.state_dir, self.deadline).await?;
        self.log_in_as(Credentials { email: &email, password }, Asked::ByPerson).await?;
        self.account = Some(AccountId::from_email(email.expose()));
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
        let cached = Login::load(&self.login_file)?.filter(is_good);
        let is_there = cached.is_some();
        self.login = cached.or_else(|| self.login.take());
        Ok(is_there)
    }

    /// Sends a login if it may be sent; twice, if the first key is not accepted.
    async fn log_in_as(&mut self, credentials: Credentials<'_>, asked: Asked) -> Result<(), CloudError> {
        let mut attempts = Attempts::load(&self.config.state_dir, self.now())?;
        attempts.allowed(credentials, self.now(), asked)?;
        let login = match self.try_to_log_in(credentials, &mut attempts).await? {
            LoginOutcome::LoggedIn(login) => login,
            LoginOutcome::KeyRefused => {
                attempts.allowed_today(credentials, self.now())?;
                match self.try_to_log_in(credentials, &mut attempts).await? {
                    LoginOutcome::LoggedIn(login) => login,
                    LoginOutcome::KeyRefused => {
                        let until = self.now().plus(AFTER_KEYS);
                        let account = AccountId::from_email(credentials.email.expose());
                        attempts.pause(&account, until, Pause::KeyRefused)?;
                        return Err(CloudError::LoginPaused { until, pause: Pause::KeyRefused });
                    }
                }
            }
        };
        // It is in force whether it can be kept or not.
        if let Err(error) = attempts.accept(credentials).and_then(|()| login.save(&self.login_file)) {
            tracing::warn!(error = error_chain(&error), "cannot keep the login");
        }
        match login.expires_at {
            Some(until) => tracing::info!(%until, "logged in to the Solix cloud"),
            None => tracing::info!("logged in to the Solix cloud"),
        }
        self.login = Some(login);
        Ok(())
    }

    async fn try_to_log_in(
        &mut self,
        credentials: Credentials<'_>,
        attempts: &mut Attempts,
    ) -> Result<LoginOutcome, CloudError> {
        // All that can still fail without the server comes before the count.
        self.take_turn(Endpoint::Login).await?;
        let enough = Instant::now() + self.pace.timeout / 2;
        if self.deadline.is_some_and(|deadline| deadline < enough) {
            return Err(CloudError::NoTime { endpoint: Endpoint::Login.name() });
        }
        let key = KeyPair::generate(&self.login_key).ok_or(CloudError::Random)?;
        let country = self.config.country.clone();
        let email = credentials.email.expose();
        let body = LoginBody::new(&country, email, credentials.password, &key, self.now());
        let body = Zeroizing::new(serde_json::to_vec(&body).map_err(|_says_nothing| CloudError::Random)?);

        attempts.count(credentials, self.now())?;
        match self.send(Endpoint::Login, body.to_vec()).await {
            Ok(answer) => self.read_login(&answer, credentials, attempts),
            Err(error @ CloudError::NoConnection { .. }) => {
                attempts.withdraw(credentials)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn read_login(
        &self,
        answer: &Answer,
        credentials: Credentials<'_>,
        attempts: &mut Attempts,
    ) -> Result<LoginOutcome, CloudError> {
        let now = self.now();
        let account = AccountId::from_email(credentials.email.expose());
        match action(answer.status, answer.code, &answer.msg) {
            Action::Take => self.login_in(answer, account, now).map(LoginOutcome::LoggedIn),
            Action::NewKey => Ok(LoginOutcome::KeyRefused),
            Action::RefuseCredentials => {
                attempts.refuse(credentials, now, Refusal::Wrong)?;
                Err(CloudError::CredentialsRefused { at: now })
            }
            Action::AskPerson(code) => {
                attempts.refuse(credentials, now, Refusal::Verification(code))?;
                Err(CloudError::VerificationNeeded { code, at: now })
            }
            Action::Locked(lock) => {
                let until = now.plus(lock);
                attempts.pause(&account, until, Pause::Locked)?;
                Err(CloudError::LoginPaused { until, pause: Pause::Locked })
            }
            Action::CountOutage if answer.code.is_none() => {
                // The gateway has nobody to ask: no login has come to the vendor's count.
                attempts.withdraw(credentials)?;
                Err(CloudError::LoginFailed { status: answer.status, code: None })
            }
            Action::Fail
            | Action::LogInAgain
            | Action::WaitAndLogIn
            | Action::Throttle
            | Action::WaitAndRepeat
            | Action::CountOutage
            | Action::NotOnServer
            | Action::NotForThis
            | Action::Forbidden => Err(CloudError::LoginFailed { status: answer.status, code: answer.code }),
        }
    }

    /// The login in an answer that says that it is one.
    fn login_in(&self, answer: &Answer, account: AccountId, now: Timestamp) -> Result<Login, CloudError> {
        let secret = |key| json::text(&answer.data, key).map(Secret::new);
        let (Some(token), Some(user_id)) = (secret("auth_token"), secret("user_id")) else {
            let endpoint = Endpoint::Login.name();
            return Err(CloudError::UnexpectedResponse { endpoint, what: "has no token or no account" });
        };
        if secret_header(&token).is_none() {
            let endpoint = Endpoint::Login.name();
            return Err(CloudError::UnexpectedResponse {
                endpoint,
                what: "has a token that no header can hold",
            });
        }
        let end = json::integer(&answer.data, "token_expires_at").and_then(|end| end.checked_mul(1_000_000));
        let expires_at = end.map(Timestamp::from_micros);
        let login =
            Login::new(account, &self.config.country, self.server.as_str(), token, user_id, expires_at);
        // An end that is over, as a clock of ours that is wrong would have it, would mean a login for each call.
        if login.holds(now) { Ok(login) } else { Ok(Login { expires_at: None, ..login }) }
    }
}
