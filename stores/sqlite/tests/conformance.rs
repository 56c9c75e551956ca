//! The conformance suite of all stores, and the model test, on files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use hookward_core::{Store, Timestamp};
use hookward_store_sqlite::SqliteStore;
use hookward_testkit::store::Subject;

struct File(tempfile::TempDir);

#[async_trait::async_trait]
impl Subject for File {
    async fn open(&self, now: Timestamp) -> Arc<dyn Store> {
        Arc::new(
            SqliteStore::open(
                self.0.path().join("hookward.db"),
                now,
                hookward_testkit::store::POLICY,
            )
            .await
            .unwrap(),
        )
    }
}

hookward_testkit::store_suite!(File(tempfile::tempdir().unwrap()));

#[test]
fn operations_in_random_order_agree_with_the_model() {
    hookward_testkit::store::model::check(|| File(tempfile::tempdir().unwrap()));
}
