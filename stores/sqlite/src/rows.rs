//! Converts rows to the types of the store contract, for the writer and for readers.

use bytes::Bytes;
use hookward_core::store::{AttemptRecord, EventStatus, JobState, batch_item};
use hookward_core::{Body, Event, EventId, EventParts, Timestamp};
use rusqlite::{Connection, OptionalExtension, Result};

use crate::checksum::row_intact;
use crate::error::unreadable;

/// Primary key of a job: its event's `seq`, and its number within the event.
pub(crate) type JobKey = (i64, u32);

/// Values of the column `jobs.state`. Part of the on-disk format; changing them needs a migration.
pub(crate) const STATE_OPEN: i64 = 0;
pub(crate) const STATE_DONE: i64 = 1;
pub(crate) const STATE_DEAD: i64 = 2;
pub(crate) const STATE_UNROUTED: i64 = 3;

/// Reason of a dead job whose row, event or body is corrupt.
pub(crate) const DAMAGED_REASON: &str = "damaged: the disk changed what was stored";

/// Event type that a listing shows for a corrupt event.
pub(crate) const DAMAGED_TYPE: &str = "(damaged)";

/// Reads the event with this `seq`; `None` if it does not exist. If its row or its delivery is
/// corrupt, the error is one for which [`is_damage`](crate::error::is_damage) is true.
pub(crate) fn read_event(conn: &Connection, seq: i64) -> Result<Option<Event>> {
    let mut found = conn.prepare_cached(concat!(
        "select e.id, s.name, e.event_type, e.event_id, e.received_at, d.headers, d.body, e.part, ",
        row_intact!(events "e"),
        " and ",
        row_intact!(body "d"),
        " from events e join deliveries d on d.id = e.delivery join names s on s.id = e.source
         where e.seq = ?1",
    ))?;
    let read = |row: &rusqlite::Row<'_>| {
        if !row.get::<_, bool>(8)? {
            return Err(unreadable("an event"));
        }
        let headers: Vec<(String, String)> =
            serde_json::from_str(row.get_ref(5)?.as_str()?).map_err(|_| unreadable("headers"))?;
        let body = Body::stored(Bytes::from(row.get::<_, Vec<u8>>(6)?), &headers);
        let part: Option<String> = row.get(7)?;
        // The body of a batch is stored once; each event has a JSON pointer to its own bytes in it.
        let item = part.and_then(|part| batch_item(&body, &part));
        Ok(Event::new(
            EventParts::new(
                EventId::from_bytes(row.get(0)?),
                row.get_ref(1)?.as_str()?,
                Timestamp::from_millis(row.get(4)?),
                item.unwrap_or(body),
            )
            .with_event_type(row.get::<_, Option<String>>(2)?)
            .with_event_id(row.get::<_, Option<String>>(3)?)
            .with_headers(headers.into()),
        ))
    };
    found.query_row([seq], read).optional()
}

/// Reads the `seq` of an event.
pub(crate) fn find_seq(conn: &Connection, id: EventId) -> Result<Option<i64>> {
    conn.prepare_cached("select seq from events where id = ?1")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()
}

/// Status of an event without jobs, from the column `events.status`.
pub(crate) fn status_without_jobs(number: i64) -> EventStatus {
    if number == 1 { EventStatus::Invalid } else { EventStatus::Unrouted }
}

/// State of a job from the columns `jobs.state` and `jobs.token` (`leased` if there is a token).
pub(crate) fn job_state(number: i64, leased: bool) -> JobState {
    match number {
        STATE_OPEN if leased => JobState::Running,
        STATE_OPEN => JobState::Pending,
        STATE_DONE => JobState::Done,
        STATE_DEAD => JobState::Dead,
        _ => JobState::Unrouted,
    }
}

/// Encodes one record for the column `jobs.attempts`.
pub(crate) fn encode_attempt(record: &AttemptRecord) -> Result<String> {
    serde_json::to_string(record).map_err(|_| unreadable("an attempt"))
}

/// Decodes the column `jobs.attempts`: JSON objects with commas between them, so that a record is
/// appended without reading the others.
pub(crate) fn decode_attempts(text: Option<&str>) -> Result<Vec<AttemptRecord>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    serde_json::from_str(&format!("[{text}]")).map_err(|_| unreadable("the attempts of a job"))
}
