//! When another login is allowed. The vendor bans addresses after about ten failed logins and locks accounts
//! for a day, so the count outlives the process.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::files::{Loaded, PrivateFile};
use crate::battery::anker::rest::{CloudError, Pause};
use crate::battery::anker::wire::to_hex;
use crate::reading::Timestamp;
use crate::support::secret::Secret;

/// The file's name in the state directory.
const FILE_NAME: &str = "solix-attempts.json";

/// From one login of an account to the next.
const BETWEEN: Duration = Duration::from_secs(10 * 60);

/// So many logins of an account are allowed in a [`DAY`].
const MOST_A_DAY: usize = 6;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A clock that once was far ahead must not block us for years.
const LONGEST_PAUSE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// So many refused credentials are remembered for an account; the oldest is forgotten first. A day has six
/// attempts.
const MOST_REFUSED: usize = 16;

/// An account: the hash of its e-mail address, so that files of ours do not hold the address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::battery::anker) struct AccountId(String);

impl AccountId {
    /// The account of an e-mail address, however it is written.
    pub(in crate::battery::anker) fn from_email(email: &str) -> Self {
        Self(to_hex(&Md5::digest(email.trim().to_lowercase())))
    }

    pub(super) fn from_hex(hex: String) -> Self {
        Self(hex)
    }

    /// As it stands in files.
    pub(in crate::battery::anker) fn as_hex(&self) -> &str {
        &self.0
    }
}

/// What is logged in with.
#[derive(Debug, Clone, Copy)]
pub(in crate::battery::anker) struct Credentials<'a> {
    pub(in crate::battery::anker) email: &'a Secret,
    pub(in crate::battery::anker) password: &'a Secret,
}

/// Who wants to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::battery::anker) enum Asked {
    /// The program by itself.
    ByProgram,
    /// A person who is there: what was demanded of them may have been done.
    ByPerson,
}

/// Why the server refused a login until somebody does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::battery::anker) enum Refusal {
    /// Wrong e-mail address or password.
    Wrong,
    /// A verification is needed; the code says which.
    Verification(i64),
}

