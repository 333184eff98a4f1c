//! The fields that are asked for, and how each cell is read: one table, so that the question and the
//! reader of its answer cannot drift apart.
//!
//! Names and first drivers: `fixtures/nvidia-smi/field-matrix.tsv`.

use std::collections::BTreeSet;

use super::bound::{MAX_LIMIT, MAX_MODULE};
use super::cell;
use crate::reading::{Measured, Power, Quantity, Value};

/// The need of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A row is recognised and named by it; every driver since 340 has it. Never dropped.
    Identity,
    /// Every driver since 340 has it. Dropped if one refuses it nevertheless: the rest still makes sense.
    Always,
    /// Drivers have it from this branch on.
    Since(u32),
}

/// One field of the query.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The field's names, the one to ask for first; the next is asked for where that is refused.
    pub names: &'static [&'static str],
    /// Its need.
    pub need: Need,
    /// The quantity of its values.
    pub quantity: Quantity,
    /// Reads a cell. The power is the ceiling for a board's draw.
    read: Read,
}

impl Field {
    /// The field that is asked for under this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.names.contains(&name))
    }

    /// The value in a cell, or why there is none. A board's draw above `ceiling` is implausible.
    pub(super) fn read(&self, cell: &str, ceiling: Power) -> Measured<Value> {
        (self.read)(cell, ceiling)
    }
}

/// Whether it is a board's draw, whose ceiling other quantities say.
pub(super) const fn is_draw(quantity: Quantity) -> bool {
    matches!(quantity, Quantity::PowerDraw | Quantity::PowerAverage | Quantity::PowerInstant)
}

/// Every field, in the order of asking: what every driver has, and then by age, so that the first refusal says
/// the most. `name` is last, as it is the only text that NVIDIA's marketing chooses and nothing is quoted.
pub const FIELDS: &[Field] = &[
    identity(&["index"], Quantity::Index, |c, _| value(cell::index(c))),
    identity(&["uuid"], Quantity::Uuid, |c, _| value(cell::uuid(c))),
    identity(&["pci.bus_id"], Quantity::BusId, |c, _| value(cell::text(c))),
    always(&["driver_version"], Quantity::DriverVersion, |c, _| value(cell::text(c))),
    always(&["power.draw"], Quantity::PowerDraw, |c, max| value(cell::power(c, max))),
    always(&["power.limit"], Quantity::PowerLimitRequested, |c, _| value(cell::power(c, MAX_LIMIT))),
    always(&["power.max_limit"], Quantity::PowerLimitMax, |c, _| value(cell::power(c, MAX_LIMIT))),
    always(&["enforced.power.limit"], Quantity::PowerLimitEnforced, |c, _| value(cell::power(c, MAX_LIMIT))),
    always(&["temperature.gpu"], Quantity::Temperature, |c, _| value(cell::temperature(c))),
    always(&["memory.used"], Quantity::MemoryUsed, |c, _| value(cell::memory(c))),
    always(&["memory.total"], Quantity::MemoryTotal, |c, _| value(cell::memory(c))),
    always(&["utilization.gpu"], Quantity::Utilization, |c, _| value(cell::share(c, 100))),
    // The manual page says that a fan may be driven above 100 % of its nominal speed.
    always(&["fan.speed"], Quantity::FanSpeed, |c, _| value(cell::share(c, 200))),
    always(&["persistence_mode"], Quantity::Persistence, |c, _| value(cell::switch(c))),
    always(&["pstate"], Quantity::PerformanceState, |c, _| value(cell::pstate(c))),
    since(418, &["temperature.memory"], Quantity::MemoryTemperature, |c, _| value(cell::temperature(c))),
    since(530, &["power.draw.instant"], Quantity::PowerInstant, |c, max| value(cell::power(c, max))),
    since(530, &["power.draw.average"], Quantity::PowerAverage, |c, max| value(cell::power(c, max))),
    // Renamed in 530; the old name is accepted again from 535 on.
    since(
        530,
        &["clocks_event_reasons.active", "clocks_throttle_reasons.active"],
        Quantity::ClocksEventReasons,
        |c, _| value(cell::mask(c)),
    ),
    since(590, &["gpu_recovery_action"], Quantity::RecoveryAction, |c, _| value(cell::text(c))),
    since(590, &["module.power.draw.instant"], Quantity::ModulePower, |c, _| {
        value(cell::power(c, MAX_MODULE))
    }),
    identity(&["name"], Quantity::Model, |c, _| value(cell::name(c))),
];

type Read = fn(&str, Power) -> Measured<Value>;

const fn identity(names: &'static [&'static str], quantity: Quantity, read: Read) -> Field {
    Field { names, need: Need::Identity, quantity, read }
}

