//! The fields that are asked for, and how each cell is read: one table, so that the question and the
//! reader of its answer cannot drift apart.
//!
//! Names and first drivers: `fixtures/nvidia-smi/field-matrix.tsv`.

use std::collections::BTreeSet;

use super::cell;
use crate::reading::{GpuReading, Measured, Power, Reason};

/// The most that a board is believed to draw if it gives no limit of its own. The largest boards of
/// 2025 have limits of 1.2 to 1.4 kW.
pub(super) const MAX_BOARD: Power = Power::from_watts(5000);

/// The most that a superchip's module is believed to draw: some boards and their processors.
const MAX_MODULE: Power = Power::from_watts(20_000);

/// How much a field is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A row is recognised and named by it; every driver since 340 has it. Never dropped.
    Identity,
    /// Every driver since 340 has it. Dropped if one refuses it nevertheless: the rest still makes sense.
    Always,
    /// Not every driver has it.
    WhereKnown,
}

/// One field of the query.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The field's names, the one to ask for first; the next is asked for where that is refused.
    pub names: &'static [&'static str],
    /// How much the field is needed.
    pub need: Need,
    /// Reads a cell into its place. The power is the ceiling for a board's draw.
    read: fn(&str, Power, &mut GpuReading) -> Option<Reason>,
}

impl Field {
    /// The field that is asked for under this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.names.contains(&name))
    }

    /// Reads `cell` into its place in `gpu`, and gives the reason if there is no value in it.
    /// A board's draw above `ceiling` is implausible.
    pub(super) fn read(&self, cell: &str, ceiling: Power, gpu: &mut GpuReading) -> Option<Reason> {
        (self.read)(cell, ceiling, gpu)
    }
}

/// Every field, in the order of asking. `name` is last since it may hold commas and nothing is quoted.
pub const FIELDS: &[Field] = &[
    identity(&["index"], |c, _, gpu| put(&mut gpu.index, cell::index(c))),
    identity(&["uuid"], |c, _, gpu| put(&mut gpu.uuid, cell::uuid(c))),
    identity(&["pci.bus_id"], |c, _, gpu| put(&mut gpu.bus_id, cell::text(c))),
    always(&["driver_version"], |c, _, gpu| put(&mut gpu.driver_version, cell::text(c))),
    always(&["power.draw"], |c, max, gpu| put(&mut gpu.power_draw, cell::power(c, max))),
    always(&["power.limit"], |c, _, gpu| put(&mut gpu.power_limit, cell::power(c, MAX_BOARD))),
    always(&["temperature.gpu"], |c, _, gpu| put(&mut gpu.temperature, cell::temperature(c))),
    always(&["memory.used"], |c, _, gpu| put(&mut gpu.memory_used, cell::memory(c))),
    always(&["memory.total"], |c, _, gpu| put(&mut gpu.memory_total, cell::memory(c))),
    always(&["utilization.gpu"], |c, _, gpu| put(&mut gpu.utilization, cell::share(c, 100))),
    // The manual page says that a fan may be driven above 100 % of its nominal speed.
    always(&["fan.speed"], |c, _, gpu| put(&mut gpu.fan_speed, cell::share(c, 200))),
    always(&["persistence_mode"], |c, _, gpu| put(&mut gpu.persistence, cell::switch(c))),
    where_known(&["power.draw.instant"], |c, max, gpu| put(&mut gpu.power_instant, cell::power(c, max))),
    where_known(&["power.draw.average"], |c, max, gpu| put(&mut gpu.power_average, cell::power(c, max))),
    where_known(&["enforced.power.limit"], |c, _, gpu| {
        put(&mut gpu.enforced_power_limit, cell::power(c, MAX_BOARD))
    }),
    // Renamed in 530; the old name is accepted again from 535 on.
    where_known(&["clocks_event_reasons.active", "clocks_throttle_reasons.active"], |c, _, gpu| {
        put(&mut gpu.clocks_event_reasons, cell::mask(c))
    }),
    where_known(&["module.power.draw.instant"], |c, _, gpu| {
        put(&mut gpu.module_power_instant, cell::power(c, MAX_MODULE))
    }),
    where_known(&["pstate"], |c, _, gpu| put(&mut gpu.pstate, cell::pstate(c))),
    identity(&["name"], |c, _, gpu| put(&mut gpu.model, cell::name(c))),
];

type Read = fn(&str, Power, &mut GpuReading) -> Option<Reason>;

const fn identity(names: &'static [&'static str], read: Read) -> Field {
    Field { names, need: Need::Identity, read }
}

const fn always(names: &'static [&'static str], read: Read) -> Field {
    Field { names, need: Need::Always, read }
}

const fn where_known(names: &'static [&'static str], read: Read) -> Field {
    Field { names, need: Need::WhereKnown, read }
}

fn put<T>(place: &mut Measured<T>, measured: Measured<T>) -> Option<Reason> {
    let reason = measured.as_ref().err().map(|absent| absent.reason);
    *place = measured;
    reason
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

/// The most that this board is believed to draw: twice the largest of its limits.
pub(super) fn ceiling(gpu: &GpuReading) -> Power {
    let limits = [&gpu.power_limit, &gpu.enforced_power_limit];
    let largest = limits.into_iter().flatten().map(|limit| limit.milliwatts()).max();
    // A limit of zero says nothing about a board that runs.
    largest
        .filter(|limit| *limit > 0)
        .map_or(MAX_BOARD, |limit| Power::from_milliwatts(limit.saturating_mul(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_question_asks_for_every_field_and_the_name_last() {
        assert_eq!(
            wanted(&BTreeSet::new()).join(","),
            "index,uuid,pci.bus_id,driver_version,power.draw,power.limit,temperature.gpu,memory.used,memory.total,\
             utilization.gpu,fan.speed,persistence_mode,power.draw.instant,power.draw.average,enforced.power.limit,\
             clocks_event_reasons.active,module.power.draw.instant,pstate,name"
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
    fn a_remembered_refusal_cannot_take_an_identity_away() {
        let refused = ["index", "uuid", "pci.bus_id", "name"].map(str::to_owned).into();
        assert_eq!(wanted(&refused).len(), FIELDS.len());
    }
}
