//! The health probe of a store whose last group failed: one small write. A health check may ask
//! often, so one probe runs at a time and those who wait for it share its result.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use hookward_core::store::StoreError;
use tokio::sync::Mutex;

/// Shares one running probe among its callers.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Result of the last probe; locked while one runs.
    result: Mutex<Result<(), StoreError>>,
    /// Probes that ran to their end.
    completed: AtomicU64,
}

impl Default for Probe {
    fn default() -> Self {
        Self { result: Mutex::new(Ok(())), completed: AtomicU64::new(0) }
    }
}

impl Probe {
    /// Runs the probe, or waits for the one in flight and returns its result.
    pub(crate) async fn run_shared(
        &self,
        probe: impl Future<Output = Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        let before = self.completed.load(Ordering::Acquire);
        let mut result = self.result.lock().await;
        // The caller that ran the probe may have been cancelled before its end. Then nothing was
        // completed, and this caller runs it.
        if self.completed.load(Ordering::Acquire) == before {
            *result = probe.await;
            self.completed.fetch_add(1, Ordering::AcqRel);
        }
        result.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn concurrent_callers_share_one_probe_and_a_cancelled_probe_is_run_by_the_next() {
        let (probe, runs) = (Probe::default(), AtomicUsize::new(0));
        let run = || {
            probe.run_shared(async {
                runs.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Err(StoreError::Full("still".to_owned()))
            })
        };
        let full = Err(StoreError::Full("still".to_owned()));
        let (a, b, c) = tokio::join!(run(), run(), run());
        assert_eq!((a, b, c), (full.clone(), full.clone(), full.clone()));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        // The cancelled one leaves the probe to the next caller; a later caller runs its own.
        let mut cancelled = Box::pin(run());
        let started =
            std::future::poll_fn(|cx| Poll::Ready(cancelled.as_mut().poll(cx).is_pending()));
        assert!(started.await);
        let (next, ()) = tokio::join!(run(), async { drop(cancelled) });
        assert_eq!((next, run().await), (full.clone(), full));
        assert_eq!(runs.load(Ordering::SeqCst), 4);
    }
}
