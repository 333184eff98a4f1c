//! Parses the inventory: TOML files become hosts and settings; all errors are reported at once, with file, line and column.
//!
//! This room describes an SSH target; it does not connect to one. It reads no file and no environment
//! either: whoever calls hands it the texts.

mod alerts;
mod check;
mod diagnostic;
mod host_options;
mod hostlist;
mod keys;
mod load;
mod model;
mod place;
mod resolve;
mod section;
mod select;
mod settings;
mod snippet;
mod solix;
mod station_alerts;
mod suggestion;

pub use diagnostic::{Diagnostic, Diagnostics, Warnings};
pub use load::{Files, load};
pub use model::{
    AlertRules, AlertSettings, CycleSettings, Host, HostKeyPolicy, Inventory, MetadataStyle, Origin,
    PowerAbove, SecretSource, SolixServer, SolixSettings, SshTarget, StoreSettings, Target, WebhookFormat,
    WebhookSettings,
};
pub use select::{Selection, Selector};

/// Which keys each table of an inventory may have, by where the table is, such as `in [[host]]`.
pub fn keys() -> Vec<(&'static str, &'static [&'static str])> {
    use section::{ALERTS, CYCLE, DEFAULTS, HOST, SOLIX, STORE, TOP};
    [TOP, DEFAULTS, HOST, CYCLE, STORE, ALERTS, SOLIX].map(|schema| (schema.title, schema.keys)).to_vec()
}
