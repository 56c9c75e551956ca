//! Handing jobs out and taking them back. The caller has a transaction open.

use std::collections::HashSet;

use bytes::Bytes;
use hookward_core::store::{
    AttemptRecord, Claim, Job, JobId, JobOutcome, Lease, QueuedJob, Settled, Settlement,
};
use hookward_core::{Body, Timestamp};
use rusqlite::{OptionalExtension, Result, params};

use crate::checksum::{JobUpdate, job_update, row_intact};
use crate::error::{is_damage, unreadable};
use crate::leases::Held;
use crate::queue::{CacheUpdate, CachedJob, Key};
use crate::rows;
use crate::telemetry;
use crate::writer::{Work, Writer};

/// The lease is the current one.
const CURRENT: &str = "where event = ?1 and n = ?2 and token = ?3";

static CLAIMED: JobUpdate = JobUpdate::new(|| {
    let set = [("attempt", "?3"), ("token", "?4"), ("started", "?5")];
    job_update(&set, "where event = ?1 and n = ?2")
});

static ENDED: JobUpdate = JobUpdate::new(|| {
    let attempts = one_more("?5");
    let set = [
        ("state", "?4"),
        ("token", "null"),
        ("started", "null"),
        ("body", "null"),
        ("attempts", &attempts),
    ];
    job_update(&set, CURRENT)
});

static DIED: JobUpdate = JobUpdate::new(|| {
    let attempts = one_more("?7");
    let set = [
        ("state", "2"),
        ("token", "null"),
        ("started", "null"),
        ("reason", "?4"),
        ("step", "?5"),
        ("body", "?6"),
        ("attempts", &attempts),
    ];
    job_update(&set, CURRENT)
});

/// While a job waits, `started` is the moment from which its wait counts, so that a new owner whose
/// clock says something else knows how long that is. What is no retry does not wait.
static BACK: JobUpdate = JobUpdate::new(|| {
    let attempts = one_more("?9");
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
    job_update(&set, CURRENT)
});

static INTERRUPTED: JobUpdate = JobUpdate::new(|| {
    let attempts = one_more("?4");
    let set = [("token", "null"), ("started", "due"), ("cause", "?3"), ("attempts", &*attempts)];
    job_update(&set, "where event = ?1 and n = ?2")
});

/// How a job goes back to waiting.
struct Requeue<'a> {
    step: &'a Option<String>,
    body: Option<&'a Bytes>,
    /// `None`: as it was.
    cause: Option<&'a str>,
    /// When it is tried again; `None`: its attempt is given back, and it is as due as it was.
    at: Option<Timestamp>,
}

/// The attempts with this one behind them, if there is one.
fn one_more(record: &str) -> String {
    format!(
        "case when {record} is null then attempts
              else coalesce(attempts || ',', '') || {record} end"
    )
}

impl Writer {
    pub(crate) fn claim(&mut self, want: &Claim) -> Result<Vec<Job>> {
        let taken = self.queue.schedule.claim(want.now, &want.slots, want.unknown);
        let mut jobs = Vec::with_capacity(taken.len());
        let mut taken = taken.into_iter();
        while let Some(entry) = taken.next() {
            match self.hand_out(&entry, want) {
                Ok(Some(job)) => jobs.push(job),
                Ok(None) => {}
                Err(e) => {
                    // Those before it are taken back with the group.
                    for entry in std::iter::once(entry).chain(taken) {
                        self.queue.schedule.push(entry, want.now);
                    }
                    return Err(e);
                }
            }
        }
        Ok(jobs)
    }

