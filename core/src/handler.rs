//! A handler: one step of a chain. Implemented by handler crates and, in apps, by plain functions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::event::Event;
use crate::store::JobId;

/// Works on an event. Runs at least once per job; make it safe to run again, with
/// [`HandlerCx::idempotency_key`] as the name of the work.
#[async_trait]
pub trait Handler: fmt::Debug + Send + Sync + 'static {
    /// Does the step. Dropped at the step timeout; a panic counts as a failed attempt.
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError>;

    /// Looks whether the step could work now (a folder is writable, a host answers). For
    /// `check --live`; the text is for the operator.
    async fn probe(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What comes after a step.
#[derive(Debug, Clone)]
pub enum Flow {
    /// The next step, with the same event.
    Next,
    /// The next step, with this event.
    Replace(Event),
    /// No further step; the job is done.
    Stop {
        /// Why, for the record.
        reason: String,
    },
}

/// What a step is told about its run.
#[derive(Debug, Clone)]
pub struct HandlerCx {
    /// The route.
    pub route: Arc<str>,
    /// The step's name within the chain.
    pub step: Arc<str>,
    /// The job.
    pub job: JobId,
    /// From 1.
    pub attempt: u32,
    /// When the step will be given up.
    pub deadline: Timestamp,
    /// Whether an operator asked for this run.
    pub replay: bool,
    /// Our id of the event.
    pub event: crate::event::EventId,
}

impl HandlerCx {
    /// `{event}:{route}`: the same in every attempt, so that receivers can tell a repetition.
    pub fn idempotency_key(&self) -> String {
        format!("{}:{}", self.event, self.route)
    }
}

/// What should follow a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Another attempt, by the route's policy.
    Retry,
    /// Another attempt, not before this span has passed (the policy's cap holds).
    RetryAfter(Duration),
    /// None: dead at once.
    Fatal,
}

/// A failed step. Made from any error by `?`, which means "try again by policy"; so it is not an
/// `Error` itself.
pub struct HandlerError {
    retry_decision: RetryDecision,
    message: String,
}

impl HandlerError {
    /// Try again by policy.
    pub fn retry(message: impl fmt::Display) -> Self {
        Self { retry_decision: RetryDecision::Retry, message: message.to_string() }
    }

    /// Try again, not before `delay` has passed.
    pub fn retry_after(message: impl fmt::Display, delay: Duration) -> Self {
        Self { retry_decision: RetryDecision::RetryAfter(delay), message: message.to_string() }
    }

    /// Trying again cannot help: to the dead letters.
    pub fn fatal(message: impl fmt::Display) -> Self {
        Self { retry_decision: RetryDecision::Fatal, message: message.to_string() }
    }

    /// What should follow.
    pub fn retry_decision(&self) -> RetryDecision {
        self.retry_decision
    }

    /// The text for the attempt's record and the log. Put no payload into it.
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
}
