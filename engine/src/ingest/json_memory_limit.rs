//! How much memory bodies take while they are read as JSON: small parts of one take a hundred times
//! their text. Held from before the proof, which may read some, until the record of the delivery is made.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::Body;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::ingest::rejection::Rejection;

/// What all bodies that are being read may take together; also the most that one may.
const MEMORY: usize = 64 * 1024 * 1024;
/// Smaller bodies take little enough, a few at a time as there are threads.
const SMALL: usize = 64 * 1024;
/// Longer than this nobody waits for memory.
const PATIENCE: Duration = Duration::from_secs(2);
/// JsonMemoryLimit a larger one takes so long that others would feel it.
const LONG: usize = 256 * 1024;

#[derive(Debug, Clone)]
pub(crate) struct JsonMemoryLimit(Arc<Semaphore>);

impl Default for JsonMemoryLimit {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MEMORY)))
    }
}

impl JsonMemoryLimit {
    /// Waits until there is memory to read this one, but not for long.
    pub(crate) async fn may_begin(
        &self,
        body: &Body,
    ) -> Result<Option<SemaphorePermit<'_>>, Rejection> {
        if body.bytes().len() <= SMALL {
            return Ok(None);
        }
        let most = u32::try_from(body.max_memory_size().min(MEMORY)).unwrap_or(u32::MAX);
        match timeout(PATIENCE, self.0.acquire_many(most)).await {
            Ok(permit) => Ok(permit.ok()),
            Err(_) => Err(Rejection::QueueFull),
        }
    }

    /// Reads a large one where nobody waits for it; a small one is read by whoever looks at it first.
    pub(crate) async fn beforehand(body: &Body) {
        if body.bytes().len() > LONG {
            let body = body.clone();
            let _ = spawn_blocking(move || body.json().is_ok()).await;
        }
    }

    /// Forgets what was read. Large ones take their time for that, too.
    pub(crate) fn drop_parsed_json(body: &mut Body) {
        let read = std::mem::replace(body, body.without_parsed_json());
        if read.bytes().len() > LONG {
            drop(spawn_blocking(move || drop(read)));
        }
    }
}
