//! Whether events fit into a table that was found, and the INSERT that fits them into it.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::table_schema::{Column, TableSchema};
use super::time::time;
use crate::store::record::{EventRow, Record, events};
use crate::store::table::{COLUMNS, quoted};
use crate::store::{ColumnFound, Error};

/// Rows per INSERT: two round trips each. Measured: more is not faster, and this bounds the memory.
const ROWS_PER_INSERT: usize = 5_000;

/// A table that holds events, and how.
#[derive(Debug)]
pub(super) struct TableMapping {
    pub(super) oid: i64,
    /// The table, as SQL.
    pub(super) name: String,
    /// Its kind, in words.
    pub(super) kind: &'static str,
    pub(super) columns: Vec<ColumnFound>,
    pub(super) may_select: bool,
    /// The role that we are.
    pub(super) role: String,
    /// Whether `created_at` is a `timestamptz`, else a `timestamp` that holds UTC.
    pub(super) is_zoned: bool,
    /// Whether the metadata is JSON to the database as well.
    pub(super) is_json: bool,
    /// The INSERT, with the five columns as arrays.
    insert_sql: String,
    limits: Vec<Limit>,
}

/// A column that holds only so much text. `name` would cut it off silently, `varchar(n)` would refuse
/// the whole batch without saying which column it was.
#[derive(Debug)]
struct Limit {
    column: &'static str,
    holds: usize,
    is_bytes: bool,
}

impl TableMapping {
    /// Checks a table and makes its INSERT. [`Error::DoesNotFit`] tells everything that is wrong; if nothing is,
    /// [`Error::Permission`].
    pub(super) fn of(found: TableSchema) -> Result<Self, Error> {
        let problems = problems(&found);
        if !problems.is_empty() {
            return Err(Error::DoesNotFit(found.sql_name(), problems));
        }
        let grants = missing_grants(&found);
        if !grants.is_empty() {
            return Err(Error::Permission("insert", grants, None));
        }
        let base_type = |name| found.column(name).map(|column| column.base_type.as_str());
        let is_zoned = base_type("created_at") == Some("timestamptz");
        Ok(Self {
            oid: found.oid,
            name: found.sql_name(),
            kind: kind(&found.relkind),
            may_select: found.may_select && found.may_use_schema,
            role: found.role.clone(),
            is_zoned,
            is_json: matches!(base_type("metadata"), Some("json" | "jsonb")),
            insert_sql: insert_sql(&found.sql_name(), base_type("metadata"), is_zoned),
            limits: COLUMNS.iter().filter_map(|name| limit(name, found.column(name)?)).collect(),
            columns: found.columns.into_iter().map(column_found).collect(),
        })
    }

    /// The type of `created_at`.
    pub(super) const fn time_type(&self) -> &'static str {
        time_type(self.is_zoned)
    }

    /// Checks that every text of the events fits into its column.
    pub(super) fn check_lengths(&self, records: &[Record]) -> Result<(), Error> {
        for row in events(records) {
            for limit in &self.limits {
                let text = match limit.column {
                    "event_type" => &row.event_type,
                    "source" => &row.source,
                    _ => row.metadata.text(),
                };
                limit.check(text, &row.event_type)?;
            }
        }
        Ok(())
    }

    /// Inserts the events of some records within the transaction that is open, by arrays; says how many came.
    pub(super) async fn insert(
        &self,
        connection: &mut PgConnection,
        records: &[Record],
    ) -> sqlx::Result<u64> {
        let mut n_rows = 0;
        for chunk in events(records).chunks(ROWS_PER_INSERT) {
            let column = |of: fn(&EventRow) -> &str| chunk.iter().map(|row| of(row)).collect::<Vec<&str>>();
            // Only quoted identifiers of the catalog and constants are in this text.
            let query = sqlx::query(AssertSqlSafe(self.insert_sql.as_str()))
                .bind(column(|row| &row.event_type))
                .bind(column(|row| &row.source))
                .bind(chunk.iter().map(|row| row.value).collect::<Vec<_>>())
                .bind(column(|row| row.metadata.text()))
                .bind(chunk.iter().map(|row| row.created_at).collect::<Vec<_>>());
            n_rows += query.persistent(false).execute(&mut *connection).await?.rows_affected();
        }
        Ok(n_rows)
    }
}

impl Limit {
    fn check(&self, text: &str, event_type: &str) -> Result<(), Error> {
        let length = if self.is_bytes { text.len() } else { text.chars().count() };
        if length <= self.holds {
            return Ok(());
        }
        let unit = if self.is_bytes { "bytes" } else { "characters" };
        let Self { column, holds, .. } = self;
        Err(Error::TooLong(format!(
            "column `{column}` holds {holds} {unit}, and an event of type `{event_type}` has {length} for it"
        )))
    }
}

