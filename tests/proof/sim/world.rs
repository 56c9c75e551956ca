//! What the parts of a simulation share: the disk, the clocks, the running process, and the
//! observations that the invariants are checked against.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookward_core::{Clock, Timestamp};
use hookward_engine::Engine;
use tokio::time::Instant;

use super::disk::Disk;
use super::handler::Ledger;
use super::scenario::SharedScenario;
use super::senders::Ack;
use super::store::{ProcessLifetime, lock};
use super::trace::trace;

thread_local! {
    static RUN_START: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
}

/// Starts the time of a run.
pub(crate) fn start_time() {
    RUN_START.set(Some(Instant::now()));
}

/// Returns the simulated time since the start of the run, which clock steps do not change.
pub(crate) fn elapsed_ms() -> u64 {
    let elapsed = RUN_START.get().map_or(Duration::ZERO, |start| start.elapsed());
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// Wall-clock time at the start of every run.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_760_000_000);

/// The server's clock: the true time plus an error in milliseconds, which the simulation sets.
#[derive(Debug, Default)]
pub(crate) struct SkewedClock(AtomicI64);

impl SkewedClock {
    pub(crate) fn set_error_ms(&self, ms: i64) {
        self.0.store(ms, Ordering::SeqCst);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(true_now().as_millis() + self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(elapsed_ms())
    }
}

/// Returns the true wall-clock time, which senders sign with.
pub(crate) fn true_now() -> Timestamp {
    START.plus(Duration::from_millis(elapsed_ms()))
}

/// Counters of what a run did, which show that the suite met what it is meant to test.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

pub(crate) struct World {
    pub(crate) disk: Arc<Mutex<Disk>>,
    pub(crate) scenario: SharedScenario,
    pub(crate) clock: Arc<SkewedClock>,
    /// The current process, `None` between two.
    pub(crate) process: Mutex<Option<(Arc<Engine>, Arc<ProcessLifetime>)>>,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) acks: Mutex<Vec<Ack>>,
    pub(crate) counts: Mutex<Counts>,
    /// Violations that were observed during the run.
    pub(crate) violations: Mutex<Vec<String>>,
    /// The faults have ended.
    pub(crate) faults_ended: AtomicBool,
}

impl World {
    pub(crate) fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    pub(crate) fn record_violation(&self, what: String) {
        trace!("VIOLATION {what}");
        lock(&self.violations).push(what);
    }

    /// Returns the engine while its process runs.
    pub(crate) fn running(&self) -> Option<(Arc<Engine>, Arc<ProcessLifetime>)> {
        lock(&self.process).clone().filter(|(_, lifetime)| !lifetime.has_ended())
    }
}
