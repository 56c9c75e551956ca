//! A handler that records its runs and follows a script, for tests of chains, retries, timeouts and crashes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::{Body, Event, Flow, Handler, HandlerCx, HandlerError};
use tokio::sync::watch;

/// What the recorder does with one run.
#[derive(Debug, Clone)]
pub enum Play {
    /// Succeeds; the chain continues.
    Ok,
    /// Succeeds; the chain continues with this body.
    Replace(Body),
    /// Ends the chain.
    Stop,
    /// Fails; the job is retried.
    Fail,
    /// Fails; the job is retried after this span at the earliest.
    RetryAfter(Duration),
    /// Fails; the job is dead.
    Fatal,
    /// Never ends.
    Hang,
    /// Takes this long, then succeeds.
    Slow(Duration),
    /// Panics.
    Panic,
}

/// One recorded run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The event.
    pub event: Event,
    /// The context that the handler received.
    pub cx: HandlerCx,
}

/// A scripted handler. Clones share one record: a test keeps one clone and gives the other to the engine.
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
    /// A recorder whose runs all succeed.
    pub fn new() -> Self {
        Self::playing([])
    }

    /// Follows the script, one entry per run, and succeeds after its end.
    pub fn playing(script: impl IntoIterator<Item = Play>) -> Self {
        let script = script.into_iter().collect();
        let state = Mutex::new(State { script, then: Play::Ok, runs: Vec::new() });
        Self(Arc::new(Inner { state, started: watch::Sender::new(0) }))
    }

    /// Fails the first `times` runs, then succeeds.
    pub fn failing(times: usize) -> Self {
        Self::playing(std::iter::repeat_n(Play::Fail, times))
    }

    /// Does the same in every run, without end.
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
        // `self` owns the sender, so the wait cannot end because the channel closed.
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
            #[expect(clippy::panic, reason = "the script demands it")]
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
    async fn a_recorder_follows_its_script_and_then_succeeds() {
        let later = Duration::from_secs(9);
        let recorder = Recorder::playing([Play::Fail, Play::RetryAfter(later), Play::Fatal]);
        let event = sample_event("order.paid", "{}");
        let mut decisions = Vec::new();
        for attempt in 1..=4 {
            let cx = cx(&event).with_attempt(attempt);
            decisions
                .push(recorder.handle(event.clone(), &cx).await.err().map(|e| e.retry_decision()));
        }
        let wanted = [RetryDecision::Retry, RetryDecision::RetryAfter(later), RetryDecision::Fatal]
            .map(Some);
        assert_eq!(decisions, [&wanted[..], &[None]].concat());
        assert_eq!(recorder.runs().iter().map(|r| r.cx.attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
        recorder.wait_for(4).await;
    }
}
