//! A handler that writes down what it is given and behaves as it was told: for tests of chains,
//! retries, timeouts and crashes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::{Body, Event, Flow, Handler, HandlerCx, HandlerError};
use tokio::sync::watch;

/// What the recorder does with one run.
#[derive(Debug, Clone)]
pub enum Play {
    /// Succeeds; the chain goes on.
    Ok,
    /// Succeeds; the chain goes on with this body.
    Replace(Body),
    /// Ends the chain.
    Stop,
    /// Fails, to be tried again.
    Fail,
    /// Fails, not to be tried again before the span has passed.
    RetryAfter(Duration),
    /// Fails for good.
    Fatal,
    /// Never ends.
    Hang,
    /// Takes this long, then succeeds.
    Slow(Duration),
    /// Panics.
    Panic,
}

/// One run as it was seen.
#[derive(Debug, Clone)]
pub struct Run {
    /// The event.
    pub event: Event,
    /// What the handler was told about the run.
    pub cx: HandlerCx,
}

/// Clones share one record, so a test keeps one and hands the other to the engine.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    started: watch::Sender<usize>,
}

#[derive(Debug)]
struct State {
    script: VecDeque<Play>,
    then: Play,
    runs: Vec<Run>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// Succeeds always.
    pub fn new() -> Self {
        Self::playing([])
    }

    /// Plays these, one a run, in order, and succeeds from then on.
    pub fn playing(script: impl IntoIterator<Item = Play>) -> Self {
        let script = script.into_iter().collect();
        let state = Mutex::new(State { script, then: Play::Ok, runs: Vec::new() });
        Self(Arc::new(Inner { state, started: watch::Sender::new(0) }))
    }

    /// Fails the first `times` runs, then succeeds.
    pub fn failing(times: usize) -> Self {
        Self::playing(std::iter::repeat_n(Play::Fail, times))
    }

    /// Does the same in every run.
    pub fn always(play: Play) -> Self {
        let recorder = Self::new();
        recorder.state().then = play;
        recorder
    }

    /// All runs so far, in the order in which they began.
    pub fn runs(&self) -> Vec<Run> {
        self.state().runs.clone()
    }

    /// The events of all runs so far.
    pub fn events(&self) -> Vec<Event> {
        self.state().runs.iter().map(|run| run.event.clone()).collect()
    }

    /// Waits until `n` runs have begun.
    pub async fn wait_for(&self, n: usize) {
        // The sender lives in `self`, so the wait cannot end for want of it.
        let _ = self.0.started.subscribe().wait_for(|begun| *begun >= n).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, event: &Event, cx: &HandlerCx) -> Play {
        let mut state = self.state();
        state.runs.push(Run { event: event.clone(), cx: cx.clone() });
        let begun = state.runs.len();
        let play = state.script.pop_front().unwrap_or_else(|| state.then.clone());
        drop(state);
        self.0.started.send_replace(begun);
        play
    }
}

#[async_trait]
impl Handler for Recorder {
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
        match self.begin(&event, cx) {
            Play::Ok => Ok(Flow::Next),
            Play::Replace(body) => Ok(Flow::Replace(event.with_body(body))),
            Play::Stop => Ok(Flow::Stop { reason: "the script says stop".to_owned() }),
            Play::Fail => Err(HandlerError::retry("the script says fail")),
            Play::RetryAfter(span) => Err(HandlerError::retry_after("the script says later", span)),
            Play::Fatal => Err(HandlerError::fatal("the script says never")),
            Play::Hang => std::future::pending().await,
            Play::Slow(span) => {
                tokio::time::sleep(span).await;
                Ok(Flow::Next)
            }
            #[expect(clippy::panic, reason = "it was asked for")]
            Play::Panic => panic!("the script says panic"),
        }
    }
}

#[cfg(test)]
mod tests {
    use hookward_core::RetryDecision;

    use super::*;
    use crate::handler::{cx, sample_event};

    #[tokio::test]
    async fn plays_its_script_and_then_succeeds() {
        let later = Duration::from_secs(9);
        let recorder = Recorder::playing([Play::Fail, Play::RetryAfter(later), Play::Fatal]);
        let event = sample_event("order.paid", "{}");
        let mut remedies = Vec::new();
        for attempt in 1..=4 {
            let cx = HandlerCx { attempt, ..cx(&event) };
            remedies
                .push(recorder.handle(event.clone(), &cx).await.err().map(|e| e.retry_decision()));
        }
        let wanted = [RetryDecision::Retry, RetryDecision::RetryAfter(later), RetryDecision::Fatal]
            .map(Some);
        assert_eq!(remedies, [&wanted[..], &[None]].concat());
        assert_eq!(recorder.runs().iter().map(|r| r.cx.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
        recorder.wait_for(4).await;
    }
}
