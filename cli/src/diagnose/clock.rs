//! Explains a correct signature with a wrong time: how far it is off, and what the difference suggests.

use std::time::Duration;

use hookward_core::{HumanDuration, Timestamp, VerifyError};

use super::Trial;

const HOUR: u64 = 3600;
/// A larger difference suggests a wrong unit rather than a wrong clock.
const WRONG_UNIT_THRESHOLD: Duration = Duration::from_secs(10 * 365 * 24 * HOUR);

/// The explanation, if only the time is wrong.
pub(super) fn explain(trial: &Trial<'_>, error: &VerifyError) -> Option<String> {
    let (at, difference, tolerance, is_past) = match error {
        VerifyError::TimestampTooOld { age, tolerance } => {
            (trial.now.minus(*age), *age, *tolerance, true)
        }
        VerifyError::TimestampInFuture { ahead, tolerance } => {
            (trial.now.plus(*ahead), *ahead, *tolerance, false)
        }
        _ => return None,
    };
    if let Some(text) = explain_wrong_unit(trial.now, at, is_past) {
        return Some(text);
    }
    let side = if is_past { "before" } else { "after" };
    let mut text = format!(
        "The signature is right, but it was made for {at}, {} {side} the time of verification ({}); {} is tolerated.",
        describe_duration(difference),
        trial.now,
        describe_duration(tolerance)
    );
    if let Some(hours) = whole_hours(difference) {
        text.push_str(&format!(" That is {hours} to the minute: one of the two clocks shows local time as if it were UTC."));
    } else if is_past {
        text.push_str(" If this is an old capture, pass the time at which it was received with --at. If it is fresh, the clock of this machine or of the sender is off by that much, or the delivery was delayed or replayed.");
    } else {
        text.push_str(" The clock of this machine is slow or that of the sender is fast, or --at is too early.");
    }
    Some(text)
}

/// Milliseconds read as seconds are far in the future, seconds read as milliseconds are in 1970.
fn explain_wrong_unit(now: Timestamp, at: Timestamp, is_past: bool) -> Option<String> {
    let (meant, text) = if is_past {
        let meant = Timestamp::from_millis(at.as_millis().saturating_mul(1000));
        (meant, "in Unix seconds, where milliseconds are expected")
    } else {
        (Timestamp::from_millis(at.as_secs()), "in Unix milliseconds, where seconds are expected")
    };
    let is_near =
        now.since(meant) < WRONG_UNIT_THRESHOLD && meant.since(now) < WRONG_UNIT_THRESHOLD;
    let is_far = now.since(at) > WRONG_UNIT_THRESHOLD || at.since(now) > WRONG_UNIT_THRESHOLD;
    (is_near && is_far).then(|| {
        format!("The signature is right, but its time is written {text}: it means {meant}.")
    })
}

/// A difference of whole hours, up to the 14 that time zones reach, give or take a minute.
fn whole_hours(difference: Duration) -> Option<String> {
    let hours = (difference.as_secs() + HOUR / 2) / HOUR;
    let is_whole = difference.as_secs().abs_diff(hours * HOUR) <= 60;
    let plural = if hours == 1 { "" } else { "s" };
    ((1..=14).contains(&hours) && is_whole).then(|| format!("{hours} hour{plural}"))
}

/// The two largest non-zero units of days, hours, minutes and seconds.
fn describe_duration(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        return HumanDuration(span).to_string();
    }
    let secs = span.as_secs();
    let parts = [
        (secs / 86_400, "day"),
        (secs / HOUR % 24, "hour"),
        (secs / 60 % 60, "minute"),
        (secs % 60, "second"),
    ];
    let parts = parts.iter().filter(|(n, _)| *n > 0).take(2);
    parts
        .map(|(n, unit)| format!("{n} {unit}{}", if *n == 1 { "" } else { "s" }))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_described_in_its_two_largest_units() {
        for (secs, text) in [
            (1, "1 second"),
            (301, "5 minutes 1 second"),
            (90_061, "1 day 1 hour"),
            (7200, "2 hours"),
        ] {
            assert_eq!(describe_duration(Duration::from_secs(secs)), text);
        }
        assert_eq!(describe_duration(Duration::from_millis(5)), "5ms");
    }

    #[test]
    fn a_whole_number_of_hours_looks_like_a_time_zone() {
        assert_eq!(whole_hours(Duration::from_secs(2 * HOUR + 30)).as_deref(), Some("2 hours"));
        assert_eq!(whole_hours(Duration::from_secs(2 * HOUR + 90)), None);
        assert_eq!(whole_hours(Duration::from_secs(24 * HOUR)), None);
        assert_eq!(whole_hours(Duration::from_secs(30)), None);
    }

    #[test]
    fn a_wrong_unit_is_recognised_by_the_size_of_the_difference() {
        let now = Timestamp::from_secs(1_760_000_000);
        let millis = Timestamp::from_secs(1_760_000_000_000);
        assert!(
            explain_wrong_unit(now, millis, false).unwrap().contains("milliseconds, where seconds")
        );
        let seconds = Timestamp::from_millis(1_760_000_000);
        assert!(
            explain_wrong_unit(now, seconds, true).unwrap().contains("seconds, where milliseconds")
        );
        assert_eq!(explain_wrong_unit(now, Timestamp::from_secs(1_759_000_000), true), None);
    }
}
