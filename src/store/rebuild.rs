//! Computes a ledger again from its timeline, and says what differs.
//!
//! Constraints:
//! - Nobody adds to the ledger meanwhile: a file is locked for writing, and in a server the table of energies. Batches
//!   that come wait in the spool, and go on from the last readings, which are in the timeline.
//! - What does not follow from the timeline stays: quarters from before its first row, and days that were rolled up.
//! - A dry run does the same in a transaction that writes nothing.

use std::ops::Range;

use super::counts::from_database;
use super::derivation::DerivationRules;
use super::ledger_types::{ENERGY_COLUMNS, SUMS};
use crate::reading::{Quarter, Timestamp};

/// A day has at most so many quarters.
const MOST_QUARTERS_A_DAY: i64 = 100;

/// The most differences that are told.
const MAX_DIFFERENCES: usize = 20;

/// The part of a ledger that is to be computed again.
#[derive(Debug, Clone, Copy)]
pub struct RebuildRequest {
    /// Only quarters that begin at or after this.
    pub from: Option<Timestamp>,
    /// Only quarters that end at or before this.
    pub to: Option<Timestamp>,
    /// Whether to say only what differs.
    pub dry_run: bool,
    /// The rules of the ledger.
    pub rules: DerivationRules,
}

/// A ledger that was computed again, or what would come of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RebuildReport {
    /// The quarters; `None` where no quarter follows from the timeline.
    pub quarters: Option<Range<Quarter>>,
    /// Why earlier quarters of the ledger stay as they are, if there are any.
    pub kept: Option<KeptQuarters>,
    /// The ledger before.
    pub before: LedgerTotals,
    /// The ledger after.
    pub after: LedgerTotals,
    /// Number of rows that only one of them has, or that differ: in energy by more than a millijoule, or in covered time
    /// or samples at all. Other figures are not compared.
    pub n_different: u64,
    /// The largest differences by series and day.
    pub differences: Vec<Difference>,
}

/// Why quarters before those that were computed stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptQuarters {
    /// The timeline begins later.
    BeforeTimeline,
    /// They were rolled up to days.
    RolledUp,
}

/// The sums of some quarters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerTotals {
    /// Number of rows.
    pub rows: u64,
    /// The energy of their GPUs in millijoules.
    pub energy_mj: i64,
    /// The energies of the flows of stations, in millijoules.
    pub flows_mj: i64,
}

/// A series that differs on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The name of the series.
    pub series: String,
    /// The beginning of the day, in UTC.
    pub day: Timestamp,
    /// Its energy before, in millijoules.
    pub before_mj: i64,
    /// Its energy after.
    pub after_mj: i64,
    /// Number of rows that differ.
    pub rows: u64,
}

/// The quarters that are computed again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Plan {
    pub(super) quarters: Option<Range<Quarter>>,
    pub(super) kept: Option<KeptQuarters>,
}

/// The facts from which the plan follows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PlanFacts {
    /// The times of the timeline's first and last reading; facts of boards may be older, since others may keep them longer.
    pub(super) timeline: Option<(Timestamp, Timestamp)>,
    /// The first quarter of the ledger.
    pub(super) first: Option<Quarter>,
    /// The first quarter of the last day that was rolled up.
    pub(super) last_day: Option<Quarter>,
}

impl Plan {
    pub(super) fn of(request: &RebuildRequest, facts: &PlanFacts) -> Self {
        let Some((first_row, last_row)) = facts.timeline else { return Self::default() };
        let (mut start, mut kept) = (Quarter::at(first_row), None);
        if facts.first.is_some_and(|first| first < start) {
            // Earlier rows were removed from the timeline, and with them the facts of boards, which a slim one has once a day.
            (start, kept) = (start.plus(MOST_QUARTERS_A_DAY), Some(KeptQuarters::BeforeTimeline));
        }
        if let Some(after) =
            facts.last_day.map(|day| day.plus(MOST_QUARTERS_A_DAY)).filter(|after| *after > start)
        {
            (start, kept) = (after, Some(KeptQuarters::RolledUp));
        }
        if let Some(from) = request.from.map(first_at_or_after).filter(|from| *from >= start) {
            (start, kept) = (from, None);
        }
        let end = Quarter::at(last_row).next();
        let end = request.to.map_or(end, |to| end.min(Quarter::at(to)));
        Self { quarters: (start < end).then_some(start..end), kept }
    }
}

fn first_at_or_after(time: Timestamp) -> Quarter {
    let quarter = Quarter::at(time);
    if quarter.start() == time { quarter } else { quarter.next() }
}

