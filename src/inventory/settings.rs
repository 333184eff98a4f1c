//! `[cycle]` and `[store]`.

use std::path::Path;
use std::time::Duration;

use super::check;
use super::diagnostic::{Location, ValueError};
use super::host_options::file_path;
use super::model::{CycleSettings, SecretSource, StoreSettings};
use super::section::{Section, Spanned};

const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
const DEFAULT_CONCURRENCY: usize = 256;
const DEFAULT_CONNECTING: usize = 64;
const DEFAULT_TABLE: &str = "unified_timeline";

/// 25 KB a minute for a thousand rows: a month of a fleet of that size.
const DEFAULT_SPOOL_SIZE: u64 = 1 << 30;
const DEFAULT_SPOOL_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// More than the most hosts of an inventory makes no difference.
const MAX_AT_ONCE: u32 = 65_536;

/// `[cycle]` as read.
#[derive(Debug, Clone)]
pub(super) struct Cycle {
    pub(super) settings: CycleSettings,
    /// The interval, unless what is written for it cannot be read: then nothing is measured by it.
    pub(super) interval: Option<Duration>,
    /// Where the interval is written, if it is.
    pub(super) interval_location: Option<Location>,
}

impl Default for Cycle {
    fn default() -> Self {
        let settings = CycleSettings {
            interval: DEFAULT_INTERVAL,
            concurrency: DEFAULT_CONCURRENCY,
            connecting: DEFAULT_CONNECTING,
        };
        Self { settings, interval: Some(DEFAULT_INTERVAL), interval_location: None }
    }
}

/// Reads `[cycle]`.
pub(super) fn read_cycle(section: &mut Section<'_, '_>) -> Cycle {
    let mut cycle = Cycle::default();
    if let Some(interval) = section.parsed("interval", check::duration) {
        cycle.settings.interval = interval.value;
        cycle.interval = Some(interval.value);
        cycle.interval_location = Some(interval.location);
    } else if section.key_location("interval").is_some() {
        cycle.interval = None;
    }
    let at_once = |section: &mut Section<'_, '_>, key| {
        section.integer(key, 1..=MAX_AT_ONCE).and_then(|number| usize::try_from(number.value).ok())
    };
    cycle.settings.concurrency = at_once(section, "concurrency").unwrap_or(DEFAULT_CONCURRENCY);
    cycle.settings.connecting = at_once(section, "connecting").unwrap_or(DEFAULT_CONNECTING);
    cycle
}

/// `[store]` of an inventory that has none.
pub(super) fn default_store() -> StoreSettings {
    StoreSettings {
        url: None,
        password: None,
        table: DEFAULT_TABLE.to_owned(),
        metadata: Default::default(),
        spool_size: DEFAULT_SPOOL_SIZE,
        spool_age: DEFAULT_SPOOL_AGE,
        keep: None,
    }
}

/// Reads `[store]`.
pub(super) fn read_store(section: &mut Section<'_, '_>, base: &Path) -> StoreSettings {
    let default = default_store();
    let url = section.parsed("url", check::store_url).map(|url| url.value);
    let keep = section.parsed("keep", check::spool_age);
    if let Some(keep) = &keep
        && url.as_ref().is_some_and(|url| url.starts_with("postgres"))
    {
        let hint = "take it out; the owner of a table in PostgreSQL removes old rows";
        let error =
            ValueError::new("`keep` is for a timeline in SQLite", "nothing is removed from PostgreSQL", hint);
        section.report(keep.location.clone(), error);
    }
    StoreSettings {
        url,
        password: read_secret(section, base, "password", "password", "FLEETWATT_DB_PASSWORD"),
        table: section.parsed("table", check::table).map_or(default.table, |table| table.value),
        metadata: section.parsed("metadata", check::metadata).map_or(default.metadata, |style| style.value),
        spool_size: section.parsed("spool_size", check::spool_size).map_or(default.spool_size, |at| at.value),
        spool_age: section.parsed("spool_age", check::spool_age).map_or(default.spool_age, |at| at.value),
        keep: keep.map(|keep| keep.value),
    }
}

/// Where a secret comes from: of `<name>_env`, `<name>_file` and `<name>_credential`, at most one.
pub(super) fn read_secret(
    section: &mut Section<'_, '_>,
    base: &Path,
    name: &str,
    what: &str,
    example: &str,
) -> Option<SecretSource> {
    let [env, file, credential] = ["env", "file", "credential"].map(|from| format!("{name}_{from}"));
    let env =
        section.parsed(&env, |text| check::environment_name(text, what, example).map(SecretSource::Env));
    let file = section.parsed(&file, |text| file_path(text, base).map(SecretSource::File));
    let credential =
        section.parsed(&credential, |text| check::credential_name(text).map(SecretSource::Credential));
    let mut sources: Vec<Spanned<SecretSource>> = [env, file, credential].into_iter().flatten().collect();
    sources.sort_by(|a, b| a.location.cmp(&b.location));
    let mut sources = sources.into_iter();
    let first = sources.next();
    for other in sources {
        let message = format!("the {what} is said to come from two places");
        section.report(other.location, ValueError::new(message, "a second place", "keep one of them"));
    }
    first.map(|first| first.value)
}
