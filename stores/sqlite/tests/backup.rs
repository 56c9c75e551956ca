//! Copies of a store, made while it is used, and checks of whole files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hookward_core::Store;
use hookward_core::store::{Browse, ClaimRequest, JobOutcome, Settlement};
use hookward_store_sqlite::{FileReport, SqliteStore, backup, verify_file};
use hookward_testkit::store::{delivery, now};
use rusqlite::Connection;

async fn open(path: &Path) -> SqliteStore {
    let policy = hookward_testkit::store::POLICY;
    SqliteStore::open(path.to_owned(), now(), policy).await.unwrap()
}

async fn open_error(path: &Path) -> String {
    let policy = hookward_testkit::store::POLICY;
    SqliteStore::open(path.to_owned(), now(), policy).await.map(drop).unwrap_err().message
}

/// A closed store with twenty events: five jobs are done, one is dead, fourteen are open.
async fn store() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = open(&path).await;
    for n in 0..20 {
        store.accept(vec![delivery(&n.to_string())]).await.unwrap();
    }
    let until = now().plus(std::time::Duration::from_secs(30));
    let jobs =
        store.claim(ClaimRequest::new(now(), until, vec![("orders".into(), 6)])).await.unwrap();
    for (n, job) in jobs.into_iter().enumerate() {
        let dead = Settlement::Dead { reason: "no".into(), step: None, body: None };
        let settlement = if n == 0 { dead } else { Settlement::Done };
        store.settle(vec![JobOutcome::new(job.lease, settlement)]).await.unwrap();
    }
    store.close().await;
    (folder, path)
}

fn counts(report: &FileReport) -> [u64; 5] {
    let FileReport { deliveries, events, open_jobs, done_jobs, dead_jobs, .. } = report;
    [*deliveries, *events, *open_jobs, *done_jobs, *dead_jobs]
}

