//! The spool against a model that is a list.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use sqlx::Connection;
use tempfile::TempDir;
use uuid::Uuid;

use super::queue::*;
use crate::batch::{BatchId, Metadata};
use crate::store::record::{EventRow, Record, events};
use crate::store::{Error, FileTrouble};

pub(super) const ROOMY: SpoolLimits = SpoolLimits { bytes: 1 << 30, age: Duration::from_secs(3_600) };

pub(super) fn id(n: usize) -> BatchId {
    BatchId(Uuid::from_u128(u128::try_from(n).unwrap() + 1))
}

/// Rows that do not compress to nothing, and that say which batch they are of.
pub(super) fn rows(n: usize, n_rows: usize) -> Vec<Record> {
    let row = |i: usize| {
        Record::Event(EventRow {
            event_type: "gpu_power_draw".to_owned(),
            source: format!("gpu_{n}_{i}"),
            value: Some(f64::from(u32::try_from(n * 31 + i).unwrap()) / 7.0),
            metadata: Metadata::of(&json!({"batch": id(n).to_string(), "noise": noise(n, i)})),
            created_at: 1,
        })
    };
    (0..n_rows).map(row).collect()
}

fn sources(batch: &SpooledBatch) -> Vec<&str> {
    events(batch.records.as_ref().unwrap()).into_iter().map(|row| row.source.as_str()).collect()
}

async fn dead_letter(spool: &mut Spool, batch: &SpooledBatch, places: &[usize]) -> u64 {
    let refused: Vec<_> = places.iter().map(|place| (*place, "no".to_owned())).collect();
    spool.dead_letter((batch.seq, batch.id), batch.records.as_ref().unwrap(), &refused).await.unwrap()
}

/// Noise that is the same each time.
fn noise(n: usize, i: usize) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{n} {i}").as_bytes()).to_string()
}

fn same(a: &[Record], b: &[Record]) -> bool {
    serde_json::to_string(a).unwrap() == serde_json::to_string(b).unwrap()
}

pub(super) async fn append(
    spool: &mut Spool,
    n: usize,
    n_rows: usize,
    limits: SpoolLimits,
) -> Result<Dropped, Error> {
    let note = |dropped: Dropped| {
        let Record::Event(note) = rows(n, 1).remove(0) else { unreachable!() };
        Record::Event(EventRow { source: format!("dropped {} {}", dropped.batches, dropped.rows), ..note })
    };
    spool.append(id(n), &rows(n, n_rows), limits, note, None).await
}

pub(super) async fn opened(folder: &TempDir) -> Spool {
    Spool::open(folder.path()).await.unwrap()
}

async fn drained(spool: &mut Spool) -> Vec<BatchId> {
    let mut ids = Vec::new();
    while let Some(batch) = spool.oldest().await.unwrap() {
        ids.push(batch.id);
        spool.delivered(batch.seq).await.unwrap();
    }
    ids
}

/// The remains after `kill -9`: the files as they are, without their last connection's farewell.
async fn killed(spool: Spool, from: &TempDir) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for name in ["spool.db", "spool.db-wal"] {
        if from.path().join(name).exists() {
            std::fs::copy(from.path().join(name), to.path().join(name)).unwrap();
        }
    }
    spool.close().await;
    to
}

