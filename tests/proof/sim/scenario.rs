//! The scenario of a run, drawn from its seed: which faults the run has, how frequent they are, and
//! how much is sent. Each run has some kinds of faults and lacks others, so that one kind does not
//! always hide another.
//!
//! The order of the draws is part of a seed's meaning: a draw that is added, removed or moved makes
//! every known seed another run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::faults::CommitFault;

/// The scenario that applies now: faults end for all parts of a run at the same time.
pub(crate) type SharedScenario = Arc<Mutex<Scenario>>;

/// Probabilities lie between 0 and 1. An action's `Option` is its mean interval in seconds, `None`
/// where the run does not have it.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// Duration of the part of the run that has faults, in seconds.
    pub(crate) faulty_secs: u64,
    /// Number of distinct deliveries.
    pub(crate) deliveries: usize,
    max_commit_ms: u64,
    stalled_commit: f64,
    commit_not_applied: f64,
    error_after_apply: f64,
    store_failed: f64,
    store_panic: f64,
    crash_in_commit: f64,
    pub(crate) crashes: Option<u64>,
    pub(crate) restarts: Option<u64>,
    pub(crate) clock_steps: Option<u64>,
    /// Largest step of the server's clock, in seconds.
    pub(crate) max_clock_step: i64,
    pub(crate) reloads: Option<u64>,
    pub(crate) replays: Option<u64>,
    pub(crate) repetition: f64,
    pub(crate) forgery: f64,
    pub(crate) sender_gives_up: f64,
    pub(crate) handler: HandlerFaults,
    /// `retention` of events in seconds, which is also the dedupe window.
    pub(crate) retention_secs: u64,
}

/// Probabilities of what one run of a handler does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HandlerFaults {
    pub(crate) error: f64,
    pub(crate) fatal: f64,
    pub(crate) panic: f64,
    pub(crate) hang: f64,
    pub(crate) slow: f64,
    pub(crate) replace: f64,
}

/// Zero for half of the runs, and up to `max` for the others.
fn probability(max: f64) -> f64 {
    if fastrand::bool() { fastrand::f64() * max } else { 0.0 }
}

/// Absent from half of the runs.
fn interval(range: std::ops::Range<u64>) -> Option<u64> {
    fastrand::bool().then(|| fastrand::u64(range))
}

impl Scenario {
    /// Draws a scenario from the run's random numbers.
    pub(crate) fn draw() -> Self {
        let faulty_secs = if fastrand::u8(..10) == 0 { 3600 } else { fastrand::u64(60..900) };
        let max_clock_step = match fastrand::u8(..10) {
            0..5 => 90,
            5..8 => 2 * 3600,
            8 => 30 * 86_400,
            _ => 10 * 365 * 86_400,
        };
        Self {
            faulty_secs,
            deliveries: fastrand::usize(8..50),
            max_commit_ms: fastrand::u64(1..40),
            stalled_commit: probability(0.05),
            commit_not_applied: probability(0.1),
            error_after_apply: probability(0.1),
            store_failed: probability(0.003),
            store_panic: probability(0.05),
            crash_in_commit: probability(0.01),
            crashes: interval(20..400),
            restarts: interval(60..600),
            clock_steps: interval(30..300),
            max_clock_step,
            reloads: interval(20..300),
            replays: interval(20..300),
            repetition: probability(0.5),
            forgery: probability(0.3),
            sender_gives_up: probability(0.3),
            handler: HandlerFaults {
                error: probability(0.3),
                fatal: probability(0.1),
                panic: probability(0.1),
                hang: probability(0.1),
                slow: probability(0.4),
                replace: probability(0.4),
            },
            retention_secs: match fastrand::u8(..4) {
                0 => fastrand::u64(60..1800),
                _ => 7 * 86_400,
            },
        }
    }

    /// The scenario of a store that commits immediately and without faults.
    pub(crate) fn instant_commits(mut self) -> Self {
        self.max_commit_ms = 0;
        self.without_faults()
    }

    /// The same scenario after its faults have ended.
    pub(crate) fn without_faults(self) -> Self {
        let handler = HandlerFaults {
            error: 0.0,
            fatal: 0.0,
            panic: 0.0,
            hang: 0.0,
            slow: 0.0,
            replace: 0.0,
        };
        Self {
            stalled_commit: 0.0,
            commit_not_applied: 0.0,
            error_after_apply: 0.0,
            store_failed: 0.0,
            store_panic: 0.0,
            crash_in_commit: 0.0,
            handler,
            ..self
        }
    }

    /// Draws how long the next commit takes.
    pub(crate) fn commit_duration(&self) -> Duration {
        if self.max_commit_ms == 0 {
            return Duration::ZERO;
        }
        Duration::from_millis(match fastrand::f64() < self.stalled_commit {
            // Longer than a sender's request waits for a commit, and at times longer than a lease.
            true => fastrand::u64(1_500..45_000),
            false => fastrand::u64(0..=self.max_commit_ms),
        })
    }

    /// Draws the fault of the next commit.
    pub(crate) fn commit_fault(&self) -> CommitFault {
        let drawn = fastrand::f64();
        let mut sum = 0.0;
        let mut within = |probability: f64| {
            sum += probability;
            drawn < sum
        };
        if within(self.commit_not_applied) {
            if fastrand::bool() { CommitFault::NotApplied } else { CommitFault::DiskFull }
        } else if within(self.error_after_apply) {
            CommitFault::ErrorAfterApply
        } else if within(self.store_failed) {
            CommitFault::StoreFailed { applied: fastrand::bool() }
        } else if within(self.store_panic) {
            CommitFault::Panic { applied: fastrand::bool() }
        } else if within(self.crash_in_commit) {
            CommitFault::Crash
        } else {
            CommitFault::None
        }
    }
}
