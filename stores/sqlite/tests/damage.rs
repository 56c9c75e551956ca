//! Rows that the disk changed are found by their checksums, are shown as damaged, and block no
//! other row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;
use std::time::Duration;

use hookward_core::Store;
use hookward_core::store::{
    Acceptance, Browse, ClaimRequest, EventFilter, EventStatus, Job, JobOutcome, JobState,
    Settlement, StoreError,
};
use hookward_store_sqlite::SqliteStore;
use hookward_testkit::store::{delivery, now};
use rusqlite::Connection;

/// A closed store of three events, `0` to `2`, each with a job, whose file was changed by SQL.
struct DamagedStore {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl DamagedStore {
    async fn damaged_by(sql: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let store =
            SqliteStore::open(path.clone(), now(), hookward_testkit::store::POLICY).await.unwrap();
        for n in 0..3 {
            store.accept(vec![delivery(&n.to_string())]).await.unwrap();
        }
        store.close().await;
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(sql).unwrap();
        Self { _folder: folder, path }
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.path.clone(), now(), hookward_testkit::store::POLICY).await.unwrap()
    }

    async fn open_error(&self) -> String {
        SqliteStore::open(self.path.clone(), now(), hookward_testkit::store::POLICY)
            .await
            .map(drop)
            .unwrap_err()
            .message
    }
}

async fn claim(store: &SqliteStore) -> Vec<Job> {
    let lease_until = now().plus(Duration::from_secs(30));
    let slots = vec![("orders".into(), 9)];
    store.claim(ClaimRequest::new(now(), lease_until, slots).with_max_unrouted(9)).await.unwrap()
}

fn names(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.event.event_id().unwrap()).collect()
}

async fn events(store: &SqliteStore) -> Vec<(Option<String>, Option<String>, EventStatus)> {
    let page = store.list(&EventFilter::default(), 9, None).await.unwrap();
    page.events.into_iter().map(|e| (e.event_type, e.event_id, e.status)).collect()
}

