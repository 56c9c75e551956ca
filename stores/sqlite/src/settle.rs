//! The end of a claim: outcomes that workers report, extended leases, and leases that ended without
//! a report.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use hookward_core::Timestamp;
use hookward_core::store::{
    AttemptOutcome, AttemptRecord, Cause, JobId, JobOutcome, Lease, Settled, Settlement,
};
use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::checksum::{JobUpdate, job_update};
use crate::leases::ActiveLease;
use crate::memory::Batch;
use crate::queue::CacheUpdate;
use crate::rows::{self, JobKey};
use crate::transaction::Transaction;

/// Fencing: an outcome changes a row only under the token of its current lease.
const WHERE_TOKEN_IS_CURRENT: &str = "where event = ?1 and n = ?2 and token = ?3";

static WRITE_END: JobUpdate = JobUpdate::new(|| {
    let attempts = attempts_with("?5");
    let set = [
        ("state", "?4"),
        ("token", "null"),
        ("started", "null"),
        ("body", "null"),
        ("attempts", &attempts),
    ];
    job_update(&set, WHERE_TOKEN_IS_CURRENT)
});

static WRITE_DEAD: JobUpdate = JobUpdate::new(|| {
    let attempts = attempts_with("?7");
    let set = [
        ("state", "2"),
        ("token", "null"),
        ("started", "null"),
        ("reason", "?4"),
        ("step", "?5"),
        ("body", "?6"),
        ("attempts", &attempts),
    ];
    job_update(&set, WHERE_TOKEN_IS_CURRENT)
});

/// While a job waits, `started` is the time from which its wait counts, so that a new owner with
/// another clock knows the length of the wait. A job that is not a retry does not wait.
static WRITE_REQUEUE: JobUpdate = JobUpdate::new(|| {
    let attempts = attempts_with("?9");
    let set = [
        ("token", "null"),
        ("started", "coalesce(?10, due)"),
        ("step", "?4"),
        ("body", "?5"),
        ("cause", "coalesce(?6, cause)"),
        ("due", "coalesce(?7, due)"),
        ("attempt", "attempt - ?8"),
        ("attempts", &attempts),
    ];
    job_update(&set, WHERE_TOKEN_IS_CURRENT)
});

static WRITE_INTERRUPTION: JobUpdate = JobUpdate::new(|| {
    let attempts = attempts_with("?4");
    let set = [("token", "null"), ("started", "due"), ("cause", "?3"), ("attempts", &*attempts)];
    job_update(&set, "where event = ?1 and n = ?2")
});

/// How a leased job is queued again.
struct Requeue<'a> {
    step: &'a Option<String>,
    body: Option<&'a Bytes>,
    /// Cause of the next attempt; `None` leaves it unchanged.
    cause: Option<Cause>,
    /// Time of the next attempt; `None` leaves it unchanged and does not count the last attempt.
    at: Option<Timestamp>,
}

/// SQL for the column `attempts` with the record appended, if there is a record.
fn attempts_with(record: &str) -> String {
    format!(
        "case when {record} is null then attempts
              else coalesce(attempts || ',', '') || {record} end"
    )
}

/// Writes the outcome of one attempt. `Stale` if its lease is not the current one.
pub(crate) fn settle(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    outcome: JobOutcome,
) -> Result<Settled> {
    let JobOutcome { lease, settlement, attempt, .. } = outcome;
    // Memory first: a stale worker costs no statement.
    let Some(active) = batch.active_lease(&lease) else { return Ok(Settled::Stale) };
    let queued = active.job.clone();
    let record = attempt.as_ref().map(rows::encode_attempt).transpose()?;
    // Within one group the memory does not know of an earlier outcome yet; the row's token does.
    let (key, token) = (queued.key, lease.token.cast_signed());
    let now = batch.now();
    if !write_outcome(transaction, key, token, now, &settlement, record.as_deref())? {
        return Ok(Settled::Stale);
    }
    let job = lease.job;
    batch.update(match settlement {
        Settlement::Done | Settlement::Unrouted => CacheUpdate::Ended { job, dead: false },
        Settlement::Dead { .. } => CacheUpdate::Ended { job, dead: true },
        Settlement::Retry { at, .. } => CacheUpdate::Requeued(job, queued.with_due(at)),
        // It was due when it was claimed. If the clock was set back since, it still is.
        Settlement::Released { .. } => {
            let due = queued.due.min(now);
            CacheUpdate::Requeued(job, queued.with_due(due))
        }
    });
    Ok(Settled::Applied)
}

