//! One trial: a store is opened over a damaged file, and all that it returns is compared with the
//! fixture.

use std::collections::BTreeSet;
use std::path::Path;

use hookward_core::store::{
    Acceptance, Browse, EventFilter, JobOutcome, JobState, PageCursor, Settlement,
};
use hookward_core::{EventId, Store};
use hookward_store_sqlite::SqliteStore;

use crate::flips::fixture::{DELIVERIES, FIRST_ANSWER, Files, Fixture, claim, delivery, now};

/// Damage to one byte or to the end of the database or its log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Damage {
    BitFlip { log: bool, byte: usize, bit: u8 },
    Truncation { log: bool, length: usize },
}

impl Damage {
    pub(crate) fn apply(self, files: &mut Files) {
        let bytes = if self.is_in_log() { &mut files.log } else { &mut files.db };
        match self {
            Self::BitFlip { byte, bit, .. } => bytes[byte] ^= 1 << bit,
            Self::Truncation { length, .. } => bytes.truncate(length),
        }
    }

    fn is_in_log(self) -> bool {
        match self {
            Self::BitFlip { log, .. } | Self::Truncation { log, .. } => log,
        }
    }
}

/// How the damage was detected, or that it was harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Opening failed with an error that names the file.
    NotOpened,
    /// A call failed with an error.
    Failed,
    /// Damaged rows were reported or dead-lettered.
    Quarantined,
    /// The newest commits of the log are missing; everything before them is intact.
    LogTruncated,
    /// A repetition was stored as a new event.
    RepetitionStored,
    Harmless,
}

impl Verdict {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::NotOpened => "not opened",
            Self::Failed => "failed calls",
            Self::Quarantined => "quarantined",
            Self::LogTruncated => "truncated logs",
            Self::RepetitionStored => "repetitions stored",
            Self::Harmless => "harmless",
        }
    }
}

/// Runs a trial; undetected damage that does harm is an error.
pub(crate) async fn run_trial(
    fixture: &Fixture,
    folder: &Path,
    damage: Damage,
) -> Result<Verdict, String> {
    let store =
        match SqliteStore::open(folder.join("a.db"), now(), hookward_engine::STORE_POLICY).await {
            Ok(store) => store,
            Err(e) if e.message.contains("a.db") => return Ok(Verdict::NotOpened),
            Err(e) => return Err(format!("opening failed without the name of the file: {e}")),
        };
    let verdict = check(fixture, &store, damage).await;
    store.close().await;
    verdict
}

/// Unwraps a call's result. A call that fails has detected the damage, unless it failed by a panic.
macro_rules! ok_or_failed {
    ($call:expr) => {
        match $call {
            Ok(value) => value,
            Err(e) if e.to_string().contains("thread ended") => return Err(e.to_string()),
            Err(_) => return Ok(Verdict::Failed),
        }
    };
}

