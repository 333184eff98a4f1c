//! Where things are: the inventory, the state, the sockets, the timeline. From the call, the inventory
//! and the environment, in this order.

use std::path::{Path, PathBuf};

use super::files::{Fingerprint, RealFiles};
use super::lock::{foreign_owner, is_ours};
use super::{Environment, Error};
use crate::battery::Account;
use crate::cycle::Clock;
use crate::inventory::{self, Inventory, SecretSource, StationAccount, StoreSettings};
use crate::output::notify::Webhook;
use crate::reading::{Share, error_chain};
use crate::store::{Password, StoreUrl};
use crate::support::secret::Secret;

/// The beginning of the names of our own variables.
const PREFIX: &str = "FLEETWATT_";

/// The variables that are read under this very name; the last two are for tests.
const VARIABLES: [&str; 5] = [
    "FLEETWATT_INVENTORY",
    "FLEETWATT_LOG",
    "FLEETWATT_LOG_PRIORITY",
    "FLEETWATT_FAILPOINT",
    "FLEETWATT_SLOW_TESTS",
];

/// At or below this state of charge stations are asked more often, where no alert says which one is low.
const FAST_BELOW: Share = Share::from_millipercent(20_000);

/// The account's country where nothing says another one.
const COUNTRY: &str = "US";

/// The file name of the default timeline, in the state directory.
const DEFAULT_DATABASE: &str = "fleetwatt.db";

/// Where the control sockets are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimePlace {
    /// The folder.
    pub path: PathBuf,
    /// Whether it is in a folder where anybody may create one of this name.
    pub is_shared: bool,
}

/// Everything a job needs to know before it starts.
#[derive(Debug)]
pub struct Settings {
    /// The file that the fleet was read from.
    pub inventory_path: PathBuf,
    /// The fleet.
    pub inventory: Inventory,
    /// The timeline.
    pub store_url: StoreUrl,
    /// The memory between runs: `$STATE_DIRECTORY`, else the XDG state home.
    pub state_dir: PathBuf,
    /// Whether `$STATE_DIRECTORY` names it, as systemd does for a service.
    pub has_given_state: bool,
    /// The sockets of SSH masters: `$RUNTIME_DIRECTORY`, else the user's own folder in /run or /tmp.
    pub runtime_dir: RuntimePlace,
    /// The account of battery stations, if the inventory has one.
    pub account: Option<Account>,
    /// Where secrets are, beside files.
    environment: Environment,
    /// The files that the fleet was read from, as they were then.
    pub(super) files: Fingerprint,
}

impl Settings {
    /// Reads the inventory and the environment. Creates nothing, and needs no secret: each is read where it is
    /// used, so that a shell beside a service does without those of its unit.
    ///
    /// # Errors
    /// No inventory, faults in it, a URL that is not one.
    pub fn load(inventory_path: Option<PathBuf>, environment: Environment) -> Result<Self, Error> {
        let inventory_path = find_inventory(inventory_path, environment)?;
        let files = RealFiles::default();
        let inventory =
            inventory::load(&inventory_path, &files).map_err(|faults| Error::Inventory(Box::new(faults)))?;
        let state_dir = state_dir(environment);
        let store_url = store_url(&inventory.store, &state_dir, environment)?;
        let has_given_state = environment.path("STATE_DIRECTORY").is_some();
        let runtime_dir = runtime_dir(environment);
        let account = account(&inventory, &state_dir, environment);
        Ok(Self {
            inventory_path,
            inventory,
            store_url,
            state_dir,
            has_given_state,
            runtime_dir,
            account,
            environment,
            files: files.fingerprint(),
        })
    }

    /// The webhook that is told of alerts, if there is one. One that cannot be had is said, and is none.
    pub(super) fn webhook(&self) -> Option<Webhook> {
        self.named_webhook().unwrap_or_else(|error| {
            tracing::warn!("alerts are told to nobody: {}", error_chain(&error));
            None
        })
    }