    /// `None`: the disk changed it, and it is dead.
    fn hand_out(&mut self, entry: &QueuedJob<Key>, want: &Claim) -> Result<Option<Job>> {
        let token = self.next_token;
        self.next_token += 1;
        let lease =
            |event| Lease { job: JobId { event, n: entry.key.1 }, token: token.cast_unsigned() };
        let job = match self.queue.take_fresh(entry.key) {
            Some(CachedJob { event, config_hash }) => Job {
                lease: lease(event.id()),
                event,
                route: entry.route.clone(),
                step: None,
                attempt: 1,
                crashes: 0,
                replay: false,
                config_hash,
                cause: None,
            },
            None => match self.read_job(entry, lease) {
                Ok(job) => job,
                Err(e) if is_damage(&e) => {
                    self.dead_letter_corrupt(entry.key, "what it works on")?;
                    self.damaged.push(entry.clone());
                    return Ok(None);
                }
                Err(e) => return Err(e),
            },
        };
        let mut write = self.conn.prepare_cached(&CLAIMED)?;
        let (seq, n) = entry.key;
        write.execute(params![seq, n, job.attempt, token, want.now.as_millis()])?;
        let id = job.lease.job;
        let (entry, until) = (entry.clone(), want.lease_until);
        self.queue.held.insert(id, Held { entry, token, started: want.now, until });
        self.claimed.push(id);
        Ok(Some(job))
    }

    /// To the dead letters with a job that the disk changed. Its sum stays as it is: it was right.
    pub(crate) fn dead_letter_corrupt(&self, (seq, n): Key, what: &str) -> Result<()> {
        telemetry::damaged(what, seq);
        self.conn
            .prepare_cached(
                "update jobs set state = 2, token = null, started = null, reason = ?3
                 where event = ?1 and n = ?2",
            )?
            .execute(params![seq, n, rows::DAMAGED])?;
        Ok(())
    }

