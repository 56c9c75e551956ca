//! The write-behind index of dedupe keys and senders' event ids. A hash belongs to a random page of
//! its table, so writing it with its event would cost one page of the write-ahead log each. New
//! hashes are therefore looked up in memory, and are durable in the event's own row, which is
//! appended. Once enough have come together, `flush.rs` writes them to their tables in the order of
//! the hashes, a few between groups, so that many share a page. Events after
//! `meta.keys_flushed_to` are read again at start.
//!
//! The memory is asked before the tables, so the newest owner of a key wins, as if each key had
//! been written with its event.

mod flush;

use std::collections::HashMap;
use std::vec::IntoIter;

use rusqlite::{Connection, OptionalExtension, Result};
use sha2::{Digest, Sha256};

/// Keys, or events, that come together before a flush. In memory a key takes 38 to 75 bytes and an
/// event id 20 to 39. New ones arrive during the flush, so the total is about 10 MiB; 20 MiB where
/// they arrive so fast that they have to wait for the flush.
const FLUSH_THRESHOLD_ENTRIES: usize = 64 * 1024;

/// Entries written by one step of a flush, while commands wait.
const FLUSH_STEP_ENTRIES: usize = 1_000;

/// Hash of a dedupe key.
pub(crate) type Hash = [u8; 16];

/// The event that owns a dedupe key, and the time from which its dedupe window counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyOwner {
    pub(crate) seq: i64,
    pub(crate) at: i64,
}

/// How to undo one change of the index.
#[derive(Debug)]
pub(crate) enum IndexUndo {
    RecentKey(Hash, Option<KeyOwner>),
    RecentId(i64, Option<i64>),
    FlushKey(Hash, KeyOwner),
    FlushId(i64, i64),
}

#[derive(Debug)]
pub(crate) struct WriteBehindIndex {
    /// Is [`FLUSH_THRESHOLD_ENTRIES`], except in tests.
    threshold: usize,
    /// Is [`FLUSH_STEP_ENTRIES`], except in tests.
    step: usize,
    recent: Layer,
    flush: Option<Flush>,
    /// Last event of the current or the last flush.
    flushed_to: i64,
    /// The last step of the flush failed. The next commit of a group resumes it.
    paused: bool,
    /// Empty between groups; kept so that a group needs no new allocation.
    spare_undo: Vec<IndexUndo>,
}

/// Entries that are not in the tables yet.
#[derive(Debug, Default)]
struct Layer {
    keys: HashMap<Hash, KeyOwner>,
    /// `seq` → hash of the sender's event id.
    ids: HashMap<i64, i64>,
}

/// A layer that is being written to the tables. A purge removes entries from the layer meanwhile,
/// and the flush then skips them.
#[derive(Debug)]
struct Flush {
    layer: Layer,
    keys: IntoIter<Hash>,
    ids: IntoIter<(i64, i64)>,
    /// Last event with entries in the layer.
    to: i64,
}

impl WriteBehindIndex {
    /// Reads the entries that the tables do not have: those of events after the last flush that
    /// was completed.
    pub(crate) fn read(conn: &Connection) -> Result<Self> {
        let mut flushed_to =
            conn.prepare("select value from meta where name = 'keys_flushed_to'")?;
        let flushed_to = flushed_to.query_row([], |row| row.get(0)).optional()?.unwrap_or(0);
        let mut recent = Layer::default();
        let mut events = conn.prepare(
            "select seq, received_at, keys, event_id from events where seq > ?1 order by seq",
        )?;
        let mut events = events.query([flushed_to])?;
        while let Some(row) = events.next()? {
            let owner = KeyOwner { seq: row.get(0)?, at: row.get(1)? };
            let hashes = row.get_ref(2)?.as_blob_or_null()?.unwrap_or_default();
            // In the order of acceptance, so the newest owner of a key wins.
            for hash in hashes.as_chunks::<16>().0 {
                recent.keys.insert(*hash, owner);
            }
            if let Some(event_id) = row.get_ref(3)?.as_str_or_null()? {
                recent.ids.insert(owner.seq, id_hash(event_id));
            }
        }
        Ok(Self {
            threshold: FLUSH_THRESHOLD_ENTRIES,
            step: FLUSH_STEP_ENTRIES,
            recent,
            flush: None,
            flushed_to,
            paused: false,
            spare_undo: Vec::new(),
        })
    }

    /// The owner of a key, if the memory has it. Otherwise the table decides.
    pub(crate) fn owner(&self, hash: &Hash) -> Option<KeyOwner> {
        let recent = self.recent.keys.get(hash);
        recent.or_else(|| self.flush.as_ref()?.layer.keys.get(hash)).copied()
    }

    /// Gives a key to a new event.
    pub(crate) fn set_owner(&mut self, hash: Hash, owner: KeyOwner, undo: &mut Vec<IndexUndo>) {
        // Into the recent layer even during a flush, whose sorted list must not change.
        let was = self.recent.keys.insert(hash, owner);
        undo.push(IndexUndo::RecentKey(hash, was));
    }

