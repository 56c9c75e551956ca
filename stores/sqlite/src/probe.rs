//! Looking whether a store that was in trouble works again. It takes a write, and whoever watches a
//! store in trouble may ask often; so one looks at a time, and those who wait for it share what it saw.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};

use hookward_core::store::StoreError;
use tokio::sync::Mutex;

#[derive(Debug)]
pub(crate) struct Probe {
    /// What the last one saw; locked while one looks.
    seen: Mutex<Result<(), StoreError>>,
    /// So many have looked to the end.
    done: AtomicU64,
}

impl Default for Probe {
    fn default() -> Self {
        Self { seen: Mutex::new(Ok(())), done: AtomicU64::new(0) }
    }
}

impl Probe {
    /// Looks, or waits for who does.
    pub(crate) async fn share(
        &self,
        look: impl Future<Output = Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        let before = self.done.load(Ordering::Acquire);
        let mut seen = self.seen.lock().await;
        // Whoever looked may have gone away before the end; then it is to be done now.
        if self.done.load(Ordering::Acquire) == before {
            *seen = look.await;
            self.done.fetch_add(1, Ordering::AcqRel);
        }
        seen.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn one_looks_at_a_time_and_the_others_share_what_it_saw() {
        let (probe, looked) = (Probe::default(), AtomicUsize::new(0));
        let look = || {
            probe.share(async {
                looked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Err(StoreError::Full("still".to_owned()))
            })
        };
        let full = Err(StoreError::Full("still".to_owned()));
        let (a, b, c) = tokio::join!(look(), look(), look());
        assert_eq!((a, b, c), (full.clone(), full.clone(), full.clone()));
        assert_eq!(looked.load(Ordering::SeqCst), 1);
        // One that goes away leaves the looking to the next; and later ones look anew.
        let mut gone = Box::pin(look());
        let began = std::future::poll_fn(|cx| Poll::Ready(gone.as_mut().poll(cx).is_pending()));
        assert!(began.await);
        let (then, ()) = tokio::join!(look(), async { drop(gone) });
        assert_eq!((then, look().await), (full.clone(), full));
        assert_eq!(looked.load(Ordering::SeqCst), 4);
    }
}
