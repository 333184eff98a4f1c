//! Which of the vendor's servers an account is at. Both take the login of any account; at the wrong one it has
//! nothing. Which one is right follows from the country that the phone app had when a device was bound.

use reqwest::Url;
use serde_json::json;

use super::action::Action;
use super::cache::Region;
use super::cloud::Cloud;
use super::endpoint::Endpoint;
use super::{BoundDevice, CloudError, device, site};
use crate::battery::anker::Config;
use crate::inventory::AccountServer;
use crate::reading::error_chain;

/// The countries of `com`, as anker-solix-api 3.8.0 has them. The vendor has moved some more than once, and
/// India and Mexico are in doubt.
const COM: &[&str] = &[
    "DZ", "LB", "SY", "EG", "LY", "TN", "MA", "JO", "PS", "AR", "AU", "BR", "HK", "IN", "MX", "NG", "NZ",
    "RU", "SG", "ZA", "KR", "TW", "US", "CA",
];

/// The server of a country; all that are not known to be at `com` are at `eu`, Great Britain included.
fn server_of_country(country: &str) -> AccountServer {
    let is_com = COM.iter().any(|com| com.eq_ignore_ascii_case(country));
    if is_com { AccountServer::Com } else { AccountServer::Eu }
}

const fn base_url(server: AccountServer) -> &'static str {
    match server {
        AccountServer::Com => "https://ankerpower-api.anker.com",
        AccountServer::Eu => "https://ankerpower-api-eu.anker.com",
    }
}

/// An address of our own choice: scheme, host and port, and nothing else.
fn api_url(text: &str) -> Result<Url, CloudError> {
    let url = Url::parse(text.trim()).map_err(|_names_the_url| CloudError::ApiUrl)?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_plain = url.username().is_empty() && url.password().is_none() && url.host_str().is_some();
    if url.scheme() == "https" && is_bare && is_plain { Ok(url) } else { Err(CloudError::ApiUrl) }
}

/// The answer of the other server to the token of this one.
enum OtherRegion {
    /// The account is there.
    Found,
    /// It is not.
    NotFound,
    /// It takes no token of this server.
    NeedsLogin,
}

impl Cloud {
    /// The account at the vendor's servers, or at the one that the settings name.
    ///
    /// # Errors
    /// `api_url` cannot be used; as [`Cloud::open_at`].
    pub fn open(config: &Config) -> Result<Self, CloudError> {
        if let Some(url) = &config.settings.api_url {
            return Self::open_at(config, api_url(url)?, None);
        }
        let vendors = |server| Url::parse(base_url(server)).map_err(|_cannot_be| CloudError::ApiUrl);
        let home = config.settings.server.unwrap_or_else(|| server_of_country(&config.country));
        let other = if home == AccountServer::Com { AccountServer::Eu } else { AccountServer::Com };
        let other = config.settings.server.is_none().then(|| vendors(other)).transpose()?;
        Self::open_at(config, vendors(home)?, other)
    }

    /// The account has no devices here. Without sites too, it may be at the other server.
    pub(super) async fn devices_at_other_server(&mut self) -> Result<Vec<BoundDevice>, CloudError> {
        if !self.sites().await?.is_empty() {
            return Ok(Vec::new());
        }
        if self.cache.region(self.account.as_ref(), &self.config.country).is_some() {
            if self.server != self.home {
                // It had to log in there to see that it has nothing there either.
                self.move_to(self.home.clone());
                self.login = None;
                self.take_cached_login()?;
                warn_no_devices();
            }
            return Ok(Vec::new());
        }
        let Some(other) = self.other.clone() else { return Ok(Vec::new()) };
        let (here, login_here) = (self.server.clone(), self.login.clone());
        self.server = other.clone();
        match self.look_at_server().await {
            Ok(OtherRegion::Found) => {
                self.move_to(other);
                if let Some(login) = &mut self.login {
                    login.server = self.server.to_string();
                    self.login_file.save(login)?;
                }
                self.log_found_here();
                self.devices_here().await
            }
            Ok(OtherRegion::NotFound) => {
                self.move_to(here);
                warn_no_devices();
                Ok(Vec::new())
            }
            Ok(OtherRegion::NeedsLogin) => {
                self.move_to(other);
                self.login = None;
                let devices = self.devices_here().await?;
                if devices.is_empty() && self.sites().await?.is_empty() {
                    self.move_to(here);
                    self.login = login_here;
                    if let Some(login) = &self.login {
                        self.login_file.save(login)?;
                    }
                    warn_no_devices();
                } else {
                    self.log_found_here();
                }
                Ok(devices)
            }
            Err(error) => {
                // That was no try: it comes again with the next question.
                self.server = here;
                tracing::debug!(
                    error = error_chain(&error),
                    "cannot look for the account at the other server"
                );
                Ok(Vec::new())
            }
        }
    }

    /// Asks the server with the token that is there, whatever it says to it.
    async fn look_at_server(&mut self) -> Result<OtherRegion, CloudError> {
        for endpoint in [Endpoint::Devices, Endpoint::Sites] {
            self.take_turn(endpoint).await?;
            let answer = self.send(endpoint, json!({}).to_string().into_bytes()).await?;
            if matches!(answer.action, Action::LogInAgain | Action::WaitAndLogIn) {
                return Ok(OtherRegion::NeedsLogin);
            }
            if answer.action != Action::Take {
                return Err(CloudError::Failed(endpoint, answer.status, answer.code));
            }
            if device::parse(&answer.data).next().is_some() || site::parse_list(&answer.data).next().is_some()
            {
                return Ok(OtherRegion::Found);
            }
        }
        Ok(OtherRegion::NotFound)
    }

    /// From now on, and after a restart, the account is asked for at this server.
    fn move_to(&mut self, server: Url) {
        self.server = server;
        self.cache.note_region(Region {
            account: self.account().cloned().unwrap_or_default(),
            country: self.config.country.clone(),
            server: self.server.to_string(),
        });
        self.cache.save();
    }

    fn log_found_here(&self) {
        let server = self.server.host_str().unwrap_or_default();
        tracing::warn!(
            server,
            "the Solix account has its devices at another server than its country's; that is remembered, and \
             `server` in [solix] makes it sure"
        );
    }
}

fn warn_no_devices() {
    tracing::warn!(
        "the Solix account has no devices at either server: is it the account of the phone app, and are the \
         devices bound to it?"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_has_the_server_of_the_reference() {
        let vectors = include_str!("../../../../fixtures/solix/login-vectors.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        for (country, url) in vectors["server_by_country"].as_object().unwrap() {
            assert_eq!(base_url(server_of_country(country)), url, "{country}");
        }
    }

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