    fn read_job(
        &self,
        entry: &QueuedJob<Key>,
        lease: impl FnOnce(hookward_core::EventId) -> Lease,
    ) -> Result<Job> {
        let (seq, n) = entry.key;
        let event = rows::event(&self.conn, seq)?.ok_or_else(|| unreadable("an event"))?;
        let mut found = self.conn.prepare_cached(concat!(
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
                route: entry.route.clone(),
                step: row.get(4)?,
                attempt: row.get::<_, u32>(0)?.saturating_add(1),
                crashes: row.get(1)?,
                replay: row.get(2)?,
                config_hash: row.get::<_, i64>(3)?.cast_unsigned(),
                cause: row.get(5)?,
            })
        })
    }

    pub(crate) fn settle(&mut self, outcome: JobOutcome) -> Result<Settled> {
        let JobOutcome { lease, settlement, attempt } = outcome;
        let Some(held) = self.current(&lease) else { return Ok(Settled::Stale) };
        let entry = held.entry.clone();
        let record = attempt.as_ref().map(rows::attempt).transpose()?;
        // Within one group the memory does not know yet of an earlier outcome; the token does.
        if !self.write(entry.key, lease.token, &settlement, record.as_deref())? {
            return Ok(Settled::Stale);
        }
        let job = lease.job;
        self.effects.push(match settlement {
            Settlement::Done | Settlement::Unrouted => CacheUpdate::Ended { job, dead: false },
            Settlement::Dead { .. } => CacheUpdate::Ended { job, dead: true },
            Settlement::Retry { at, .. } => CacheUpdate::Back(job, QueuedJob { due: at, ..entry }),
            // It was due by the clock as it was.
            Settlement::Released { .. } => {
                let due = entry.due.min(self.queue.schedule.now());
                CacheUpdate::Back(job, QueuedJob { due, ..entry })
            }
        });
        Ok(Settled::Applied)
    }

    /// Whether the lease was still the current one.
    fn write(
        &self,
        (seq, n): Key,
        token: u64,
        settlement: &Settlement,
        record: Option<&str>,
    ) -> Result<bool> {
        let token = token.cast_signed();
        let changed = match settlement {
            Settlement::Done | Settlement::Unrouted => {
                let state = match settlement {
                    Settlement::Done => rows::DONE,
                    _ => rows::UNROUTED,
                };
                let mut write = self.conn.prepare_cached(&ENDED)?;
                write.execute(params![seq, n, token, state, record])?
            }
            Settlement::Dead { reason, step, body } => {
                let mut write = self.conn.prepare_cached(&DIED)?;
                let body = body.as_deref();
                write.execute(params![seq, n, token, reason, step, body, record])?
            }
            Settlement::Retry { at, step, body, cause } => {
                let back = Requeue { step, body: body.as_ref(), cause: Some(cause), at: Some(*at) };
                self.write_back((seq, n), token, back, record)?
            }
            Settlement::Released { step, body } => {
                let back = Requeue { step, body: body.as_ref(), cause: None, at: None };
                self.write_back((seq, n), token, back, record)?
            }
        };
        Ok(changed > 0)
    }

    fn write_back(
        &self,
        (seq, n): Key,
        token: i64,
        back: Requeue<'_>,
        record: Option<&str>,
    ) -> Result<usize> {
        let Requeue { step, body, cause, at } = back;
        let mut write = self.conn.prepare_cached(&BACK)?;
        let body = body.map(|bytes| &bytes[..]);
        let (due, given_back) = (at.map(Timestamp::as_millis), u32::from(at.is_none()));
        let from = at.map(|_| self.queue.schedule.now().as_millis());
        write.execute(params![seq, n, token, step, body, cause, due, given_back, record, from])
    }

    /// Leases live in memory alone: a new owner of the file voids them all.
    pub(crate) fn extend(&mut self, leases: &[Lease], until: Timestamp) -> Vec<Settled> {
        let held = &mut self.queue.held;
        let each = leases.iter().map(|lease| {
            match held.extend(&lease.job, lease.token.cast_signed(), until) {
                true => Settled::Applied,
                false => Settled::Stale,
            }
        });
        each.collect()
    }

    fn current(&self, lease: &Lease) -> Option<&Held> {
        self.queue.held.get(&lease.job).filter(|held| held.token == lease.token.cast_signed())
    }

    /// A worker that no longer extends its lease is taken for lost, and its job runs again. In a
    /// transaction of its own, before those who claim look at the schedule. Whoever speaks in this
    /// group is not lost: where the whole process paused, that waited as long as the claim.
    pub(crate) fn reclaim_expired(&mut self, now: Timestamp, group: &[Work]) -> Result<()> {
        let mut lost = self.queue.held.lost(now);
        if !lost.is_empty() {
            let heard: HashSet<_> = group.iter().flat_map(Work::leases).collect();
            let lease = |job, token: i64| Lease { job, token: token.cast_unsigned() };
            lost.retain(|(job, held)| !heard.contains(&lease(*job, held.token)));
        }
        if lost.is_empty() {
            return Ok(());
        }
        self.conn.prepare_cached("begin")?.execute([])?;
        for (_, held) in &lost {
            self.interrupted(held.entry.key, held.started, now.since(held.started), "lease")?;
        }
        self.commit()?;
        for (job, held) in lost {
            self.queue.apply(CacheUpdate::Back(job, held.entry));
        }
        Ok(())
    }

    /// Puts a running job back because nobody will say how its attempt ended.
    pub(crate) fn interrupted(
        &self,
        (seq, n): Key,
        started: Timestamp,
        took: std::time::Duration,
        outcome: &str,
    ) -> Result<()> {
        let record = self
            .conn
            .prepare_cached("select attempt, step, cause from jobs where event = ?1 and n = ?2")?
            .query_row(params![seq, n], |row| {
                Ok(AttemptRecord {
                    attempt: row.get(0)?,
                    step: row.get(1)?,
                    started_at: started.to_string(),
                    duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                    outcome: outcome.to_owned(),
                    error: None,
                    cause: row.get(2)?,
                })
            })
            .optional()?;
        let record = record.as_ref().map(rows::attempt).transpose()?;
        self.conn.prepare_cached(&INTERRUPTED)?.execute(params![seq, n, outcome, record])?;
        Ok(())
    }
}
