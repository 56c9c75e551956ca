//! Purges: removes events past their retention, a page at a time and a limited number per call, so
//! that commands which arrive meanwhile do not wait long.

use hookward_core::store::PurgeRequest;
use rusqlite::{Connection, Result, params};

use crate::memory::{Batch, PurgeCursor};
use crate::queue::CacheUpdate;
use crate::rows;
use crate::transaction::Transaction;
use crate::write_behind_index::id_hash;

/// Events that one call examines, whether or not it may remove them. Other commands wait for the
/// commit of the call's group.
const MAX_EXAMINED_EVENTS: usize = 2_000;

/// Events that one query reads.
const MAX_PAGE_EVENTS: usize = 200;

/// Free pages that stay in the file because they are soon used again, and the number of pages that
/// one call returns to the file system at most.
const SPARE_PAGES: i64 = 256;

/// Kept keys that one call examines, beside four for each event that it removes, so that keys never
/// pile up faster than they are removed.
const MAX_EXAMINED_KEYS: i64 = 1_000;

struct ExpiredEvent {
    position: (i64, i64),
    source: i64,
    delivery: i64,
    keys: Option<Vec<u8>>,
    event_id: Option<String>,
}

/// Removes up to `purge.limit` events. Returns how many it removed; 0 does not mean that none is
/// left, only that this call found none.
pub(crate) fn purge(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    purge: &PurgeRequest,
) -> Result<u64> {
    let start = batch.take_purge_cursor();
    let (mut at, mut wrapped) = (start, start.is_none());
    let (mut examined, mut removed) = (0, 0);
    while removed < purge.limit && examined < MAX_EXAMINED_EVENTS {
        // A page never goes past the limit of the call, which bounds the time of its group.
        let limit = (purge.limit - removed).clamp(1, MAX_PAGE_EVENTS);
        let page = read_page(transaction, purge, at, limit)?;
        let Some(last) = page.last().map(|event| event.position) else {
            if wrapped {
                at = None;
                break;
            }
            (at, wrapped) = (None, true);
            continue;
        };
        examined += page.len();
        for event in page {
            if is_removable(transaction, &event, purge)? {
                keep_keys(transaction, batch, &event, purge)?;
                remove(transaction, batch, &event)?;
                removed += 1;
            }
        }
        at = Some(last);
        // Back at the start after a wrap: every expired event was examined.
        if wrapped && start.is_some() && at >= start {
            break;
        }
    }
    batch.set_purge_cursor(at);
    if batch.has_purged_keys() {
        remove_kept_keys(transaction, purge, removed)?;
    }
    if removed > 0 {
        // The next owner numbers events by the last row, which may be gone now. A `seq` must not be
        // used a second time.
        transaction.execute(
            "insert into meta (name, value, sum) values ('seq', ?1, checksum('seq', ?1))
             on conflict do update set value = excluded.value, sum = excluded.sum",
            [batch.next_seq()],
        )?;
        shrink(transaction)?;
    }
    Ok(removed as u64)
}

fn read_page(
    conn: &Connection,
    purge: &PurgeRequest,
    after: PurgeCursor,
    limit: usize,
) -> Result<Vec<ExpiredEvent>> {
    // By time and not by `seq`: after a clock step the two orders differ, and retention is about
    // time.
    let (at, seq) = after.unwrap_or((i64::MIN, 0));
    let mut found = conn.prepare_cached(
        "select received_at, seq, delivery, keys, event_id, source from events
         where received_at < ?1 and (received_at, seq) > (?2, ?3)
         order by received_at, seq limit ?4",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(ExpiredEvent {
            position: (row.get(0)?, row.get(1)?),
            delivery: row.get(2)?,
            keys: row.get(3)?,
            event_id: row.get(4)?,
            source: row.get(5)?,
        })
    };
    let before = purge.events_before.as_millis();
    found.query_map(params![before, at, seq, limit as i64], read)?.collect()
}

