//! One trial: a file is hit, a store is opened over it, and everything that it then says is compared
//! with what is known. Used by the suite `flips`.

use std::collections::BTreeSet;
use std::path::Path;

use hookward_core::store::{Acceptance, Browse, Cursor, Filter, JobOutcome, JobState, Settlement};
use hookward_core::{EventId, Store};
use hookward_store_sqlite::SqliteStore;

use crate::flips::fixture::{EVENTS, Known, claim, delivery, now};

/// What was done to which file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hit {
    Bit { log: bool, byte: usize, bit: u8 },
    Cut { log: bool, length: usize },
}

/// How a trial went, where nothing was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It was not opened, and said why.
    Refused,
    /// It failed while it worked, and said so.
    Failed,
    /// Rows were set aside, and said to be damaged.
    Quarantined,
    /// The newest commits of the log are gone; all before them is as it was.
    Shorter,
    /// A repetition was taken for a new event.
    Forgot,
    Harmless,
}

/// What is wrong comes as an error.
pub(crate) async fn trial(known: &Known, folder: &Path, hit: Hit) -> Result<Verdict, String> {
    let store = match SqliteStore::open(folder.join("a.db"), now()).await {
        Ok(store) => store,
        Err(e) if e.0.contains("a.db") => return Ok(Verdict::Refused),
        Err(e) => return Err(format!("it was refused without naming the file: {e}")),
    };
    let verdict = examine(known, &store, hit).await;
    store.close().await;
    verdict
}

/// A call that failed says so: that is a sign, if it is not a panic.
macro_rules! told {
    ($call:expr) => {
        match $call {
            Ok(it) => it,
            Err(e) if e.to_string().contains("thread ended") => return Err(e.to_string()),
            Err(_) => return Ok(Verdict::Failed),
        }
    };
}

