//! What an answer means for the step. Only the status and `Retry-After` are looked at: what else
//! the receiver says is neither shown nor kept.

use std::time::{Duration, UNIX_EPOCH};

use hookward_core::{Flow, HandlerError, Timestamp};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

/// A receiver cannot put an attempt off for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Done, try again, or dead.
pub(crate) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Flow, HandlerError> {
    let answered = format!("the receiver answered {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Ok(Flow::Next),
        300..=399 => Err(HandlerError::fatal(format!("{answered}; redirects are not followed"))),
        408 | 425 | 429 | 500..=599 => Err(match wait(headers, now) {
            Some(wait) => HandlerError::retry_after(answered, wait),
            None => HandlerError::retry(answered),
        }),
        _ => Err(HandlerError::fatal(answered)),
    }
}

/// `Retry-After`, in seconds or as a date.
fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are still a long wait.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let since_epoch = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Timestamp::from_secs(i64::try_from(since_epoch.as_secs()).ok()?).since(now)
    };
    Some(wait.min(LONGEST_WAIT))
}
