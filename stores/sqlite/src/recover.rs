//! What a new owner of the file does before it serves commands: it voids the leases of the former
//! owner, records crashes, and counts the jobs.

use std::time::Duration;

use hookward_core::Timestamp;
use hookward_core::store::AttemptOutcome;
use rusqlite::{Connection, Result, params};

use crate::checksum::{JobUpdate, job_update, row_intact};
use crate::claim::dead_letter_corrupt;
use crate::error::unreadable;
use crate::memory::Numbers;
use crate::rows::{self, JobKey};
use crate::settle::write_interruption;
use crate::telemetry;
use crate::transaction::Transaction;

/// Lease tokens per owner: each opening of the file begins a new range.
const TOKENS_PER_OWNER: i64 = 1 << 36;

/// A job that ran when the former owner ended: its start and the crashes before, or `None` if its
/// row is corrupt.
type InterruptedJob = (JobKey, Option<(Timestamp, i64)>);

static WRITE_CRASH: JobUpdate = JobUpdate::new(|| {
    let set = [("crashes", "crashes + 1"), ("state", "?3"), ("reason", "?4")];
    job_update(&set, "where event = ?1 and n = ?2")
});

/// Voids all leases of the former owner and counts a crash for each job that ran.
pub(crate) fn void_leases(conn: &Connection, now: Timestamp, crash_limit: u32) -> Result<Numbers> {
    // One transaction: a crash in the middle of the recovery must not count crashes twice.
    let transaction = Transaction::begin_immediate(conn)?;
    // Before any counter is used or written: a write would give a corrupt counter a valid sum.
    check_counters(&transaction)?;
    let numbers = first_numbers(&transaction)?;
    let interrupted = interrupted_jobs(&transaction)?;
    let mut poison = 0;
    for (key, running) in &interrupted {
        let Some((started, crashes)) = running else {
            // Not run again: the row may say another route or step than the one that ran.
            dead_letter_corrupt(&transaction, *key, "a job")?;
            continue;
        };
        // The time of the death is not known, so the attempt has no duration.
        write_interruption(&transaction, *key, *started, Duration::ZERO, AttemptOutcome::Crash)?;
        poison += usize::from(write_crash(&transaction, *key, *crashes, crash_limit)?);
    }
    // Durable before the first claim: a process that dies again immediately must not lose the
    // count, or a poison job would crash every owner.
    transaction.commit()?;
    if !interrupted.is_empty() {
        telemetry::jobs_interrupted(interrupted.len(), poison);
    }
    tracing::debug!(%now, "leases of the former owner voided");
    Ok(numbers)
}

/// Fails if a counter is corrupt. A counter that is too low would give a number a second meaning:
/// an event would be taken for flushed, or a stale lease for the current one.
fn check_counters(conn: &Connection) -> Result<()> {
    let corrupt = "select exists (select 1 from meta where sum <> checksum(name, value))";
    match conn.query_row(corrupt, [], |row| row.get(0))? {
        true => Err(unreadable("a counter")),
        false => Ok(()),
    }
}

/// Lease tokens differ from those of all former owners, and no `seq` is used a second time, even if
/// its event was purged.
fn first_numbers(conn: &Connection) -> Result<Numbers> {
    let opens: i64 = conn.query_row(
        "insert into meta (name, value, sum) values ('opens', 1, checksum('opens', 1))
         on conflict do update set value = value + 1, sum = checksum(name, value + 1)
         returning value",
        [],
        |row| row.get(0),
    )?;
    // The largest of three: the last row, the counter that a purge wrote when it removed the last
    // row, and the last flush, which may cover numbers of a group that failed.
    let next_seq = conn.query_row(
        "select max(coalesce((select max(seq) + 1 from events), 1),
                    coalesce((select value from meta where name = 'seq'), 1),
                    coalesce((select value + 1 from meta where name = 'keys_flushed_to'), 1))",
        [],
        |row| row.get(0),
    )?;
    Ok(Numbers { next_seq, next_token: opens.saturating_mul(TOKENS_PER_OWNER) })
}

fn interrupted_jobs(conn: &Connection) -> Result<Vec<InterruptedJob>> {
    let mut found = conn.prepare(concat!(
        "select event, n, ",
        row_intact!(jobs "jobs"),
        ", started, crashes from jobs where state = 0 and token is not null"
    ))?;
    let read = |row: &rusqlite::Row<'_>| {
        let key = (row.get(0)?, row.get(1)?);
        if !row.get::<_, bool>(2)? {
            return Ok((key, None));
        }
        let started = Timestamp::from_millis(row.get::<_, Option<i64>>(3)?.unwrap_or(0));
        Ok((key, Some((started, row.get(4)?))))
    };
    found.query_map([], read)?.collect()
}

/// Counts a crash, and returns whether the job is poison. Crash suspects run one at a time, so a
/// job with an earlier crash was the only suspect that ran when the process died.
fn write_crash(
    conn: &Connection,
    (seq, n): JobKey,
    crashes_before: i64,
    crash_limit: u32,
) -> Result<bool> {
    // The first crash only makes it a crash suspect: any of the jobs that ran may have caused it.
    let poison = crashes_before >= i64::from(crash_limit);
    let state = if poison { rows::STATE_DEAD } else { rows::STATE_OPEN };
    let reason = poison
        .then(|| format!("poison: the process died {crash_limit} times while this job ran alone"));
    conn.prepare_cached(&WRITE_CRASH)?.execute(params![seq, n, state, reason])?;
    Ok(poison)
}
