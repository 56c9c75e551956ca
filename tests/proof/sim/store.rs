//! The simulated store: one owner's hold on the disk. Calls wait in a line and share commits; a
//! commit takes its time and may fail before it took effect or after, or panic. A crash takes what waits
//! with it, and leaves the disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::store::{
    Acceptance, Browse, Claim, Cursor, Depth, EventDetail, EventPage, EventSummary, Filter, Job,
    JobCounts, JobDetail, JobOutcome, JobState, Lease, NewDelivery, Purge, ReplayJob, RouteDepth,
    Settled, StoreError,
};
use hookward_core::{EventId, Store, Timestamp};
use tokio::sync::{Notify, mpsc, oneshot};

use super::disk::{Disk, Flaw, Known};
use super::faults::{Fault, Sky};
use super::rows::Row;
use super::trace::note;

/// One life of the process.
#[derive(Debug)]
pub(crate) struct Life {
    ended: AtomicBool,
    /// Wakes in the order of waiting. The waiters of a `watch` would be woken in an order that no seed
    /// decides.
    end: Notify,
    poisoned: AtomicBool,
}

impl Life {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            ended: AtomicBool::new(false),
            end: Notify::new(),
            poisoned: AtomicBool::new(false),
        })
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.end.notify_waiters();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    pub(crate) async fn ended(&self) {
        let woken = self.end.notified();
        // It counts from its making on, so an end between these two lines is not missed.
        if !self.has_ended() {
            woken.await;
        }
    }
}

#[derive(Debug)]
enum Work {
    Accept(Vec<(NewDelivery, Option<Known>)>),
    Claim(Claim),
    Settle(Vec<JobOutcome>),
    Extend(Vec<Lease>, Timestamp),
    Purge(Purge),
    Replay(Timestamp, Vec<ReplayJob>),
}

#[derive(Debug)]
enum Answer {
    Accepted(Vec<Acceptance>),
    Jobs(Vec<Job>),
    Settled(Vec<Settled>),
    Count(u64),
}

type Reply = oneshot::Sender<Result<Answer, StoreError>>;

#[derive(Debug)]
pub(crate) struct SimStore {
    disk: Arc<Mutex<Disk>>,
    life: Arc<Life>,
    line: mpsc::UnboundedSender<(Work, Reply)>,
}