fn aside(folder: &TempDir) -> Vec<String> {
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    names.filter(|name| name.starts_with("spool.corrupt-") && !name.ends_with("-shm")).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    /// The database takes the oldest, and says so.
    Deliver,
    /// It takes it, and its answer is lost.
    DeliverUnheard,
    Refuse,
    Kill,
    Reopen,
    Flip(usize, u8),
    Truncate(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let harmless = prop_oneof![
        4 => (1_usize..40).prop_map(Step::Append),
        3 => Just(Step::Deliver),
        1 => Just(Step::DeliverUnheard),
        1 => Just(Step::Refuse),
        1 => Just(Step::Kill),
        1 => Just(Step::Reopen),
    ];
    let any = prop_oneof![
        8 => harmless.clone(),
        1 => (any::<usize>(), 1_u8..).prop_map(|(at, bits)| Step::Flip(at, bits)),
        1 => any::<usize>().prop_map(Step::Truncate),
    ];
    prop_oneof![prop::collection::vec(harmless, 0..40), prop::collection::vec(any, 0..40)]
}

/// A spool, the database behind it, and what it must come to.
struct Story {
    folder: TempDir,
    spool: Option<Spool>,
    acknowledged: Vec<(usize, usize)>,
    timeline: Vec<BatchId>,
    delivery_log: BTreeSet<BatchId>,
    is_damaged: bool,
}

impl Story {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spool = Some(opened(&folder).await);
        let (acknowledged, timeline, delivery_log) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { folder, spool, acknowledged, timeline, delivery_log, is_damaged: false }
    }

    fn spool(&mut self) -> &mut Spool {
        self.spool.as_mut().unwrap()
    }

    /// As the writer does: damage that is only met on the way is mended once.
    async fn mended(&mut self, error: Error) {
        assert!(error.is_damaged_spool() && self.is_damaged, "{error:?}");
        let spool = self.spool.take().unwrap();
        self.spool = Some(spool.repair().await.unwrap());
    }

    async fn oldest(&mut self) -> Option<SpooledBatch> {
        match self.spool().oldest().await {
            Ok(batch) => batch,
            Err(error) => {
                self.mended(error).await;
                self.spool().oldest().await.unwrap()
            }
        }
    }

    /// Says whether there was one.
    async fn deliver(&mut self, is_heard: bool) -> bool {
        let Some(batch) = self.oldest().await else { return false };
        let (n, n_rows) = *self.acknowledged.iter().find(|(n, _)| id(*n) == batch.id).unwrap();
        assert!(
            same(batch.records.as_ref().unwrap(), &rows(n, n_rows)),
            "a batch is as it was appended, or it is not there"
        );
        if self.delivery_log.insert(batch.id) {
            self.timeline.push(batch.id);
        }
        if is_heard && let Err(error) = self.spool().delivered(batch.seq).await {
            self.mended(error).await;
        }
        true
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Append(n_rows) => {
                let n = self.acknowledged.len();
                if let Err(error) = append(self.spool(), n, n_rows, ROOMY).await {
                    self.mended(error).await;
                    append(self.spool(), n, n_rows, ROOMY).await.unwrap();
                }
                self.acknowledged.push((n, n_rows));
            }
            Step::Deliver => drop(self.deliver(true).await),
            Step::DeliverUnheard => drop(self.deliver(false).await),
            Step::Refuse => {
                if let Some(batch) = self.oldest().await
                    && let Err(error) = self.spool().failed(batch.seq, "away").await
                {
                    self.mended(error).await;
                }
            }
            Step::Kill => self.kill(|_| ()).await,
            Step::Reopen => {
                self.spool.take().unwrap().close().await;
                self.spool = Some(opened(&self.folder).await);
            }
            Step::Flip(at, bits) => {
                self.kill(|bytes| {
                    let at = at % bytes.len().max(1);
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits);
                })
                .await;
            }
            Step::Truncate(at) => self.kill(|bytes| bytes.truncate(at % bytes.len().max(1))).await,
        }
    }

    /// Kills, changes one of the files, and opens what is left.
    async fn kill(&mut self, damage: impl Fn(&mut Vec<u8>)) {
        self.folder = killed(self.spool.take().unwrap(), &self.folder).await;
        let parts = ["spool.db", "spool.db-wal"].map(|name| self.folder.path().join(name));
        let path = if self.acknowledged.len().is_multiple_of(2) { &parts[0] } else { &parts[1] };
        let before = std::fs::read(path).unwrap_or_default();
        let mut after = before.clone();
        damage(&mut after);
        if after != before {
            self.is_damaged = true;
            std::fs::write(path, after).unwrap();
        }
        self.spool = Some(opened(&self.folder).await);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn nothing_acknowledged_is_lost_doubled_or_out_of_order_unless_its_bytes_were_damaged(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut story = Story::new().await;
            for step in steps {
                story.step(step).await;
            }
            while story.deliver(true).await {}
            let all: Vec<BatchId> = story.acknowledged.iter().map(|(n, _)| id(*n)).collect();
            if story.is_damaged {
                let mut ahead = all.iter();
                assert!(story.timeline.iter().all(|id| ahead.any(|ahead| ahead == id)), "out of order");
            } else {
                assert_eq!(story.timeline, all);
                assert!(aside(&story.folder).is_empty());
            }
        });
    }
}