#[tokio::test]
async fn a_corrupt_job_reaches_no_handler_and_blocks_no_other_job() {
    for sql in [
        "update deliveries set body = x'7b7d' where id = 2",
        "update deliveries set headers = '[]' where id = 2",
        "update events set event_type = 'order.paix' where seq = 2",
        "update events set part = '' where seq = 2",
        "update jobs set attempt = 3 where event = 2",
        "update jobs set step = 'other' where event = 2",
        "update jobs set attempts = '{' where event = 2",
        "delete from deliveries where id = 2",
    ] {
        let damaged = DamagedStore::damaged_by(sql).await;
        let store = damaged.open().await;
        let jobs = claim(&store).await;
        assert_eq!(names(&jobs), ["0", "2"], "{sql}");
        assert!(claim(&store).await.is_empty(), "{sql}");
        let done = |job: &Job| JobOutcome::new(job.lease, Settlement::Done);
        store.settle(jobs.iter().map(done).collect()).await.unwrap();
        let depth = store.depth().await.unwrap();
        assert_eq!((depth.routes[0].open, depth.routes[0].dead), (0, 1), "{sql}");
        let dead = EventFilter::new().with_status(EventStatus::Dead);
        let page = store.list(&dead, 9, None).await.unwrap();
        assert_eq!(page.events.len(), 1, "{sql}");
        let shown = store.show(page.events[0].id).await.unwrap().unwrap();
        let reason = shown.jobs[0].reason.as_deref().unwrap();
        assert_eq!((shown.jobs[0].state, reason.starts_with("damaged")), (JobState::Dead, true));
        store.close().await;
        // It is dead for the next owner too.
        let store = damaged.open().await;
        assert_eq!(store.depth().await.unwrap().routes[0].dead, 1, "{sql}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_corrupt_event_is_shown_as_damaged_and_without_its_bytes() {
    let damaged =
        DamagedStore::damaged_by("update deliveries set body = x'7b7d' where id = 2").await;
    let store = damaged.open().await;
    let id = store.find("1", 1).await.unwrap()[0];
    let shown = store.show(id).await.unwrap().unwrap();
    assert!(shown.event.body().bytes().is_empty());
    assert!(shown.notes[0].starts_with("damaged"), "{:?}", shown.notes);
    store.close().await;

    let damaged = DamagedStore::damaged_by(
        "update events set event_id = '7', notes = '[\"x\"]' where seq = 2",
    )
    .await;
    let store = damaged.open().await;
    let listed = events(&store).await;
    assert_eq!(listed[1], (Some("(damaged)".to_owned()), None, EventStatus::Pending));
    let intact =
        |n: &str| (Some("order.paid".to_owned()), Some(n.to_owned()), EventStatus::Pending);
    assert_eq!((listed[0].clone(), listed[2].clone()), (intact("2"), intact("0")));
    store.close().await;
}

#[tokio::test]
async fn an_open_job_with_a_flipped_bit_is_not_shown_as_done() {
    // A flipped bit changes the row but not the index, so the update must not reach the index.
    let damaged = DamagedStore::damaged_by(
        "drop index jobs_open; update jobs set state = 1 where event = 2;
         create index jobs_open on jobs (route, event, n) where state = 0",
    )
    .await;
    let store = damaged.open().await;
    assert_eq!(events(&store).await[1].2, EventStatus::Dead);
    store.close().await;
}

#[tokio::test]
async fn a_duplicate_of_a_corrupt_event_is_answered_and_fails_no_other_delivery() {
    for sql in [
        "update deliveries set answer = x'00' where id = 2",
        // Unnoticed, the duplicate would get the answer to another delivery.
        "update events set delivery = 1 where seq = 2",
    ] {
        let damaged = DamagedStore::damaged_by(sql).await;
        let store = damaged.open().await;
        let accepted = store.accept(["0", "1", "5"].map(delivery).to_vec()).await.unwrap();
        let Acceptance::Duplicate { answer, .. } = &accepted[1] else { panic!("{accepted:?}") };
        assert_eq!(*answer, delivery("1").answer, "its own answer, because the stored one is lost");
        assert!(matches!(accepted[0], Acceptance::Duplicate { .. }));
        assert!(matches!(accepted[2], Acceptance::Accepted { .. }));
        store.close().await;
    }
}

/// A duplicate that is accepted is better than a new event that is dropped.
#[tokio::test]
async fn a_corrupt_dedupe_key_drops_no_new_event() {
    let damaged = DamagedStore::damaged_by("").await;
    let conn = Connection::open(&damaged.path).unwrap();
    let hash = |id: &str| delivery(id).events[0].keys[0].hash;
    conn.execute("insert into keys values (?1, 2, 0)", [hash("7")]).unwrap();
    conn.execute_batch("update keys set at = 9000000000000").unwrap();
    drop(conn);
    let store = damaged.open().await;
    let accepted = store.accept(vec![delivery("7")]).await.unwrap();
    assert!(matches!(accepted[0], Acceptance::Accepted { .. }));
    store.close().await;
}

#[tokio::test]
async fn a_store_with_a_corrupt_name_or_counter_is_not_opened() {
    for sql in [
        "update names set name = 'partnes' where name = 'partner'",
        "update meta set value = 1 + value where name = 'keys_flushed_to'",
        "update meta set value = 9 where name = 'opens'",
    ] {
        let message = DamagedStore::damaged_by(sql).await.open_error().await;
        assert!(message.contains("is damaged") && message.contains("backup"), "{sql}: {message}");
    }
}

#[tokio::test]
async fn a_file_with_an_index_that_lacks_rows_is_not_opened() {
    let damaged = DamagedStore::damaged_by(
        "drop index jobs_open;
         create index jobs_open on jobs (route, event, n) where state = 7;
         pragma writable_schema = on;
         update sqlite_schema set sql = replace(sql, 'state = 7', 'state = 0')
         where name = 'jobs_open'",
    )
    .await;
    let message = damaged.open_error().await;
    assert!(message.contains("is damaged"), "{message}");
}

/// Their rows have no sums, and get them with their next change.
#[tokio::test]
async fn rows_of_a_format_2_file_are_used_without_checksums_until_they_change() {
    let damaged = DamagedStore::damaged_by(
        "alter table deliveries drop column answer_sum;
         alter table deliveries drop column body_sum;
         alter table events drop column sum; alter table jobs drop column sum;
         drop table purged_keys; alter table content_duplicates rename to twins;
         alter table twins drop column sum; alter table names drop column sum;
         alter table meta drop column sum; pragma user_version = 2",
    )
    .await;
    let store = damaged.open().await;
    assert!(matches!(
        store.accept(vec![delivery("1")]).await.unwrap()[0],
        Acceptance::Duplicate { .. }
    ));
    assert_eq!(names(&claim(&store).await), ["0", "1", "2"]);
    assert_eq!(
        store.show(store.find("1", 1).await.unwrap()[0]).await.unwrap().unwrap().notes,
        [""; 0]
    );
    store.close().await;
    let conn = Connection::open(&damaged.path).unwrap();
    let sums = |table: &str| -> i64 {
        conn.query_row(&format!("select count(sum) from {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((sums("jobs"), sums("events"), sums("names")), (3, 0, 2));
    drop(conn);
    let conn = Connection::open(&damaged.path).unwrap();
    conn.execute_batch("update jobs set attempt = 7 where event = 2").unwrap();
    drop(conn);
    let store = damaged.open().await;
    // The job was running, and its row does not match its sum any more.
    assert_eq!(names(&claim(&store).await).len(), 1, "a crash suspect runs alone");
    assert_eq!(store.depth().await.unwrap().routes[0].dead, 1);
    assert_ne!(store.check().await, Err(StoreError::Closed));
    store.close().await;
}
