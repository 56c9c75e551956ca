//! Decides when a failed job is tried again. Pure: chance is an argument.

use std::time::Duration;

use hookward_core::RetryDecision;

use crate::compiled::{Jitter, RetryPolicy};

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterFailure {
    /// Another attempt after this delay.
    RetryAfter(Duration),
    /// The job becomes a dead letter.
    Dead,
}

/// Decides what follows a failed attempt. `attempt` is its number, counted from 1 and without
/// attempts that ended in a crash; `chance` is drawn evenly between 0 and 1.
pub(super) fn after_failure(
    policy: &RetryPolicy,
    attempt: u32,
    decision: RetryDecision,
    chance: f64,
) -> AfterFailure {
    if decision == RetryDecision::Fatal || attempt >= policy.attempts {
        return AfterFailure::Dead;
    }
    let max = max_delay(policy, attempt);
    let drawn = match policy.jitter {
        // Full jitter spreads the retries of a receiver's outage evenly over the whole delay.
        Jitter::Full => max.mul_f64(chance.clamp(0.0, 1.0)),
        Jitter::None => max,
    };
    match decision {
        // The receiver's Retry-After counts up to the policy's cap. Where jitter drew a longer
        // delay, that one counts: a retry is never sooner than the receiver asked.
        RetryDecision::RetryAfter(asked) => {
            AfterFailure::RetryAfter(asked.min(policy.max_delay).max(drawn))
        }
        _ => AfterFailure::RetryAfter(drawn),
    }
}

/// The longest delay after this attempt: `first_delay`, multiplied by `factor` for each earlier
/// attempt, up to `max_delay`. The power may exceed what a float can hold.
fn max_delay(policy: &RetryPolicy, attempt: u32) -> Duration {
    let power = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    let secs = policy.first_delay.as_secs_f64() * policy.factor.powi(power);
    let max = policy.max_delay.as_secs_f64();
    Duration::from_secs_f64(if secs.is_finite() { secs.min(max) } else { max })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 4,
        first_delay: Duration::from_secs(2),
        factor: 2.0,
        max_delay: Duration::from_secs(5),
        jitter: Jitter::Full,
    };

    fn secs(n: u64) -> AfterFailure {
        AfterFailure::RetryAfter(Duration::from_secs(n))
    }

    #[test]
    fn delays_grow_to_their_cap_and_the_last_attempt_is_dead() {
        assert_eq!(after_failure(&POLICY, 1, RetryDecision::Retry, 1.0), secs(2));
        assert_eq!(after_failure(&POLICY, 2, RetryDecision::Retry, 1.0), secs(4));
        assert_eq!(after_failure(&POLICY, 3, RetryDecision::Retry, 1.0), secs(5));
        assert_eq!(after_failure(&POLICY, 4, RetryDecision::Retry, 1.0), AfterFailure::Dead);
        assert_eq!(after_failure(&POLICY, 2, RetryDecision::Retry, 0.5), secs(2));
    }

    #[test]
    fn a_receivers_retry_after_counts_up_to_the_cap() {
        let asked = |s| RetryDecision::RetryAfter(Duration::from_secs(s));
        assert_eq!(after_failure(&POLICY, 1, asked(3), 0.0), secs(3));
        assert_eq!(after_failure(&POLICY, 1, asked(9_999), 0.0), secs(5));
    }

    #[test]
    fn a_fatal_failure_is_dead_immediately_and_no_policy_overflows() {
        assert_eq!(after_failure(&POLICY, 1, RetryDecision::Fatal, 1.0), AfterFailure::Dead);
        let wild = RetryPolicy { attempts: u32::MAX, factor: 1e300, ..POLICY };
        assert_eq!(after_failure(&wild, u32::MAX - 1, RetryDecision::Retry, 1.0), secs(5));
    }
}
