//! The load of the suites that kill the server: threads that send signed events, and a record of
//! the answer to each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::sender::{Signed, stripe};

/// Ids of the events that were sent.
#[derive(Debug, Default, Clone)]
pub(crate) struct SentEvents {
    /// Answered with 200: these must be stored.
    pub(crate) acknowledged: BTreeSet<String>,
    /// Sent without a whole answer: these may be stored.
    pub(crate) unanswered: BTreeSet<String>,
    /// The body of the first answer to each event that [`Load`] sent and that was acknowledged.
    pub(crate) answers: BTreeMap<String, Vec<u8>>,
}

impl SentEvents {
    pub(crate) fn acknowledge(&mut self, id: String, answer: Vec<u8>) {
        self.unanswered.remove(&id);
        self.answers.insert(id.clone(), answer);
        self.acknowledged.insert(id);
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.acknowledged.contains(id) || self.unanswered.contains(id)
    }
}

/// Threads that send events until they are stopped or the server is gone.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    /// Starts the threads. `round` makes the event ids unique within a suite.
    pub(crate) fn start(
        addr: &str,
        threads: usize,
        round: usize,
        sent: &Arc<Mutex<SentEvents>>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |thread: usize| {
            let (addr, stop, sent) = (addr.to_owned(), stop.clone(), sent.clone());
            std::thread::spawn(move || send(&addr, thread, round, &stop, &sent))
        };
        let threads = (0..threads).map(spawn).collect();
        Self { stop, threads }
    }

    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|t| t.join().unwrap());
    }
}

/// Returns the object in the body of an event, which follows from its id so that the oracle can
/// check it.
pub(crate) fn object(id: &str) -> serde_json::Value {
    serde_json::json!({"id": format!("pi_{id}"), "amount": 1, "note": format!("for {id}")})
}

/// Returns the event with this id, signed now.
pub(crate) fn event(id: &str) -> Signed {
    stripe(id, "payment_intent.succeeded", object(id))
}

fn send(addr: &str, thread: usize, round: usize, stop: &AtomicBool, sent: &Mutex<SentEvents>) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("evt_{round}_{thread}_{n}");
        sent.lock().unwrap().unanswered.insert(id.clone());
        match event(&id).try_post(addr) {
            Ok(answer) if answer.status == 200 => sent.lock().unwrap().acknowledge(id, answer.body),
            Ok(answer) if answer.status == 503 => {}
            Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
            Err(_) => return,
        }
    }
}
