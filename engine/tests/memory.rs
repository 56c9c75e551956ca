//! The promises of every store, kept by `memory:`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use hookward_core::{Store, Timestamp};
use hookward_engine::memory::MemoryStore;
use hookward_testkit::store::Subject;

struct Memory;

#[async_trait::async_trait]
impl Subject for Memory {
    async fn open(&self, _now: Timestamp) -> Arc<dyn Store> {
        Arc::new(MemoryStore::new())
    }
}

hookward_testkit::store_suite!(Memory);
