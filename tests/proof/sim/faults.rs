//! What a seed brings: which troubles there are in its run, and how many. Each run has some and not
//! others, so that one does not always hide another.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hookward_core::store::StoreError;

/// The weather as it is now.
pub(crate) type Sky = Arc<Mutex<Weather>>;

/// What befalls one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It did not take effect, and says so.
    Before,
    /// There is no room.
    Full,
    /// It took effect, and says that it did not.
    After,
    /// The store can no longer be trusted.
    Poison {
        took_effect: bool,
    },
    /// All who wait for it panic.
    Panic {
        took_effect: bool,
    },
    /// It took effect, and the process died before anyone heard.
    Crash,
}

impl Fault {
    pub(crate) fn takes_effect(self) -> bool {
        match self {
            Self::None | Self::After | Self::Crash => true,
            Self::Before | Self::Full => false,
            Self::Poison { took_effect } | Self::Panic { took_effect } => took_effect,
        }
    }

    pub(crate) fn error(self) -> Option<StoreError> {
        match self {
            Self::None | Self::Crash | Self::Panic { .. } => None,
            Self::Before => Some(StoreError::Unavailable("it did not take effect".to_owned())),
            Self::Full => Some(StoreError::Full("no room".to_owned())),
            Self::After => Some(StoreError::Unavailable("nobody knows".to_owned())),
            Self::Poison { .. } => Some(StoreError::Failed("a sync failed".to_owned())),
        }
    }
}

/// Chances are shares of 1; the spans of actions are means.
#[derive(Debug, Clone)]
pub(crate) struct Weather {
    /// The troubled part of the run, in seconds.
    pub(crate) span: u64,
    pub(crate) letters: usize,
    commit_ms: u64,
    stall: f64,
    before: f64,
    after: f64,
    poison: f64,
    panic: f64,
    crash_in_commit: f64,
    pub(crate) crashes: Option<u64>,
    pub(crate) restarts: Option<u64>,
    pub(crate) clock: Option<u64>,
    /// How far the clock goes wrong, in seconds, at most.
    pub(crate) clock_step: i64,
    pub(crate) reloads: Option<u64>,
    pub(crate) replays: Option<u64>,
    pub(crate) repeats: f64,
    pub(crate) forgeries: f64,
    pub(crate) gives_up: f64,
    pub(crate) hands: Hands,
    /// `retention` of events, in seconds: also the dedupe window.
    pub(crate) keep: u64,
}

/// How handlers behave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hands {
    pub(crate) fail: f64,
    pub(crate) fatal: f64,
    pub(crate) panic: f64,
    pub(crate) hang: f64,
    pub(crate) slow: f64,
    pub(crate) replace: f64,
}

fn share(most: f64) -> f64 {
    if fastrand::bool() { fastrand::f64() * most } else { 0.0 }
}

fn sometimes(range: std::ops::Range<u64>) -> Option<u64> {
    fastrand::bool().then(|| fastrand::u64(range))
}

impl Weather {
    /// Draws one.
    pub(crate) fn draw() -> Self {
        let span = if fastrand::u8(..10) == 0 { 3600 } else { fastrand::u64(60..900) };
        let clock_step = match fastrand::u8(..10) {
            0..5 => 90,
            5..8 => 2 * 3600,
            8 => 30 * 86_400,
            _ => 10 * 365 * 86_400,
        };
        Self {
            span,
            letters: fastrand::usize(8..50),
            commit_ms: fastrand::u64(1..40),
            stall: share(0.05),
            before: share(0.1),
            after: share(0.1),
            poison: share(0.003),
            panic: share(0.05),
            crash_in_commit: share(0.01),
            crashes: sometimes(20..400),
            restarts: sometimes(60..600),
            clock: sometimes(30..300),
            clock_step,
            reloads: sometimes(20..300),
            replays: sometimes(20..300),
            repeats: share(0.5),
            forgeries: share(0.3),
            gives_up: share(0.3),
            hands: Hands {
                fail: share(0.3),
                fatal: share(0.1),
                panic: share(0.1),
                hang: share(0.1),
                slow: share(0.4),
                replace: share(0.4),
            },
            keep: if fastrand::u8(..4) == 0 { fastrand::u64(60..1800) } else { 7 * 86_400 },
        }
    }

    /// A store that does as it is asked, at once.
    pub(crate) fn still(mut self) -> Self {
        self.commit_ms = 0;
        self.calm()
    }

    /// No more trouble.
    pub(crate) fn calm(self) -> Self {
        let hands = Hands { fail: 0.0, fatal: 0.0, panic: 0.0, hang: 0.0, slow: 0.0, replace: 0.0 };
        let (stall, before, after, poison, panic, crash_in_commit) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        Self { stall, before, after, poison, panic, crash_in_commit, hands, ..self }
    }

    pub(crate) fn commit_takes(&self) -> Duration {
        if self.commit_ms == 0 {
            return Duration::ZERO;
        }
        Duration::from_millis(match fastrand::f64() < self.stall {
            // Beyond the time that a sender waits, and beyond a lease.
            true => fastrand::u64(1_500..45_000),
            false => fastrand::u64(0..=self.commit_ms),
        })
    }

    pub(crate) fn fault(&self) -> Fault {
        let drawn = fastrand::f64();
        let mut up_to = 0.0;
        let mut within = |share: f64| {
            up_to += share;
            drawn < up_to
        };
        if within(self.before) {
            if fastrand::bool() { Fault::Before } else { Fault::Full }
        } else if within(self.after) {
            Fault::After
        } else if within(self.poison) {
            Fault::Poison { took_effect: fastrand::bool() }
        } else if within(self.panic) {
            Fault::Panic { took_effect: fastrand::bool() }
        } else if within(self.crash_in_commit) {
            Fault::Crash
        } else {
            Fault::None
        }
    }
}
