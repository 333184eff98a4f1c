//! Reads rows of the timeline in the order of time, page by page, by the index of type, source and time.

use std::ops::Range;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use crate::batch::TimelineRow;
use crate::reading::Timestamp;
use crate::store::event_pages::{EventPages, ROWS_A_PAGE};
use crate::store::table::TableName;

/// The types and sources of events, found one after the other in the index: `s (event_type, source)`.
fn sources(table: &TableName, event_types: &[&str]) -> String {
    let types: Vec<String> = event_types.iter().map(|event_type| format!("('{event_type}')")).collect();
    format!(
        "WITH RECURSIVE s (event_type, source) AS (SELECT column1, (SELECT min(source) FROM {table} \
         WHERE event_type = column1) FROM (VALUES {}) UNION ALL SELECT event_type, (SELECT min(source) FROM {table} AS t \
         WHERE t.event_type = s.event_type AND t.source > s.source) FROM s WHERE s.source IS NOT NULL)",
        types.join(", ")
    )
}

/// Gives the rows of some event types in a time until `on_row` says that it is enough. At one time they come in the order
/// of their types.
pub(super) fn each_event(
    connection: &Connection,
    table: &TableName,
    event_types: &[&str],
    time: &Range<Timestamp>,
    mut on_row: impl FnMut(&TimelineRow<'_>) -> bool,
) -> rusqlite::Result<()> {
    let sql = format!(
        "{} SELECT t.event_type, t.source, t.value, t.metadata, t.created_at FROM s CROSS JOIN {table} AS t \
         WHERE t.event_type = s.event_type AND t.source = s.source AND t.created_at >= ?1 AND t.created_at < ?2 \
         ORDER BY t.created_at, t.event_type, t.source LIMIT {ROWS_A_PAGE} OFFSET ?3",
        sources(table, event_types)
    );
    let mut statement = connection.prepare(&sql)?;
    let mut pages = EventPages::new(time);
    while let Some(page) = pages.page() {
        let offset = i64::try_from(page.offset).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![page.time.start, page.time.end, offset])?;
        while let Some(row) = rows.next()? {
            let at = Timestamp::from_micros(row.get(4)?);
            pages.note_row(at);
            if !on_row(&timeline_row(row, at)?) {
                return Ok(());
            }
        }
        pages.next_page();
    }
    Ok(())
}

/// Gives the last row of an event type in a time, of each source that has one.
pub(super) fn last_of_each_source(
    connection: &Connection,
    table: &TableName,
    event_type: &str,
    time: &Range<Timestamp>,
    mut on_row: impl FnMut(&TimelineRow<'_>),
) -> rusqlite::Result<()> {
    let sql = format!(
        "{} SELECT t.event_type, t.source, t.value, t.metadata, t.created_at FROM s CROSS JOIN {table} AS t \
         WHERE t.event_type = s.event_type AND t.source = s.source AND t.created_at = (SELECT max(l.created_at) \
         FROM {table} AS l WHERE l.event_type = s.event_type AND l.source = s.source AND l.created_at >= ?1 \
         AND l.created_at < ?2)",
        sources(table, &[event_type])
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([time.start.micros(), time.end.micros()])?;
    while let Some(row) = rows.next()? {
        on_row(&timeline_row(row, Timestamp::from_micros(row.get(4)?))?);
    }
    Ok(())
}

fn timeline_row<'a>(row: &'a Row<'_>, at: Timestamp) -> rusqlite::Result<TimelineRow<'a>> {
    let text = |value: ValueRef<'a>| value.as_str().unwrap_or_default();
    Ok(TimelineRow {
        event_type: text(row.get_ref(0)?),
        source: text(row.get_ref(1)?),
        // Nothing is no reading.
        value: row.get(2).unwrap_or(f64::NAN),
        metadata: text(row.get_ref(3)?),
        at,
    })
}

/// The times of the first and the last row of some event types.
pub(super) fn ends(
    connection: &Connection,
    table: &TableName,
    event_types: &[&str],
) -> rusqlite::Result<Option<(Timestamp, Timestamp)>> {
    let of_source = format!("FROM {table} AS t WHERE t.event_type = s.event_type AND t.source = s.source");
    let sql = format!(
        "{} SELECT min((SELECT min(t.created_at) {of_source})), max((SELECT max(t.created_at) {of_source})) FROM s \
         WHERE s.source IS NOT NULL",
        sources(table, event_types)
    );
    let ends: (Option<i64>, Option<i64>) =
        connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(ends.0.zip(ends.1).map(|(first, last)| (Timestamp::from_micros(first), Timestamp::from_micros(last))))
}
