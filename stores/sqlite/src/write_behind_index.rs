//! The late index. A hash belongs to a random page of its table, so that writing it with its event
//! would cost a page of the log each. What is new is therefore looked up in memory, and is durable
//! in the event's own row, which is appended. Once enough has come together it is written to its
//! tables in the order of the hashes, a little between groups: many then share a page. Events after
//! `meta.keys_flushed_to` are read again at start.
//!
//! Whatever was looked up in the tables before is found here first, so the newest owner of a key
//! counts, as if it had been written at once.

use std::collections::HashMap;
use std::vec::IntoIter;

use hookward_core::store::StoreError;
use rusqlite::{Connection, OptionalExtension, Result, params};
use sha2::{Digest, Sha256};

use crate::error::store_error;
use crate::telemetry;
use crate::writer::Writer;

/// So many keys, or events, come together before they are written. In memory a key takes 38 to 75
/// bytes and an event id 20 to 39. While these are written the next ones come, so that it is some
/// 10 MiB; 20 where they come so fast that they have to wait for it.
const LIMIT: usize = 64 * 1024;

/// So many are written at once, while others wait.
const STEP: usize = 1_000;

/// Of a dedupe key.
pub(crate) type Hash = [u8; 16];

/// Whose a key is, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyOwner {
    pub(crate) seq: i64,
    pub(crate) at: i64,
}

#[derive(Debug)]
pub(crate) struct Late {
    /// [`LIMIT`], except in tests.
    pub(crate) limit: usize,
    /// [`STEP`], except in tests.
    pub(crate) step: usize,
    recent: Layer,
    flush: Option<Flush>,
    /// Events up to this one are in the tables, or on the way there.
    begun: i64,
    /// The last step failed; another one is tried after a commit.
    paused: bool,
    /// How to undo what the open transaction did.
    undo: Vec<Undo>,
}

#[derive(Debug, Default)]
struct Layer {
    keys: HashMap<Hash, KeyOwner>,
    /// `seq` → hash of the sender's id.
    ids: HashMap<i64, i64>,
}

/// Entries on their way into the tables. A purge takes some out of the layer meanwhile.
#[derive(Debug)]
struct Flush {
    layer: Layer,
    keys: IntoIter<Hash>,
    ids: IntoIter<(i64, i64)>,
    /// The last event of which it has entries.
    to: i64,
}

/// What was there before, in the recent layer or in the one on its way.
#[derive(Debug)]
enum Undo {
    RecentKey(Hash, Option<KeyOwner>),
    RecentId(i64, Option<i64>),
    FlushKey(Hash, KeyOwner),
    FlushId(i64, i64),
}

impl Default for Late {
    fn default() -> Self {
        Self {
            limit: LIMIT,
            step: STEP,
            recent: Layer::default(),
            flush: None,
            begun: 0,
            paused: false,
            undo: Vec::new(),
        }
    }
}

impl Late {
    /// What is known of a key, unless that is in the table.
    pub(crate) fn taken(&self, hash: &Hash) -> Option<KeyOwner> {
        let recent = self.recent.keys.get(hash);
        recent.or_else(|| self.flush.as_ref()?.layer.keys.get(hash)).copied()
    }

    pub(crate) fn take(&mut self, hash: Hash, taken: KeyOwner) {
        let was = self.recent.keys.insert(hash, taken);
        self.undo.push(Undo::RecentKey(hash, was));
    }

    pub(crate) fn name(&mut self, seq: i64, event_id: &str) {
        let was = self.recent.ids.insert(seq, id_hash(event_id));
        self.undo.push(Undo::RecentId(seq, was));
    }

    /// An event goes, with those of its keys that are still its own.
    pub(crate) fn forget(&mut self, seq: i64, hashes: &[u8]) {
        let Self { recent, flush, undo, .. } = self;
        if let Some(was) = recent.ids.remove(&seq) {
            undo.push(Undo::RecentId(seq, Some(was)));
        }
        if let Some(was) = flush.as_mut().and_then(|flush| flush.layer.ids.remove(&seq)) {
            undo.push(Undo::FlushId(seq, was));
        }
        let own = |taken: &&mut KeyOwner| taken.seq == seq;
        for hash in hashes.as_chunks::<16>().0 {
            if let Some(taken) = recent.keys.get_mut(hash).filter(own).copied() {
                recent.keys.remove(hash);
                undo.push(Undo::RecentKey(*hash, Some(taken)));
            }
            let Some(flush) = flush else { continue };
            if let Some(taken) = flush.layer.keys.get_mut(hash).filter(own).copied() {
                flush.layer.keys.remove(hash);
                undo.push(Undo::FlushKey(*hash, taken));
            }
        }
    }

    pub(crate) fn committed(&mut self) {
        self.undo.clear();
        self.paused = false;
    }

