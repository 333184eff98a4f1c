//! The quantities of devices in one table. Metadata, JSON, CSV and the text table walk that of GPUs, so that a quantity
//! that is added here is in all of them; JSON and the heartbeat's metadata walk that of batteries.

use super::table::table;
use super::{Energy, Memory, Power, SafeText, Share, Temperature, Value, event_type};

/// The kind of a device, which says what can be known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// A GPU.
    Gpu,
    /// A battery with what feeds it and what it feeds.
    Battery,
}

/// The role of a quantity for its device, and so its place in the timeline's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Says which device it is: in every row.
    Identity,
    /// Never or seldom changes: in every row, or with slim metadata in a row of its own.
    Fact,
    /// Said anew in each cycle: in every row of the cycle.
    Sample,
    /// As [`Self::Sample`], only where there is a value: most devices have none, and that says nothing.
    Extra,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// The kind of device that has it.
    pub kind: DeviceKind,
    /// Its role for the device.
    pub role: Role,
    /// The unit of its values: a zero of that unit.
    pub unit: &'static Value,
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
    /// Its name in Prometheus, in Prometheus' units, and its help there. The flows of a battery share one.
    pub prometheus: Option<(&'static str, &'static str)>,
    /// Its device class in Home Assistant.
    pub home_assistant: Option<&'static str>,
}

const WATTS: &Value = &Value::Power(Power::from_milliwatts(0));
const WATT_HOURS: &Value = &Value::Energy(Energy::from_millijoules(0));
const CELSIUS: &Value = &Value::Temperature(Temperature::from_millicelsius(0));
const PERCENT: &Value = &Value::Share(Share::from_millipercent(0));
const MEBIBYTES: &Value = &Value::Memory(Memory::from_mebibytes(0));
const INDEX: &Value = &Value::Index(0);
const MASK: &Value = &Value::Mask(0);
const SWITCH: &Value = &Value::Switch(false);
const LABEL: &Value = &Value::Label("");
const TEXT: &Value = &Value::Text(SafeText::EMPTY);

const BATTERY_POWER: (&str, &str) =
    ("fleetwatt_battery_power_watts", "Power of a station by its flow; into the grid is negative.");

macro_rules! columns {
    ($kind:ident $role:ident $unit:ident $(, $column:ident: $value:expr)*) => {{
        let (kind, role, unit) = (DeviceKind::$kind, Role::$role, $unit);
        let (event, metadata, json, csv) = (None, None, None, None);
        let (text, prometheus, home_assistant) = (None, None, None);
        let none = Columns { kind, role, unit, event, metadata, json, csv, text, prometheus, home_assistant };
        &Columns { $($column: Some($value),)* ..none }
    }};
}

