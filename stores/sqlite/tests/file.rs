//! What is particular to a store in a file: who may open it, what it survives, what it gives back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hookward_core::store::{Acceptance, Browse, Claim, JobOutcome, NewDelivery, Purge, Settlement};
use hookward_core::{Body, Store, Timestamp};
use hookward_store_sqlite::SqliteStore;
use hookward_testkit::store::{delivery, now, with_jobs};
use rusqlite::Connection;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hookward.db");
    (folder, path)
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path.to_owned(), now()).await.unwrap()
}

async fn refusal(path: &Path) -> String {
    SqliteStore::open(path.to_owned(), now()).await.map(drop).unwrap_err().0
}

fn claim(slots: usize) -> Claim {
    claim_at(now(), slots)
}

fn claim_at(now: Timestamp, slots: usize) -> Claim {
    let lease_until = now.plus(Duration::from_secs(30));
    Claim { now, lease_until, slots: vec![("orders".into(), slots)], unknown: 0 }
}

#[tokio::test]
async fn a_second_owner_is_refused_until_the_first_is_gone() {
    let (_folder, path) = folder();
    let first = open(&path).await;
    let words = refusal(&path).await;
    assert!(words.contains("in use by another process (pid "), "{words}");
    first.close().await;
    let second = open(&path).await;
    drop(second);
    open(&path).await.close().await;
}

/// Whatever the file is called: SQLite would take each name for the same file.
#[cfg(unix)]
#[tokio::test]
async fn a_second_owner_is_refused_by_every_name_of_the_file() {
    use std::os::unix::fs::symlink;
    let (folder, path) = folder();
    let [link, hard, nowhere] = ["link.db", "hard.db", "nowhere.db"].map(|n| folder.path().join(n));
    symlink(folder.path(), folder.path().join("here")).unwrap();
    symlink("hookward.db", &link).unwrap();
    symlink("gone.db", &nowhere).unwrap();
    let words = refusal(&link).await;
    assert!(words.contains("points to nothing"), "{words}");
    assert!(!path.exists(), "nothing was created through it");

    let first = open(&path).await;
    for name in [&link, &folder.path().join("here/hookward.db")] {
        let words = refusal(name).await;
        assert!(words.contains("in use by another process (pid "), "{words}");
    }
    first.close().await;
    open(&link).await.close().await;
    assert!(refusal(&nowhere).await.contains("points to nothing"));
    std::fs::hard_link(&path, &hard).unwrap();
    for name in [&path, &hard] {
        let words = refusal(name).await;
        assert!(words.contains("2 names"), "{words}");
    }
}

#[tokio::test]
async fn what_is_not_ours_is_refused_and_left_as_it_was() {
    let (folder, path) = folder();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("create table books (title text)").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    let words = refusal(&path).await;
    assert!(words.contains("another program"), "{words}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(!path.with_extension("db.reserve").exists(), "nothing is kept aside for it");

    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database at all, but long enough to be read as one".repeat(20))
        .unwrap();
    let words = refusal(&text).await;
    assert!(words.contains("not an SQLite database"), "{words}");

    let words = refusal(folder.path()).await;
    assert!(words.contains("is a folder"), "{words}");
    let words = refusal(&folder.path().join("no/where.db")).await;
    assert!(words.contains("mkdir -p"), "{words}");
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let (_folder, path) = folder();
    open(&path).await.close().await;
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("pragma user_version = 99").unwrap();
    drop(conn);
    let words = refusal(&path).await;
    assert!(words.contains("format 99") && words.contains("newer"), "{words}");
}

#[tokio::test]
async fn the_file_has_the_settings_that_it_should() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    store.accept(vec![delivery("a")]).await.unwrap();
    store.close().await;
    assert!(!path.with_extension("db-wal").exists(), "closing leaves one file");
    let conn = Connection::open(&path).unwrap();
    let read = |pragma: &str| -> String {
        conn.query_row(&format!("select cast({pragma} as text) from pragma_{pragma}"), [], |r| {
            r.get(0)
        })
        .unwrap()
    };
    assert_eq!(read("journal_mode"), "wal");
    assert_eq!(read("auto_vacuum"), "2", "incremental");
    assert_eq!(read("integrity_check"), "ok");
}

#[tokio::test]
async fn the_body_of_a_batch_is_stored_once() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    let mut batch = delivery("0");
    batch.body = Body::new(vec![b'x'; 1_000_000]);
    batch.events = (0..50).flat_map(|n| delivery(&n.to_string()).events).collect();
    store.accept(vec![batch]).await.unwrap();
    store.close().await;
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 1_200_000, "{size} bytes");
}

#[tokio::test]
async fn a_purge_gives_pages_back() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    for n in 0..20 {
        let body = Body::new(vec![b'x'; 1_000_000]);
        let unwanted = NewDelivery { body, ..with_jobs(&n.to_string(), &[]) };
        store.accept(vec![unwanted]).await.unwrap();
    }
    let later = now().plus(Duration::from_secs(1));
    let purge = |limit| Purge { events_before: later, dead_before: later, limit };
    assert_eq!(store.purge(purge(1)).await.unwrap(), 1);
    for _ in 0..19 {
        assert_eq!(store.purge(purge(1)).await.unwrap(), 1);
    }
    store.close().await;
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 3_000_000, "{size} bytes are left of 20 MB");
    // Numbers are not given twice, though all events are gone.
    let store = open(&path).await;
    store.accept(vec![delivery("a")]).await.unwrap();
    store.close().await;
    let conn = Connection::open(&path).unwrap();
    let seq: i64 = conn.query_row("select seq from events", [], |row| row.get(0)).unwrap();
    assert_eq!(seq, 21);
}

