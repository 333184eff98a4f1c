//! A timeline's table as far as reading needs to know it.

use super::table_schema::TableSchema;
use super::time::time;

/// A table that may be another's, as far as reading needs to know it.
#[derive(Debug)]
pub(super) struct ReadableTable {
    /// As SQL.
    pub(super) name: String,
    pub(super) may_select: bool,
    /// The type of `created_at`: without a zone it holds UTC.
    time_type: &'static str,
}

impl ReadableTable {
    pub(super) fn of(found: &TableSchema) -> Self {
        let is_zoned = found
            .columns
            .iter()
            .any(|column| column.name == "created_at" && column.base_type == "timestamptz");
        Self {
            name: found.sql_name(),
            may_select: found.may_select && found.may_use_schema,
            time_type: if is_zoned { "timestamptz" } else { "timestamp" },
        }
    }

    /// A parameter in microseconds as a value of `created_at`.
    pub(super) fn time(&self, parameter: &str) -> String {
        time(self.time_type, parameter)
    }

    /// `created_at` with a zone.
    pub(super) fn zoned(&self) -> &'static str {
        if self.time_type == "timestamptz" { "created_at" } else { "created_at AT TIME ZONE 'UTC'" }
    }

    /// Selects from the rows of an event type (`$1`) in a time (`$2` to `$3`): the sources are found one after the other
    /// in the index, and the time of each as well.
    pub(super) fn of_each_source(&self, columns: &str) -> String {
        let Self { name, .. } = self;
        format!(
            "{} SELECT {columns} FROM s JOIN {name} t ON t.source = s.source WHERE {}",
            self.sources(),
            self.in_time()
        )
    }

    /// The same of the last row of each source.
    pub(super) fn last_of_each_source(&self, columns: &str) -> String {
        let Self { name, .. } = self;
        format!(
            "{} SELECT {columns} FROM s CROSS JOIN LATERAL (SELECT * FROM {name} t WHERE t.source = s.source AND {} \
             ORDER BY t.created_at DESC LIMIT 1) t",
            self.sources(),
            self.in_time()
        )
    }

    /// The sources of an event type as `s (source)`, the last of which is NULL.
    fn sources(&self) -> String {
        let Self { name, .. } = self;
        format!(
            "WITH RECURSIVE s (source) AS (SELECT min(source::text) FROM {name} WHERE event_type = $1 UNION ALL \
             SELECT (SELECT min(source::text) FROM {name} WHERE event_type = $1 AND source > s.source) FROM s \
             WHERE s.source IS NOT NULL)"
        )
    }

    fn in_time(&self) -> String {
        let [from, until] = ["$2", "$3"].map(|parameter| self.time(parameter));
        format!("t.event_type = $1 AND t.created_at >= {from} AND t.created_at < {until}")
    }
}
