//! What the disk changed is found out, is shown as such, and stands in nobody's way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;
use std::time::Duration;

use hookward_core::Store;
use hookward_core::store::{
    Acceptance, Browse, Claim, Filter, Job, JobOutcome, JobState, Settlement, Status, StoreError,
};
use hookward_store_sqlite::SqliteStore;
use hookward_testkit::store::{delivery, now};
use rusqlite::Connection;

/// A store of three events, `0` to `2`, each with a job, that was closed and then hit.
struct Hit {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Hit {
    async fn by(sql: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let store = SqliteStore::open(path.clone(), now()).await.unwrap();
        for n in 0..3 {
            store.accept(vec![delivery(&n.to_string())]).await.unwrap();
        }
        store.close().await;
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(sql).unwrap();
        Self { _folder: folder, path }
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.path.clone(), now()).await.unwrap()
    }

    async fn refused(&self) -> String {
        SqliteStore::open(self.path.clone(), now()).await.map(drop).unwrap_err().0
    }
}

async fn claim(store: &SqliteStore) -> Vec<Job> {
    let lease_until = now().plus(Duration::from_secs(30));
    let slots = vec![("orders".into(), 9)];
    store.claim(Claim { now: now(), lease_until, slots, unknown: 9 }).await.unwrap()
}

fn names(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.event.event_id().unwrap()).collect()
}

async fn events(store: &SqliteStore) -> Vec<(Option<String>, Option<String>, Status)> {
    let page = store.list(&Filter::default(), 9, None).await.unwrap();
    page.events.into_iter().map(|e| (e.event_type, e.event_id, e.status)).collect()
}

#[tokio::test]
async fn changed_bytes_reach_no_handler_and_hold_nobody_up() {
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
        let hit = Hit::by(sql).await;
        let store = hit.open().await;
        let jobs = claim(&store).await;
        assert_eq!(names(&jobs), ["0", "2"], "{sql}");
        assert!(claim(&store).await.is_empty(), "{sql}");
        let done = |job: &Job| JobOutcome {
            lease: job.lease,
            settlement: Settlement::Done,
            attempt: None,
        };
        store.settle(jobs.iter().map(done).collect()).await.unwrap();
        let depth = store.depth().await.unwrap();
        assert_eq!((depth.routes[0].open, depth.routes[0].dead), (0, 1), "{sql}");
        let dead = Filter { status: Some(Status::Dead), ..Filter::default() };
        let page = store.list(&dead, 9, None).await.unwrap();
        assert_eq!(page.events.len(), 1, "{sql}");
        let shown = store.show(page.events[0].id).await.unwrap().unwrap();
        let reason = shown.jobs[0].reason.as_deref().unwrap();
        assert_eq!((shown.jobs[0].state, reason.starts_with("damaged")), (JobState::Dead, true));
        store.close().await;
        // The next owner knows the same.
        let store = hit.open().await;
        assert_eq!(store.depth().await.unwrap().routes[0].dead, 1, "{sql}");
        store.close().await;
    }
}

#[tokio::test]
async fn a_changed_event_is_shown_as_damaged_and_without_its_bytes() {
    let hit = Hit::by("update deliveries set body = x'7b7d' where id = 2").await;
    let store = hit.open().await;
    let id = store.find("1", 1).await.unwrap()[0];
    let shown = store.show(id).await.unwrap().unwrap();
    assert!(shown.event.body().bytes().is_empty());
    assert!(shown.notes[0].starts_with("damaged"), "{:?}", shown.notes);
    store.close().await;

    let hit = Hit::by("update events set event_id = '7', notes = '[\"x\"]' where seq = 2").await;
    let store = hit.open().await;
    let listed = events(&store).await;
    assert_eq!(listed[1], (Some("(damaged)".to_owned()), None, Status::Pending));
    let whole = |n: &str| (Some("order.paid".to_owned()), Some(n.to_owned()), Status::Pending);
    assert_eq!((listed[0].clone(), listed[2].clone()), (whole("2"), whole("0")));
    store.close().await;
}

