//! One account at one server.

use jiff::tz::TimeZone;
use p256::PublicKey;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cache::{CACHE_FILE, RestCache};
use super::credentials::{self, CREDENTIALS_FILE, StoredCredentials};
use super::endpoint::Endpoint;
use super::http::Http;
use super::pace::{Pace, Pacer};
use super::panel::{self, Day};
use super::{BoundDevice, CloudError, MqttCredentials, PanelAverage, Scene, Site, device, json, site};
use crate::battery::anker::Config;
use crate::battery::anker::auth::{AccountId, LOGIN_FILE, Login, PrivateFile, server_key};
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
    /// The key that passwords are encrypted for.
    pub(super) login_key: PublicKey,
    /// The token that was refused last: it is not taken from the file again.
    pub(super) dropped: Option<Secret>,
    pub(super) cache: RestCache,
    /// The pauses between calls, and how long an answer may take.
    pub pace: Pace,
    pub(super) pacer: Pacer,
    /// No call waits or runs past it; it fails with [`CloudError::NoTime`] instead.
    pub deadline: Option<Instant>,
}

/// A login that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedIn {
    /// Until when it holds; `None` if the cloud did not say. It is renewed in its last minute.
    pub until: Option<Timestamp>,
}

impl Cloud {
    /// The account at the server `home`, unless it was found at the `other` one. Reads the cached login and what is
    /// remembered in the state directory; files that cannot be understood are set aside. Asks nothing yet.
    ///
    /// # Errors
    /// The country, `login_key`, `extra_ca` or TLS cannot be used, or a file of the state directory not be read.
    pub fn open_at(config: &Config, home: Url, other: Option<Url>) -> Result<Self, CloudError> {
        let urls: Vec<Url> = [Some(home.clone()), other.clone()].into_iter().flatten().collect();
        let http = Http::new(&urls, &config.country, config.settings.extra_ca.as_deref())?;
        let account = config.email.as_ref().map(|email| AccountId::from_email(email.expose()));
        let cache = RestCache::load(PrivateFile::from_config(config, CACHE_FILE))?;
        let found_at = cache.region(account.as_ref(), &config.country);
        let server = other.clone().filter(|other| found_at == Some(other.as_str()));
        let login_key = server_key(config.settings.login_key.as_deref()).ok_or(CloudError::LoginKey)?;
        let mut cloud = Self {
            account,
            http,
            server: server.unwrap_or_else(|| home.clone()),
            home,
            other,
            login: None,
            login_file: PrivateFile::from_config(config, LOGIN_FILE),
            credentials_file: PrivateFile::from_config(config, CREDENTIALS_FILE),
            login_key,
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

    /// The login that is cached, if it still holds, as far as we know.
    pub fn login(&self) -> Option<LoggedIn> {
        let login = self.login.as_ref().filter(|login| login.holds(self.now()))?;
        Some(LoggedIn { until: login.expires_at })
    }

    /// The account, if it is known.
    pub(super) fn account(&self) -> Option<&AccountId> {
        self.login.as_ref().map(|login| &login.account).or(self.account.as_ref())
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
        Ok(site::parse_list(&data).map(|(site, _)| site).collect())
    }

    /// The site as the phone app's home page shows it.
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn scene(&mut self, site: &Site) -> Result<Scene, CloudError> {
        let body = json!({"site_id": site.id});
        let data = self.ask_of(&site.name, &site.id, Endpoint::Scene, &body).await?;
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
        Ok(data)
    }

    /// Asks for the totals of a panel's life, so that the log has the names of their fields.
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn discover_panel(&mut self, site: &Site) -> Result<(), CloudError> {
        let body = json!({"siteId": site.id});
        self.ask_of(&site.name, &site.id, Endpoint::PanelRunning, &body).await.map(drop)
    }

    /// Asks for what `get_device_attrs` gives of a device, so that the log has the names of its fields.
    pub(crate) async fn discover_device(&mut self, device: &BoundDevice) -> Result<(), CloudError> {
        let serial = device.serial.as_str();
        let body = json!({"device_sn": serial, "attributes": ["rssi"]});
        self.ask_of(&device.name, serial, Endpoint::DeviceAttributes, &body).await.map(drop)
    }

    /// Asks for something of a device or site, and logs the names of the answer's fields.
    async fn ask_of(
        &mut self,
        name: &SafeText,
        id: &str,
        endpoint: Endpoint,
        body: &Value,
    ) -> Result<Value, CloudError> {
        let data = self.ask(endpoint, id, body).await?;
        self.log_new_fields(name, id, endpoint, &data);
        Ok(data)
    }

    /// The MQTT credentials: the kept ones while their certificate is valid, else new ones; these at most once an
    /// hour, as for [`Cloud::new_mqtt_credentials`].
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn mqtt_credentials(&mut self) -> Result<MqttCredentials, CloudError> {
        let now = self.now();
        let kept = self.credentials_file.load::<StoredCredentials>()?.ok();
        match kept.filter(|kept| kept.belongs_to(self.account(), self.server.as_str())) {
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
        let kept = self.credentials_file.load::<StoredCredentials>()?.ok();
        match kept.and_then(|kept| kept.not_renewed_before(now)) {
            Some(until) => Err(CloudError::CredentialsTooSoon(until)),
            None => self.fetch_credentials(Some(now)).await,
        }
    }

    async fn fetch_credentials(
        &mut self,
        renewed_at: Option<Timestamp>,
    ) -> Result<MqttCredentials, CloudError> {
        let data = self.ask(Endpoint::MqttCredentials, "", &json!({})).await?;
        let stored = StoredCredentials {
            account: self.account().cloned().unwrap_or_default(),
            server: self.server.to_string(),
            renewed_at,
            credentials: credentials::parse(&data)?,
        };
        if let Err(error) = self.credentials_file.save(&stored) {
            tracing::warn!(
                error = error_chain(&error),
                "cannot keep the MQTT credentials: they are fetched again next time"
            );
        }
        Ok(stored.credentials)
    }

    /// Logs the names of fields of this device or site, each once in the life of this process.
    fn log_new_fields(&mut self, name: &SafeText, id: &str, endpoint: Endpoint, answer: &Value) {
        let new = self.cache.new_names(endpoint, id, &json::field_names(answer));
        if !new.is_empty() {
            let names = new.into_iter().collect::<Vec<_>>().join(", ");
            tracing::info!("REST API fields for {name} ({endpoint}): {names}");
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.config.now)()
    }
}
