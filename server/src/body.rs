//! Reads a request body within four bounds: its size, its total time, its pace, and the memory of
//! all bodies together. The only place where a sender's body is read.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use bytes::Bytes;
use hookward_engine::ingest::{ReadBody, ReadError};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// A body that is not complete within this time is answered with 408. Senders give up on their side
/// after 5 to 30 s, so a slower body would be sent again anyway.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The slowest pace, in bytes a second, after [`PACE_GRACE`]. Without it, a peer that sends a byte
/// now and then would hold its connection and its memory for the whole [`BODY_TIMEOUT`].
const MIN_BYTES_PER_SECOND: usize = 1024;

/// How long the pace is not measured: a slow network takes this long for its first packets.
const PACE_GRACE: Duration = Duration::from_secs(2);

/// A body that has not been read, with its share of the memory for bodies.
///
/// The share is held until this is dropped. The engine drops it after the store has answered or the
/// request is rejected, so the budget counts bytes for as long as they are in memory.
pub(crate) struct BoundedBody {
    body: axum::body::Body,
    budget: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl BoundedBody {
    /// `budget` has one permit per byte, for all bodies together.
    pub(crate) fn new(body: axum::body::Body, budget: Arc<Semaphore>) -> Self {
        Self { body, budget, permit: None }
    }

    /// Takes memory for `bytes` more. Does not wait for it: a request that waits would hold what it
    /// has already, and two such requests could wait for each other.
    fn acquire(&mut self, bytes: usize) -> Result<(), ReadError> {
        let permits = u32::try_from(bytes).map_err(|_| ReadError::NoMemory)?;
        let acquired = self.budget.clone().try_acquire_many_owned(permits);
        let acquired = acquired.map_err(|_| ReadError::NoMemory)?;
        match &mut self.permit {
            Some(permit) => permit.merge(acquired),
            None => self.permit = Some(acquired),
        }
        Ok(())
    }

    /// Returns the memory for `bytes` that turned out not to be needed.
    fn release(&mut self, bytes: usize) {
        drop(self.permit.as_mut().and_then(|permit| permit.split(bytes)));
    }
}

impl ReadBody for BoundedBody {
    async fn read(&mut self, limit: usize) -> Result<Bytes, ReadError> {
        let start = Instant::now();
        let declared = usize::try_from(self.body.size_hint().exact().unwrap_or(0)).unwrap_or(0);
        // Copied, never kept as it came: a frame is a slice of its connection's read buffer, and
        // would keep all of that in memory until its event is stored.
        let mut bytes = Vec::new();
        loop {
            let deadline = pace_deadline(bytes.len()).min(BODY_TIMEOUT);
            let remaining = deadline.checked_sub(start.elapsed()).ok_or(ReadError::TooSlow)?;
            let frame = tokio::time::timeout(remaining, self.body.frame());
            let data = match frame.await.map_err(|_| ReadError::TooSlow)? {
                None => break,
                Some(Err(_)) => return Err(ReadError::Broken),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_trailers) => continue,
                },
            };
            let total = bytes.len() + data.len();
            // Before the bytes are copied: a body without Content-Length shows its size only here.
            if total > limit {
                return Err(ReadError::TooLarge);
            }
            if total > bytes.capacity() {
                let capacity = grown_capacity(total, bytes.capacity(), declared);
                // The budget before the allocation, so that it can never be exceeded.
                self.acquire(capacity - bytes.capacity())?;
                bytes.reserve_exact(capacity - bytes.len());
            }
            bytes.extend_from_slice(&data);
        }
        self.release(bytes.capacity() - bytes.len());
        bytes.shrink_to_fit();
        Ok(bytes.into())
    }

    fn try_reserve(&mut self, bytes: usize) -> bool {
        self.acquire(bytes).is_ok()
    }
}

/// The next capacity of a buffer that must hold `total` bytes: twice the present one, so that a
/// body in small frames is copied a constant number of times, but no more than the declared length.
///
/// The declared length alone is not allocated in advance: a peer could announce much and send
/// nothing.
fn grown_capacity(total: usize, capacity: usize, declared: usize) -> usize {
    let doubled = capacity * 2;
    total.max(if declared > 0 { doubled.min(declared) } else { doubled })
}

/// The time since the start by which more than `received` bytes must have arrived.
fn pace_deadline(received: usize) -> Duration {
    PACE_GRACE + Duration::from_secs((received / MIN_BYTES_PER_SECOND) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::{Frame, SizeHint};

    use super::*;

    /// A body that arrives in pieces, and whether its length is announced.
    struct Pieces(VecDeque<Bytes>, bool);

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }

        fn size_hint(&self) -> SizeHint {
            let remaining = self.0.iter().map(|piece| piece.len() as u64).sum();
            if self.1 { SizeHint::with_exact(remaining) } else { SizeHint::default() }
        }
    }

    /// Reads pieces of these sizes; returns the body and the bytes of the budget that it held.
    /// Checks that all of them are free once it is dropped.
    async fn read(
        sizes: &[usize],
        announced: bool,
        budget: usize,
    ) -> (Result<Bytes, ReadError>, usize) {
        // Each piece is a slice of a larger buffer, as frames of a connection are.
        let piece = |n: &usize| Bytes::from(vec![b'x'; *n + 8192]).slice(..*n);
        let body = axum::body::Body::new(Pieces(sizes.iter().map(piece).collect(), announced));
        let semaphore = Arc::new(Semaphore::new(budget));
        let mut bounded = BoundedBody::new(body, semaphore.clone());
        let read = bounded.read(1 << 20).await;
        let held = budget - semaphore.available_permits();
        drop(bounded);
        assert_eq!(semaphore.available_permits(), budget);
        (read, held)
    }

    #[tokio::test]
    async fn a_body_occupies_its_own_bytes_and_the_budget_counts_the_same() {
        for sizes in [&[150][..], &[8000, 8000, 20_000], &[1; 3000], &[]] {
            for announced in [true, false] {
                let total = sizes.iter().sum::<usize>();
                let (bytes, held) = read(sizes, announced, 1 << 20).await;
                let bytes = Vec::from(bytes.unwrap());
                assert_eq!((bytes.len(), bytes.capacity(), held), (total, total, total));
            }
        }
    }

    #[tokio::test]
    async fn bodies_beyond_the_budget_or_the_limit_are_rejected() {
        assert!(matches!(read(&[600, 600], true, 1000).await.0, Err(ReadError::NoMemory)));
        assert!(matches!(read(&[600, 600], false, 1000).await.0, Err(ReadError::NoMemory)));
        assert!(matches!(read(&[1 << 20, 1], true, 1 << 22).await.0, Err(ReadError::TooLarge)));
    }

    #[test]
    fn capacity_doubles_up_to_the_declared_length() {
        assert_eq!(grown_capacity(100, 0, 1000), 100);
        assert_eq!(grown_capacity(150, 100, 1000), 200);
        assert_eq!(grown_capacity(700, 600, 1000), 1000);
        assert_eq!(grown_capacity(700, 600, 0), 1200);
        assert_eq!(grown_capacity(5000, 600, 1000), 5000);
    }
}
