//! The memory of what does not work, and of when things were asked: polls are processes of their own, a minute apart.
//!
//! Nothing here must last. A file that is damaged or cannot be written costs some calls.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CloudError;
use super::action::Missing;
use super::endpoint::Endpoint;
use crate::battery::anker::auth::{AccountId, PrivateFile};
use crate::reading::{Timestamp, error_chain};

/// The file's name in the state directory.
pub(super) const CACHE_FILE: &str = "solix-rest.json";

/// Something that is not there is not asked for in this time.
const OFF_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// So many outages of a service in a row, and it is taken for one that this region does not have.
const OUTAGES: u32 = 3;

/// From one question to a panel to the next: its answers are large, and hold means of five minutes.
const PANEL_EVERY: Duration = Duration::from_secs(5 * 60);

/// So many devices and sites are remembered of each kind: it bounds the file.
const MOST: usize = 500;

/// All that is remembered.
#[derive(Debug)]
pub(super) struct RestCache {
    file: PrivateFile,
    row: Row,
    /// The names of fields that this process has logged.
    logged: BTreeMap<String, BTreeSet<String>>,
    is_changed: bool,
    has_failed: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Row {
    region: Option<Region>,
    /// Until when something is not asked for, and why.
    off: BTreeMap<String, (Timestamp, Reason)>,
    /// The number of outages of a service in a row.
    outages: BTreeMap<String, u32>,
    /// When a site's panel was asked last.
    #[serde(rename = "panel_asked_us")]
    panel_asked: BTreeMap<String, Timestamp>,
    /// The time zones of devices, by serial number.
    zones: BTreeMap<String, String>,
}

/// At which server an account was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Region {
    pub(super) account: AccountId,
    pub(super) country: String,
    /// The base URL.
    pub(super) server: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    Unsupported,
    Forbidden,
}

impl Reason {
    fn error(self, endpoint: Endpoint, until: Timestamp) -> CloudError {
        match self {
            Self::Unsupported => CloudError::Unsupported(endpoint, until),
            Self::Forbidden => CloudError::Forbidden(endpoint, until),
        }
    }
}

/// A question: an endpoint at a server, or only for one site or device of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct CacheKey<'a> {
    pub(super) server: &'a str,
    pub(super) endpoint: Endpoint,
    /// The site or device; empty where there is none.
    pub(super) subject: &'a str,
}

impl CacheKey<'_> {
    fn for_server(self) -> String {
        format!("{}{}", self.server, self.endpoint.path())
    }

    fn for_subject(self) -> String {
        format!("{} {}", self.for_server(), self.subject)
    }
}

impl RestCache {
    /// Reads it; an empty one if there is none.
    pub(super) fn load(file: PrivateFile) -> Result<Self, CloudError> {
        let row = file.load()?.unwrap_or_default();
        Ok(Self { file, row, logged: BTreeMap::new(), is_changed: false, has_failed: false })
    }

