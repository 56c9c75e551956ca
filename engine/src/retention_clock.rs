//! The clock used for retention and the dedupe window. The ingest pipeline asks it how far back a
//! repetition is a duplicate; the retention loop asks it which events have expired.
//!
//! A wall clock that jumps ahead would expire everything within a minute: events, dead letters, and
//! the keys by which repetitions are recognised. So this clock advances with the monotonic clock,
//! and follows a wall clock that is ahead only after it has been ahead for a day.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookward_core::{Clock, Timestamp};

/// A difference between wall and monotonic clock that is a step. Corrections by NTP are smaller.
const MIN_CLOCK_STEP: Duration = Duration::from_secs(30);
/// How long a wall clock must be ahead before it is followed. Also how far the newest stored event
/// may lie behind the wall clock at the start before that clock counts as ahead.
const FOLLOW_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What the retention clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetentionTime {
    /// The time from which ages are counted.
    pub(crate) now: Timestamp,
    /// How far the wall clock is ahead of that; zero while it is followed.
    pub(crate) wall_clock_ahead: Duration,
}

/// The retention clock of a process, shared by ingest and worker.
#[derive(Debug)]
pub(crate) struct RetentionClock {
    clock: Arc<dyn Clock>,
    reference: Mutex<Reference>,
}

impl RetentionClock {
    /// Starts at the wall clock's time.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let reference = Mutex::new(Reference::start(clock.now(), clock.monotonic(), None));
        Self { clock, reference }
    }

    /// The present time and how far the wall clock is ahead of it.
    pub(crate) fn read(&self) -> RetentionTime {
        let mut reference = self.reference.lock().unwrap_or_else(PoisonError::into_inner);
        // Both clocks are read under the lock: an older reading applied after a newer one would
        // look like a wall clock that was set back, which is followed immediately.
        reference.advance(self.clock.now(), self.clock.monotonic())
    }

    /// Starts again from the newest event of the store: the last proof of what time it was before
    /// this process started. A wall clock more than a day ahead of it is not followed yet.
    pub(crate) fn restart_from_newest_event(&self, received_at: Timestamp) {
        let (wall, monotonic) = (self.clock.now(), self.clock.monotonic());
        *self.reference.lock().unwrap_or_else(PoisonError::into_inner) =
            Reference::start(wall, monotonic, Some(received_at));
    }
}

/// The pair of readings from which the retention time is extrapolated. Pure: both clocks are
/// arguments.
#[derive(Debug)]
struct Reference {
    /// The wall clock when it was last followed, and the monotonic clock at the same time.
    wall: Timestamp,
    monotonic: Duration,
    /// When, by the monotonic clock, the wall clock was first seen ahead.
    ahead_since: Option<Duration>,
}

impl Reference {
    fn start(wall: Timestamp, monotonic: Duration, newest_event: Option<Timestamp>) -> Self {
        let wall = newest_event.map_or(wall, |newest| wall.min(newest.plus(FOLLOW_AFTER)));
        Self { wall, monotonic, ahead_since: None }
    }

    fn advance(&mut self, wall: Timestamp, monotonic: Duration) -> RetentionTime {
        let extrapolated = self.wall.plus(monotonic.saturating_sub(self.monotonic));
        let ahead = wall.since(extrapolated);
        if ahead > MIN_CLOCK_STEP {
            let since = *self.ahead_since.get_or_insert(monotonic);
            if monotonic.saturating_sub(since) < FOLLOW_AFTER {
                return RetentionTime { now: extrapolated, wall_clock_ahead: ahead };
            }
        }
        // The wall clock runs normally, was corrected by a little, was set back (which expires
        // nothing early), or has been ahead for a day.
        *self = Self { wall, monotonic, ahead_since: None };
        RetentionTime { now: wall, wall_clock_ahead: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_760_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn started(newest_event: Option<Timestamp>) -> Reference {
        Reference::start(START, Duration::ZERO, newest_event)
    }

    fn followed(now: Timestamp) -> RetentionTime {
        RetentionTime { now, wall_clock_ahead: Duration::ZERO }
    }

    #[test]
    fn a_wall_clock_with_small_corrections_is_followed() {
        let mut reference = started(None);
        for hour in 1..100 {
            let wall = START.plus(HOUR * hour).plus(Duration::from_secs(20) * hour);
            assert_eq!(reference.advance(wall, HOUR * hour), followed(wall));
        }
    }

    #[test]
    fn a_wall_clock_that_jumps_ahead_is_followed_after_a_day() {
        let mut reference = started(None);
        let jump = HOUR * 24 * 31;
        for hour in 1..=24 {
            let monotonic = HOUR * hour;
            let now = START.plus(monotonic);
            let time = reference.advance(now.plus(jump), monotonic);
            assert_eq!(time, RetentionTime { now, wall_clock_ahead: jump });
        }
        let (monotonic, wall) = (HOUR * 25, START.plus(HOUR * 25).plus(jump));
        assert_eq!(reference.advance(wall, monotonic), followed(wall));
    }

    #[test]
    fn a_wall_clock_that_is_corrected_or_set_back_is_followed_immediately() {
        let mut reference = started(None);
        assert_eq!(reference.advance(START.plus(HOUR * 900), HOUR).now, START.plus(HOUR));
        let corrected = START.plus(HOUR * 2);
        assert_eq!(reference.advance(corrected, HOUR * 2), followed(corrected));
        let back = START.minus(HOUR * 50);
        assert_eq!(reference.advance(back, HOUR * 3), followed(back));
    }

    #[test]
    fn a_wall_clock_far_ahead_of_the_newest_stored_event_is_not_followed_at_the_start() {
        let newest = START.minus(HOUR * 24 * 365);
        let mut reference = started(Some(newest));
        assert_eq!(reference.advance(START, Duration::ZERO).now, newest.plus(FOLLOW_AFTER));
        let a_day_later = START.plus(HOUR * 24);
        assert_eq!(reference.advance(a_day_later, HOUR * 24), followed(a_day_later));
        let mut recent = started(Some(START.minus(HOUR)));
        assert_eq!(recent.advance(START, Duration::ZERO), followed(START));
    }
}
