//! When to try again. Pure: chance comes in as an argument.

use std::time::Duration;

use hookward_core::RetryDecision;

use crate::compiled::{Jitter, RetryPolicy};

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another attempt after this span.
    After(Duration),
    /// The dead letters.
    Dead,
}

/// Decides. `attempt` is the one that failed, from 1, without those that a crash ended; `chance` is drawn evenly from 0 to 1.
pub fn after_failure(
    policy: &RetryPolicy,
    attempt: u32,
    retry_decision: RetryDecision,
    chance: f64,
) -> Next {
    if retry_decision == RetryDecision::Fatal || attempt >= policy.attempts {
        return Next::Dead;
    }
    let bound = bound(policy, attempt);
    let drawn = match policy.jitter {
        Jitter::Full => bound.mul_f64(chance.clamp(0.0, 1.0)),
        Jitter::None => bound,
    };
    match retry_decision {
        // The receiver's word counts, up to the policy's cap; never sooner than it said.
        RetryDecision::RetryAfter(asked) => Next::After(asked.min(policy.max_delay).max(drawn)),
        _ => Next::After(drawn),
    }
}

/// The longest delay behind this attempt: `first_delay` times `factor` for each attempt before it.
fn bound(policy: &RetryPolicy, attempt: u32) -> Duration {
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

    fn secs(n: u64) -> Next {
        Next::After(Duration::from_secs(n))
    }

    #[test]
    fn delays_grow_to_their_cap_and_attempts_end() {
        assert_eq!(after_failure(&POLICY, 1, RetryDecision::Retry, 1.0), secs(2));
        assert_eq!(after_failure(&POLICY, 2, RetryDecision::Retry, 1.0), secs(4));
        assert_eq!(after_failure(&POLICY, 3, RetryDecision::Retry, 1.0), secs(5));
        assert_eq!(after_failure(&POLICY, 4, RetryDecision::Retry, 1.0), Next::Dead);
        assert_eq!(after_failure(&POLICY, 2, RetryDecision::Retry, 0.5), secs(2));
    }

    #[test]
    fn a_receivers_word_counts_up_to_the_cap() {
        let asked = |s| RetryDecision::RetryAfter(Duration::from_secs(s));
        assert_eq!(after_failure(&POLICY, 1, asked(3), 0.0), secs(3));
        assert_eq!(after_failure(&POLICY, 1, asked(9_999), 0.0), secs(5));
    }

    #[test]
    fn fatal_is_dead_at_once_and_no_policy_overflows() {
        assert_eq!(after_failure(&POLICY, 1, RetryDecision::Fatal, 1.0), Next::Dead);
        let wild = RetryPolicy { attempts: u32::MAX, factor: 1e300, ..POLICY };
        assert_eq!(after_failure(&wild, u32::MAX - 1, RetryDecision::Retry, 1.0), secs(5));
    }
}
