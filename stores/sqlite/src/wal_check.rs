//! The write-ahead log, looked at before SQLite reads it. SQLite takes the first frame that does not
//! match its checksum for the end of the log: that is right for a page that was just being written
//! when the power went, and wrong for one in the middle that the disk has lost since. Behind the
//! first there is at most the rest of one commit, because each is synced before the next; so more
//! than that says that answered events would be lost in silence.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use hookward_core::store::OpenError;

const MAGIC: u32 = 0x377f_0682;
const HEADER: usize = 32;
const FRAME: usize = 24;

/// A log that is damaged in the middle.
#[derive(Debug, PartialEq, Eq)]
struct Damage {
    /// Up to here it can be read.
    at: u64,
    /// So many commits that are there end behind it.
    commits: usize,
}

/// Refuses to open a store beside such a log.
pub(crate) fn check(path: &Path) -> Result<(), OpenError> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = Path::new(&log);
    let file = match File::open(log) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(OpenError(format!("{} cannot be read: {e}", log.display()))),
    };
    let read = read(BufReader::with_capacity(1 << 16, file));
    let damage = read.map_err(|e| OpenError(format!("{} cannot be read: {e}", log.display())))?;
    let Some(Damage { at, commits }) = damage else { return Ok(()) };
    let log = log.display();
    Err(OpenError(format!(
        "{log} is damaged at byte {at}, and {commits} commits that it holds end behind that; \
         restore {} and it from a backup, or give up what is behind the damage: keep a copy, then \
         truncate -s {at} {log}",
        path.display()
    )))
}

fn read(mut log: impl Read) -> std::io::Result<Option<Damage>> {
    let mut header = [0; HEADER];
    if !fill(&mut log, &mut header)? {
        return Ok(None);
    }
    let field = |bytes: &[u8], n| word(bytes, n, true);
    let big = field(&header, 0) & 1 == 1;
    let mut sum = add((0, 0), header.get(..24).unwrap_or_default(), big);
    let known = field(&header, 0) & !1 == MAGIC && sum == (field(&header, 6), field(&header, 7));
    // Without its header nobody knows how long a frame is; ours are of this size.
    let size = if known { field(&header, 2) } else { 4096 };
    let size = usize::try_from(size).unwrap_or(0).clamp(512, 1 << 16);
    // Frames of an earlier round have other salts.
    let mut salts = known.then(|| (field(&header, 4), field(&header, 5)));
    let (mut at, mut damaged) = (HEADER as u64, (!known).then_some(0));
    let (mut frame, mut commits) = (vec![0; FRAME + size], 0);
    while fill(&mut log, &mut frame)? {
        let salt = (field(&frame, 2), field(&frame, 3));
        let own = *salts.get_or_insert(salt) == salt;
        if damaged.is_none() {
            sum = add(sum, frame.get(..8).unwrap_or_default(), big);
            sum = add(sum, frame.get(FRAME..).unwrap_or_default(), big);
            if !own || sum != (field(&frame, 4), field(&frame, 5)) {
                damaged = Some(at);
            }
        }
        // What is damaged may be its salts. The last frame of a commit says how long the file is then.
        if damaged.is_some_and(|from| own || from == at) {
            commits += usize::from(field(&frame, 1) != 0);
        }
        at += frame.len() as u64;
    }
    // One was being written. Frames without an end behind it are of a commit that was interrupted
    // earlier, and whose place it took.
    Ok(damaged.filter(|_| commits > 1).map(|at| Damage { at, commits }))
}

/// Whether there was enough.
fn fill(from: &mut impl Read, into: &mut [u8]) -> std::io::Result<bool> {
    match from.read_exact(into) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

fn word(bytes: &[u8], n: usize, big: bool) -> u32 {
    let four = bytes.get(4 * n..4 * n + 4).and_then(|four| four.try_into().ok());
    let four = four.unwrap_or_default();
    if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
}

/// SQLite's checksum of a log, over pairs of words.
fn add((mut a, mut b): (u32, u32), bytes: &[u8], big: bool) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        a = a.wrapping_add(word(pair, 0, big)).wrapping_add(b);
        b = b.wrapping_add(word(pair, 1, big)).wrapping_add(a);
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use hookward_testkit::store::{delivery, now};
    use rusqlite::Connection;

    use super::*;

    /// A log as a kill leaves it, of one commit for each of ten rows, and what it holds.
    fn left() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
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

    fn found(bytes: &[u8]) -> Option<Damage> {
        read(bytes).unwrap()
    }

    /// Wherever a flipped bit is not seen here, it is in the last commit.
    #[test]
    fn a_bit_flipped_before_the_last_commit_is_seen() {
        let (_folder, _, log) = left();
        assert_eq!(found(&log), None);
        let frames = (log.len() - HEADER) / (FRAME + 4096);
        let last = HEADER + (frames - 1) * (FRAME + 4096);
        for at in (0..log.len()).step_by(37) {
            let mut hit = log.clone();
            hit[at] ^= 1 << (at % 8);
            assert_eq!(found(&hit).is_some(), at < last, "byte {at} of {}", log.len());
        }
    }

    #[test]
    fn a_log_that_ends_early_or_is_torn_in_its_last_commit_is_in_order() {
        let (_folder, _, log) = left();
        for length in (0..log.len()).step_by(1013) {
            assert_eq!(found(&log[..length]), None, "{length} bytes");
        }
        let mut torn = log.clone();
        let length = torn.len();
        torn[length - 2048..].fill(0);
        assert_eq!(found(&torn), None);
    }

    /// A process dies within a commit of several pages, and the next one within its first, of one page.
    #[test]
    fn a_commit_torn_in_the_place_of_a_longer_one_that_was_interrupted_is_in_order() {
        let (_folder, _, mut log) = left();
        let mut rest = log[log.len() - FRAME - 4096..].to_vec();
        rest[4..8].fill(0);
        let length = log.len();
        log[length - 2048..].fill(0);
        for _ in 0..3 {
            log.extend_from_slice(&rest);
        }
        assert_eq!(found(&log), None);
    }

    /// What an earlier round left behind the newest commit belongs to no log.
    #[test]
    fn frames_of_an_earlier_round_do_not_count() {
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
        assert_eq!(found(&log), None);
    }

    #[tokio::test]
    async fn a_store_whose_log_lost_its_middle_is_refused_and_opens_with_what_is_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let store = crate::SqliteStore::open(path.clone(), now()).await.unwrap();
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
        let refused = crate::SqliteStore::open(path.clone(), now()).await.map(drop).unwrap_err();
        assert!(refused.0.contains("truncate -s "), "{refused}");
        assert_eq!(std::fs::read(&log).unwrap(), bytes, "nothing was changed");
        let length: usize = refused
            .0
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
        let store = crate::SqliteStore::open(path, now()).await.unwrap();
        hookward_core::Store::accept(&store, vec![delivery("new")]).await.unwrap();
        hookward_core::Store::close(&store).await;
    }
}