/// The SQL that SQLite and PostgreSQL share. The rows that were computed are in a table of the session, with the numbers
/// of [`crate::ledger::Rebuild`]; their numbers in the ledger are found by name.
pub(super) struct RebuildSql {
    /// Before the names of the ledger's tables: `fleetwatt_` or `fleetwatt.`.
    pub(super) prefix: &'static str,
    /// A quarter's day, counted in UTC from 1970.
    pub(super) day: &'static str,
    /// The condition on `quarter`.
    pub(super) in_range: String,
}

impl RebuildSql {
    /// Number of rows and the energies of GPUs and of stations' flows, before and after.
    pub(super) fn totals(&self) -> String {
        let Self { prefix, in_range, .. } = self;
        let sums = |rows: &str, stations: &str| {
            let sum = |which: &str| {
                format!(
                    "(SELECT CAST(coalesce(sum(energy_mj), 0) AS bigint) FROM {rows} AND series {which} ({stations}))"
                )
            };
            format!("(SELECT count(*) FROM {rows}), {}, {}", sum("NOT IN"), sum("IN"))
        };
        let before = sums(
            &format!("{prefix}energy WHERE {in_range}"),
            &format!("SELECT id FROM {prefix}series WHERE key LIKE 'station:%'"),
        );
        let after = sums("rebuilt WHERE true", "SELECT own FROM rebuilt_series WHERE key LIKE 'station:%'");
        format!("SELECT {before}, {after}")
    }

    /// The series and days that differ: name, day, energies before and after, differing rows, and those of all.
    pub(super) fn differences(&self) -> String {
        let Self { prefix, day, in_range } = self;
        let computed = self.computed("LEFT JOIN", "r.quarter, 0, r.energy_mj, -r.covered_ms, -r.samples");
        format!(
            "SELECT n.key, d.day, CAST(d.before AS bigint), CAST(d.after AS bigint), CAST(d.n_rows AS bigint), \
             CAST(sum(d.n_rows) OVER () AS bigint) FROM (\
             SELECT series, {day} AS day, sum(before) AS before, sum(after) AS after, sum(differs) AS n_rows FROM (\
             SELECT series, node, quarter, sum(before) AS before, sum(after) AS after, \
             CASE WHEN abs(sum(before) - sum(after)) > 1 OR sum(covered) <> 0 OR sum(samples) <> 0 THEN 1 ELSE 0 END AS differs \
             FROM (SELECT series, node, quarter, energy_mj AS before, 0 AS after, covered_ms AS covered, samples AS samples \
             FROM {prefix}energy WHERE {in_range} UNION ALL {computed}) AS u GROUP BY series, node, quarter) AS r \
             GROUP BY 1, 2 HAVING sum(differs) > 0) AS d \
             JOIN (SELECT id, key FROM {prefix}series UNION ALL SELECT -own, key FROM rebuilt_series AS m \
             WHERE NOT EXISTS (SELECT 1 FROM {prefix}series AS s WHERE s.key = m.key)) AS n ON n.id = d.series \
             ORDER BY abs(d.after - d.before) DESC, n.key, d.day LIMIT {MAX_DIFFERENCES}"
        )
    }

    /// Gives names that are new their numbers, and replaces the rows: the last statement adds as many as there are.
    pub(super) fn replace(&self) -> [String; 5] {
        let Self { prefix, in_range, .. } = self;
        let columns = "r.quarter, r.energy_mj, r.covered_ms, r.samples, r.min_mw, r.max_mw, r.variance_mj2, r.busy_ms, r.method";
        [
            format!(
                "INSERT INTO {prefix}series (key, model) SELECT m.key, m.model FROM rebuilt_series AS m \
                 WHERE NOT EXISTS (SELECT 1 FROM {prefix}series AS s WHERE s.key = m.key) ORDER BY m.own"
            ),
            format!(
                "UPDATE {prefix}series SET model = (SELECT m.model FROM rebuilt_series AS m \
                 WHERE m.key = {prefix}series.key) WHERE model = '' AND EXISTS (SELECT 1 FROM rebuilt_series AS m \
                 WHERE m.key = {prefix}series.key AND m.model <> '')"
            ),
            format!(
                "INSERT INTO {prefix}node (name) SELECT m.name FROM rebuilt_node AS m \
                 WHERE NOT EXISTS (SELECT 1 FROM {prefix}node AS n WHERE n.name = m.name) ORDER BY m.own"
            ),
            format!("DELETE FROM {prefix}energy WHERE {in_range}"),
            format!(
                "INSERT INTO {prefix}energy (series, node, quarter, {SUMS}) {}",
                self.computed("JOIN", columns)
            ),
        ]
    }

