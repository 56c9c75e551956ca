//! The real SQLite store beside the simulated one. In runs with it, every call that becomes durable is
//! made on a store in a file too, and both must agree: on what is new and what a duplicate, on which
//! leases are stale, on what is removed, and at the end on every stored event. Which jobs a claim
//! gets is decided by the real store, and the simulated one follows, so that the invariants check
//! the order in which the real store runs jobs.
//!
//! A crash copies the files of the store as a kill leaves them and opens the copy; a regular stop
//! closes the store. The canary is a crash that loses the log.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use hookward_core::store::{
    Acceptance, Browse, ClaimRequest, EventDetail, Job, JobId, JobOutcome, Lease, NewDelivery,
    OpenError, PurgeRequest, ReplayJob, RetentionState, Settled, StoreError,
};
use hookward_core::{EventId, Store, Timestamp};
use hookward_engine::STORE_POLICY;
use hookward_store_sqlite::SqliteStore;
use tempfile::TempDir;

/// Files of a store after a kill.
const ENDS: [&str; 3] = ["", "-wal", ".mark"];

/// The store of the run, and what it and the simulated store disagree on.
#[derive(Debug)]
pub(crate) struct RealStore {
    folder: TempDir,
    store: Option<SqliteStore>,
    /// Leases of the real store, by the leases of the simulated one.
    leases: HashMap<(JobId, u64), Lease>,
    /// A crash loses the log and the mark; a canary.
    loses_log: bool,
    pub(crate) disagreements: Vec<String>,
    /// Calls that both stores took.
    pub(crate) calls: u64,
    /// Times that it was opened.
    pub(crate) opens: u64,
}