    /// The same for who wants it and nothing else.
    ///
    /// # Errors
    /// Its URL cannot be read or is not one.
    pub(super) fn named_webhook(&self) -> Result<Option<Webhook>, Error> {
        let inventory = &self.inventory;
        let Some(written) = &inventory.alerts.webhook else { return Ok(None) };
        let url = self.environment.secret("webhook's URL", &written.url)?;
        let interval = inventory.cycle.interval;
        let mut webhook =
            Webhook::new(url.expose(), written, interval, || Clock.now()).map_err(Error::Webhook)?;
        let labels = inventory.hosts.iter().map(|host| (host.name.clone(), host.labels.clone()));
        webhook.labels = labels.collect();
        Ok(Some(webhook))
    }

    /// The token that a scrape has to bring, if the inventory names one.
    ///
    /// # Errors
    /// It cannot be read, or is empty.
    pub(super) fn prometheus_token(&self) -> Result<Option<Secret>, Error> {
        let token = self.inventory.prometheus.token.as_ref();
        token.map(|token| self.environment.secret("token for Prometheus", token)).transpose()
    }

    /// A secret that the inventory names.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn secret(&self, what: &'static str, source: &SecretSource) -> Result<Secret, Error> {
        self.environment.secret(what, source)
    }

    /// The secrets that the inventory names and that cannot be had here.
    pub fn missing_secrets(&self) -> Vec<Error> {
        let store = self.inventory.store.password.as_ref();
        let store = store.and_then(|secret| self.environment.secret("database password", secret).err());
        let webhook = self.named_webhook().err();
        // What is not named anywhere need not be there: the kept login may hold.
        let defaults = StationAccount::default();
        let account = self.inventory.account.iter().flat_map(|account| {
            [
                (Account::EMAIL, &account.user, &defaults.user),
                (Account::PASSWORD, &account.password, &defaults.password),
            ]
        });
        let account = account.filter(|(_, secret, default)| secret != default);
        let account = account.filter_map(|(what, secret, _)| self.environment.secret(what, secret).err());
        let (token, broker) = (self.prometheus_token().err(), self.broker().err());
        store.into_iter().chain(webhook).chain(account).chain(token).chain(broker).collect()
    }

    /// Of the variables of the environment those that are meant for fleetwatt by their name, and that nothing reads,
    /// each with a hint.
    pub fn unread_variables(&self, names: impl IntoIterator<Item = String>) -> Vec<(String, String)> {
        let alerts = self.inventory.alerts.webhook.as_ref().map(|webhook| &webhook.url);
        let account = self.inventory.account.iter().flat_map(|account| [&account.user, &account.password]);
        let token = &self.inventory.prometheus.token;
        let broker = self.inventory.mqtt.user.iter().chain(&self.inventory.mqtt.password);
        let store = self.inventory.store.password.iter();
        let secrets: Vec<&SecretSource> =
            store.chain(alerts).chain(account).chain(token).chain(broker).collect();
        let is_read = |name: &String| {
            VARIABLES.contains(&name.as_str())
                || secrets.iter().any(|secret| matches!(secret, SecretSource::Env(named) if named == name))
        };
        let mut unread: Vec<String> =
            names.into_iter().filter(|name| name.starts_with(PREFIX) && !is_read(name)).collect();
        unread.sort();
        unread.into_iter().map(|name| (name.clone(), hint_for_unread(&name))).collect()
    }

    /// That the state directory is this user's, where a command is to write to it.
    ///
    /// # Errors
    /// It belongs to somebody else.
    pub fn may_write_state(&self) -> Result<(), Error> {
        is_ours(&self.state_dir)
    }
}

fn hint_for_unread(name: &str) -> String {
    let is_near = |known: &&&str| strsim::osa_distance(name, known) <= 3;
    match VARIABLES.iter().find(is_near) {
        Some(near) => format!("did you mean {near}?"),
        None => format!(
            "take it out; if it holds a secret, name it in the inventory, as `password_env = \"{name}\"` in [store] or `webhook_env` in [alerts]"
        ),
    }
}

