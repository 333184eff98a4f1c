//! Parses the inventory: TOML texts become hosts and settings; all errors are reported at once, with file,
//! line and column.

mod account;
mod alerts;
mod check;
mod diagnostic;
mod energy;
mod host_entry;
mod host_options;
mod hostlist;
mod ledger;
mod load;
mod location;
mod model;
mod mqtt;
mod place;
mod prometheus;
mod resolve;
mod secret_keys;
mod secret_source;
mod section;
mod sections;
mod select;
mod snippet;
mod suggestion;
mod tables;
mod unknown_keys;
mod vendor;

use crate::tariff;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use load::{Files, load, load_tariffs};
pub use model::{
    AccountServer, AlertSettings, BrokerUrl, CycleSettings, EnergySettings, Host, HostKeyPolicy, Inventory,
    LedgerSettings, ListenAddress, MetadataStyle, MqttSettings, Origin, PrometheusSettings, SecretSource,
    SshTarget, StationAccount, StoreSettings, Target, WebhookFormat, WebhookSettings,
};
pub use prometheus::listen_address;
pub use select::{Selection, Selector};

/// The name and the meaning of each key, by the table that it stands in, such as `in [[host]]`.
pub fn keys() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    use tables::{DEFAULTS, SECTIONS, TOP};
    let tables = [&TOP, &DEFAULTS].into_iter().chain(SECTIONS);
    let own = tables.map(|table| (table.title, table.keys().map(|key| (key.name, key.help)).collect()));
    own.chain(tariff::KEY_TABLES.map(|table| (table.title, table.keys.to_vec()))).collect()
}
