//! Telling Home Assistant: the broker of the inventory, with its secrets.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use super::{Error, Settings};
use crate::output::home_assistant::{Broker, HomeAssistant};
use crate::reading::error_chain;
use crate::support::https::{certificates, client_config, system_roots};
use crate::support::regular_file;
use crate::support::secret::Secret;

/// The name of the file in the state directory that has what Home Assistant was told.
const FILE_NAME: &str = "home-assistant.json";

/// The largest file of certificates.
const MAX_CA_BYTES: u64 = 4 << 20;

impl Settings {
    /// The output that tells Home Assistant, if the inventory names a broker. One that cannot be had is said, and is none:
    /// measuring goes on.
    pub(super) fn home_assistant(&self) -> Option<HomeAssistant> {
        let broker = self.broker().unwrap_or_else(|error| {
            tracing::warn!("Home Assistant is not told: {}", error_chain(&error));
            None
        })?;
        Some(HomeAssistant::new(broker, &self.inventory.mqtt, self.state_dir.join(FILE_NAME)))
    }

    /// The broker of the inventory.
    ///
    /// # Errors
    /// The user name, the password or the authorities cannot be read.
    pub(super) fn broker(&self) -> Result<Option<Broker>, Error> {
        let mqtt = &self.inventory.mqtt;
        let Some(url) = mqtt.url.clone() else { return Ok(None) };
        let secret =
            |what, source: &Option<_>| source.as_ref().map(|source| self.secret(what, source)).transpose();
        let user = secret("user name for the broker", &mqtt.user)?;
        let password = secret("password for the broker", &mqtt.password)?;
        let login = user.map(|user| (user, password.unwrap_or_else(|| Secret::new(""))));
        let tls = url.is_tls.then(|| tls(mqtt.ca.as_deref())).transpose().map_err(Error::BrokerTls)?;
        Ok(Some(Broker { url, login, tls }))
    }
}

fn tls(ca: Option<&Path>) -> io::Result<Arc<ClientConfig>> {
    let roots = match ca {
        Some(path) => authorities(path)
            .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display())))?,
        None => system_roots(),
    };
    let config = client_config(roots).map_err(io::Error::other)?;
    Ok(Arc::new(config.with_no_client_auth()))
}

fn authorities(path: &Path) -> io::Result<RootCertStore> {
    let pem = regular_file::read(path, MAX_CA_BYTES)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&pem).map_err(io::Error::other)?);
    if roots.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it has no certificate"));
    }
    Ok(roots)
}
