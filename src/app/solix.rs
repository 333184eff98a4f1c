//! The Solix session's settings: from the inventory and the environment.

use std::path::Path;

use super::{Environment, Error};
use crate::cycle::Clock;
use crate::inventory::{Inventory, Secret};
use crate::reading::Share;
use crate::solix::{Config, Hidden};

/// At or below this state of charge stations are asked more often, where no alert says which one is low.
const FAST_BELOW: Share = Share::from_millipercent(20_000);

/// The account's country where nothing says another one.
const COUNTRY: &str = "US";

/// The session that the inventory asks for, if it does.
///
/// # Errors
/// A secret is there and cannot be read. One that is not there is no error: the kept login may hold.
pub(super) fn config(
    inventory: &Inventory,
    state_dir: &Path,
    environment: Environment,
) -> Result<Option<Config>, Error> {
    let Some(settings) = &inventory.solix else { return Ok(None) };
    let country = settings.country.clone().or_else(|| environment.get("ANKER_COUNTRY"));
    Ok(Some(Config {
        settings: settings.clone(),
        country: country.unwrap_or_else(|| COUNTRY.to_owned()).to_ascii_uppercase(),
        email: secret(environment, "Solix account's e-mail address", &settings.user)?,
        password: secret(environment, "Solix account's password", &settings.password)?,
        state_dir: state_dir.to_owned(),
        fast_below: inventory.alerts.rules.battery_below.unwrap_or(FAST_BELOW),
        leave_no_trace: false,
        now: || Clock.now(),
    }))
}

fn secret(environment: Environment, what: &'static str, secret: &Secret) -> Result<Option<Hidden>, Error> {
    match environment.secret(what, secret) {
        Ok(text) => Ok(Some(Hidden::new(text))),
        Err(Error::Secret { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
