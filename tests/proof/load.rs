//! The load of the suites that kill the server: threads that send signed events, and a record of
//! the answer to each.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::sender::stripe;

/// Ids of the events that were sent.
#[derive(Debug, Default, Clone)]
pub(crate) struct SentEvents {
    /// Answered with 200: these must be stored.
    pub(crate) acknowledged: BTreeSet<String>,
    /// Sent without a whole answer: these may be stored.
    pub(crate) unanswered: BTreeSet<String>,
}

impl SentEvents {
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

fn send(addr: &str, thread: usize, round: usize, stop: &AtomicBool, sent: &Mutex<SentEvents>) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("evt_{round}_{thread}_{n}");
        sent.lock().unwrap().unanswered.insert(id.clone());
        let signed = stripe(&id, "payment_intent.succeeded", object(&id));
        match signed.try_post(addr) {
            Ok(answer) if answer.status == 200 => {
                let mut sent = sent.lock().unwrap();
                sent.unanswered.remove(&id);
                sent.acknowledged.insert(id);
            }
            Ok(answer) if answer.status == 503 => {}
            Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
            Err(_) => return,
        }
    }
}