#[tokio::test]
async fn the_file_is_private_synced_and_says_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = opened(&folder).await;
    append(&mut spool, 0, 3, ROOMY).await.unwrap();
    append(&mut spool, 1, 4, ROOMY).await.unwrap();
    append(&mut spool, 1, 4, ROOMY).await.unwrap();
    for name in ["spool.db", "spool.db-wal", "spool.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let oldest = spool.oldest().await.unwrap().unwrap();
    spool.failed(oldest.seq, "away").await.unwrap();
    let synchronous: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut spool.connection).await.unwrap();
    let status = spool.status().await.unwrap();
    assert_eq!((synchronous, status.batches, status.rows), (2, 2, 7));
    assert_eq!(status.last_error, Some((1, "away".to_owned())));
    assert!(status.oldest.unwrap() < Duration::from_secs(60) && status.bytes > 0);
    let seen = Spool::inspect(folder.path()).await.unwrap().unwrap();
    assert_eq!(SpoolStatus { oldest: status.oldest, ..seen }, status);
}

#[tokio::test]
async fn a_full_spool_drops_the_oldest_and_the_newest_batch_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = opened(&folder).await;
    append(&mut spool, 0, 30, ROOMY).await.unwrap();
    let one = spool.status().await.unwrap().bytes;
    let limits = SpoolLimits { bytes: one * 7 / 2, ..ROOMY };
    for n in 1..3 {
        assert_eq!(append(&mut spool, n, 30, limits).await.unwrap(), Dropped::default());
    }
    assert_eq!(append(&mut spool, 3, 30, limits).await.unwrap(), Dropped { batches: 1, rows: 30 });
    let status = spool.status().await.unwrap();
    assert_eq!((status.batches, status.rows, status.dropped_total), (3, 91, 1));
    let tiny = SpoolLimits { bytes: 1, ..ROOMY };
    assert_eq!(append(&mut spool, 4, 1, tiny).await.unwrap(), Dropped { batches: 3, rows: 91 });
    let last = spool.oldest().await.unwrap().unwrap();
    assert_eq!((last.id, sources(&last)[1]), (id(4), "dropped 3 91"));
}

#[tokio::test]
async fn what_is_too_old_is_dropped_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = opened(&folder).await;
    for n in 0..3 {
        append(&mut spool, n, 1, ROOMY).await.unwrap();
    }
    // A clock that was wrong for a while.
    let sql = "UPDATE batch SET created_us = 0 WHERE seq = 2";
    sqlx::query(sql).execute(&mut spool.connection).await.unwrap();
    assert_eq!(append(&mut spool, 3, 1, ROOMY).await.unwrap(), Dropped { batches: 1, rows: 1 });
    assert_eq!(drained(&mut spool).await, [id(0), id(2), id(3)]);
}

#[test]
fn a_clock_that_jumps_makes_the_spool_a_day_older_at_most() {
    let day = 24 * 60 * 60 * 1_000_000;
    let mut clock = (None, None);
    let mut at = |now: i64| {
        let spool = clock_at((now, clock.0, clock.1, None));
        clock = (Some(now), Some(spool));
        spool
    };
    assert_eq!(at(1_000 * day), 1_000 * day);
    assert_eq!(at(1_031 * day), 1_001 * day, "31 days ahead");
    assert_eq!(at(1_000 * day + 60), 1_001 * day, "and back");
    assert_eq!(at(1_000 * day + 120), 1_001 * day + 60);
    assert_eq!(clock_at((1_031 * day, None, None, Some(1_000 * day))), 1_001 * day, "a spool of before");
}

