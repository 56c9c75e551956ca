//! Accepts deliveries: looks up their dedupe keys, and writes their events and jobs.

use hookward_core::store::{
    Acceptance, DedupeKey, DedupeKeyKind, NewDelivery, NewEvent, NewStatus, QueuedJob,
};
use hookward_core::{Event, EventId, EventParts, Timestamp};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::checksum::row_intact;
use crate::error::{is_damage, unreadable};
use crate::memory::Batch;
use crate::queue::CacheUpdate;
use crate::reply_codec;
use crate::telemetry;
use crate::transaction::Transaction;
use crate::write_behind_index::{Hash, KeyOwner};

/// Writes the new events of a delivery. If all its events are duplicates, nothing is written and
/// the stored answer is returned.
pub(crate) fn accept(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    delivery: &NewDelivery,
) -> Result<Acceptance> {
    let source = batch.name_number(transaction, &delivery.source)?;
    // The delivery has the number of its first new event as its id, so the body of a batch is
    // stored once and rows lie in the order of arrival.
    let first = batch.next_seq();
    let mut known = Vec::new();
    for event in &delivery.events {
        match look_up_keys(transaction, batch, event, delivery.dedupe_since)? {
            KeyLookup::New(claims) => {
                for (seq, hash) in &claims.released {
                    release_key(transaction, batch, *seq, hash)?;
                }
                write_event(transaction, batch, delivery, source, first, event, &claims)?;
            }
            KeyLookup::Duplicate(duplicate) => {
                // Only by content: the sender sees another id, so an operator may have to explain
                // why there was no event for it. A purged event has no list any more.
                if duplicate.by == DedupeKeyKind::Content && !duplicate.purged {
                    let (seq, limit) = (duplicate.seq, batch.policy().max_content_duplicates);
                    write_content_duplicate(transaction, seq, event, delivery.received_at, limit)?;
                }
                known.push(duplicate);
            }
        }
    }
    // The newest of the known events decides the answer. If this batch was accepted before, that
    // event came with it, even if others of it were known at that time already.
    match known.iter().max_by_key(|duplicate| duplicate.seq) {
        Some(newest) if batch.next_seq() == first => match newest.purged {
            true => Ok(Acceptance::DuplicateOfPurged { by: newest.by }),
            false => answer_duplicate(transaction, delivery, newest.seq, newest.by),
        },
        _ => {
            write_delivery(transaction, delivery, first, batch.next_seq() - first)?;
            Ok(Acceptance::Accepted { known: known.len() })
        }
    }
}

/// The result of looking up the dedupe keys of an event.
enum KeyLookup {
    /// The event is new.
    New(KeyClaims),
    /// Another event has one of the keys.
    Duplicate(Duplicate),
}

/// What a new event owns from now on.
#[derive(Default)]
struct KeyClaims {
    /// All hashes that the event claims.
    hashes: Vec<Hash>,
    /// Those of them that an older event has, which loses them.
    released: Vec<(i64, Hash)>,
    /// Whether another event had the same unsigned id within the window.
    reuses_id: bool,
}

impl KeyClaims {
    fn add(&mut self, hash: Hash, owner: Option<FoundOwner>) {
        self.hashes.push(hash);
        let owner = owner.filter(|owner| !owner.purged);
        self.released.extend(owner.map(|owner| (owner.seq, hash)));
    }
}

/// The event that a duplicate repeats.
#[derive(Clone, Copy)]
struct Duplicate {
    seq: i64,
    by: DedupeKeyKind,
    purged: bool,
}

/// The owner of a dedupe key, in the table of events or, once purged, in that of kept keys.
#[derive(Clone, Copy)]
struct FoundOwner {
    seq: i64,
    at: i64,
    purged: bool,
}

/// Looks up the dedupe keys of an event: it is new, or the duplicate of another event.
fn look_up_keys(
    conn: &Connection,
    batch: &Batch<'_>,
    event: &NewEvent,
    since: Timestamp,
) -> Result<KeyLookup> {
    let find = |hash: &Hash| find_owner(conn, batch, hash);
    let in_window = |owner: &FoundOwner| owner.at >= since.as_millis();
    let id_owner = match &event.unsigned_id {
        Some(id) => find(&id.hash)?,
        None => None,
    };
    let confirming = id_owner.filter(in_window).map(|owner| owner.seq);
    let duplicate = |owner: FoundOwner, kind| {
        let by = if confirming == Some(owner.seq) { DedupeKeyKind::Id } else { kind };
        Ok(KeyLookup::Duplicate(Duplicate { seq: owner.seq, by, purged: owner.purged }))
    };
    let mut claims = KeyClaims::default();
    for DedupeKey { kind, hash, .. } in &event.keys {
        match find(hash)? {
            Some(owner) if in_window(&owner) => return duplicate(owner, *kind),
            expired => claims.add(*hash, expired),
        }
    }
    let mut first_variant = None;
    for (n, hash) in event.variant_keys.iter().enumerate() {
        match find(hash)? {
            Some(owner) if in_window(&owner) => {
                // The bytes are the same, and the id confirms it: a repetition whatever its type.
                if confirming == Some(owner.seq) {
                    return duplicate(owner, DedupeKeyKind::Id);
                }
                let first = *first_variant.get_or_insert(owner);
                if n + 1 == event.variant_keys.len() {
                    return duplicate(first, DedupeKeyKind::Content);
                }
            }
            expired => {
                claims.add(*hash, expired);
                break;
            }
        }
    }
    if let Some(id) = &event.unsigned_id {
        claims.reuses_id = confirming.is_some();
        claims.add(id.hash, id_owner);
    }
    Ok(KeyLookup::New(claims))
}

