//! Creates the timeline table where there is none, and the table of delivered batches in a schema of its
//! own. The only DDL that ever runs in PostgreSQL.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::connect::begin;
use super::failure::{Fault, Target};
use super::{delivery_log, energy, table_schema};
use crate::store::table::{TableName, quoted};
use crate::store::{Error, InitReport, LedgerAccess};

/// The step that creates the timeline.
const TABLE_STEP: &str = "create the table";

/// The step that creates the table of delivered batches.
const LOG_STEP: &str = "create the table of delivered batches";

pub(super) async fn create(connection: &mut PgConnection, target: &Target) -> Result<InitReport, Error> {
    let (table, created) = target.run(TABLE_STEP, create_table(connection, target)).await?;
    let (delivery_log, owner_sql) = target.run(LOG_STEP, create_own_tables(connection, target)).await?;
    Ok(InitReport { table, created, delivery_log, owner_sql })
}

/// The table that is there or was created, and the statements that did that.
async fn create_table(
    connection: &mut PgConnection,
    target: &Target,
) -> Result<(String, Vec<String>), Fault> {
    let table = &target.table;
    match table_schema::table(connection, table).await {
        Err(Fault::Sorted(Error::NoTable(..))) => {}
        found => return Ok((found?.sql_name(), Vec::new())),
    }
    let mut transaction = begin(connection).await?;
    let mut statements = Vec::new();
    if let Some(schema) = &table.schema {
        let sql = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
        let query = sqlx::query_scalar(sql).bind(schema).persistent(false);
        let is_there: bool = query.fetch_one(&mut *transaction).await?;
        if !is_there {
            statements.push(format!("CREATE SCHEMA {}", quoted(schema)));
        }
    }
    statements.extend(ddl(table));
    for statement in &statements {
        let done = sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut *transaction).await;
        done.map_err(|error| refused(target.sort(TABLE_STEP, error.into()), target))?;
    }
    transaction.commit().await.map_err(|error| target.sort_commit(error))?;
    Ok((table.to_string(), statements))
}

fn refused(error: Error, target: &Target) -> Error {
    let Error::Permission(step, _, source) = error else { return error };
    let schema = quoted(target.table.schema.as_deref().unwrap_or("public"));
    Error::Permission(step, vec![target.grant("USAGE, CREATE ON SCHEMA", &schema)], source)
}

/// The statements that were run, and those that an owner would have to run if this role may not.
async fn create_own_tables(
    connection: &mut PgConnection,
    target: &Target,
) -> Result<(Vec<String>, Vec<String>), Fault> {
    let mut transaction = begin(connection).await?;
    let sql = "SELECT current_user::text, to_regnamespace('fleetwatt') IS NOT NULL, \
               ARRAY(SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = 'fleetwatt')";
    let (role, has_schema, there): (String, bool, Vec<String>) =
        sqlx::query_as(sql).persistent(false).fetch_one(&mut *transaction).await?;
    // IF NOT EXISTS would ask for the right to create a schema although there is one.
    let schema = (!has_schema).then_some(delivery_log::SCHEMA);
    let delivery_log = ("delivered_batch", delivery_log::TABLE.to_owned());
    let tables = std::iter::once(delivery_log).chain(energy::tables());
    let missing = tables.filter(|(name, _)| !there.iter().any(|table| table == name));
    let statements: Vec<String> =
        schema.map(str::to_owned).into_iter().chain(missing.map(|(_, statement)| statement)).collect();
    for statement in &statements {
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut *transaction).await
        {
            transaction.rollback().await?;
            let error = target.sort(LOG_STEP, error.into());
            if matches!(error, Error::Permission(..)) {
                return Ok((Vec::new(), owner_sql(&role)));
            }
            return Err(error.into());
        }
    }
    transaction.commit().await.map_err(|error| target.sort_commit(error))?;
    let is_usable = energy::access(connection).await? == LedgerAccess::ReadWrite;
    let owner_sql = if is_usable { Vec::new() } else { owner_sql(&role) };
    Ok((statements, owner_sql))
}

/// The statements that an owner of the database would run so that every batch is written exactly once.
pub(super) fn owner_sql(role: &str) -> Vec<String> {
    let role = quoted(role);
    let mut statements = vec![format!("{};", delivery_log::SCHEMA), format!("{};", delivery_log::TABLE)];
    statements.extend(energy::tables().map(|(_, statement)| format!("{statement};")));
    statements.push(format!(
        "GRANT USAGE ON SCHEMA fleetwatt TO {role}; \
         GRANT SELECT, INSERT, DELETE ON fleetwatt.delivered_batch TO {role}; \
         GRANT {} ON {} TO {role};",
        energy::RIGHTS,
        energy::all_tables()
    ));
    statements
}

/// The table, the index for panels of one source, and the small one for panels of the whole fleet.
fn ddl(table: &TableName) -> [String; 3] {
    [
        format!(
            "CREATE TABLE {table} (event_type text NOT NULL, source text NOT NULL, value double precision, \
             metadata jsonb NOT NULL DEFAULT '{{}}', created_at timestamptz NOT NULL DEFAULT now())"
        ),
        index_by_source(&table.to_string()),
        index_by_time(&table.to_string()),
    ]
}

pub(super) fn index_by_source(table: &str) -> String {
    format!("CREATE INDEX ON {table} (event_type, source, created_at)")
}

pub(super) fn index_by_time(table: &str) -> String {
    format!("CREATE INDEX ON {table} USING brin (created_at)")
}
