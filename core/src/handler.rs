//! A handler: one step of a route's chain. Implemented by handler crates and, in apps, by plain
//! functions; run by the engine's worker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::{Clock, Timestamp};
use crate::event::Event;
use crate::id::JobId;

/// Works on an event.
///
/// A handler runs at least once per job: after a crash, a timeout or a failed attempt it runs again
/// with the same event. Make it safe to run again, with [`HandlerCx::idempotency_key`] as the name
/// of the work.
///
/// ```
/// use async_trait::async_trait;
/// use hookward_core::{Event, Flow, Handler, HandlerCx, HandlerError};
///
/// #[derive(Debug)]
/// struct Shout;
///
/// #[async_trait]
/// impl Handler for Shout {
///     async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
///         println!("{}: {}!", cx.idempotency_key(), event.event_type().unwrap_or("something"));
///         Ok(Flow::Next)
///     }
/// }
/// ```
#[async_trait]
pub trait Handler: fmt::Debug + Send + Sync + 'static {
    /// Runs the step. The future is dropped at the step's timeout, and a panic counts as a failed
    /// attempt.
    ///
    /// # Errors
    /// [`HandlerError`], which decides whether the step is retried.
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError>;

    /// Tests whether the step could work now: whether a directory is writable or a host answers.
    /// Run by `hookward check --live`; must have no lasting effect.
    ///
    /// # Errors
    /// [`ProbeError`], which says what to do.
    async fn probe(&self) -> Result<(), ProbeError> {
        Ok(())
    }
}

/// Why a step could not work now. The message is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ProbeError {
    /// What was found and what to do.
    pub message: String,
}

impl ProbeError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// What follows a step that ended well. Closed on purpose: the worker carries out every case.
#[derive(Debug, Clone)]
pub enum Flow {
    /// The next step runs, with the same event.
    Next,
    /// The next step runs, with this event instead ([`Event::with_body`]). Retries resume with it.
    Replace(Event),
    /// No further step runs, and the job is done.
    Stop {
        /// Why, for the record of the attempt.
        reason: String,
    },
}

/// What a step knows about the attempt that it is part of.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HandlerCx {
    /// The name of the route in routes.yaml.
    pub route: Arc<str>,
    /// The name of the step within the route's chain.
    pub step: Arc<str>,
    /// The job, which names the event.
    pub job: JobId,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// When the step's timeout ends, by the wall clock. For texts and for services that want an
    /// absolute time; [`remaining`](Self::remaining) is the better measure inside the process.
    pub deadline: Timestamp,
    /// Whether an operator asked for this run.
    pub replay: bool,
    clock: Arc<dyn Clock>,
    /// When the timeout ends, as a reading of [`Clock::monotonic`].
    ends_at: Duration,
}

impl HandlerCx {
    /// The first attempt at `job`, whose step has `timeout` from now on. The worker makes one per
    /// step, with the engine's clock; tests of handlers take [`SystemClock`](crate::SystemClock).
    pub fn new(
        route: impl Into<Arc<str>>,
        step: impl Into<Arc<str>>,
        job: JobId,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (deadline, ends_at) = (clock.now().plus(timeout), clock.monotonic() + timeout);
        Self {
            route: route.into(),
            step: step.into(),
            job,
            attempt: 1,
            deadline,
            replay: false,
            clock,
            ends_at,
        }
    }

    setters! {
        with_attempt => attempt: u32;
        with_replay => replay: bool;
    }

    /// How much of the step's timeout is left; zero once it is over. Measured by a monotonic clock,
    /// so that setting the wall clock changes nothing. A handler that calls a service gives it at
    /// most this long, and needs no clock of its own.
    pub fn remaining(&self) -> Duration {
        self.ends_at.saturating_sub(self.clock.monotonic())
    }

    /// `{event}:{route}`: the same in every attempt and every replay, so that a receiver can
    /// recognise work that it has done already.
    pub fn idempotency_key(&self) -> String {
        format!("{}:{}", self.job.event, self.route)
    }
}

/// What follows a step that failed. Closed on purpose: the worker carries out every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Another attempt, when the route's retry policy says.
    Retry,
    /// Another attempt, after at least this long; the policy's maximum delay still holds.
    RetryAfter(Duration),
    /// No other attempt: the job goes to the dead letters immediately.
    Fatal,
}

/// Why a step failed, and whether it is worth another attempt.
///
/// Any [`std::error::Error`] converts into one by `?` and then means [`retry`](Self::retry). For
/// that reason it does not implement `Error` itself: the two conversions would overlap.
///
/// ```
/// use std::time::Duration;
///
/// use hookward_core::{HandlerError, RetryDecision};
///
/// fn parse(text: &str) -> Result<u32, HandlerError> {
///     if text.is_empty() {
///         return Err(HandlerError::fatal("the order has no number"));
///     }
///     Ok(text.parse()?)
/// }
///
/// assert_eq!(parse("x").unwrap_err().retry_decision(), RetryDecision::Retry);
/// assert_eq!(parse("").unwrap_err().retry_decision(), RetryDecision::Fatal);
/// let busy = HandlerError::retry_after("the service is busy", Duration::from_secs(60));
/// assert_eq!(busy.retry_decision(), RetryDecision::RetryAfter(Duration::from_secs(60)));
/// ```
pub struct HandlerError {
    retry_decision: RetryDecision,
    message: String,
}

impl HandlerError {
    /// A failure that another attempt may not meet, at the time that the route's policy chooses.
    pub fn retry(message: impl fmt::Display) -> Self {
        Self { retry_decision: RetryDecision::Retry, message: message.to_string() }
    }

    /// A failure that another attempt may not meet after at least `delay`.
    pub fn retry_after(message: impl fmt::Display, delay: Duration) -> Self {
        Self { retry_decision: RetryDecision::RetryAfter(delay), message: message.to_string() }
    }

    /// A failure that every attempt would meet: the job goes to the dead letters.
    pub fn fatal(message: impl fmt::Display) -> Self {
        Self { retry_decision: RetryDecision::Fatal, message: message.to_string() }
    }

    /// Whether the step is worth another attempt.
    pub fn retry_decision(&self) -> RetryDecision {
        self.retry_decision
    }

    /// What went wrong, for the attempt's record and the log. Must not hold the event's content.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.retry_decision, self.message)
    }
}

impl<E: std::error::Error> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self { retry_decision: RetryDecision::Retry, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::id::EventId;

    #[test]
    fn any_error_becomes_a_retry_with_its_causes() {
        fn fails() -> Result<(), HandlerError> {
            "x".parse::<u8>()?;
            Ok(())
        }
        let error = fails().unwrap_err();
        assert_eq!(error.retry_decision(), RetryDecision::Retry);
        assert!(error.message().contains("invalid digit"));
    }

    #[test]
    fn a_handler_is_used_as_dyn() {
        fn takes(_: Option<&dyn Handler>) {}
        takes(None);
    }

    #[test]
    fn the_remaining_time_never_exceeds_the_timeout_and_ends_at_zero() {
        let job = JobId { event: EventId::from_bytes([7; 16]), n: 0 };
        let cx = |timeout| HandlerCx::new("r", "s", job, timeout, Arc::new(SystemClock));
        let minute = Duration::from_secs(60);
        let remaining = cx(minute).remaining();
        assert!(remaining <= minute && remaining > minute / 2, "{remaining:?}");
        assert_eq!(cx(Duration::ZERO).remaining(), Duration::ZERO);
    }
}
