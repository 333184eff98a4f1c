//! One call: its turn, its answer, and what the answer asks for.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::action::{Action, Missing};
use super::cache::CacheKey;
use super::cloud::Cloud;
use super::endpoint::Endpoint;
use super::http::Answer;
use super::{CloudError, Pause};
use crate::battery::anker::auth::{Attempts, Login};
use crate::reading::error_chain;

/// We leave the account for this long to whoever has kicked us out, so that a phone is not kicked out in turn.
const AFTER_KICK: Duration = Duration::from_secs(30 * 60);

/// No login is tried for this long after one whose token was not accepted.
const AFTER_USELESS: Duration = Duration::from_secs(60 * 60);

impl Cloud {
    /// Asks for something, with a login. At most two calls of the endpoint, and at most one login: each answer
    /// that may be repeated is repeated once.
    pub(super) async fn ask(
        &mut self,
        endpoint: Endpoint,
        subject: &str,
        body: &Value,
    ) -> Result<Value, CloudError> {
        let answered = self.ask_and_repeat(endpoint, subject, body).await;
        self.cache.save();
        answered
    }

    async fn ask_and_repeat(
        &mut self,
        endpoint: Endpoint,
        subject: &str,
        body: &Value,
    ) -> Result<Value, CloudError> {
        let server = self.server.to_string();
        let key = CacheKey { server: server.trim_end_matches('/'), endpoint, subject };
        self.cache.check(key, self.now())?;
        match self.ask_once(key, body, false).await? {
            Some(data) => Ok(data),
            None => self.ask_once(key, body, true).await?.ok_or(CloudError::NotAccepted(endpoint)),
        }
    }

    /// One call. `None` if it is to be repeated.
    async fn ask_once(
        &mut self,
        key: CacheKey<'_>,
        body: &Value,
        is_repetition: bool,
    ) -> Result<Option<Value>, CloudError> {
        self.ensure_login().await?;
        self.take_turn(key.endpoint).await?;
        match self.send(key.endpoint, body.to_string().into_bytes()).await {
            Err(CloudError::Timeout(..)) if !is_repetition => self.wait_to_repeat(key.endpoint).await,
            answer => self.act(key, answer?, is_repetition).await,
        }
    }

    /// Does what an answer asks for.
    async fn act(
        &mut self,
        key: CacheKey<'_>,
        answer: Answer,
        is_repetition: bool,
    ) -> Result<Option<Value>, CloudError> {
        let endpoint = key.endpoint;
        let failed = CloudError::Failed(endpoint, answer.status, answer.code);
        match answer.action {
            Action::Take => {
                self.token_works();
                self.cache.works(key);
                Ok(Some(answer.data))
            }
            Action::LogInAgain => self.token_is_refused(key, is_repetition).await,
            Action::WaitAndLogIn => self.kicked_out(endpoint),
            Action::Throttle => {
                self.pacer.throttle(endpoint);
                if is_repetition {
                    return Err(CloudError::TooManyCalls(endpoint));
                }
                self.wait_to_repeat(endpoint).await
            }
            Action::WaitAndRepeat if !is_repetition => self.wait_to_repeat(endpoint).await,
            Action::DoWithout(missing) if endpoint.is_optional() => {
                Err(self.cache.missing(key, missing, self.now()).unwrap_or(failed))
            }
            Action::Locked(lock) => Err(self.pause_logins(lock, Pause::Locked)?),
            Action::Fail if answer.code.is_none() && (200..300).contains(&answer.status) => {
                Err(CloudError::UnexpectedResponse(endpoint, "has no result code"))
            }
            Action::Fail
            | Action::WaitAndRepeat
            | Action::DoWithout(_)
            | Action::Refuse(_)
            | Action::NewKey => Err(failed),
        }
    }

    /// Waits until the endpoint may be called.
    pub(super) async fn take_turn(&mut self, endpoint: Endpoint) -> Result<(), CloudError> {
        let due = self.pacer.due(endpoint, &self.pace, Instant::now());
        self.wait_until(due, endpoint).await
    }

    async fn wait_to_repeat(&self, endpoint: Endpoint) -> Result<Option<Value>, CloudError> {
        self.wait_until(Instant::now() + self.pace.before_repeat(), endpoint).await.map(|()| None)
    }

