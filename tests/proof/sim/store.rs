//! The simulated store, as one process sees it. Calls queue and share group commits; a commit takes
//! time, and may fail before or after it takes effect, or panic. A crash loses the queued calls and
//! leaves the disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::store::{
    Acceptance, Browse, ClaimRequest, EventDetail, EventFilter, EventPage, EventSummary, Job,
    JobCounts, JobDetail, JobOutcome, JobState, Lease, NewDelivery, PageCursor, PurgeRequest,
    QueueDepth, ReplayJob, RetentionState, RouteDepth, Settled, StoreError,
};
use hookward_core::{EventId, Store, Timestamp};
use tokio::sync::{Notify, mpsc, oneshot};

use super::disk::{DedupeOwners, Disk, Flaw};
use super::faults::CommitFault;
use super::rows::EventRow;
use super::scenario::SharedScenario;
use super::trace::trace;

/// Calls that share one group commit, at most.
const MAX_BATCH_CALLS: usize = 16;

/// The lifetime of one process: whether it has ended, and whether its store has failed.
#[derive(Debug)]
pub(crate) struct ProcessLifetime {
    has_ended: AtomicBool,
    /// Wakes waiters in the order in which they began to wait. A `watch` channel wakes them in an
    /// order that does not follow from the seed.
    end: Notify,
    store_failed: AtomicBool,
}

impl ProcessLifetime {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            has_ended: AtomicBool::new(false),
            end: Notify::new(),
            store_failed: AtomicBool::new(false),
        })
    }

    /// Ends the process, by a crash or a stop.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        self.end.notify_waiters();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    /// Waits until the process has ended.
    pub(crate) async fn ended(&self) {
        let woken = self.end.notified();
        // A `Notified` counts from its creation, so an end between these two lines is not missed.
        if !self.has_ended() {
            woken.await;
        }
    }
}

/// A call that writes.
#[derive(Debug)]
enum Write {
    Accept(Vec<(NewDelivery, Option<DedupeOwners>)>),
    Claim(ClaimRequest),
    Settle(Vec<JobOutcome>),
    Extend(Vec<Lease>, Timestamp),
    Purge(PurgeRequest),
    Replay(Timestamp, Vec<ReplayJob>),
    SaveRetentionState(RetentionState),
}

#[derive(Debug)]
enum Answer {
    Accepted(Vec<Acceptance>),
    Jobs(Vec<Job>),
    Settled(Vec<Settled>),
    Count(u64),
}

type AnswerSender = oneshot::Sender<Result<Answer, StoreError>>;

#[derive(Debug)]
pub(crate) struct SimStore {
    disk: Arc<Mutex<Disk>>,
    lifetime: Arc<ProcessLifetime>,
    queue: mpsc::UnboundedSender<(Write, AnswerSender)>,
}

/// Locks a mutex even if a scripted panic has poisoned it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimStore {
    /// Opens the disk as the store of a new process.
    pub(crate) fn open(
        disk: Arc<Mutex<Disk>>,
        lifetime: Arc<ProcessLifetime>,
        scenario: SharedScenario,
    ) -> Self {
        lock(&disk).reopen();
        let (queue, calls) = mpsc::unbounded_channel();
        tokio::spawn(commit_batches(disk.clone(), lifetime.clone(), scenario, calls));
        Self { disk, lifetime, queue }
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        if self.lifetime.has_ended() {
            return Err(StoreError::Closed);
        }
        match self.lifetime.store_failed.load(Ordering::SeqCst) {
            true => Err(StoreError::Failed("a sync failed".to_owned())),
            false => Ok(()),
        }
    }

    async fn write(&self, write: Write) -> Result<Answer, StoreError> {
        self.check_usable()?;
        let (sender, answer) = oneshot::channel();
        self.queue.send((write, sender)).map_err(|_| StoreError::Closed)?;
        // The sender is dropped without an answer if the process died, or if this call is to panic.
        answer.await.unwrap_or_else(|_| match self.lifetime.has_ended() {
            true => Err(StoreError::Closed),
            false => panic!("{}", super::SCRIPTED_PANIC),
        })
    }

    fn read<T>(&self, query: impl FnOnce(&Disk) -> T) -> Result<T, StoreError> {
        self.check_usable()?;
        Ok(query(&lock(&self.disk)))
    }
}

