//! One device and its quantities, each a value or absent with its reason.

use std::borrow::Cow;

use super::{
    Absent, Columns, DeviceKind, Energy, Measured, Memory, Power, PowerDraw, PowerKind, PowerSamples,
    Quantity, Reason, SafeText, Share, Temperature, Value,
};

/// One device, as it answered at one time.
///
/// ```
/// use fleetwatt::reading::{Absent, Device, DeviceKind, Power, Quantity};
///
/// let gpu = Device::all_absent(DeviceKind::Gpu, &Absent::not_reported())
///     .with(Quantity::PowerDraw, Power::from_watts(285));
/// assert_eq!(gpu.power().map(|draw| draw.power), Ok(Power::from_watts(285)));
/// assert_eq!(gpu.temperature(), Err(&Absent::not_reported()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    kind: DeviceKind,
    /// Each quantity of the kind, in the order of the table; one that follows from others stays unused.
    stored: Box<[Measured<Value>]>,
    /// The samples of its power since the cycle before; `None` where it is not sampled, or no sample had a number.
    pub power_samples: Option<Box<PowerSamples>>,
}

/// A function by which a quantity follows from others.
type Derive = fn(&Device) -> Measured<Value>;

/// A quantity of a device: a value or why there is none, borrowed where it is stored.
pub type Known<'a> = Result<Cow<'a, Value>, Cow<'a, Absent>>;

/// Why a device has no value of a quantity that devices of its kind do not have.
static NOT_ITS_OWN: Absent = Absent::not_asked();

impl Device {
    /// A device of which nothing is known, each quantity absent for `absent`.
    pub fn all_absent(kind: DeviceKind, absent: &Absent) -> Self {
        let stored = Quantity::of(kind).map(|_| Err(absent.clone())).collect();
        Self { kind, stored, power_samples: None }
    }

