//! The high-water mark: a small file beside the database, `PATH.mark`, that says which store was here
//! and how far it was committed. A database or a log that is missing, emptied, shortened or of
//! another store opens without an error, as an older or an empty store; compared with the mark, it is
//! found, and the store is not opened.
//!
//! The mark never says more than the disk holds, so that no power cut makes a good store suspicious:
//! it is written after a commit is durable. It costs no sync per commit: after a kill it is exact,
//! and after a power cut it may be older than the store, which finds less. It is synced when a store
//! is opened and closed.
//!
//! Two slots take turns, each with a checksum, so that a torn write leaves the former one.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use hookward_core::store::OpenError;

use crate::private_file;
use crate::telemetry;

/// Bytes of one of the two slots, the unit that a disk writes at once.
const SLOT_BYTES: usize = 512;
/// First word of a slot, with the version of this format.
const FORMAT: &str = "hookward-mark-1";
/// Position of the two salts in the header of a log.
const LOG_SALTS_OFFSET: u64 = 16;
/// Restarts of a log between two marks that are believed. SQLite adds one to the first salt with
/// each restart, and a log of another store starts at a random number.
const MAX_LOG_RESTARTS: u32 = 1 << 20;

/// The salts in the header of a write-ahead log, which name one run of the log.
pub(crate) type Salts = (u32, u32);

/// What the mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The store.
    pub(crate) store_id: i64,
    /// How often the store has been opened.
    pub(crate) opens: i64,
    /// The same number as the database alone says it, without its log: an older database beside a
    /// newer log says less.
    pub(crate) opens_in_database: i64,
    /// Number of the last committed event.
    pub(crate) last_seq: i64,
    pub(crate) log: LogState,
}

/// The log at the time of the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogState {
    /// The store was being opened, which moves the log into the database: nothing is known.
    Opening,
    /// The last log had these salts. A regular end removes the log, and a power cut soon after can
    /// bring it back.
    Known(Salts),
}

impl Mark {
    /// Whether a log with these salts can be the one of this mark, or have followed it.
    pub(crate) fn allows_log(&self, salts: Salts) -> bool {
        match self.log {
            LogState::Opening => true,
            LogState::Known(known) => {
                salts == known || (1..=MAX_LOG_RESTARTS).contains(&salts.0.wrapping_sub(known.0))
            }
        }
    }

    fn encode(&self, turn: u64) -> Vec<u8> {
        let log = match self.log {
            LogState::Opening => "opening".to_owned(),
            LogState::Known((a, b)) => format!("{a:08x}.{b:08x}"),
        };
        let text = format!(
            "{FORMAT} turn={turn} store={:016x} opens={} database={} events={} log={log}",
            self.store_id, self.opens, self.opens_in_database, self.last_seq
        );
        let line = format!("{text} crc={:08x}", crc32fast::hash(text.as_bytes()));
        // Padded, so that a slot overwrites all of the former one.
        format!("{line:<width$}\n", width = SLOT_BYTES - 1).into_bytes()
    }

    /// Reads a slot: the mark and its turn; `None` if it is torn, or was never written.
    fn decode(slot: &[u8]) -> Option<(u64, Self)> {
        let line = std::str::from_utf8(slot).ok()?.trim_end();
        let (text, crc) = line.rsplit_once(" crc=")?;
        if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(text.as_bytes()) {
            return None;
        }
        let mut words = text.split(' ');
        if words.next() != Some(FORMAT) {
            return None;
        }
        let mut value = |name: &str| words.next()?.strip_prefix(name)?.strip_prefix('=');
        let turn = value("turn")?.parse().ok()?;
        let store_id = u64::from_str_radix(value("store")?, 16).ok()?.cast_signed();
        let opens = value("opens")?.parse().ok()?;
        let opens_in_database = value("database")?.parse().ok()?;
        let last_seq = value("events")?.parse().ok()?;
        let log = match value("log")? {
            "opening" => LogState::Opening,
            salts => {
                let (a, b) = salts.split_once('.')?;
                let salt = |hex| u32::from_str_radix(hex, 16).ok();
                LogState::Known((salt(a)?, salt(b)?))
            }
        };
        Some((turn, Self { store_id, opens, opens_in_database, last_seq, log }))
    }
}

/// The path of the mark of the store at `path`.
pub(crate) fn mark_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".mark");
    PathBuf::from(name)
}

/// Reads the mark of the store at `path`. `None` if the file does not exist or cannot be understood;
/// the latter is logged. A mark finds losses, and its own damage must not count as one.
///
/// # Errors
///
/// The file exists and cannot be read.
pub(crate) fn read(path: &Path) -> Result<Option<Mark>, OpenError> {
    let file = mark_path(path);
    let bytes = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => {
            return Err(OpenError::new(format!(
                "{} cannot be read: {e}; the store needs a file, and a mark beside it, that this \
                 user may read and write",
                file.display()
            )));
        }
    };
    let newest = newest_slot(&bytes);
    if newest.is_none() {
        telemetry::mark_unreadable(&file);
    }
    Ok(newest.map(|(_, mark)| mark))
}

fn newest_slot(bytes: &[u8]) -> Option<(u64, Mark)> {
    bytes.chunks(SLOT_BYTES).filter_map(Mark::decode).max_by_key(|(turn, _)| *turn)
}

