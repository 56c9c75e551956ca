//! Listing, showing and finding, by reading connections alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookward_core::store::{
    Cursor, EventDetail, EventPage, EventSummary, Filter, JobCounts, JobDetail, JobState, Status,
    Twin,
};
use hookward_core::{EventId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::fault::unreadable;
use crate::late::id_hash;
use crate::rows;

/// At most so many events are looked at per call.
const LOOK: usize = 5_000;

/// A query over `named (seq)`: events that may have the sender's id ?1, whose hash is ?2. Those that
/// are not in `event_ids` yet are the newest, and few.
macro_rules! named {
    ($query:literal) => {
        concat!(
            "with named (seq) as (
                 select event from event_ids where hash = ?2
                 union
                 select seq from events
                 where seq > (select value from meta where name = 'keys_flushed_to')
                   and event_id = ?1
             ) ",
            $query
        )
    };
}

pub(crate) fn list(
    conn: &Connection,
    filter: &Filter,
    limit: usize,
    after: Option<Cursor>,
) -> Result<EventPage> {
    let before = after.map_or(i64::MAX, |Cursor(seq)| seq);
    // What shortens the way: an id names one event, and dead letters have an index.
    let id = filter.q.as_deref().and_then(|q| q.parse::<EventId>().ok());
    let mut candidates = conn.prepare_cached(match (id, filter.status) {
        (Some(_), _) => named!(
            "select seq from (select seq from events where id = ?4 union select seq from named)
             where seq < ?3 order by seq desc"
        ),
        (None, Some(Status::Dead)) => {
            "select distinct event from jobs where state = 2 and event < ?3 and ?1 is null
             and ?2 is null and ?4 is null order by event desc"
        }
        (None, _) => {
            "select seq from events where seq < ?3 and ?1 is null and ?2 is null and ?4 is null
             order by seq desc"
        }
    })?;
    let text = filter.q.as_deref().filter(|_| id.is_some());
    let hash = text.map(id_hash);
    let id = id.as_ref().map(EventId::as_bytes);
    let mut seqs = candidates.query(params![text, hash, before, id])?;
    let mut page = EventPage::default();
    let mut looked = 0;
    let mut last = None;
    while let Some(row) = seqs.next()? {
        if page.events.len() >= limit || looked >= LOOK {
            page.next = last;
            break;
        }
        let seq = row.get(0)?;
        looked += 1;
        last = Some(Cursor(seq));
        let Some(mut event) = summary(conn, seq)?.filter(|e| filter.lets_through(e)) else {
            continue;
        };
        event.jobs = counts(conn, seq)?;
        event.status = event.jobs.status(event.status);
        if filter.status.is_none_or(|status| event.status == status) {
            page.events.push(event);
        }
    }
    Ok(page)
}

pub(crate) fn show(conn: &Connection, id: EventId) -> Result<Option<EventDetail>> {
    // One moment of the store, though it takes several statements.
    let _moment = conn.unchecked_transaction()?;
    let Some(seq) = rows::seq(conn, id)? else { return Ok(None) };
    let (Some(mut summary), Some(event)) = (summary(conn, seq)?, rows::event(conn, seq)?) else {
        return Ok(None);
    };
    let jobs = jobs(conn, seq)?;
    jobs.iter().for_each(|job| summary.jobs.add(job.state));
    summary.status = summary.jobs.status(summary.status);
    let notes: Option<String> = conn
        .prepare_cached("select notes from events where seq = ?1")?
        .query_row([seq], |row| row.get(0))?;
    let notes = notes.map(|text| serde_json::from_str(&text)).transpose();
    let notes = notes.map_err(|_| unreadable("notes"))?.unwrap_or_default();
    Ok(Some(EventDetail { summary, event, notes, jobs, twins: twins(conn, seq)? }))
}

pub(crate) fn find(conn: &Connection, event_id: &str, limit: usize) -> Result<Vec<EventId>> {
    let mut found = conn.prepare_cached(named!(
        "select e.id from named cross join events e on e.seq = named.seq where e.event_id = ?1
         order by e.seq desc limit ?3"
    ))?;
    let read = |row: &Row<'_>| Ok(EventId::from_bytes(row.get(0)?));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    found.query_map(params![event_id, id_hash(event_id), limit], read)?.collect()
}

/// When the event of the oldest waiting job was received.
pub(crate) fn oldest(
    conn: &Connection,
    counts: &BTreeMap<Arc<str>, (u64, u64)>,
) -> Result<Option<Timestamp>> {
    let mut found = conn.prepare_cached(
        "select e.received_at from jobs j join events e on e.seq = j.event
         where j.route = (select id from names where name = ?1) and j.state = 0
           and j.token is null
         order by j.event, j.n limit 1",
    )?;
    let mut oldest = None;
    for (route, _) in counts.iter().filter(|(_, (open, _))| *open > 0) {
        let at = found.query_row([&**route], |row| row.get(0)).optional()?;
        let at = at.map(Timestamp::from_millis);
        oldest = [oldest, at].into_iter().flatten().min();
    }
    Ok(oldest)
}

/// Its status is the one without jobs.
fn summary(conn: &Connection, seq: i64) -> Result<Option<EventSummary>> {
    let mut found = conn.prepare_cached(
        "select e.id, s.name, e.event_type, e.event_id, e.status, e.received_at
         from events e join names s on s.id = e.source where e.seq = ?1",
    )?;
    let read = |row: &Row<'_>| {
        Ok(EventSummary {
            id: EventId::from_bytes(row.get(0)?),
            source: row.get(1)?,
            event_type: row.get(2)?,
            event_id: row.get(3)?,
            status: rows::status(row.get(4)?),
            received_at: Timestamp::from_millis(row.get(5)?),
            jobs: JobCounts::default(),
        })
    };
    found.query_row([seq], read).optional()
}

fn counts(conn: &Connection, seq: i64) -> Result<JobCounts> {
    let mut counts = JobCounts::default();
    let mut found = conn.prepare_cached("select state from jobs where event = ?1")?;
    for state in found.query_map([seq], |row| row.get(0))? {
        counts.add(rows::job_state(state?, false));
    }
    Ok(counts)
}

fn jobs(conn: &Connection, seq: i64) -> Result<Vec<JobDetail>> {
    let mut found = conn.prepare_cached(
        "select j.n, r.name, j.state, j.token is not null, j.attempt, j.step, j.due, j.reason,
                j.attempts
         from jobs j join names r on r.id = j.route where j.event = ?1 order by j.n",
    )?;
    let read = |row: &Row<'_>| {
        let state = rows::job_state(row.get(2)?, row.get(3)?);
        let due = Timestamp::from_millis(row.get(6)?);
        Ok(JobDetail {
            n: row.get(0)?,
            route: row.get(1)?,
            state,
            attempt: row.get(4)?,
            step: row.get(5)?,
            due: (state == JobState::Pending).then_some(due),
            reason: row.get(7)?,
            attempts: rows::attempts(row.get_ref(8)?.as_str_or_null()?)?,
        })
    };
    found.query_map([seq], read)?.collect()
}

fn twins(conn: &Connection, seq: i64) -> Result<Vec<Twin>> {
    let mut found =
        conn.prepare_cached("select event_id, received_at from twins where event = ?1 order by n")?;
    let read = |row: &Row<'_>| {
        Ok(Twin { event_id: row.get(0)?, received_at: Timestamp::from_millis(row.get(1)?) })
    };
    found.query_map([seq], read)?.collect()
}
