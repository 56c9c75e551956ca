//! Lists, shows and finds events, on connections that only read.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookward_core::store::{
    ContentDuplicate, EventDetail, EventFilter, EventPage, EventStatus, EventSummary, JobCounts,
    JobDetail, JobState, PageCursor,
};
use hookward_core::{Body, Event, EventId, EventParts, Timestamp};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::checksum::row_intact;
use crate::error::{is_damage, unreadable};
use crate::rows;
use crate::telemetry;
use crate::write_behind_index::id_hash;

/// Events that one listing examines, whether or not they match.
const MAX_EXAMINED_EVENTS: usize = 5_000;

/// A query over `candidates (seq)`: the events that may have the sender's id ?1, whose hash is ?2.
/// Events that are not in `event_ids` yet are the newest ones, and few enough for a scan.
macro_rules! with_candidates {
    ($query:literal) => {
        concat!(
            "with candidates (seq) as (
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

/// Lists events, the newest first. A page ends early once [`MAX_EXAMINED_EVENTS`] were examined;
/// its cursor continues there.
pub(crate) fn list(
    conn: &Connection,
    filter: &EventFilter,
    limit: usize,
    after: Option<PageCursor>,
) -> Result<EventPage> {
    let before = after.map_or(i64::MAX, |PageCursor(seq)| seq);
    // An id finds one event, and dead letters have an index: neither needs a scan.
    let id = filter.q.as_deref().and_then(|q| q.parse::<EventId>().ok());
    let mut candidates = conn.prepare_cached(match (id, filter.status) {
        (Some(_), _) => with_candidates!(
            "select seq from (select seq from events where id = ?4 union select seq from candidates)
             where seq < ?3 order by seq desc"
        ),
        (None, Some(EventStatus::Dead)) => {
            // Counts of dead jobs are small beside all events, and the index `jobs_dead` has them
            // in this order.
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
    let mut examined = 0;
    let mut last = None;
    while let Some(row) = seqs.next()? {
        if page.events.len() >= limit || examined >= MAX_EXAMINED_EVENTS {
            page.next = last;
            break;
        }
        let seq = row.get(0)?;
        examined += 1;
        last = Some(PageCursor(seq));
        let Some(mut event) = read_summary(conn, seq)?.filter(|e| filter.matches(e)) else {
            continue;
        };
        event.jobs = count_jobs(conn, seq)?;
        // Computed and not stored: a column would have to change with each outcome of each job.
        event.status = event.jobs.status(event.status);
        if filter.status.is_none_or(|status| event.status == status) {
            page.events.push(event);
        }
    }
    Ok(page)
}

/// Reads an event with its jobs. A corrupt event is shown without its bytes.
pub(crate) fn show(conn: &Connection, id: EventId) -> Result<Option<EventDetail>> {
    // One snapshot for all statements: the writer may commit between two of them.
    let _snapshot = conn.unchecked_transaction()?;
    let Some(seq) = rows::find_seq(conn, id)? else { return Ok(None) };
    let Some(mut summary) = read_summary(conn, seq)? else { return Ok(None) };
    let mut notes = read_notes(conn, seq)?;
    let event = match rows::read_event(conn, seq) {
        Ok(Some(event)) => event,
        Err(e) if !is_damage(&e) => return Err(e),
        // The operator has to see that the event exists, and that its bytes are lost.
        _ => {
            telemetry::row_corrupt("an event", seq);
            notes.insert(0, rows::DAMAGED_REASON.to_owned());
            Event::new(
                EventParts::new(
                    summary.id,
                    summary.source.as_str(),
                    summary.received_at,
                    Body::default(),
                )
                .with_event_type(summary.event_type.clone())
                .with_event_id(summary.event_id.clone()),
            )
        }
    };
    let jobs = read_jobs(conn, seq)?;
    jobs.iter().for_each(|job| summary.jobs.add(job.state));
    summary.status = summary.jobs.status(summary.status);
    Ok(Some(
        EventDetail::new(summary, event)
            .with_notes(notes)
            .with_jobs(jobs)
            .with_content_duplicates(read_content_duplicates(conn, seq)?),
    ))
}

/// The notes of an event. A corrupt event has no notes: they are part of its row.
fn read_notes(conn: &Connection, seq: i64) -> Result<Vec<String>> {
    let notes: Option<String> = conn
        .prepare_cached(concat!(
            "select case when ",
            row_intact!(events "events"),
            " then notes end from events where seq = ?1"
        ))?
        .query_row([seq], |row| row.get(0))?;
    let notes = notes.map(|text| serde_json::from_str(&text)).transpose();
    Ok(notes.map_err(|_| unreadable("notes"))?.unwrap_or_default())
}

/// Finds the events with a sender's id, the newest first.
pub(crate) fn find(conn: &Connection, event_id: &str, limit: usize) -> Result<Vec<EventId>> {
    let mut found = conn.prepare_cached(with_candidates!(
        "select e.id from candidates c cross join events e on e.seq = c.seq where e.event_id = ?1
         order by e.seq desc limit ?3"
    ))?;
    let read = |row: &Row<'_>| Ok(EventId::from_bytes(row.get(0)?));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    found.query_map(params![event_id, id_hash(event_id), limit], read)?.collect()
}

/// Time at which the event of the oldest waiting job was received.
pub(crate) fn oldest_waiting(
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
    // One lookup in the index `jobs_open` per route, instead of a scan over all jobs.
    for (route, _) in counts.iter().filter(|(_, (open, _))| *open > 0) {
        let at = found.query_row([&**route], |row| row.get(0)).optional()?;
        let at = at.map(Timestamp::from_millis);
        oldest = [oldest, at].into_iter().flatten().min();
    }
    Ok(oldest)
}

/// Reads the row of a listing. Its status does not consider the jobs yet.
fn read_summary(conn: &Connection, seq: i64) -> Result<Option<EventSummary>> {
    let mut found = conn.prepare_cached(concat!(
        "select e.id, coalesce(s.name, ''), e.event_type, e.event_id, e.status, e.received_at, ",
        row_intact!(events "e"),
        " and s.name is not null
         from events e left join names s on s.id = e.source where e.seq = ?1",
    ))?;
    let read = |row: &Row<'_>| {
        if !row.get::<_, bool>(6)? {
            // Listed all the same: an event that is missing from a listing would look as if it had
            // never arrived.
            return Ok(corrupt_summary(row));
        }
        Ok(EventSummary::new(
            EventId::from_bytes(row.get(0)?),
            row.get::<_, String>(1)?,
            rows::status_without_jobs(row.get(4)?),
            Timestamp::from_millis(row.get(5)?),
        )
        .with_event_type(row.get::<_, Option<String>>(2)?)
        .with_event_id(row.get::<_, Option<String>>(3)?))
    };
    found.query_row([seq], read).optional()
}

/// The listing of a corrupt row, with the columns that still can be read.
fn corrupt_summary(row: &Row<'_>) -> EventSummary {
    EventSummary::new(
        EventId::from_bytes(row.get(0).unwrap_or_default()),
        row.get::<_, String>(1).unwrap_or_default(),
        EventStatus::Invalid,
        Timestamp::from_millis(row.get(5).unwrap_or_default()),
    )
    .with_event_type(rows::DAMAGED_TYPE.to_owned())
}

fn count_jobs(conn: &Connection, seq: i64) -> Result<JobCounts> {
    let mut counts = JobCounts::default();
    // A corrupt job counts as dead: its claim moves it to the dead letters.
    let mut found = conn.prepare_cached(concat!(
        "select case when ",
        row_intact!(jobs "jobs"),
        " then state else 2 end from jobs where event = ?1"
    ))?;
    for state in found.query_map([seq], |row| row.get(0))? {
        counts.add(rows::job_state(state?, false));
    }
    Ok(counts)
}

fn read_jobs(conn: &Connection, seq: i64) -> Result<Vec<JobDetail>> {
    let mut found = conn.prepare_cached(concat!(
        "select j.n, coalesce(r.name, ''), j.state, j.token is not null, j.attempt, j.step, j.due,
                j.reason, j.attempts, ",
        row_intact!(jobs "j"),
        " from jobs j left join names r on r.id = j.route where j.event = ?1 order by j.n",
    ))?;
    let read = |row: &Row<'_>| {
        if !row.get::<_, bool>(9)? {
            return Ok(JobDetail::new(row.get(0)?, row.get::<_, String>(1)?, JobState::Dead)
                .with_reason(rows::DAMAGED_REASON.to_owned()));
        }
        let state = rows::job_state(row.get(2)?, row.get(3)?);
        let due = Timestamp::from_millis(row.get(6)?);
        Ok(JobDetail::new(row.get(0)?, row.get::<_, String>(1)?, state)
            .with_attempt(row.get(4)?)
            .with_step(row.get::<_, Option<String>>(5)?)
            .with_due((state == JobState::Pending).then_some(due))
            .with_reason(row.get::<_, Option<String>>(7)?)
            .with_attempts(rows::decode_attempts(row.get_ref(8)?.as_str_or_null()?)?))
    };
    found.query_map([seq], read)?.collect()
}

fn read_content_duplicates(conn: &Connection, seq: i64) -> Result<Vec<ContentDuplicate>> {
    let mut found = conn.prepare_cached(
        "select event_id, received_at, coalesce(sum = checksum(event, n, event_id, received_at), 1)
         from content_duplicates where event = ?1 order by n",
    )?;
    let read = |row: &Row<'_>| {
        if !row.get::<_, bool>(2)? {
            let event_id = Some(rows::DAMAGED_TYPE.to_owned());
            return Ok(ContentDuplicate::new(event_id, Timestamp::default()));
        }
        let event_id: Option<String> = row.get(0)?;
        Ok(ContentDuplicate::new(event_id, Timestamp::from_millis(row.get(1)?)))
    };
    found.query_map([seq], read)?.collect()
}