#[tokio::test]
async fn a_clock_that_is_a_month_ahead_for_once_drops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = opened(&folder).await;
    append(&mut spool, 0, 1, ROOMY).await.unwrap();
    // As if the clock had been behind by 31 days until now.
    let sql = "UPDATE meta SET value = value - 31 * 86400 * 1000000 WHERE key IN ('clock_us', 'spool_us')";
    sqlx::query(sql).execute(&mut spool.connection).await.unwrap();
    let sql = "UPDATE batch SET created_us = created_us - 31 * 86400 * 1000000";
    sqlx::query(sql).execute(&mut spool.connection).await.unwrap();
    let limits = SpoolLimits { age: Duration::from_secs(30 * 86_400), ..ROOMY };
    assert_eq!(append(&mut spool, 1, 1, limits).await.unwrap(), Dropped::default());
    let oldest = spool.status().await.unwrap().oldest.unwrap();
    assert!(oldest < Duration::from_secs(25 * 3_600), "{oldest:?}");
}

#[tokio::test]
async fn refused_rows_are_laid_aside_and_the_rest_keeps_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = opened(&folder).await;
    append(&mut spool, 0, 3, ROOMY).await.unwrap();
    append(&mut spool, 1, 1, ROOMY).await.unwrap();
    let batch = spool.oldest().await.unwrap().unwrap();
    dead_letter(&mut spool, &batch, &[1]).await;
    let rest = spool.oldest().await.unwrap().unwrap();
    assert_eq!((rest.id, sources(&rest)), (id(0), vec!["gpu_0_0", "gpu_0_2"]));
    dead_letter(&mut spool, &rest, &[0, 1]).await;
    assert_eq!(drained(&mut spool).await, [id(1)]);
    let sql = "SELECT row_json FROM dead_letter ORDER BY id LIMIT 1";
    let json: String = sqlx::query_scalar(sql).fetch_one(&mut spool.connection).await.unwrap();
    assert!(json.contains("\"source\":\"gpu_0_1\""), "{json}");
    assert_eq!(spool.status().await.unwrap().dead_letters, 3);
}

#[tokio::test]
async fn of_too_many_refused_rows_the_oldest_are_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = opened(&folder).await;
    let refused: Vec<usize> = (0..6_000).collect();
    for (n, n_dropped) in [(0, 0), (1, 2_000)] {
        append(&mut spool, n, 6_000, ROOMY).await.unwrap();
        let batch = spool.oldest().await.unwrap().unwrap();
        assert_eq!(dead_letter(&mut spool, &batch, &refused).await, n_dropped);
    }
    let status = spool.status().await.unwrap();
    assert_eq!((status.dead_letters, status.dead_letters_dropped_total), (10_000, 2_000));
    assert_eq!(spool.dead_letters_after(i64::MIN, 1).await.unwrap()[0].id, 2_001);
}

#[tokio::test]
async fn a_full_disk_is_said_and_what_was_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = opened(&folder).await;
    append(&mut spool, 0, 1, ROOMY).await.unwrap();
    // SQLite's own way to a full disk: the file may not grow beyond its present pages.
    sqlx::query("PRAGMA max_page_count = 1").execute(&mut spool.connection).await.unwrap();
    let error = append(&mut spool, 1, 3_000, ROOMY).await.unwrap_err();
    assert!(error.to_string().ends_with("spool.db` cannot grow: the disk is full"), "{error}");
    assert!(!error.is_damaged_spool() && !error.is_failing_disk());
    assert_eq!(drained(&mut spool).await, [id(0)]);
}

#[test]
fn a_sync_that_fails_is_the_disk_and_nothing_else() {
    let error = |code| Error::Spool("s".into(), FileTrouble::of_code(code), None);
    // SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE; SQLITE_FULL.
    assert!(error(1034).is_failing_disk() && error(778).is_failing_disk() && !error(13).is_failing_disk());
}

