//! The load of the suite `disk`: senders that record the start, the duration and the answer of each
//! request, because answers must come in time whatever the disk does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::load::{SentEvents, object};
use crate::sender::stripe;

/// Threads that send.
const SENDERS: usize = 8;

/// A request with its answer.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) took: Duration,
    /// `None` if no whole answer came.
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: bool,
}

/// Threads that send events until they are stopped.
pub(crate) struct TimedLoad {
    stop: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<Request>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl TimedLoad {
    pub(crate) fn start(addr: &str, round: usize, sent: &Arc<Mutex<SentEvents>>) -> Self {
        let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let spawn = |sender: usize| {
            let (addr, stop, requests, sent) =
                (addr.to_owned(), stop.clone(), requests.clone(), sent.clone());
            std::thread::spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let request = send(&addr, &format!("evt_{round}_{sender}_{n}"), &sent);
                    let pause_ms = if request.status == Some(200) { 4 } else { 30 };
                    requests.lock().unwrap().push(request);
                    std::thread::sleep(Duration::from_millis(pause_ms));
                }
            })
        };
        let threads = (0..SENDERS).map(spawn).collect();
        Self { stop, requests, threads }
    }

    /// Returns all requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until a request that began after `since` got this status; returns the time from
    /// `since` to its answer.
    pub(crate) fn wait_for(
        &self,
        status: u16,
        since: Instant,
        within: Duration,
    ) -> Result<Duration, String> {
        while since.elapsed() < within {
            let requests = self.requests();
            let found = requests.iter().find(|s| s.at >= since && s.status == Some(status));
            if let Some(found) = found {
                return Ok(found.at + found.took - since);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("no request got {status} within {within:?}"))
    }

    /// Stops the threads; returns all requests.
    pub(crate) fn stop(self) -> Vec<Request> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|t| t.join().unwrap());
        Arc::into_inner(self.requests)
            .map(|requests| requests.into_inner().unwrap())
            .unwrap_or_default()
    }
}

fn send(addr: &str, id: &str, sent: &Mutex<SentEvents>) -> Request {
    send_typed(addr, id, "payment_intent.succeeded", sent)
}

/// Sends one event of this type and records its answer.
pub(crate) fn send_typed(
    addr: &str,
    id: &str,
    event_type: &str,
    sent: &Mutex<SentEvents>,
) -> Request {
    sent.lock().unwrap().unanswered.insert(id.to_owned());
    let at = Instant::now();
    let answer = stripe(id, event_type, object(id)).try_post(addr).ok();
    let took = at.elapsed();
    let status = answer.as_ref().map(|a| a.status);
    if status == Some(200) {
        let mut sent = sent.lock().unwrap();
        sent.unanswered.remove(id);
        sent.acknowledged.insert(id.to_owned());
    }
    let retry_after = answer.is_some_and(|a| a.header("retry-after").is_some());
    Request { at, took, status, retry_after }
}
