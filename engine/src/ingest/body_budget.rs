//! Memory that bodies take: their bytes, and their parsed JSON. Accounted in one place, a
//! [`BodyBudget`] that lives exactly as long as the bytes do.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookward_core::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::rejection::{ReadError, Rejection};

/// Memory for all JSON that is being parsed at the same time. Also the most that one body may take.
const MAX_JSON_MEMORY_BYTES: usize = 64 * 1024 * 1024;
/// Bodies up to this size reserve no JSON memory: at most one per thread is parsed at a time, so
/// that all of them together take little.
const MAX_UNRESERVED_BODY_BYTES: usize = 64 * 1024;
/// Bodies over this size are parsed and dropped on a blocking thread: both take long enough to
/// delay the other requests of a runtime thread.
const MAX_INLINE_PARSE_BYTES: usize = 256 * 1024;
/// How long a request waits for JSON memory before it is rejected as overloaded.
const JSON_MEMORY_TIMEOUT: Duration = Duration::from_secs(2);

/// A body that has not been read yet. The server bounds the time of a read; the source bounds its
/// size.
///
/// The value is kept until the store has answered, even where the sender no longer waits. Memory
/// that it reserves for the bytes is released when it is dropped.
pub trait ReadBody: Send + 'static {
    /// Reads the body, at most `limit` bytes. Called once.
    fn read(&mut self, limit: usize) -> impl Future<Output = Result<Bytes, ReadError>> + Send;

    /// Reserves memory for `bytes` more than were read, until this value is dropped. Returns
    /// `false` where there is not enough, and then reserves nothing.
    fn try_reserve(&mut self, _bytes: usize) -> bool {
        true
    }
}

/// A body that is in memory already. It reserves nothing.
impl ReadBody for Bytes {
    async fn read(&mut self, limit: usize) -> Result<Bytes, ReadError> {
        if self.len() > limit { Err(ReadError::TooLarge) } else { Ok(std::mem::take(self)) }
    }
}

/// The memory in which bodies are parsed as JSON, shared by all requests of a process. Small JSON
/// values take up to a hundred times their text, so the text's size is no bound.
#[derive(Debug, Clone)]
pub(super) struct JsonMemory(Arc<Semaphore>);

impl Default for JsonMemory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_JSON_MEMORY_BYTES)))
    }
}

impl JsonMemory {
    /// Reserves what parsing this body may take at most; `None` for a body so small that it need
    /// not.
    async fn reserve(&self, body: &Body) -> Result<Option<OwnedSemaphorePermit>, Rejection> {
        if body.bytes().len() <= MAX_UNRESERVED_BODY_BYTES {
            return Ok(None);
        }
        // Capped: a body that could take more than everything would wait for ever. Parsing stops at
        // the cap.
        let bytes = body.max_memory_size().min(MAX_JSON_MEMORY_BYTES);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        match timeout(JSON_MEMORY_TIMEOUT, self.0.clone().acquire_many_owned(bytes)).await {
            // The semaphore is never closed, so a permit is always there.
            Ok(permit) => Ok(permit.ok()),
            Err(_) => Err(Rejection::QueueFull),
        }
    }
}

/// What one request holds of the memory for bodies. Dropping it releases everything.
pub(super) struct BodyBudget<B> {
    /// Holds what the server counts for the bytes in flight.
    reader: B,
    /// Held from before the proof, which may parse JSON, until [`Self::count_parsed_json`].
    json: Option<OwnedSemaphorePermit>,
}

impl<B: ReadBody> BodyBudget<B> {
    /// Reads a body, and reserves the memory in which it is parsed.
    pub(super) async fn read(
        mut reader: B,
        limit: usize,
        json_memory: &JsonMemory,
    ) -> Result<(Body, Self), Rejection> {
        let body = Body::new(reader.read(limit).await?);
        // Before the proof: some providers parse the body to find the signature in it.
        let json = json_memory.reserve(&body).await?;
        Ok((body, Self { reader, json }))
    }

    /// Counts the parsed JSON as bytes in flight, because it stays with the delivery until the
    /// store has answered. Where there is no memory for that, drops it: the first step that needs
    /// it parses again.
    pub(super) fn count_parsed_json(&mut self, body: &mut Body) {
        if !self.reader.try_reserve(body.memory_size() - body.bytes().len()) {
            drop_parsed_json(body);
        }
        // The value is counted elsewhere or gone, so the next body may be parsed.
        self.json = None;
    }
}

/// Parses a large body on a blocking thread. A small one is parsed by whichever stage reads it
/// first.
pub(super) async fn parse_large_json(body: &Body) {
    if body.bytes().len() > MAX_INLINE_PARSE_BYTES {
        let body = body.clone();
        let _ = spawn_blocking(move || body.json().is_ok()).await;
    }
}

/// Replaces the body by one that was never parsed. Freeing millions of JSON values takes as long as
/// parsing them, so a large one is freed on a blocking thread.
fn drop_parsed_json(body: &mut Body) {
    let parsed = std::mem::replace(body, body.without_parsed_json());
    if parsed.bytes().len() > MAX_INLINE_PARSE_BYTES {
        drop(spawn_blocking(move || drop(parsed)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body in memory, and whether there is memory for its parsed JSON.
    struct Reader(Bytes, bool);

    impl ReadBody for Reader {
        async fn read(&mut self, _: usize) -> Result<Bytes, ReadError> {
            Ok(self.0.clone())
        }

        fn try_reserve(&mut self, _: usize) -> bool {
            self.1
        }
    }

    fn large_json() -> Bytes {
        format!("[{}0]", "0,".repeat(MAX_UNRESERVED_BODY_BYTES)).into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_is_rejected_while_other_bodies_hold_the_json_memory() {
        let memory = JsonMemory::default();
        let (_, other) = BodyBudget::read(Reader(large_json(), true), 0, &memory).await.unwrap();
        let free = u32::try_from(memory.0.available_permits()).unwrap();
        let rest = memory.0.clone().try_acquire_many_owned(free).unwrap();
        let rejected = BodyBudget::read(Reader(large_json(), true), 0, &memory).await;
        assert!(matches!(rejected, Err(Rejection::QueueFull)));
        let small = BodyBudget::read(Reader(Bytes::from_static(b"[]"), true), 0, &memory).await;
        assert!(small.is_ok(), "a small body needs no reservation");
        drop((other, rest));
        assert!(BodyBudget::read(Reader(large_json(), true), 0, &memory).await.is_ok());
    }

    #[tokio::test]
    async fn parsed_json_is_dropped_where_there_is_no_memory_to_keep_it() {
        let memory = JsonMemory::default();
        for has_memory in [true, false] {
            let reader = Reader(large_json(), has_memory);
            let (mut body, mut budget) = BodyBudget::read(reader, 0, &memory).await.unwrap();
            assert!(memory.0.available_permits() < MAX_JSON_MEMORY_BYTES);
            assert!(body.json().is_ok());
            budget.count_parsed_json(&mut body);
            assert_eq!(body.memory_size() > body.bytes().len(), has_memory);
            assert_eq!(memory.0.available_permits(), MAX_JSON_MEMORY_BYTES, "it is released");
        }
    }
}