#[tokio::test]
async fn a_backup_of_a_closed_store_is_whole_private_and_changes_nothing() {
    let (folder, path) = store().await;
    let copy = folder.path().join("copy.db");
    let before = std::fs::read(&path).unwrap();
    let report = backup(&path, &copy, now()).unwrap();
    assert_eq!(counts(&report), [20, 20, 14, 5, 1]);
    assert_eq!((report.last_event, report.backup_made_at), (20, Some(now())));
    assert_eq!(report, verify_file(&copy).unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["a.db", "a.db.lock", "a.db.mark", "copy.db"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // As a store of its own.
    let restored = open(&copy).await;
    assert_eq!(restored.list(&Default::default(), 100, None).await.unwrap().events.len(), 20);
    restored.close().await;
    assert_eq!(verify_file(&copy).unwrap().backup_made_at, None, "it was opened");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_under_load_have_every_event_that_was_acknowledged_before() {
    let (folder, path) = store().await;
    let store = Arc::new(open(&path).await);
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(20)));
    let loads: Vec<_> = (0..4)
        .map(|sender| {
            let (store, stop) = (store.clone(), stop.clone());
            let acknowledged = acknowledged.clone();
            tokio::spawn(async move {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    store.accept(vec![delivery(&format!("{sender}-{n}"))]).await.unwrap();
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for round in 0..5 {
        let (path, copy) = (path.clone(), folder.path().join(format!("copy{round}.db")));
        let before = acknowledged.load(Ordering::SeqCst);
        let made = tokio::task::spawn_blocking(move || backup(&path, &copy, now()));
        let report = made.await.unwrap().unwrap();
        assert!(report.events as usize >= before, "{} of {before}", report.events);
        let path = folder.path().join("a.db");
        let in_use = tokio::task::spawn_blocking(move || verify_file(&path)).await.unwrap();
        let in_use = in_use.unwrap();
        assert!(in_use.in_use && in_use.problems.is_empty(), "{in_use:?}");
    }
    stop.store(true, Ordering::Relaxed);
    for load in loads {
        load.await.unwrap();
    }
    store.check().await.unwrap();
    store.close().await;
    let acknowledged = acknowledged.load(Ordering::SeqCst);
    assert_eq!(verify_file(&path).unwrap().events as usize, acknowledged);
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_leaves_nothing_behind() {
    let (folder, path) = store().await;
    let copy = folder.path().join("copy.db");
    std::fs::write(&copy, "precious").unwrap();
    let message = backup(&path, &copy, now()).unwrap_err().message;
    assert!(message.contains("overwrites nothing"), "{message}");
    assert_eq!(std::fs::read(&copy).unwrap(), b"precious");
    for (source, target, text) in [
        ("none.db", "copy2.db", "no store"),
        ("copy.db", "copy2.db", "not an SQLite database"),
        ("a.db", "no/copy2.db", "cannot be written"),
    ] {
        let [source, target] = [source, target].map(|name| folder.path().join(name));
        let message = backup(&source, &target, now()).unwrap_err().message;
        assert!(message.contains(text), "{message}");
        assert!(!target.exists() && !folder.path().join("copy2.db.partial").exists());
    }
    // A store that a start refuses is not copied as if it were whole.
    std::fs::write(&path, "").unwrap();
    assert!(
        backup(&path, &folder.path().join("c.db"), now()).unwrap_err().message.contains("empty")
    );
}

#[tokio::test]
async fn a_backup_beside_the_files_of_a_newer_store_is_not_opened() {
    let (folder, path) = store().await;
    let copy = folder.path().join("copy.db");
    let store = open(&path).await;
    backup(&path, &copy, now()).unwrap();
    store.accept(vec![delivery("after")]).await.unwrap();
    let killed = folder.path().join("killed.db");
    for end in ["-wal", ".mark"] {
        let [from, to] = [&path, &killed].map(|file| format!("{}{end}", file.display()));
        std::fs::copy(from, to).unwrap();
    }
    store.close().await;
    std::fs::copy(&copy, &killed).unwrap();
    let message = open_error(&killed).await;
    assert!(message.contains("is a backup made at") && message.contains("move"), "{message}");
    assert!(!verify_file(&killed).unwrap().problems.is_empty());
    std::fs::remove_file(folder.path().join("killed.db-wal")).unwrap();
    let message = open_error(&killed).await;
    assert!(message.contains("is a backup made at") && message.contains("1 event"), "{message}");
    std::fs::remove_file(folder.path().join("killed.db.mark")).unwrap();
    open(&killed).await.close().await;
    assert_eq!(
        std::fs::read(&copy).unwrap().len(),
        std::fs::metadata(&copy).unwrap().len() as usize
    );
}

#[tokio::test]
async fn each_kind_of_damage_is_named() {
    for (sql, found) in [
        ("update events set event_type = 'other' where seq = 3", "1 events that the disk changed"),
        ("update deliveries set body = x'78' where id = 4", "1 bodies that the disk changed"),
        ("update deliveries set answer = x'78' where id = 4", "1 answers that the disk changed"),
        ("update jobs set attempt = 9 where event < 3", "2 jobs that the disk changed"),
        ("update names set name = name || 'x'", "2 names that the disk changed"),
        ("update meta set value = 7 where name = 'opens'", "1 counters that the disk changed"),
        ("delete from events where seq = 5", "1 jobs without their event"),
        ("delete from deliveries where id = 5", "1 events without their delivery"),
        ("delete from events where seq = 5", "1 deliveries without an event"),
        (
            "drop index jobs_open; create index jobs_open on jobs (route, event, n) where state = 7; \
          pragma writable_schema = on; update sqlite_schema set sql = \
          replace(sql, 'state = 7', 'state = 0') where name = 'jobs_open'",
            "its structure is damaged",
        ),
        ("delete from events where seq > 15", "it is an older copy"),
        ("pragma user_version = 99", "format 99"),
    ] {
        let (_folder, path) = store().await;
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(sql).unwrap();
        drop(conn);
        let report = verify_file(&path).unwrap();
        let named = report.problems.iter().any(|problem| problem.contains(found));
        assert!(named, "{sql}: {:?}", report.problems);
    }
    let (folder, path) = store().await;
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    assert!(!verify_file(&path).unwrap().problems.is_empty());
    assert!(backup(&path, &folder.path().join("c.db"), now()).is_err());
    for (name, bytes, text) in
        [("empty.db", &b""[..], "is empty"), ("text.db", &[b'x'; 2_000], "not an SQLite database")]
    {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let message = verify_file(&folder.path().join(name)).unwrap_err().message;
        assert!(message.contains(text), "{message}");
    }
}
