//! Whether the wall clock can be trusted: one that was just set makes good requests look stale, or
//! stale ones good. Looked at by each request and by the worker.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hookward_core::{Clock, Timestamp};

use crate::telemetry;

/// A difference from the monotonic clock that no slow correction makes.
const STEP: Duration = Duration::from_secs(30);
/// So long after a step a signed time is not judged against the clock.
const SUSPECT: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct ClockStepDetector(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<(Timestamp, Duration)>,
    suspect_until: Option<Duration>,
}

impl ClockStepDetector {
    /// Reads both clocks; whether the wall clock was set within the last minute.
    pub(crate) fn suspect(&self, clock: &dyn Clock) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: readings that overtake each other would look like a step.
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        if let Some((last_wall, last_steady)) = state.last {
            let expected = last_wall.plus(monotonic.saturating_sub(last_steady));
            let off = wall.since(expected).max(expected.since(wall));
            if off > STEP {
                state.suspect_until = Some(monotonic + SUSPECT);
                telemetry::clock_set(off, wall > expected);
            }
        }
        state.last = Some((wall, monotonic));
        state.suspect_until.is_some_and(|until| monotonic < until)
    }
}

#[cfg(test)]
mod tests {
    use hookward_testkit::clock::FakeClock;

    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_clock_that_is_set_is_suspect_for_a_minute_and_one_that_runs_is_not() {
        let (clock, watch) =
            (FakeClock::at(Timestamp::from_secs(1_000)), ClockStepDetector::default());
        assert!(!watch.suspect(&clock));
        clock.advance(secs(86_400));
        assert!(!watch.suspect(&clock));
        clock.set(clock.now().plus(secs(20)));
        assert!(!watch.suspect(&clock), "a small correction");
        clock.set(clock.now().minus(secs(3600)));
        assert!(watch.suspect(&clock));
        clock.advance(secs(59));
        assert!(watch.suspect(&clock));
        clock.advance(secs(1));
        assert!(!watch.suspect(&clock));
    }
}