async fn examine(known: &Known, store: &SqliteStore, hit: Hit) -> Result<Verdict, String> {
    let mut signs = 0;
    let mut there = BTreeSet::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = told!(store.list(&Filter::default(), 50, after).await);
        for event in &page.events {
            if event.event_type.as_deref() == Some("(damaged)") {
                signs += 1;
                continue;
            }
            let made = known.deliveries.get(&event.id).ok_or("an event that was not sent")?;
            let was = made.events.iter().find(|e| e.id == event.id).ok_or("no event")?;
            if event.event_id != was.event_id || event.event_type != was.event_type {
                return Err(format!("it lists {event:?}"));
            }
            if *event.source != *made.source || event.received_at != made.received_at {
                return Err(format!("it lists {event:?}"));
            }
            there.insert(event.id);
            signs += usize::from(told!(shown(known, store, event.id).await)?);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let missing: Vec<_> = known.order.iter().filter(|id| !there.contains(id)).collect();
    let shorter = if missing.len() > signs {
        // What is there must be all up to a moment.
        let log = matches!(hit, Hit::Bit { log: true, .. } | Hit::Cut { log: true, .. });
        let prefix = known.order.iter().take(there.len()).all(|id| there.contains(id));
        if !log || !prefix {
            return Err(format!("{} events are gone without a sign", missing.len()));
        }
        true
    } else {
        false
    };
    let dead = told!(store.depth().await).routes.iter().map(|r| r.dead).sum::<u64>();
    let ran = match told!(work(known, store).await) {
        Ok(ran) => ran,
        Err(wrong) => return Err(wrong),
    };
    let buried = told!(store.depth().await).routes.iter().map(|r| r.dead).sum::<u64>() - dead;
    signs += usize::try_from(buried).unwrap_or(0);
    let log = matches!(hit, Hit::Bit { log: true, .. } | Hit::Cut { log: true, .. });
    let open = there.iter().filter(|id| !known.ended.contains_key(id)).count();
    if ran < open && signs == 0 && !log {
        return Err(format!("of {open} jobs that were open {ran} ran"));
    }
    let forgot = match told!(again(known, store, &there).await) {
        Ok(forgot) => forgot,
        Err(wrong) => return Err(wrong),
    };
    Ok(match (signs > 0, shorter, forgot) {
        (true, _, _) => Verdict::Quarantined,
        (_, true, _) => Verdict::Shorter,
        (_, _, true) => Verdict::Forgot,
        _ => Verdict::Harmless,
    })
}

type Told<T> = Result<Result<T, String>, hookward_core::store::StoreError>;

/// Whether it is shown with a sign of damage.
async fn shown(known: &Known, store: &SqliteStore, id: EventId) -> Told<bool> {
    let Some(detail) = store.show(id).await? else {
        // It is listed and cannot be found: the index is hit, and whoever looks sees that.
        return Ok(Ok(true));
    };
    let job = detail.jobs.first();
    let job_damaged = job.is_some_and(|j| {
        j.state == JobState::Dead && j.reason.as_deref().is_some_and(|r| r.starts_with("damaged"))
    });
    if detail.notes.iter().any(|note| note.starts_with("damaged")) {
        let empty = detail.event.body().bytes().is_empty();
        return Ok(if empty { Ok(true) } else { Err("it shows damaged bytes".to_owned()) });
    }
    let Some(made) = known.deliveries.get(&id) else { return Ok(Err("a stranger".to_owned())) };
    let Some(was) = made.events.iter().find(|e| e.id == id) else { return Ok(Ok(true)) };
    if detail.event.body().bytes() != made.body.bytes()
        || detail.event.headers() != &made.headers[..]
        || detail.notes != was.notes
    {
        return Ok(Err(format!("it shows other bytes for {:?}", was.event_id)));
    }
    let Some(job) = job else { return Ok(Err("its job is gone without a sign".to_owned())) };
    if job_damaged {
        return Ok(Ok(true));
    }
    let words: Vec<_> = job.attempts.iter().filter_map(|a| a.error.clone()).collect();
    let known_words = known.attempts.get(&id).cloned().unwrap_or_default();
    // A log that is shorter knows less.
    if !known_words.starts_with(&words) {
        return Ok(Err(format!("it shows the attempts {words:?}")));
    }
    Ok(Ok(false))
}

/// Runs all that is open; how many ran.
async fn work(known: &Known, store: &SqliteStore) -> Told<usize> {
    let mut ran = 0;
    loop {
        let jobs = match claim(store, 20).await {
            Ok(jobs) => jobs,
            Err(e) => return Err(hookward_core::store::StoreError::Unavailable(e)),
        };
        if jobs.is_empty() {
            return Ok(Ok(ran));
        }
        ran += jobs.len();
        for job in &jobs {
            let id = job.event.id();
            let Some(made) = known.deliveries.get(&id) else {
                return Ok(Err("a handler got an event that was not sent".to_owned()));
            };
            let was = made.events.iter().find(|e| e.id == id);
            let bytes = &job.event.body().bytes()[..];
            let own = made.body.bytes();
            let right = match &job.step {
                None => bytes == &own[..],
                Some(step) => {
                    step == "send" && Some(bytes) == known.bodies.get(&id).map(|b| &b[..])
                }
            };
            let same_name = was.is_some_and(|was| {
                job.event.event_id() == was.event_id.as_deref()
                    && job.event.event_type() == was.event_type.as_deref()
            });
            if !right || !same_name || job.event.headers() != &made.headers[..] {
                return Ok(Err(format!(
                    "a handler got other bytes for {:?}",
                    job.event.event_id()
                )));
            }
        }
        let outcome = |job: &hookward_core::store::Job| JobOutcome {
            lease: job.lease,
            settlement: Settlement::Done,
            attempt: None,
        };
        store.settle(jobs.iter().map(outcome).collect()).await?;
    }
}

/// Sends everything again. Whether something was taken for new that is there.
async fn again(known: &Known, store: &SqliteStore, there: &BTreeSet<EventId>) -> Told<bool> {
    let mut forgot = false;
    for n in 0..EVENTS {
        let told = store.accept(vec![delivery(n, "again")]).await?;
        match told.first() {
            Some(Acceptance::Duplicate { answer, .. }) => {
                let (first, own) = (format!("taken in as {n}"), format!("again {n}"));
                // Its own where the first one's is damaged, which the log says.
                if answer.body != first.as_bytes() && answer.body != own.as_bytes() {
                    return Ok(Err(format!("{n} was answered with {:?}", answer.body)));
                }
            }
            _ => {
                let of = |d: &hookward_core::store::NewDelivery| {
                    d.events[0].event_id == Some(format!("evt_{n}_0"))
                };
                let was = known.deliveries.iter().find(|(_, d)| of(d)).map(|(id, _)| *id);
                forgot |= was.is_some_and(|id| there.contains(&id));
            }
        }
    }
    Ok(Ok(forgot))
}
