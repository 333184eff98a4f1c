//! Creates the timeline table where there is none. The only DDL that ever runs in PostgreSQL.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::failure::Context;
use super::lookup;
use crate::store::location::Server;
use crate::store::table::{TableName, quoted};
use crate::store::{Error, InitReport};

pub(super) async fn create(
    connection: &mut PgConnection,
    server: &Server,
    table: &TableName,
) -> Result<InitReport, Error> {
    let context = Context { step: "create the table", server, table: table.to_string() };
    match lookup::table(connection, &context, table).await {
        Ok(found) => return Ok(InitReport { table: found.sql_name(), created: Vec::new() }),
        Err(Error::NoTable { .. }) => {}
        Err(error) => return Err(error),
    }
    let mut transaction = super::begin(connection, &context).await?;
    let mut created = Vec::new();
    if let Some(schema) = &table.schema {
        let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
            .bind(schema)
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await
            .map_err(|error| context.sort(error))?;
        if !there {
            created.push(format!("CREATE SCHEMA {}", quoted(schema)));
        }
    }
    created.extend(ddl(table));
    for statement in &created {
        let done = sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(&mut *transaction).await;
        done.map_err(|error| refused(error, &context, table))?;
    }
    transaction.commit().await.map_err(|error| context.sort_commit(error))?;
    Ok(InitReport { table: table.to_string(), created })
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
    let error = context.sort(error);
    let Error::Permission { step, source, .. } = error else { return error };
    let role = context.server.user.as_deref().map_or_else(|| "CURRENT_USER".to_owned(), quoted);
    let schema = quoted(table.schema.as_deref().unwrap_or("public"));
    Error::Permission {
        step,
        grants: vec![format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};")],
        source,
    }
}