/// Returns whether the lease is still the current one in the row.
fn write_outcome(
    conn: &Connection,
    key: JobKey,
    token: i64,
    now: Timestamp,
    settlement: &Settlement,
    record: Option<&str>,
) -> Result<bool> {
    let (seq, n) = key;
    // Each statement has the token in its `where`, so an outcome of a former lease changes no row
    // even if memory and file should disagree.
    let changed = match settlement {
        Settlement::Done | Settlement::Unrouted => {
            let state = match settlement {
                Settlement::Done => rows::STATE_DONE,
                _ => rows::STATE_UNROUTED,
            };
            let mut write = conn.prepare_cached(&WRITE_END)?;
            write.execute(params![seq, n, token, state, record])?
        }
        Settlement::Dead { reason, step, body } => {
            let mut write = conn.prepare_cached(&WRITE_DEAD)?;
            let body = body.as_deref();
            write.execute(params![seq, n, token, reason, step, body, record])?
        }
        Settlement::Retry { at, step, body, cause } => {
            let requeue = Requeue { step, body: body.as_ref(), cause: Some(*cause), at: Some(*at) };
            write_requeue(conn, key, token, now, requeue, record)?
        }
        Settlement::Released { step, body } => {
            let requeue = Requeue { step, body: body.as_ref(), cause: None, at: None };
            write_requeue(conn, key, token, now, requeue, record)?
        }
    };
    Ok(changed > 0)
}

fn write_requeue(
    conn: &Connection,
    (seq, n): JobKey,
    token: i64,
    now: Timestamp,
    requeue: Requeue<'_>,
    record: Option<&str>,
) -> Result<usize> {
    let Requeue { step, body, cause, at } = requeue;
    let mut write = conn.prepare_cached(&WRITE_REQUEUE)?;
    let body = body.map(|bytes| &bytes[..]);
    // A release is the end of a run that did not happen, at a shutdown for example. It must not use
    // up an attempt.
    let (due, uncounted_attempts) = (at.map(Timestamp::as_millis), u32::from(at.is_none()));
    // By the clock of the store and not that of the worker, because `due` is compared with it.
    let waits_from = at.map(|_| now.as_millis());
    write.execute(params![
        seq,
        n,
        token,
        step,
        body,
        cause.map(Cause::as_str),
        due,
        uncounted_attempts,
        record,
        waits_from
    ])
}

/// Moves the ends of leases, in memory alone.
pub(crate) fn extend(batch: &mut Batch<'_>, leases: &[Lease], until: Timestamp) -> Vec<Settled> {
    // Nothing is written: a new owner voids all leases anyway, and heartbeats would cost fsyncs.
    let results = leases.iter().map(|lease| match batch.extend_lease(lease, until) {
        true => Settled::Applied,
        false => Settled::Stale,
    });
    results.collect()
}

/// The expired leases without those that `alive` names. A worker that no longer extends its lease
/// counts as lost. One that reports in the current group is alive: where the whole process was
/// paused, its report waited as long as the claim did.
pub(crate) fn without_alive(
    mut expired: Vec<(JobId, ActiveLease)>,
    alive: impl Iterator<Item = Lease>,
) -> Vec<(JobId, ActiveLease)> {
    // Built only when a lease has ended, which is rare.
    let alive: HashSet<_> = alive.collect();
    expired
        .retain(|(job, active)| !alive.contains(&Lease::new(*job, active.token.cast_unsigned())));
    expired
}

/// Puts the jobs of expired leases back among the waiting ones, with the cause `lease`.
pub(crate) fn requeue_expired(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    expired: Vec<(JobId, ActiveLease)>,
    now: Timestamp,
) -> Result<()> {
    for (id, active) in expired {
        let ran = now.since(active.started);
        // Recorded as an attempt: an operator has to see why the job ran again, and a job that
        // always loses its lease has to reach its last attempt.
        write_interruption(
            transaction,
            active.job.key,
            active.started,
            ran,
            AttemptOutcome::Lease,
        )?;
        batch.update(CacheUpdate::Requeued(id, active.job));
    }
    Ok(())
}

/// Writes that an attempt ended without a report. The attempt counts, and the job waits again.
pub(crate) fn write_interruption(
    conn: &Connection,
    (seq, n): JobKey,
    started: Timestamp,
    ran: Duration,
    outcome: AttemptOutcome,
) -> Result<()> {
    let record = conn
        .prepare_cached("select attempt, step, cause from jobs where event = ?1 and n = ?2")?
        .query_row(params![seq, n], |row| {
            let cause: Option<String> = row.get(2)?;
            Ok(AttemptRecord::new(row.get(0)?, started.to_string(), outcome)
                .with_step(row.get::<_, Option<String>>(1)?)
                .with_duration_ms(u64::try_from(ran.as_millis()).unwrap_or(u64::MAX))
                .with_cause(cause.as_deref().map(Cause::from_stored)))
        })
        .optional()?;
    let record = record.as_ref().map(rows::encode_attempt).transpose()?;
    conn.prepare_cached(&WRITE_INTERRUPTION)?.execute(params![seq, n, outcome.as_str(), record])?;
    Ok(())
}
