//! Senders that note of each request when it began, how long it took and what came of it. Used by the
//! suite `disk`, in which answers must come in time whatever the disk does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::load::{Known, object};
use crate::sender::stripe;

/// A request that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) took: Duration,
    /// None where no whole answer came.
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: bool,
}

/// Senders at work.
pub(crate) struct Senders {
    stop: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Senders {
    pub(crate) fn start(addr: &str, round: usize, known: &Arc<Mutex<Known>>) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let one = |sender: usize| {
            let (addr, stop, sent, known) =
                (addr.to_owned(), stop.clone(), sent.clone(), known.clone());
            std::thread::spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let one = send(&addr, &format!("evt_{round}_{sender}_{n}"), &known);
                    let pause = if one.status == Some(200) { 4 } else { 30 };
                    sent.lock().unwrap().push(one);
                    std::thread::sleep(Duration::from_millis(pause));
                }
            })
        };
        let threads = (0..8).map(one).collect();
        Self { stop, sent, threads }
    }

    /// What was sent until now.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// Until a request that began after `since` was answered so; how long after `since` it came.
    pub(crate) fn until(
        &self,
        status: u16,
        since: Instant,
        within: Duration,
    ) -> Result<Duration, String> {
        while since.elapsed() < within {
            let sent = self.sent();
            let found = sent.iter().find(|s| s.at >= since && s.status == Some(status));
            if let Some(found) = found {
                return Ok(found.at + found.took - since);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("no {status} within {within:?}"))
    }

    pub(crate) fn stop(self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|t| t.join().unwrap());
        Arc::into_inner(self.sent).map(|sent| sent.into_inner().unwrap()).unwrap_or_default()
    }
}

/// One event, and what is known of it afterwards.
pub(crate) fn send(addr: &str, id: &str, known: &Mutex<Known>) -> Sent {
    typed(addr, id, "payment_intent.succeeded", known)
}

pub(crate) fn typed(addr: &str, id: &str, event_type: &str, known: &Mutex<Known>) -> Sent {
    known.lock().unwrap().unknown.insert(id.to_owned());
    let at = Instant::now();
    let answer = stripe(id, event_type, object(id)).try_post(addr).ok();
    let took = at.elapsed();
    let status = answer.as_ref().map(|a| a.status);
    if status == Some(200) {
        let mut known = known.lock().unwrap();
        known.unknown.remove(id);
        known.acknowledged.insert(id.to_owned());
    }
    let retry_after = answer.is_some_and(|a| a.header("retry-after").is_some());
    Sent { at, took, status, retry_after }
}
