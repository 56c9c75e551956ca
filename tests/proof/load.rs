//! Senders: signed events from several threads, and what became of each.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::sender::stripe;

/// What senders know.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Answered with 200: must be there.
    pub(crate) acknowledged: BTreeSet<String>,
    /// Sent, and no whole answer came: may be there.
    pub(crate) unknown: BTreeSet<String>,
}

/// Senders at work, until they are stopped or the server goes away.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(
        addr: &str,
        senders: usize,
        round: usize,
        known: &Arc<Mutex<Known>>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let one = |sender: usize| {
            let (addr, stop, known) = (addr.to_owned(), stop.clone(), known.clone());
            std::thread::spawn(move || send(&addr, sender, round, &stop, &known))
        };
        let threads = (0..senders).map(one).collect();
        Self { stop, threads }
    }

    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|t| t.join().unwrap());
    }
}

/// The body by which an event is known again.
pub(crate) fn object(id: &str) -> serde_json::Value {
    serde_json::json!({"id": format!("pi_{id}"), "amount": 1, "note": format!("for {id}")})
}

fn send(addr: &str, sender: usize, round: usize, stop: &AtomicBool, known: &Mutex<Known>) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("evt_{round}_{sender}_{n}");
        known.lock().unwrap().unknown.insert(id.clone());
        let signed = stripe(&id, "payment_intent.succeeded", object(&id));
        match signed.try_post(addr) {
            Ok(answer) if answer.status == 200 => {
                let mut known = known.lock().unwrap();
                known.unknown.remove(&id);
                known.acknowledged.insert(id);
            }
            Ok(answer) if answer.status == 503 => {}
            Ok(answer) => panic!("{}: {}", answer.status, answer.text()),
            Err(_) => return,
        }
    }
}