/// The account that the inventory has, if it has one. A secret that cannot be had is none: the kept login may
/// hold.
fn account(inventory: &Inventory, state_dir: &Path, environment: Environment) -> Option<Account> {
    let settings = inventory.account.as_ref()?;
    let country = settings.country.clone().or_else(|| environment.get(Account::COUNTRY_VARIABLE));
    let secret = |what, secret| {
        let read = environment.secret(what, secret);
        read.inspect_err(|error| tracing::debug!(error = error_chain(error), "a secret cannot be had")).ok()
    };
    Some(Account {
        settings: settings.clone(),
        country: country.unwrap_or_else(|| COUNTRY.to_owned()).to_ascii_uppercase(),
        email: secret(Account::EMAIL, &settings.user),
        password: secret(Account::PASSWORD, &settings.password),
        state_dir: state_dir.to_owned(),
        fast_below: inventory.alerts.rules.battery_below.unwrap_or(FAST_BELOW),
        read_only: foreign_owner(state_dir).is_some(),
        now: || Clock.now(),
    })
}

/// The inventory that was named, else the first that is there.
fn find_inventory(named: Option<PathBuf>, environment: Environment) -> Result<PathBuf, Error> {
    if let Some(path) = named.or_else(|| environment.get("FLEETWATT_INVENTORY").map(PathBuf::from)) {
        return Ok(path);
    }
    let looked_for = ["inventory/fleet.toml", "/etc/fleetwatt/inventory.toml"];
    let found = looked_for.iter().map(PathBuf::from).find(|path| path.exists());
    found.ok_or_else(|| Error::NoInventory(looked_for.map(str::to_owned).to_vec()))
}

fn state_dir(environment: Environment) -> PathBuf {
    let home = || environment.path("HOME").unwrap_or_else(|| PathBuf::from("/root"));
    environment.path("STATE_DIRECTORY").unwrap_or_else(|| {
        let xdg = environment.path("XDG_STATE_HOME").filter(|path| path.is_absolute());
        xdg.unwrap_or_else(|| home().join(".local/state")).join("fleetwatt")
    })
}

fn runtime_dir(environment: Environment) -> RuntimePlace {
    let own = environment.path("RUNTIME_DIRECTORY");
    let of_user = || Some(environment.path("XDG_RUNTIME_DIR")?.join("fleetwatt"));
    match own.or_else(of_user) {
        Some(path) => RuntimePlace { path, is_shared: false },
        None => {
            let path = PathBuf::from(format!("/tmp/fleetwatt-{}", rustix::process::geteuid().as_raw()));
            RuntimePlace { path, is_shared: true }
        }
    }
}

/// The timeline's place: the inventory's URL, else the variables of the existing installation, else
/// `DATABASE_URL`, else a SQLite file in the state directory.
fn store_url(store: &StoreSettings, state_dir: &Path, environment: Environment) -> Result<StoreUrl, Error> {
    let password = match store.password.clone() {
        Some(secret) => {
            Some(Password::read_from(secret.to_string(), move || environment.read_secret(&secret)))
        }
        None => environment.get("CHEROKEE_DB_PASS").map(Password::new),
    };
    let url =
        store.url.clone().or_else(|| cherokee_url(environment)).or_else(|| environment.get("DATABASE_URL"));
    let Some(url) = url else { return Ok(StoreUrl::sqlite(state_dir.join(DEFAULT_DATABASE))) };
    if let Some(path) = url.strip_prefix("sqlite:") {
        // A relative path would otherwise depend on where the timer or the person happens to stand.
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.is_empty() && Path::new(path).is_relative() && !path.starts_with(':') {
            return Ok(StoreUrl::sqlite(state_dir.join(path)));
        }
    }
    // A password in DATABASE_URL is that URL's own; CHEROKEE_DB_PASS belongs to no other database.
    let is_cherokee = store.url.is_none() && environment.get("CHEROKEE_DB_HOST").is_some();
    let password = password.filter(|_| store.password.is_some() || store.url.is_some() || is_cherokee);
    Ok(StoreUrl::parse(&url, password)?)
}

