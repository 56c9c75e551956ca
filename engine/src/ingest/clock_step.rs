//! Detects steps of the wall clock. A clock that was just set makes genuine requests look stale, or
//! stale ones fresh, so signed times are not judged against it for a minute.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hookward_core::{Clock, Timestamp};

use crate::telemetry;

/// A difference between wall and monotonic clock that is a step: NTP's slow corrections are
/// smaller.
const MIN_CLOCK_STEP: Duration = Duration::from_secs(30);
/// How long after a step the wall clock counts as just set.
const STEP_MEMORY: Duration = Duration::from_secs(60);

/// Remembers the last reading of both clocks and the last step between two readings.
#[derive(Debug, Default)]
pub(crate) struct ClockStepDetector(Mutex<Readings>);

#[derive(Debug, Default)]
struct Readings {
    /// The last reading of the wall clock and of the monotonic clock.
    last: Option<(Timestamp, Duration)>,
    /// The end of [`STEP_MEMORY`] after the last step, by the monotonic clock.
    recent_until: Option<Duration>,
}

impl ClockStepDetector {
    /// Reads both clocks, and logs and remembers a step since the last reading.
    pub(crate) fn observe(&self, clock: &dyn Clock) {
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: readings that overtake each other would look like a step.
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        if let Some((last_wall, last_monotonic)) = readings.last {
            let expected = last_wall.plus(monotonic.saturating_sub(last_monotonic));
            let step = wall.since(expected).max(expected.since(wall));
            if step > MIN_CLOCK_STEP {
                readings.recent_until = Some(monotonic + STEP_MEMORY);
                telemetry::log_clock_step(step, wall > expected);
            }
        }
        readings.last = Some((wall, monotonic));
    }

    /// Whether the last observed step was less than a minute ago.
    pub(crate) fn stepped_recently(&self, clock: &dyn Clock) -> bool {
        let readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readings.recent_until.is_some_and(|until| clock.monotonic() < until)
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
    fn a_step_of_the_wall_clock_is_recent_for_a_minute() {
        let (clock, detector) =
            (FakeClock::at(Timestamp::from_secs(1_000)), ClockStepDetector::default());
        let stepped = || {
            detector.observe(&clock);
            detector.stepped_recently(&clock)
        };
        assert!(!stepped());
        clock.advance(secs(86_400));
        assert!(!stepped(), "time that passes is not a step");
        clock.set(clock.now().plus(secs(20)));
        assert!(!stepped(), "a small correction is not a step");
        clock.set(clock.now().minus(secs(3600)));
        assert!(stepped());
        clock.advance(secs(59));
        assert!(stepped());
        clock.advance(secs(1));
        assert!(!stepped());
    }
}
