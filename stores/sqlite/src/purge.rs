//! Removing what is past its time, a little per call. The caller has a transaction open.

use hookward_core::store::Purge;
use rusqlite::{Result, params};

use crate::queue::CacheUpdate;
use crate::rows;
use crate::write_behind_index::id_hash;
use crate::writer::Writer;

/// At most so many events are looked at per call; others wait for their commits meanwhile.
const LOOK: usize = 2_000;

/// Free pages beyond these are given back to the disk, at most so many per call. The rest is soon
/// used again.
const SPARE_PAGES: i64 = 256;

/// Where a purge stopped: received at, `seq`. The next one goes on there, so that events that must
/// stay do not stand in the way of those behind them.
pub(crate) type PurgeCursor = Option<(i64, i64)>;

struct ExpiredEvent {
    place: (i64, i64),
    delivery: i64,
    keys: Option<Vec<u8>>,
    event_id: Option<String>,
}

impl Writer {
    pub(crate) fn purge(&mut self, what: Purge) -> Result<u64> {
        let start = self.purged.take();
        let (mut at, mut wrapped) = (start, start.is_none());
        let (mut looked, mut removed) = (0, 0);
        while removed < what.limit && looked < LOOK {
            let page = self.past(what, at, (what.limit - removed).clamp(1, 200))?;
            let Some(last) = page.last().map(|past| past.place) else {
                if wrapped {
                    at = None;
                    break;
                }
                (at, wrapped) = (None, true);
                continue;
            };
            looked += page.len();
            for past in page {
                if self.may_go(&past, what)? {
                    self.remove(&past)?;
                    removed += 1;
                }
            }
            at = Some(last);
            if wrapped && start.is_some() && at >= start {
                break;
            }
        }
        self.purged = at;
        if removed > 0 {
            self.conn.execute(
                "insert into meta (name, value, sum) values ('seq', ?1, checksum('seq', ?1))
                 on conflict do update set value = excluded.value, sum = excluded.sum",
                [self.next_seq],
            )?;
            self.shrink()?;
        }
        Ok(removed as u64)
    }

    fn past(&self, what: Purge, after: PurgeCursor, limit: usize) -> Result<Vec<ExpiredEvent>> {
        let (at, seq) = after.unwrap_or((i64::MIN, 0));
        let mut found = self.conn.prepare_cached(
            "select received_at, seq, delivery, keys, event_id from events
             where received_at < ?1 and (received_at, seq) > (?2, ?3)
             order by received_at, seq limit ?4",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            let place = (row.get(0)?, row.get(1)?);
            Ok(ExpiredEvent {
                place,
                delivery: row.get(2)?,
                keys: row.get(3)?,
                event_id: row.get(4)?,
            })
        };
        let before = what.events_before.as_millis();
        found.query_map(params![before, at, seq, limit as i64], read)?.collect()
    }

    fn may_go(&self, past: &ExpiredEvent, what: Purge) -> Result<bool> {
        let mut worst = self
            .conn
            .prepare_cached("select min(state) from jobs where event = ?1 and state in (0, 2)")?;
        let worst = worst.query_row([past.place.1], |row| row.get::<_, Option<i64>>(0))?;
        Ok(match worst {
            None => true,
            Some(rows::DEAD) => past.place.0 < what.dead_before.as_millis(),
            Some(_) => false,
        })
    }

    fn remove(&mut self, past: &ExpiredEvent) -> Result<()> {
        let seq = past.place.1;
        let mut dead =
            self.conn.prepare_cached("select route from jobs where event = ?1 and state = 2")?;
        for route in dead.query_map([seq], |row| row.get(0))? {
            self.effects.push(CacheUpdate::Buried(self.names.name(route?)));
        }
        // Past its window, a key may belong to a later event by now.
        let mut free =
            self.conn.prepare_cached("delete from keys where hash = ?1 and event = ?2")?;
        let hashes = past.keys.as_deref().unwrap_or_default();
        for hash in hashes.chunks_exact(16) {
            free.execute(params![hash, seq])?;
        }
        if let Some(event_id) = &past.event_id {
            self.conn
                .prepare_cached("delete from event_ids where hash = ?1 and event = ?2")?
                .execute([id_hash(event_id), seq])?;
        }
        self.late.forget(seq, hashes);
        for sql in [
            "delete from jobs where event = ?1",
            "delete from twins where event = ?1",
            "delete from events where seq = ?1",
        ] {
            self.conn.prepare_cached(sql)?.execute([seq])?;
        }
        // Events of one delivery are numbered one after the other.
        let mut last = self.conn.prepare_cached(
            "delete from deliveries where id = ?1 and not exists
                 (select 1 from events where seq >= ?1 and seq < ?1 + deliveries.events)",
        )?;
        last.execute([past.delivery])?;
        Ok(())
    }

    fn shrink(&self) -> Result<()> {
        let free: i64 = self.conn.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        let excess = (free - SPARE_PAGES).min(SPARE_PAGES);
        if excess <= 0 {
            return Ok(());
        }
        // It gives back one page per step.
        let mut vacuum = self.conn.prepare(&format!("pragma incremental_vacuum({excess})"))?;
        let mut steps = vacuum.query([])?;
        while steps.next()?.is_some() {}
        Ok(())
    }
}