pub(crate) fn lock<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimStore {
    /// Takes hold of the disk.
    pub(crate) fn open(disk: Arc<Mutex<Disk>>, life: Arc<Life>, sky: Sky) -> Self {
        lock(&disk).reopen();
        let (line, asked) = mpsc::unbounded_channel();
        tokio::spawn(write(disk.clone(), life.clone(), sky, asked));
        Self { disk, life, line }
    }

    fn trouble(&self) -> Result<(), StoreError> {
        if self.life.has_ended() {
            return Err(StoreError::Closed);
        }
        match self.life.poisoned.load(Ordering::SeqCst) {
            true => Err(StoreError::Failed("a sync failed".to_owned())),
            false => Ok(()),
        }
    }

    async fn ask(&self, work: Work) -> Result<Answer, StoreError> {
        self.trouble()?;
        let (reply, answer) = oneshot::channel();
        self.line.send((work, reply)).map_err(|_| StoreError::Closed)?;
        // Nobody answers, because the process has died, or because this is to panic.
        answer.await.unwrap_or_else(|_| match self.life.has_ended() {
            true => Err(StoreError::Closed),
            false => panic!("{}", super::SCRIPTED),
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Disk) -> T) -> Result<T, StoreError> {
        self.trouble()?;
        Ok(look(&lock(&self.disk)))
    }
}

/// The one that writes.
async fn write(
    disk: Arc<Mutex<Disk>>,
    life: Arc<Life>,
    sky: Sky,
    mut asked: mpsc::UnboundedReceiver<(Work, Reply)>,
) {
    let mut group = Vec::new();
    while asked.recv_many(&mut group, 16).await > 0 {
        let takes = lock(&sky).commit_takes();
        if takes > Duration::ZERO {
            tokio::time::sleep(takes).await;
        }
        // Whoever waits for the rest hears nothing more.
        if life.has_ended() {
            return;
        }
        let fault = lock(&sky).fault();
        if let Fault::Poison { .. } = fault {
            life.poisoned.store(true, Ordering::SeqCst);
        }
        if fault != Fault::None {
            note!("fault {fault:?} of {} calls", group.len());
        }
        let (work, replies): (Vec<_>, Vec<_>) = group.drain(..).unzip();
        let answers: Vec<_> = match fault.takes_effect() {
            true => work.into_iter().map(|work| Some(act(&mut lock(&disk), work))).collect(),
            false => work.iter().map(|_| None).collect(),
        };
        match fault {
            Fault::Crash => return life.end(),
            Fault::Panic { .. } => {
                lock(&disk).panics += 1;
                continue;
            }
            _ => {}
        }
        for (reply, answer) in replies.into_iter().zip(answers) {
            let _ = reply.send(match (fault.error(), answer) {
                (None, Some(answer)) => Ok(answer),
                (error, _) => Err(error.unwrap_or(StoreError::Closed)),
            });
        }
    }
}

fn act(disk: &mut Disk, work: Work) -> Answer {
    match work {
        Work::Accept(deliveries) => {
            let each = deliveries.into_iter().map(|(new, known)| disk.accept(&new, known));
            let each: Vec<_> = each.collect();
            note!("accept {each:?}");
            Answer::Accepted(each)
        }
        Work::Claim(want) => {
            let jobs = disk.claim(&want);
            if !jobs.is_empty() {
                let jobs: Vec<_> = jobs.iter().map(|j| (j.lease, j.attempt, &j.cause)).collect();
                note!("claim {jobs:?}");
            }
            Answer::Jobs(jobs)
        }
        Work::Settle(outcomes) => {
            let each: Vec<_> = outcomes.iter().map(|outcome| disk.settle(outcome)).collect();
            note!("settle {outcomes:?} {each:?}");
            Answer::Settled(each)
        }
        Work::Extend(leases, until) => {
            let each: Vec<_> = leases.iter().map(|lease| disk.extend(*lease, until)).collect();
            note!("extend {leases:?} {each:?}");
            Answer::Settled(each)
        }
        Work::Purge(what) => {
            let removed = disk.purge(what);
            if removed > 0 {
                note!("purge {removed}");
            }
            Answer::Count(removed)
        }
        Work::Replay(now, jobs) => {
            let made = jobs.iter().filter(|job| disk.replay(now, job)).count();
            note!("replay {jobs:?} {made}");
            Answer::Count(made as u64)
        }
    }
}

macro_rules! expect {
    ($answer:expr, $kind:ident) => {
        match $answer {
            Answer::$kind(it) => Ok(it),
            other => Err(StoreError::Unavailable(format!("it answered {other:?}"))),
        }
    };
}

#[async_trait]
impl Store for SimStore {
    async fn accept(&self, deliveries: Vec<NewDelivery>) -> Result<Vec<Acceptance>, StoreError> {
        let flaw = self.read(|disk| disk.flaw)?;
        let known = |new: &NewDelivery| match flaw {
            Flaw::DedupeOutside => self.read(|disk| Some(disk.known(new))).ok().flatten(),
            _ => None,
        };
        let early: Option<Vec<_>> = match flaw {
            Flaw::AckEarly => Some(self.read(|d| deliveries.iter().map(|n| d.peek(n)).collect())?),
            _ => None,
        };
        let looked_up = deliveries.iter().map(known).collect::<Vec<_>>();
        let work = Work::Accept(deliveries.into_iter().zip(looked_up).collect());
        if let Some(early) = early {
            let (reply, _) = oneshot::channel();
            self.line.send((work, reply)).map_err(|_| StoreError::Closed)?;
            return Ok(early);
        }
        expect!(self.ask(work).await?, Accepted)
    }

    async fn claim(&self, want: Claim) -> Result<Vec<Job>, StoreError> {
        expect!(self.ask(Work::Claim(want)).await?, Jobs)
    }

    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        expect!(self.ask(Work::Settle(outcomes)).await?, Settled)
    }

    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        expect!(self.ask(Work::Extend(leases, until)).await?, Settled)
    }

    async fn purge(&self, what: Purge) -> Result<u64, StoreError> {
        expect!(self.ask(Work::Purge(what)).await?, Count)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(Disk::next_due)
    }

    async fn depth(&self) -> Result<Depth, StoreError> {
        self.read(|disk| {
            let mut routes: BTreeMap<Arc<str>, RouteDepth> = BTreeMap::new();
            for job in disk.rows.values().flat_map(|row| &row.jobs) {
                let (open, dead) = match job.state {
                    JobState::Pending | JobState::Running => (1, 0),
                    JobState::Dead => (0, 1),
                    JobState::Done | JobState::Unrouted => continue,
                };
                let route = job.route.clone();
                let none = RouteDepth { route: route.clone(), open: 0, dead: 0 };
                let depth = routes.entry(route).or_insert(none);
                (depth.open, depth.dead) = (depth.open + open, depth.dead + dead);
            }
            Depth { routes: routes.into_values().collect(), oldest: disk.oldest() }
        })
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.trouble()
    }

    async fn close(&self) {
        self.life.end();
    }

    fn browse(&self) -> Option<&dyn Browse> {
        Some(self)
    }
}