async fn check(fixture: &Fixture, store: &SqliteStore, damage: Damage) -> Result<Verdict, String> {
    let mut reports = 0;
    let mut listed = BTreeSet::new();
    let mut after: Option<PageCursor> = None;
    loop {
        let page = ok_or_failed!(store.list(&EventFilter::default(), 50, after).await);
        for event in &page.events {
            if event.event_type.as_deref() == Some("(damaged)") {
                reports += 1;
                continue;
            }
            let delivery =
                fixture.deliveries.get(&event.id).ok_or("an event is listed that was not sent")?;
            let sent = delivery.events.iter().find(|e| e.id == event.id).ok_or("no event")?;
            if event.event_id != sent.event_id || event.event_type != sent.event_type {
                return Err(format!("an event is listed with wrong fields: {event:?}"));
            }
            if *event.source != *delivery.source || event.received_at != delivery.received_at {
                return Err(format!("an event is listed with wrong fields: {event:?}"));
            }
            listed.insert(event.id);
            reports += usize::from(ok_or_failed!(check_detail(fixture, store, event.id).await)?);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let missing: Vec<_> = fixture.order.iter().filter(|id| !listed.contains(id)).collect();
    let log_truncated = if missing.len() > reports {
        // Only the newest events may be missing, and only after damage to the log.
        let prefix = fixture.order.iter().take(listed.len()).all(|id| listed.contains(id));
        if !damage.is_in_log() || !prefix {
            return Err(format!("{} events are missing without a report", missing.len()));
        }
        true
    } else {
        false
    };
    let dead = ok_or_failed!(store.depth().await).routes.iter().map(|r| r.dead).sum::<u64>();
    let ran = ok_or_failed!(run_open_jobs(fixture, store).await)?;
    let dead_lettered =
        ok_or_failed!(store.depth().await).routes.iter().map(|r| r.dead).sum::<u64>() - dead;
    reports += usize::try_from(dead_lettered).unwrap_or(0);
    let open = listed.iter().filter(|id| !fixture.closed_events.contains(id)).count();
    if ran < open && reports == 0 && !damage.is_in_log() {
        return Err(format!("{ran} of {open} open jobs ran"));
    }
    let stored_again = ok_or_failed!(send_again(fixture, store, &listed).await)?;
    Ok(match (reports > 0, log_truncated, stored_again) {
        (true, _, _) => Verdict::Quarantined,
        (_, true, _) => Verdict::LogTruncated,
        (_, _, true) => Verdict::RepetitionStored,
        _ => Verdict::Harmless,
    })
}

/// Outer errors are failed calls, inner errors are undetected damage.
type Checked<T> = Result<Result<T, String>, hookward_core::store::StoreError>;

/// Checks the detail view of an event; returns whether it reports damage.
async fn check_detail(fixture: &Fixture, store: &SqliteStore, id: EventId) -> Checked<bool> {
    let Some(detail) = store.show(id).await? else {
        // Listed and not found: the index is damaged, and the missing page reports it.
        return Ok(Ok(true));
    };
    let job = detail.jobs.first();
    let job_damaged = job.is_some_and(|j| {
        j.state == JobState::Dead && j.reason.as_deref().is_some_and(|r| r.starts_with("damaged"))
    });
    if detail.notes.iter().any(|note| note.starts_with("damaged")) {
        let empty = detail.event.body().bytes().is_empty();
        return Ok(if empty {
            Ok(true)
        } else {
            Err("an event reported as damaged has a body".to_owned())
        });
    }
    let Some(delivery) = fixture.deliveries.get(&id) else {
        return Ok(Err("an event is shown that was not sent".to_owned()));
    };
    let Some(sent) = delivery.events.iter().find(|e| e.id == id) else { return Ok(Ok(true)) };
    if detail.event.body().bytes() != delivery.body.bytes()
        || detail.event.headers() != &delivery.headers[..]
        || detail.notes != sent.notes
    {
        return Ok(Err(format!("{:?} is shown with wrong bytes", sent.event_id)));
    }
    let Some(job) = job else { return Ok(Err("a job is missing without a report".to_owned())) };
    if job_damaged {
        return Ok(Ok(true));
    }
    let errors: Vec<_> = job.attempts.iter().filter_map(|a| a.error.clone()).collect();
    let expected = fixture.attempts.get(&id).cloned().unwrap_or_default();
    // The newest attempts are missing where the log is truncated.
    if !expected.starts_with(&errors) {
        return Ok(Err(format!("attempts {errors:?} are shown, expected {expected:?}")));
    }
    Ok(Ok(false))
}

/// Claims and settles all open jobs, checking what each handler would get; returns their number.
async fn run_open_jobs(fixture: &Fixture, store: &SqliteStore) -> Checked<usize> {
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
            let Some(delivery) = fixture.deliveries.get(&id) else {
                return Ok(Err("a handler got an event that was not sent".to_owned()));
            };
            let sent = delivery.events.iter().find(|e| e.id == id);
            let bytes = &job.event.body().bytes()[..];
            let original = delivery.body.bytes();
            let right_bytes = match &job.step {
                None => bytes == &original[..],
                Some(step) => {
                    step == "send" && Some(bytes) == fixture.bodies.get(&id).map(|b| &b[..])
                }
            };
            let same_name = sent.is_some_and(|sent| {
                job.event.event_id() == sent.event_id.as_deref()
                    && job.event.event_type() == sent.event_type.as_deref()
            });
            if !right_bytes || !same_name || job.event.headers() != &delivery.headers[..] {
                return Ok(Err(format!(
                    "a handler got wrong bytes for {:?}",
                    job.event.event_id()
                )));
            }
        }
        let outcome =
            |job: &hookward_core::store::Job| JobOutcome::new(job.lease, Settlement::Done);
        store.settle(jobs.iter().map(outcome).collect()).await?;
    }
}

/// Sends all deliveries again; returns whether one that is stored was stored once more.
async fn send_again(
    fixture: &Fixture,
    store: &SqliteStore,
    listed: &BTreeSet<EventId>,
) -> Checked<bool> {
    let mut stored_again = false;
    for n in 0..DELIVERIES {
        let answers = store.accept(vec![delivery(n, "again")]).await?;
        match answers.first() {
            Some(Acceptance::Duplicate { answer, .. }) => {
                let (first, new) = (format!("{FIRST_ANSWER} {n}"), format!("again {n}"));
                // The new answer is used where the stored one is damaged, which the log reports.
                if answer.body != first.as_bytes() && answer.body != new.as_bytes() {
                    return Ok(Err(format!("delivery {n} got {:?}", answer.body)));
                }
            }
            _ => {
                let is_nth = |d: &hookward_core::store::NewDelivery| {
                    d.events[0].event_id == Some(format!("evt_{n}_0"))
                };
                let sent = fixture.deliveries.iter().find(|(_, d)| is_nth(d)).map(|(id, _)| *id);
                stored_again |= sent.is_some_and(|id| listed.contains(&id));
            }
        }
    }
    Ok(Ok(stored_again))
}