table! {
    /// A quantity of a device. The order is that of JSON; those of a GPU are before those of a battery.
    Quantity;
    /// Its row of the table.
    pub columns: &'static Columns;
    /// The GPU's place in the tool's list. A label, never an identity: it changes between boots and containers.
    Index: columns!(Gpu Identity INDEX, metadata: "gpu_index", json: "index", csv: (4, "gpu_index"),
        text: (0, "GPU"));
    /// The GPU's identity: `GPU-…`.
    Uuid: columns!(Gpu Identity TEXT, metadata: "gpu_uuid", json: "uuid", csv: (5, "gpu_uuid"));
    /// The PCI address, `00000000:0B:00.0`.
    BusId: columns!(Gpu Fact TEXT, metadata: "gpu_bus_id", json: "bus_id", csv: (6, "gpu_bus_id"));
    /// The product name.
    Model: columns!(Gpu Fact TEXT, metadata: "gpu_model", json: "model", csv: (7, "gpu_model"),
        text: (1, "model"));
    /// The kernel driver's version.
    DriverVersion: columns!(Gpu Fact TEXT, metadata: "driver_version", json: "driver_version",
        csv: (8, "driver_version"));
    /// The power draw to record, by the rules of [`super::Device::power`].
    Power: columns!(Gpu Sample WATTS, event: event_type::GPU_POWER, metadata: "power_draw_w", json: "power_w",
        csv: (9, "power_w"), text: (2, "draw W"), prometheus: ("fleetwatt_gpu_power_watts", "Draw of a GPU: the mean of the last second where the board gives it."),
        home_assistant: "power");
    /// Which of the power numbers was recorded.
    PowerKind: columns!(Gpu Extra LABEL, metadata: "power_kind", json: "power_kind",
        csv: (10, "power_kind"));
    /// The mean of the last second from Ampere on, instantaneous on A100, A30 and older.
    PowerDraw: columns!(Gpu Sample WATTS, json: "power_draw_w",
        prometheus: ("fleetwatt_gpu_power_draw_watts", "Draw as the driver chooses it: a mean from Ampere on, instantaneous before."));
    /// The mean of the last second.
    PowerAverage: columns!(Gpu Extra WATTS, metadata: "power_draw_average_w", json: "power_average_w",
        prometheus: ("fleetwatt_gpu_power_draw_average_watts", "Draw as the mean of the last second."));
    /// The last value of the power sensor.
    PowerInstant: columns!(Gpu Extra WATTS, metadata: "power_draw_instant_w", json: "power_instant_w",
        prometheus: ("fleetwatt_gpu_power_draw_instant_watts", "Draw as the sensor last had it."));
    /// The limit in force, by the rules of [`super::Device::limit`].
    PowerLimit: columns!(Gpu Fact WATTS, metadata: "power_limit_w", json: "power_limit_w",
        csv: (11, "power_limit_w"), text: (3, "limit W"), prometheus: ("fleetwatt_gpu_power_limit_watts", "Power limit in force."),
        home_assistant: "power");
    /// The limit that was asked for.
    PowerLimitRequested: columns!(Gpu Fact WATTS);
    /// The lowest of all limits.
    PowerLimitEnforced: columns!(Gpu Fact WATTS);
    /// The highest limit that the board can be given, whatever is in force.
    PowerLimitMax: columns!(Gpu Fact WATTS);
    /// The draw of the limit, to one decimal.
    PowerOfLimit: columns!(Gpu Sample PERCENT, metadata: "power_efficiency_pct", json: "power_of_limit_pct",
        csv: (12, "power_of_limit_pct"), text: (4, "of limit"),
        prometheus: ("fleetwatt_gpu_power_of_limit_ratio", "Draw over the limit in force."));
    /// The draw of a superchip's whole module. It includes the GPU, so it is never added to it.
    ModulePower: columns!(Gpu Extra WATTS, metadata: "module_power_w", json: "module_power_w",
        csv: (20, "module_power_w"), prometheus: ("fleetwatt_gpu_module_power_watts", "Draw of a superchip's whole module, its GPU included."),
        home_assistant: "power");
    /// The temperature of the GPU's die.
    Temperature: columns!(Gpu Sample CELSIUS, event: "gpu_temperature", metadata: "temperature_c",
        json: "temperature_c", csv: (13, "temperature_c"), text: (6, "temp °C"),
        prometheus: ("fleetwatt_gpu_temperature_celsius", "Temperature of a GPU."), home_assistant: "temperature");
    /// The temperature of the board's memory. Boards with HBM have it, few others.
    MemoryTemperature: columns!(Gpu Extra CELSIUS, metadata: "memory_temperature_c",
        json: "memory_temperature_c", csv: (26, "memory_temperature_c"),
        prometheus: ("fleetwatt_gpu_memory_temperature_celsius", "Temperature of a GPU's memory."), home_assistant: "temperature");
    /// The share of time in which the GPU was busy.
    Utilization: columns!(Gpu Sample PERCENT, event: "gpu_utilization", metadata: "gpu_utilization_pct",
        json: "utilization_pct", csv: (14, "utilization_pct"), text: (5, "util %"),
        prometheus: ("fleetwatt_gpu_utilization_ratio", "Share of time in which a GPU was busy."));
    /// The memory in use.
    MemoryUsed: columns!(Gpu Sample MEBIBYTES, metadata: "memory_used_mb", json: "memory_used_mb",
        csv: (15, "memory_used_mb"), text: (7, "memory GiB"), prometheus: ("fleetwatt_gpu_memory_used_bytes", "Memory in use."),
        home_assistant: "data_size");
    /// The memory that the board has.
    MemoryTotal: columns!(Gpu Fact MEBIBYTES, metadata: "memory_total_mb", json: "memory_total_mb",
        csv: (16, "memory_total_mb"), prometheus: ("fleetwatt_gpu_memory_total_bytes", "Memory that a GPU has."),
        home_assistant: "data_size");
    /// The fan's share of its range, not a speed that was measured.
    FanSpeed: columns!(Gpu Sample PERCENT, metadata: "fan_speed_pct", json: "fan_speed_pct",
        csv: (17, "fan_speed_pct"), prometheus: ("fleetwatt_gpu_fan_speed_ratio", "A fan's share of its range."));
    /// Whether the driver stays loaded between calls.
    Persistence: columns!(Gpu Sample SWITCH, json: "persistence");
    /// P0 (fastest) to P15.
    PerformanceState: columns!(Gpu Sample TEXT, metadata: "pstate", json: "pstate", csv: (18, "pstate"));
    /// The bit mask of why clocks are held down.
    ClocksEventReasons: columns!(Gpu Sample MASK, metadata: "clocks_event_reasons",
        json: "clocks_event_reasons", csv: (19, "clocks_event_reasons"));
    /// The recovery that the driver asks for, such as `Reset` or `Reboot`; `None` as a text where all is well.
    RecoveryAction: columns!(Gpu Sample TEXT);
    /// The state of charge, expansion packs included.
    StateOfCharge: columns!(Battery Sample PERCENT, metadata: "soc_pct", json: "soc_pct",
        prometheus: ("fleetwatt_battery_charge_ratio", "State of charge of a station."), home_assistant: "battery");
    /// All that flows in: grid, solar, car. Never negative.
    PowerInput: columns!(Battery Sample WATTS, metadata: "power_input_w", json: "power_input_w",
        prometheus: BATTERY_POWER, home_assistant: "power");
    /// All that flows out to loads. Never negative.
    PowerOutput: columns!(Battery Sample WATTS, metadata: "power_output_w", json: "power_output_w",
        prometheus: BATTERY_POWER, home_assistant: "power");
    /// From the grid; negative is into the grid.
    GridPower: columns!(Battery Sample WATTS, metadata: "grid_power_w", json: "grid_power_w",
        prometheus: BATTERY_POWER, home_assistant: "power");
    /// From solar panels. Never negative.
    SolarPower: columns!(Battery Sample WATTS, metadata: "solar_power_w", json: "solar_power_w",
        prometheus: BATTERY_POWER, home_assistant: "power");
    /// The energy of the full battery, expansion packs included. Not reported where their number is not known, not
    /// supported where the model's size is not.
    Capacity: columns!(Battery Sample WATT_HOURS, json: "capacity_wh", home_assistant: "energy_storage");
}

