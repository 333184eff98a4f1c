//! Looking for the account at the other server. Both take the login of any account; at the wrong one it has
//! nothing. Which one is right follows from the country that the phone app had when a device was bound.

use serde_json::json;

use super::action::{Action, action};
use super::cache::Region;
use super::cloud::Cloud;
use super::endpoint::Endpoint;
use super::{BoundDevice, CloudError, device, site};
use crate::reading::error_chain;

/// What the other server says to the token of this one.
enum OtherRegion {
    /// The account is there.
    Found,
    /// It is not.
    NotFound,
    /// It takes no token of this server.
    NeedsLogin,
}

impl Cloud {
    /// The account has no devices here. Without sites too, it may be at the other server.
    pub(super) async fn devices_at_other_server(&mut self) -> Result<Vec<BoundDevice>, CloudError> {
        if !self.sites().await?.is_empty() {
            return Ok(Vec::new());
        }
        if self.is_region_known() {
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
                    login.save(&self.login_file)?;
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
                        login.save(&self.login_file)?;
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
            let (status, code) = (answer.status, answer.code);
            match action(status, code, &answer.msg) {
                Action::Take => {
                    let n_devices = device::parse(&answer.data).count();
                    if n_devices + site::parse_list(&answer.data).count() > 0 {
                        return Ok(OtherRegion::Found);
                    }
                }
                Action::LogInAgain | Action::WaitAndLogIn => return Ok(OtherRegion::NeedsLogin),
                Action::Fail
                | Action::Throttle
                | Action::WaitAndRepeat
                | Action::CountOutage
                | Action::NotOnServer
                | Action::NotForThis
                | Action::Forbidden
                | Action::RefuseCredentials
                | Action::AskPerson(_)
                | Action::NewKey
                | Action::Locked(_) => {
                    return Err(CloudError::Failed { endpoint: endpoint.name(), status, code });
                }
            }
        }
        Ok(OtherRegion::NotFound)
    }

    fn is_region_known(&self) -> bool {
        self.cache.region(self.account.as_ref(), &self.config.country).is_some()
    }

    /// From now on, and after a restart, the account is asked for at this server.
    fn move_to(&mut self, server: reqwest::Url) {
        self.server = server;
        let account = self.account.as_ref().or(self.login.as_ref().map(|login| &login.account));
        self.cache.note_region(Region {
            account: account.map(|account| account.as_hex().to_owned()).unwrap_or_default(),
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