/// The logins of late, and what forbids others.
#[derive(Debug)]
pub(in crate::battery::anker) struct Attempts {
    file: PrivateFile,
    state: State,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// Makes equal passwords of two machines look different.
    salt: String,
    accounts: BTreeMap<String, Account>,
    /// Until then every account waits, since its count was lost.
    lost_until_us: Option<i64>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Account {
    /// When logins were sent in the last day, oldest first.
    made_us: Vec<i64>,
    refused: Vec<Refused>,
    pause: Option<(i64, Pause)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Refused {
    at_us: i64,
    /// `None` for wrong credentials, else the code of the verification.
    verification: Option<i64>,
    /// Sixteen bits of a salted hash of the credentials: enough to see that they were changed, and too few to
    /// find a password with, however fast somebody guesses.
    trace: u16,
}

impl Attempts {
    /// Reads the count. One that cannot be understood is set aside, and then an attempt may just have been made.
    ///
    /// # Errors
    /// The file cannot be read, or a lost count cannot be noted.
    pub(in crate::battery::anker) fn load(state_dir: &Path, now: Timestamp) -> Result<Self, CloudError> {
        let file = PrivateFile::new(state_dir, FILE_NAME);
        let mut attempts = match file.load::<State>()? {
            Loaded::Ok(state) => Self { file, state },
            Loaded::Missing => Self { file, state: State::new()? },
            Loaded::Corrupt => {
                let lost_until_us = Some(now.plus(BETWEEN).micros());
                let state = State { lost_until_us, ..State::new()? };
                file.save(&state)?;
                Self { file, state }
            }
        };
        if attempts.state.is_ahead_of(now) {
            attempts.state.set_back(now);
            attempts.file.save(&attempts.state)?;
        }
        attempts.state.forget_what_is_over(now);
        Ok(attempts)
    }

    /// Whether a login may be sent now.
    ///
    /// # Errors
    /// It may not; the error says why, and until when.
    pub(in crate::battery::anker) fn allowed(
        &self,
        credentials: Credentials<'_>,
        now: Timestamp,
        asked: Asked,
    ) -> Result<(), CloudError> {
        let paused = |until: Timestamp, pause| {
            if now < until { Err(CloudError::LoginPaused { until, pause }) } else { Ok(()) }
        };
        let empty = Account::default();
        let account = self.account(credentials).unwrap_or(&empty);
        let trace = self.trace(credentials);
        for refused in account.refused.iter().filter(|refused| refused.trace == trace) {
            refused.check(now, asked)?;
        }
        if let Some(until) = self.state.lost_until_us {
            paused(Timestamp::from_micros(until), Pause::CountLost)?;
        }
        if let Some((until, pause)) = account.pause {
            paused(Timestamp::from_micros(until), pause)?;
        }
        if let Some(last) = account.made_us.last() {
            paused(Timestamp::from_micros(*last).plus(BETWEEN), Pause::TooSoon)?;
        }
        self.allowed_today(credentials, now)
    }

    /// Whether the day has room for another login, as soon as it may be: for the second key pair.
    ///
    /// # Errors
    /// It has not; the error says until when.
    pub(in crate::battery::anker) fn allowed_today(
        &self,
        credentials: Credentials<'_>,
        now: Timestamp,
    ) -> Result<(), CloudError> {
        let made = self.account(credentials).map_or(&[][..], |account| &account.made_us);
        let today =
            made.iter().rev().nth(MOST_A_DAY - 1).map(|first| Timestamp::from_micros(*first).plus(DAY));
        match today.filter(|until| now < *until) {
            Some(until) => Err(CloudError::LoginPaused { until, pause: Pause::DailyLimit }),
            None => Ok(()),
        }
    }

    /// Counts a login that is about to be sent. When this returns, it is on the disk.
    ///
    /// # Errors
    /// It cannot be written: then nothing may be sent.
    pub(in crate::battery::anker) fn count(
        &mut self,
        credentials: Credentials<'_>,
        now: Timestamp,
    ) -> Result<(), CloudError> {
        self.account_mut(&AccountId::from_email(credentials.email.expose())).made_us.push(now.micros());
        self.file.save(&self.state)
    }

    /// Takes the last one back, since there was no connection to send it over.
    ///
    /// # Errors
    /// It cannot be written.
    pub(in crate::battery::anker) fn withdraw(
        &mut self,
        credentials: Credentials<'_>,
    ) -> Result<(), CloudError> {
        self.account_mut(&AccountId::from_email(credentials.email.expose())).made_us.pop();
        self.file.save(&self.state)
    }

    /// These credentials are not to be sent again.
    ///
    /// # Errors
    /// It cannot be written.
    pub(in crate::battery::anker) fn refuse(
        &mut self,
        credentials: Credentials<'_>,
        now: Timestamp,
        refusal: Refusal,
    ) -> Result<(), CloudError> {
        let trace = self.trace(credentials);
        let verification = match refusal {
            Refusal::Wrong => None,
            Refusal::Verification(code) => Some(code),
        };
        let account = self.account_mut(&AccountId::from_email(credentials.email.expose()));
        account.refused.retain(|refused| refused.trace != trace);
        account.refused.push(Refused { at_us: now.micros(), verification, trace });
        let n_too_many = account.refused.len().saturating_sub(MOST_REFUSED);
        account.refused.drain(..n_too_many);
        self.file.save(&self.state)
    }

    /// No login of this account before then.
    ///
    /// # Errors
    /// It cannot be written.
    pub(in crate::battery::anker) fn pause(
        &mut self,
        account: &AccountId,
        until: Timestamp,
        pause: Pause,
    ) -> Result<(), CloudError> {
        self.account_mut(account).pause = Some((until.micros(), pause));
        self.file.save(&self.state)
    }

    /// The server took these credentials, so nothing speaks against them any more.
    ///
    /// # Errors
    /// It cannot be written.
    pub(in crate::battery::anker) fn accept(
        &mut self,
        credentials: Credentials<'_>,
    ) -> Result<(), CloudError> {
        let trace = self.trace(credentials);
        let account = self.account_mut(&AccountId::from_email(credentials.email.expose()));
        account.refused.retain(|refused| refused.trace != trace);
        account.pause = None;
        self.file.save(&self.state)
    }

    fn account(&self, credentials: Credentials<'_>) -> Option<&Account> {
        self.state.accounts.get(&AccountId::from_email(credentials.email.expose()).0)
    }

    fn account_mut(&mut self, account: &AccountId) -> &mut Account {
        self.state.accounts.entry(account.0.clone()).or_default()
    }

    fn trace(&self, credentials: Credentials<'_>) -> u16 {
        let email = credentials.email.expose().trim();
        let mut hash = Md5::new();
        hash.update(&self.state.salt);
        hash.update(email.len().to_be_bytes());
        hash.update(email);
        hash.update(credentials.password.expose());
        let digest: [u8; 16] = hash.finalize().into();
        let [first, second, ..] = digest;
        u16::from_be_bytes([first, second])
    }
}

impl State {
    fn new() -> Result<Self, CloudError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_says_nothing| CloudError::Random)?;
        Ok(Self { salt: to_hex(&salt), accounts: BTreeMap::new(), lost_until_us: None })
    }

