//! Reads a request body within four bounds: its size, its total time, its pace, and the memory that
//! its client may take (`body_memory.rs`). The only place where a sender's body is read.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::HttpBody;
use bytes::Bytes;
use hookward_engine::ingest::{ReadBody, ReadError};
use http_body_util::BodyExt;
use hyper::body::Frame;
use tokio::time::{Instant, sleep_until};

use crate::body_memory::{BodyBuffer, BodyMemory};
use crate::connection_table::ConnectionProgress;

/// A body that is not complete within this time is answered with 408. Senders give up on their side
/// after 5 to 30 s, so a slower body would be sent again anyway.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The slowest pace, in bytes a second. Without it, a peer that sends a byte now and then would hold
/// its connection and its memory for the whole [`BODY_TIMEOUT`].
const MIN_BYTES_PER_SECOND: usize = 1024;

/// A body must also arrive at this part of what it holds each second. What it holds took at most
/// [`BODY_TIMEOUT`], so this is a quarter of the pace that it has had.
const MIN_PACE_DIVISOR: usize = 40;

/// Frames between two readings of the clock while none needs to be waited for.
const FRAMES_PER_CHECK: usize = 64;

/// The pace is that of the last two intervals. A network that is interrupted for one of them is no
/// slow sender.
const PACE_INTERVAL: Duration = Duration::from_secs(1);

/// A body that has not been read, with its share of the memory for bodies.
///
/// The share is held until this is dropped. The engine drops it after the store has answered or the
/// request is rejected, so the memory counts bytes for as long as they exist.
pub(crate) struct BoundedBody {
    body: axum::body::Body,
    buffer: BodyBuffer,
    /// Of the connection; `None` with another listener than this server's.
    progress: Option<ConnectionProgress>,
}

impl BoundedBody {
    /// A body that `client` sends, read into `memory`.
    pub(crate) fn new(body: axum::body::Body, memory: Arc<BodyMemory>, client: IpAddr) -> Self {
        Self { body, buffer: BodyBuffer::new(memory, client), progress: None }
    }

    /// Reports to the connection when the body is complete and when it is proven.
    pub(crate) fn with_progress(mut self, progress: Option<ConnectionProgress>) -> Self {
        self.progress = progress;
        self
    }

    /// The next frame, `None` at the end.
    async fn next_frame(&mut self, pace: &mut Pace) -> Result<Option<Frame<Bytes>>, ReadError> {
        // Without a timer at first, because most bodies arrive together with their heads.
        let body = &mut self.body;
        let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut *body).poll_frame(cx))).await;
        let mut frame = match polled {
            Poll::Ready(frame) => Some(frame),
            Poll::Pending => None,
        };
        loop {
            if let Some(frame) = frame.take() {
                // Also while frames are ready: a peer can send small ones so fast that none has
                // to be waited for.
                pace.frames += 1;
                if pace.frames.is_multiple_of(FRAMES_PER_CHECK) {
                    pace.check(Instant::now(), self.buffer.len())?;
                }
                return frame.transpose().map_err(|_| ReadError::Broken);
            }
            pace.check(Instant::now(), self.buffer.len())?;
            self.buffer.mark_arriving();
            tokio::select! {
                biased;
                next = self.body.frame() => frame = Some(next),
                () = self.buffer.evicted() => return Err(ReadError::NoMemory),
                () = sleep_until(pace.next_check()) => {}
            }
        }
    }
}

impl ReadBody for BoundedBody {
    async fn read(&mut self, limit: usize) -> Result<Bytes, ReadError> {
        let declared = usize::try_from(self.body.size_hint().exact().unwrap_or(0)).unwrap_or(0);
        let mut pace = Pace::start(self.buffer.start());
        loop {
            let frame = match self.next_frame(&mut pace).await {
                Ok(frame) => frame,
                Err(e) => {
                    if e == ReadError::TooSlow {
                        self.buffer.charge();
                    }
                    return Err(e);
                }
            };
            let Some(frame) = frame else {
                let bytes = self.buffer.finish().await?;
                if let Some(progress) = &self.progress {
                    progress.proving();
                }
                return Ok(bytes);
            };
            let Ok(data) = frame.into_data() else { continue };
            // Before the bytes are copied: a body without Content-Length shows its size only here.
            if self.buffer.len() + data.len() > limit {
                return Err(ReadError::TooLarge);
            }
            // Copied, never kept as it came: a frame is a slice of its connection's read buffer, and
            // would keep all of that in memory until its event is stored.
            self.buffer.append(&data, declared)?;
            pace.count(data.len());
        }
    }

    fn try_reserve(&mut self, bytes: usize) -> bool {
        self.buffer.try_reserve(bytes)
    }

    fn mark_proven(&mut self) {
        self.buffer.mark_proven();
        if let Some(progress) = &self.progress {
            progress.proven();
        }
    }
}

/// The pace of a body over a window of two intervals, which slides by one.
#[derive(Debug)]
struct Pace {
    start: Instant,
    interval_end: Instant,
    /// Bytes of the interval before the present one; `None` in the first.
    previous: Option<usize>,
    current: usize,
    frames: usize,
}

