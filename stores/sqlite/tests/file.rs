//! A store in a file: its one owner, a clock that was set back, kills, pages that are freed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hookward_core::store::{
    Acceptance, Browse, ClaimRequest, JobOutcome, PurgeRequest, Settlement,
};
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
    SqliteStore::open(path.to_owned(), now(), hookward_testkit::store::POLICY).await.unwrap()
}

async fn open_error(path: &Path) -> String {
    SqliteStore::open(path.to_owned(), now(), hookward_testkit::store::POLICY)
        .await
        .map(drop)
        .unwrap_err()
        .message
}

fn claim(slots: usize) -> ClaimRequest {
    claim_at(now(), slots)
}

fn claim_at(now: Timestamp, slots: usize) -> ClaimRequest {
    let lease_until = now.plus(Duration::from_secs(30));
    ClaimRequest::new(now, lease_until, vec![("orders".into(), slots)])
}

#[tokio::test]
async fn a_second_owner_cannot_open_the_file_until_the_first_has_closed_it() {
    let (_folder, path) = folder();
    let first = open(&path).await;
    let message = open_error(&path).await;
    assert!(message.contains("in use by another process (pid "), "{message}");
    first.close().await;
    let second = open(&path).await;
    drop(second);
    open(&path).await.close().await;
}

/// SQLite follows symbolic links, so each name would open the same file.
#[cfg(unix)]
#[tokio::test]
async fn a_second_owner_cannot_open_the_file_by_another_of_its_names() {
    use std::os::unix::fs::symlink;
    let (folder, path) = folder();
    let [link, hard, nowhere] = ["link.db", "hard.db", "nowhere.db"].map(|n| folder.path().join(n));
    symlink(folder.path(), folder.path().join("here")).unwrap();
    symlink("hookward.db", &link).unwrap();
    symlink("gone.db", &nowhere).unwrap();
    let message = open_error(&link).await;
    assert!(message.contains("points to nothing"), "{message}");
    assert!(!path.exists(), "nothing was created through it");

    let first = open(&path).await;
    for name in [&link, &folder.path().join("here/hookward.db")] {
        let message = open_error(name).await;
        assert!(message.contains("in use by another process (pid "), "{message}");
    }
    first.close().await;
    open(&link).await.close().await;
    assert!(open_error(&nowhere).await.contains("points to nothing"));
    std::fs::hard_link(&path, &hard).unwrap();
    let message = open_error(&hard).await;
    assert!(message.contains("2 names"), "{message}");
}

#[tokio::test]
async fn the_file_has_its_settings_and_no_log_after_close() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    store.accept(vec![delivery("a")]).await.unwrap();
    store.close().await;
    assert!(!path.with_extension("db-wal").exists(), "close removes the log");
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
async fn a_purge_returns_pages_to_the_file_system() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    for n in 0..20 {
        let body = Body::new(vec![b'x'; 1_000_000]);
        let unwanted = with_jobs(&n.to_string(), &[]).with_body(body);
        store.accept(vec![unwanted]).await.unwrap();
    }
    let later = now().plus(Duration::from_secs(1));
    let purge = |limit| PurgeRequest::new(later, later, limit);
    assert_eq!(store.purge(purge(1)).await.unwrap(), 1);
    for _ in 0..19 {
        assert_eq!(store.purge(purge(1)).await.unwrap(), 1);
    }
    store.close().await;
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 3_000_000, "{size} of 20 MB are left");
    // No number is used a second time, although all events were removed.
    let store = open(&path).await;
    store.accept(vec![delivery("a")]).await.unwrap();
    store.close().await;
    let conn = Connection::open(&path).unwrap();
    let seq: i64 = conn.query_row("select seq from events", [], |row| row.get(0)).unwrap();
    assert_eq!(seq, 21);
}

