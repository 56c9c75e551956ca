//! Circuit breakers: a step whose handler keeps failing gets no jobs for a while, so that the jobs
//! behind it keep their attempts and the receiver can recover. One breaker for each step of a
//! route.
//!
//! A closed breaker counts failures in a row. Enough of them over a long enough window open it: its
//! route gets no jobs until the cooldown is over. Then it is half open: one job goes through, whose
//! success closes the breaker and whose failure opens it for twice as long. The claim loop asks it
//! for free slots, each attempt records its result.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookward_core::Timestamp;

use crate::compiled::{BreakerPolicy, Route, Step};
use crate::telemetry;

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BreakerState {
    /// Every job.
    Closed,
    /// One job, whose result decides.
    HalfOpen,
    /// No job until this time.
    Open(Timestamp),
}

/// How a step ended, as far as its receiver's health is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepResult {
    /// The receiver answered: with success, or with a rejection of this very event.
    Answered,
    /// The receiver is down, overloaded or broken: an error worth a retry, a timeout, a panic.
    Failed,
}

/// One breaker. Pure: the present time is an argument.
#[derive(Debug, Clone, Copy, Default)]
struct Breaker {
    /// Failures in a row.
    failures: u32,
    /// When the first of them was.
    first_failure: Option<Timestamp>,
    /// When the breaker opened last, and its cooldown; `None` after a success.
    opened: Option<(Timestamp, Duration)>,
}

impl Breaker {
    fn state(&self, now: Timestamp) -> BreakerState {
        let Some((at, cooldown)) = self.opened else { return BreakerState::Closed };
        let until = at.plus(cooldown);
        // A clock that was set back, to before the breaker opened, must not prolong the cooldown.
        if now >= at && now < until { BreakerState::Open(until) } else { BreakerState::HalfOpen }
    }

    fn record(&mut self, result: StepResult, policy: &BreakerPolicy, now: Timestamp) {
        // One success is enough: the receiver is up again.
        if result == StepResult::Answered || policy.failures == 0 {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let first_failure = *self.first_failure.get_or_insert(now);
        match (self.state(now), self.opened) {
            // This job was running when the breaker opened, so its failure says nothing new.
            (BreakerState::Open(_), _) => {}
            // The job that was to decide has failed.
            (_, Some((_, cooldown))) => {
                let doubled = cooldown.saturating_mul(2);
                self.opened = Some((now, doubled.min(policy.max_cooldown).max(policy.cooldown)));
            }
            (_, None) => {
                // A burst of concurrent failures within a second is one incident, not a trend.
                let lasted = now.since(first_failure) >= policy.window;
                if self.failures >= policy.failures && lasted {
                    self.opened = Some((now, policy.cooldown));
                }
            }
        }
    }
}

/// The breakers of one route by step, as far as they have counted failures.
type RouteBreakers = HashMap<Arc<str>, Breaker>;

/// All breakers of a worker, by route and step. A breaker without failures is not stored.
#[derive(Debug, Default)]
pub(super) struct Breakers(Mutex<HashMap<Arc<str>, RouteBreakers>>);

impl Breakers {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, RouteBreakers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of a route's `free` slots may be filled now, while `used` are in use.
    pub(super) fn allowed_slots(
        &self,
        route: &Route,
        free: usize,
        used: usize,
        now: Timestamp,
    ) -> usize {
        match self.state(route, now) {
            BreakerState::Closed => free,
            // A running job may be the one that decides, so no second one is started beside it.
            BreakerState::HalfOpen => free.min(1_usize.saturating_sub(used)),
            BreakerState::Open(_) => 0,
        }
    }

    /// The most restrictive state among the breakers of a route's steps.
    fn state(&self, route: &Route, now: Timestamp) -> BreakerState {
        let all = self.lock();
        let Some(breakers) = all.get(&route.name) else { return BreakerState::Closed };
        let mut strictest = BreakerState::Closed;
        // By the chain in force: a breaker of a step that a reload removed has no say.
        for step in &route.chain {
            let state = breakers.get(&step.name).map_or(BreakerState::Closed, |b| b.state(now));
            strictest = match (strictest, state) {
                // A job runs through all steps, so it waits for the last of them.
                (BreakerState::Open(a), BreakerState::Open(b)) => BreakerState::Open(a.max(b)),
                (open @ BreakerState::Open(_), _) | (_, open @ BreakerState::Open(_)) => open,
                (BreakerState::HalfOpen, _) | (_, BreakerState::HalfOpen) => BreakerState::HalfOpen,
                (BreakerState::Closed, BreakerState::Closed) => BreakerState::Closed,
            };
        }
        strictest
    }

