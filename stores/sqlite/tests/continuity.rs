//! Files that were moved, deleted, emptied, shortened, exchanged or linked while no process had them
//! open: each is found at the next start, and a store that lost nothing always starts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use hookward_core::Store;
use hookward_core::store::Browse;
use hookward_store_sqlite::SqliteStore;
use hookward_testkit::store::{delivery, now};
use tempfile::TempDir;

const ENDS: [&str; 3] = ["", "-wal", ".mark"];

async fn try_open(path: &Path) -> Result<SqliteStore, String> {
    let policy = hookward_testkit::store::POLICY;
    SqliteStore::open(path.to_owned(), now(), policy).await.map_err(|e| e.message)
}

async fn open(path: &Path) -> SqliteStore {
    try_open(path).await.unwrap()
}

async fn refused(path: &Path) -> String {
    let message = try_open(path).await.map(drop).unwrap_err();
    // A second start finds the same: the first one changed nothing.
    assert_eq!(try_open(path).await.map(drop).unwrap_err(), message);
    message
}

async fn accept(store: &SqliteStore, ids: std::ops::Range<usize>) {
    for n in ids {
        store.accept(vec![delivery(&format!("e{n}"))]).await.unwrap();
    }
}

async fn stored(store: &SqliteStore) -> usize {
    store.list(&Default::default(), 1_000, None).await.unwrap().events.len()
}

/// Opens the store, which has `events`, and closes it.
async fn starts_with(path: &Path, events: usize) {
    let store = open(path).await;
    assert_eq!(stored(&store).await, events);
    store.close().await;
}

fn beside(path: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}

fn copy(from: &Path, to: &Path, ends: &[&str]) {
    for end in ends {
        if beside(from, end).exists() {
            std::fs::copy(beside(from, end), beside(to, end)).unwrap();
        }
    }
}

/// The files of a store with `events` whose process was killed: the last 20 are in the log alone.
async fn killed(events: usize) -> (TempDir, PathBuf) {
    let (folder, path) = closed(events - 20).await;
    let store = open(&path).await;
    accept(&store, events - 20..events).await;
    let copied = tempfile::tempdir().unwrap();
    let killed = copied.path().join("a.db");
    copy(&path, &killed, &ENDS);
    store.close().await;
    drop(folder);
    (copied, killed)
}

/// The files of a store with `events` that was closed.
async fn closed(events: usize) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    accept(&store, 0..events).await;
    store.close().await;
    (folder, path)
}

#[tokio::test]
async fn a_store_that_lost_nothing_starts() {
    let (_folder, path) = killed(50).await;
    starts_with(&path, 50).await;
    starts_with(&path, 50).await;
    let (folder, path) = killed(50).await;
    // In another folder, and by another name.
    let moved = folder.path().join("moved.db");
    copy(&path, &moved, &ENDS);
    starts_with(&moved, 50).await;
    // Alone: nothing says that it was more.
    let (folder, path) = closed(30).await;
    let alone = folder.path().join("alone.db");
    copy(&path, &alone, &[""]);
    starts_with(&alone, 30).await;
    starts_with(&alone, 30).await;
    // Another program that opens the database moves the log into it, and removes the log.
    let (_folder, path) = killed(50).await;
    let conn = rusqlite::Connection::open(&path).unwrap();
    let events: i64 = conn.query_row("select count(*) from events", [], |r| r.get(0)).unwrap();
    assert_eq!(events, 50);
    drop(conn);
    assert!(!beside(&path, "-wal").exists());
    starts_with(&path, 50).await;
}

#[tokio::test]
async fn a_missing_and_an_emptied_database_are_found() {
    for is_killed in [false, true] {
        let (folder, path) = if is_killed { killed(50).await } else { closed(50).await };
        let kept = folder.path().join("kept");
        std::fs::rename(&path, &kept).unwrap();
        let message = refused(&path).await;
        assert!(message.contains("does not exist") && message.contains("number 50"), "{message}");
        assert!(!path.exists(), "nothing was created");
        std::fs::write(&path, "").unwrap();
        assert!(refused(&path).await.contains("is empty"));
        std::fs::rename(&kept, &path).unwrap();
        starts_with(&path, 50).await;
        // Without its mark, a database that lost its log and its mark is a new one.
        std::fs::remove_file(&path).unwrap();
        assert!(refused(&path).await.contains("remove"));
        std::fs::remove_file(beside(&path, ".mark")).unwrap();
        starts_with(&path, 0).await;
    }
}

#[tokio::test]
async fn a_log_without_its_database_is_found_without_a_mark_as_well() {
    let (_folder, path) = killed(50).await;
    std::fs::remove_file(beside(&path, ".mark")).unwrap();
    let kept = beside(&path, ".kept");
    std::fs::rename(&path, &kept).unwrap();
    let message = refused(&path).await;
    assert!(message.contains("holds") && message.contains("commits"), "{message}");
    std::fs::write(&path, "").unwrap();
    assert!(refused(&path).await.contains("is empty"));
    std::fs::rename(&kept, &path).unwrap();
    starts_with(&path, 50).await;
}