#[tokio::test]
async fn claimed_jobs_of_a_cancelled_caller_are_released() {
    let (_folder, path) = folder();
    let store = open(&path).await;
    store.accept(vec![delivery("a")]).await.unwrap();
    {
        let mut claiming = store.claim(claim(1));
        // The command is sent, and then its caller is cancelled.
        let poll = std::future::poll_fn(|cx| {
            let _ = claiming.as_mut().poll(cx);
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
    assert_eq!(jobs[0].attempt, 1, "the attempt does not count");
    let done = JobOutcome::new(jobs[0].lease, Settlement::Done);
    store.settle(vec![done]).await.unwrap();
    store.close().await;
}

/// A new owner with the right clock opens a file that was written while the clock was ahead.
#[tokio::test]
async fn jobs_written_while_the_clock_was_ahead_are_due_for_a_new_owner() {
    let (_folder, path) = folder();
    let ahead = now().plus(Duration::from_secs(6 * 3600));
    let after = |secs| now().plus(Duration::from_secs(secs));
    let store =
        SqliteStore::open(path.clone(), ahead, hookward_testkit::store::POLICY).await.unwrap();
    let early = |id: &str| delivery(id).with_received_at(ahead);
    store.accept(["retried", "ran", "waits"].map(early).to_vec()).await.unwrap();
    let jobs = store.claim(claim_at(ahead, 2)).await.unwrap();
    let at = ahead.plus(Duration::from_secs(60));
    let settlement =
        Settlement::Retry { at, step: None, body: None, cause: hookward_core::store::Cause::Error };
    let retry = JobOutcome::new(jobs[0].lease, settlement);
    store.settle(vec![retry]).await.unwrap();
    store.close().await;

    let store = open(&path).await;
    let names = async |at| {
        let jobs = store.claim(claim_at(at, 9)).await.unwrap();
        jobs.iter().map(|job| job.event.event_id().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(now()).await, ["ran", "waits"]);
    assert_eq!(store.next_due().await.unwrap(), Some(after(30)), "the leases end");
    assert!(names(after(29)).await.is_empty(), "the retry waits as long as it was to");
    assert!(names(after(60)).await.contains(&"retried".to_owned()));
    store.close().await;
}

#[tokio::test]
async fn a_job_released_after_the_clock_was_set_back_is_due() {
    let (_folder, path) = folder();
    let ahead = now().plus(Duration::from_secs(6 * 3600));
    let store =
        SqliteStore::open(path.clone(), ahead, hookward_testkit::store::POLICY).await.unwrap();
    let early = delivery("a").with_received_at(ahead);
    store.accept(vec![early]).await.unwrap();
    let job = store.claim(claim_at(ahead, 1)).await.unwrap().remove(0);
    assert!(store.claim(claim(1)).await.unwrap().is_empty());
    let settlement = Settlement::Released { step: None, body: None };
    let released = JobOutcome::new(job.lease, settlement);
    store.settle(vec![released]).await.unwrap();
    assert_eq!(store.claim(claim(1)).await.unwrap().len(), 1);
    store.close().await;
}

/// With many more callers than commands may wait, each caller gets an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_command_queue_rejects_callers_and_loses_no_accepted_event() {
    let (_folder, path) = folder();
    let store = std::sync::Arc::new(open(&path).await);
    let callers: Vec<_> = (0..12_000)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.accept(vec![delivery(&n.to_string())]).await })
        })
        .collect();
    let mut accepted = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Ok(_) => accepted += 1,
            Err(error) => assert!(error.to_string().contains("unavailable"), "{error}"),
        }
    }
    assert_eq!(store.depth().await.unwrap().routes[0].open, accepted);
    assert!(accepted >= 4096, "{accepted}");
    store.check().await.unwrap();
    store.close().await;
}

const CHILD: &str = "HOOKWARD_TEST_CHILD";

/// Not a test: the child process that the next test starts and kills.
#[tokio::test]
async fn child_that_accepts_until_it_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "how a test passes a path to its child")]
    let Ok(path) = std::env::var(CHILD) else { return };
    let store = open(Path::new(&path)).await;
    for n in 0.. {
        let ids = [n * 2, n * 2 + 1].map(|n| format!("k{n}"));
        store.accept(ids.iter().map(|id| delivery(id)).collect()).await.unwrap();
        store.claim(claim(1)).await.unwrap();
        println!("\naccepted {}\naccepted {}", ids[0], ids[1]);
    }
}

#[tokio::test]
async fn accepted_events_are_in_the_file_after_a_kill() {
    for round in 0..3 {
        let (_folder, path) = folder();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_accepts_until_it_is_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut accepted = Vec::new();
        for line in lines.map_while(Result::ok) {
            if let Some(id) = line.strip_prefix("accepted ") {
                accepted.push(id.to_owned());
            }
            if accepted.len() == 200 + round * 37 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let store = open(&path).await;
        for id in &accepted {
            let found = store.find(id, 2).await.unwrap();
            assert_eq!(found.len(), 1, "{id} is found once");
            let again = store.accept(vec![delivery(id)]).await.unwrap();
            assert!(matches!(again[0], Acceptance::Duplicate { .. }));
        }
        store.close().await;
        let conn = Connection::open(&path).unwrap();
        let check: String =
            conn.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
    }
}

/// Payloads are in the file and its log, and whoever can open the lock file could hold the lock.
#[cfg(unix)]
#[tokio::test]
async fn files_of_the_store_can_be_opened_by_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = folder();
    let store = open(&path).await;
    store.accept(vec![delivery("a")]).await.unwrap();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        files.push(entry.file_name().into_string().unwrap());
    }
    for end in ["hookward.db", "hookward.db-wal", "hookward.db.lock", "hookward.db.mark"] {
        assert!(files.iter().any(|file| file == end), "{end} is not among {files:?}");
    }
    store.close().await;
}