/// The owner of a key. Memory comes first: it has the newest owner, of which the tables may not
/// know yet.
fn find_owner(conn: &Connection, batch: &Batch<'_>, hash: &Hash) -> Result<Option<FoundOwner>> {
    if let Some(KeyOwner { seq, at }) = batch.key_owner(hash) {
        return Ok(Some(FoundOwner { seq, at, purged: false }));
    }
    // A key counts only while its event has it too: with a key that is corrupt on the disk, an
    // event that was never seen would be dropped as a duplicate.
    let mut rows = conn.prepare_cached(
        "select k.event, e.received_at from keys k join events e on e.seq = k.event
         where k.hash = ?1 and instr(e.keys, ?1) > 0",
    )?;
    let read =
        |purged| move |row: &Row<'_>| Ok(FoundOwner { seq: row.get(0)?, at: row.get(1)?, purged });
    let found = rows.query_row([hash], read(false)).optional()?;
    // Skipped where nothing was ever kept, which is the usual case: it would read one more random
    // page for each new key.
    if found.is_some() || !batch.has_purged_keys() {
        return Ok(found);
    }
    let mut kept = conn.prepare_cached(
        "select event, at from purged_keys
         where hash = ?1 and sum = checksum(hash, event, at) order by at desc limit 1",
    )?;
    kept.query_row([hash], read(true)).optional()
}