#[tokio::test]
async fn a_batch_with_a_wrong_checksum_is_set_aside_with_the_file_and_the_others_are_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = opened(&folder).await;
    for n in 0..5 {
        append(&mut spool, n, 20, ROOMY).await.unwrap();
    }
    let batch = spool.oldest().await.unwrap().unwrap();
    dead_letter(&mut spool, &batch, &[0]).await;
    let sql = "UPDATE batch SET payload = zeroblob(length(payload)) WHERE seq = 3";
    sqlx::query(sql).execute(&mut spool.connection).await.unwrap();
    sqlx::query("DELETE FROM batch WHERE seq < 3").execute(&mut spool.connection).await.unwrap();
    let error = spool.oldest().await.unwrap_err();
    assert!(error.is_damaged_spool(), "{error:?}");
    let mut spool = spool.repair().await.unwrap();
    let status = spool.status().await.unwrap();
    assert_eq!((status.batches, status.lost_total, status.dead_letters), (2, 1, 1));
    assert_eq!(drained(&mut spool).await, [id(3), id(4)]);
    assert_eq!(aside(&folder).len(), 1, "the damaged file is kept for a person to look at");
}

/// A spool of thirty batches, the first ten delivered, as bytes of its file.
async fn twenty_waiting() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = opened(&folder).await;
    for n in 0..30 {
        append(&mut spool, n, 40, ROOMY).await.unwrap();
    }
    for _ in 0..10 {
        let batch = spool.oldest().await.unwrap().unwrap();
        spool.delivered(batch.seq).await.unwrap();
    }
    spool.close().await;
    std::fs::read(folder.path().join("spool.db")).unwrap()
}

/// Opens these bytes as a spool; gives what was saved and lost, or `None` if it was not found to be damaged, and the
/// batches that wait in it.
async fn opened_as(bytes: &[u8]) -> (Option<(u64, u64)>, Vec<BatchId>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("spool.db"), bytes).unwrap();
    let mut spool = opened(&folder).await;
    let rescued = spool.rescued.take().map(|rescued| (rescued.saved, rescued.lost));
    assert_eq!(aside(&folder).len(), usize::from(rescued.is_some()));
    assert_eq!(spool.status().await.unwrap().lost_total, rescued.map_or(0, |(_, lost)| lost));
    (rescued, drained(&mut spool).await)
}

#[tokio::test]
async fn what_the_pages_still_hold_is_saved_whatever_else_is_damaged() {
    let good = twenty_waiting().await;
    let all: Vec<BatchId> = (10..30).map(id).collect();
    assert_eq!(opened_as(&good).await, (None, all.clone()));
    // The magic, the schema format, the first page, the root of the table.
    for (range, bits) in [(0..16, 0xff), (44..48, 0xff), (0..4_096, 0), (8_192..12_288, 0)] {
        let mut bytes = good.clone();
        bytes[range.clone()].fill(bits);
        let (rescued, waiting) = opened_as(&bytes).await;
        assert_eq!(rescued, Some((20, 0)), "{range:?}");
        assert_eq!(waiting, all, "{range:?}");
    }
    // Without the map of free pages, some that were delivered go again, which the timeline knows.
    let mut bytes = good.clone();
    bytes[4_096..8_192].fill(0);
    let (rescued, waiting) = opened_as(&bytes).await;
    assert!(rescued.unwrap().1 == 0 && waiting.ends_with(&all), "{rescued:?}");
    let (rescued, waiting) = opened_as(&good[..good.len() / 2]).await;
    let (saved, lost) = rescued.unwrap();
    assert!(saved > 0 && lost > 0 && saved + lost == 20, "{saved} {lost}");
    assert!(usize::try_from(saved) == Ok(waiting.len()) && waiting.iter().all(|id| all.contains(id)));
}