/// The mark of an open store.
#[derive(Debug)]
pub(crate) struct MarkFile {
    file: File,
    path: PathBuf,
    log: Option<File>,
    mark: Mark,
    turn: u64,
    /// The last write failed, which is logged once.
    failing: bool,
}

impl MarkFile {
    /// Opens or creates the mark of the store at `path`, and writes and syncs `mark`.
    ///
    /// # Errors
    ///
    /// The file cannot be created, written or synced.
    pub(crate) fn begin(path: &Path, mark: Mark) -> std::io::Result<Self> {
        let path = mark_path(path);
        let mut file = private_file::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let turn = newest_slot(&bytes).map_or(0, |(turn, _)| turn);
        let mut this = Self { file, path, log: None, mark, turn, failing: false };
        this.write()?;
        this.file.sync_all()?;
        Ok(this)
    }

    /// Writes and syncs that the store at `path` is open from now on. The log exists and has a
    /// commit.
    ///
    /// # Errors
    ///
    /// The mark cannot be written or synced.
    pub(crate) fn open(&mut self, path: &Path, mark: Mark) -> std::io::Result<()> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        // Reading the log by another descriptor is safe: SQLite's locks are on other files.
        self.log = File::open(PathBuf::from(log)).ok();
        self.mark = mark;
        self.mark.log = self.salts().map_or(LogState::Opening, LogState::Known);
        self.write()?;
        self.file.sync_all()
    }

    /// Records that the event `seq` is durable. Not synced.
    pub(crate) fn record(&mut self, seq: i64) {
        self.mark.last_seq = seq;
        if let Some(salts) = self.salts() {
            self.mark.log = LogState::Known(salts);
        }
        // Without it the mark says less than it could, and nothing else depends on it.
        match self.write() {
            Ok(()) => self.failing = false,
            Err(e) if !self.failing => {
                self.failing = true;
                telemetry::mark_failed(&self.path, &e);
            }
            Err(_) => {}
        }
    }

    /// Syncs the last record, so that it survives a power cut after a regular end.
    pub(crate) fn close(self) {
        if let Err(e) = self.file.sync_all() {
            telemetry::mark_failed(&self.path, &e);
        }
    }

    fn salts(&self) -> Option<Salts> {
        let mut log = self.log.as_ref()?;
        let mut salts = [0; 8];
        log.seek(SeekFrom::Start(LOG_SALTS_OFFSET)).ok()?;
        log.read_exact(&mut salts).ok()?;
        let [a, b, c, d, e, f, g, h] = salts;
        Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
    }

    fn write(&mut self) -> std::io::Result<()> {
        self.turn += 1;
        let slot = if self.turn.is_multiple_of(2) { 0 } else { SLOT_BYTES as u64 };
        self.file.seek(SeekFrom::Start(slot))?;
        self.file.write_all(&self.mark.encode(self.turn))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn mark(last_seq: i64) -> Mark {
        let log = LogState::Known((0xffff_fff0, 7));
        Mark { store_id: -5, opens: 3, opens_in_database: 2, last_seq, log }
    }

    fn store() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        (folder, path)
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        for log in [LogState::Opening, LogState::Known((1, u32::MAX))] {
            let (_folder, path) = store();
            let written = Mark { log, ..mark(1_200) };
            MarkFile::begin(&path, written).unwrap();
            assert_eq!(read(&path).unwrap(), Some(written));
        }
    }

    #[test]
    fn the_newest_record_counts_and_a_torn_write_leaves_the_one_before() {
        let (_folder, path) = store();
        let mut file = MarkFile::begin(&path, mark(1)).unwrap();
        for seq in 2..9 {
            let before = read(&path).unwrap().unwrap();
            file.record(seq);
            assert_eq!(read(&path).unwrap().unwrap().last_seq, seq);
            let bytes = std::fs::read(mark_path(&path)).unwrap();
            let slot = usize::try_from(file.turn % 2).unwrap() * SLOT_BYTES;
            for torn in [0, 20, 60, 100] {
                let mut damaged = bytes.clone();
                damaged[slot + torn] ^= 1;
                std::fs::write(mark_path(&path), &damaged).unwrap();
                let found = read(&path).unwrap().unwrap();
                assert_eq!(found, before, "byte {torn}");
            }
            std::fs::write(mark_path(&path), &bytes).unwrap();
        }
    }

    #[test]
    fn damage_of_the_whole_mark_is_no_mark() {
        let (_folder, path) = store();
        assert_eq!(read(&path).unwrap(), None);
        for text in [Vec::new(), vec![0xff; 2_000], b"hookward-mark-1 turn=1".to_vec()] {
            std::fs::write(mark_path(&path), text).unwrap();
            assert_eq!(read(&path).unwrap(), None);
        }
    }

    #[test]
    fn a_log_is_the_one_of_the_mark_or_was_restarted_since() {
        let allows = |a, b| mark(1).allows_log((a, b));
        assert!(allows(0xffff_fff0, 7));
        assert!(allows(0xffff_fff1, 99) && allows(5, 99), "restarted");
        assert!(!allows(0xffff_fff0, 8), "another log");
        assert!(!allows(0xffff_ffef, 7) && !allows(0x7fff_0000, 7), "another log");
        assert!(Mark { log: LogState::Opening, ..mark(1) }.allows_log((1, 1)));
    }
}