impl RealStore {
    pub(crate) fn new(loses_log: bool) -> Self {
        Self {
            folder: memory_folder(),
            store: None,
            leases: HashMap::new(),
            loses_log,
            disagreements: Vec::new(),
            calls: 0,
            opens: 0,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("a.db")
    }

    /// Ends the process regularly.
    pub(crate) fn close(&mut self) {
        if let Some(store) = self.store.take() {
            block_on(store.close());
        }
    }

    /// Opens the store in a new process, after a kill unless it was closed.
    pub(crate) fn reopen(&mut self, now: Timestamp) {
        if let Some(killed) = self.store.take() {
            let next = memory_folder();
            for end in if self.loses_log { &ENDS[..1] } else { &ENDS[..] } {
                let name = format!("a.db{end}");
                let from = self.folder.path().join(&name);
                if from.exists() {
                    std::fs::copy(from, next.path().join(name)).expect("a copy");
                }
            }
            // Its thread ends in its own time, on files that nobody opens again.
            let last = std::mem::replace(&mut self.folder, next);
            drop(killed);
            drop(last);
        }
        self.leases.clear();
        self.opens += 1;
        let opened: Result<_, OpenError> =
            block_on(SqliteStore::open(self.path(), now, STORE_POLICY));
        match opened {
            Ok(store) => self.store = Some(store),
            Err(e) => self.disagreements.push(format!("it does not open again: {e}")),
        }
    }

    /// Calls the real store; an error is a disagreement, as the simulated store has none here.
    fn call<'s, T, F>(
        &'s mut self,
        what: &str,
        call: impl FnOnce(&'s SqliteStore) -> F,
    ) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>> + 's,
    {
        self.calls += 1;
        let store = self.store.as_ref()?;
        match block_on(call(store)) {
            Ok(answer) => Some(answer),
            Err(e) => {
                self.disagreements.push(format!("{what}: {e}"));
                None
            }
        }
    }

    fn compare(&mut self, what: &str, real: &dyn std::fmt::Debug, model: &dyn std::fmt::Debug) {
        let (real, model) = (format!("{real:?}"), format!("{model:?}"));
        if real != model {
            self.disagreements.push(format!("{what}: {real} and not {model}"));
        }
    }

    pub(crate) fn accept(&mut self, delivery: NewDelivery, model: &Acceptance) {
        if let Some(real) = self.call("accept", |store| store.accept(vec![delivery])) {
            self.compare("accept", &real, &[model]);
        }
    }

    /// Claims, and returns the jobs that the simulated store has to claim as well.
    pub(crate) fn claim(&mut self, want: &ClaimRequest) -> Vec<Job> {
        let want = want.clone();
        self.call("claim", |store| store.claim(want)).unwrap_or_default()
    }

    /// Compares a claimed job, and remembers which lease of the real store is which.
    pub(crate) fn claimed(&mut self, real: &Job, model: Option<&Job>) {
        let shown = |job: &Job| {
            let body = job.event.body().bytes().clone();
            (
                job.lease.job,
                job.route.clone(),
                job.attempt,
                job.crashes,
                job.cause,
                job.replay,
                job.step.clone(),
                body,
            )
        };
        let (real_shown, model_shown) = (Some(shown(real)), model.map(shown));
        self.compare("claim", &real_shown, &model_shown);
        if let Some(model) = model {
            self.leases.insert((model.lease.job, model.lease.token), real.lease);
        }
    }

    /// The real lease for one of the simulated store; one that never was for an unknown lease.
    fn real_lease(&self, lease: Lease) -> Lease {
        let known = self.leases.get(&(lease.job, lease.token)).copied();
        known.unwrap_or(Lease::new(lease.job, 1))
    }

    pub(crate) fn settle(&mut self, outcome: &JobOutcome, model: Settled) {
        let mut outcome = outcome.clone();
        outcome.lease = self.real_lease(outcome.lease);
        if let Some(real) = self.call("settle", |store| store.settle(vec![outcome])) {
            self.compare("settle", &real, &[model]);
        }
    }

    pub(crate) fn extend(&mut self, lease: Lease, until: Timestamp, model: Settled) {
        let lease = self.real_lease(lease);
        if let Some(real) = self.call("extend", |store| store.extend(vec![lease], until)) {
            self.compare("extend", &real, &[model]);
        }
    }

    pub(crate) fn replay(&mut self, now: Timestamp, job: ReplayJob, model: bool) {
        if let Some(real) = self.call("replay", |store| store.replay(now, vec![job])) {
            self.compare("replay", &real, &usize::from(model));
        }
    }

    pub(crate) fn save_retention_state(&mut self, state: RetentionState) {
        self.call("save_retention_state", |store| store.save_retention_state(state));
        if let Some(real) = self.call("retention_state", |store| store.retention_state()) {
            self.compare("retention_state", &real, &Some(state));
        }
    }

    pub(crate) fn purge(&mut self, mut what: PurgeRequest, model: u64) {
        // The simulated store keeps no keys of purged events.
        what.keep_keys = Default::default();
        if let Some(real) = self.call("purge", |store| store.purge(what)) {
            self.compare("purge", &real, &model);
        }
    }

    /// Compares a stored event with the simulated store's; `None` where that has removed it.
    pub(crate) fn compare_event(&mut self, id: EventId, model: Option<&EventDetail>) {
        let Some(real) = self.call("show", |store| store.show(id)) else { return };
        let shown = |detail: &EventDetail| {
            let jobs: Vec<_> = detail
                .jobs
                .iter()
                .map(|job| {
                    // Not how long an attempt took, which the simulated store does not record for
                    // one that it interrupted.
                    let attempts: Vec<_> = job
                        .attempts
                        .iter()
                        .map(|a| (a.attempt, a.step.clone(), a.outcome, a.cause, a.error.clone()))
                        .collect();
                    (job.n, job.route.clone(), job.state, job.attempt, attempts)
                })
                .collect();
            let body = detail.event.body().bytes().clone();
            let received_at = detail.summary.received_at;
            (detail.summary.status, received_at, body, jobs, detail.content_duplicates.len())
        };
        let (real, model) = (real.as_ref().map(shown), model.map(shown));
        self.compare("show", &real, &model);
    }
}

/// A folder in memory: a crash here is a kill, whose files do not depend on syncs.
fn memory_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// Waits on this thread, so that no simulated time passes meanwhile: with a task that waits, the
/// paused clock of the runtime would move to its next timer.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}
