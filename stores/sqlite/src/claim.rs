//! Claims: the jobs that may run now, each under a new lease.

use hookward_core::Body;
use hookward_core::store::{Claim, Job, JobId, Lease, QueuedJob};
use rusqlite::{Connection, Result, params};

use crate::checksum::{JobUpdate, job_update, row_intact};
use crate::error::{is_damage, unreadable};
use crate::leases::ActiveLease;
use crate::memory::Batch;
use crate::queue::{CachedJob, JobKey};
use crate::rows;
use crate::telemetry;
use crate::transaction::Transaction;

static WRITE_CLAIM: JobUpdate = JobUpdate::new(|| {
    let set = [("attempt", "?3"), ("token", "?4"), ("started", "?5")];
    job_update(&set, "where event = ?1 and n = ?2")
});

/// Leases jobs. A job whose row, event or body is corrupt goes to the dead letters, and the others
/// of the claim are returned without it.
pub(crate) fn claim(
    transaction: &Transaction<'_>,
    batch: &mut Batch<'_>,
    claim: &Claim,
) -> Result<Vec<Job>> {
    let ready = batch.claim_ready(claim);
    let mut jobs = Vec::with_capacity(ready.len());
    for queued in ready {
        let (seq, n) = queued.key;
        // A token per job and claim, never used again: a worker whose lease ended cannot settle the
        // job under the lease of the next worker.
        let token = batch.take_token();
        let job = match read_job(transaction, batch, &queued, token) {
            Ok(job) => job,
            // One bad row must not fail the group: the other jobs, and the deliveries in the group,
            // have no part in it.
            Err(e) if is_damage(&e) => {
                dead_letter_corrupt(transaction, queued.key, "what it works on")?;
                batch.dead_letter_corrupt(queued);
                continue;
            }
            Err(e) => return Err(e),
        };
        // The row says that the job runs before a worker knows: after a crash, the next owner finds
        // by it what was running.
        let mut write = transaction.prepare_cached(&WRITE_CLAIM)?;
        write.execute(params![seq, n, job.attempt, token, claim.now.as_millis()])?;
        let (started, until) = (claim.now, claim.lease_until);
        batch.lease(job.lease.job, ActiveLease { job: queued, token, started, until });
        jobs.push(job);
    }
    Ok(jobs)
}

/// Moves a job whose row, event or body is corrupt to the dead letters. Its `sum` stays as it is:
/// the sum of the row as it was written, so that the row is known as corrupt from then on.
pub(crate) fn dead_letter_corrupt(conn: &Connection, (seq, n): JobKey, what: &str) -> Result<()> {
    telemetry::row_corrupt(what, seq);
    conn.prepare_cached(
        "update jobs set state = 2, token = null, started = null, reason = ?3
         where event = ?1 and n = ?2",
    )?
    .execute(params![seq, n, rows::DAMAGED])?;
    Ok(())
}

/// A job as a worker gets it: from memory on its first claim, else from its row.
fn read_job(
    conn: &Connection,
    batch: &Batch<'_>,
    queued: &QueuedJob<JobKey>,
    token: i64,
) -> Result<Job> {
    let (seq, n) = queued.key;
    let lease = |event| Lease { job: JobId { event, n }, token: token.cast_unsigned() };
    // The same values as in the row that `accept` wrote. Most jobs are claimed within milliseconds,
    // so most claims read nothing.
    if let Some(CachedJob { event, config_hash }) = batch.cached_job(queued.key) {
        return Ok(Job {
            lease: lease(event.id()),
            event: event.clone(),
            route: queued.route.clone(),
            step: None,
            attempt: 1,
            crashes: 0,
            replay: false,
            config_hash: *config_hash,
            cause: None,
        });
    }
    // No event for a job is damage as well: both were written in one transaction.
    let event = rows::event(conn, seq)?.ok_or_else(|| unreadable("an event"))?;
    let mut found = conn.prepare_cached(concat!(
        "select attempt, crashes, replay, config_hash, step, cause, body, ",
        row_intact!(jobs "jobs"),
        " from jobs where event = ?1 and n = ?2"
    ))?;
    found.query_row(params![seq, n], |row| {
        if !row.get::<_, bool>(7)? {
            return Err(unreadable("a job"));
        }
        let body: Option<Vec<u8>> = row.get(6)?;
        Ok(Job {
            lease: lease(event.id()),
            event: match body {
                Some(bytes) => event.with_body(Body::new(bytes)),
                None => event,
            },
            route: queued.route.clone(),
            step: row.get(4)?,
            attempt: row.get::<_, u32>(0)?.saturating_add(1),
            crashes: row.get(1)?,
            replay: row.get(2)?,
            config_hash: row.get::<_, i64>(3)?.cast_unsigned(),
            cause: row.get(5)?,
        })
    })
}