impl TableSchema {
    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that are not written.
    fn others(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !COLUMNS.contains(&column.name.as_str()))
    }
}

fn column_found(column: Column) -> ColumnFound {
    ColumnFound { name: column.name, sql_type: column.sql_type, not_null: column.not_null }
}

fn problems(found: &TableSchema) -> Vec<String> {
    let mut problems = Vec::new();
    if !found.takes_rows {
        let kind = kind(&found.relkind);
        problems
            .push(format!("it is a {kind} that takes no rows (a view needs an INSTEAD OF INSERT trigger)"));
    }
    problems.extend(COLUMNS.iter().filter_map(|name| problem(name, found.column(name))));
    for Column { name, sql_type, .. } in
        found.others().filter(|column| column.not_null && !column.has_default)
    {
        problems.push(format!(
            "column `{name}` ({sql_type}) is NOT NULL without a default, and fleetwatt has no value for it"
        ));
    }
    problems
}

/// The reason why one of the five columns cannot be written.
fn problem(name: &str, column: Option<&Column>) -> Option<String> {
    let (types, message) = accepted_types(name);
    let Some(Column { sql_type, base_type, .. }) = column else {
        return Some(format!("there is no column `{name}` (it should be {message})"));
    };
    if column.is_some_and(|column| column.is_generated) {
        return Some(format!("column `{name}` is generated and cannot be written"));
    }
    if !types.contains(&base_type.as_str()) {
        return Some(format!("column `{name}` is {sql_type} (it should be {message})"));
    }
    let is_required = name == "value" && column.is_some_and(|column| column.not_null);
    is_required.then(|| "column `value` is NOT NULL, and an event may have none".to_owned())
}

/// The names of the types that a column may have, and how they are said.
fn accepted_types(column: &str) -> (&'static [&'static str], &'static str) {
    match column {
        "value" => (&["float8", "float4", "numeric"], "double precision, real or numeric, and may be NULL"),
        "metadata" => (&["jsonb", "json", "text", "varchar"], "jsonb, json or text"),
        "created_at" => (
            &["timestamptz", "timestamp"],
            "timestamp with time zone, or timestamp without, which then holds UTC",
        ),
        _ => (&["text", "varchar", "bpchar", "name", "citext"], "text or character varying"),
    }
}

fn missing_grants(found: &TableSchema) -> Vec<String> {
    let role = quoted(&found.role);
    let mut grants = Vec::new();
    if !found.may_use_schema {
        grants.push(format!("GRANT USAGE ON SCHEMA {} TO {role};", quoted(&found.schema)));
    }
    let by_column = COLUMNS.iter().all(|name| found.column(name).is_some_and(|column| column.may_insert));
    if !found.may_insert && !by_column {
        grants.push(format!("GRANT INSERT ON {} TO {role};", found.sql_name()));
    }
    for sequence in found.others().filter_map(|column| column.closed_sequence.as_ref()) {
        grants.push(format!("GRANT USAGE ON SEQUENCE {sequence} TO {role};"));
    }
    grants
}

fn limit(name: &'static str, column: &Column) -> Option<Limit> {
    match column.base_type.as_str() {
        // NAMEDATALEN is 64 in every build that anybody uses, with its closing NUL.
        "name" => Some(Limit { column: name, holds: 63, is_bytes: true }),
        "varchar" | "bpchar" => {
            let holds = usize::try_from(column.modifier.checked_sub(4)?).ok()?;
            Some(Limit { column: name, holds, is_bytes: false })
        }
        _ => None,
    }
}

const fn time_type(is_zoned: bool) -> &'static str {
    if is_zoned { "timestamptz" } else { "timestamp" }
}

/// Arrays, so that it is one statement for any number of rows. Microseconds as integers, so that the
/// time is exact and no session setting has a say in it.
fn insert_sql(table: &str, metadata_type: Option<&str>, is_zoned: bool) -> String {
    let metadata = match metadata_type {
        Some("jsonb") => "m::jsonb",
        Some("json") => "m::json",
        _ => "m",
    };
    format!(
        "INSERT INTO {table} ({}) SELECT e, s, v, {metadata}, {} \
         FROM UNNEST($1::text[], $2::text[], $3::float8[], $4::text[], $5::int8[]) AS u (e, s, v, m, t)",
        COLUMNS.join(", "),
        time(time_type(is_zoned), "t")
    )
}

fn kind(relkind: &str) -> &'static str {
    match relkind {
        "r" => "table",
        "p" => "partitioned table",
        "v" => "view",
        "f" => "foreign table",
        _ => "materialized view",
    }
}
