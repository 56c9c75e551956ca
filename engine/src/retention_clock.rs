//! By which clock things are forgotten. A wall clock that jumps ahead would have everything purged
//! within a minute: dead letters, and the keys by which repetitions are known. So time goes on here as
//! the monotonic clock says, and the wall clock is believed when it has said the same for a day. Asked by
//! accepting, which repetitions are known, and by the purge.

use std::time::Duration;

use hookward_core::Timestamp;

/// Corrections of a clock that is kept right are smaller.
const STEP: Duration = Duration::from_secs(30);
/// How long a clock that is ahead must run before it is believed; how far behind the present the
/// newest event of a store may lie before a clock at the start counts as ahead.
const BELIEVED: Duration = Duration::from_secs(24 * 3600);

/// The moment before which things are old.
#[derive(Debug)]
pub(crate) struct RetentionClock {
    /// What the wall clock said when it was last believed, and the monotonic clock then.
    line: (Timestamp, Duration),
    /// Since when the wall clock is ahead of it.
    ahead_since: Option<Duration>,
}

impl RetentionClock {
    /// At the start there is no former reading: the newest event is when the clock was last known.
    pub(crate) fn new(wall: Timestamp, monotonic: Duration, newest: Option<Timestamp>) -> Self {
        let believed = newest.map_or(wall, |newest| wall.min(newest.plus(BELIEVED)));
        Self { line: (believed, monotonic), ahead_since: None }
    }

    /// Now, for what is to be forgotten; and how far the wall clock is ahead of that.
    pub(crate) fn now(&mut self, wall: Timestamp, monotonic: Duration) -> (Timestamp, Duration) {
        let line = self.line.0.plus(monotonic.saturating_sub(self.line.1));
        let ahead = wall.since(line);
        if ahead > STEP {
            let since = *self.ahead_since.get_or_insert(monotonic);
            if monotonic.saturating_sub(since) < BELIEVED {
                return (line, ahead);
            }
        }
        // It runs as it should, was corrected, was set back, or has been ahead for long.
        *self = Self { line: (wall, monotonic), ahead_since: None };
        (wall, Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_760_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn horizon(newest: Option<Timestamp>) -> RetentionClock {
        RetentionClock::new(START, Duration::ZERO, newest)
    }

    #[test]
    fn time_that_passes_is_believed_and_so_are_small_corrections() {
        let mut horizon = horizon(None);
        for hour in 1..100 {
            let wall = START.plus(HOUR * hour).plus(Duration::from_secs(20) * hour);
            assert_eq!(horizon.now(wall, HOUR * hour), (wall, Duration::ZERO));
        }
    }

    #[test]
    fn a_clock_that_jumps_ahead_is_believed_after_a_day() {
        let mut horizon = horizon(None);
        let jump = HOUR * 24 * 31;
        for hour in 1..=24 {
            let monotonic = HOUR * hour;
            let (now, ahead) = horizon.now(START.plus(monotonic).plus(jump), monotonic);
            assert_eq!((now, ahead), (START.plus(monotonic), jump));
        }
        let (monotonic, wall) = (HOUR * 25, START.plus(HOUR * 25).plus(jump));
        assert_eq!(horizon.now(wall, monotonic), (wall, Duration::ZERO));
    }

    #[test]
    fn a_clock_that_is_set_right_again_counts_at_once() {
        let mut horizon = horizon(None);
        assert_eq!(horizon.now(START.plus(HOUR * 900), HOUR).0, START.plus(HOUR));
        assert_eq!(horizon.now(START.plus(HOUR * 2), HOUR * 2).0, START.plus(HOUR * 2));
        let back = START.minus(HOUR * 50);
        assert_eq!(horizon.now(back, HOUR * 3), (back, Duration::ZERO));
    }

    #[test]
    fn a_clock_far_from_the_newest_event_at_the_start_is_not_believed_at_once() {
        let newest = START.minus(HOUR * 24 * 365);
        let mut horizon = horizon(Some(newest));
        assert_eq!(horizon.now(START, Duration::ZERO).0, newest.plus(BELIEVED));
        assert_eq!(horizon.now(START.plus(HOUR * 24), HOUR * 24).0, START.plus(HOUR * 24));
        let mut recent = RetentionClock::new(START, Duration::ZERO, Some(START.minus(HOUR)));
        assert_eq!(recent.now(START, Duration::ZERO), (START, Duration::ZERO));
    }
}
