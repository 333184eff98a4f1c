//! Batches of a later version, which this one cannot read.

use serde_json::json;

use super::payload::Packed;
use super::queue::{Rescued, Spool, advance_clock, insert, read};
use super::tests::{ROOMY, append, id, opened, rows};
use crate::store::{Error, StoreUrl, Writer};

/// Appends a batch that a later version wrote, with a kind of record that there is not in this one.
async fn append_of_a_later_version(spool: &mut Spool, n: usize) {
    let records = [json!({"record": "curve", "series": 1, "energy_mj": 7}), json!({"event_type": "x"})];
    let now = advance_clock(&mut spool.connection).await.unwrap();
    let packed = Packed::of(id(n), &records);
    insert(&mut spool.connection, now, id(n), records.len(), packed).await.unwrap();
}

#[tokio::test]
async fn a_batch_of_a_later_version_waits_with_an_error_and_is_never_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = opened(&folder).await;
    append(&mut spool, 0, 2, ROOMY).await.unwrap();
    append_of_a_later_version(&mut spool, 1).await;
    append(&mut spool, 2, 3, ROOMY).await.unwrap();
    spool.close().await;
    let timeline = StoreUrl::sqlite(folder.path().join("t.db"));
    let mut writer = Writer::open(folder.path(), &timeline, "t", ROOMY).await.unwrap();
    for n_delivered in [1, 0] {
        let receipt = writer.replay(|_| ()).await.unwrap();
        let backlog = receipt.backlog.unwrap();
        assert_eq!((receipt.batches, receipt.dead_letters, backlog.batches), (n_delivered, 0, 2));
        let error = backlog.error.unwrap();
        assert!(matches!(error, Error::UnknownRecord(..)));
        assert!(error.to_string().contains("records of kind `curve`"), "{error}");
    }
    // A new batch is kept behind it.
    let receipt = writer.keep(id(3), &rows(3, 1), None).await.unwrap();
    assert_eq!((receipt.batches, receipt.backlog.unwrap().batches), (0, 3));
    writer.close().await;
    // Nor does it count as damaged when something else is.
    let mut spool = opened(&folder).await.repair().await.unwrap();
    assert_eq!(spool.rescued.take().unwrap(), Rescued { saved: 3, lost: 0 });
    let batch = spool.oldest().await.unwrap().unwrap();
    assert_eq!(batch.id, id(1));
    assert!(matches!(batch.records.unwrap_err(), Error::UnknownRecord(..)));
    let (_, n_records, ..) = read(&mut spool.connection, batch.seq).await.unwrap().unwrap();
    assert_eq!(n_records, 2);
}
