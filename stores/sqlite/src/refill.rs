//! Reads jobs from the table into the queue: at start all that fit, later those of a route whose
//! queued jobs are half done.

use std::sync::Arc;

use hookward_core::Timestamp;
use hookward_core::store::QueuedJob;
use rusqlite::{Connection, Result, params};

use crate::checksum::row_intact;
use crate::interner::Interner;
use crate::queue::Queue;
use crate::rows::JobKey;

/// Counts open and dead jobs per route. Open ones are left for a refill to read.
pub(crate) fn count_jobs(conn: &Connection, names: &Interner, queue: &mut Queue) -> Result<()> {
    let mut found = conn.prepare(
        "select route, count(*), 0 from jobs where state = 0 group by route
         union all
         select route, 0, count(*) from jobs where state = 2 group by route",
    )?;
    let mut found = found.query([])?;
    while let Some(row) = found.next()? {
        let route = names.name_of(row.get(0)?);
        queue.add_to_counts(&route, row.get(1)?, row.get(2)?);
        if row.get::<_, i64>(1)? > 0 {
            // Marks the route as one whose jobs are all in the table, from the first key on.
            queue.add_refilled(route, Vec::new(), Some((0, 0)));
        }
    }
    Ok(())
}

/// Reads pages of jobs until each route has enough in the queue, or none left in the table.
pub(crate) fn refill(conn: &Connection, names: &Interner, queue: &mut Queue) -> Result<()> {
    // Ends, because each round moves the position of a route or takes the route off the list.
    while let Some((route, from)) = queue.next_refill() {
        let limit = queue.refill_page_size();
        let jobs = match names.number_of(&route) {
            Some(number) => read_page(conn, (&route, number), from, limit, queue.now())?,
            None => Vec::new(),
        };
        // A short page was the last one. From then on new jobs of the route go straight into the
        // queue.
        let more = jobs.last().filter(|_| jobs.len() == limit);
        let next = more.map(|last| (last.key.0, last.key.1.saturating_add(1)));
        queue.add_refilled(route, jobs, next);
    }
    Ok(())
}

fn read_page(
    conn: &Connection,
    (route, number): (&Arc<str>, i64),
    from: JobKey,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<QueuedJob<JobKey>>> {
    let mut found = conn.prepare_cached(concat!(
        "select event, n, ",
        row_intact!(jobs "jobs"),
        ", due, order_key, crashes, attempt, started from jobs
         where route = ?1 and state = 0 and (event, n) >= (?2, ?3)
         order by event, n limit ?4",
    ))?;
    let read = |row: &rusqlite::Row<'_>| {
        let key = (row.get(0)?, row.get(1)?);
        let mut job = QueuedJob::new(key, route.clone(), Timestamp::default());
        // A corrupt row is queued as due now: its claim finds the damage and moves it to the dead
        // letters. Left out, it would stay open forever.
        if row.get(2)? {
            let due = Timestamp::from_millis(row.get(3)?);
            let waits_from = row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis);
            job.due = due.min(latest_due(now, due, row.get(6)?, waits_from));
            job.order_key = row.get::<_, Option<String>>(4)?.map(Into::into);
            job.crash_suspect = row.get::<_, i64>(5)? > 0;
        }
        Ok(job)
    };
    found.query_map(params![number, from.0, from.1, limit as i64], read)?.collect()
}

/// Latest time for a job whose row says `due`, which is too late if the clock was ahead when it was
/// written. Only retries wait, from `waits_from` on, which older versions left empty.
fn latest_due(
    now: Timestamp,
    due: Timestamp,
    attempt: i64,
    waits_from: Option<Timestamp>,
) -> Timestamp {
    match waits_from {
        _ if attempt == 0 => now,
        Some(from) => now.plus(due.since(from)),
        None => due,
    }
}
