//! Claims: the jobs that may run now, each under a new lease.

use hookward_core::Body;
use hookward_core::store::{Cause, ClaimRequest, Job, JobId, Lease, QueuedJob};
use rusqlite::{Connection, Result, params};

use crate::checksum::{JobUpdate, job_update, row_intact};
use crate::error::{is_damage, unreadable};
use crate::leases::ActiveLease;
use crate::memory::Batch;
use crate::rows::{self, JobKey};
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
    claim: &ClaimRequest,
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
    .execute(params![seq, n, rows::DAMAGED_REASON])?;
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
    let lease = |event| Lease::new(JobId { event, n }, token.cast_unsigned());
    // The same values as in the row that `accept` wrote. Most jobs are claimed within milliseconds,
    // so most claims read nothing.
    if let Some(event) = batch.cached_event(queued.key) {
        return Ok(Job::new(lease(event.id()), event.clone(), queued.route.clone()));
    }
    // No event for a job is damage as well: both were written in one transaction.
    let event = rows::read_event(conn, seq)?.ok_or_else(|| unreadable("an event"))?;
    let mut found = conn.prepare_cached(concat!(
        "select attempt, crashes, replay, step, cause, body, ",
        row_intact!(jobs "jobs"),
        " from jobs where event = ?1 and n = ?2"
    ))?;
    found.query_row(params![seq, n], |row| {
        if !row.get::<_, bool>(6)? {
            return Err(unreadable("a job"));
        }
        let cause: Option<String> = row.get(4)?;
        let body: Option<Vec<u8>> = row.get(5)?;
        let lease = lease(event.id());
        let event = match body {
            Some(bytes) => event.with_body(Body::new(bytes)),
            None => event,
        };
        Ok(Job::new(lease, event, queued.route.clone())
            .with_attempt(row.get::<_, u32>(0)?.saturating_add(1))
            .with_crashes(row.get(1)?)
            .with_replay(row.get(2)?)
            .with_step(row.get::<_, Option<String>>(3)?)
            .with_cause(cause.as_deref().map(Cause::from_stored)))
    })
}