/// Whether an event may be removed: it has no open job, and its dead jobs are past their retention.
fn is_removable(conn: &Connection, event: &ExpiredEvent, purge: &PurgeRequest) -> Result<bool> {
    let mut state =
        conn.prepare_cached("select min(state) from jobs where event = ?1 and state in (0, 2)")?;
    let state = state.query_row([event.position.1], |row| row.get::<_, Option<i64>>(0))?;
    Ok(match state {
        None => true,
        Some(rows::STATE_DEAD) => event.position.0 < purge.dead_before.as_millis(),
        Some(_) => false,
    })
}

/// Keeps the dedupe keys of an event that is about to be removed, where its source says so.
fn keep_keys(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    event: &ExpiredEvent,
    purge: &PurgeRequest,
) -> Result<()> {
    let (at, seq) = event.position;
    let Some(keys) = event.keys.as_deref().filter(|keys| !keys.is_empty()) else { return Ok(()) };
    let source = batch.name(event.source);
    let mut since = purge.keep_keys.iter().filter(|keep| keep.source == source);
    if !since.any(|keep| keep.since.as_millis() <= at) {
        return Ok(());
    }
    let mut add = transaction.prepare_cached(
        "insert into purged_keys (hash, event, at, sum) values (?1, ?2, ?3, checksum(?1, ?2, ?3))",
    )?;
    for hash in keys.as_chunks::<16>().0 {
        add.execute(params![hash, seq, at])?;
    }
    batch.set_has_purged_keys();
    Ok(())
}

/// Removes kept keys that count for no source any more. They lie in the order in which their events
/// were purged, which is nearly that of their age, so only the first of them are examined.
fn remove_kept_keys(conn: &Connection, purge: &PurgeRequest, removed_events: usize) -> Result<()> {
    let earliest = purge.keep_keys.iter().map(|keep| keep.since.as_millis()).min();
    // Nothing is kept for any source: all keys may go.
    let earliest = earliest.unwrap_or(i64::MAX);
    let limit = MAX_EXAMINED_KEYS.saturating_add((removed_events as i64).saturating_mul(4));
    let mut free = conn.prepare_cached(
        "delete from purged_keys where at < ?1 and id in
             (select id from purged_keys order by id limit ?2)",
    )?;
    free.execute(params![earliest, limit])?;
    Ok(())
}

fn remove(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    event: &ExpiredEvent,
) -> Result<()> {
    let seq = event.position.1;
    let mut dead =
        transaction.prepare_cached("select route from jobs where event = ?1 and state = 2")?;
    for route in dead.query_map([seq], |row| row.get(0))? {
        batch.update(CacheUpdate::DeadRemoved(batch.name(route?)));
    }
    // After its dedupe window, a key may belong to a later event.
    let mut free = transaction.prepare_cached("delete from keys where hash = ?1 and event = ?2")?;
    let hashes = event.keys.as_deref().unwrap_or_default();
    for hash in hashes.chunks_exact(16) {
        free.execute(params![hash, seq])?;
    }
    if let Some(event_id) = &event.event_id {
        transaction
            .prepare_cached("delete from event_ids where hash = ?1 and event = ?2")?
            .execute([id_hash(event_id), seq])?;
    }
    // In memory as well, or new events would be duplicates of a purged one until the flush.
    batch.remove_event(seq, hashes);
    for sql in [
        "delete from jobs where event = ?1",
        "delete from content_duplicates where event = ?1",
        "delete from events where seq = ?1",
    ] {
        transaction.prepare_cached(sql)?.execute([seq])?;
    }
    // The events of a delivery have consecutive numbers from its id on. Removing the last
    // of them removes the delivery too.
    let mut last = transaction.prepare_cached(
        "delete from deliveries where id = ?1 and not exists
             (select 1 from events where seq >= ?1 and seq < ?1 + deliveries.events)",
    )?;
    last.execute([event.delivery])?;
    Ok(())
}

/// Returns free pages to the file system.
fn shrink(conn: &Connection) -> Result<()> {
    let free: i64 = conn.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    // Moving a page costs a write, so a purge frees a bounded number of them per call.
    let excess = (free - SPARE_PAGES).min(SPARE_PAGES);
    if excess <= 0 {
        return Ok(());
    }
    // Each step of the statement frees one page.
    let mut vacuum = conn.prepare(&format!("pragma incremental_vacuum({excess})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}
