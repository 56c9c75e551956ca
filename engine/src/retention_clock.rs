//! The clock used for retention and the dedupe window. The ingest pipeline asks it how far back a
//! repetition is a duplicate; the retention loop asks it which events have expired.
//!
//! A wall clock that is wrong would expire everything within a minute: events, dead letters, and the
//! keys by which repetitions are recognised. So this clock advances with the monotonic clock, over
//! restarts from where the store says that it was, and follows a wall clock that differs from it only
//! after a day. Until then the wall clock is *in doubt*, and either of the two may be right: ages are
//! counted from the earlier one, new events are stamped with the later one, and no dead letter is
//! removed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookward_core::store::RetentionState;
use hookward_core::{Clock, Timestamp};

/// A difference between wall and monotonic clock that is a step. Corrections by NTP are smaller.
const MIN_CLOCK_STEP: Duration = Duration::from_secs(30);
/// How long a wall clock must differ before it is followed. Also how far it may be ahead at a start,
/// where a process may have been stopped for that long.
const FOLLOW_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What the retention clock shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetentionTime {
    /// The time from which ages are counted: not later than either clock.
    pub(crate) now: Timestamp,
    /// The time that a new event gets where that is later than the wall clock; `None` where the wall
    /// clock is followed or ahead.
    pub(crate) later_stamp: Option<Timestamp>,
    /// How the wall clock differs, while it is in doubt.
    pub(crate) doubt: Option<Doubt>,
}

/// A difference between the wall clock and the retention clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The state of the store was not read yet.
    Unread,
    Ahead(Duration),
    Behind(Duration),
}

/// The retention clock of a process, shared by ingest and worker.
#[derive(Debug)]
pub(crate) struct RetentionClock {
    clock: Arc<dyn Clock>,
    /// `None` until the state of the store was read.
    reference: Mutex<Option<Reference>>,
}

impl RetentionClock {
    /// A clock that does not know the state of the store yet. Until [`Self::start`] no event is old,
    /// so that each repetition is a duplicate and nothing expires.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, reference: Mutex::new(None) }
    }

    /// Starts from the state that the store had saved. A wall clock that is behind it, or more than
    /// a day ahead of it, is in doubt. Without a state, in a new store, it is followed.
    pub(crate) fn start(&self, saved: Option<RetentionState>) {
        let mut reference = self.reference.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall, monotonic) = (self.clock.now(), self.clock.monotonic());
        // Only the first one counts: a later state was saved by this clock itself.
        reference.get_or_insert_with(|| Reference::start(wall, monotonic, saved));
    }

    /// Whether the state of the store was read.
    pub(crate) fn is_started(&self) -> bool {
        self.reference.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The present time and how the wall clock differs from it.
    pub(crate) fn read(&self) -> RetentionTime {
        let mut reference = self.reference.lock().unwrap_or_else(PoisonError::into_inner);
        // Both clocks are read under the lock: an older reading applied after a newer one would
        // look like a wall clock that was set back.
        let (wall, monotonic) = (self.clock.now(), self.clock.monotonic());
        match reference.as_mut() {
            Some(reference) => reference.advance(wall, monotonic),
            None => RetentionTime {
                now: Timestamp::from_millis(i64::MIN),
                later_stamp: None,
                doubt: Some(Doubt::Unread),
            },
        }
    }

    /// The state to save in the store; `None` before the start.
    pub(crate) fn state(&self) -> Option<RetentionState> {
        let reference = self.reference.lock().unwrap_or_else(PoisonError::into_inner);
        reference.as_ref().map(|reference| reference.state(self.clock.monotonic()))
    }
}

/// The pair of readings from which the retention time is extrapolated. Pure: both clocks are
/// arguments.
#[derive(Debug)]
struct Reference {
    /// The retention time at some moment, and the monotonic clock at the same moment.
    at: Timestamp,
    monotonic: Duration,
    /// When, by the monotonic clock, the wall clock was first seen to differ.
    in_doubt_since: Option<Duration>,
    /// For how long it was in doubt under former processes.
    in_doubt_before: Duration,
}

impl Reference {
    fn start(wall: Timestamp, monotonic: Duration, saved: Option<RetentionState>) -> Self {
        let (at, in_doubt_before) = match saved {
            Some(RetentionState { at, in_doubt_for, .. }) => {
                let is_stopped_time = wall >= at && wall.since(at) <= FOLLOW_AFTER;
                (if is_stopped_time { wall } else { at }, in_doubt_for)
            }
            None => (wall, Duration::ZERO),
        };
        Self { at, monotonic, in_doubt_since: None, in_doubt_before }
    }

    fn extrapolate(&self, monotonic: Duration) -> Timestamp {
        self.at.plus(monotonic.saturating_sub(self.monotonic))
    }

    fn in_doubt_for(&self, monotonic: Duration) -> Duration {
        let since = self.in_doubt_since.map(|since| monotonic.saturating_sub(since));
        self.in_doubt_before.saturating_add(since.unwrap_or_default())
    }

