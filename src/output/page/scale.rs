//! Axes: round steps from zero, and places in per cent.

/// The most steps of an axis above zero.
const MAX_STEPS: f64 = 5.0;

/// The most steps of an axis above and below zero together, about.
const MAX_STEPS_OF_BOTH: f64 = 7.0;

/// Steps of an axis times a power of ten.
const STEPS: [f64; 4] = [1.0, 2.0, 2.5, 5.0];

/// The most decimals of a label.
const MAX_DECIMALS: usize = 4;

/// An axis of values, from zero or from a round number below it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    /// The lowest value: zero or less.
    pub(super) bottom: f64,
    /// The highest value: more than the lowest.
    pub(super) top: f64,
    /// The distance of two ticks.
    step: f64,
}

impl Scale {
    /// An axis on which both values are. One of the two may be zero.
    pub(super) fn new(lowest: f64, highest: f64) -> Self {
        let both = (highest.max(0.0) - lowest.min(0.0)) * MAX_STEPS / MAX_STEPS_OF_BOTH;
        let step = step(both.max(highest).max(-lowest));
        let (bottom, top) =
            (step * (lowest.min(0.0) / step).floor(), step * (highest.max(0.0) / step).ceil());
        Self { bottom, top: if top > bottom { top } else { bottom + step }, step }
    }

    /// An axis of whole watts from zero; its end is whole too.
    pub(super) fn of_watts(highest: i64) -> (Self, i64) {
        let mut power = 1;
        let step = loop {
            let fits = |step: &i64| step.saturating_mul(5) >= highest;
            if let Some(step) =
                [10, 20, 25, 50].map(|step: i64| step.saturating_mul(power)).into_iter().find(fits)
            {
                break step;
            }
            power = power.saturating_mul(10);
        };
        let mut top = step;
        while top < highest {
            top = top.saturating_add(step);
        }
        (Self { bottom: 0.0, top: float(top), step: float(step) }, top)
    }

    /// The values of the ticks, the lowest first.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let mut ticks = vec![];
        let mut tick = self.bottom;
        while tick <= self.top + self.step / 2.0 {
            // Zero itself, and no remainder of steps that are not exact.
            ticks.push(if tick.abs() < self.step / 2.0 { 0.0 } else { tick });
            tick += self.step;
        }
        ticks
    }

    /// The decimals that the ticks need, in a unit that is so many of theirs.
    pub(super) fn decimals(&self, unit: f64) -> usize {
        let is_exact = |decimals: &usize| {
            let shown: f64 = format!("{:.decimals$}", self.step / unit).parse().unwrap_or_default();
            (shown - self.step / unit).abs() < 1e-9 * self.step.max(1.0)
        };
        (0..MAX_DECIMALS).find(is_exact).unwrap_or(MAX_DECIMALS)
    }

    /// The place of a value above the axis' lowest, in per cent of its length.
    pub(super) fn percent(&self, value: f64) -> f64 {
        (value - self.bottom) / (self.top - self.bottom) * 100.0
    }

    /// The length of a value in per cent of the axis.
    pub(super) fn length(&self, value: f64) -> f64 {
        value / (self.top - self.bottom) * 100.0
    }
}

/// The smallest step with which so much needs no more than [`MAX_STEPS`].
fn step(extent: f64) -> f64 {
    let mut power = 1e-6;
    while extent.is_finite() {
        let fits = |step: &f64| step * MAX_STEPS >= extent * (1.0 - 1e-9);
        if let Some(step) = STEPS.map(|step| step * power).into_iter().find(fits) {
            return step;
        }
        power *= 10.0;
    }
    1.0
}

/// A number of watts or columns as a float.
#[allow(clippy::cast_precision_loss, reason = "2^53 watts are more than any fleet draws")]
pub(super) const fn float(value: i64) -> f64 {
    value as f64
}

/// A number of things as a float.
pub(super) fn float_count(n: usize) -> f64 {
    float(i64::try_from(n).unwrap_or(i64::MAX))
}

/// A place in per cent as CSS has it, without the sign: `40.083`, `0`.
pub(super) fn css_percent(percent: f64) -> String {
    let text = format!("{percent:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// The left edge of a mark that is centred on a place and kept inside by so many pixels.
pub(super) fn css_left(percent: f64, pixels: u8) -> String {
    format!("left:clamp({pixels}px,{}%,calc(100% - {pixels}px))", css_percent(percent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_at_most_five_round_steps() {
        let ticks = |highest| Scale::new(0.0, highest).ticks();
        assert_eq!(ticks(40.6), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
        assert_eq!(ticks(732.0), [0.0, 200.0, 400.0, 600.0, 800.0]);
        assert_eq!(ticks(12.5), [0.0, 2.5, 5.0, 7.5, 10.0, 12.5]);
        assert_eq!(ticks(0.0).len(), 2);
    }

    #[test]
    fn an_axis_of_both_signs_has_zero_among_its_ticks() {
        let scale = Scale::new(-4.9, 21.3);
        assert_eq!(scale.ticks(), [-5.0, 0.0, 5.0, 10.0, 15.0, 20.0, 25.0]);
        assert!((scale.percent(0.0) - 100.0 / 6.0).abs() < 1e-9);
        // As high as it is deep: steps of 0.05 would be ten.
        assert_eq!(Scale::new(-0.24, 0.24).ticks().len(), 7);
    }

    #[test]
    fn watts_have_an_axis_of_whole_watts() {
        assert_eq!(Scale::of_watts(40_600).1, 50_000);
        assert_eq!(Scale::of_watts(0).1, 10);
        assert_eq!(Scale::of_watts(124).1, 125);
        assert_eq!(Scale::of_watts(i64::MAX).0.ticks().len(), 6);
    }

    #[test]
    fn labels_have_the_decimals_that_tell_them_apart() {
        assert_eq!(Scale::of_watts(1_200).0.decimals(1000.0), 2);
        assert_eq!(Scale::new(0.0, 1.3).decimals(1.0), 1);
        assert_eq!(Scale::new(0.0, 400.0).decimals(1.0), 0);
    }

    #[test]
    fn percents_of_css_have_no_needless_zeros() {
        assert_eq!([0.0, -0.0001, 40.083_33, 100.0].map(css_percent), ["0", "0", "40.083", "100"]);
    }
}
