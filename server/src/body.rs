//! Reading a body with bounds: bytes, time, pace, and the memory of all bodies together. The only
//! place where a sender's body is read.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use bytes::Bytes;
use hookward_engine::ingest::{ReadBody, ReadError};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// A body is there within this time, or the request is answered with 408.
const WHOLE: Duration = Duration::from_secs(10);
/// Slower than this many bytes a second, after a short start, is too slow.
const PACE: usize = 1024;
/// The start in which the pace is not judged.
const START: Duration = Duration::from_secs(2);

/// A body that has not been read, and the budget from which its memory comes: held until this is
/// dropped, which the engine does once the delivery is stored or refused.
pub(crate) struct Incoming {
    body: axum::body::Body,
    budget: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Incoming {
    pub(crate) fn new(body: axum::body::Body, budget: Arc<Semaphore>) -> Self {
        Self { body, budget, held: None }
    }

    /// Memory for so many more bytes, or none.
    fn take(&mut self, bytes: usize) -> Result<(), ReadError> {
        let permits = u32::try_from(bytes).map_err(|_| ReadError::NoMemory)?;
        let more =
            self.budget.clone().try_acquire_many_owned(permits).map_err(|_| ReadError::NoMemory)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    /// Of what is held, so much is not needed after all.
    fn release(&mut self, bytes: usize) {
        drop(self.held.as_mut().and_then(|held| held.split(bytes)));
    }
}

impl ReadBody for Incoming {
    async fn read(&mut self, limit: usize) -> Result<Bytes, ReadError> {
        let start = Instant::now();
        let declared = usize::try_from(self.body.size_hint().exact().unwrap_or(0)).unwrap_or(0);
        // Never a piece as it came: it would keep the whole buffer of its connection in memory for as
        // long as its event waits.
        let mut bytes = Vec::new();
        loop {
            let elapsed = start.elapsed();
            let allowed = pace_deadline(bytes.len()).min(WHOLE);
            let left = allowed.checked_sub(elapsed).ok_or(ReadError::TooSlow)?;
            let frame = tokio::time::timeout(left, self.body.frame());
            let data = match frame.await.map_err(|_| ReadError::TooSlow)? {
                None => break,
                Some(Err(_)) => return Err(ReadError::Broken),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(_trailers) => continue,
                },
            };
            let total = bytes.len() + data.len();
            if total > limit {
                return Err(ReadError::TooLarge);
            }
            if total > bytes.capacity() {
                let room = room(total, bytes.capacity(), declared);
                self.take(room - bytes.capacity())?;
                bytes.reserve_exact(room - bytes.len());
            }
            bytes.extend_from_slice(&data);
        }
        self.release(bytes.capacity() - bytes.len());
        bytes.shrink_to_fit();
        Ok(bytes.into())
    }

    fn try_reserve(&mut self, bytes: usize) -> bool {
        self.take(bytes).is_ok()
    }
}

/// Room for so many bytes where there is too little: twice as much as before, so that growing costs
/// little, but no more than will come.
fn room(total: usize, before: usize, declared: usize) -> usize {
    let twice = before * 2;
    total.max(if declared > 0 { twice.min(declared) } else { twice })
}

/// Until when so many bytes must have been followed by more.
fn pace_deadline(total: usize) -> Duration {
    START + Duration::from_secs((total / PACE) as u64)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::{Frame, SizeHint};

    use super::*;

    /// A body that comes in pieces, with or without an announced length.
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
            let left = self.0.iter().map(|piece| piece.len() as u64).sum();
            if self.1 { SizeHint::with_exact(left) } else { SizeHint::default() }
        }
    }

    /// What is read of pieces, and what is held of a budget meanwhile and afterwards.
    async fn read(
        sizes: &[usize],
        announced: bool,
        budget: usize,
    ) -> (Result<Bytes, ReadError>, usize) {
        // Each piece is a part of a larger buffer, as it comes from a connection.
        let piece = |n: &usize| Bytes::from(vec![b'x'; *n + 8192]).slice(..*n);
        let body = axum::body::Body::new(Pieces(sizes.iter().map(piece).collect(), announced));
        let semaphore = Arc::new(Semaphore::new(budget));
        let mut incoming = Incoming::new(body, semaphore.clone());
        let read = incoming.read(1 << 20).await;
        let held = budget - semaphore.available_permits();
        drop(incoming);
        assert_eq!(semaphore.available_permits(), budget);
        (read, held)
    }

    #[tokio::test]
    async fn a_body_takes_no_more_memory_than_its_bytes_and_is_counted_with_them() {
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
    async fn bodies_for_which_there_is_no_memory_or_no_limit_are_not_taken() {
        assert!(matches!(read(&[600, 600], true, 1000).await.0, Err(ReadError::NoMemory)));
        assert!(matches!(read(&[600, 600], false, 1000).await.0, Err(ReadError::NoMemory)));
        assert!(matches!(read(&[1 << 20, 1], true, 1 << 22).await.0, Err(ReadError::TooLarge)));
    }

    #[test]
    fn room_grows_by_doubling_up_to_what_is_announced() {
        assert_eq!(room(100, 0, 1000), 100);
        assert_eq!(room(150, 100, 1000), 200);
        assert_eq!(room(700, 600, 1000), 1000);
        assert_eq!(room(700, 600, 0), 1200);
        assert_eq!(room(5000, 600, 1000), 5000);
    }
}