#[tokio::test]
async fn a_missing_and_a_shortened_log_are_found() {
    let (_folder, path) = killed(50).await;
    let log = beside(&path, "-wal");
    let bytes = std::fs::read(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    let message = refused(&path).await;
    assert!(message.contains("up to number 30") && message.contains("number 50"), "{message}");
    assert!(message.contains("20 events") && message.contains("a.db.mark"), "{message}");
    for length in [0, 31, 32, 100, bytes.len() / 2, bytes.len() - 5_000, bytes.len() - 1] {
        std::fs::write(&log, &bytes[..length]).unwrap();
        let message = refused(&path).await;
        assert!(message.contains("removed or shortened"), "{length}: {message}");
        assert_eq!(std::fs::metadata(&log).unwrap().len() as usize, length, "it is kept");
    }
    std::fs::write(&log, &bytes).unwrap();
    starts_with(&path, 50).await;
    // The operator decides to go on without the log.
    let (_folder, path) = killed(50).await;
    std::fs::remove_file(beside(&path, "-wal")).unwrap();
    std::fs::remove_file(beside(&path, ".mark")).unwrap();
    starts_with(&path, 30).await;
}

#[tokio::test]
async fn a_database_and_a_log_of_another_store_are_found() {
    let (_other_folder, other) = killed(90).await;
    let (folder, path) = killed(50).await;
    let kept = folder.path().join("kept.db");
    copy(&path, &kept, &ENDS);
    // The whole other store beside the mark of this one.
    copy(&other, &path, &["", "-wal"]);
    assert!(refused(&path).await.contains("another store"));
    // The other database over the log of this store.
    copy(&kept, &path, &["-wal"]);
    assert!(refused(&path).await.contains("another store"));
    // The other log beside this database.
    copy(&kept, &path, &[""]);
    copy(&other, &path, &["-wal"]);
    assert!(refused(&path).await.contains("is not the log of"));
    copy(&kept, &path, &ENDS);
    starts_with(&path, 50).await;
    // A closed store has no log.
    copy(&other, &path, &["-wal"]);
    assert!(refused(&path).await.contains("is not the log of"));
    std::fs::remove_file(beside(&path, "-wal")).unwrap();
    starts_with(&path, 50).await;
    // Another closed store.
    let (_closed_folder, closed) = closed(90).await;
    copy(&closed, &path, &[""]);
    assert!(refused(&path).await.contains("another store"));
}

#[tokio::test]
async fn an_older_database_beside_a_newer_mark_or_log_is_found_with_the_cure() {
    let (folder, path) = closed(30).await;
    let older = folder.path().join("older.db");
    copy(&path, &older, &[""]);
    let store = open(&path).await;
    accept(&store, 30..50).await;
    let killed = folder.path().join("killed.db");
    copy(&path, &killed, &ENDS);
    store.close().await;
    // Beside the mark of the closed store.
    copy(&older, &path, &[""]);
    let message = refused(&path).await;
    assert!(message.contains("older copy") && message.contains("remove"), "{message}");
    std::fs::remove_file(beside(&path, ".mark")).unwrap();
    starts_with(&path, 30).await;
    // Beside the log and the mark of the killed one: its pages must not be mixed.
    copy(&older, &killed, &[""]);
    let message = refused(&killed).await;
    assert!(message.contains("is older than its log"), "{message}");
    assert_eq!(std::fs::read(&killed).unwrap(), std::fs::read(&older).unwrap(), "unchanged");
    std::fs::remove_file(beside(&killed, "-wal")).unwrap();
    std::fs::remove_file(beside(&killed, ".mark")).unwrap();
    starts_with(&killed, 30).await;
}

#[tokio::test]
async fn a_file_that_is_no_mark_is_replaced() {
    let (_folder, path) = closed(5).await;
    std::fs::write(beside(&path, ".mark"), "torn").unwrap();
    starts_with(&path, 5).await;
    std::fs::remove_file(&path).unwrap();
    assert!(refused(&path).await.contains("number 5"));
}

/// Backup tools link files, and the store may be running at that time.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_hard_link_gives_the_store_no_second_owner_and_refuses_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    accept(&store, 0..5).await;
    let linked = folder.path().join("backup.db");
    std::fs::hard_link(&path, &linked).unwrap();
    accept(&store, 5..8).await;
    store.check().await.unwrap();
    // Its own lock file, its own log: only the lock of the file itself keeps this one out.
    let message = refused(&linked).await;
    assert!(message.contains("2 names"), "{message}");
    copy(&path, &linked, &[".mark"]);
    let message = refused(&linked).await;
    assert!(message.contains("in use by another process"), "{message}");
    accept(&store, 8..9).await;
    store.close().await;
    std::fs::remove_file(beside(&linked, ".mark")).unwrap();
    starts_with(&path, 9).await;
    assert!(refused(&linked).await.contains("2 names"));
    // All files of a store that runs, linked.
    let store = open(&path).await;
    let all = folder.path().join("all");
    std::fs::create_dir(&all).unwrap();
    for end in ["", "-wal", "-shm", ".mark", ".lock"] {
        std::fs::hard_link(beside(&path, end), beside(&all.join("a.db"), end)).unwrap();
    }
    assert!(refused(&all.join("a.db")).await.contains("in use by another process"));
    accept(&store, 9..10).await;
    store.close().await;
    starts_with(&path, 10).await;
}