const fn always(names: &'static [&'static str], quantity: Quantity, read: Read) -> Field {
    Field { names, need: Need::Always, quantity, read }
}

const fn since(branch: u32, names: &'static [&'static str], quantity: Quantity, read: Read) -> Field {
    Field { names, need: Need::Since(branch), quantity, read }
}

fn value<T: Into<Value>>(measured: Measured<T>) -> Measured<Value> {
    measured.map(Into::into)
}

/// The names that a driver does not know either which refuses `name`: whatever came with that name or later. One
/// that refuses what every driver knows is not asked for anything that came later.
pub(super) fn as_young_as(name: &str) -> impl Iterator<Item = &'static str> {
    let oldest = match Field::named(name) {
        Some(Field { names, need: Need::Since(branch), .. }) if names.first() == Some(&name) => Some(*branch),
        Some(Field { need: Need::Always, .. }) => Some(0),
        // The older name of a field was given up for a while, which tells no age.
        Some(_) | None => None,
    };
    FIELDS.iter().filter_map(move |field| match (field.need, oldest) {
        (Need::Since(branch), Some(oldest)) if oldest <= branch => field.names.first().copied(),
        _ => None,
    })
}

/// Whether a driver of this version may know `name`; so it is for a version that is none.
pub(super) fn may_know(version: &str, name: &str) -> bool {
    let branch = version.split('.').next().and_then(|branch| branch.parse::<u32>().ok());
    match (Field::named(name), branch) {
        (Some(Field { names, need: Need::Since(since), .. }), Some(branch)) => {
            names.first() != Some(&name) || *since <= branch
        }
        _ => true,
    }
}

/// The arguments that ask for these fields.
pub(super) fn query_args(fields: &[&str]) -> Vec<String> {
    vec![format!("--query-gpu={}", fields.join(",")), "--format=csv,noheader,nounits".to_owned()]
}

/// The names to ask a driver for that refuses these: of each field the first that is not refused.
pub(super) fn wanted(refused: &BTreeSet<String>) -> Vec<&'static str> {
    FIELDS
        .iter()
        .filter_map(|field| {
            let mut names = field.names.iter().copied();
            names.find(|name| field.need == Need::Identity || !refused.contains(*name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_question_asks_for_every_field_and_the_name_last() {
        assert_eq!(
            wanted(&BTreeSet::new()).join(","),
            "index,uuid,pci.bus_id,driver_version,power.draw,power.limit,power.max_limit,enforced.power.limit,\
             temperature.gpu,memory.used,memory.total,utilization.gpu,fan.speed,persistence_mode,pstate,\
             temperature.memory,power.draw.instant,power.draw.average,clocks_event_reasons.active,gpu_recovery_action,\
             module.power.draw.instant,name"
        );
    }

    #[test]
    fn a_refused_name_gives_way_to_the_older_one_and_then_to_nothing() {
        let refused = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let one = wanted(&refused(&["clocks_event_reasons.active"]));
        assert!(one.contains(&"clocks_throttle_reasons.active"));
        let both = wanted(&refused(&["clocks_event_reasons.active", "clocks_throttle_reasons.active"]));
        assert_eq!(both.len(), FIELDS.len() - 1);
    }

    #[test]
    fn what_one_refusal_says_of_the_drivers_age_the_others_follow() {
        let young = |name| as_young_as(name).collect::<Vec<_>>().join(" ");
        assert_eq!(young("gpu_recovery_action"), "gpu_recovery_action module.power.draw.instant");
        let since_530 = "power.draw.instant power.draw.average clocks_event_reasons.active gpu_recovery_action \
                         module.power.draw.instant";
        assert_eq!(young("power.draw.instant"), since_530);
        assert_eq!(young("power.max_limit"), format!("temperature.memory {since_530}"));
        assert_eq!(young("clocks_throttle_reasons.active"), "");
        assert_eq!(young("made.up"), "");
    }

    #[test]
    fn a_version_says_what_its_driver_may_know() {
        assert!(!may_know("470.256.02", "power.draw.average"));
        assert!(may_know("530.30.02", "power.draw.average"));
        assert!(!may_know("580.95.05", "module.power.draw.instant"));
        assert!(may_know("470.256.02", "clocks_throttle_reasons.active"));
        assert!(may_know("470.256.02", "power.max_limit"));
        assert!(may_know("no version", "module.power.draw.instant"));
    }

    #[test]
    fn a_remembered_refusal_cannot_take_an_identity_away() {
        let refused = ["index", "uuid", "pci.bus_id", "name"].map(str::to_owned).into();
        assert_eq!(wanted(&refused).len(), FIELDS.len());
    }
}