#[tokio::test]
async fn a_job_that_was_open_is_not_shown_as_done_by_a_flipped_bit() {
    // As a bit flip would leave it: the index does not hear of it.
    let hit = Hit::by(
        "drop index jobs_open; update jobs set state = 1 where event = 2;
         create index jobs_open on jobs (route, event, n) where state = 0",
    )
    .await;
    let store = hit.open().await;
    assert_eq!(events(&store).await[1].2, Status::Dead);
    store.close().await;
}

#[tokio::test]
async fn a_repetition_of_what_was_changed_is_answered_and_fails_nobody_beside_it() {
    for sql in [
        "update deliveries set answer = x'00' where id = 2",
        // It would get the answer of another one.
        "update events set delivery = 1 where seq = 2",
    ] {
        let hit = Hit::by(sql).await;
        let store = hit.open().await;
        let told = store.accept(["0", "1", "5"].map(delivery).to_vec()).await.unwrap();
        let Acceptance::Duplicate { answer, .. } = &told[1] else { panic!("{told:?}") };
        assert_eq!(*answer, delivery("1").answer, "its own answer, since the first one is gone");
        assert!(matches!(told[0], Acceptance::Duplicate { .. }));
        assert!(matches!(told[2], Acceptance::Accepted { .. }));
        store.close().await;
    }
}

/// Better one repetition too many than one event that nobody ever saw.
#[tokio::test]
async fn a_changed_key_sends_no_other_event_away() {
    let hit = Hit::by("").await;
    let conn = Connection::open(&hit.path).unwrap();
    let hash = |id: &str| delivery(id).events[0].keys[0].hash;
    conn.execute("insert into keys values (?1, 2, 0)", [hash("7")]).unwrap();
    conn.execute_batch("update keys set at = 9000000000000").unwrap();
    let store = hit.open().await;
    let told = store.accept(vec![delivery("7")]).await.unwrap();
    assert!(matches!(told[0], Acceptance::Accepted { .. }));
    store.close().await;
}

#[tokio::test]
async fn damage_on_which_all_rests_is_refused_at_start() {
    for sql in [
        "update names set name = 'partnes' where name = 'partner'",
        "update meta set value = 1 + value where name = 'keys_flushed_to'",
        "update meta set value = 9 where name = 'opens'",
    ] {
        let words = Hit::by(sql).await.refused().await;
        assert!(words.contains("is damaged") && words.contains("backup"), "{sql}: {words}");
    }
}

#[tokio::test]
async fn a_file_whose_index_lacks_what_its_table_has_is_refused_at_start() {
    let hit = Hit::by(
        "drop index jobs_open;
         create index jobs_open on jobs (route, event, n) where state = 7;
         pragma writable_schema = on;
         update sqlite_schema set sql = replace(sql, 'state = 7', 'state = 0')
         where name = 'jobs_open'",
    )
    .await;
    let words = hit.refused().await;
    assert!(words.contains("is damaged"), "{words}");
}

/// They are read without sums, and get them with the next change.
#[tokio::test]
async fn rows_of_an_older_format_are_taken_as_they_are() {
    let hit = Hit::by(
        "alter table deliveries drop column answer_sum;
         alter table deliveries drop column body_sum;
         alter table events drop column sum; alter table jobs drop column sum;
         alter table twins drop column sum; alter table names drop column sum;
         alter table meta drop column sum; pragma user_version = 2",
    )
    .await;
    let store = hit.open().await;
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
    let conn = Connection::open(&hit.path).unwrap();
    let sums = |of: &str| -> i64 {
        conn.query_row(&format!("select count(sum) from {of}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((sums("jobs"), sums("events"), sums("names")), (3, 0, 2));
    drop(conn);
    let conn = Connection::open(&hit.path).unwrap();
    conn.execute_batch("update jobs set attempt = 7 where event = 2").unwrap();
    drop(conn);
    let store = hit.open().await;
    // It was running; what is known of it is not what was written.
    assert_eq!(names(&claim(&store).await).len(), 1, "suspects run alone");
    assert_eq!(store.depth().await.unwrap().routes[0].dead, 1);
    assert_ne!(store.check().await, Err(StoreError::Closed));
    store.close().await;
}
