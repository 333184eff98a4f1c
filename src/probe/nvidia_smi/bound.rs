//! The most that a board is believed to draw. A number above it is no reading.
//!
//! The bound is a property of the board, not of its settings: a cap that was lowered under load does not make
//! a true number of the moment before wrong.

use crate::reading::{Device, Power, Quantity, SafeText};

/// The largest limit that is believed. The largest boards of 2025 have limits of 1.2 to 1.4 kW.
pub(super) const MAX_LIMIT: Power = Power::from_watts(5000);

/// The most that a superchip's module is believed to draw: some boards and their processors.
pub(super) const MAX_MODULE: Power = Power::from_watts(20_000);

/// The most that a board without load in P8 or slower is believed to draw. Resting boards draw 5 to 60 W.
const MAX_ASLEEP: Power = Power::from_watts(200);

/// The first of the resting performance states.
const FIRST_RESTING_STATE: u8 = 8;

/// Boards within other boards, by what their names hold, in lower case. Their makers' largest powers are 175 W
/// with 25 W of boost for laptops, 140 W for a GB10 and 130 W for a Jetson.
const SMALL_BOARDS: &[&str] =
    &["laptop", "max-q", "mobile", "geforce mx", "gb10", "orin", "thor", "xavier", "tegra"];

/// The largest power of [`SMALL_BOARDS`].
const MAX_SMALL: Power = Power::from_watts(200);

/// The largest power of any board with at most this much memory in GiB: GeForce, workstation and data centre
/// boards up to 2025, rounded up (16: RTX 4080, V100; 32: RTX 5090; 96: GH200, RTX PRO 6000).
const BY_MEMORY: &[(u64, Power)] = &[
    (8, Power::from_watts(300)),
    (16, Power::from_watts(450)),
    (32, Power::from_watts(700)),
    (96, Power::from_watts(1000)),
    (512, Power::from_watts(2000)),
];

/// The largest power of a board of which nothing is known.
const MAX_UNKNOWN: Power = Power::from_watts(2500);

/// The quantities that say how much a board may draw.
pub(super) const LIMITING: [Quantity; 5] = [
    Quantity::PowerLimitMax,
    Quantity::PowerLimitRequested,
    Quantity::PowerLimitEnforced,
    Quantity::PerformanceState,
    Quantity::Utilization,
];

/// Whether a board rests: without load, in a slow performance state.
pub(super) fn rests(gpu: &Device) -> bool {
    let state = gpu.typed::<SafeText>(Quantity::PerformanceState).ok();
    let state = state.and_then(|state| state.as_str().strip_prefix('P')?.parse::<u8>().ok());
    let is_idle = gpu.utilization().is_ok_and(|share| share.millipercent() == 0);
    is_idle && state.is_some_and(|state| state >= FIRST_RESTING_STATE)
}

/// The largest power of a board of this name and memory.
pub(super) fn class_maximum(gpu: &Device) -> Power {
    let name = gpu.model().map(|model| model.as_str().to_ascii_lowercase()).unwrap_or_default();
    if SMALL_BOARDS.iter().any(|word| name.contains(word)) {
        return MAX_SMALL;
    }
    let Ok(memory) = gpu.memory_total() else { return MAX_UNKNOWN };
    let gibibytes = memory.mebibytes().div_ceil(1024);
    BY_MEMORY.iter().find(|(most, _)| gibibytes <= *most).map_or(MAX_UNKNOWN, |(_, maximum)| *maximum)
}

/// The most that this board is believed to draw.
pub(super) fn ceiling(gpu: &Device) -> Power {
    ceiling_in_class(gpu, class_maximum(gpu))
}

/// The most that a board of this class is believed to draw by its [`LIMITING`] quantities: twice its largest limit,
/// since a sensor may see peaks above it. Only where the board tells none, its class counts.
pub(super) fn ceiling_in_class(gpu: &Device, class: Power) -> Power {
    if rests(gpu) {
        return MAX_ASLEEP;
    }
    let limit = |quantity| gpu.typed::<Power>(quantity).ok().copied();
    let set = limit(Quantity::PowerLimitRequested).max(limit(Quantity::PowerLimitEnforced));
    // A limit of zero says nothing about a board that runs.
    let board = limit(Quantity::PowerLimitMax).filter(|limit| limit.milliwatts() > 0).unwrap_or(class);
    let largest = set.map_or(board, |set| set.max(board));
    Power::from_milliwatts(largest.milliwatts().saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Absent, DeviceKind, Memory, Reason, Share};

    fn gpu(name: &str, gibibytes: u64) -> Device {
        Device::all_absent(DeviceKind::Gpu, &Absent::new(Reason::NotSupported, "[N/A]"))
            .with(Quantity::Model, SafeText::new(name))
            .with(Quantity::MemoryTotal, Memory::from_mebibytes(gibibytes * 1024))
    }

    fn watts(gpu: &Device) -> i64 {
        ceiling(gpu).milliwatts() / 1000
    }

    #[test]
    fn the_boards_own_maximum_counts_and_not_the_cap_in_force() {
        let mut gpu = gpu("NVIDIA H100 80GB HBM3", 80);
        gpu.set(Quantity::PowerLimitMax, Ok(Power::from_watts(700).into()));
        gpu.set(Quantity::PowerLimitRequested, Ok(Power::from_watts(200).into()));
        gpu.set(Quantity::PowerLimitEnforced, Ok(Power::from_watts(200).into()));
        assert_eq!(watts(&gpu), 1400);
    }

    #[test]
    fn a_board_that_tells_no_maximum_has_that_of_its_class() {
        assert_eq!(watts(&gpu("NVIDIA GeForce RTX 4090 Laptop GPU", 24)), 400);
        assert_eq!(watts(&gpu("NVIDIA GeForce RTX 4090", 24)), 1400);
        assert_eq!(watts(&gpu("NVIDIA GB10", 120)), 400);
        assert_eq!(watts(&gpu("NVIDIA B200", 180)), 4000);
        let mut capped = gpu("NVIDIA H100 80GB HBM3", 80);
        capped.set(Quantity::PowerLimitRequested, Ok(Power::from_watts(200).into()));
        assert_eq!(watts(&capped), 2000);
        assert_eq!(watts(&gpu("NVIDIA Later Board", 1000)), 5000);
    }

    #[test]
    fn a_limit_of_zero_says_nothing() {
        let mut gpu = gpu("NVIDIA L4", 24);
        gpu.set(Quantity::PowerLimitMax, Ok(Power::from_watts(0).into()));
        gpu.set(Quantity::PowerLimitEnforced, Ok(Power::from_watts(0).into()));
        assert_eq!(watts(&gpu), 1400);
    }

    #[test]
    fn a_resting_board_draws_little_whatever_its_limits_are() {
        let mut gpu = gpu("NVIDIA H100 80GB HBM3", 80);
        gpu.set(Quantity::PowerLimitMax, Ok(Power::from_watts(700).into()));
        gpu.set(Quantity::Utilization, Ok(Share::from_millipercent(0).into()));
        gpu.set(Quantity::PerformanceState, Ok(SafeText::new("P8").into()));
        assert_eq!(watts(&gpu), 200);
        for (state, utilization) in [("P0", 0), ("P8", 1000)] {
            gpu.set(Quantity::PerformanceState, Ok(SafeText::new(state).into()));
            gpu.set(Quantity::Utilization, Ok(Share::from_millipercent(utilization).into()));
            assert_eq!(watts(&gpu), 1400, "{state} {utilization}");
        }
    }
}