    /// Whether a clock wrote in it that was ahead of ours.
    fn is_ahead_of(&self, now: Timestamp) -> bool {
        let latest = now.plus(LONGEST_PAUSE).micros();
        let is_ahead = |account: &Account| {
            account.made_us.iter().any(|made| now.micros() < *made)
                || account.refused.iter().any(|refused| now.micros() < refused.at_us)
                || account.pause.is_some_and(|(until, _)| latest < until)
        };
        self.accounts.values().any(is_ahead) || self.lost_until_us.is_some_and(|until| latest < until)
    }

    /// What was in the future is taken for what is now. Once, and then it is kept: else it would be now for ever.
    fn set_back(&mut self, now: Timestamp) {
        let latest = now.plus(LONGEST_PAUSE).micros();
        for account in self.accounts.values_mut() {
            account.made_us.iter_mut().for_each(|made| *made = now.micros().min(*made));
            account.refused.iter_mut().for_each(|refused| refused.at_us = now.micros().min(refused.at_us));
            account.pause = account.pause.map(|(until, pause)| (until.min(latest), pause));
        }
        self.lost_until_us = self.lost_until_us.map(|until| until.min(latest));
    }

    fn forget_what_is_over(&mut self, now: Timestamp) {
        for account in self.accounts.values_mut() {
            account.made_us.retain(|made| now.minus(DAY).micros() < *made);
            account.pause = account.pause.filter(|(until, _)| now.micros() < *until);
        }
        self.accounts.retain(|_, account| !account.is_empty());
        self.lost_until_us = self.lost_until_us.filter(|until| now.micros() < *until);
    }
}

impl Account {
    fn is_empty(&self) -> bool {
        self.made_us.is_empty() && self.refused.is_empty() && self.pause.is_none()
    }
}

impl Refused {
    /// A person may have met a demand for verification, and after a day may have made a password right that
    /// was wrong.
    fn check(&self, now: Timestamp, asked: Asked) -> Result<(), CloudError> {
        let at = Timestamp::from_micros(self.at_us);
        let is_by_person = asked == Asked::ByPerson;
        match self.verification {
            Some(_) if is_by_person => Ok(()),
            None if is_by_person && at.plus(DAY) <= now => Ok(()),
            Some(code) => Err(CloudError::VerificationNeeded { code, at }),
            None => Err(CloudError::CredentialsRefused { at }),
        }
    }
}

#[cfg(test)]
mod tests;