    /// Records how a step ended. Logs and publishes a breaker that opens or closes.
    pub(super) fn record(&self, route: &Route, step: &Step, result: StepResult, now: Timestamp) {
        let mut all = self.lock();
        let is_stored = all.get(&route.name).is_some_and(|steps| steps.contains_key(&step.name));
        // The common case: a success of a step that has not failed changes nothing.
        if !is_stored && result == StepResult::Answered {
            return;
        }
        let breakers = all.entry(route.name.clone()).or_default();
        let breaker = breakers.entry(step.name.clone()).or_default();
        let before = breaker.opened;
        breaker.record(result, &route.breaker, now);
        let after = *breaker;
        // A closed breaker without failures is the default, so the map holds failing steps only.
        if result == StepResult::Answered {
            breakers.remove(&step.name);
        }
        // Logging and metrics may block, and every attempt needs the lock.
        drop(all);
        if before != after.opened {
            match after.opened {
                Some((_, cooldown)) => {
                    telemetry::log_breaker_opened(
                        &route.name,
                        &step.name,
                        after.failures,
                        cooldown,
                    );
                }
                None => telemetry::log_breaker_closed(&route.name, &step.name),
            }
            publish_state(route, step, after.state(now));
        }
    }

    /// Publishes the state of each step's breaker, because a cooldown ends without an event.
    pub(super) fn publish_states(&self, route: &Route, now: Timestamp) {
        for step in &route.chain {
            let all = self.lock();
            let breaker = all.get(&route.name).and_then(|steps| steps.get(&step.name)).copied();
            drop(all);
            publish_state(route, step, breaker.unwrap_or_default().state(now));
        }
    }
}

fn publish_state(route: &Route, step: &Step, state: BreakerState) {
    let value = match state {
        BreakerState::Closed => 0.0,
        BreakerState::HalfOpen => 1.0,
        BreakerState::Open(_) => 2.0,
    };
    telemetry::set_breaker_state(&step.handler_name, &route.name, &step.name, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: BreakerPolicy = BreakerPolicy {
        failures: 3,
        window: Duration::from_secs(10),
        cooldown: Duration::from_secs(30),
        max_cooldown: Duration::from_secs(100),
    };

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn failing(times: &[i64]) -> Breaker {
        let mut breaker = Breaker::default();
        times.iter().for_each(|t| breaker.record(StepResult::Failed, &POLICY, at(*t)));
        breaker
    }

    #[test]
    fn a_breaker_opens_after_enough_failures_over_a_long_enough_window() {
        assert_eq!(failing(&[0, 1, 2, 3, 9]).state(at(9)), BreakerState::Closed);
        assert_eq!(failing(&[0, 10]).state(at(10)), BreakerState::Closed);
        assert_eq!(failing(&[0, 1, 10]).state(at(10)), BreakerState::Open(at(40)));
    }

    #[test]
    fn a_success_resets_the_failure_count() {
        let mut breaker = failing(&[0, 1]);
        breaker.record(StepResult::Answered, &POLICY, at(5));
        breaker.record(StepResult::Failed, &POLICY, at(20));
        assert_eq!(breaker.state(at(20)), BreakerState::Closed);
    }

    #[test]
    fn a_failure_while_half_open_doubles_the_cooldown_up_to_its_maximum() {
        let mut breaker = failing(&[0, 1, 10]);
        let mut now = 40;
        for cooldown in [60, 100, 100] {
            assert_eq!(breaker.state(at(now)), BreakerState::HalfOpen);
            breaker.record(StepResult::Failed, &POLICY, at(now));
            assert_eq!(breaker.state(at(now)), BreakerState::Open(at(now + cooldown)));
            now += cooldown;
        }
        breaker.record(StepResult::Answered, &POLICY, at(now));
        assert_eq!(breaker.state(at(now)), BreakerState::Closed);
    }

    #[test]
    fn a_failure_while_open_does_not_prolong_the_cooldown() {
        let mut breaker = failing(&[0, 1, 10]);
        breaker.record(StepResult::Failed, &POLICY, at(12));
        assert_eq!(breaker.state(at(12)), BreakerState::Open(at(40)));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_prolong_the_cooldown() {
        assert_eq!(failing(&[0, 1, 10]).state(at(-1000)), BreakerState::HalfOpen);
    }

    #[test]
    fn a_policy_of_zero_failures_never_opens_the_breaker() {
        let mut breaker = Breaker::default();
        let off = BreakerPolicy { failures: 0, ..POLICY };
        (0..100).for_each(|t| breaker.record(StepResult::Failed, &off, at(t)));
        assert_eq!(breaker.state(at(100)), BreakerState::Closed);
    }
}
