//! One account at one server.

use tokio::time::Instant;

use super::{
    BoundDevice, DeviceAttributes, MqttCredentials, PanelAverage, PanelRunning, Scene, Site, SolixError,
};
use crate::reading::Timestamp;
use crate::solix::{Config, Hidden};

/// One account at one server: the HTTP client, the cached login, the pace, and what is known not to work.
#[derive(Debug)]
pub struct Cloud {
    deadline: Option<Instant>,
}

/// A login that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedIn {
    /// Until when it holds; `None` if the cloud did not say. It is renewed in its last minute.
    pub until: Option<Timestamp>,
}

impl Cloud {
    /// Reads the cached login, the count of logins and the rest of what is kept in the state directory. Asks
    /// nothing yet. Files that cannot be understood are set aside.
    ///
    /// # Errors
    /// `api_url`, `extra_ca` or TLS cannot be used.
    pub fn open(config: &Config) -> Result<Self, SolixError> {
        drop(config.now);
        Ok(Self { deadline: None })
    }

    /// From now on no call waits or runs past `deadline`; it fails with [`SolixError::NoTime`] instead.
    /// `None` takes that back.
    pub fn finish_by(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Whether there is a login that still holds, as far as we know.
    pub fn is_logged_in(&self) -> bool {
        false
    }

    /// The account, if a login is known: `account_id` of MQTT commands to own devices.
    pub fn user_id(&self) -> Option<&Hidden> {
        None
    }

    /// The login that is cached, if it still holds.
    pub fn login(&self) -> Option<LoggedIn> {
        None
    }

    /// Logs in as a person asks for it, and keeps the login. The limits of logins hold here too; only a demand
    /// for verification does not hinder it, since the person may have just met it.
    ///
    /// # Errors
    /// It was refused, or is not allowed now.
    pub async fn log_in(&mut self, email: &str, password: &Hidden) -> Result<LoggedIn, SolixError> {
        drop((email, password));
        Err(SolixError::NoCredentials)
    }

    /// The devices of the account. If both lists are empty, the account may be at the other server: that is
    /// tried once, and whichever has devices is remembered.
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn devices(&mut self) -> Result<Vec<BoundDevice>, SolixError> {
        Err(SolixError::NoCredentials)
    }

    /// The sites of the account; none where all stations stand alone.
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn sites(&mut self) -> Result<Vec<Site>, SolixError> {
        Err(SolixError::NoCredentials)
    }

    /// What the phone app's home page shows of a site.
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn scene(&mut self, site: &Site) -> Result<Scene, SolixError> {
        drop(site.id.len());
        Err(SolixError::NoCredentials)
    }

    /// The last five minutes of a site with a panel: four calls of 50 to 90 KB. `None` if that was asked less
    /// than five minutes ago, also by another process, or if the site has no numbers yet.
    ///
    /// # Errors
    /// No login, no answer, or one that says no. Some servers do not have it: [`SolixError::Unsupported`].
    pub async fn panel_average(&mut self, site: &Site) -> Result<Option<PanelAverage>, SolixError> {
        drop(site.id.len());
        Err(SolixError::NoCredentials)
    }

    /// Totals of a panel's life.
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn panel_running_info(&mut self, site: &Site) -> Result<PanelRunning, SolixError> {
        drop(site.id.len());
        Err(SolixError::NoCredentials)
    }

    /// What `get_device_attrs` gives of a device.
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn device_attributes(&mut self, device: &BoundDevice) -> Result<DeviceAttributes, SolixError> {
        drop(device.is_own);
        Err(SolixError::NoCredentials)
    }

    /// The MQTT credentials: the kept ones while their certificate is valid, else new ones.
    ///
    /// # Errors
    /// No login, no answer, or one that says no.
    pub async fn mqtt_credentials(&mut self) -> Result<MqttCredentials, SolixError> {
        Err(SolixError::NoCredentials)
    }

    /// New MQTT credentials, since the broker refuses the kept ones: at most once an hour, also across restarts.
    ///
    /// # Errors
    /// [`SolixError::CredentialsTooSoon`]; no login, no answer, or one that says no.
    pub async fn mqtt_credentials_anew(&mut self) -> Result<MqttCredentials, SolixError> {
        Err(SolixError::NoCredentials)
    }
}