    pub(crate) fn rolled_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::RecentKey(hash, Some(was)) => drop(self.recent.keys.insert(hash, was)),
                Undo::RecentKey(hash, None) => drop(self.recent.keys.remove(&hash)),
                Undo::RecentId(seq, Some(was)) => drop(self.recent.ids.insert(seq, was)),
                Undo::RecentId(seq, None) => drop(self.recent.ids.remove(&seq)),
                Undo::FlushKey(hash, was) => {
                    self.flush.as_mut().map(|flush| flush.layer.keys.insert(hash, was));
                }
                Undo::FlushId(seq, was) => {
                    self.flush.as_mut().map(|flush| flush.layer.ids.insert(seq, was));
                }
            }
        }
    }

    /// Starts a flush if enough has come together. `newest` is the last event that is committed.
    fn begin(&mut self, newest: i64) {
        let enough = self.recent.keys.len() >= self.limit
            || usize::try_from(newest - self.begun).is_ok_and(|events| events >= self.limit);
        if self.flush.is_some() || !enough {
            return;
        }
        let layer = std::mem::take(&mut self.recent);
        let mut keys: Vec<_> = layer.keys.keys().copied().collect();
        keys.sort_unstable();
        let mut ids: Vec<_> = layer.ids.iter().map(|(seq, hash)| (*hash, *seq)).collect();
        ids.sort_unstable();
        self.begun = newest;
        let (keys, ids) = (keys.into_iter(), ids.into_iter());
        self.flush = Some(Flush { layer, keys, ids, to: newest });
    }

    /// More than twice of what should be in memory is there: those who wait have to wait for it.
    fn pressing(&self) -> bool {
        self.flush.is_some() && self.recent.keys.len() >= 2 * self.limit
    }

    /// Reads what the tables do not have. At start.
    pub(crate) fn read(&mut self, conn: &Connection) -> Result<()> {
        let mut to = conn.prepare("select value from meta where name = 'keys_flushed_to'")?;
        self.begun = to.query_row([], |row| row.get(0)).optional()?.unwrap_or(0);
        let mut later = conn.prepare(
            "select seq, received_at, keys, event_id from events where seq > ?1 order by seq",
        )?;
        let mut later = later.query([self.begun])?;
        while let Some(row) = later.next()? {
            let taken = KeyOwner { seq: row.get(0)?, at: row.get(1)? };
            let hashes = row.get_ref(2)?.as_blob_or_null()?.unwrap_or_default();
            for hash in hashes.as_chunks::<16>().0 {
                self.recent.keys.insert(*hash, taken);
            }
            if let Some(event_id) = row.get_ref(3)?.as_str_or_null()? {
                self.recent.ids.insert(taken.seq, id_hash(event_id));
            }
        }
        Ok(())
    }
}

impl Writer {
    /// Whether something is to be written that nobody waits for.
    pub(crate) fn is_indexing(&self) -> bool {
        let may = self.poison.is_none() && self.room.low().is_none();
        self.late.flush.is_some() && !self.late.paused && may
    }

    /// Between groups: writes a little of what waits for its tables. Nobody's answer hangs on it.
    pub(crate) fn index(&mut self) {
        self.late.begin(self.next_seq - 1);
        while self.is_indexing() {
            if let Err(e) = self.index_some() {
                self.not_indexed(&store_error(&e));
            } else if !self.late.pressing() {
                return;
            }
        }
    }

    fn index_some(&mut self) -> Result<()> {
        let Some(Flush { layer, keys, ids, to }) = &self.late.flush else { return Ok(()) };
        let some_keys = keys.len().min(self.late.step);
        let some_ids = ids.len().min(self.late.step - some_keys);
        let last = some_keys == keys.len() && some_ids == ids.len();
        self.conn.prepare_cached("begin")?.execute([])?;
        let mut put = self.conn.prepare_cached(
            "insert into keys (hash, event, at) values (?1, ?2, ?3)
             on conflict do update set event = ?2, at = ?3",
        )?;
        for hash in keys.as_slice().iter().take(some_keys) {
            if let Some(KeyOwner { seq, at }) = layer.keys.get(hash) {
                put.execute(params![hash, seq, at])?;
            }
        }
        let mut put = self.conn.prepare_cached(
            "insert into event_ids (hash, event) values (?1, ?2) on conflict do nothing",
        )?;
        for (hash, seq) in ids.as_slice().iter().take(some_ids) {
            if layer.ids.contains_key(seq) {
                put.execute([hash, seq])?;
            }
        }
        if last {
            let mut done = self
                .conn
                .prepare_cached("update meta set value = ?1, sum = checksum(name, ?1) where name = 'keys_flushed_to'")?;
            done.execute([to])?;
        }
        self.commit()?;
        if last {
            self.late.flush = None;
        } else if let Some(Flush { keys, ids, .. }) = &mut self.late.flush {
            keys.by_ref().take(some_keys).for_each(drop);
            ids.by_ref().take(some_ids).for_each(drop);
        }
        Ok(())
    }

    /// All of it is in memory and in the rows of its events, so nothing is lost.
    fn not_indexed(&mut self, error: &StoreError) {
        self.late.paused = true;
        if matches!(error, StoreError::Failed(_)) {
            self.rolled_back(error, Vec::new());
            return;
        }
        telemetry::not_indexed(error);
        if matches!(error, StoreError::Full(_)) {
            self.room.ran_out();
        }
        if !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("rollback");
        }
    }
}

/// Of a sender's id: short, so that many fit on a page, and not to be forged in bulk.
pub(crate) fn id_hash(event_id: &str) -> i64 {
    let hash = Sha256::digest(event_id.as_bytes());
    let head = hash.iter().take(6).fold(0, |head, byte| head << 8 | i64::from(*byte));
    head >> 1
}

#[cfg(test)]
mod tests;