    /// Waits, unless that would be too long.
    async fn wait_until(&self, due: Instant, endpoint: Endpoint) -> Result<(), CloudError> {
        if self.deadline.is_some_and(|deadline| deadline <= due.max(Instant::now())) {
            return Err(CloudError::NoTime(endpoint));
        }
        sleep_until(due).await;
        Ok(())
    }

    /// Sends one body, and gives the answer whatever it says.
    pub(super) async fn send(&mut self, endpoint: Endpoint, body: Vec<u8>) -> Result<Answer, CloudError> {
        let now = Instant::now();
        self.pacer.note(endpoint, now);
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let within = left.map_or(self.pace.timeout, |left| left.min(self.pace.timeout));
        // A login is not sent with the token that it replaces.
        let login = self.login.as_ref().filter(|_| endpoint != Endpoint::Login);
        let credentials = login.map(|login| (&login.token, &login.user_id));
        match self.http.post(self.server.clone(), endpoint, credentials, body, within).await {
            Err(CloudError::Timeout(..)) if within < self.pace.timeout => Err(CloudError::NoTime(endpoint)),
            answer => answer,
        }
    }

    /// The token was accepted.
    fn token_works(&mut self) {
        let Some(login) = self.login.as_mut().filter(|login| !login.is_proven) else { return };
        login.is_proven = true;
        if let Err(error) = self.login_file.save(login) {
            tracing::warn!(error = error_chain(&error), "cannot keep the login");
        }
    }

    /// The token was not accepted. If it ever was, it is over, and a new login may help. If it never was, logging
    /// in again would not end: no login for an hour. What is optional is then not asked for a day, and the
    /// token, which may be good for the rest, stays.
    async fn token_is_refused(
        &mut self,
        key: CacheKey<'_>,
        is_repetition: bool,
    ) -> Result<Option<Value>, CloudError> {
        let not_accepted = CloudError::NotAccepted(key.endpoint);
        let Some(login) = self.login.clone() else { return Err(not_accepted) };
        if self.another_has_logged_in(&login)? {
            return Ok(None);
        }
        if !login.is_proven {
            let paused = self.pause_logins(AFTER_USELESS, Pause::TokenUseless)?;
            if key.endpoint.is_optional() {
                return Err(self.cache.missing(key, Missing::Forbidden, self.now()).unwrap_or(not_accepted));
            }
            self.drop_login(&login)?;
            return Err(paused);
        }
        self.drop_login(&login)?;
        if is_repetition {
            return Err(not_accepted);
        }
        tracing::info!("the Solix cloud no longer accepts the login");
        self.renew_login().await?;
        Ok(None)
    }

    /// Another login took our place. If it was one of ours, it is taken; else we wait.
    fn kicked_out(&mut self, endpoint: Endpoint) -> Result<Option<Value>, CloudError> {
        let not_accepted = CloudError::NotAccepted(endpoint);
        let Some(login) = self.login.clone() else { return Err(not_accepted) };
        if self.another_has_logged_in(&login)? {
            return Ok(None);
        }
        let paused = self.pause_logins(AFTER_KICK, Pause::KickedOut)?;
        self.drop_login(&login)?;
        tracing::warn!("another login to the Solix account has ended ours");
        Err(paused)
    }

    /// Whether another process of ours has put a newer login into the file. If so, it is ours too now.
    fn another_has_logged_in(&mut self, refused: &Login) -> Result<bool, CloudError> {
        self.dropped = Some(refused.token.clone());
        self.take_cached_login()
    }

    /// No login of this account for so long. Gives the error that says so.
    fn pause_logins(&self, long: Duration, pause: Pause) -> Result<CloudError, CloudError> {
        let until = self.now().plus(long);
        if let Some(account) = self.account().filter(|_| !self.config.read_only) {
            Attempts::load(&self.config.state_dir, self.now())?.pause(account, until, pause)?;
        }
        Ok(CloudError::LoginPaused { until, pause })
    }

    /// Forgets a token, here and in the file, unless another process has put a newer one there.
    fn drop_login(&mut self, login: &Login) -> Result<(), CloudError> {
        self.login = None;
        let cached = self.login_file.load::<Login>()?;
        if cached.is_ok_and(|cached| cached.token == login.token) {
            self.login_file.remove()?;
        }
        Ok(())
    }
}
