//! One account at one server.

use jiff::tz::TimeZone;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cache::{CACHE_FILE, RestCache};
use super::discovery::field_names;
use super::endpoint::Endpoint;
use super::http::Http;
use super::pace::{Pace, Pacer};
use super::panel::{self, Day};
use super::{
    BoundDevice, CloudError, DeviceAttributes, MqttCredentials, PanelAverage, PanelRunning, Scene, Site,
    credentials, device, site,
};
use crate::battery::anker::Config;
use crate::battery::anker::auth::{
    AccountId, LOGIN_FILE, Login, PrivateFile, ServerKey, base_url, server_of_country,
};
use crate::inventory::AccountServer;
use crate::reading::{SafeText, Timestamp, error_chain};
use crate::support::secret::Secret;

/// One account at one server: the HTTP client, the cached login, the pace, and what is known not to work.
///
/// It is asked one thing at a time. Processes of one state directory share the login and what is known.
#[derive(Debug)]
pub struct Cloud {
    pub(super) config: Config,
    /// Whose login is wanted; `None` is whosever is cached.
    pub(super) account: Option<AccountId>,
    pub(super) http: Http,
    pub(super) server: Url,
    /// The server that the account's country belongs to, or that was set.
    pub(super) home: Url,
    /// Where the account may be instead; `None` if a server was set.
    pub(super) other: Option<Url>,
    pub(super) login: Option<Login>,
    pub(super) login_file: PrivateFile,
    credentials_file: PrivateFile,
    /// What passwords are encrypted for.
    pub(super) login_key: ServerKey,
    /// The token that was refused last: it is not taken from the file again.
    pub(super) dropped: Option<Secret>,
    pub(super) cache: RestCache,
    pub(super) pace: Pace,
    pub(super) pacer: Pacer,
    pub(super) deadline: Option<Instant>,
}

/// A login that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedIn {
    /// Until when it holds; `None` if the cloud did not say. It is renewed in its last minute.
    pub until: Option<Timestamp>,
}

impl Cloud {
    /// Reads the cached login and what is remembered in the state directory. Asks nothing yet. Files that cannot
    /// be understood are set aside.
    ///
    /// # Errors
    /// The country, `api_url`, `login_key`, `extra_ca` or TLS cannot be used, or a file of the state directory not be read.
    pub fn open(config: &Config) -> Result<Self, CloudError> {
        let settings = &config.settings;
        let vendors = |server| Url::parse(base_url(server)).map_err(|_cannot_be| CloudError::ApiUrl);
        let (com, eu) = (vendors(AccountServer::Com)?, vendors(AccountServer::Eu)?);
        let country = server_of_country(&config.country);
        let (home, other) = match (&settings.api_url, settings.server, country) {
            (Some(url), _, _) => (api_url(url)?, None),
            (None, Some(AccountServer::Com), _) => (com, None),
            (None, Some(AccountServer::Eu), _) => (eu, None),
            (None, None, AccountServer::Com) => (com, Some(eu)),
            (None, None, AccountServer::Eu) => (eu, Some(com)),
        };
        Self::at(config, home, other)
    }

    /// The same at other addresses than the vendor's: `home` takes the place of the server that the country
    /// belongs to, `other` that of the other one.
    ///
    /// # Errors
    /// As for [`Cloud::open`].
    pub fn open_at(config: &Config, home: &str, other: &str) -> Result<Self, CloudError> {
        Self::at(config, api_url(home)?, Some(api_url(other)?))
    }

