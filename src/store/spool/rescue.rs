//! Sets a damaged spool aside as `spool.corrupt-<UTC time>`, with what could be saved in a new one.
//!
//! The new file is built under another name and takes the old one's place when it is complete, so that
//! the power may fail at any step: the next opening finishes or begins anew.

use std::io;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::queue::{Rescued, as_i64, count};
use super::scan::{Batch, Salvage, scan};
use super::schema::open_file;
use crate::store::Error;
use crate::store::alerts::tables as alerts;
use crate::store::counts::from_length;
use crate::store::file::{NOW, connect, sync_folder, with};

/// The new spool while it is being filled.
const FILLING: &str = "spool.rescue";

/// The new spool when it is complete.
const COMPLETE: &str = "spool.rescued";

/// The endings of the files of a SQLite database, the file itself last.
const PARTS: [&str; 3] = ["-shm", "-wal", ""];

/// The numbers of `meta` that go on in the new spool.
const COUNTED: [&str; 5] =
    ["dropped_total", "lost_total", "dead_letters_dropped_total", "clock_us", "spool_us"];

/// Whether a rescue was cut short when the damaged file was already out of its place.
pub(super) fn is_unfinished(state_dir: &Path) -> bool {
    state_dir.join(COMPLETE).exists()
}

/// Finishes what a rescue left when it was cut short.
pub(super) fn finish(path: &Path) -> Result<(), Error> {
    let complete = path.with_file_name(COMPLETE);
    if complete.exists() {
        let stem = "spool.corrupt-found";
        swap(path, &complete, stem).map_err(|source| Error::from_spool_io(path, source))?;
    }
    remove(&path.with_file_name(FILLING)).map_err(|source| Error::from_spool_io(path, source))
}

/// Builds a new spool from what can be read of the one at `path`, and swaps the two.
pub(super) async fn set_aside(path: &Path) -> Result<Rescued, Error> {
    let filling = path.with_file_name(FILLING);
    remove(&filling).map_err(|source| Error::from_spool_io(path, source))?;
    // What is no file, such as a folder of that name, has nothing to save; opening a FIFO would not return.
    let is_file = std::fs::metadata(path).is_ok_and(|found| found.is_file());
    let found =
        if is_file { scan(path, &with(path, "-wal")).unwrap_or_default() } else { Salvage::default() };
    let mut new = open_file(&filling).await?;
    fill(&mut new, &found, is_file.then_some(path))
        .await
        .map_err(|source| Error::from_spool(&filling, source))?;
    let sql = "SELECT 'spool.corrupt-' || strftime('%Y%m%dT%H%M%SZ', 'now')";
    let stem: String = sqlx::query_scalar(sql)
        .fetch_one(&mut new)
        .await
        .map_err(|source| Error::from_spool(&filling, source))?;
    // Takes up the write-ahead log, so that one file is all.
    new.close().await.map_err(|source| Error::from_spool(&filling, source))?;
    let complete = path.with_file_name(COMPLETE);
    let swapped = std::fs::rename(&filling, &complete)
        .and_then(|()| sync_folder(path))
        .and_then(|()| swap(path, &complete, &stem));
    let aside = swapped.map_err(|source| Error::from_spool_io(path, source))?;
    let (saved, lost) = (from_length(found.batches.len()), found.n_lost());
    let more = if found.is_complete { "" } else { "; more may be lost than can be counted" };
    tracing::error!(saved, lost, aside = %aside.display(), "spool was damaged and is set aside{more}");
    Ok(Rescued { saved, lost })
}

/// Moves the damaged file out of the way and the complete one into its place.
fn swap(path: &Path, complete: &Path, stem: &str) -> io::Result<PathBuf> {
    let free = |name: &String| !path.with_file_name(name).exists();
    let names = (1..).map(|n: u32| if n == 1 { stem.to_owned() } else { format!("{stem}-{n}") });
    let name = names.into_iter().find(free).unwrap_or_else(|| stem.to_owned());
    let aside = path.with_file_name(name);
    for part in PARTS {
        match std::fs::rename(with(path, part), with(&aside, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::rename(complete, path)?;
    sync_folder(path)?;
    Ok(aside)
}

fn remove(path: &Path) -> io::Result<()> {
    for part in PARTS.iter().chain(&["-journal"]) {
        match std::fs::remove_file(with(path, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Puts what was found into a new spool, in one transaction, since a sync for each of forty thousand batches would
/// take minutes.
async fn fill(new: &mut SqliteConnection, found: &Salvage, old: Option<&Path>) -> sqlx::Result<()> {
    let mut transaction = new.begin().await?;
    let into = &mut *transaction;
    for (seq, batch) in &found.batches {
        copy(into, *seq, batch).await?;
    }
    for (id, (batch_id, row, error, at_us)) in &found.dead_letters {
        let sql = "INSERT INTO dead_letter VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql).bind(id).bind(batch_id).bind(row).bind(error).bind(at_us);
        query.execute(&mut *into).await?;
    }
    for (key, number) in found.numbers.iter().filter(|(key, _)| COUNTED.contains(&key.as_str())) {
        count(into, key, *number).await?;
    }
    count(into, "lost_total", i64::try_from(found.n_lost()).unwrap_or(i64::MAX)).await?;
    // What is kept of the alerts, as far as SQLite still reads it.
    if let Some(old) = old
        && let Ok(mut from) = connect(old).await
    {
        alerts::rescue(into, &mut from).await?;
        // Before the files change places: closing removes the write-ahead log by its name.
        from.close().await.unwrap_or_default();
    }
    transaction.commit().await
}

async fn copy(into: &mut SqliteConnection, seq: i64, batch: &Batch) -> sqlx::Result<()> {
    let Batch { stored: (id, n_rows, crc32, payload), created_us, attempts, last_error } = batch;
    let sql = format!(
        "INSERT INTO batch (seq, batch_id, created_us, rows, bytes, crc32, payload, attempts, last_error) \
         VALUES (?, ?, coalesce(?, {NOW}), ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(seq).bind(id.as_str()).bind(created_us).bind(n_rows);
    let query = query.bind(as_i64(payload.len())).bind(crc32).bind(payload.as_slice());
    query.bind(attempts).bind(last_error.as_deref()).execute(into).await.map(|_| ())
}
