//! What can be known of a device: one table, which the timeline, JSON, CSV and the text table walk. A quantity
//! that is added here is in all of them.

use super::{Device, DeviceKind, Measured, Value, gpu};

/// In what a quantity is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Electrical power in watts.
    Watts,
    /// Degrees Celsius.
    Celsius,
    /// Percent of a whole.
    Percent,
    /// Mebibytes (2^20 bytes).
    Mebibytes,
    /// Watt-hours of energy.
    WattHours,
    /// A place in a list.
    Index,
    /// A set of bits.
    Mask,
    /// On or off.
    Switch,
    /// One of a fixed set of labels.
    Label,
    /// Text of the device.
    Text,
}

impl Unit {
    /// Whether this is a value of the unit.
    pub const fn holds(self, value: &Value) -> bool {
        matches!(
            (self, value),
            (Self::Watts, Value::Power(_))
                | (Self::Celsius, Value::Temperature(_))
                | (Self::Percent, Value::Share(_))
                | (Self::Mebibytes, Value::Memory(_))
                | (Self::WattHours, Value::Energy(_))
                | (Self::Index, Value::Index(_))
                | (Self::Mask, Value::Mask(_))
                | (Self::Switch, Value::Switch(_))
                | (Self::Label, Value::Label(_))
                | (Self::Text, Value::Text(_))
        )
    }
}

