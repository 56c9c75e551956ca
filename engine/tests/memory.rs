//! The store kit's suite over the `memory:` store, and its own rule about a clock that is set back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::time::Duration;

use hookward_core::store::{ClaimRequest, JobOutcome, Settlement};
use hookward_core::{Store, Timestamp};
use hookward_engine::memory::MemoryStore;
use hookward_testkit::store::{Subject, delivery, now};

struct Memory;

#[async_trait::async_trait]
impl Subject for Memory {
    async fn open(&self, _now: Timestamp) -> Arc<dyn Store> {
        Arc::new(MemoryStore::new())
    }
}

hookward_testkit::store_suite!(Memory);

#[tokio::test]
async fn a_job_released_after_the_clock_was_set_back_is_due() {
    let store = MemoryStore::new();
    let claim = async |now: Timestamp| {
        let lease_until = now.plus(Duration::from_secs(30));
        let slots = vec![("orders".into(), 1)];
        store.claim(ClaimRequest::new(now, lease_until, slots)).await.unwrap()
    };
    let ahead = now().plus(Duration::from_secs(6 * 3600));
    let early = delivery("a").with_received_at(ahead);
    store.accept(vec![early]).await.unwrap();
    let job = claim(ahead).await.remove(0);
    assert!(claim(now()).await.is_empty());
    let settlement = Settlement::Released { step: None, body: None };
    store.settle(vec![JobOutcome::new(job.lease, settlement)]).await.unwrap();
    assert_eq!(claim(now()).await.len(), 1);
}
