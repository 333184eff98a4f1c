//! The account of battery stations, from the inventory and the environment.

use std::path::Path;

use super::lock::foreign_owner;
use super::{Environment, Error};
use crate::battery::Account;
use crate::cycle::Clock;
use crate::inventory::{Inventory, SecretSource, StationAccount};
use crate::reading::{Share, error_chain};
use crate::support::secret::Secret;

/// At or below this state of charge stations are asked more often, where no alert says which one is low.
const FAST_BELOW: Share = Share::from_millipercent(20_000);

/// The account's country where nothing says another one.
const COUNTRY: &str = "US";

/// The account that the inventory has, if it has one. A secret that cannot be had is none: the kept login may
/// hold.
pub(super) fn account(inventory: &Inventory, state_dir: &Path, environment: Environment) -> Option<Account> {
    let settings = inventory.account.as_ref()?;
    let country = settings.country.clone().or_else(|| environment.get(Account::COUNTRY_VARIABLE));
    Some(Account {
        settings: settings.clone(),
        country: country.unwrap_or_else(|| COUNTRY.to_owned()).to_ascii_uppercase(),
        email: secret(environment, Account::EMAIL, &settings.user),
        password: secret(environment, Account::PASSWORD, &settings.password),
        state_dir: state_dir.to_owned(),
        fast_below: inventory.alerts.rules.battery_below.unwrap_or(FAST_BELOW),
        read_only: foreign_owner(state_dir).is_some(),
        now: || Clock.now(),
    })
}

/// The account's secrets that the inventory names, or the environment has, and that cannot be read.
pub(super) fn missing_secrets(inventory: &Inventory, environment: Environment) -> Vec<Error> {
    let Some(settings) = &inventory.account else { return Vec::new() };
    let defaults = StationAccount::default();
    let secrets = [
        (Account::EMAIL, &settings.user, defaults.user),
        (Account::PASSWORD, &settings.password, defaults.password),
    ];
    // What is not named anywhere need not be there: the kept login may hold.
    let named = secrets.into_iter().filter(|(_, secret, default)| *secret != default);
    named.filter_map(|(what, secret, _)| environment.secret(what, secret).err()).collect()
}

fn secret(environment: Environment, what: &'static str, secret: &SecretSource) -> Option<Secret> {
    match environment.secret(what, secret) {
        Ok(secret) => Some(secret),
        Err(error) => {
            tracing::debug!(error = error_chain(&error), "a secret cannot be had");
            None
        }
    }
}