/// What a quantity is to its device, and so where the timeline's metadata has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Says which device it is: in every row.
    Identity,
    /// Never or seldom changes: in every row, or with slim metadata in a row of its own.
    Fact,
    /// What the device says in this cycle: in every row of the cycle.
    Sample,
    /// As [`Self::Sample`], only where there is a value: most devices have none, and that says nothing.
    Extra,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// The kind of device that has it.
    pub kind: DeviceKind,
    /// What it is to the device.
    pub role: Role,
    /// The unit of its values.
    pub unit: Unit,
    /// How it follows from other quantities; `None` of one that is stored.
    pub derived: Option<fn(&Device) -> Measured<Value>>,
    /// Whether nothing says why it is absent, since another quantity does.
    pub is_untold: bool,
    /// The type of its own events in the timeline.
    pub event: Option<&'static str>,
    /// Its key in the metadata of the device's events.
    pub metadata: Option<&'static str>,
    /// Its key in JSON.
    pub json: Option<&'static str>,
    /// Its column in CSV, counted from 0, and the column's name. A new one is the last.
    pub csv: Option<(usize, &'static str)>,
    /// Its place in the text table, counted from 0, and its heading there.
    pub text: Option<(usize, &'static str)>,
    /// Its base name in Prometheus, in Prometheus' units.
    pub prometheus: Option<&'static str>,
    /// Its device class in Home Assistant.
    pub home_assistant: Option<&'static str>,
}

impl Columns {
    const fn gpu(role: Role, unit: Unit) -> Self {
        Self {
            kind: DeviceKind::Gpu,
            role,
            unit,
            derived: None,
            is_untold: false,
            event: None,
            metadata: None,
            json: None,
            csv: None,
            text: None,
            prometheus: None,
            home_assistant: None,
        }
    }

    const fn battery(unit: Unit) -> Self {
        Self { kind: DeviceKind::Battery, ..Self::gpu(Role::Sample, unit) }
    }

    const fn derived(self, derive: fn(&Device) -> Measured<Value>) -> Self {
        Self { derived: Some(derive), ..self }
    }

    const fn untold(self) -> Self {
        Self { is_untold: true, ..self }
    }

    const fn event(self, event_type: &'static str) -> Self {
        Self { event: Some(event_type), ..self }
    }

    const fn metadata(self, key: &'static str) -> Self {
        Self { metadata: Some(key), ..self }
    }

    const fn json(self, key: &'static str) -> Self {
        Self { json: Some(key), ..self }
    }

    const fn csv(self, column: usize, name: &'static str) -> Self {
        Self { csv: Some((column, name)), ..self }
    }

    const fn text(self, place: usize, heading: &'static str) -> Self {
        Self { text: Some((place, heading)), ..self }
    }

    const fn prometheus(self, name: &'static str) -> Self {
        Self { prometheus: Some(name), ..self }
    }

    const fn home_assistant(self, class: &'static str) -> Self {
        Self { home_assistant: Some(class), ..self }
    }
}

macro_rules! quantities {
    ($($(#[$doc:meta])+ $variant:ident: $columns:expr;)+) => {
        /// What can be known of a device. The order is that of JSON.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Quantity {
            $($(#[$doc])+ $variant,)+
        }

        impl Quantity {
            /// Every quantity.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its row of the table.
            pub const fn columns(self) -> &'static Columns {
                match self {
                    $(Self::$variant => const { &$columns },)+
                }
            }
        }
    };
}

quantities! {
    /// The GPU's place in the tool's list. A label, never an identity: it changes between boots and containers.
    Index: Columns::gpu(Role::Identity, Unit::Index)
        .metadata("gpu_index").json("index").csv(4, "gpu_index").text(0, "GPU");
    /// The GPU's identity: `GPU-…`.
    Uuid: Columns::gpu(Role::Identity, Unit::Text)
        .metadata("gpu_uuid").json("uuid").csv(5, "gpu_uuid");
    /// The PCI address, `00000000:0B:00.0`.
    BusId: Columns::gpu(Role::Fact, Unit::Text)
        .metadata("gpu_bus_id").json("bus_id").csv(6, "gpu_bus_id");
    /// The product name.
    Model: Columns::gpu(Role::Fact, Unit::Text)
        .metadata("gpu_model").json("model").csv(7, "gpu_model").text(1, "model");
    /// The kernel driver's version.
    DriverVersion: Columns::gpu(Role::Fact, Unit::Text)
        .metadata("driver_version").json("driver_version").csv(8, "driver_version");
    /// The power draw to record, by the rules of [`super::Device::power`].
    Power: Columns::gpu(Role::Sample, Unit::Watts).derived(gpu::power)
        .event("gpu_power_draw").metadata("power_draw_w").json("power_w").csv(9, "power_w").text(2, "draw W")
        .prometheus("fleetwatt_gpu_power_watts").home_assistant("power");
    /// Which of the power numbers was recorded.
    PowerKind: Columns::gpu(Role::Extra, Unit::Label).derived(gpu::power_kind).untold()
        .metadata("power_kind").json("power_kind").csv(10, "power_kind");
    /// The mean of the last second from Ampere on, instantaneous on A100, A30 and older.
    PowerDraw: Columns::gpu(Role::Sample, Unit::Watts)
        .json("power_draw_w").prometheus("fleetwatt_gpu_power_draw_watts");
    /// The mean of the last second.
    PowerAverage: Columns::gpu(Role::Extra, Unit::Watts)
        .metadata("power_draw_average_w").json("power_average_w")
        .prometheus("fleetwatt_gpu_power_draw_average_watts");
    /// The last value of the power sensor.
    PowerInstant: Columns::gpu(Role::Extra, Unit::Watts)
        .metadata("power_draw_instant_w").json("power_instant_w")
        .prometheus("fleetwatt_gpu_power_draw_instant_watts");
    /// The limit in force, by the rules of [`super::Device::limit`].
    PowerLimit: Columns::gpu(Role::Fact, Unit::Watts).derived(gpu::limit)
        .metadata("power_limit_w").json("power_limit_w").csv(11, "power_limit_w").text(3, "limit W")
        .prometheus("fleetwatt_gpu_power_limit_watts").home_assistant("power");
    /// The limit that was asked for.
    PowerLimitRequested: Columns::gpu(Role::Fact, Unit::Watts);
    /// The lowest of all limits.
    PowerLimitEnforced: Columns::gpu(Role::Fact, Unit::Watts);
    /// The highest limit that the board can be given, whatever is in force.
    PowerLimitMax: Columns::gpu(Role::Fact, Unit::Watts);
    /// The draw of the limit, to one decimal.
    PowerOfLimit: Columns::gpu(Role::Sample, Unit::Percent).derived(gpu::power_of_limit)
        .metadata("power_efficiency_pct").json("power_of_limit_pct").csv(12, "power_of_limit_pct")
        .text(4, "of limit").prometheus("fleetwatt_gpu_power_of_limit_ratio");
    /// The draw of a superchip's whole module. It includes the GPU, so it is never added to it.
    ModulePower: Columns::gpu(Role::Extra, Unit::Watts)
        .metadata("module_power_w").json("module_power_w").csv(20, "module_power_w")
        .prometheus("fleetwatt_gpu_module_power_watts").home_assistant("power");
    /// The temperature of the GPU's die.
    Temperature: Columns::gpu(Role::Sample, Unit::Celsius)
        .event("gpu_temperature").metadata("temperature_c").json("temperature_c").csv(13, "temperature_c")
        .text(6, "temp °C").prometheus("fleetwatt_gpu_temperature_celsius").home_assistant("temperature");
    /// The temperature of the board's memory. Boards with HBM have it, few others.
    MemoryTemperature: Columns::gpu(Role::Extra, Unit::Celsius)
        .metadata("memory_temperature_c").json("memory_temperature_c").csv(26, "memory_temperature_c")
        .prometheus("fleetwatt_gpu_memory_temperature_celsius").home_assistant("temperature");
    /// The share of time in which the GPU was busy.
    Utilization: Columns::gpu(Role::Sample, Unit::Percent)
        .event("gpu_utilization").metadata("gpu_utilization_pct").json("utilization_pct")
        .csv(14, "utilization_pct").text(5, "util %").prometheus("fleetwatt_gpu_utilization_ratio");
    /// The memory in use.
    MemoryUsed: Columns::gpu(Role::Sample, Unit::Mebibytes)
        .metadata("memory_used_mb").json("memory_used_mb").csv(15, "memory_used_mb").text(7, "memory GiB")
        .prometheus("fleetwatt_gpu_memory_used_bytes").home_assistant("data_size");
    /// The memory that the board has.
    MemoryTotal: Columns::gpu(Role::Fact, Unit::Mebibytes)
        .metadata("memory_total_mb").json("memory_total_mb").csv(16, "memory_total_mb")
        .prometheus("fleetwatt_gpu_memory_total_bytes").home_assistant("data_size");
    /// The fan's share of its range, not a speed that was measured.
    FanSpeed: Columns::gpu(Role::Sample, Unit::Percent)
        .metadata("fan_speed_pct").json("fan_speed_pct").csv(17, "fan_speed_pct")
        .prometheus("fleetwatt_gpu_fan_speed_ratio");
    /// Whether the driver stays loaded between calls.
    Persistence: Columns::gpu(Role::Sample, Unit::Switch).json("persistence");
    /// P0 (fastest) to P15.
    PerformanceState: Columns::gpu(Role::Sample, Unit::Text)
        .metadata("pstate").json("pstate").csv(18, "pstate");
    /// The bit mask of why clocks are held down.
    ClocksEventReasons: Columns::gpu(Role::Sample, Unit::Mask)
        .metadata("clocks_event_reasons").json("clocks_event_reasons").csv(19, "clocks_event_reasons");
    /// What the driver asks for, such as `Reset` or `Reboot`; `None` as a text where all is well.
    RecoveryAction: Columns::gpu(Role::Sample, Unit::Text);
    /// The state of charge, expansion packs included.
    StateOfCharge: Columns::battery(Unit::Percent)
        .metadata("soc_pct").json("soc_pct")
        .prometheus("fleetwatt_battery_charge_ratio").home_assistant("battery");
    /// All that flows in: grid, solar, car. Never negative.
    PowerInput: Columns::battery(Unit::Watts)
        .metadata("power_input_w").json("power_input_w")
        .prometheus("fleetwatt_battery_input_watts").home_assistant("power");
    /// All that flows out to loads. Never negative.
    PowerOutput: Columns::battery(Unit::Watts)
        .metadata("power_output_w").json("power_output_w")
        .prometheus("fleetwatt_battery_output_watts").home_assistant("power");
    /// From the grid; negative is into the grid.
    GridPower: Columns::battery(Unit::Watts)
        .metadata("grid_power_w").json("grid_power_w")
        .prometheus("fleetwatt_battery_grid_watts").home_assistant("power");
    /// From solar panels. Never negative.
    SolarPower: Columns::battery(Unit::Watts)
        .metadata("solar_power_w").json("solar_power_w")
        .prometheus("fleetwatt_battery_solar_watts").home_assistant("power");
    /// The energy of the full battery, expansion packs included. Not reported where their number is not known, not
    /// supported where the model's size is not.
    Capacity: Columns::battery(Unit::WattHours).untold()
        .json("capacity_wh").home_assistant("energy_storage");
}

impl Quantity {
    /// The quantities of a kind of device.
    pub fn of(kind: DeviceKind) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |quantity| quantity.columns().kind == kind)
    }

    /// The place among the stored quantities of its kind; `None` of one that follows from others.
    pub(super) fn slot(self) -> Option<usize> {
        SLOTS.0.get(self as usize).copied().flatten()
    }

    /// How many quantities of a kind of device are stored.
    pub(super) fn n_stored(kind: DeviceKind) -> usize {
        SLOTS.1.get(kind as usize).copied().unwrap_or(0)
    }
}

const N_QUANTITIES: usize = Quantity::ALL.len();

/// The place of each quantity among the stored ones of its kind, and how many each kind has.
static SLOTS: ([Option<usize>; N_QUANTITIES], [usize; DeviceKind::N]) = slots();

#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it, and finds what is out of bounds")]
const fn slots() -> ([Option<usize>; N_QUANTITIES], [usize; DeviceKind::N]) {
    let (mut slots, mut n_stored) = ([None; N_QUANTITIES], [0; DeviceKind::N]);
    let mut at = 0;
    while at < N_QUANTITIES {
        let columns = Quantity::ALL[at].columns();
        let kind = columns.kind as usize;
        if columns.derived.is_none() {
            slots[at] = Some(n_stored[kind]);
            n_stored[kind] += 1;
        }
        at += 1;
    }
    (slots, n_stored)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Debug;

    use super::*;

    fn assert_unique<T: Ord + Debug>(values: impl Iterator<Item = T>) {
        let mut seen = BTreeSet::new();
        for value in values {
            let text = format!("{value:?}");
            assert!(seen.insert(value), "{text} is there twice");
        }
    }

    fn columns<T>(of: impl Fn(&'static Columns) -> Option<T>) -> impl Iterator<Item = T> {
        Quantity::ALL.iter().filter_map(move |quantity| of(quantity.columns()))
    }

    #[test]
    fn no_key_column_or_name_is_there_twice() {
        assert_unique(columns(|row| row.event));
        assert_unique(columns(|row| Some((row.kind as usize, row.metadata?))));
        assert_unique(columns(|row| Some((row.kind as usize, row.json?))));
        assert_unique(columns(|row| row.csv).map(|(column, _)| column));
        assert_unique(columns(|row| row.csv).map(|(_, name)| name));
        assert_unique(columns(|row| row.text).map(|(place, _)| place));
        assert_unique(columns(|row| row.prometheus));
        assert_unique(Quantity::of(DeviceKind::Gpu).filter_map(Quantity::slot));
    }

    #[test]
    fn what_prometheus_is_given_ends_in_its_base_unit() {
        for columns in columns(Some) {
            let Some(name) = columns.prometheus else { continue };
            let unit = match columns.unit {
                Unit::Watts => "_watts",
                Unit::Celsius => "_celsius",
                Unit::Percent => "_ratio",
                Unit::Mebibytes => "_bytes",
                Unit::WattHours => "_joules",
                Unit::Index | Unit::Mask | Unit::Switch | Unit::Label | Unit::Text => "no number",
            };
            assert!(
                (name.starts_with("fleetwatt_gpu_") || name.starts_with("fleetwatt_battery_"))
                    && name.ends_with(unit),
                "{name}"
            );
        }
    }

    #[test]
    fn what_has_its_own_event_is_a_number() {
        for columns in columns(Some).filter(|columns| columns.event.is_some()) {
            assert!(matches!(columns.unit, Unit::Watts | Unit::Celsius | Unit::Percent | Unit::Mebibytes));
        }
    }
}
