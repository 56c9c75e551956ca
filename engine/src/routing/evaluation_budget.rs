//! What the conditions of one delivery may cost.
//!
//! Conditions are the operator's and the bytes that they read are the sender's, so that the cost of
//! both together is known to neither: a recursive schema takes exponential time for a small body. A
//! budget bounds it, wherever a condition reads the delivery.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// The most steps for the conditions of one delivery, over all its events and all routes. A step is
/// one read of a value of the body, eight bytes of text, or one instruction of a `when` expression.
/// Measured: up to 0.3 s. A batch of 10,000 events of 50 members that 5 routes look at takes half.
const MAX_STEPS: u64 = 4_000_000;
/// The most steps that run on the thread of a request: about a millisecond.
const MAX_INLINE_STEPS: u64 = 20_000;
/// How long the conditions of one delivery may take on their own thread.
pub(crate) const MAX_EVALUATION_TIME: Duration = Duration::from_secs(2);
/// The number of steps between two reads of the clock.
const STEPS_PER_CLOCK_READ: u64 = 4096;

/// What is left for the conditions of one delivery, or of one stored event that is replayed or
/// explained.
#[derive(Debug)]
pub struct EvaluationBudget {
    steps_left: Cell<u64>,
    /// Steps until the clock is read again.
    clock_read_in: Cell<u64>,
    deadline: Instant,
}

/// The budget is spent: the result of the evaluation is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its conditions cost more than one delivery may take; simplify `schema` or `when`")]
pub struct BudgetSpent;

impl Default for EvaluationBudget {
    /// The whole budget of one delivery.
    fn default() -> Self {
        Self::with_steps(MAX_STEPS)
    }
}

impl EvaluationBudget {
    /// A budget that is small enough for the thread of a request.
    pub(crate) fn inline() -> Self {
        Self::with_steps(MAX_INLINE_STEPS)
    }

    /// A budget of this number of steps, and of two seconds from now.
    pub(crate) fn with_steps(steps: u64) -> Self {
        Self {
            steps_left: Cell::new(steps),
            clock_read_in: Cell::new(STEPS_PER_CLOCK_READ),
            deadline: Instant::now() + MAX_EVALUATION_TIME,
        }
    }

    /// Takes steps. Returns whether there were enough; where not, the budget is spent.
    pub(crate) fn charge(&self, steps: u64) -> bool {
        let Some(left) = self.steps_left.get().checked_sub(steps) else {
            self.steps_left.set(0);
            return false;
        };
        self.steps_left.set(left);
        match self.clock_read_in.get().checked_sub(steps) {
            Some(steps) => self.clock_read_in.set(steps),
            None => {
                self.clock_read_in.set(STEPS_PER_CLOCK_READ);
                if Instant::now() > self.deadline {
                    self.steps_left.set(0);
                }
            }
        }
        !self.is_spent()
    }

    /// Takes the steps for reading a text of `bytes` bytes. Reads the clock: what is done with a
    /// text, such as a format that compiles it as a regular expression, may take long.
    pub(crate) fn charge_text(&self, bytes: usize) -> bool {
        const BYTES_PER_STEP: usize = 8;
        self.clock_read_in.set(0);
        self.charge(1 + u64::try_from(bytes / BYTES_PER_STEP).unwrap_or(u64::MAX))
    }

    /// Whether nothing is left.
    pub(crate) fn is_spent(&self) -> bool {
        self.steps_left.get() == 0
    }

    /// The steps that are left.
    pub(crate) fn steps_left(&self) -> u64 {
        self.steps_left.get()
    }

    /// An error where nothing is left, so that what was evaluated with it is not believed.
    pub(crate) fn check(&self) -> Result<(), BudgetSpent> {
        if self.is_spent() { Err(BudgetSpent) } else { Ok(()) }
    }

    /// Runs something with at most `steps` of what is left; they are taken from this budget, too.
    pub(crate) fn run_limited<T>(&self, steps: u64, run: impl FnOnce(&Self) -> T) -> T {
        let granted = steps.min(self.steps_left.get());
        let limited = Self {
            steps_left: Cell::new(granted),
            clock_read_in: Cell::new(self.clock_read_in.get()),
            deadline: self.deadline,
        };
        let result = run(&limited);
        self.charge(granted - limited.steps_left.get().min(granted));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_by_its_steps_or_by_its_time() {
        let budget = EvaluationBudget::with_steps(3);
        assert!(budget.charge(2));
        assert!(!budget.charge(2), "more than is left");
        assert_eq!(budget.check(), Err(BudgetSpent));
        let late = EvaluationBudget {
            deadline: Instant::now() - Duration::from_secs(1),
            ..EvaluationBudget::default()
        };
        assert!(late.charge(1), "the clock is not read each time");
        assert!(!late.charge(STEPS_PER_CLOCK_READ));
        assert!(late.is_spent());
    }

    #[test]
    fn a_limited_run_takes_its_steps_from_the_whole() {
        let budget = EvaluationBudget::with_steps(100);
        assert!(budget.run_limited(10, |limited| limited.charge(4)));
        assert_eq!(budget.steps_left(), 96);
        assert!(!budget.run_limited(10, |limited| limited.charge(11)));
        assert_eq!(budget.steps_left(), 86, "a spent limit does not spend the whole");
    }
}
