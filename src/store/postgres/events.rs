//! Reads rows of the timeline in the order of time, page by page.

use sqlx::postgres::PgConnection;

use super::binary_copy::{Fields, copy};
use super::readable_table::ReadableTable;
use super::time::micros;
use crate::batch::TimelineRow;
use crate::store::event_pages::{EventPage, ROWS_A_PAGE};

/// The statement that gives a page of some event types. At one time they come in the order of their types.
pub(super) fn page(table: &ReadableTable, event_types: &[&str], page: &EventPage) -> String {
    let EventPage { time, offset } = page;
    format!(
        "COPY (SELECT event_type::text, source::text, value::float8, metadata::text, {} FROM {} \
         WHERE event_type IN ({}) AND created_at >= {} AND created_at < {} \
         ORDER BY created_at, event_type, source LIMIT {ROWS_A_PAGE} OFFSET {offset}) TO STDOUT (FORMAT binary)",
        table.zoned(),
        table.name,
        listed(event_types),
        table.time(&time.start.to_string()),
        table.time(&time.end.to_string()),
    )
}

/// Gives the rows of a page.
pub(super) async fn each(
    connection: &mut PgConnection,
    page: &str,
    mut on_row: impl FnMut(&TimelineRow<'_>),
) -> sqlx::Result<()> {
    copy(connection, page, |fields| row(fields).map(|row| on_row(&row))).await
}

fn row<'a>(fields: &mut Fields<'a>) -> Option<TimelineRow<'a>> {
    Some(TimelineRow {
        event_type: fields.nullable_text()?.unwrap_or_default(),
        source: fields.nullable_text()?.unwrap_or_default(),
        // Nothing is no reading.
        value: fields.nullable_float8()?.unwrap_or(f64::NAN),
        metadata: fields.nullable_text()?.unwrap_or_default(),
        at: fields.timestamptz()?,
    })
}

/// The statement that gives the times of the first and the last row of some event types, in microseconds since 1970:
/// their sources are found one after the other in the index, and the ends of each as well.
pub(super) fn ends(table: &ReadableTable, event_types: &[&str]) -> String {
    let name = &table.name;
    let end = |which: &str| {
        let of_source = "t.event_type = s.event_type AND t.source = s.source";
        format!("(SELECT {which}(t.created_at) FROM {name} t WHERE {of_source})")
    };
    format!(
        "WITH RECURSIVE s (event_type, source) AS (SELECT e.event_type, (SELECT min(source::text) FROM {name} t \
         WHERE t.event_type = e.event_type) FROM unnest(ARRAY[{}]) AS e (event_type) UNION ALL \
         SELECT s.event_type, (SELECT min(source::text) FROM {name} t WHERE t.event_type = s.event_type \
         AND t.source > s.source) FROM s WHERE s.source IS NOT NULL) \
         SELECT {}, {} FROM s WHERE s.source IS NOT NULL",
        listed(event_types),
        micros(&format!("min({})", end("min"))),
        micros(&format!("max({})", end("max"))),
    )
}

/// Names of ours, which need no escape.
fn listed(event_types: &[&str]) -> String {
    let quoted: Vec<String> = event_types.iter().map(|event_type| format!("'{event_type}'")).collect();
    quoted.join(", ")
}
