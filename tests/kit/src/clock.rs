//! A clock that a test sets, for tolerances, windows, rates and due times without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hookward_core::{Clock, Timestamp};

/// A clock that stands still until a test moves it. Clones share one time.
#[derive(Debug, Clone)]
pub struct FakeClock(Arc<Readings>);

#[derive(Debug)]
struct Readings {
    wall: AtomicI64,
    monotonic: AtomicI64,
}

impl FakeClock {
    /// A clock that shows `now` until it is moved.
    pub fn at(now: Timestamp) -> Self {
        let millis = now.as_millis();
        Self(Arc::new(Readings { wall: AtomicI64::new(millis), monotonic: AtomicI64::new(millis) }))
    }

    /// Lets time pass: moves the wall clock and the monotonic clock.
    pub fn advance(&self, span: Duration) {
        self.set(self.now().plus(span));
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        self.0.monotonic.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets the wall clock, also backwards. The monotonic clock stays.
    pub fn set(&self, now: Timestamp) {
        self.0.wall.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.wall.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.monotonic.load(Ordering::SeqCst)).unwrap_or(0))
    }
}
