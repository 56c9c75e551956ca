//! Replays: dead jobs wait again, and events get new jobs.

use std::sync::Arc;

use hookward_core::store::{JobId, NewJob, QueuedJob, ReplayJob};
use hookward_core::{EventId, Timestamp};
use rusqlite::{OptionalExtension, Result, params};

use crate::checksum::{JobUpdate, job_update};
use crate::memory::Batch;
use crate::queue::CacheUpdate;
use crate::rows;
use crate::transaction::Transaction;

static WRITE_REVIVAL: JobUpdate = JobUpdate::new(|| {
    let set = [
        ("state", "0"),
        ("due", "?3"),
        ("attempt", "0"),
        ("crashes", "0"),
        ("replay", "1"),
        ("cause", "'replay'"),
        ("reason", "null"),
    ];
    job_update(&set, "where event = ?1 and n = ?2")
});

/// Makes jobs run again. Returns how many jobs wait that did not.
pub(crate) fn replay(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    now: Timestamp,
    jobs: Vec<ReplayJob>,
) -> Result<u64> {
    let mut made = 0;
    for job in jobs {
        made += u64::from(match job {
            ReplayJob::Revive(job) => revive(transaction, batch, now, job)?,
            ReplayJob::Add { event, job } => add(transaction, batch, now, event, &job)?,
        });
    }
    Ok(made)
}

/// Lets a dead job wait again, at the step where it died. `false` if there is no such dead job.
fn revive(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    now: Timestamp,
    JobId { event, n }: JobId,
) -> Result<bool> {
    let Some(seq) = rows::find_seq(transaction, event)? else { return Ok(false) };
    let dead = transaction
        .prepare_cached(
            "select route, order_key from jobs where event = ?1 and n = ?2 and state = 2",
        )?
        .query_row(params![seq, n], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
        })
        .optional()?;
    // Not an error: between the listing and the replay, another operator may have revived the job.
    let Some((route, order_key)) = dead else { return Ok(false) };
    // `crashes` starts at 0: a poison job is replayed once its cause is fixed, and is not a crash
    // suspect any more.
    transaction.prepare_cached(&WRITE_REVIVAL)?.execute(params![seq, n, now.as_millis()])?;
    batch.update(CacheUpdate::Revived(
        QueuedJob::new((seq, n), batch.name(route), now).with_order_key(order_key.map(Arc::from)),
    ));
    Ok(true)
}

/// Adds a job to an event. `false` if there is no such event.
fn add(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    now: Timestamp,
    event: EventId,
    job: &NewJob,
) -> Result<bool> {
    let Some(seq) = rows::find_seq(transaction, event)? else { return Ok(false) };
    let route = batch.name_number(transaction, &job.route)?;
    // Numbered in the statement, because two replays in one group add to the same event.
    let n: u32 = transaction
        .prepare_cached(
            "insert into jobs (event, n, route, due, config_hash, order_key, replay, cause, sum)
             select ?1, n, ?2, ?3, 0, ?4, 1, 'replay',
                    checksum(?1, n, ?2, 0, ?3, 0, 0, 1, 0, null, null, ?4, null, 'replay',
                             null, null, null)
             from (select coalesce(max(n) + 1, 0) as n from jobs where event = ?1)
             returning n",
        )?
        .query_row(params![seq, route, now.as_millis(), job.order_key], |row| row.get(0))?;
    let queued = QueuedJob::new((seq, n), job.route.clone(), now)
        .with_order_key(job.order_key.as_deref().map(Into::into));
    batch.update(CacheUpdate::Added(queued, None));
    Ok(true)
}