/// `CHEROKEE_DB_HOST`, `_NAME` and `_USER`, which the existing installation has set, as a URL.
fn cherokee_url(environment: Environment) -> Option<String> {
    let host = environment.get("CHEROKEE_DB_HOST")?;
    let user = environment.get("CHEROKEE_DB_USER").map(|user| format!("{user}@")).unwrap_or_default();
    let name = environment.get("CHEROKEE_DB_NAME").map(|name| format!("/{name}")).unwrap_or_default();
    Some(format!("postgres://{user}{host}{name}"))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::inventory::MetadataStyle;

    fn store(url: Option<&str>, password: Option<SecretSource>) -> StoreSettings {
        StoreSettings {
            url: url.map(str::to_owned),
            password,
            table: "unified_timeline".to_owned(),
            metadata: MetadataStyle::Full,
            spool_size: 1 << 30,
            spool_age: std::time::Duration::from_secs(86_400),
            keep: None,
        }
    }

    fn existing_installation(name: &str) -> Option<OsString> {
        let value = match name {
            "CHEROKEE_DB_HOST" => "192.0.2.7",
            "CHEROKEE_DB_NAME" => "zammad_production",
            "CHEROKEE_DB_USER" => "claude",
            "CHEROKEE_DB_PASS" => "canary",
            "DATABASE_URL" => "postgres://somebody@else.example/other",
            _ => return None,
        };
        Some(value.into())
    }

    fn under_systemd(name: &str) -> Option<OsString> {
        let value = match name {
            "STATE_DIRECTORY" => "/var/lib/fleetwatt:/var/lib/second",
            "RUNTIME_DIRECTORY" => "/run/fleetwatt",
            "HOME" => "/home/m",
            _ => return None,
        };
        Some(value.into())
    }

    fn place(store: &StoreSettings, environment: fn(&str) -> Option<OsString>) -> String {
        store_url(store, Path::new("/state"), Environment(environment)).unwrap().to_string()
    }

    #[test]
    fn without_any_setting_the_timeline_is_a_file_in_the_state_directory() {
        assert_eq!(place(&store(None, None), |_| None), "sqlite:/state/fleetwatt.db");
    }

    #[test]
    fn a_relative_sqlite_path_is_relative_to_the_state_directory() {
        assert_eq!(place(&store(Some("sqlite:demo.db"), None), |_| None), "sqlite:/state/demo.db");
        assert_eq!(place(&store(Some("sqlite:/data/x.db"), None), |_| None), "sqlite:/data/x.db");
    }

    #[test]
    fn the_variables_of_the_existing_installation_fill_in_for_a_url() {
        let place = place(&store(None, None), existing_installation);
        assert!(place.contains("claude@192.0.2.7") && place.contains("zammad_production"), "{place}");
        assert!(!place.contains("canary"), "the password is shown: {place}");
    }

    #[test]
    fn the_inventorys_url_comes_before_the_environment() {
        assert_eq!(place(&store(Some("sqlite:/x.db"), None), existing_installation), "sqlite:/x.db");
    }

    #[test]
    fn of_systemds_list_of_directories_the_first_is_used() {
        assert_eq!(state_dir(Environment(under_systemd)), Path::new("/var/lib/fleetwatt"));
        assert_eq!(runtime_dir(Environment(under_systemd)).path, Path::new("/run/fleetwatt"));
    }

    #[test]
    fn a_password_that_is_not_there_keeps_nothing_from_being_found() {
        let store =
            store(Some("postgres://h/d"), Some(SecretSource::Env("FLEETWATT_TEST_PASSWORD".to_owned())));
        assert_eq!(place(&store, |_| None), "postgres://h/d");
    }
}
