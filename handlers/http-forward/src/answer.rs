//! Maps the response of the receiver to the result of the step. Only the status and `Retry-After`
//! are read: headers and body of a response may contain secrets, so they are neither logged nor
//! stored.

use std::time::{Duration, UNIX_EPOCH};

use hookward_core::{Flow, HandlerError, Timestamp};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

/// Maximum delay that a receiver can request.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Returns whether the step is done, is retried, or fails for good.
pub(crate) fn step_result(
    status: StatusCode,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Flow, HandlerError> {
    let answered = format!("the receiver answered {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Ok(Flow::Next),
        300..=399 => Err(HandlerError::fatal(format!("{answered}; redirects are not followed"))),
        408 | 425 | 429 | 500..=599 => Err(match retry_after(headers, now) {
            Some(wait) => HandlerError::retry_after(answered, wait),
            None => HandlerError::retry(answered),
        }),
        _ => Err(HandlerError::fatal(answered)),
    }
}

/// Returns the delay of `Retry-After` (RFC 9110, section 10.2.3), in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // A number that does not fit is a long delay, too.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let since_epoch = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Timestamp::from_secs(i64::try_from(since_epoch.as_secs()).ok()?).since(now)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}
