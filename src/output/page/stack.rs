//! Stacked areas as paths of steps: each cumulative sum is one path from zero, to be painted the highest first.
//!
//! A mean of a time is a step (`h`, `v`), never a slope. A member without a value has no height; where no member has one, the
//! path is cut, with vertical edges.

/// The most columns of the far level.
const MAX_FAR_COLUMNS: usize = 760;

/// The most units that the plot is high.
const MAX_UNITS: i64 = 4_000;

/// Watts by member and column.
pub(super) type Watts = Vec<Vec<Option<i64>>>;

/// The plot's height: whole units of so many watts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Height {
    /// Watts of a unit.
    pub(super) unit: i64,
    /// Units from zero to the top.
    pub(super) units: i64,
}

impl Height {
    /// Of a plot that ends at `top` watts.
    pub(super) fn new(top: i64) -> Self {
        let top = top.max(1);
        let unit = divided_up(top, MAX_UNITS);
        Self { unit, units: divided_up(top, unit) }
    }

    fn rounded(self, watts: i64) -> i64 {
        watts.saturating_add(self.unit / 2) / self.unit
    }
}

fn divided_up(value: i64, by: i64) -> i64 {
    value / by + i64::from(value % by != 0)
}

/// The cumulative sums: of the first member, of the first two, and so on. `None` where none of them has a value.
pub(super) fn cumulative(members: &[&[Option<i64>]]) -> Watts {
    let mut sums: Watts = vec![];
    for member in members {
        let sum = match sums.last() {
            None => member.to_vec(),
            Some(below) => below.iter().zip(*member).map(|(below, own)| added(*below, *own)).collect(),
        };
        sums.push(sum);
    }
    sums
}

