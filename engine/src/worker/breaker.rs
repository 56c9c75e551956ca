//! Circuit breakers: a step whose handler fails again and again is left alone for a while, so that the
//! jobs behind it keep their attempts and what it calls can recover. One for each step of a route.
//!
//! Closed, it counts failures in a row. After enough of them over a long enough span it opens: its
//! route gets no job until the pause is over. Then one job goes through; it closes the breaker, or
//! opens it for twice as long. Asked by the claim loop, told by each attempt.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookward_core::Timestamp;

use crate::compiled::{BreakerPolicy, Route, Step};
use crate::telemetry;

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Everything.
    Closed,
    /// One job, to find out.
    HalfOpen,
    /// Nothing, until then.
    Open(Timestamp),
}

/// How a step ended, as far as what it calls is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepResult {
    /// It answered: well, or with a refusal of this very event.
    Answered,
    /// It is down, overloaded or broken: an error worth a retry, a timeout, a panic.
    Failed,
}

/// One breaker. Pure: the present moment is an argument.
#[derive(Debug, Clone, Copy, Default)]
struct Breaker {
    /// Failures in a row, and when the first of them was.
    failures: u32,
    first: Option<Timestamp>,
    /// Since the last success: when it opened last, and for how long.
    opened: Option<(Timestamp, Duration)>,
}

impl Breaker {
    fn gate(&self, now: Timestamp) -> Gate {
        let Some((at, pause)) = self.opened else { return Gate::Closed };
        // By a clock that was set back, no pause lasts longer than it was meant to.
        if now >= at && now < at.plus(pause) { Gate::Open(at.plus(pause)) } else { Gate::HalfOpen }
    }

    fn tell(&mut self, ended: StepResult, policy: &BreakerPolicy, now: Timestamp) {
        if ended == StepResult::Answered || policy.failures == 0 {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let first = *self.first.get_or_insert(now);
        match (self.gate(now), self.opened) {
            // What was running when it opened says nothing new.
            (Gate::Open(_), _) => {}
            (_, Some((_, pause))) => {
                let longer = pause.saturating_mul(2).min(policy.max_cooldown).max(policy.cooldown);
                self.opened = Some((now, longer));
            }
            (_, None) if self.failures >= policy.failures && now.since(first) >= policy.window => {
                self.opened = Some((now, policy.cooldown));
            }
            (_, None) => {}
        }
    }
}

/// The breakers of a route that have counted anything, by step.
type Steps = HashMap<Arc<str>, Breaker>;

/// All breakers of a process, by route and step.
#[derive(Debug, Default)]
pub(crate) struct Breakers(Mutex<HashMap<Arc<str>, Steps>>);

impl Breakers {
    /// Of a route's free slots, so many may be filled now; `used` are filled already.
    pub(crate) fn allowed(&self, route: &Route, free: usize, used: usize, now: Timestamp) -> usize {
        match self.gate(route, now) {
            Gate::Closed => free,
            Gate::HalfOpen => free.min(1_usize.saturating_sub(used)),
            Gate::Open(_) => 0,
        }
    }

    /// The narrowest of a route's breakers.
    pub(crate) fn gate(&self, route: &Route, now: Timestamp) -> Gate {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(steps) = all.get(&route.name) else { return Gate::Closed };
        let mut narrowest = Gate::Closed;
        for step in &route.chain {
            let gate = steps.get(&step.name).map_or(Gate::Closed, |b| b.gate(now));
            narrowest = match (narrowest, gate) {
                (Gate::Open(a), Gate::Open(b)) => Gate::Open(a.max(b)),
                (open @ Gate::Open(_), _) | (_, open @ Gate::Open(_)) => open,
                (Gate::HalfOpen, _) | (_, Gate::HalfOpen) => Gate::HalfOpen,
                (Gate::Closed, Gate::Closed) => Gate::Closed,
            };
        }
        narrowest
    }