/// Commits queued calls in batches until the process ends.
async fn commit_batches(
    disk: Arc<Mutex<Disk>>,
    lifetime: Arc<ProcessLifetime>,
    scenario: SharedScenario,
    mut calls: mpsc::UnboundedReceiver<(Write, AnswerSender)>,
) {
    let mut batch = Vec::new();
    while calls.recv_many(&mut batch, MAX_BATCH_CALLS).await > 0 {
        let takes = lock(&scenario).commit_duration();
        if takes > Duration::ZERO {
            tokio::time::sleep(takes).await;
        }
        // The process died during the commit: nothing of it is durable, and its callers get no
        // answer.
        if lifetime.has_ended() {
            return;
        }
        let fault = lock(&scenario).commit_fault();
        if let CommitFault::StoreFailed { .. } = fault {
            lifetime.store_failed.store(true, Ordering::SeqCst);
        }
        if fault != CommitFault::None {
            trace!("fault {fault:?} of {} calls", batch.len());
        }
        let (writes, senders): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
        let answers: Vec<_> = match fault.takes_effect() {
            true => writes.into_iter().map(|w| Some(apply(&mut lock(&disk), w))).collect(),
            false => writes.iter().map(|_| None).collect(),
        };
        match fault {
            CommitFault::Crash => return lifetime.end(),
            CommitFault::Panic { .. } => {
                lock(&disk).panics += 1;
                continue;
            }
            _ => {}
        }
        for (sender, answer) in senders.into_iter().zip(answers) {
            let _ = sender.send(match (fault.error(), answer) {
                (None, Some(answer)) => Ok(answer),
                (error, _) => Err(error.unwrap_or(StoreError::Closed)),
            });
        }
    }
}

