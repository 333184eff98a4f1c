//! Sets a damaged spool aside as `spool.corrupt-<UTC time>`, with what could be saved in a new one.
//!
//! The new file is built under another name and takes the old one's place when it is complete, so that
//! the power may fail at any step: the next opening finishes or begins anew.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::{Spool, Stored, as_i64, connect, count, file_trouble, read, sync_folder, trouble, unpack};
use crate::store::{Error, alerts};

/// The new spool while it is being filled.
const FILLING: &str = "spool.rescue";

/// The new spool when it is complete.
const COMPLETE: &str = "spool.rescued";

/// What belongs to a SQLite file, the file itself last.
const PARTS: [&str; 3] = ["-shm", "-wal", ""];

/// Whether a rescue was cut short when the damaged file was already out of its place.
pub(super) fn is_unfinished(state_dir: &Path) -> bool {
    state_dir.join(COMPLETE).exists()
}

/// Finishes what a rescue left when it was cut short.
pub(super) fn finish(path: &Path) -> Result<(), Error> {
    let complete = path.with_file_name(COMPLETE);
    if complete.exists() {
        let stem = "spool.corrupt-found";
        swap(path, &complete, stem).map_err(|source| file_trouble(path, source))?;
    }
    remove(&path.with_file_name(FILLING)).map_err(|source| file_trouble(path, source))
}

/// Builds a new spool from what can be read of the one at `path`, and swaps the two.
pub(super) async fn set_aside(path: &Path) -> Result<(), Error> {
    let filling = path.with_file_name(FILLING);
    remove(&filling).map_err(|source| file_trouble(path, source))?;
    let mut new = Box::pin(Spool::open_file(&filling)).await?;
    let (saved, lost) = fill(&mut new, path).await.map_err(|source| trouble(&filling, source))?;
    let sql = "SELECT 'spool.corrupt-' || strftime('%Y%m%dT%H%M%SZ', 'now')";
    let stem: String = sqlx::query_scalar(sql)
        .fetch_one(&mut new.connection)
        .await
        .map_err(|source| trouble(&filling, source))?;
    // Takes up the write-ahead log, so that one file is all.
    new.connection.close().await.map_err(|source| trouble(&filling, source))?;
    let complete = path.with_file_name(COMPLETE);
    let swapped = std::fs::rename(&filling, &complete)
        .and_then(|()| sync_folder(path))
        .and_then(|()| swap(path, &complete, &stem));
    let aside = swapped.map_err(|source| file_trouble(path, source))?;
    tracing::error!(saved, lost, aside = %aside.display(), "spool was damaged and is set aside");
    Ok(())
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

fn with(path: &Path, part: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(part);
    name.into()
}

/// Copies what can be read; says how many batches were saved, and how many are known to be lost.
async fn fill(new: &mut Spool, old: &Path) -> sqlx::Result<(u64, u64)> {
    // One transaction, since a sync for each of forty thousand batches would take minutes.
    let mut transaction = new.connection.begin().await?;
    let into = &mut *transaction;
    let Ok(mut from) = connect(old).await else { return Ok((0, 0)) };
    let mut seqs = BTreeSet::new();
    for (bound, order) in [(">", "ASC"), ("<", "DESC")] {
        collect_seqs(&mut from, &mut seqs, bound, order).await;
    }
    let (mut saved, mut lost) = (0, 0);
    for seq in &seqs {
        match read(&mut from, *seq).await {
            Ok(Some(stored)) if unpack(&stored).is_some() => {
                copy(into, &mut from, *seq, &stored).await?;
                saved += 1;
            }
            _ => lost += 1,
        }
    }
    // Batches leave from the front, so a gap among them is damage too.
    if let (Some(first), Some(last)) = (seqs.first(), seqs.last()) {
        let span = u64::try_from(last - first + 1).unwrap_or(0);
        lost += span.saturating_sub(saved + lost);
    }
    copy_dead_letters(into, &mut from).await?;
    alerts::rescue(into, &mut from).await?;
    for key in ["dropped_total", "lost_total", "dead_letters_dropped_total"] {
        let sql = "SELECT value FROM meta WHERE key = ?";
        let value = sqlx::query_scalar(sql).bind(key).fetch_optional(&mut from).await;
        let value: i64 = value.ok().flatten().unwrap_or(0);
        count(into, key, value).await?;
    }
    count(into, "lost_total", i64::try_from(lost).unwrap_or(i64::MAX)).await?;
    // Before the files change places: closing removes the write-ahead log by its name.
    from.close().await.unwrap_or_default();
    transaction.commit().await?;
    Ok((saved, lost))
}

/// From one end as far as the tree can be walked. The other end gets what is behind the damage.
async fn collect_seqs(
    from: &mut SqliteConnection,
    seqs: &mut BTreeSet<i64>,
    bound: &'static str,
    order: &'static str,
) {
    let sql = format!("SELECT seq FROM batch WHERE seq {bound} ? ORDER BY seq {order} LIMIT 1");
    let mut at = if order == "ASC" { i64::MIN } else { i64::MAX };
    loop {
        let next = sqlx::query_scalar(AssertSqlSafe(sql.as_str())).bind(at).fetch_optional(&mut *from).await;
        match next {
            // A tree that is damaged may lead round in circles.
            Ok(Some(seq)) if seqs.insert(seq) => at = seq,
            _ => return,
        }
    }
}

async fn copy(
    into: &mut SqliteConnection,
    from: &mut SqliteConnection,
    seq: i64,
    (id, n_rows, crc32, payload): &Stored,
) -> sqlx::Result<()> {
    let sql = "SELECT created_us, attempts, last_error FROM batch WHERE seq = ?";
    let known = sqlx::query_as(sql).bind(seq).fetch_optional(from).await.ok().flatten();
    let (created, attempts, last_error): (Option<i64>, i64, Option<String>) =
        known.unwrap_or((None, 0, None));
    let sql = "INSERT INTO batch (seq, batch_id, created_us, rows, bytes, crc32, payload, attempts, last_error) \
               VALUES (?, ?, coalesce(?, CAST(unixepoch('subsec') * 1000000 AS INTEGER)), ?, ?, ?, ?, ?, ?) \
               ON CONFLICT DO NOTHING";
    let query = sqlx::query(sql).bind(seq).bind(id.as_str()).bind(created).bind(n_rows);
    let query = query.bind(as_i64(payload.len())).bind(crc32).bind(payload.as_slice());
    query.bind(attempts).bind(last_error).execute(into).await.map(|_| ())
}

async fn copy_dead_letters(into: &mut SqliteConnection, from: &mut SqliteConnection) -> sqlx::Result<()> {
    let mut at = i64::MIN;
    loop {
        let sql =
            "SELECT id, batch_id, row_json, error, at_us FROM dead_letter WHERE id > ? ORDER BY id LIMIT 1";
        type Letter = (i64, String, String, String, i64);
        let next = sqlx::query_as(sql).bind(at).fetch_optional(&mut *from).await;
        let Ok(Some((id, batch_id, row, error, at_us))): sqlx::Result<Option<Letter>> = next else {
            return Ok(());
        };
        if id <= at {
            return Ok(());
        }
        at = id;
        let sql = "INSERT INTO dead_letter VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql).bind(id).bind(batch_id).bind(row).bind(error).bind(at_us);
        query.execute(&mut *into).await?;
    }
}
