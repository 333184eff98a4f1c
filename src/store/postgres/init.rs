//! Creates the timeline table where there is none, and the table of delivered batches in a schema of its
//! own. The only DDL that ever runs in PostgreSQL.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::failure::Context;
use super::transaction;
use super::{delivery_log, table_schema};
use crate::store::store_url::Server;
use crate::store::table::{TableName, quoted};
use crate::store::{Error, InitReport};

pub(super) async fn create(
    connection: &mut PgConnection,
    server: &Server,
    table: &TableName,
) -> Result<InitReport, Error> {
    let context = Context { step: "create the table", server, table: table.to_string() };
    let (name, created) = match table_schema::table(connection, &context, table).await {
        Ok(found) => (found.sql_name(), Vec::new()),
        Err(Error::NoTable(..)) => (table.to_string(), create_table(connection, &context, table).await?),
        Err(error) => return Err(error),
    };
    let (delivery_log, owner_sql) = create_delivery_log(connection, &context).await?;
    Ok(InitReport { table: name, created, delivery_log, owner_sql })
}

async fn create_table(
    connection: &mut PgConnection,
    context: &Context<'_>,
    table: &TableName,
) -> Result<Vec<String>, Error> {
    let mut transaction = transaction::begin(connection, context).await?;
    let mut statements = Vec::new();
    if let Some(schema) = &table.schema {
        let sql = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
        let there: bool = sqlx::query_scalar(sql)
            .bind(schema)
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await
            .map_err(|error| context.classify(error))?;
        if !there {
            statements.push(format!("CREATE SCHEMA {}", quoted(schema)));
        }
    }
    statements.extend(ddl(table));
    for statement in &statements {
        let done = sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut *transaction).await;
        done.map_err(|error| refused(error, context, table))?;
    }
    transaction.commit().await.map_err(|error| context.classify_commit(error))?;
    Ok(statements)
}

/// What was created, and what an owner would have to run if this role may not.
async fn create_delivery_log(
    connection: &mut PgConnection,
    context: &Context<'_>,
) -> Result<(Vec<String>, Vec<String>), Error> {
    let context = context.at("create the table of delivered batches");
    let failed = |error| context.classify(error);
    let mut transaction = transaction::begin(connection, &context).await?;
    let sql = "SELECT current_user::text, to_regnamespace('fleetwatt') IS NOT NULL, \
               EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = 'fleetwatt' AND c.relname = 'delivered_batch')";
    let (role, has_schema, is_there): (String, bool, bool) =
        sqlx::query_as(sql).persistent(false).fetch_one(&mut *transaction).await.map_err(failed)?;
    if is_there {
        transaction.rollback().await.map_err(failed)?;
        let usable = delivery_log::is_usable(connection, &context).await?;
        return Ok((Vec::new(), if usable { Vec::new() } else { delivery_log::owner_sql(&role) }));
    }
    // IF NOT EXISTS would ask for the right to create a schema although there is one.
    let statements: &[&'static str] =
        if has_schema { &[delivery_log::TABLE] } else { &[delivery_log::SCHEMA, delivery_log::TABLE] };
    for statement in statements {
        if let Err(error) = sqlx::raw_sql(*statement).execute(&mut *transaction).await {
            transaction.rollback().await.map_err(failed)?;
            let error = failed(error);
            let is_for_an_owner = matches!(error, Error::Permission(..));
            return if is_for_an_owner {
                Ok((Vec::new(), delivery_log::owner_sql(&role)))
            } else {
                Err(error)
            };
        }
    }
    transaction.commit().await.map_err(|error| context.classify_commit(error))?;
    Ok((statements.iter().map(|statement| (*statement).to_owned()).collect(), Vec::new()))
}

/// The table, the index for panels of one source, and the small one for panels of the whole fleet.
pub(super) fn ddl(table: &TableName) -> [String; 3] {
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

fn refused(error: sqlx::Error, context: &Context<'_>, table: &TableName) -> Error {
    let error = context.classify(error);
    let Error::Permission(step, _, source) = error else { return error };
    let role = context.server.user.as_deref().map_or_else(|| "CURRENT_USER".to_owned(), quoted);
    let schema = quoted(table.schema.as_deref().unwrap_or("public"));
    Error::Permission(step, vec![format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};")], source)
}
