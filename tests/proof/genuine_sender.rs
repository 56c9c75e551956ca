//! A genuine sender whose answers are timed, for the suites that attack or exhaust the server: it
//! must be served meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::sender::paid;

/// A genuine sender beside the hostile peers: an event every 20 ms, each on its own connection.
pub(crate) struct GenuineSender {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<Latencies, String>>,
}

impl GenuineSender {
    pub(crate) fn start(addr: &str, name: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (addr, name, stopped) = (addr.to_owned(), name.to_owned(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut latencies = Latencies::default();
            for n in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let signed = paid(&format!("evt_{name}_{n}"));
                let start = Instant::now();
                let answer =
                    signed.try_post(&addr).map_err(|e| format!("a genuine sender: {e}"))?;
                match answer.status {
                    200 => latencies.answered.push(start.elapsed()),
                    // Other work on the machine may slow the disk down.
                    503 if answer.text().contains("STORE_UNAVAILABLE") => {
                        latencies.unavailable += 1
                    }
                    status => {
                        return Err(format!("a genuine sender got {status}: {}", answer.text()));
                    }
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(latencies)
        });
        Self { stop, thread }
    }

    /// Stops and returns the latencies. More than a tenth of answers with 503 is an error.
    pub(crate) fn stop(self) -> Result<Latencies, String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut latencies =
            self.thread.join().map_err(|_| "the genuine sender panicked".to_owned())??;
        latencies.answered.sort_unstable();
        let (served, unavailable) = (latencies.answered.len(), latencies.unavailable);
        if served < unavailable * 10 {
            return Err(format!(
                "{unavailable} of {} genuine requests got 503",
                served + unavailable
            ));
        }
        Ok(latencies)
    }
}

/// Latencies of requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies {
    /// Latencies of the answers with 200, sorted once the sender has stopped.
    pub(crate) answered: Vec<Duration>,
    /// Number of answers with 503 because the store was slow.
    pub(crate) unavailable: usize,
}

impl Latencies {
    /// Returns a percentile; the latencies must be sorted.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.answered.len().saturating_sub(1);
        self.answered
            .get((self.answered.len() * percent / 100).min(last))
            .copied()
            .unwrap_or_default()
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99, max) = (self.percentile(50), self.percentile(99), self.percentile(100));
        write!(
            f,
            "{} genuine requests answered, p50 {p50:.1?}, p99 {p99:.1?}, slowest {max:.1?}",
            self.answered.len()
        )?;
        if self.unavailable > 0 {
            write!(f, ", {} got 503 because the store was slow", self.unavailable)?;
        }
        Ok(())
    }
}