fn added(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

/// Columns that are one of the far level, so that there are at most [`MAX_FAR_COLUMNS`]; 1 if they fit as they are.
pub(super) fn columns_of_a_far_one(n_columns: usize) -> usize {
    n_columns.div_ceil(MAX_FAR_COLUMNS).max(1)
}

/// Means of each `n` columns, so that the area stays the energy: what is not measured adds nothing.
pub(super) fn means(columns: &[Option<i64>], n: usize) -> Vec<Option<i64>> {
    let mean = |chunk: &[Option<i64>]| {
        let sum = chunk.iter().flatten().copied().reduce(i64::saturating_add)?;
        let n = i64::try_from(chunk.len()).unwrap_or(i64::MAX);
        Some(sum.saturating_add(n / 2) / n)
    };
    columns.chunks(n).map(mean).collect()
}

/// The highest of each `n` columns.
pub(super) fn highest(columns: &[Option<i64>], n: usize) -> Vec<Option<i64>> {
    columns.chunks(n).map(|chunk| chunk.iter().flatten().max().copied()).collect()
}

/// A filled path of steps above the plot's bottom.
pub(super) fn area(columns: &[Option<i64>], height: Height) -> String {
    let bottom = height.units;
    let start = |x: usize, y: i64| format!("M{x} {bottom}V{y}");
    steps(columns, height, start, &format!("V{bottom}"))
}

/// A line of steps.
pub(super) fn line(columns: &[Option<i64>], height: Height) -> String {
    steps(columns, height, |x, y| format!("M{x} {y}"), "")
}

fn steps(columns: &[Option<i64>], height: Height, start: impl Fn(usize, i64) -> String, end: &str) -> String {
    let y_of = |watts: i64| height.units - height.rounded(watts);
    let mut path = String::new();
    // The height so far, and for how many columns it has been so.
    let mut level: Option<(i64, usize)> = None;
    for (x, column) in columns.iter().map(|column| column.map(y_of)).enumerate() {
        level = match (level, column) {
            (None, None) => None,
            (None, Some(y)) => {
                path.push_str(&start(x, y));
                Some((y, 1))
            }
            (Some((_, width)), None) => {
                path.push_str(&format!("h{width}{end}"));
                None
            }
            (Some((y, width)), Some(next)) if next == y => Some((y, width + 1)),
            (Some((y, width)), Some(next)) => {
                path.push_str(&format!("h{width}v{}", next - y));
                Some((next, 1))
            }
        };
    }
    if let Some((_, width)) = level {
        path.push_str(&format!("h{width}{end}"));
    }
    path
}

/// Runs of columns for which `value` is the same and something: first column, number of columns, value.
pub(super) fn runs<T: Copy, V: PartialEq + Copy>(
    columns: &[T],
    value: impl Fn(T) -> Option<V>,
) -> Vec<(usize, usize, V)> {
    let mut runs: Vec<(usize, usize, V)> = vec![];
    for (x, found) in columns.iter().map(|column| value(*column)).enumerate() {
        let Some(found) = found else { continue };
        match runs.last_mut() {
            Some((first, n, last)) if *first + *n == x && *last == found => *n += 1,
            _ => runs.push((x, 1, found)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLOT: Height = Height { unit: 10, units: 100 };

    #[test]
    fn equal_columns_are_one_step_and_a_hole_has_vertical_edges() {
        let columns = [Some(100), Some(100), Some(250), None, Some(0), Some(1000)];
        assert_eq!(area(&columns, PLOT), "M0 100V90h2v-15h1V100M4 100V100h1v-100h1V100");
        assert_eq!(line(&columns, PLOT), "M0 90h2v-15h1M4 100h1v-100h1");
        assert_eq!(area(&[None, None], PLOT), "");
    }

    #[test]
    fn a_missing_member_has_no_height_and_all_missing_is_missing() {
        let (one, other) = ([Some(1), None, None], [Some(2), Some(5), None]);
        assert_eq!(cumulative(&[&one, &other]), [vec![Some(1), None, None], vec![Some(3), Some(5), None]]);
    }

    #[test]
    fn a_far_column_is_the_mean_over_all_its_time() {
        assert_eq!(columns_of_a_far_one(760), 1);
        assert_eq!(columns_of_a_far_one(2880), 4);
        assert_eq!(means(&[Some(100), None, Some(50), None, None], 3), [Some(50), None]);
        assert_eq!(highest(&[Some(100), None, Some(50), None, None], 3), [Some(100), None]);
    }

    #[test]
    fn the_height_has_at_most_four_thousand_units() {
        assert_eq!(Height::new(50_000), Height { unit: 13, units: 3847 });
        assert_eq!(Height::new(100), Height { unit: 1, units: 100 });
    }

    #[test]
    fn runs_are_of_equal_neighbours() {
        let found = runs(&[0, 1, 1, 2, 0, 2], |value| (value > 0).then_some(value));
        assert_eq!(found, [(1, 2, 1), (3, 1, 2), (5, 1, 2)]);
    }

    /// The area under a path, in units times columns.
    fn measured_area(path: &str) -> i64 {
        let mut area = 0;
        let mut y = PLOT.units;
        let commands: Vec<(char, &str)> = path
            .char_indices()
            .filter(|(_, c)| c.is_ascii_alphabetic())
            .map(|(at, c)| {
                (c, path.get(at + 1..).unwrap().split(|c: char| c.is_ascii_alphabetic()).next().unwrap())
            })
            .collect();
        for (command, argument) in commands {
            match command {
                'M' => y = argument.split(' ').nth(1).unwrap().parse().unwrap(),
                'V' => y = argument.parse().unwrap(),
                'v' => y += argument.parse::<i64>().unwrap(),
                'h' => area += (PLOT.units - y) * argument.parse::<i64>().unwrap(),
                other => panic!("{other} is not a step"),
            }
        }
        area
    }

    proptest! {
        #[test]
        fn the_area_of_a_path_is_the_sum_of_its_columns(
            columns in prop::collection::vec(prop::option::weighted(0.8, 0..=100_i64), 0..60),
        ) {
            let watts: Vec<Option<i64>> = columns.iter().map(|units| units.map(|units| units * PLOT.unit)).collect();
            prop_assert_eq!(measured_area(&area(&watts, PLOT)), columns.iter().flatten().sum::<i64>());
        }
    }
}
