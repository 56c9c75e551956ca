//! Taking deliveries in: dedupe keys, events, jobs. The caller has a transaction open.

use hookward_core::store::{
    Acceptance, DedupeKey, KeyKind, NewDelivery, NewEvent, NewStatus, QueuedJob,
};
use hookward_core::{Event, EventId, EventParts, Timestamp};
use rusqlite::{OptionalExtension, Result, Row, params};

use crate::checksum::row_intact;
use crate::error::{is_damage, unreadable};
use crate::queue::{CacheUpdate, CachedJob};
use crate::reply_codec;
use crate::telemetry;
use crate::write_behind_index::KeyOwner;
use crate::writer::Writer;

impl Writer {
    pub(crate) fn accept(&mut self, delivery: &NewDelivery) -> Result<Acceptance> {
        let source = self.names.number(&self.conn, &delivery.source)?;
        let first = self.next_seq;
        let mut known = Vec::new();
        for event in &delivery.events {
            match self.owner(event, delivery.dedupe_since)? {
                None => self.keep(delivery, source, first, event)?,
                Some((seq, by)) => {
                    if by == KeyKind::Content {
                        self.twin(seq, event, delivery.received_at)?;
                    }
                    known.push((seq, by));
                }
            }
        }
        // The event accepted last: if this batch was accepted before, with events that were known even then, that
        // one came with it, and with the answer that it got.
        match known.iter().max_by_key(|(seq, _)| *seq) {
            Some((seq, by)) if self.next_seq == first => self.duplicate(delivery, *seq, *by),
            _ => {
                self.keep_delivery(delivery, first)?;
                Ok(Acceptance::Accepted { known: known.len() })
            }
        }
    }

    /// Whose event this is a repetition of. A key is removed together with its event.
    fn owner(&self, event: &NewEvent, since: Timestamp) -> Result<Option<(i64, KeyKind)>> {
        // A key counts only while its event says the same: a damaged one must not send an event away
        // that was never seen.
        let mut written = self.conn.prepare_cached(
            "select k.event, e.received_at from keys k join events e on e.seq = k.event
             where k.hash = ?1 and instr(e.keys, ?1) > 0",
        )?;
        for DedupeKey { kind, hash } in &event.keys {
            let read = |row: &Row<'_>| Ok(KeyOwner { seq: row.get(0)?, at: row.get(1)? });
            let taken = match self.late.taken(hash) {
                None => written.query_row([hash], read).optional()?,
                late => late,
            };
            if let Some(taken) = taken.filter(|taken| taken.at >= since.as_millis()) {
                return Ok(Some((taken.seq, *kind)));
            }
        }
        Ok(None)
    }

    fn duplicate(&self, delivery: &NewDelivery, seq: i64, by: KeyKind) -> Result<Acceptance> {
        let mut found = self.conn.prepare_cached(concat!(
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
            // It is stored all the same; others of this group must not suffer from it.
            Err(e) if is_damage(&e) => {
                telemetry::damaged("an answer", seq);
                let Some(of) = delivery.events.first().map(|event| event.id) else { return Err(e) };
                Ok(Acceptance::Duplicate { answer: delivery.answer.clone(), of, by })
            }
            stored => stored,
        }
    }

    /// At most a hundred per event: a flood of repetitions must not fill the disk.
    fn twin(&self, seq: i64, event: &NewEvent, received_at: Timestamp) -> Result<()> {
        let mut add = self.conn.prepare_cached(
            "insert into twins (event, n, event_id, received_at, sum)
             select ?1, count(*), ?2, ?3, checksum(?1, count(*), ?2, ?3)
             from twins where event = ?1 having count(*) < 100",
        )?;
        add.execute(params![seq, event.event_id, received_at.as_millis()])?;
        Ok(())
    }

    fn keep_delivery(&self, delivery: &NewDelivery, first: i64) -> Result<()> {
        let headers = serde_json::to_string(&delivery.headers[..]);
        let headers = headers.map_err(|_| unreadable("headers"))?;
        let mut add = self.conn.prepare_cached(
            "insert into deliveries (id, events, headers, answer, body, answer_sum, body_sum)
             values (?1, ?2, ?3, ?4, ?5, checksum(?1, ?2, ?4), checksum(?1, ?3, ?5))",
        )?;
        add.execute(params![
            first,
            self.next_seq - first,
            headers,
            reply_codec::encode(&delivery.answer),
            &delivery.body.bytes()[..],
        ])?;
        Ok(())
    }

    fn keep(
        &mut self,
        delivery: &NewDelivery,
        source: i64,
        first: i64,
        new: &NewEvent,
    ) -> Result<()> {
        let seq = self.next_seq;
        self.next_seq += 1;
        let at = delivery.received_at.as_millis();
        for key in &new.keys {
            self.late.take(key.hash, KeyOwner { seq, at });
        }
        if let Some(event_id) = &new.event_id {
            self.late.name(seq, event_id);
        }
        let keys: Vec<u8> = new.keys.iter().flat_map(|key| key.hash).collect();
        let notes = (!new.notes.is_empty()).then(|| serde_json::to_string(&new.notes)).transpose();
        let mut add = self.conn.prepare_cached(
            "insert into events (seq, delivery, id, source, received_at, status, event_type,
                                 event_id, part, keys, notes, sum)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
                     checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11))",
        )?;
        add.execute(params![
            seq,
            first,
            new.id.as_bytes(),
            source,
            at,
            i64::from(new.status == NewStatus::Invalid),
            new.event_type,
            new.event_id,
            new.part,
            keys,
            notes.map_err(|_| unreadable("notes"))?,
        ])?;
        drop(add);
        self.keep_jobs(delivery, seq, new)
    }

    fn keep_jobs(&mut self, delivery: &NewDelivery, seq: i64, new: &NewEvent) -> Result<()> {
        if new.jobs.is_empty() {
            return Ok(());
        }
        // An item of a batch would have to be cut out for everyone; it is read at the claim.
        let event = new.part.is_none().then(|| {
            Event::new(EventParts {
                id: new.id,
                source: delivery.source.clone(),
                event_type: new.event_type.clone(),
                event_id: new.event_id.clone(),
                received_at: delivery.received_at,
                headers: delivery.headers.clone(),
                body: delivery.body.clone(),
            })
        });
        for (n, job) in (0..).zip(&new.jobs) {
            let route = self.names.number(&self.conn, &job.route)?;
            let mut add = self.conn.prepare_cached(
                "insert into jobs (event, n, route, due, config_hash, order_key, sum)
                 values (?1, ?2, ?3, ?4, ?5, ?6, checksum(?1, ?2, ?3, 0, ?4, 0, 0, 0, ?5, null,
                         null, ?6, null, null, null, null, null))",
            )?;
            add.execute(params![
                seq,
                n,
                route,
                delivery.received_at.as_millis(),
                job.config_hash.cast_signed(),
                job.order_key,
            ])?;
            let entry = QueuedJob {
                key: (seq, n),
                route: job.route.clone(),
                due: delivery.received_at,
                order_key: job.order_key.as_deref().map(Into::into),
                suspect: false,
            };
            let config_hash = job.config_hash;
            let fresh = event.clone().map(|event| CachedJob { event, config_hash });
            self.effects.push(CacheUpdate::New(entry, fresh));
        }
        Ok(())
    }
}