    /// Adds the sender's id of a new event.
    pub(crate) fn add_event_id(&mut self, seq: i64, event_id: &str, undo: &mut Vec<IndexUndo>) {
        let was = self.recent.ids.insert(seq, id_hash(event_id));
        undo.push(IndexUndo::RecentId(seq, was));
    }

    /// Removes an event's id and those of its keys that it still owns: after its window, a key may
    /// belong to a later event.
    pub(crate) fn remove_event(&mut self, seq: i64, hashes: &[u8], undo: &mut Vec<IndexUndo>) {
        let Self { recent, flush, .. } = self;
        if let Some(was) = recent.ids.remove(&seq) {
            undo.push(IndexUndo::RecentId(seq, Some(was)));
        }
        if let Some(was) = flush.as_mut().and_then(|flush| flush.layer.ids.remove(&seq)) {
            undo.push(IndexUndo::FlushId(seq, was));
        }
        for hash in hashes.as_chunks::<16>().0 {
            self.remove_key(seq, hash, undo);
        }
    }

    /// Removes a key of an event, if the event owns it.
    pub(crate) fn remove_key(&mut self, seq: i64, hash: &Hash, undo: &mut Vec<IndexUndo>) {
        let own = |owner: &&KeyOwner| owner.seq == seq;
        if let Some(owner) = self.recent.keys.get(hash).filter(own).copied() {
            self.recent.keys.remove(hash);
            undo.push(IndexUndo::RecentKey(*hash, Some(owner)));
        }
        let Some(flush) = &mut self.flush else { return };
        if let Some(owner) = flush.layer.keys.get(hash).filter(own).copied() {
            flush.layer.keys.remove(hash);
            undo.push(IndexUndo::FlushKey(*hash, owner));
        }
    }

    /// An empty undo log for one group.
    pub(crate) fn begin_undo(&mut self) -> Vec<IndexUndo> {
        std::mem::take(&mut self.spare_undo)
    }

    /// Keeps the changes of a group that is committed, and resumes a paused flush.
    pub(crate) fn discard_undo(&mut self, mut undo: Vec<IndexUndo>) {
        undo.clear();
        self.recycle(undo);
        self.paused = false;
    }

    /// Undoes the changes of a group, the last one first.
    pub(crate) fn apply_undo(&mut self, mut undo: Vec<IndexUndo>) {
        // Backwards: a key may have changed more than once in the group, and its first value has to
        // come back last.
        while let Some(change) = undo.pop() {
            match change {
                IndexUndo::RecentKey(hash, Some(was)) => drop(self.recent.keys.insert(hash, was)),
                IndexUndo::RecentKey(hash, None) => drop(self.recent.keys.remove(&hash)),
                IndexUndo::RecentId(seq, Some(was)) => drop(self.recent.ids.insert(seq, was)),
                IndexUndo::RecentId(seq, None) => drop(self.recent.ids.remove(&seq)),
                // A flush runs between groups only, so it is the same one that the change was made
                // in.
                IndexUndo::FlushKey(hash, was) => {
                    self.flush.as_mut().map(|flush| flush.layer.keys.insert(hash, was));
                }
                IndexUndo::FlushId(seq, was) => {
                    self.flush.as_mut().map(|flush| flush.layer.ids.insert(seq, was));
                }
            }
        }
        self.recycle(undo);
    }

    /// Keeps the larger buffer: the `drop` after a `commit` passes an empty one.
    fn recycle(&mut self, undo: Vec<IndexUndo>) {
        if undo.capacity() > self.spare_undo.capacity() {
            self.spare_undo = undo;
        }
    }
}

/// Hash of a sender's event id: 47 bits of its SHA-256. Short, so that many fit on a page, and
/// cryptographic, so that a sender cannot make collisions in bulk. Part of the on-disk format;
/// changing it needs a migration.
pub(crate) fn id_hash(event_id: &str) -> i64 {
    let hash = Sha256::digest(event_id.as_bytes());
    let head = hash.iter().take(6).fold(0, |head, byte| head << 8 | i64::from(*byte));
    head >> 1
}

#[cfg(test)]
impl WriteBehindIndex {
    pub(crate) fn set_flush_size(&mut self, threshold: usize, step: usize) {
        (self.threshold, self.step) = (threshold, step);
    }

    pub(crate) fn snapshot(&self) -> Vec<String> {
        let layer = |name: &str, layer: &Layer| -> Vec<String> {
            let keys = layer.keys.iter().map(|key| format!("{name} key {key:?}"));
            keys.chain(layer.ids.iter().map(|id| format!("{name} id {id:?}"))).collect()
        };
        let flush = self.flush.as_ref().map_or(Vec::new(), |flush| layer("flush", &flush.layer));
        [layer("recent", &self.recent), flush].concat()
    }
}

#[cfg(test)]
mod tests;