impl Pace {
    fn start(now: Instant) -> Self {
        Self {
            start: now,
            interval_end: now + PACE_INTERVAL,
            previous: None,
            current: 0,
            frames: 0,
        }
    }

    fn count(&mut self, bytes: usize) {
        self.current += bytes;
    }

    /// When the pace must be looked at even if nothing arrives.
    fn next_check(&self) -> Instant {
        self.interval_end.min(self.start + BODY_TIMEOUT)
    }

    /// Whether a body that holds `held` bytes arrives fast enough.
    fn check(&mut self, now: Instant, held: usize) -> Result<(), ReadError> {
        if now >= self.start + BODY_TIMEOUT {
            return Err(ReadError::TooSlow);
        }
        // At most as often as there are intervals in the time of a body.
        while now >= self.interval_end {
            let bytes_per_second = MIN_BYTES_PER_SECOND.max(held / MIN_PACE_DIVISOR);
            if self.previous.is_some_and(|previous| previous + self.current < 2 * bytes_per_second)
            {
                return Err(ReadError::TooSlow);
            }
            self.previous = Some(std::mem::take(&mut self.current));
            self.interval_end += PACE_INTERVAL;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::{Frame, SizeHint};

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

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
        let memory = BodyMemory::new(budget, 0);
        let mut bounded = BoundedBody::new(body, memory.clone(), CLIENT);
        let read = bounded.read(1 << 20).await;
        let held = memory.used();
        drop(bounded);
        assert_eq!(memory.used(), 0);
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

    /// A body that arrives in pieces, each this long after the one before it, and then stalls.
    async fn read_slowly(pieces: &[(u64, usize)]) -> (Option<ReadError>, Duration) {
        let (sender, receiver) = tokio::sync::mpsc::channel::<usize>(1);
        let pieces = pieces.to_vec();
        tokio::spawn(async move {
            for (ms, bytes) in pieces {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                let _ = sender.send(bytes).await;
            }
            std::future::pending::<()>().await;
            drop(sender);
        });
        let body = axum::body::Body::new(Channel(receiver));
        let mut bounded = BoundedBody::new(body, BodyMemory::new(64 << 20, 0), CLIENT);
        let start = Instant::now();
        let read = tokio::time::timeout(Duration::from_secs(20), bounded.read(10 << 20)).await;
        (read.unwrap().err(), start.elapsed())
    }

    struct Channel(tokio::sync::mpsc::Receiver<usize>);

    impl HttpBody for Channel {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let piece = std::task::ready!(self.0.poll_recv(cx));
            Poll::Ready(piece.map(|n| Ok(Frame::data(vec![b'x'; n].into()))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_arrives_fast_and_then_stalls_is_ended_within_three_seconds() {
        for bytes in [10 << 20, 100_000, 5000] {
            let (error, after) = read_slowly(&[(0, bytes - 1)]).await;
            assert_eq!(error, Some(ReadError::TooSlow));
            assert!(after <= 3 * PACE_INTERVAL, "{bytes} bytes: {after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_below_the_slowest_pace_is_ended_after_two_seconds() {
        let (error, after) = read_slowly(&[(500, 400); 30]).await;
        assert_eq!((error, after), (Some(ReadError::TooSlow), 2 * PACE_INTERVAL));
        let (error, after) = read_slowly(&[]).await;
        assert_eq!((error, after), (Some(ReadError::TooSlow), 2 * PACE_INTERVAL));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_at_the_slowest_pace_has_ten_seconds() {
        let (error, after) = read_slowly(&[(400, 600); 30]).await;
        assert_eq!((error, after), (Some(ReadError::TooSlow), BODY_TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_must_arrive_at_a_pace_that_fits_its_size() {
        let trickle = std::iter::once((0, 8 << 20)).chain([(500, 2000); 30]);
        let (error, after) = read_slowly(&trickle.collect::<Vec<_>>()).await;
        assert_eq!((error, after), (Some(ReadError::TooSlow), 3 * PACE_INTERVAL));
        // A megabyte a second, with an interruption of a second.
        let steady = std::iter::repeat_n((250, 250_000), 8).chain([(1250, 250_000); 1]);
        let steady = steady.chain(std::iter::repeat_n((250, 250_000), 25));
        let (error, after) = read_slowly(&steady.collect::<Vec<_>>()).await;
        assert_eq!((error, after), (Some(ReadError::TooSlow), BODY_TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_in_endless_small_frames_has_ten_seconds() {
        /// Has a frame at every third call; ends after many, so that a failure is no endless loop.
        struct Endless(usize);
        impl HttpBody for Endless {
            type Data = Bytes;
            type Error = Infallible;

            fn poll_frame(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
                self.0 += 1;
                match self.0 {
                    1_000_000.. => Poll::Ready(None),
                    n if n % 3 == 0 => Poll::Ready(Some(Ok(Frame::data(Bytes::new())))),
                    _ => {
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                }
            }
        }
        let body = axum::body::Body::new(Endless(0));
        let mut bounded = BoundedBody::new(body, BodyMemory::new(1 << 20, 0), CLIENT);
        tokio::spawn(async {
            for _ in 0..200 {
                tokio::time::advance(Duration::from_millis(100)).await;
            }
        });
        assert_eq!(bounded.read(1 << 20).await, Err(ReadError::TooSlow));
    }
}