    /// Sets a quantity. One that follows from others, or that devices of this kind do not have, cannot be set.
    pub fn set(&mut self, quantity: Quantity, measured: Measured<Value>) {
        let Columns { kind, unit, .. } = *quantity.columns();
        let is_of_unit = |value| std::mem::discriminant(value) == std::mem::discriminant(unit);
        debug_assert!(
            kind == self.kind && Self::derivation(quantity).is_none(),
            "{quantity:?} is not stored"
        );
        debug_assert!(measured.as_ref().ok().is_none_or(is_of_unit), "{quantity:?}");
        if let Some(stored) = self.stored.get_mut(quantity.place()).filter(|_| kind == self.kind) {
            *stored = measured;
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
        match Self::derivation(quantity) {
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
        let stored = self.stored.get(quantity.place()).filter(|_| is_its_own);
        stored.map_or(Err(&NOT_ITS_OWN), Result::as_ref)
    }

    /// The function by which a quantity follows from others; `None` of one that is stored.
    pub(crate) fn derivation(quantity: Quantity) -> Option<Derive> {
        let derived: [(Quantity, Derive); 4] = [
            (Quantity::Power, |gpu| Ok(gpu.power().map_err(Absent::clone)?.power.into())),
            (Quantity::PowerKind, |gpu| Ok(Value::Label(gpu.power().map_err(Absent::clone)?.kind.label()))),
            (Quantity::PowerLimit, |gpu| gpu.limit().map(Value::from)),
            (Quantity::PowerOfLimit, |gpu| gpu.power_of_limit().map(Value::from)),
        ];
        derived.into_iter().find(|(other, _)| *other == quantity).map(|(_, derive)| derive)
    }

    /// The power draw to record: the mean of the last second where the board gives it, since a poll that
    /// is slower than the sensor integrates it best; then the driver's own choice; then the instantaneous value.
    /// Where it was sampled, the mean of the samples. Without any, the first error of a kind.
    ///
    /// A number that cannot be true is not replaced by another kind: of one sensor, neither is to be believed.
    pub fn power(&self) -> Result<PowerDraw, &Absent> {
        if let Some(samples) = &self.power_samples {
            return Ok(PowerDraw { power: samples.mean, kind: samples.kind });
        }
        let mut error = None;
        for &kind in PowerKind::ALL {
            match self.typed(kind.quantity()) {
                Ok(power) => return Ok(PowerDraw { power: *power, kind }),
                Err(absent) if absent.reason == Reason::Implausible => return Err(absent),
                Err(absent) if absent.reason.is_structural() => {}
                Err(absent) => error = error.or(Some(absent)),
            }
        }
        match error {
            Some(absent) => Err(absent),
            None => self
                .typed(Quantity::PowerDraw)
                .map(|power| PowerDraw { power: *power, kind: PowerKind::Draw }),
        }
    }

    /// The limit in force: the lowest of all, else the one that was asked for. A limit of zero says nothing, since no
    /// board runs on it.
    pub fn limit(&self) -> Measured<Power> {
        let telling = |quantity| match self.typed::<Power>(quantity) {
            Ok(power) if power.milliwatts() == 0 => {
                Err(Absent::new(Reason::NotSupported, &power.to_string()))
            }
            Ok(power) => Ok(*power),
            Err(absent) => Err(absent.clone()),
        };
        telling(Quantity::PowerLimitEnforced).or_else(|_| telling(Quantity::PowerLimitRequested))
    }

    /// The draw of the limit, rounded to one decimal.
    pub fn power_of_limit(&self) -> Measured<Share> {
        let draw = i128::from(self.power().map_err(Absent::clone)?.power.milliwatts());
        let limit = i128::from(self.limit()?.milliwatts());
        let millipercent = (limit > 0).then(|| (draw * 1000 + limit / 2) / limit * 100);
        let share = millipercent.and_then(|share| i64::try_from(share).ok()).map(Share::from_millipercent);
        share.ok_or_else(|| Absent::new(Reason::Implausible, &format!("{draw} of {limit} mW")))
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
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::reading::SampleCounts;

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

    fn gpu() -> Device {
        Device::all_absent(DeviceKind::Gpu, &Absent::new(Reason::NotSupported, "[N/A]"))
    }

    #[test]
    fn the_average_is_recorded_before_the_other_kinds() {
        let mut gpu = gpu();
        gpu.set(Quantity::PowerInstant, Ok(Power::from_watts(30).into()));
        assert_eq!(gpu.power().map(|p| p.kind), Ok(PowerKind::Instant));
        gpu.set(Quantity::PowerDraw, Ok(Power::from_watts(20).into()));
        assert_eq!(gpu.power().map(|p| p.kind), Ok(PowerKind::Draw));
        gpu.set(Quantity::PowerAverage, Ok(Power::from_watts(10).into()));
        assert_eq!(gpu.power().map(|p| p.kind), Ok(PowerKind::Average));
    }

    #[test]
    fn the_mean_of_samples_is_recorded_before_the_last_of_them() {
        let mut gpu = gpu();
        gpu.set(Quantity::PowerAverage, Ok(Power::from_watts(30).into()));
        gpu.power_samples = Some(Box::new(PowerSamples {
            kind: PowerKind::Instant,
            mean: Power::from_watts(20),
            min: Power::from_watts(10),
            max: Power::from_watts(30),
            counts: SampleCounts { n_samples: 3, ..SampleCounts::default() },
            energy: Energy::from_millijoules(40_000),
            covered: Duration::from_secs(2),
            variance_mj2: 0,
        }));
        assert_eq!(gpu.power(), Ok(PowerDraw { power: Power::from_watts(20), kind: PowerKind::Instant }));
    }

    #[test]
    fn an_implausible_kind_is_not_replaced_and_a_missing_one_is() {
        let mut gpu = gpu();
        gpu.set(Quantity::PowerDraw, Ok(Power::from_watts(20).into()));
        gpu.set(Quantity::PowerAverage, Err(Absent::new(Reason::UnknownError, "[Unknown Error]")));
        assert_eq!(gpu.power().map(|p| p.kind), Ok(PowerKind::Draw));
        gpu.set(Quantity::PowerAverage, Err(Absent::new(Reason::Implausible, "9999.00")));
        assert_eq!(gpu.power(), Err(&Absent::new(Reason::Implausible, "9999.00")));
    }

    #[test]
    fn the_error_of_a_kind_is_told_before_the_absence_of_another() {
        let mut gpu = gpu();
        gpu.set(Quantity::PowerAverage, Err(Absent::new(Reason::Timeout, "[Timeout]")));
        assert_eq!(gpu.power().unwrap_err().reason, Reason::Timeout);
    }

    #[test]
    fn a_limit_of_zero_says_nothing() {
        let mut gpu = gpu();
        gpu.set(Quantity::PowerLimitEnforced, Ok(Power::from_watts(0).into()));
        assert_eq!(gpu.limit().unwrap_err().reason, Reason::NotSupported);
        gpu.set(Quantity::PowerLimitRequested, Ok(Power::from_watts(700).into()));
        assert_eq!(gpu.limit(), Ok(Power::from_watts(700)));
    }

    #[test]
    fn a_board_without_a_sensor_has_no_power_and_says_why() {
        assert_eq!(gpu().power(), Err(&Absent::new(Reason::NotSupported, "[N/A]")));
    }

    proptest! {
        #[test]
        fn what_is_set_is_there_and_the_rest_stays_as_it_was(watts in any::<i32>(), at in any::<prop::sample::Index>()) {
            let is_stored = |quantity: &Quantity| Device::derivation(*quantity).is_none();
            let is_power = |quantity: &Quantity| {
                is_stored(quantity) && matches!(quantity.columns().unit, Value::Power(_))
            };
            let powers: Vec<Quantity> = Quantity::ALL.iter().copied().filter(is_power).collect();
            let chosen = powers[at.index(powers.len())];
            let gpu = Device::all_absent(chosen.columns().kind, &Absent::not_reported())
                .with(chosen, Power::from_watts(watts));
            for quantity in gpu.quantities().filter(is_stored) {
                let expected = if quantity == chosen { Ok(Value::Power(Power::from_watts(watts))) } else { Err(Absent::not_reported()) };
                prop_assert_eq!(gpu.get(quantity).map(Cow::into_owned).map_err(Cow::into_owned), expected);
            }
        }
    }
}