#[tokio::test]
async fn jobs_that_nobody_waited_for_are_given_back() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    store.accept(vec![delivery("a")]).await.unwrap();
    {
        let mut asked = store.claim(claim(1));
        // The question is put, and whoever put it goes away.
        let poll = std::future::poll_fn(|cx| {
            let _ = asked.as_mut().poll(cx);
            std::task::Poll::Ready(())
        });
        poll.await;
    }
    let mut jobs = Vec::new();
    for _ in 0..200 {
        jobs = store.claim(claim(1)).await.unwrap();
        if !jobs.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(jobs[0].attempt, 1, "the attempt was given back");
    let done = JobOutcome { lease: jobs[0].lease, settlement: Settlement::Done, attempt: None };
    store.settle(vec![done]).await.unwrap();
    store.close().await;
}

/// As found by a new owner whose clock is right.
#[tokio::test]
async fn nothing_stalls_that_came_in_or_ran_while_the_clock_was_ahead() {
    let (_folder, path) = folder();
    let ahead = now().plus(Duration::from_secs(6 * 3600));
    let after = |secs| now().plus(Duration::from_secs(secs));
    let store = SqliteStore::open(path.clone(), ahead).await.unwrap();
    let early = |id: &str| NewDelivery { received_at: ahead, ..delivery(id) };
    store.accept(["retried", "ran", "waits"].map(early).to_vec()).await.unwrap();
    let jobs = store.claim(claim_at(ahead, 2)).await.unwrap();
    let at = ahead.plus(Duration::from_secs(60));
    let settlement = Settlement::Retry { at, step: None, body: None, cause: "error" };
    let retry = JobOutcome { lease: jobs[0].lease, settlement, attempt: None };
    store.settle(vec![retry]).await.unwrap();
    store.close().await;

    let store = open(&path).await;
    let names = async |at| {
        let jobs = store.claim(claim_at(at, 9)).await.unwrap();
        jobs.iter().map(|job| job.event.event_id().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(now()).await, ["ran", "waits"]);
    assert_eq!(store.next_due().await.unwrap(), Some(after(30)), "the leases end");
    assert!(names(after(29)).await.is_empty(), "it waits as long as it was to");
    assert!(names(after(60)).await.contains(&"retried".to_owned()));
    store.close().await;
}

#[tokio::test]
async fn what_is_given_back_after_the_clock_went_back_is_due() {
    let (_folder, path) = folder();
    let ahead = now().plus(Duration::from_secs(6 * 3600));
    let store = SqliteStore::open(path.clone(), ahead).await.unwrap();
    let early = NewDelivery { received_at: ahead, ..delivery("a") };
    store.accept(vec![early]).await.unwrap();
    let job = store.claim(claim_at(ahead, 1)).await.unwrap().remove(0);
    assert!(store.claim(claim(1)).await.unwrap().is_empty());
    let settlement = Settlement::Released { step: None, body: None };
    let released = JobOutcome { lease: job.lease, settlement, attempt: None };
    store.settle(vec![released]).await.unwrap();
    assert_eq!(store.claim(claim(1)).await.unwrap().len(), 1);
    store.close().await;
}

/// Many more callers than the writer's queue has room for: each gets an answer, and at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_sends_away_and_loses_nobody() {
    let (_folder, path) = folder();
    let store = std::sync::Arc::new(open(&path).await);
    let callers: Vec<_> = (0..12_000)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.accept(vec![delivery(&n.to_string())]).await })
        })
        .collect();
    let mut taken = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Ok(_) => taken += 1,
            Err(error) => assert!(error.to_string().contains("unavailable"), "{error}"),
        }
    }
    assert_eq!(store.depth().await.unwrap().routes[0].open, taken);
    assert!(taken >= 4096, "{taken}");
    store.check().await.unwrap();
    store.close().await;
}

const CHILD: &str = "HOOKWARD_TEST_CHILD";

/// Not a test of its own: what the test below starts and kills.
#[tokio::test]
async fn child_that_accepts_until_it_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "how a test speaks to its own child")]
    let Ok(path) = std::env::var(CHILD) else { return };
    let store = open(Path::new(&path)).await;
    for n in 0.. {
        let ids = [n * 2, n * 2 + 1].map(|n| format!("k{n}"));
        store.accept(ids.iter().map(|id| delivery(id)).collect()).await.unwrap();
        store.claim(claim(1)).await.unwrap();
        println!("\ntaken {}\ntaken {}", ids[0], ids[1]);
    }
}

#[tokio::test]
async fn what_was_taken_in_is_there_after_a_kill() {
    let (_folder, path) = folder();
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_accepts_until_it_is_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut taken = Vec::new();
        for line in lines.map_while(Result::ok) {
            if let Some(id) = line.strip_prefix("taken ") {
                taken.push(id.to_owned());
            }
            if taken.len() == 200 + round * 37 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let store = open(&path).await;
        for id in &taken {
            let found = store.find(id, 2).await.unwrap();
            assert_eq!(found.len(), 1, "{id} is there, once");
            let again = store.accept(vec![delivery(id)]).await.unwrap();
            assert!(matches!(again[0], Acceptance::Duplicate { .. }));
        }
        store.close().await;
        let conn = Connection::open(&path).unwrap();
        let check: String =
            conn.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        std::fs::remove_file(&path).unwrap();
    }
}