    /// Writes it, if it has changed. That it cannot be written is said once.
    pub(super) fn save(&mut self) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        match self.file.save(&self.row) {
            Ok(()) => self.has_failed = false,
            Err(error) if self.has_failed => {
                tracing::debug!(error = error_chain(&error), "cannot keep what was learnt of the cloud");
            }
            Err(error) => {
                self.has_failed = true;
                tracing::warn!(
                    error = error_chain(&error),
                    "cannot keep what was learnt of the cloud: it is asked more often"
                );
            }
        }
    }

    /// Whether this may be asked, as far as is known.
    pub(super) fn check(&self, key: CacheKey<'_>, now: Timestamp) -> Result<(), CloudError> {
        let known = [key.for_server(), key.for_subject()];
        // What a clock wrote that was ahead counts for nothing.
        let is_off = |(until, _): &&(Timestamp, Reason)| now < *until && *until <= now.plus(OFF_FOR);
        match known.iter().filter_map(|known| self.row.off.get(known)).find(is_off) {
            Some((until, reason)) => Err(reason.error(key.endpoint, *until)),
            None => Ok(()),
        }
    }

    /// It was answered.
    pub(super) fn works(&mut self, key: CacheKey<'_>) {
        self.is_changed |= self.row.outages.remove(&key.for_server()).is_some();
    }

    /// It is not to be had, and the error says until when it is not asked for. `None` for an outage of which too few
    /// came in a row.
    pub(super) fn missing(
        &mut self,
        key: CacheKey<'_>,
        missing: Missing,
        now: Timestamp,
    ) -> Option<CloudError> {
        self.is_changed = true;
        let (off, reason) = match missing {
            Missing::Outage if !self.is_one_outage_too_many(key) => return None,
            Missing::Outage | Missing::OnServer => (key.for_server(), Reason::Unsupported),
            Missing::ForSubject => (key.for_subject(), Reason::Unsupported),
            Missing::Forbidden => (key.for_subject(), Reason::Forbidden),
        };
        let until = now.plus(OFF_FOR);
        self.row.off.retain(|_, (until, _)| now < *until);
        if self.row.off.len() < MOST {
            self.row.off.insert(off, (until, reason));
        }
        Some(reason.error(key.endpoint, until))
    }

    fn is_one_outage_too_many(&mut self, key: CacheKey<'_>) -> bool {
        let n_outages = self.row.outages.remove(&key.for_server()).unwrap_or_default() + 1;
        if n_outages < OUTAGES {
            self.row.outages.insert(key.for_server(), n_outages);
        }
        n_outages >= OUTAGES
    }

    /// The names among `names` that this process has not told of this device or site in this endpoint's answers.
    pub(super) fn new_names(
        &mut self,
        endpoint: Endpoint,
        id: &str,
        names: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let key = format!("{endpoint} {id}");
        if self.logged.len() >= MOST && !self.logged.contains_key(&key) {
            return BTreeSet::new();
        }
        let seen = self.logged.entry(key).or_default();
        let new: BTreeSet<String> = names.difference(seen).cloned().collect();
        seen.extend(new.iter().cloned());
        new
    }

    /// Whether a site's panel may be asked now; if so, it is noted.
    pub(super) fn may_ask_panel(&mut self, site: &str, now: Timestamp) -> bool {
        let asked = &mut self.row.panel_asked;
        asked.retain(|_, asked| *asked <= now && now.minus(PANEL_EVERY) < *asked);
        let may_ask = !asked.contains_key(site);
        if may_ask {
            asked.insert(site.to_owned(), now);
            self.is_changed = true;
        }
        may_ask
    }

    /// The time zone of a device, as a POSIX `TZ` string.
    pub(super) fn zone(&self, serial: &str) -> Option<&str> {
        self.row.zones.get(serial).map(String::as_str)
    }

    /// A device's time zone.
    pub(super) fn note_zone(&mut self, serial: &str, zone: &str) {
        if self.zone(serial) != Some(zone) && self.row.zones.len() < MOST {
            self.row.zones.insert(serial.to_owned(), zone.to_owned());
            self.is_changed = true;
        }
    }

    /// The base URL of the server where the account was found, or is looked for now. `None` of an account is any.
    pub(super) fn region(&self, account: Option<&AccountId>, country: &str) -> Option<&str> {
        let region = self.row.region.as_ref().filter(|region| region.country == country)?;
        let is_its = account.is_none_or(|account| *account == region.account);
        is_its.then_some(region.server.as_str())
    }

    /// The account is at this server, or nowhere; the other one is not tried again.
    pub(super) fn note_region(&mut self, region: Region) {
        self.is_changed |= self.row.region.as_ref() != Some(&region);
        self.row.region = Some(region);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_795_503_600_000_000);

    fn hours(hours: u64) -> Timestamp {
        START.plus(Duration::from_secs(hours * 3_600))
    }

    const fn panel(subject: &str) -> CacheKey<'_> {
        CacheKey { server: "https://h", endpoint: Endpoint::PanelEnergy, subject }
    }

    /// Whether another process may ask.
    fn may_ask(dir: &Path, key: CacheKey<'_>, now: Timestamp) -> bool {
        RestCache::load(PrivateFile::new(dir, CACHE_FILE)).unwrap().check(key, now).is_ok()
    }

    #[test]
    fn what_a_site_does_not_have_is_asked_again_after_a_day_and_of_other_sites_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = RestCache::load(PrivateFile::new(dir.path(), CACHE_FILE)).unwrap();
        cache.missing(panel("a"), Missing::ForSubject, START);
        cache.save();
        assert!(!may_ask(dir.path(), panel("a"), hours(23)));
        assert!(may_ask(dir.path(), panel("a"), hours(24)));
        assert!(may_ask(dir.path(), panel("b"), START));
    }

    #[test]
    fn what_a_server_does_not_have_is_asked_of_no_site_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = RestCache::load(PrivateFile::new(dir.path(), CACHE_FILE)).unwrap();
        cache.missing(panel("a"), Missing::OnServer, START);
        cache.save();
        assert!(!may_ask(dir.path(), panel("b"), START));
        assert!(may_ask(dir.path(), CacheKey { server: "https://other", ..panel("b") }, START));
    }

    #[test]
    fn the_third_outage_in_a_row_is_believed_across_processes() {
        let dir = tempfile::tempdir().unwrap();
        let outage = || {
            let mut cache = RestCache::load(PrivateFile::new(dir.path(), CACHE_FILE)).unwrap();
            let is_off = cache.missing(panel("a"), Missing::Outage, START).is_some();
            cache.save();
            is_off
        };
        assert!(!outage() && !outage());
        let mut cache = RestCache::load(PrivateFile::new(dir.path(), CACHE_FILE)).unwrap();
        cache.works(panel("b"));
        cache.save();
        assert!(!outage() && !outage() && outage());
        assert!(!may_ask(dir.path(), panel("a"), hours(1)));
    }

    #[test]
    fn what_a_clock_wrote_that_was_ahead_forbids_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = RestCache::load(PrivateFile::new(dir.path(), CACHE_FILE)).unwrap();
        cache.missing(panel("a"), Missing::ForSubject, hours(100_000));
        cache.may_ask_panel("a", hours(100_000));
        cache.save();
        assert!(may_ask(dir.path(), panel("a"), START));
        assert!(RestCache::load(PrivateFile::new(dir.path(), CACHE_FILE)).unwrap().may_ask_panel("a", START));
    }

    #[test]
    fn a_panel_is_asked_every_five_minutes() {
        let dir = tempfile::tempdir().unwrap();
        let mut cache = RestCache::load(PrivateFile::new(dir.path(), CACHE_FILE)).unwrap();
        let after = |seconds| START.plus(Duration::from_secs(seconds));
        assert!(cache.may_ask_panel("a", START));
        assert!(cache.may_ask_panel("b", START));
        assert!(!cache.may_ask_panel("a", after(299)));
        assert!(cache.may_ask_panel("a", after(300)));
    }

    #[test]
    fn names_are_new_once_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let start = || RestCache::load(PrivateFile::new(dir.path(), CACHE_FILE)).unwrap();
        let mut cache = start();
        let mut new = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            cache.new_names(Endpoint::Devices, "sn", &names).len()
        };
        assert_eq!((new(&["a", "b"]), new(&["a", "b"]), new(&["b", "c"])), (2, 0, 1));
        cache.save();
        let names = std::iter::once("a".to_owned()).collect();
        assert_eq!(start().new_names(Endpoint::Devices, "sn", &names).len(), 1);
    }
}
