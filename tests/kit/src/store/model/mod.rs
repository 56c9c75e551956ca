//! Any order of calls: a store and a small model of the contract, side by side. Sequences of
//! steps are made up at random; the model judges every answer of the store, and a sequence at which
//! it objects is shortened before it is told. A store's own tests call [`check`].
//!
//! The model follows the store where the contract leaves it free, such as in which of several due
//! jobs leaves first, and knows the one right answer everywhere else.

mod books;
mod compare;
mod drive;
mod job;
mod step;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::Ordering;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

use super::Subject;
use drive::Drive;
use step::Plot;

/// How much is tried, and from which chance.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Sequences.
    pub cases: u32,
    /// Steps in a sequence, at most.
    pub steps: usize,
    /// The same seed makes the same sequences.
    pub seed: u64,
}

/// What a run of the tests tries: 100 sequences of up to 60 steps, other ones each time;
/// `HOOKWARD_MODEL_CASES` and `HOOKWARD_MODEL_SEED` say otherwise.
impl Default for Extent {
    fn default() -> Self {
        let cases = number("HOOKWARD_MODEL_CASES").and_then(|n| u32::try_from(n).ok());
        let seed = number("HOOKWARD_MODEL_SEED");
        let chance = || RandomState::new().hash_one("a seed");
        Self { cases: cases.unwrap_or(100), steps: 60, seed: seed.unwrap_or_else(chance) }
    }
}

#[allow(clippy::disallowed_methods, reason = "a knob for whoever runs the tests")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Tries a store against the model. `subject` is asked for a new, empty store for each sequence; one
/// that says it is [`durable`](hookward_core::Store::durable) is also closed and opened again midway.
///
/// # Panics
///
/// With the shortest sequence found, and what was wrong at its end.
#[track_caller]
#[allow(clippy::panic, reason = "a suite speaks by panicking")]
pub fn check<S: Subject + 'static>(subject: impl Fn() -> S) {
    if let Err(broken) = find(subject, Extent::default()) {
        panic!("{broken}");
    }
}

/// The same, and returns what [`check`] panics with; for tests of the suite itself.
pub fn find<S: Subject + 'static>(subject: impl Fn() -> S, extent: Extent) -> Result<(), String> {
    let config = Config {
        cases: extent.cases,
        rng_seed: RngSeed::Fixed(extent.seed),
        failure_persistence: None,
        max_shrink_iters: 3_000,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("no runtime: {e}"))?;
    let steps = Plot::sequential_strategy(1..=extent.steps);
    let ran = TestRunner::new(config).run(&steps, |(_, steps, seen)| {
        let tried = runtime.block_on(async {
            let mut drive = Drive::new(subject()).await;
            for step in &steps {
                // Only steps that were reached are worth shortening.
                seen.iter().for_each(|seen| {
                    seen.fetch_add(1, Ordering::SeqCst);
                });
                drive.step(step).await?;
            }
            drive.end().await
        });
        tried.map_err(TestCaseError::fail)
    });
    match ran {
        Ok(()) => Ok(()),
        Err(TestError::Abort(reason)) => Err(format!("the suite gave up: {reason}")),
        Err(TestError::Fail(reason, (_, steps, _))) => {
            let lines = steps.iter().map(|step| format!("\n  {step:?}")).collect::<String>();
            let seed = extent.seed;
            Err(format!("broken: {reason}\nby these steps (HOOKWARD_MODEL_SEED={seed}):{lines}"))
        }
    }
}
