//! One device and what is known of it, each quantity a value or absent with its reason.

use std::borrow::Cow;

use super::{
    Absent, Energy, Measured, Memory, Power, PowerSamples, Quantity, SafeText, Share, Temperature, Value,
};

/// What a device is, which says what can be known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// A GPU.
    Gpu,
    /// A battery with what feeds it and what it feeds.
    Battery,
}

impl DeviceKind {
    pub(super) const N: usize = 2;
}

/// One device, as it answered at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    kind: DeviceKind,
    /// Of each stored quantity of the kind, in the order of the table.
    stored: Box<[Measured<Value>]>,
    /// The samples of its power since the cycle before; `None` where it is not sampled, or no sample had a number.
    pub power_samples: Option<Box<PowerSamples>>,
}

/// A quantity of a device: a value or why there is none, borrowed where it is stored.
pub type Known<'a> = Result<Cow<'a, Value>, Cow<'a, Absent>>;

/// Why a device has no value of a quantity that devices of its kind do not have.
static NOT_ITS_OWN: Absent = Absent::not_asked();

impl Device {
    /// A device of which nothing is known, each quantity absent for `absent`.
    pub fn all_absent(kind: DeviceKind, absent: &Absent) -> Self {
        let stored = vec![Err(absent.clone()); Quantity::n_stored(kind)];
        Self { kind, stored: stored.into_boxed_slice(), power_samples: None }
    }

    /// Sets a quantity. One that follows from others, or that devices of this kind do not have, cannot be set.
    pub fn set(&mut self, quantity: Quantity, measured: Measured<Value>) {
        let columns = quantity.columns();
        debug_assert!(columns.kind == self.kind && columns.derived.is_none(), "{quantity:?} is not stored");
        debug_assert!(measured.as_ref().ok().is_none_or(|value| columns.unit.holds(value)), "{quantity:?}");
        if let Some(place) = quantity.slot().and_then(|slot| self.stored.get_mut(slot)) {
            *place = measured;
        }
    }

    /// The same device with what was measured of this quantity.
    #[must_use]
    pub fn measured(mut self, quantity: Quantity, measured: Measured<impl Into<Value>>) -> Self {
        self.set(quantity, measured.map(Into::into));
        self
    }

    /// The same device with this value.
    #[must_use]
    pub fn with(mut self, quantity: Quantity, value: impl Into<Value>) -> Self {
        self.set(quantity, Ok(value.into()));
        self
    }

    /// The same device without this value, for this reason.
    #[must_use]
    pub fn without(mut self, quantity: Quantity, absent: Absent) -> Self {
        self.set(quantity, Err(absent));
        self
    }

    /// The quantities of the device, in the order of the table.
    pub fn quantities(&self) -> impl Iterator<Item = Quantity> + use<> {
        Quantity::of(self.kind)
    }

    /// The quantity as it was measured, or as it follows from others.
    pub fn get(&self, quantity: Quantity) -> Known<'_> {
        match quantity.columns().derived {
            Some(derive) => derive(self).map(Cow::Owned).map_err(Cow::Owned),
            None => self.stored(quantity).map(Cow::Borrowed).map_err(Cow::Borrowed),
        }
    }

    /// The same of a stored quantity in its own type. Asked for in another one, it counts as not asked.
    pub fn typed<'a, T>(&'a self, quantity: Quantity) -> Result<&'a T, &'a Absent>
    where
        &'a T: TryFrom<&'a Value>,
    {
        self.stored(quantity)?.try_into().map_err(|_| &NOT_ITS_OWN)
    }

    fn stored(&self, quantity: Quantity) -> Result<&Value, &Absent> {
        let is_its_own = quantity.columns().kind == self.kind;
        let stored = quantity.slot().filter(|_| is_its_own).and_then(|slot| self.stored.get(slot));
        stored.map_or(Err(&NOT_ITS_OWN), Result::as_ref)
    }
}

macro_rules! accessors {
    ($($(#[$doc:meta])+ $name:ident: $type:ty = $quantity:ident;)+) => {
        impl Device {
            $($(#[$doc])+
            pub fn $name(&self) -> Result<&$type, &Absent> {
                self.typed(Quantity::$quantity)
            })+
        }
    };
}

accessors! {
    /// A GPU's place in the tool's list.
    index: u32 = Index;
    /// A GPU's identity.
    uuid: SafeText = Uuid;
    /// A GPU's PCI address.
    bus_id: SafeText = BusId;
    /// A GPU's product name.
    model: SafeText = Model;
    /// The kernel driver's version.
    driver_version: SafeText = DriverVersion;
    /// The temperature of a GPU's die.
    temperature: Temperature = Temperature;
    /// The share of time in which a GPU was busy.
    utilization: Share = Utilization;
    /// The memory in use on a GPU.
    memory_used: Memory = MemoryUsed;
    /// The memory that a GPU's board has.
    memory_total: Memory = MemoryTotal;
    /// A battery's state of charge.
    soc: Share = StateOfCharge;
    /// All that flows into a battery.
    power_input: Power = PowerInput;
    /// All that flows out of a battery.
    power_output: Power = PowerOutput;
    /// A battery's power from the grid; negative is into the grid.
    grid_power: Power = GridPower;
    /// A battery's power from solar panels.
    solar_power: Power = SolarPower;
    /// The energy of a full battery.
    capacity: Energy = Capacity;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::Reason;

    #[test]
    fn a_quantity_is_read_back_in_its_own_type_alone() {
        let absent = Absent::new(Reason::NotSupported, "[N/A]");
        let gpu = Device::all_absent(DeviceKind::Gpu, &absent)
            .with(Quantity::PowerDraw, Power::from_watts(20))
            .with(Quantity::Temperature, Temperature::from_millicelsius(43_000));
        assert_eq!(gpu.typed(Quantity::PowerDraw), Ok(&Power::from_watts(20)));
        assert_eq!(gpu.typed(Quantity::Temperature), Ok(&Temperature::from_millicelsius(43_000)));
        assert_eq!(gpu.typed::<Power>(Quantity::Temperature), Err(&NOT_ITS_OWN));
        assert_eq!(gpu.typed::<Power>(Quantity::ModulePower), Err(&absent));
    }

    #[test]
    fn a_gpu_takes_no_more_memory_than_its_values() {
        assert!(size_of::<Measured<Value>>() <= 32, "{}", size_of::<Measured<Value>>());
        assert!(size_of::<Device>() <= 32, "{}", size_of::<Device>());
    }

    proptest! {
        #[test]
        fn what_is_set_is_there_and_the_rest_stays_as_it_was(watts in any::<i32>(), at in any::<prop::sample::Index>()) {
            let is_power = |quantity: &Quantity| {
                let columns = quantity.columns();
                columns.derived.is_none() && columns.unit.holds(&Value::Power(Power::default()))
            };
            let powers: Vec<Quantity> = Quantity::ALL.iter().copied().filter(is_power).collect();
            let chosen = powers[at.index(powers.len())];
            let gpu = Device::all_absent(chosen.columns().kind, &Absent::not_reported())
                .with(chosen, Power::from_watts(watts));
            for quantity in gpu.quantities().filter(|quantity| quantity.columns().derived.is_none()) {
                let expected = if quantity == chosen { Ok(Value::Power(Power::from_watts(watts))) } else { Err(Absent::not_reported()) };
                prop_assert_eq!(gpu.get(quantity).map(Cow::into_owned).map_err(Cow::into_owned), expected);
            }
        }
    }
}