/// Removes a key from an event whose dedupe window is over, in its row too: after a purge of the
/// event that gets the key now, the next owner of the file would read the key from the older row
/// and take a new event for its duplicate.
fn release_key(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    seq: i64,
    hash: &Hash,
) -> Result<()> {
    batch.remove_key(seq, hash);
    transaction
        .prepare_cached("delete from keys where hash = ?1 and event = ?2")?
        .execute(params![hash, seq])?;
    // A corrupt row stays as it is: a new sum would hide the damage.
    let mut keys = transaction.prepare_cached(concat!(
        "select keys from events where seq = ?1 and ",
        row_intact!(events "events")
    ))?;
    let keys = keys.query_row([seq], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    let Some(keys) = keys else { return Ok(()) };
    let kept = keys.as_chunks::<16>().0.iter().filter(|key| *key != hash);
    let kept: Vec<u8> = kept.flatten().copied().collect();
    let mut write = transaction.prepare_cached(
        "update events set keys = ?2,
             sum = checksum(seq, delivery, id, source, received_at, status, event_type, event_id,
                            part, ?2, notes)
         where seq = ?1",
    )?;
    write.execute(params![seq, kept])?;
    Ok(())
}

/// Answers a duplicate of the event `seq` with the stored answer.
fn answer_duplicate(
    conn: &Connection,
    delivery: &NewDelivery,
    seq: i64,
    by: DedupeKeyKind,
) -> Result<Acceptance> {
    let mut found = conn.prepare_cached(concat!(
        "select e.id, d.answer, ",
        row_intact!(events "e"),
        " and ",
        row_intact!(answer "d"),
        " from events e join deliveries d on d.id = e.delivery where e.seq = ?1"
    ))?;
    let stored = found.query_row([seq], |row| {
        let answer = match row.get(2)? {
            true => reply_codec::decode(row.get_ref(1)?.as_blob()?),
            false => None,
        };
        let answer = answer.ok_or_else(|| unreadable("an answer"))?;
        Ok(Acceptance::Duplicate { answer, of: EventId::from_bytes(row.get(0)?), by })
    });
    match stored {
        // The event is stored all the same, so its own answer is true. An error would fail the
        // whole group.
        Err(e) if is_damage(&e) => {
            telemetry::row_corrupt("an answer", seq);
            let Some(of) = delivery.events.first().map(|event| event.id) else { return Err(e) };
            Ok(Acceptance::Duplicate { answer: delivery.answer.clone(), of, by })
        }
        stored => stored,
    }
}

/// Records a content duplicate. At most 100 per event: a flood of equal deliveries must not fill
/// the disk.
fn write_content_duplicate(
    conn: &Connection,
    seq: i64,
    event: &NewEvent,
    received_at: Timestamp,
    limit: u32,
) -> Result<()> {
    let mut add = conn.prepare_cached(
        "insert into content_duplicates (event, n, event_id, received_at, sum)
         select ?1, count(*), ?2, ?3, checksum(?1, count(*), ?2, ?3)
         from content_duplicates where event = ?1 having count(*) < ?4",
    )?;
    add.execute(params![seq, event.event_id, received_at.as_millis(), limit])?;
    Ok(())
}

fn write_delivery(conn: &Connection, delivery: &NewDelivery, id: i64, events: i64) -> Result<()> {
    let headers = serde_json::to_string(&delivery.headers[..]);
    let headers = headers.map_err(|_| unreadable("headers"))?;
    let mut add = conn.prepare_cached(
        "insert into deliveries (id, events, headers, answer, body, answer_sum, body_sum)
         values (?1, ?2, ?3, ?4, ?5, checksum(?1, ?2, ?4), checksum(?1, ?3, ?5))",
    )?;
    add.execute(params![
        id,
        events,
        headers,
        // The answer is stored with the event, byte for byte, because each duplicate has to get the
        // same one.
        reply_codec::encode(&delivery.answer),
        &delivery.body.bytes()[..],
    ])?;
    Ok(())
}

fn write_event(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    delivery: &NewDelivery,
    source: i64,
    delivery_id: i64,
    new: &NewEvent,
    claims: &KeyClaims,
) -> Result<()> {
    let seq = batch.take_seq();
    let at = delivery.received_at.as_millis();
    for hash in &claims.hashes {
        // Immediately, because the next delivery of this group may have the same key.
        batch.set_key_owner(*hash, KeyOwner { seq, at });
    }
    if let Some(event_id) = &new.event_id {
        batch.add_event_id(seq, event_id);
    }
    // The keys are in the event's row as well: a start reads those that were not flushed yet.
    let keys = claims.hashes.concat();
    let id_note = new.unsigned_id.as_ref().filter(|_| claims.reuses_id).map(|id| &id.note);
    let notes: Vec<&String> = new.notes.iter().chain(id_note).collect();
    let notes = (!notes.is_empty()).then(|| serde_json::to_string(&notes)).transpose();
    let mut add = transaction.prepare_cached(
        "insert into events (seq, delivery, id, source, received_at, status, event_type,
                             event_id, part, keys, notes, sum)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
                 checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11))",
    )?;
    add.execute(params![
        seq,
        delivery_id,
        new.id.as_bytes(),
        source,
        at,
        i64::from(new.status == NewStatus::Invalid),
        new.event_type,
        new.event_id,
        new.item_pointer,
        keys,
        notes.map_err(|_| unreadable("notes"))?,
    ])?;
    write_jobs(transaction, batch, delivery, seq, new)
}

fn write_jobs(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    delivery: &NewDelivery,
    seq: i64,
    new: &NewEvent,
) -> Result<()> {
    if new.jobs.is_empty() {
        return Ok(());
    }
    // Not for an item of a batch: its bytes would have to be parsed out of the body before the
    // sender gets its answer. Its claim reads the row instead.
    let event = new.item_pointer.is_none().then(|| {
        Event::new(
            EventParts::new(
                new.id,
                delivery.source.clone(),
                delivery.received_at,
                delivery.body.clone(),
            )
            .with_event_type(new.event_type.clone())
            .with_event_id(new.event_id.clone())
            .with_headers(delivery.headers.clone()),
        )
    });
    for (n, job) in (0..).zip(&new.jobs) {
        let route = batch.name_number(transaction, &job.route)?;
        // `config_hash` is not used any more; the column stays because sums cover it.
        let mut add = transaction.prepare_cached(
            "insert into jobs (event, n, route, due, config_hash, order_key, sum)
             values (?1, ?2, ?3, ?4, 0, ?5, checksum(?1, ?2, ?3, 0, ?4, 0, 0, 0, 0, null,
                     null, ?5, null, null, null, null, null))",
        )?;
        add.execute(params![seq, n, route, delivery.due.as_millis(), job.order_key,])?;
        let queued = QueuedJob::new((seq, n), job.route.clone(), delivery.due)
            .with_order_key(job.order_key.as_deref().map(Into::into));
        // Queued at the commit: a worker must not run a job that a power cut could undo.
        batch.update(CacheUpdate::Added(queued, event.clone()));
    }
    Ok(())
}
