//! The fleet as written becomes the fleet as meant: all faults at once, with file, line and column.
//!
//! This room describes an SSH target; it does not connect to one. It reads no file and no environment
//! either: whoever calls hands it the texts.

mod alerts;
mod check;
mod fault;
mod hostlist;
mod keys;
mod layer;
mod load;
mod model;
mod place;
mod quote;
mod resolve;
mod section;
mod select;
mod settings;
mod solix;
mod station_alerts;
mod values;

pub use fault::{Fault, Faults, Remarks};
pub use load::{Files, load};
pub use model::{
    AlertRules, AlertSettings, CycleSettings, Host, HostKeyPolicy, Inventory, MetadataStyle, Origin,
    PowerAbove, Secret, SolixServer, SolixSettings, SshTarget, StoreSettings, Target, WebhookFormat,
    WebhookSettings,
};
pub use select::{Selection, Selector};

/// Which keys each table of an inventory may have, by where the table is, such as `in [[host]]`.
pub fn keys() -> Vec<(&'static str, &'static [&'static str])> {
    use section::{ALERTS, CYCLE, DEFAULTS, HOST, SOLIX, STORE, TOP};
    [TOP, DEFAULTS, HOST, CYCLE, STORE, ALERTS, SOLIX].map(|schema| (schema.title, schema.keys)).to_vec()
}
