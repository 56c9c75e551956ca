//! Time: [`Timestamp`], the point in time that all crates use, and [`Clock`], where they get it
//! from. This file is the only one that reads the system clock.

use std::fmt;
use std::time::Duration;

/// A point in time in milliseconds since 1970-01-01T00:00:00Z, the resolution in which stores write
/// it. Prints as RFC 3339 in UTC.
///
/// ```
/// use std::time::Duration;
///
/// use hookward_core::Timestamp;
///
/// let signed_at = Timestamp::from_secs(1_760_000_000);
/// assert_eq!(signed_at.to_string(), "2025-10-09T08:53:20Z");
/// assert_eq!(Timestamp::parse_rfc3339("2025-10-09T10:53:20+02:00"), Some(signed_at));
///
/// let now = signed_at.plus(Duration::from_millis(1500));
/// assert_eq!(now.since(signed_at), Duration::from_millis(1500));
/// assert_eq!(signed_at.since(now), Duration::ZERO, "never negative");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time this many milliseconds after the Unix epoch; negative values lie before it.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The time this many seconds after the Unix epoch; saturates at the ends of the range.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// The milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Parses RFC 3339, such as `2026-11-23T13:00:00Z`, with any offset; drops what is finer than a
    /// millisecond. `None` where the text is anything else.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_millisecond()))
    }

    /// Parses a date, such as `2026-12-31`, as the end of that day in UTC. `None` where the text is
    /// not a date.
    pub fn parse_end_of_date(text: &str) -> Option<Self> {
        let next = text.parse::<jiff::civil::Date>().ok()?.tomorrow().ok()?;
        let midnight = jiff::tz::TimeZone::UTC.to_timestamp(next.at(0, 0, 0, 0)).ok()?;
        Some(Self(midnight.as_millisecond()))
    }

    /// The time that is later by `span`; saturates at the end of the range.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time that is earlier by `span`; saturates at the start of the range.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The span from `earlier` until this time; zero where `earlier` is the later one.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// RFC 3339 in UTC, with three digits of milliseconds unless they are zero. Part of the on-disk
/// format of attempts.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) if self.0.rem_euclid(1000) == 0 => write!(f, "{t:.0}"),
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A source of time. The engine gets one when it is made, so that tests and simulations can bring
/// their own.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The current time by the wall clock, which an operator or NTP may set at any time.
    fn now(&self) -> Timestamp;

    /// A reading that advances with time and never goes back. Only differences between two readings
    /// are meaningful. By default it follows [`now`](Self::now), which suits test clocks that are
    /// never set back; a real clock overrides it.
    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::default())
    }
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_as_rfc_3339_and_reads_back() {
        let t = Timestamp::from_secs(1_760_000_000);
        assert_eq!(t.to_string(), "2025-10-09T08:53:20Z");
        assert_eq!(Timestamp::parse_rfc3339("2025-10-09T08:53:20Z"), Some(t));
        assert_eq!(
            Timestamp::from_millis(1_760_000_000_007).to_string(),
            "2025-10-09T08:53:20.007Z"
        );
    }

    #[test]
    fn a_date_is_the_end_of_its_day_in_utc() {
        let end = Timestamp::parse_end_of_date("2026-12-31").unwrap();
        assert_eq!(end.to_string(), "2027-01-01T00:00:00Z");
        assert_eq!(Timestamp::parse_end_of_date("2026-13-01"), None);
    }
}
