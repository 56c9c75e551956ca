//! Torn and damaged logs.

use std::path::PathBuf;

use hookward_testkit::store::{delivery, now};
use rusqlite::Connection;

use super::*;

/// A log as a kill leaves it, with one commit for each of ten rows, and its bytes.
fn log_after_kill() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("pragma journal_mode = wal; create table t (x)").unwrap();
    for n in 0..10 {
        conn.execute("insert into t values (?1)", [n]).unwrap();
    }
    let log = std::fs::read(folder.path().join("a.db-wal")).unwrap();
    (folder, path, log)
}

fn damage(bytes: &[u8]) -> Option<Damage> {
    read_log(bytes).unwrap().1
}

/// Flips that are not found are in the last commit, where they look like a write in progress.
#[test]
fn a_bit_flipped_before_the_last_commit_is_found() {
    let (_folder, _, log) = log_after_kill();
    assert_eq!(damage(&log), None);
    let frames = (log.len() - HEADER_BYTES) / (FRAME_HEADER_BYTES + 4096);
    let last = HEADER_BYTES + (frames - 1) * (FRAME_HEADER_BYTES + 4096);
    for at in (0..log.len()).step_by(37) {
        let mut hit = log.clone();
        hit[at] ^= 1 << (at % 8);
        assert_eq!(damage(&hit).is_some(), at < last, "byte {at} of {}", log.len());
    }
}

#[test]
fn a_log_that_ends_early_or_is_torn_in_its_last_commit_is_not_damaged() {
    let (_folder, _, log) = log_after_kill();
    for length in (0..log.len()).step_by(1013) {
        assert_eq!(damage(&log[..length]), None, "{length} bytes");
    }
    let mut torn = log.clone();
    let length = torn.len();
    torn[length - 2048..].fill(0);
    assert_eq!(damage(&torn), None);
}

/// A process dies within a commit of several pages, and the next process within its first commit,
/// which has one page.
#[test]
fn a_torn_commit_in_the_place_of_a_longer_interrupted_one_is_not_damage() {
    let (_folder, _, mut log) = log_after_kill();
    let mut rest = log[log.len() - FRAME_HEADER_BYTES - 4096..].to_vec();
    rest[4..8].fill(0);
    let length = log.len();
    log[length - 2048..].fill(0);
    for _ in 0..3 {
        log.extend_from_slice(&rest);
    }
    assert_eq!(damage(&log), None);
}

/// After a checkpoint the log is overwritten from its start, with frames of the earlier round
/// behind.
#[test]
fn frames_of_an_earlier_round_are_not_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("pragma journal_mode = wal; create table t (x)").unwrap();
    for n in 0..20 {
        conn.execute("insert into t values (?1)", [n]).unwrap();
    }
    conn.execute_batch("pragma wal_checkpoint(restart)").unwrap();
    conn.execute("insert into t values (1)", []).unwrap();
    let log = std::fs::read(folder.path().join("a.db-wal")).unwrap();
    assert!(log.len() > 20 * 4096);
    assert_eq!(damage(&log), None);
}

/// A power cut loses the middle of the last commit, where frames of the earlier round then stand. Each
/// of those was the end of a commit.
#[test]
fn a_torn_commit_over_frames_of_an_earlier_round_is_not_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let read = || std::fs::read(folder.path().join("a.db-wal")).unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("pragma journal_mode = wal; create table t (x)").unwrap();
    for n in 0..20 {
        conn.execute("insert into t values (?1)", [n]).unwrap();
    }
    conn.execute_batch("pragma wal_checkpoint(restart)").unwrap();
    conn.execute("insert into t values (1)", []).unwrap();
    let before = read();
    conn.execute("insert into t values (zeroblob(30000))", []).unwrap();
    let mut log = read();
    let frame = |n: usize| {
        let at = HEADER_BYTES + n * (FRAME_HEADER_BYTES + 4096);
        at..at + FRAME_HEADER_BYTES + 4096
    };
    log[frame(2)].copy_from_slice(&before[frame(2)]);
    assert_ne!(before[frame(2)][4..8], [0; 4], "it ends a commit");
    assert_eq!(damage(&log), None);
}

#[tokio::test]
async fn a_store_with_a_log_damaged_in_the_middle_opens_after_the_truncation_in_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let store = crate::SqliteStore::open(path.clone(), now(), hookward_testkit::store::POLICY)
        .await
        .unwrap();
    for n in 0..10 {
        hookward_core::Store::accept(&store, vec![delivery(&n.to_string())]).await.unwrap();
    }
    let other = tempfile::tempdir().unwrap();
    for name in ["a.db", "a.db-wal"] {
        std::fs::copy(folder.path().join(name), other.path().join(name)).unwrap();
    }
    let (path, log) = (other.path().join("a.db"), other.path().join("a.db-wal"));
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&log, &bytes).unwrap();
    let rejected = crate::SqliteStore::open(path.clone(), now(), hookward_testkit::store::POLICY)
        .await
        .map(drop)
        .unwrap_err();
    assert!(rejected.message.contains("truncate -s "), "{rejected}");
    assert_eq!(std::fs::read(&log).unwrap(), bytes, "nothing was changed");
    let length: usize = rejected
        .message
        .split("truncate -s ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    bytes.truncate(length);
    std::fs::write(&log, &bytes).unwrap();
    let store =
        crate::SqliteStore::open(path, now(), hookward_testkit::store::POLICY).await.unwrap();
    hookward_core::Store::accept(&store, vec![delivery("new")]).await.unwrap();
    hookward_core::Store::close(&store).await;
}