    fn at(config: &Config, home: Url, other: Option<Url>) -> Result<Self, CloudError> {
        let urls: Vec<Url> = [Some(home.clone()), other.clone()].into_iter().flatten().collect();
        let http = Http::new(&urls, &config.country, config.settings.extra_ca.as_deref())?;
        let account = config.email.as_ref().map(|email| AccountId::from_email(email.expose()));
        let cache = RestCache::load(PrivateFile::from_config(config, CACHE_FILE))?;
        let found_at = cache.region(account.as_ref(), &config.country);
        let server = other.clone().filter(|other| found_at == Some(other.as_str()));
        let mut cloud = Self {
            account,
            http,
            server: server.unwrap_or_else(|| home.clone()),
            home,
            other,
            login: None,
            login_file: PrivateFile::from_config(config, LOGIN_FILE),
            credentials_file: PrivateFile::from_config(config, credentials::CREDENTIALS_FILE),
            login_key: login_key(config)?,
            dropped: None,
            cache,
            pace: Pace::default(),
            pacer: Pacer::default(),
            deadline: None,
            config: config.clone(),
        };
        cloud.take_cached_login()?;
        Ok(cloud)
    }

    /// The same with other pauses and another patience.
    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// From now on no call waits or runs past `deadline`; it fails with [`CloudError::NoTime`] instead.
    /// `None` takes that back.
    pub fn finish_by(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Whether there is a login that still holds, as far as we know.
    pub fn is_logged_in(&self) -> bool {
        self.login().is_some()
    }

    /// The account, if a login is known: `account_id` of MQTT commands to own devices.
    pub fn user_id(&self) -> Option<&Secret> {
        self.login.as_ref().map(|login| &login.user_id)
    }

    /// The login that is cached, if it still holds.
    pub fn login(&self) -> Option<LoggedIn> {
        let login = self.login.as_ref().filter(|login| login.holds(self.now()))?;
        Some(LoggedIn { until: login.expires_at })
    }

    /// Logs in as a person asks for it, and keeps the login. The limits of logins hold here too; only a demand
    /// for verification does not hinder it, since the person may have just met it.
    ///
    /// # Errors
    /// It was refused, or is not allowed now.
    pub async fn log_in(&mut self, email: &str, password: &Secret) -> Result<LoggedIn, CloudError> {
        self.log_in_by_person(email, password).await
    }

    /// The devices of the account, by serial number. If it has neither devices nor sites here, it may be at the
    /// other server: that is tried once, and whichever has something is remembered. If the other server takes
    /// no token of this one, it needs a login of its own, which may have to wait: [`CloudError::LoginPaused`].
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn devices(&mut self) -> Result<Vec<BoundDevice>, CloudError> {
        let devices = self.devices_here().await?;
        if !devices.is_empty() || self.other.is_none() {
            return Ok(devices);
        }
        self.devices_at_other_server().await
    }

    pub(super) async fn devices_here(&mut self) -> Result<Vec<BoundDevice>, CloudError> {
        let data = self.ask(Endpoint::Devices, "", &json!({})).await?;
        for (device, fields) in device::parse(&data) {
            self.log_new_fields(&device.name, device.serial.as_str(), Endpoint::Devices, fields);
            if let Some(zone) = &device.time_zone {
                self.cache.note_zone(device.serial.as_str(), zone.as_str());
            }
        }
        self.cache.save();
        let mut devices: Vec<BoundDevice> = device::parse(&data).map(|(device, _)| device).collect();
        devices.sort_by(|one, two| one.serial.cmp(&two.serial));
        devices.dedup_by(|one, two| one.serial == two.serial);
        Ok(devices)
    }

    /// The sites of the account; none where all stations stand alone.
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn sites(&mut self) -> Result<Vec<Site>, CloudError> {
        let data = self.ask(Endpoint::Sites, "", &json!({})).await?;
        for (site, fields) in site::parse_list(&data) {
            self.log_new_fields(&site.name, &site.id, Endpoint::Sites, fields);
        }
        self.cache.save();
        Ok(site::parse_list(&data).map(|(site, _)| site).collect())
    }

    /// What the phone app's home page shows of a site.
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn scene(&mut self, site: &Site) -> Result<Scene, CloudError> {
        let data = self.ask(Endpoint::Scene, &site.id, &json!({"site_id": site.id})).await?;
        self.log_new_fields(&site.name, &site.id, Endpoint::Scene, &data);
        self.cache.save();
        Ok(site::parse_scene(&data))
    }

    /// The last five minutes of a site with a panel: four to six calls of 50 to 90 KB each. `None` if that was
    /// asked less than five minutes ago, also by another process, or if the site has no numbers yet.
    ///
    /// # Errors
    /// No login, no answer, or one that says no. Some servers do not have it: [`CloudError::Unsupported`].
    pub async fn panel_average(&mut self, site: &Site) -> Result<Option<PanelAverage>, CloudError> {
        if !self.cache.may_ask_panel(&site.id, self.now()) {
            return Ok(None);
        }
        self.cache.save();
        let zone = site.panel().and_then(|panel| self.cache.zone(panel.serial.as_str()));
        let zone = zone.and_then(|zone| TimeZone::posix(zone).ok());
        let Some((day, hes)) = self.latest_day(site, zone).await? else { return Ok(None) };
        let solar = self.panel_day(site, "solar", &day).await?;
        let home = self.panel_day(site, "home", &day).await?;
        let grid = self.panel_day(site, "grid", &day).await?;
        Ok(panel::average(&day, &hes, &solar, &home, &grid, self.now()))
    }

    /// The last day of which the site has a state of charge. If its time zone is not known, its today may be our
    /// yesterday or tomorrow; and just after midnight, its today has nothing yet.
    async fn latest_day(
        &mut self,
        site: &Site,
        zone: Option<TimeZone>,
    ) -> Result<Option<(Day, Value)>, CloudError> {
        let Some(today) = Day::at(self.now(), zone) else { return Ok(None) };
        let answer = self.panel_day(site, "hes", &today).await?;
        match panel::last_slot(&today, &answer, self.now()) {
            None => {
                let Some(yesterday) = today.before() else { return Ok(None) };
                let answer = self.panel_day(site, "hes", &yesterday).await?;
                let slot = panel::last_slot(&yesterday, &answer, self.now());
                Ok(slot.map(|_| (yesterday, answer)))
            }
            Some(slot) if today.zone.is_none() && slot == panel::LAST_SLOT => {
                let Some(tomorrow) = today.after() else { return Ok(Some((today, answer))) };
                let later = self.panel_day(site, "hes", &tomorrow).await?;
                let is_there = panel::last_slot(&tomorrow, &later, self.now()).is_some();
                Ok(Some(if is_there { (tomorrow, later) } else { (today, answer) }))
            }
            Some(_) => Ok(Some((today, answer))),
        }
    }

    async fn panel_day(&mut self, site: &Site, source: &str, day: &Day) -> Result<Value, CloudError> {
        let body = json!({
            "siteId": site.id, "sourceType": source, "dateType": "day", "start": day.to_string(),
            "end": day.to_string(), "global": false, "productCode": "",
        });
        let data = self.ask(Endpoint::PanelEnergy, &site.id, &body).await?;
        self.log_new_fields(&site.name, &format!("{source} {}", site.id), Endpoint::PanelEnergy, &data);
        self.cache.save();
        Ok(data)
    }

    /// Totals of a panel's life.
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn panel_running_info(&mut self, site: &Site) -> Result<PanelRunning, CloudError> {
        let data = self.ask(Endpoint::PanelRunning, &site.id, &json!({"siteId": site.id})).await?;
        self.log_new_fields(&site.name, &site.id, Endpoint::PanelRunning, &data);
        self.cache.save();
        Ok(site::parse_running(&data))
    }

    /// What `get_device_attrs` gives of a device.
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn device_attributes(&mut self, device: &BoundDevice) -> Result<DeviceAttributes, CloudError> {
        let serial = device.serial.as_str();
        let body = json!({"device_sn": serial, "attributes": ["rssi"]});
        let data = self.ask(Endpoint::DeviceAttributes, serial, &body).await?;
        self.log_new_fields(&device.name, serial, Endpoint::DeviceAttributes, &data);
        self.cache.save();
        Ok(device::parse_attributes(&data))
    }

    /// The MQTT credentials: the kept ones while their certificate is valid, else new ones; these at most once an
    /// hour, as for [`Cloud::new_mqtt_credentials`].
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn mqtt_credentials(&mut self) -> Result<MqttCredentials, CloudError> {
        let now = self.now();
        let account = self.login.as_ref().map(|login| &login.account).or(self.account.as_ref());
        let kept = credentials::load(&self.credentials_file)?;
        match kept.filter(|kept| kept.belongs_to(account, self.server.as_str())) {
            Some(kept) if kept.holds(now) || kept.not_renewed_before(now).is_some() => Ok(kept.credentials),
            Some(_ended) => self.fetch_credentials(Some(now)).await,
            None => self.fetch_credentials(None).await,
        }
    }

    /// New MQTT credentials, since the broker refuses the kept ones: at most once an hour, also across restarts.
    ///
    /// # Errors
    /// [`CloudError::CredentialsTooSoon`]; no login, no answer, or one that says no.
    pub async fn new_mqtt_credentials(&mut self) -> Result<MqttCredentials, CloudError> {
        let now = self.now();
        match credentials::load(&self.credentials_file)?.and_then(|kept| kept.not_renewed_before(now)) {
            Some(until) => Err(CloudError::CredentialsTooSoon { until }),
            None => self.fetch_credentials(Some(now)).await,
        }
    }

    async fn fetch_credentials(
        &mut self,
        renewed_at: Option<Timestamp>,
    ) -> Result<MqttCredentials, CloudError> {
        let data = self.ask(Endpoint::MqttCredentials, "", &json!({})).await?;
        let credentials = credentials::parse(&data)?;
        let account = self.login.as_ref().map(|login| &login.account).or(self.account.as_ref());
        let server = self.server.as_str();
        if let Err(error) =
            credentials::save(&self.credentials_file, &credentials, account, server, renewed_at)
        {
            tracing::warn!(
                error = error_chain(&error),
                "cannot keep the MQTT credentials: they are fetched again next time"
            );
        }
        Ok(credentials)
    }

    /// Logs the names of fields of this device or site, each once in the life of this process.
    fn log_new_fields(&mut self, name: &SafeText, id: &str, endpoint: Endpoint, answer: &Value) {
        let new = self.cache.new_names(endpoint, id, &field_names(answer));
        if !new.is_empty() {
            let names = new.into_iter().collect::<Vec<_>>().join(", ");
            tracing::info!("REST API fields for {name} ({}): {names}", endpoint.name());
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.config.now)()
    }
}

/// The vendor's key, unless another server's is named.
fn login_key(config: &Config) -> Result<ServerKey, CloudError> {
    let named = config.settings.login_key.as_deref();
    named.map_or_else(ServerKey::vendor, ServerKey::from_hex).ok_or(CloudError::LoginKey)
}

/// An address of our own choice: scheme, host and port, and nothing else.
fn api_url(text: &str) -> Result<Url, CloudError> {
    let url = Url::parse(text.trim()).map_err(|_names_the_url| CloudError::ApiUrl)?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_plain = url.username().is_empty() && url.password().is_none() && url.host_str().is_some();
    if url.scheme() == "https" && is_bare && is_plain { Ok(url) } else { Err(CloudError::ApiUrl) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_our_own_is_https_and_nothing_else() {
        assert_eq!(api_url("https://127.0.0.1:8443").unwrap().as_str(), "https://127.0.0.1:8443/");
        for bad in ["", "http://h", "https://h/v1", "https://h?x", "https://me:canary@h", "h:80", "https://"]
        {
            let error = api_url(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{bad}");
        }
    }
}
