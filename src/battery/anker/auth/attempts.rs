//! When another login is allowed. The vendor bans addresses after about ten failed logins and locks accounts
//! for a day, so the count outlives the process.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::files::{PrivateFile, Unusable};
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

/// An account: the hash of its e-mail address, so that files of ours do not hold the address. Empty where it is not
/// known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AccountId(String);

impl AccountId {
    /// The account of an e-mail address, however it is written.
    pub(crate) fn from_email(email: &str) -> Self {
        Self(to_hex(&Md5::digest(email.trim().to_lowercase())))
    }
}

/// An e-mail address and its password, to log in with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credentials<'a> {
    pub(crate) email: &'a Secret,
    pub(crate) password: &'a Secret,
}

impl Credentials<'_> {
    pub(crate) fn account(&self) -> AccountId {
        AccountId::from_email(self.email.expose())
    }
}

/// The logins of late, and what forbids others.
#[derive(Debug)]
pub(crate) struct Attempts {
    file: PrivateFile,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    /// Makes equal passwords of two machines look different.
    salt: String,
    accounts: BTreeMap<AccountId, Account>,
    /// Until then every account waits, since its count was lost.
    #[serde(rename = "lost_until_us")]
    lost_until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Account {
    /// When logins were sent in the last day, oldest first.
    #[serde(rename = "made_us")]
    made: Vec<Timestamp>,
    refused: Vec<Refused>,
    pause: Option<(Timestamp, Pause)>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Refused {
    #[serde(rename = "at_us")]
    at: Timestamp,
    /// `None` for wrong credentials, else the code of the verification.
    verification: Option<i64>,
    /// Sixteen bits of a salted hash of the credentials: enough to see that they were changed, and too few to
    /// find a password with, however fast somebody guesses.
    trace: u16,
}

impl Attempts {
    /// Reads the count. One that cannot be understood is set aside, and then an attempt may just have been made.
    pub(crate) fn load(state_dir: &Path, now: Timestamp) -> Result<Self, CloudError> {
        let file = PrivateFile::new(state_dir, FILE_NAME);
        let loaded = file.load::<State>()?;
        let lost_until = (loaded == Err(Unusable::Corrupt)).then(|| now.plus(BETWEEN));
        let before = loaded.map_or_else(|_| State::new(lost_until), Ok)?;
        let mut state = before.clone();
        state.set_back(now);
        if lost_until.is_some() || state != before {
            file.save(&state)?;
        }
        state.forget_what_is_over(now);
        Ok(Self { file, state })
    }

    /// Whether a login may be sent now. A person who asks for it may have done what was demanded.
    ///
    /// # Errors
    /// It may not; the error says why, and until when.
    pub(crate) fn allowed(
        &self,
        credentials: Credentials<'_>,
        now: Timestamp,
        is_by_person: bool,
    ) -> Result<(), CloudError> {
        let account = self.state.accounts.get(&credentials.account());
        let trace = self.trace(credentials);
        let refused = account.into_iter().flat_map(|account| &account.refused);
        for refused in refused.filter(|refused| refused.trace == trace) {
            refused.check(now, is_by_person)?;
        }
        let last = account.and_then(|account| account.made.last());
        let pauses = [
            self.state.lost_until.map(|until| (until, Pause::CountLost)),
            account.and_then(|account| account.pause),
            last.map(|last| (last.plus(BETWEEN), Pause::TooSoon)),
        ];
        pauses.into_iter().try_for_each(|pause| is_over(pause, now))?;
        self.allowed_today(credentials, now)
    }

    /// Whether the day has room for another login, as soon as it may be: for the second key pair.
    ///
    /// # Errors
    /// It has not; the error says until when.
    pub(crate) fn allowed_today(
        &self,
        credentials: Credentials<'_>,
        now: Timestamp,
    ) -> Result<(), CloudError> {
        let account = self.state.accounts.get(&credentials.account());
        let first = account.and_then(|account| account.made.iter().rev().nth(MOST_A_DAY - 1));
        is_over(first.map(|first| (first.plus(DAY), Pause::DailyLimit)), now)
    }

    /// Counts a login that is about to be sent. When this returns, it is on the disk; if it fails, nothing may be
    /// sent.
    pub(crate) fn count(&mut self, credentials: Credentials<'_>, now: Timestamp) -> Result<(), CloudError> {
        self.change(credentials.account(), |account| account.made.push(now))
    }

    /// Takes the last one back, since there was no connection to send it over.
    pub(crate) fn withdraw(&mut self, credentials: Credentials<'_>) -> Result<(), CloudError> {
        self.change(credentials.account(), |account| {
            account.made.pop();
        })
    }

    /// These credentials are not to be sent again: they are wrong, or the verification of this code is needed.
    pub(crate) fn refuse(
        &mut self,
        credentials: Credentials<'_>,
        at: Timestamp,
        verification: Option<i64>,
    ) -> Result<(), CloudError> {
        let trace = self.trace(credentials);
        self.change(credentials.account(), |account| {
            account.refused.retain(|refused| refused.trace != trace);
            account.refused.push(Refused { at, verification, trace });
            let n_too_many = account.refused.len().saturating_sub(MOST_REFUSED);
            account.refused.drain(..n_too_many);
        })
    }

    /// No login of this account before then.
    pub(crate) fn pause(
        &mut self,
        account: &AccountId,
        until: Timestamp,
        pause: Pause,
    ) -> Result<(), CloudError> {
        self.change(account.clone(), |account| account.pause = Some((until, pause)))
    }

    /// The server took these credentials, so nothing speaks against them any more.
    pub(crate) fn accept(&mut self, credentials: Credentials<'_>) -> Result<(), CloudError> {
        let trace = self.trace(credentials);
        self.change(credentials.account(), |account| {
            account.refused.retain(|refused| refused.trace != trace);
            account.pause = None;
        })
    }

    fn change(&mut self, account: AccountId, change: impl FnOnce(&mut Account)) -> Result<(), CloudError> {
        change(self.state.accounts.entry(account).or_default());
        self.file.save(&self.state)
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

fn is_over(pause: Option<(Timestamp, Pause)>, now: Timestamp) -> Result<(), CloudError> {
    match pause.filter(|(until, _)| now < *until) {
        Some((until, pause)) => Err(CloudError::LoginPaused { until, pause }),
        None => Ok(()),
    }
}

impl State {
    fn new(lost_until: Option<Timestamp>) -> Result<Self, CloudError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_says_nothing| CloudError::Random)?;
        Ok(Self { salt: to_hex(&salt), accounts: BTreeMap::new(), lost_until })
    }

    /// Takes moments to come, which a clock wrote that was ahead, for now. Once, and then that is kept: else they
    /// would be now for ever.
    fn set_back(&mut self, now: Timestamp) {
        let latest = now.plus(LONGEST_PAUSE);
        for account in self.accounts.values_mut() {
            account.made.iter_mut().for_each(|made| *made = now.min(*made));
            account.refused.iter_mut().for_each(|refused| refused.at = now.min(refused.at));
            account.pause = account.pause.map(|(until, pause)| (until.min(latest), pause));
        }
        self.lost_until = self.lost_until.map(|until| until.min(latest));
    }

    fn forget_what_is_over(&mut self, now: Timestamp) {
        self.accounts.retain(|_, account| {
            account.made.retain(|made| now.minus(DAY) < *made);
            account.pause = account.pause.filter(|(until, _)| now < *until);
            !(account.made.is_empty() && account.refused.is_empty() && account.pause.is_none())
        });
        self.lost_until = self.lost_until.filter(|until| now < *until);
    }
}

impl Refused {
    /// A person may have met a demand for verification, and after a day may have made a password right that
    /// was wrong.
    fn check(&self, now: Timestamp, is_by_person: bool) -> Result<(), CloudError> {
        let may_be_right = self.verification.is_some() || self.at.plus(DAY) <= now;
        if is_by_person && may_be_right {
            return Ok(());
        }
        Err(CloudError::from_refusal(self.verification, self.at))
    }
}

#[cfg(test)]
mod tests;