fn apply(disk: &mut Disk, write: Write) -> Answer {
    match write {
        Write::Accept(deliveries) => {
            let answers = deliveries.into_iter().map(|(new, owners)| {
                let answer = disk.accept(&new, owners);
                if let Some(real) = &mut disk.real {
                    real.accept(new, &answer);
                }
                answer
            });
            let answers: Vec<_> = answers.collect();
            trace!("accept {answers:?}");
            Answer::Accepted(answers)
        }
        Write::Claim(want) => {
            let jobs = disk.claim(&want);
            if !jobs.is_empty() {
                let jobs: Vec<_> = jobs.iter().map(|j| (j.lease, j.attempt, &j.cause)).collect();
                trace!("claim {jobs:?}");
            }
            Answer::Jobs(jobs)
        }
        Write::Settle(outcomes) => {
            let settle = |outcome| {
                let answer = disk.settle(outcome);
                if let Some(real) = &mut disk.real {
                    real.settle(outcome, answer);
                }
                answer
            };
            let answers: Vec<_> = outcomes.iter().map(settle).collect();
            trace!("settle {outcomes:?} {answers:?}");
            Answer::Settled(answers)
        }
        Write::Extend(leases, until) => {
            let extend = |lease: &Lease| {
                let answer = disk.extend(*lease, until);
                if let Some(real) = &mut disk.real {
                    real.extend(*lease, until, answer);
                }
                answer
            };
            let answers: Vec<_> = leases.iter().map(extend).collect();
            trace!("extend {leases:?} {answers:?}");
            Answer::Settled(answers)
        }
        Write::Purge(what) => {
            let removed = disk.purge(what.clone());
            if let Some(real) = &mut disk.real {
                real.purge(what, removed);
            }
            if removed > 0 {
                trace!("purge {removed}");
            }
            Answer::Count(removed)
        }
        Write::SaveRetentionState(state) => {
            disk.retention_state = Some(state);
            if let Some(real) = &mut disk.real {
                real.save_retention_state(state);
            }
            Answer::Count(1)
        }
        Write::Replay(now, jobs) => {
            let mut replay = |job: &ReplayJob| {
                let answer = disk.replay(now, job);
                if let Some(real) = &mut disk.real {
                    real.replay(now, job.clone(), answer);
                }
                answer
            };
            let replayed = jobs.iter().filter(|job| replay(job)).count();
            trace!("replay {jobs:?} {replayed}");
            Answer::Count(replayed as u64)
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
        let owners = |new: &NewDelivery| match flaw {
            Flaw::DedupeOutside => self.read(|disk| Some(disk.dedupe_owners(new))).ok().flatten(),
            _ => None,
        };
        let early: Option<Vec<_>> = match flaw {
            Flaw::AckEarly => Some(self.read(|d| deliveries.iter().map(|n| d.peek(n)).collect())?),
            _ => None,
        };
        let looked_up = deliveries.iter().map(owners).collect::<Vec<_>>();
        let write = Write::Accept(deliveries.into_iter().zip(looked_up).collect());
        if let Some(early) = early {
            let (sender, _) = oneshot::channel();
            self.queue.send((write, sender)).map_err(|_| StoreError::Closed)?;
            return Ok(early);
        }
        expect!(self.write(write).await?, Accepted)
    }

    async fn claim(&self, want: ClaimRequest) -> Result<Vec<Job>, StoreError> {
        expect!(self.write(Write::Claim(want)).await?, Jobs)
    }

    async fn settle(&self, outcomes: Vec<JobOutcome>) -> Result<Vec<Settled>, StoreError> {
        expect!(self.write(Write::Settle(outcomes)).await?, Settled)
    }

    async fn extend(
        &self,
        leases: Vec<Lease>,
        until: Timestamp,
    ) -> Result<Vec<Settled>, StoreError> {
        expect!(self.write(Write::Extend(leases, until)).await?, Settled)
    }

    async fn purge(&self, what: PurgeRequest) -> Result<u64, StoreError> {
        expect!(self.write(Write::Purge(what)).await?, Count)
    }

    async fn retention_state(&self) -> Result<Option<RetentionState>, StoreError> {
        self.read(|disk| disk.retention_state)
    }

    async fn save_retention_state(&self, state: RetentionState) -> Result<(), StoreError> {
        expect!(self.write(Write::SaveRetentionState(state)).await?, Count).map(drop)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(Disk::next_due)
    }

    async fn depth(&self) -> Result<QueueDepth, StoreError> {
        self.read(|disk| {
            let mut routes: BTreeMap<Arc<str>, RouteDepth> = BTreeMap::new();
            for job in disk.rows.values().flat_map(|row| &row.jobs) {
                let (open, dead) = match job.state {
                    JobState::Pending | JobState::Running => (1, 0),
                    JobState::Dead => (0, 1),
                    JobState::Done | JobState::Unrouted => continue,
                };
                let route = job.route.clone();
                let none = RouteDepth::new(route.clone(), 0, 0);
                let depth = routes.entry(route).or_insert(none);
                (depth.open, depth.dead) = (depth.open + open, depth.dead + dead);
            }
            QueueDepth::new(routes.into_values().collect(), disk.oldest_pending())
        })
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.check_usable()
    }

    async fn close(&self) {
        self.lifetime.end();
        if let Some(real) = &mut lock(&self.disk).real {
            real.close();
        }
    }

    fn browse(&self) -> Option<&dyn Browse> {
        Some(self)
    }
}

#[async_trait]
impl Browse for SimStore {
    async fn list(
        &self,
        filter: &EventFilter,
        limit: usize,
        after: Option<PageCursor>,
    ) -> Result<EventPage, StoreError> {
        self.read(|disk| {
            let before = after.map_or(u64::MAX, |PageCursor(at)| u64::try_from(at).unwrap_or(0));
            let (mut page, mut last) = (EventPage::default(), None);
            for (position, row) in disk.rows.range(..before).rev() {
                if page.events.len() >= limit {
                    page.next = last;
                    break;
                }
                let summary = summary(row);
                let status = filter.status.is_none_or(|status| summary.status == status);
                if status && filter.matches(&summary) {
                    page.events.push(summary);
                }
                last = i64::try_from(*position).ok().map(PageCursor);
            }
            page
        })
    }

    async fn show(&self, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        self.read(|disk| Some(detail(disk.rows.get(disk.positions.get(&id)?)?)))
    }

    async fn find(&self, event_id: &str, limit: usize) -> Result<Vec<EventId>, StoreError> {
        self.read(|disk| {
            let rows = disk.rows.values().rev();
            let named = rows.filter(|row| row.event.event_id() == Some(event_id));
            named.take(limit).map(|row| row.event.id()).collect()
        })
    }

    async fn replay(&self, now: Timestamp, jobs: Vec<ReplayJob>) -> Result<usize, StoreError> {
        let replayed = expect!(self.write(Write::Replay(now, jobs)).await?, Count)?;
        Ok(usize::try_from(replayed).unwrap_or(usize::MAX))
    }
}

fn summary(row: &EventRow) -> EventSummary {
    let mut jobs = JobCounts::default();
    row.jobs.iter().for_each(|job| jobs.add(job.state));
    EventSummary::new(
        row.event.id(),
        row.event.source().to_owned(),
        jobs.status(row.status_without_jobs),
        row.event.received_at(),
    )
    .with_event_type(row.event.event_type().map(str::to_owned))
    .with_event_id(row.event.event_id().map(str::to_owned))
    .with_jobs(jobs)
}

/// Builds the detail view that the store returns and that the invariants read.
pub(crate) fn detail(row: &EventRow) -> EventDetail {
    let jobs = (0..).zip(&row.jobs).map(|(n, job)| {
        JobDetail::new(n, job.route.to_string(), job.state)
            .with_attempt(job.attempt)
            .with_step(job.step.clone())
            .with_due((job.state == JobState::Pending).then_some(job.due))
            .with_reason(job.reason.clone())
            .with_attempts(job.attempts.clone())
    });
    EventDetail::new(summary(row), row.event.clone())
        .with_notes(row.notes.clone())
        .with_jobs(jobs.collect())
        .with_content_duplicates(row.content_duplicates.clone())
}
