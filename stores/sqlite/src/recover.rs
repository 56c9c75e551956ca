//! What a new owner does with what it finds, and how jobs get from the table into the schedule.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::Timestamp;
use hookward_core::store::{JobQueue, QueuedJob};
use rusqlite::{Result, params};

use crate::checksum::{JobUpdate, job_update, row_intact};
use crate::error::unreadable;
use crate::queue::Key;
use crate::rows;
use crate::telemetry;
use crate::writer::Writer;

/// A job that ran alone this many times when the process died is what kills it.
const LONE_CRASHES: i64 = 3;

/// Since when, and how often before the process died; `None` if the disk changed it.
type Running = Option<(Timestamp, i64)>;

static CRASHED: JobUpdate = JobUpdate::new(|| {
    let set = [("crashes", "crashes + 1"), ("state", "?3"), ("reason", "?4")];
    job_update(&set, "where event = ?1 and n = ?2")
});

impl Writer {
    /// Voids all leases, counts crashes, and fills the schedule.
    pub(crate) fn recover(&mut self, now: Timestamp) -> Result<()> {
        self.queue.schedule = JobQueue::starting(now);
        self.conn.execute_batch("begin immediate")?;
        self.counters()?;
        self.number()?;
        let running = self.running()?;
        let mut poison = 0;
        for (key, running) in &running {
            let Some((started, crashes)) = running else {
                self.dead_letter_corrupt(*key, "a job")?;
                continue;
            };
            self.interrupted(*key, *started, Duration::ZERO, "crash")?;
            poison += usize::from(self.crashed(*key, *crashes)?);
        }
        self.commit()?;
        if !running.is_empty() {
            telemetry::recovered(running.len(), poison);
        }
        self.late.read(&self.conn)?;
        self.recount()?;
        tracing::debug!(%now, "leases of a former owner are void");
        self.feed()
    }

    /// All numbering rests on a few counters.
    fn counters(&self) -> Result<()> {
        let hit = "select exists (select 1 from meta where sum <> checksum(name, value))";
        match self.conn.query_row(hit, [], |row| row.get(0))? {
            true => Err(unreadable("a counter")),
            false => Ok(()),
        }
    }

    /// Tokens must differ from those of all former owners; `seq` must never be given twice.
    fn number(&mut self) -> Result<()> {
        let opens: i64 = self.conn.query_row(
            "insert into meta (name, value, sum) values ('opens', 1, checksum('opens', 1))
             on conflict do update set value = value + 1, sum = checksum(name, value + 1)
             returning value",
            [],
            |row| row.get(0),
        )?;
        self.next_token = opens.saturating_mul(1 << 36);
        self.next_seq = self.conn.query_row(
            "select max(coalesce((select max(seq) + 1 from events), 1),
                        coalesce((select value from meta where name = 'seq'), 1),
                        coalesce((select value + 1 from meta where name = 'keys_flushed_to'), 1))",
            [],
            |row| row.get(0),
        )?;
        Ok(())
    }

    fn running(&self) -> Result<Vec<(Key, Running)>> {
        let mut found = self.conn.prepare(concat!(
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

    /// Suspects run one at a time, so a job with a crash behind it was the one suspect when the
    /// process died. Tells whether that was once too often.
    fn crashed(&self, (seq, n): Key, before: i64) -> Result<bool> {
        let poison = before >= LONE_CRASHES;
        let state = if poison { rows::DEAD } else { rows::OPEN };
        let reason = poison.then(|| {
            format!("poison: the process died {LONE_CRASHES} times while this job ran alone")
        });
        self.conn.prepare_cached(&CRASHED)?.execute(params![seq, n, state, reason])?;
        Ok(poison)
    }

    fn recount(&mut self) -> Result<()> {
        let mut found = self.conn.prepare(
            "select route, count(*), 0 from jobs where state = 0 group by route
             union all
             select route, 0, count(*) from jobs where state = 2 group by route",
        )?;
        let mut found = found.query([])?;
        while let Some(row) = found.next()? {
            let route = self.names.name(row.get(0)?);
            self.queue.count(&route, row.get(1)?, row.get(2)?);
            if row.get::<_, i64>(1)? > 0 {
                self.queue.refilled(route, Vec::new(), Some((0, 0)));
            }
        }
        Ok(())
    }

    /// Reads jobs of routes of which some are only in the table, as far as there is room.
    pub(crate) fn feed(&mut self) -> Result<()> {
        while let Some((route, from)) = self.queue.needs_refill() {
            let limit = (self.queue.cap / 10).max(1);
            let jobs = self.page(&route, from, limit)?;
            let more = jobs.last().filter(|_| jobs.len() == limit);
            let to = more.map(|last| (last.key.0, last.key.1.saturating_add(1)));
            self.queue.refilled(route, jobs, to);
        }
        Ok(())
    }

    fn page(&mut self, route: &Arc<str>, from: Key, limit: usize) -> Result<Vec<QueuedJob<Key>>> {
        let number = self.names.number(&self.conn, route)?;
        let mut found = self.conn.prepare_cached(concat!(
            "select event, n, ",
            row_intact!(jobs "jobs"),
            ", due, order_key, crashes, attempt, started from jobs
             where route = ?1 and state = 0 and (event, n) >= (?2, ?3)
             order by event, n limit ?4",
        ))?;
        let now = self.queue.schedule.now();
        let read = |row: &rusqlite::Row<'_>| {
            let key = (row.get(0)?, row.get(1)?);
            let mut entry = QueuedJob {
                key,
                route: route.clone(),
                due: Timestamp::default(),
                order_key: None,
                suspect: false,
            };
            // Whoever claims a damaged one finds that out, and buries it.
            if row.get(2)? {
                let due = Timestamp::from_millis(row.get(3)?);
                let from = row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis);
                entry.due = due.min(latest(now, due, row.get(6)?, from));
                entry.order_key = row.get::<_, Option<String>>(4)?.map(Into::into);
                entry.suspect = row.get::<_, i64>(5)? > 0;
            }
            Ok(entry)
        };
        found.query_map(params![number, from.0, from.1, limit as i64], read)?.collect()
    }
}

/// The latest moment for a job that is stored as due at `due`, which says too much where the clock was
/// ahead then. Only retries are meant to wait, from `from` on; older versions did not keep that.
fn latest(now: Timestamp, due: Timestamp, attempt: i64, from: Option<Timestamp>) -> Timestamp {
    match from {
        _ if attempt == 0 => now,
        Some(from) => now.plus(due.since(from)),
        None => due,
    }
}
