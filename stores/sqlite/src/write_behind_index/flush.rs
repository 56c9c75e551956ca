//! Writing the index to its tables: a few entries per step, each step a transaction of its own
//! between two groups. No caller waits for a flush, and no answer depends on it: until the last
//! step every entry is durable in the row of its event.

use hookward_core::store::StoreError;
use rusqlite::{Connection, Result, params};

use super::{Flush, KeyOwner, WriteBehindIndex};
use crate::error::store_error;
use crate::transaction::Transaction;

impl WriteBehindIndex {
    /// Starts a flush if enough entries have come together. `newest` is the last committed event.
    pub(crate) fn start_flush(&mut self, newest: i64) {
        // Events without keys count too: a start has to read their rows again until the flush.
        let enough = self.recent.keys.len() >= self.threshold
            || usize::try_from(newest - self.flushed_to).is_ok_and(|n| n >= self.threshold);
        if self.flush.is_some() || !enough {
            return;
        }
        // The layer stays in memory until the last step: lookups need it until the tables have all
        // of it.
        let layer = std::mem::take(&mut self.recent);
        // In the order of the tables, so that entries of one step share pages.
        let mut keys: Vec<_> = layer.keys.keys().copied().collect();
        keys.sort_unstable();
        let mut ids: Vec<_> = layer.ids.iter().map(|(seq, hash)| (*hash, *seq)).collect();
        ids.sort_unstable();
        self.flushed_to = newest;
        let (keys, ids) = (keys.into_iter(), ids.into_iter());
        self.flush = Some(Flush { layer, keys, ids, to: newest });
    }

    /// Whether a step of a flush is due.
    pub(crate) fn has_flush_step(&self) -> bool {
        self.flush.is_some() && !self.paused
    }

    /// Whether the memory holds more than twice the threshold: the flush then has to be completed
    /// before the next group, or memory would grow without a bound.
    pub(crate) fn is_overfull(&self) -> bool {
        self.flush.is_some() && self.recent.keys.len() >= 2 * self.threshold
    }

    /// Stops the flush until the next commit. Entries stay in memory.
    pub(crate) fn pause_flush(&mut self) {
        self.paused = true;
    }

    /// Writes the next entries in a transaction of its own. After an error the memory is as before.
    pub(crate) fn flush_step(&mut self, conn: &Connection) -> std::result::Result<(), StoreError> {
        let Some(flush) = &mut self.flush else { return Ok(()) };
        let some_keys = flush.keys.len().min(self.step);
        // Keys first, then ids. One budget for both bounds the time of a step.
        let some_ids = flush.ids.len().min(self.step - some_keys);
        let is_last = some_keys == flush.keys.len() && some_ids == flush.ids.len();
        let transaction = Transaction::begin(conn).map_err(|e| store_error(&e))?;
        flush.write(&transaction, some_keys, some_ids, is_last).map_err(|e| store_error(&e))?;
        transaction.commit().map_err(|e| store_error(&e))?;
        // Only after the commit: a lookup between the two would find the entry nowhere.
        if is_last {
            self.flush = None;
        } else {
            flush.keys.by_ref().take(some_keys).for_each(drop);
            flush.ids.by_ref().take(some_ids).for_each(drop);
        }
        Ok(())
    }
}

impl Flush {
    fn write(
        &self,
        transaction: &Transaction<'_>,
        some_keys: usize,
        some_ids: usize,
        is_last: bool,
    ) -> Result<()> {
        let mut put = transaction.prepare_cached(
            "insert into keys (hash, event, at) values (?1, ?2, ?3)
             on conflict do update set event = ?2, at = ?3",
        )?;
        for hash in self.keys.as_slice().iter().take(some_keys) {
            if let Some(KeyOwner { seq, at }) = self.layer.keys.get(hash) {
                put.execute(params![hash, seq, at])?;
            }
        }
        let mut put = transaction.prepare_cached(
            // After a kill in the middle of a flush, the next flush writes the same entries again.
            "insert into event_ids (hash, event) values (?1, ?2) on conflict do nothing",
        )?;
        for (hash, seq) in self.ids.as_slice().iter().take(some_ids) {
            if self.layer.ids.contains_key(seq) {
                put.execute([hash, seq])?;
            }
        }
        if is_last {
            // With the last entries, not after them: from here on a start does not read the rows
            // of these events again.
            let mut flushed = transaction.prepare_cached(
                "update meta set value = ?1, sum = checksum(name, ?1)
                 where name = 'keys_flushed_to'",
            )?;
            flushed.execute([self.to])?;
        }
        Ok(())
    }
}