impl Quantity {
    /// The quantities of a kind of device.
    pub fn of(kind: DeviceKind) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |quantity| quantity.columns().kind == kind)
    }

    /// Its place among the quantities of its kind.
    pub(super) const fn place(self) -> usize {
        match self.columns().kind {
            DeviceKind::Gpu => self as usize,
            DeviceKind::Battery => self as usize - Self::StateOfCharge as usize,
        }
    }

    /// Whether nothing says why it is absent, since another quantity does.
    pub const fn is_untold(self) -> bool {
        matches!(self, Self::PowerKind | Self::Capacity)
    }
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
        assert_unique(columns(|row| row.prometheus.filter(|row| *row != BATTERY_POWER)));
        assert_unique(Quantity::of(DeviceKind::Gpu).map(Quantity::place));
    }

    #[test]
    fn what_prometheus_is_given_ends_in_its_base_unit() {
        for columns in columns(Some) {
            let Some((name, _)) = columns.prometheus else { continue };
            let unit = match columns.unit {
                Value::Power(_) => "_watts",
                Value::Temperature(_) => "_celsius",
                Value::Share(_) => "_ratio",
                Value::Memory(_) => "_bytes",
                Value::Energy(_) => "_joules",
                Value::Index(_) | Value::Mask(_) | Value::Switch(_) | Value::Label(_) | Value::Text(_) => {
                    "no number"
                }
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
            assert!(columns.unit.number().is_some() && columns.unit != WATT_HOURS);
        }
    }
}