    /// A step ended.
    pub(crate) fn tell(&self, route: &Route, step: &Step, ended: StepResult, now: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(&route.name).is_some_and(|steps| steps.contains_key(&step.name));
        if !known && ended == StepResult::Answered {
            return;
        }
        let steps = all.entry(route.name.clone()).or_default();
        let breaker = steps.entry(step.name.clone()).or_default();
        let before = breaker.opened;
        breaker.tell(ended, &route.breaker, now);
        let after = *breaker;
        if ended == StepResult::Answered {
            steps.remove(&step.name);
        }
        drop(all);
        if before != after.opened {
            match after.opened {
                Some((_, pause)) => {
                    telemetry::breaker_opened(&route.name, &step.name, after.failures, pause);
                }
                None => telemetry::breaker_closed(&route.name, &step.name),
            }
            tell_state(route, step, after.gate(now));
        }
    }

    /// Tells the state of each step's breaker.
    pub(crate) fn tell_all(&self, route: &Route, now: Timestamp) {
        for step in &route.chain {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let breaker = all.get(&route.name).and_then(|steps| steps.get(&step.name)).copied();
            drop(all);
            tell_state(route, step, breaker.unwrap_or_default().gate(now));
        }
    }
}

fn tell_state(route: &Route, step: &Step, gate: Gate) {
    let state = match gate {
        Gate::Closed => 0.0,
        Gate::HalfOpen => 1.0,
        Gate::Open(_) => 2.0,
    };
    telemetry::breaker_state(&step.handler_name, &route.name, &step.name, state);
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
        times.iter().for_each(|t| breaker.tell(StepResult::Failed, &POLICY, at(*t)));
        breaker
    }

    #[test]
    fn it_opens_after_enough_failures_over_a_long_enough_span_and_not_before() {
        assert_eq!(failing(&[0, 1, 2, 3, 9]).gate(at(9)), Gate::Closed);
        assert_eq!(failing(&[0, 10]).gate(at(10)), Gate::Closed);
        assert_eq!(failing(&[0, 1, 10]).gate(at(10)), Gate::Open(at(40)));
    }

    #[test]
    fn a_success_in_between_begins_the_count_anew() {
        let mut breaker = failing(&[0, 1]);
        breaker.tell(StepResult::Answered, &POLICY, at(5));
        breaker.tell(StepResult::Failed, &POLICY, at(20));
        assert_eq!(breaker.gate(at(20)), Gate::Closed);
    }

    #[test]
    fn one_job_finds_out_and_each_further_pause_is_twice_as_long_up_to_its_bound() {
        let mut breaker = failing(&[0, 1, 10]);
        let mut now = 40;
        for pause in [60, 100, 100] {
            assert_eq!(breaker.gate(at(now)), Gate::HalfOpen);
            breaker.tell(StepResult::Failed, &POLICY, at(now));
            assert_eq!(breaker.gate(at(now)), Gate::Open(at(now + pause)));
            now += pause;
        }
        breaker.tell(StepResult::Answered, &POLICY, at(now));
        assert_eq!(breaker.gate(at(now)), Gate::Closed);
    }

    #[test]
    fn what_was_running_when_it_opened_does_not_make_the_pause_longer() {
        let mut breaker = failing(&[0, 1, 10]);
        breaker.tell(StepResult::Failed, &POLICY, at(12));
        assert_eq!(breaker.gate(at(12)), Gate::Open(at(40)));
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nothing_up() {
        assert_eq!(failing(&[0, 1, 10]).gate(at(-1000)), Gate::HalfOpen);
    }

    #[test]
    fn no_failures_allowed_means_no_breaker() {
        let mut breaker = Breaker::default();
        let off = BreakerPolicy { failures: 0, ..POLICY };
        (0..100).for_each(|t| breaker.tell(StepResult::Failed, &off, at(t)));
        assert_eq!(breaker.gate(at(100)), Gate::Closed);
    }
}
