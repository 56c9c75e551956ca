//! The conformance suite of stores, one test for each rule of `docs/spec/store.md`
//! ([`store_suite!`](crate::store_suite)), a model of the contract, and sample deliveries.

mod accepting;
mod browsing;
mod deduping;
mod keeping;
pub mod model;
mod replaying;
mod restarting;
mod sample;
mod working;

pub use sample::{answer, delivery, key, now, with_jobs};

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::store::{ClaimRequest, Job, Store, StorePolicy};
use hookward_core::{EventId, Timestamp};

use crate::spec::{self, Rule, rule_of};

/// The limits that the suite and the model expect of the store under test: open it with them.
pub const POLICY: StorePolicy = StorePolicy::new(3, 100);

/// Opens the store under test.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Opens the store, which is empty at the first call. A call after [`Store::close`] opens the same
    /// store again, as a new owner that starts at `now`.
    async fn open(&self, now: Timestamp) -> Arc<dyn Store>;
}

/// Writes one test for each rule of `docs/spec/store.md`, STORE-1 to STORE-33:
/// `store_suite!(MySubject::new());`. The argument is evaluated once per test. A failing test prints the
/// number and sentence of its rule. The rules about a restart apply to [`durable`](Store::durable) stores.
#[macro_export]
macro_rules! store_suite {
    ($subject:expr) => {
        $crate::store_suite!(@tests $subject;
            store_1_answers_a_repetition_byte_for_byte
            store_2_accepts_a_key_once_within_one_call
            store_3_accepts_a_key_once_among_concurrent_calls
            store_4_accepts_the_new_events_of_a_partly_known_batch
            store_5_records_content_duplicates
            store_6_ignores_keys_older_than_the_window
            store_7_returns_the_bytes_as_accepted
            store_8_gives_each_job_its_batch_item
            store_9_stores_unrouted_and_invalid_events
            store_10_claims_at_most_the_free_slots
            store_11_leases_each_job_once
            store_12_claims_no_job_before_it_is_due
            store_13_runs_an_order_key_one_at_a_time
            store_14_changes_nothing_for_a_stale_lease
            store_15_reclaims_a_job_when_its_lease_ends
            store_16_resumes_a_retry_at_its_step_and_body
            store_17_does_not_count_a_released_attempt
            store_18_revives_a_dead_job_at_its_step
            store_19_replays_a_route_as_a_new_job
            store_20_settles_a_job_without_a_route_as_unrouted
            store_21_purges_expired_events_and_keys
            store_22_lists_newest_first_page_by_page
            store_23_applies_every_filter
            store_24_reports_the_queue_depth
            store_25_reports_that_it_is_closed
            store_26_keeps_events_and_jobs_over_a_restart
            store_27_records_a_crash_and_reruns_the_job
            store_28_dead_letters_a_poison_job
            store_29_keeps_the_state_of_the_retention_clock
            store_30_claims_by_due_and_purges_by_received_at
            store_31_confirms_by_an_unsigned_id
            store_32_bounds_events_by_variant_keys
            store_33_keeps_keys_after_a_purge
        );
    };
    (@tests $subject:expr; $($rule:ident)+) => {
        $(#[test] fn $rule() {
            $crate::store::Suite::run(stringify!($rule), $subject, $crate::store::Suite::$rule);
        })+
    };
}

/// One store under test, with the helpers of the suite.
pub struct Suite {
    subject: Arc<dyn Subject>,
    /// The open store.
    pub store: Arc<dyn Store>,
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Prints the broken rule when its test panics.
struct PrintOnPanic(Rule);

impl Drop for PrintOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("broken: {}", self.0);
        }
    }
}

#[allow(clippy::unwrap_used, reason = "a suite reports by panicking")]
#[allow(clippy::expect_used, reason = "a suite reports by panicking")]
impl Suite {
    /// Opens the store and runs the test of one rule; `name` is the test's name, `store_NUMBER_…`.
    pub fn run<S: Subject + 'static, F: Future<Output = ()>>(
        name: &'static str,
        subject: S,
        test: impl FnOnce(Self) -> F,
    ) {
        let number = name.split('_').nth(1).unwrap_or_default();
        let _print = PrintOnPanic(rule_of(spec::STORE, &format!("STORE-{number}")));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let subject: Arc<dyn Subject> = Arc::new(subject);
            let store = subject.open(now()).await;
            test(Self { subject, store }).await;
        });
    }

    /// Closes the store with its leases still held, and opens it as a new owner.
    async fn restart(&mut self, at: Timestamp) {
        self.store.close().await;
        self.store = self.subject.open(at).await;
    }

    /// Claims up to `slots` jobs of route `orders`, leased for 30 s.
    async fn claim(&self, at: Timestamp, slots: usize) -> Vec<Job> {
        self.store.claim(claim_request(at, slots)).await.expect("a claim")
    }

    /// Claims the only job that waits.
    async fn claim_one(&self, at: Timestamp) -> Job {
        let mut jobs = self.claim(at, 9).await;
        assert_eq!(jobs.len(), 1, "one job waits: {jobs:?}");
        jobs.pop().unwrap()
    }

    /// Accepts one delivery and returns the ids of its events.
    async fn accept(&self, delivery: hookward_core::store::NewDelivery) -> Vec<EventId> {
        let ids = delivery.events.iter().map(|event| event.id).collect();
        self.store.accept(vec![delivery]).await.expect("the delivery is accepted");
        ids
    }
}

fn claim_request(at: Timestamp, slots: usize) -> ClaimRequest {
    let lease_until = at.plus(std::time::Duration::from_secs(30));
    ClaimRequest::new(at, lease_until, vec![("orders".into(), slots)])
}
