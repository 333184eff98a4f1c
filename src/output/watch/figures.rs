//! The figures of some GPUs together, and how a figure is written in a cell.

use super::document::Gpu;
use crate::output::figures::{NBSP, number};

/// Sums and means of what was measured; nothing where nothing was.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) n_reporting: usize,
    pub(super) power: Option<f64>,
    /// Of those that draw a known power.
    pub(super) limit: Option<f64>,
    /// The draw over the limit, of those that have both.
    pub(super) share: Option<f64>,
    /// The highest.
    pub(super) temperature: Option<f64>,
    /// The mean, in percent.
    pub(super) utilization: Option<f64>,
    /// Used and there, in MiB.
    pub(super) memory: Option<(f64, f64)>,
}

impl Figures {
    pub(super) fn of<'a>(gpus: impl Iterator<Item = &'a Gpu> + Clone) -> Self {
        let power = gpus.clone().filter_map(|gpu| gpu.power_w);
        let limited = gpus.clone().filter_map(|gpu| gpu.power_w.zip(gpu.power_limit_w));
        let limited = sum2(limited);
        let memory = sum2(gpus.clone().filter_map(|gpu| gpu.memory_used_mb.zip(gpu.memory_total_mb)));
        let ones = gpus.clone().filter_map(|gpu| gpu.utilization_pct).map(|percent| (percent, 1.0));
        Self {
            n_reporting: power.clone().count(),
            power: power.reduce(|sum, watts| sum + watts),
            limit: limited.map(|(_, limit)| limit),
            share: limited.filter(|(_, limit)| *limit > 0.0).map(|(power, limit)| power / limit),
            temperature: gpus.filter_map(|gpu| gpu.temperature_c).reduce(f64::max),
            utilization: sum2(ones).map(|(sum, n)| sum / n),
            memory,
        }
    }
}

fn sum2(pairs: impl Iterator<Item = (f64, f64)>) -> Option<(f64, f64)> {
    pairs.reduce(|(a, b), (c, d)| (a + c, b + d))
}

/// A power in three digits: `14 W`, `5.24 kW`, `30.4 kW`, `3.42 MW`.
pub(super) fn power(watts: f64) -> String {
    let (value, unit) = match watts.abs() {
        size if size < 999.5 => return format!("{}{NBSP}W", number(watts, 0)),
        size if size < 999_500.0 => (watts / 1e3, "kW"),
        _ => (watts / 1e6, "MW"),
    };
    let decimals = match value.abs() {
        size if size < 9.995 => 2,
        size if size < 99.95 => 1,
        _ => 0,
    };
    format!("{}{NBSP}{unit}", number(value, decimals))
}

/// Memory that was given in MiB: `592/640 GiB`, `3.1/7.7 TiB`.
pub(super) fn memory((used, total): (f64, f64)) -> String {
    if total >= 1024.0 * 1000.0 {
        let tebi = 1024.0 * 1024.0;
        let decimals = usize::from(total < 10.0 * tebi);
        return format!("{}/{}{NBSP}TiB", number(used / tebi, decimals), number(total / tebi, decimals));
    }
    format!("{}/{}{NBSP}GiB", number(used / 1024.0, 0), number(total / 1024.0, 0))
}

/// A length of time in its largest unit: `21 s`, `25 min`, `5 h`, `3 days`.
pub(super) fn age(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds}{NBSP}s"),
        120..7_200 => format!("{}{NBSP}min", seconds / 60),
        7_200..172_800 => format!("{}{NBSP}h", seconds / 3_600),
        _ => format!("{}{NBSP}days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_fit_their_columns() {
        let powers = [0.0, 14.4, 999.4, 999.6, 5_240.0, 9_996.0, 30_400.0, 425_300.0, 999_600.0, 3_420_000.0];
        assert_eq!(
            powers.map(|watts| power(watts).replace(NBSP, " ")),
            [
                "0 W", "14 W", "999 W", "1.00 kW", "5.24 kW", "10.0 kW", "30.4 kW", "425 kW", "1.00 MW",
                "3.42 MW"
            ]
        );
        let memories = [(876.0, 24_576.0), (606_208.0, 655_360.0), (2e6, 5e6), (5e8, 6e8)];
        assert_eq!(
            memories.map(|pair| memory(pair).replace(NBSP, " ")),
            ["1/24 GiB", "592/640 GiB", "1.9/4.8 TiB", "477/572 TiB"]
        );
        let ages = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(std::time::Duration::from_secs);
        assert_eq!(
            ages.map(|time| age(time).replace(NBSP, " ")),
            ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days"]
        );
    }
}