    fn advance(&mut self, wall: Timestamp, monotonic: Duration) -> RetentionTime {
        let extrapolated = self.extrapolate(monotonic);
        // Of these two, one is zero.
        let (ahead, behind) = (wall.since(extrapolated), extrapolated.since(wall));
        if ahead.max(behind) > MIN_CLOCK_STEP {
            self.in_doubt_since.get_or_insert(monotonic);
            if self.in_doubt_for(monotonic) < FOLLOW_AFTER {
                let is_ahead = ahead > behind;
                return RetentionTime {
                    now: wall.min(extrapolated),
                    later_stamp: (!is_ahead).then_some(extrapolated),
                    doubt: Some(if is_ahead { Doubt::Ahead(ahead) } else { Doubt::Behind(behind) }),
                };
            }
        }
        // The wall clock runs normally, was corrected by a little, or has differed for a day.
        *self = Self { at: wall, monotonic, in_doubt_since: None, in_doubt_before: Duration::ZERO };
        RetentionTime { now: wall, later_stamp: None, doubt: None }
    }

    fn state(&self, monotonic: Duration) -> RetentionState {
        RetentionState::new(self.extrapolate(monotonic), self.in_doubt_for(monotonic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_760_000_000);
    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn started(saved: Option<Timestamp>) -> Reference {
        let saved = saved.map(|at| RetentionState::new(at, Duration::ZERO));
        Reference::start(START, Duration::ZERO, saved)
    }

    fn followed(now: Timestamp) -> RetentionTime {
        RetentionTime { now, later_stamp: None, doubt: None }
    }

    fn ahead(now: Timestamp, by: Duration) -> RetentionTime {
        RetentionTime { now, later_stamp: None, doubt: Some(Doubt::Ahead(by)) }
    }

    fn behind(now: Timestamp, by: Duration) -> RetentionTime {
        let doubt = Some(Doubt::Behind(by));
        RetentionTime { now, later_stamp: Some(now.plus(by)), doubt }
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
    fn a_wall_clock_that_steps_is_followed_after_a_day() {
        let step = DAY * 60;
        let (mut forward, mut back) = (started(None), started(None));
        for hour in 1..=24 {
            let monotonic = HOUR * hour;
            let now = START.plus(monotonic);
            assert_eq!(forward.advance(now.plus(step), monotonic), ahead(now, step));
            assert_eq!(back.advance(now.minus(step), monotonic), behind(now.minus(step), step));
        }
        for (mut reference, wall) in
            [(forward, START.plus(HOUR * 25).plus(step)), (back, START.plus(HOUR * 25).minus(step))]
        {
            assert_eq!(reference.advance(wall, HOUR * 25), followed(wall));
        }
    }

    #[test]
    fn a_wall_clock_that_is_corrected_within_a_day_leaves_no_trace() {
        for wrong in [START.plus(HOUR * 900), START.minus(HOUR * 900)] {
            let mut reference = started(None);
            assert!(reference.advance(wrong, HOUR).doubt.is_some());
            let corrected = START.plus(HOUR * 2);
            assert_eq!(reference.advance(corrected, HOUR * 2), followed(corrected));
            // The next doubt lasts a day again.
            assert!(reference.advance(wrong, HOUR * 3).doubt.is_some());
            assert!(reference.advance(wrong, HOUR * 26).doubt.is_some());
        }
    }

    #[test]
    fn a_wall_clock_far_from_the_saved_time_is_in_doubt_at_the_start() {
        let mut stopped = started(Some(START.minus(DAY)));
        assert_eq!(stopped.advance(START, Duration::ZERO), followed(START), "stopped for a day");
        let saved = START.minus(DAY * 60);
        let mut reference = started(Some(saved));
        assert_eq!(reference.advance(START, Duration::ZERO), ahead(saved, DAY * 60));
        let saved = START.plus(DAY * 60);
        let mut reference = started(Some(saved));
        assert_eq!(reference.advance(START, Duration::ZERO), behind(START, DAY * 60));
        assert_eq!(reference.advance(saved, Duration::ZERO), followed(saved));
    }

    #[test]
    fn the_day_of_doubt_is_counted_over_restarts() {
        let mut state = RetentionState::new(START, Duration::ZERO);
        let wall = START.plus(DAY * 60);
        for restart in 0..3 {
            let mut reference = Reference::start(wall, HOUR, Some(state));
            assert!(reference.advance(wall, HOUR).doubt.is_some(), "restart {restart}");
            let later = wall.plus(HOUR * 8);
            let time = reference.advance(later, HOUR * 9);
            assert_eq!(time.doubt.is_none(), restart == 2, "restart {restart}");
            state = reference.state(HOUR * 9);
        }
        assert_eq!(state, RetentionState::new(wall.plus(HOUR * 8), Duration::ZERO));
    }

    #[test]
    fn nothing_is_old_before_the_state_of_the_store_is_read() {
        let clock = RetentionClock::new(Arc::new(hookward_testkit::clock::FakeClock::at(START)));
        assert_eq!(clock.read().now.minus(DAY), Timestamp::from_millis(i64::MIN));
        assert_eq!((clock.read().doubt, clock.state()), (Some(Doubt::Unread), None));
        clock.start(None);
        assert_eq!(clock.read(), followed(START));
        assert_eq!(clock.state(), Some(RetentionState::new(START, Duration::ZERO)));
    }
}