    /// The rows that were computed with the numbers of the ledger; by a `LEFT JOIN`, those of new names are negative.
    fn computed(&self, join: &str, columns: &str) -> String {
        let prefix = self.prefix;
        format!(
            "SELECT coalesce(s.id, -r.series), coalesce(n.id, -r.node), {columns} FROM rebuilt AS r \
             JOIN rebuilt_series AS ms ON ms.own = r.series JOIN rebuilt_node AS mn ON mn.own = r.node \
             {join} {prefix}series AS s ON s.key = ms.key {join} {prefix}node AS n ON n.name = mn.name"
        )
    }
}

/// A row of [`RebuildSql::differences`].
pub(super) type DifferenceRow = (String, i64, i64, i64, i64, i64);

/// A row of [`RebuildSql::totals`].
pub(super) type TotalsRow = (i64, i64, i64, i64, i64, i64);

impl RebuildReport {
    /// Nothing follows from the timeline.
    pub(super) fn empty(plan: Plan) -> Self {
        Self::new(plan, TotalsRow::default(), Vec::new())
    }

    pub(super) fn new(plan: Plan, totals: TotalsRow, differences: Vec<DifferenceRow>) -> Self {
        let difference = |(series, day, before_mj, after_mj, rows, _): DifferenceRow| Difference {
            series,
            day: Timestamp::from_micros(day.saturating_mul(86_400_000_000)),
            before_mj,
            after_mj,
            rows: from_database(rows),
        };
        Self {
            quarters: plan.quarters,
            kept: plan.kept,
            before: LedgerTotals { rows: from_database(totals.0), energy_mj: totals.1, flows_mj: totals.2 },
            after: LedgerTotals { rows: from_database(totals.3), energy_mj: totals.4, flows_mj: totals.5 },
            n_different: differences.first().map_or(0, |row| from_database(row.5)),
            differences: differences.into_iter().map(difference).collect(),
        }
    }
}

/// The statements that create the tables of the session. `time` is the type of `quarter`, and `end` what follows.
pub(super) fn tables_of_session(time: &str, end: &str) -> [String; 3] {
    [
        format!(
            "CREATE TEMP TABLE rebuilt (series bigint NOT NULL, node bigint NOT NULL, quarter {time} NOT NULL, \
             {ENERGY_COLUMNS}, PRIMARY KEY (series, quarter, node)){end}"
        ),
        format!(
            "CREATE TEMP TABLE rebuilt_series (own bigint PRIMARY KEY, key text NOT NULL, model text NOT NULL){end}"
        ),
        format!("CREATE TEMP TABLE rebuilt_node (own bigint PRIMARY KEY, name text NOT NULL){end}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: RebuildRequest = RebuildRequest {
        from: None,
        to: None,
        dry_run: false,
        rules: DerivationRules { figures: &[], max_gap: None },
    };

    fn at(quarter: i64, micros: i64) -> Timestamp {
        Timestamp::from_micros(quarter * Quarter::MICROS + micros)
    }

    fn quarter(number: i64) -> Quarter {
        Quarter::at(at(number, 0))
    }

    fn facts(first: Option<i64>, last_day: Option<i64>) -> PlanFacts {
        PlanFacts {
            timeline: Some((at(200, 7), at(900, 7))),
            first: first.map(quarter),
            last_day: last_day.map(quarter),
        }
    }

    #[test]
    fn a_ledger_that_is_empty_or_begins_later_is_computed_from_the_first_row_on() {
        let whole = Plan { quarters: Some(quarter(200)..quarter(901)), kept: None };
        assert_eq!(Plan::of(&REQUEST, &facts(None, None)), whole);
        assert_eq!(Plan::of(&REQUEST, &facts(Some(200), None)), whole);
    }

    #[test]
    fn of_a_timeline_whose_beginning_was_removed_the_first_day_stays_too() {
        let plan = Plan::of(&REQUEST, &facts(Some(150), None));
        let kept = Some(KeptQuarters::BeforeTimeline);
        assert_eq!(plan, Plan { quarters: Some(quarter(300)..quarter(901)), kept });
    }

    #[test]
    fn days_that_were_rolled_up_stay_with_all_their_hours() {
        let plan = Plan::of(&REQUEST, &facts(Some(150), Some(310)));
        let kept = Some(KeptQuarters::RolledUp);
        assert_eq!(plan, Plan { quarters: Some(quarter(410)..quarter(901)), kept });
    }

    #[test]
    fn of_a_range_only_whole_quarters_are_computed() {
        let request = RebuildRequest { from: Some(at(500, 1)), to: Some(at(510, 1)), ..REQUEST };
        let plan = Plan::of(&request, &facts(Some(150), None));
        assert_eq!(plan, Plan { quarters: Some(quarter(501)..quarter(510)), kept: None });
        let narrow = RebuildRequest { from: Some(at(500, 1)), to: Some(at(501, 1)), ..REQUEST };
        assert_eq!(Plan::of(&narrow, &facts(None, None)).quarters, None);
    }
}