#[async_trait]
impl Browse for SimStore {
    async fn list(
        &self,
        filter: &Filter,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<EventPage, StoreError> {
        self.read(|disk| {
            let before = after.map_or(u64::MAX, |Cursor(at)| u64::try_from(at).unwrap_or(0));
            let (mut page, mut last) = (EventPage::default(), None);
            for (place, row) in disk.rows.range(..before).rev() {
                if page.events.len() >= limit {
                    page.next = last;
                    break;
                }
                let summary = summary(row);
                let status = filter.status.is_none_or(|status| summary.status == status);
                if status && filter.matches(&summary) {
                    page.events.push(summary);
                }
                last = i64::try_from(*place).ok().map(Cursor);
            }
            page
        })
    }

    async fn show(&self, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        self.read(|disk| Some(detail(disk.rows.get(disk.places.get(&id)?)?)))
    }

    async fn find(&self, event_id: &str, limit: usize) -> Result<Vec<EventId>, StoreError> {
        self.read(|disk| {
            let rows = disk.rows.values().rev();
            let named = rows.filter(|row| row.event.event_id() == Some(event_id));
            named.take(limit).map(|row| row.event.id()).collect()
        })
    }

    async fn replay(&self, now: Timestamp, jobs: Vec<ReplayJob>) -> Result<usize, StoreError> {
        let made = expect!(self.ask(Work::Replay(now, jobs)).await?, Count)?;
        Ok(usize::try_from(made).unwrap_or(usize::MAX))
    }
}

fn summary(row: &Row) -> EventSummary {
    let mut jobs = JobCounts::default();
    row.jobs.iter().for_each(|job| jobs.add(job.state));
    EventSummary {
        id: row.event.id(),
        source: row.event.source().to_owned(),
        event_type: row.event.event_type().map(str::to_owned),
        event_id: row.event.event_id().map(str::to_owned),
        status: jobs.status(row.otherwise),
        received_at: row.event.received_at(),
        jobs,
    }
}

pub(crate) fn detail(row: &Row) -> EventDetail {
    let jobs = (0..).zip(&row.jobs).map(|(n, job)| JobDetail {
        n,
        route: job.route.to_string(),
        state: job.state,
        attempt: job.attempt,
        step: job.step.clone(),
        due: (job.state == JobState::Pending).then_some(job.due),
        reason: job.reason.clone(),
        attempts: job.attempts.clone(),
    });
    EventDetail {
        summary: summary(row),
        event: row.event.clone(),
        notes: row.notes.clone(),
        jobs: jobs.collect(),
        content_duplicates: row.content_duplicates.clone(),
    }
}
