//! The table as it is, its columns, and the rights of this role, from `pg_catalog`.
//!
//! Not from `information_schema`, which hides from a role the columns that it has no privilege on.
//! These catalogs everybody may read, so a role with INSERT and nothing else suffices.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::connect::begin;
use super::failure::Fault;
use crate::store::Error;
use crate::store::table::{TableName, quoted};

/// A table as found.
#[derive(Debug)]
pub(super) struct TableSchema {
    pub(super) oid: i64,
    pub(super) schema: String,
    pub(super) name: String,
    /// `pg_class.relkind`.
    pub(super) relkind: String,
    /// The role that we are.
    pub(super) role: String,
    pub(super) may_use_schema: bool,
    pub(super) may_select: bool,
    pub(super) may_insert: bool,
    /// Whether an INSERT can work at all: not for a view without rule or INSTEAD OF trigger.
    pub(super) takes_rows: bool,
    pub(super) columns: Vec<Column>,
}

/// A column as found.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// The type as SQL writes it, with its length.
    pub(super) sql_type: String,
    /// `pg_type.typname`, of the type under a domain.
    pub(super) base_type: String,
    /// `pg_attribute.atttypmod`: for `varchar(n)`, n + 4; -1 for no limit.
    pub(super) modifier: i32,
    pub(super) not_null: bool,
    /// Whether it has a value where an insert gives none.
    pub(super) has_default: bool,
    /// Whether an insert must give none.
    pub(super) is_generated: bool,
    pub(super) may_insert: bool,
    /// The sequence behind its default, as SQL, if this role may not draw from it.
    pub(super) closed_sequence: Option<String>,
}

impl TableSchema {
    /// The table, as SQL, with its schema whatever the search path is.
    pub(super) fn sql_name(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

/// The CASE is needed: an index depends on its columns as a sequence does, `has_sequence_privilege` fails
/// for anything but a sequence, and the planner may ask it first.
const LOOKUP: &str = "\
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, current_user::text,
  has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT'),
  (pg_relation_is_updatable(c.oid, true) & 8) <> 0,
  a.attname::text, format_type(a.atttypid, a.atttypmod), b.typname::text,
  CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END,
  a.attnotnull OR (t.typtype = 'd' AND t.typnotnull),
  a.atthasdef OR a.attidentity <> '' OR (t.typtype = 'd' AND t.typdefault IS NOT NULL),
  a.attgenerated <> '' OR a.attidentity = 'a',
  has_column_privilege(c.oid, a.attnum, 'INSERT'),
  (SELECT quote_ident(q.nspname) || '.' || quote_ident(s.relname)
   FROM pg_depend d JOIN pg_class s ON s.oid = d.objid JOIN pg_namespace q ON q.oid = s.relnamespace
   WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid
     AND d.refobjsubid = a.attnum AND d.deptype = 'a' AND a.atthasdef
     AND CASE WHEN s.relkind = 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE, UPDATE') ELSE false END LIMIT 1)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
WHERE c.relname = $1 AND c.relkind IN ('r', 'p', 'v', 'f', 'm')
  AND CASE WHEN $2::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = $2 END
ORDER BY a.attnum";

const NEAR: &str = "\
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE lower(c.relname) = lower($1) AND c.relkind IN ('r', 'p', 'v', 'f') ORDER BY 1 LIMIT 3";

/// Looks the table up. One that is not there is [`Error::NoTable`], with the tables that may have been meant.
pub(super) async fn table(connection: &mut PgConnection, name: &TableName) -> Result<TableSchema, Fault> {
    // Unnamed statements live as long as their transaction behind pgbouncer.
    let mut transaction = begin(connection).await?;
    let query = sqlx::query(LOOKUP).bind(&name.name).bind(name.schema.as_deref()).persistent(false);
    let found = read(&query.fetch_all(&mut *transaction).await?)?;
    let near = match &found {
        Some(_) => Vec::new(),
        None => {
            let query = sqlx::query_scalar(NEAR).bind(&name.name).persistent(false);
            query.fetch_all(&mut *transaction).await?
        }
    };
    transaction.rollback().await?;
    Ok(found.ok_or_else(|| Error::NoTable(name.to_string(), near))?)
}

fn read(rows: &[PgRow]) -> sqlx::Result<Option<TableSchema>> {
    let Some(first) = rows.first() else { return Ok(None) };
    Ok(Some(TableSchema {
        oid: first.try_get(0)?,
        schema: first.try_get(1)?,
        name: first.try_get(2)?,
        relkind: first.try_get(3)?,
        role: first.try_get(4)?,
        may_use_schema: first.try_get(5)?,
        may_select: first.try_get(6)?,
        may_insert: first.try_get(7)?,
        takes_rows: first.try_get(8)?,
        columns: rows.iter().map(column).collect::<sqlx::Result<_>>()?,
    }))
}

fn column(row: &PgRow) -> sqlx::Result<Column> {
    Ok(Column {
        name: row.try_get(9)?,
        sql_type: row.try_get(10)?,
        base_type: row.try_get(11)?,
        modifier: row.try_get(12)?,
        not_null: row.try_get(13)?,
        has_default: row.try_get(14)?,
        is_generated: row.try_get(15)?,
        may_insert: row.try_get(16)?,
        closed_sequence: row.try_get(17)?,
    })
}
