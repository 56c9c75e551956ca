//! Reading a body with bounds: bytes, time, pace, and the memory of all bodies together. The only
//! place where a sender's body is read.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hookward_engine::accept::{ReadBody, ReadError};
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
    fn hold(&mut self, bytes: usize) -> Result<(), ReadError> {
        let permits = u32::try_from(bytes).map_err(|_| ReadError::NoRoom)?;
        let more =
            self.budget.clone().try_acquire_many_owned(permits).map_err(|_| ReadError::NoRoom)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

impl ReadBody for Incoming {
    async fn read(&mut self, limit: usize) -> Result<Bytes, ReadError> {
        let start = Instant::now();
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        let mut total = 0;
        loop {
            let elapsed = start.elapsed();
            let allowed = pace_deadline(total).min(WHOLE);
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
            total += data.len();
            if total > limit {
                return Err(ReadError::TooLarge);
            }
            self.hold(data.len())?;
            // Most bodies come in one piece, which then needs no copy.
            match (&first, rest.is_empty()) {
                (None, true) => first = Some(data),
                (Some(one), true) => {
                    rest.extend_from_slice(one);
                    rest.extend_from_slice(&data);
                }
                _ => rest.extend_from_slice(&data),
            }
        }
        Ok(if rest.is_empty() { first.unwrap_or_default() } else { rest.freeze() })
    }
}

/// Until when so many bytes must have been followed by more.
fn pace_deadline(total: usize) -> Duration {
    START + Duration::from_secs((total / PACE) as u64)
}