#[tokio::test]
async fn a_spool_of_the_program_before_opens_and_is_read_by_its_pages() {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/spool/schema1.db")).unwrap();
    let (rescued, waiting) = opened_as(&bytes).await;
    assert_eq!((rescued, waiting.len()), (None, 3));
    let mut damaged = bytes.clone();
    damaged[..4_096].fill(0);
    assert_eq!(opened_as(&damaged).await, (Some((3, 0)), waiting));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn random_damage_never_keeps_the_spool_from_opening_nor_changes_a_batch(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 1..6_000_usize), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut bytes = twenty_waiting().await;
            for (place, value, length) in places {
                let start = place.index(bytes.len());
                let end = (start + length).min(bytes.len());
                bytes[start..end].fill(value);
            }
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("spool.db"), &bytes).unwrap();
            // A version that is newer by damage is a file to leave alone.
            let Ok(mut spool) = Spool::open(folder.path()).await else { return };
            let mut n_tries = 0;
            while n_tries < 3 {
                match spool.oldest().await {
                    Ok(Some(batch)) => {
                        let n = (0..30).find(|n| id(*n) == batch.id).unwrap();
                        assert!(same(batch.records.as_ref().unwrap(), &rows(n, 40)));
                        match spool.delivered(batch.seq).await {
                            Ok(()) => {}
                            Err(_) => { spool = spool.repair().await.unwrap(); n_tries += 1; }
                        }
                    }
                    Ok(None) => break,
                    Err(_) => { spool = spool.repair().await.unwrap(); n_tries += 1; }
                }
            }
            append(&mut spool, 30, 1, ROOMY).await.unwrap();
        });
    }
}

#[tokio::test]
async fn whatever_has_the_spools_name_and_is_none_is_set_aside() {
    for kind in ["folder", "fifo", "database of others", "half a header"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool.db");
        match kind {
            "folder" => std::fs::create_dir(&path).unwrap(),
            "fifo" => {
                let mode = rustix::fs::Mode::RUSR;
                rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
            }
            "half a header" => std::fs::write(&path, "SQLite format 3").unwrap(),
            _ => {
                let options =
                    sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
                let mut other = sqlx::ConnectOptions::connect(&options).await.unwrap();
                sqlx::raw_sql("CREATE TABLE theirs (a)").execute(&mut other).await.unwrap();
                other.close().await.unwrap();
            }
        }
        let mut spool = opened(&folder).await;
        append(&mut spool, 0, 1, ROOMY).await.unwrap();
        assert_eq!((drained(&mut spool).await, aside(&folder).len()), (vec![id(0)], 1), "{kind}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("spool.db"), "not a database, but long enough for one. ".repeat(50))
        .unwrap();
    let mut spool = opened(&folder).await;
    append(&mut spool, 0, 1, ROOMY).await.unwrap();
    assert_eq!((drained(&mut spool).await, aside(&folder).len()), (vec![id(0)], 1));
}

#[tokio::test]
async fn a_rescue_that_was_cut_short_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = opened(&folder).await;
    append(&mut spool, 0, 1, ROOMY).await.unwrap();
    spool.close().await;
    // The new file is complete, and the old one is or is not yet out of its place.
    let (place, complete) = (folder.path().join("spool.db"), folder.path().join("spool.rescued"));
    std::fs::rename(&place, &complete).unwrap();
    std::fs::write(folder.path().join("spool.rescue"), "half").unwrap();
    std::fs::write(&place, "damaged").unwrap();
    assert!(Spool::is_there(folder.path()));
    let mut spool = opened(&folder).await;
    assert_eq!((drained(&mut spool).await, aside(&folder).len()), (vec![id(0)], 1));
    assert!(!folder.path().join("spool.rescue").exists() && !complete.exists());
}

#[tokio::test]
async fn a_spool_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = opened(&folder).await;
    let sql = "UPDATE meta SET value = 9 WHERE key = 'schema_version'";
    sqlx::query(sql).execute(&mut spool.connection).await.unwrap();
    spool.close().await;
    let error = Spool::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, Error::Newer(..)));
    assert!(aside(&folder).is_empty());
}
