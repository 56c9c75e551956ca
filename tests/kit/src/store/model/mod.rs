//! Compares a store with a small model of the contract over random sequences of calls. The model checks every
//! answer of the store, and a failing sequence is shrunk before it is reported. A store's tests call [`check`].
//!
//! Where the contract leaves the store a choice, such as which of several due jobs is claimed first, the model
//! follows the store; everywhere else it knows the one correct answer.

mod compare;
mod contract_model;
mod model_job;
mod runner;
mod step;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::Ordering;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

use super::Subject;
use runner::Runner;
use step::StepPreconditions;

/// The extent of a run of the model.
#[derive(Debug, Clone, Copy)]
pub struct ModelOptions {
    /// Number of sequences.
    pub cases: u32,
    /// Maximum number of steps in a sequence.
    pub steps: usize,
    /// Seed of the generator; the same seed makes the same sequences.
    pub seed: u64,
}

/// 100 sequences of up to 60 steps with a random seed. `HOOKWARD_MODEL_CASES` and `HOOKWARD_MODEL_SEED`
/// override number and seed.
impl Default for ModelOptions {
    fn default() -> Self {
        let cases = number("HOOKWARD_MODEL_CASES").and_then(|n| u32::try_from(n).ok());
        let seed = number("HOOKWARD_MODEL_SEED");
        let random_seed = || RandomState::new().hash_one("a seed");
        Self { cases: cases.unwrap_or(100), steps: 60, seed: seed.unwrap_or_else(random_seed) }
    }
}

#[allow(clippy::disallowed_methods, reason = "a setting of the test run")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Compares a store with the model. `subject` makes a new, empty store for each sequence. A
/// [`durable`](hookward_core::Store::durable) store is also closed and reopened within a sequence.
///
/// # Panics
///
/// With the shortest failing sequence and the difference at its end.
#[track_caller]
#[allow(clippy::panic, reason = "a suite reports by panicking")]
pub fn check<S: Subject + 'static>(subject: impl Fn() -> S) {
    if let Err(broken) = find(subject, ModelOptions::default()) {
        panic!("{broken}");
    }
}

/// Like [`check`], but returns the failure as text, for tests of the suite itself.
pub fn find<S: Subject + 'static>(
    subject: impl Fn() -> S,
    options: ModelOptions,
) -> Result<(), String> {
    let config = Config {
        cases: options.cases,
        rng_seed: RngSeed::Fixed(options.seed),
        failure_persistence: None,
        max_shrink_iters: 3_000,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("no runtime: {e}"))?;
    let steps = StepPreconditions::sequential_strategy(1..=options.steps);
    let result = TestRunner::new(config).run(&steps, |(_, steps, seen)| {
        let attempt = runtime.block_on(async {
            let mut runner = Runner::new(subject()).await;
            for step in &steps {
                // Marks the step as reached: only reached steps are shrunk.
                seen.iter().for_each(|seen| {
                    seen.fetch_add(1, Ordering::SeqCst);
                });
                runner.run_step(step).await?;
            }
            runner.finish().await
        });
        attempt.map_err(TestCaseError::fail)
    });
    match result {
        Ok(()) => Ok(()),
        Err(TestError::Abort(reason)) => Err(format!("the test runner gave up: {reason}")),
        Err(TestError::Fail(reason, (_, steps, _))) => {
            let lines = steps.iter().map(|step| format!("\n  {step:?}")).collect::<String>();
            let seed = options.seed;
            Err(format!("broken: {reason}\nby these steps (HOOKWARD_MODEL_SEED={seed}):{lines}"))
        }
    }
}
