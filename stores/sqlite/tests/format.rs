//! Formats of the file: older ones are migrated, newer ones and files of other programs are not
//! opened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use hookward_core::Store;
use hookward_core::store::{Acceptance, Browse, PurgeRequest};
use hookward_store_sqlite::SqliteStore;
use hookward_testkit::store::{delivery, now};
use rusqlite::Connection;

/// The format that this version writes.
const NEWEST_FORMAT: i64 = 6;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hookward.db");
    (folder, path)
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path.to_owned(), now(), hookward_testkit::store::POLICY).await.unwrap()
}

async fn open_error(path: &Path) -> String {
    SqliteStore::open(path.to_owned(), now(), hookward_testkit::store::POLICY)
        .await
        .map(drop)
        .unwrap_err()
        .message
}

fn format(path: &Path) -> i64 {
    let conn = Connection::open(path).unwrap();
    conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_newer_format_is_not_opened_and_the_error_says_what_to_use() {
    let (_folder, path) = folder();
    open(&path).await.close().await;
    assert_eq!(format(&path), NEWEST_FORMAT);
    for newer in [NEWEST_FORMAT + 1, 99] {
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(&format!("pragma user_version = {newer}")).unwrap();
        drop(conn);
        let message = open_error(&path).await;
        assert!(message.contains(&format!("format {newer}")), "{message}");
        assert!(message.contains("up to 6") && message.contains("newer"), "{message}");
        assert_eq!(format(&path), newer, "the file is not changed");
    }
}

#[tokio::test]
async fn files_of_other_programs_are_not_opened_and_not_changed() {
    let (folder, path) = folder();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("create table books (title text)").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    let message = open_error(&path).await;
    assert!(message.contains("another program"), "{message}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(!path.with_extension("db.reserve").exists(), "no reserve is allocated for it");

    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database at all, but long enough to be read as one".repeat(20))
        .unwrap();
    let message = open_error(&text).await;
    assert!(message.contains("not an SQLite database"), "{message}");

    let message = open_error(folder.path()).await;
    assert!(message.contains("is a folder"), "{message}");
    let message = open_error(&folder.path().join("no/where.db")).await;
    assert!(message.contains("mkdir -p"), "{message}");
}

/// Format 4 renamed the table `twins`.
#[tokio::test]
async fn content_duplicates_of_a_format_3_file_are_shown_added_to_and_purged() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    let first = delivery("a");
    let id = first.events[0].id;
    let duplicate = |event_id: &str| {
        let mut duplicate = delivery("a");
        // The same bytes under another id: a duplicate by its content key alone.
        duplicate.events[0].keys.remove(0);
        duplicate.events[0].event_id = Some(event_id.to_owned());
        duplicate
    };
    store.accept(vec![first, duplicate("b")]).await.unwrap();
    store.close().await;
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "drop table purged_keys; alter table content_duplicates rename to twins;
         pragma user_version = 3",
    )
    .unwrap();
    drop(conn);

    let store = open(&path).await;
    let accepted = store.accept(vec![duplicate("c")]).await.unwrap();
    assert!(matches!(accepted[0], Acceptance::Duplicate { .. }), "{accepted:?}");
    let shown = store.show(id).await.unwrap().unwrap();
    let ids: Vec<_> =
        shown.content_duplicates.iter().map(|d| d.event_id.clone().unwrap()).collect();
    assert_eq!(ids, ["b", "c"]);
    let later = now().plus(std::time::Duration::from_secs(1));
    let claim = hookward_core::store::ClaimRequest::new(now(), later, vec![("orders".into(), 1)]);
    let lease = store.claim(claim).await.unwrap()[0].lease;
    let settlement = hookward_core::store::Settlement::Done;
    let outcome = hookward_core::store::JobOutcome::new(lease, settlement);
    store.settle(vec![outcome]).await.unwrap();
    let purge = PurgeRequest::new(later, later, 9);
    assert_eq!(store.purge(purge).await, Ok(1));
    store.close().await;
    assert_eq!(format(&path), NEWEST_FORMAT);
    let conn = Connection::open(&path).unwrap();
    let left = conn.query_row("select count(*) from content_duplicates", [], |row| row.get(0));
    assert_eq!(left, Ok(0));
}
