//! Memory that bodies take: their bytes, and their parsed JSON. Accounted in one place, a
//! [`BodyBudget`] that lives exactly as long as the bytes do.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hookward_core::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::client_ip::client_group;
use super::rejection::{ReadError, Rejection};

/// Memory for the JSON that the bodies of one client are parsed into at the same time. Also the most
/// that one body may take.
const MAX_JSON_MEMORY_BYTES: usize = 64 * 1024 * 1024;
/// The same for all clients together: one whose proofs take long, as while a key is fetched, leaves
/// as much to the others.
const TOTAL_JSON_MEMORY_BYTES: usize = 2 * MAX_JSON_MEMORY_BYTES;
/// The number of clients at which those are forgotten that have no body.
const MAX_IDLE_CLIENTS: usize = 1024;
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

    /// The sender is proven. Until then, one client may hold less memory for bodies that are
    /// complete, because nobody can take it back.
    fn mark_proven(&mut self) {}
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
pub(super) struct JsonMemory {
    total: Arc<Semaphore>,
    /// What each client may take. An entry is used while a body has its semaphore.
    clients: Arc<Mutex<HashMap<Option<IpAddr>, Arc<Semaphore>>>>,
}

impl Default for JsonMemory {
    fn default() -> Self {
        let total = Arc::new(Semaphore::new(TOTAL_JSON_MEMORY_BYTES));
        Self { total, clients: Arc::default() }
    }
}

/// JSON memory that is reserved for a body: the client's part and that of all.
#[derive(Debug)]
struct ReservedJson {
    _client: OwnedSemaphorePermit,
    _total: OwnedSemaphorePermit,
}

impl JsonMemory {
    /// Reserves what parsing this body may take at most; `None` for a body so small that it need
    /// not.
    async fn reserve(
        &self,
        body: &Body,
        client: Option<IpAddr>,
    ) -> Result<Option<ReservedJson>, Rejection> {
        if body.memory_size() <= MAX_UNRESERVED_BODY_BYTES {
            return Ok(None);
        }
        // Capped: a body that could take more than everything would wait for ever. Parsing stops at
        // the cap.
        let bytes = body.max_memory_size().min(MAX_JSON_MEMORY_BYTES);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let client = self.client(client.map(client_group));
        // First that of the client: who waits for it must not hold what others wait for.
        let reserved = timeout(JSON_MEMORY_TIMEOUT, async {
            let client = client.acquire_many_owned(bytes).await.ok()?;
            let total = self.total.clone().acquire_many_owned(bytes).await.ok()?;
            Some(ReservedJson { _client: client, _total: total })
        });
        // The semaphores are never closed, so permits are always there.
        reserved.await.map_err(|_| Rejection::QueueFull)
    }

    fn client(&self, client: Option<IpAddr>) -> Arc<Semaphore> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MAX_IDLE_CLIENTS {
            clients.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        let new = || Arc::new(Semaphore::new(MAX_JSON_MEMORY_BYTES));
        clients.entry(client).or_insert_with(new).clone()
    }
}

/// What one request holds of the memory for bodies. Dropping it releases everything.
pub(super) struct BodyBudget<B> {
    /// Holds what the server counts for the bytes in flight.
    reader: B,
    /// Held from before the proof, which may parse JSON, until [`Self::count_parsed_json`].
    json: Option<ReservedJson>,
}

impl<B: ReadBody> BodyBudget<B> {
    /// Reads a body; `read_as` makes it of its bytes.
    pub(super) async fn read(
        mut reader: B,
        limit: usize,
        read_as: impl FnOnce(Bytes) -> Body,
    ) -> Result<(Body, Self), Rejection> {
        let body = read_as(reader.read(limit).await?);
        Ok((body, Self { reader, json: None }))
    }

    /// Reserves the memory in which the body is parsed. Before the proof: some providers parse the
    /// body to find the signature in it.
    pub(super) async fn reserve_json(
        &mut self,
        body: &Body,
        client: Option<IpAddr>,
        json_memory: &JsonMemory,
    ) -> Result<(), Rejection> {
        self.json = json_memory.reserve(body, client).await?;
        Ok(())
    }

    /// Reserves memory for `bytes` of decompressed content.
    pub(super) fn reserve_content(&mut self, bytes: usize) -> Result<(), Rejection> {
        match self.reader.try_reserve(bytes) {
            true => Ok(()),
            false => Err(Rejection::Body(ReadError::NoMemory)),
        }
    }

    /// The sender of the body is proven.
    pub(super) fn mark_proven(&mut self) {
        self.reader.mark_proven();
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

/// Decompresses a proven body on a blocking thread, so that the next stages find its content. Where
/// that is not possible, they find out why.
pub(super) async fn decompress(body: &Body) {
    let body = body.clone();
    let _ = spawn_blocking(move || body.content().is_ok()).await;
}

/// Parses a large body on a blocking thread. A small one is parsed by whichever stage reads it
/// first.
pub(super) async fn parse_large_json(body: &Body) {
    if body.memory_size() > MAX_INLINE_PARSE_BYTES {
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

    /// Reads a body of this client and reserves its JSON memory.
    async fn read(
        reader: Reader,
        client: u8,
        memory: &JsonMemory,
    ) -> Result<(Body, BodyBudget<Reader>), Rejection> {
        let (body, mut budget) = BodyBudget::read(reader, 0, Body::new).await?;
        let client = IpAddr::from([192, 0, 2, client]);
        budget.reserve_json(&body, Some(client), memory).await?;
        Ok((body, budget))
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_is_rejected_while_others_of_its_client_hold_the_json_memory() {
        let memory = JsonMemory::default();
        let huge = || Reader(vec![b' '; MAX_JSON_MEMORY_BYTES / 10].into(), true);
        let (_, first) = read(huge(), 1, &memory).await.unwrap();
        assert!(matches!(read(huge(), 1, &memory).await, Err(Rejection::QueueFull)));
        let small = read(Reader(Bytes::from_static(b"[]"), true), 1, &memory).await;
        assert!(small.is_ok(), "a small body needs no reservation");
        // One client leaves memory to another, and two leave none to a third.
        let (_, other) = read(huge(), 2, &memory).await.unwrap();
        assert!(matches!(read(huge(), 3, &memory).await, Err(Rejection::QueueFull)));
        drop((first, other));
        assert!(read(huge(), 3, &memory).await.is_ok());
    }

    #[tokio::test]
    async fn clients_without_a_body_are_forgotten() {
        let memory = JsonMemory::default();
        for n in 0..5000_u32 {
            memory.client(Some(IpAddr::from(n.to_be_bytes())));
        }
        assert!(memory.clients.lock().unwrap().len() <= MAX_IDLE_CLIENTS);
    }

    #[tokio::test]
    async fn parsed_json_is_dropped_where_there_is_no_memory_to_keep_it() {
        let memory = JsonMemory::default();
        for has_memory in [true, false] {
            let reader = Reader(large_json(), has_memory);
            let (mut body, mut budget) = read(reader, 1, &memory).await.unwrap();
            assert!(memory.total.available_permits() < TOTAL_JSON_MEMORY_BYTES);
            assert!(body.json().is_ok());
            budget.count_parsed_json(&mut body);
            assert_eq!(body.memory_size() > body.bytes().len(), has_memory);
            assert_eq!(memory.total.available_permits(), TOTAL_JSON_MEMORY_BYTES, "it is released");
        }
    }
}
