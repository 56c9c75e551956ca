//! For authors of stores: the promises of a store, numbered, one test each
//! ([`store_suite!`](crate::store_suite)), and deliveries to try it with.

mod accepting;
mod browsing;
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
use hookward_core::store::{Claim, Job, Store};
use hookward_core::{EventId, Timestamp};

/// Where the stores under test come from.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Opens the store, empty at first. Called again after a [`Store::close`], it opens the same one
    /// anew, as a new owner that came up at `now`.
    async fn open(&self, now: Timestamp) -> Arc<dyn Store>;
}

/// Writes one test for each promise, STORE-1 to STORE-28: `store_suite!(MySubject::new());` The
/// argument is evaluated once per test. A test that fails prints its number. Promises about a
/// restart are tried with stores that say they are [`durable`](Store::durable).
#[macro_export]
macro_rules! store_suite {
    ($subject:expr) => {
        $crate::store_suite!(@tests $subject;
            store_1_answers_a_repetition_byte_for_byte
            store_2_takes_the_same_key_once_in_one_call
            store_3_takes_the_same_key_once_of_many_at_a_time
            store_4_keeps_the_new_events_of_a_partly_known_batch
            store_5_lists_a_repetition_by_bytes_alone
            store_6_forgets_keys_after_their_window
            store_7_keeps_the_bytes_as_received
            store_8_hands_out_each_item_of_a_batch
            store_9_keeps_what_nobody_wants
            store_10_hands_out_no_more_than_there_are_free_slots
            store_11_hands_out_each_job_once
            store_12_keeps_jobs_until_they_are_due
            store_13_runs_an_order_key_one_by_one
            store_14_lets_a_stale_lease_change_nothing
            store_15_runs_a_lost_job_again
            store_16_resumes_where_a_retry_says
            store_17_gives_the_attempt_of_a_released_job_back
            store_18_revives_the_dead
            store_19_replays_as_new_jobs
            store_20_lets_go_of_jobs_without_a_route
            store_21_removes_what_is_past_its_time
            store_22_lists_newest_first_by_pages
            store_23_filters_what_it_lists
            store_24_tells_how_much_waits
            store_25_says_that_it_is_closed
            store_26_keeps_everything_over_a_restart
            store_27_records_a_crash_and_runs_the_job_again
            store_28_stops_a_job_that_kills_the_process
        );
    };
    (@tests $subject:expr; $($promise:ident)+) => {
        $(#[test] fn $promise() {
            $crate::store::Suite::run(stringify!($promise), $subject, $crate::store::Suite::$promise);
        })+
    };
}

/// One store under test, with the shorthands of the suite.
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

/// Names the promise if its test panics.
struct Promise(&'static str);

impl Drop for Promise {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let number = self.0.split('_').nth(1).unwrap_or_default();
            eprintln!("broken promise: STORE-{number} ({})", self.0);
        }
    }
}

#[allow(clippy::unwrap_used, reason = "a suite speaks by panicking")]
#[allow(clippy::expect_used, reason = "a suite speaks by panicking")]
impl Suite {
    /// Opens the store and tries one promise.
    pub fn run<S: Subject + 'static, F: Future<Output = ()>>(
        name: &'static str,
        subject: S,
        promise: impl FnOnce(Self) -> F,
    ) {
        let _promise = Promise(name);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let subject: Arc<dyn Subject> = Arc::new(subject);
            let store = subject.open(now()).await;
            promise(Self { subject, store }).await;
        });
    }

    /// Closes the store as it is, leases and all, and opens it anew.
    async fn restart(&mut self, at: Timestamp) {
        self.store.close().await;
        self.store = self.subject.open(at).await;
    }

    /// Claims up to `slots` jobs of route `orders`, leased for 30 s.
    async fn claim(&self, at: Timestamp, slots: usize) -> Vec<Job> {
        self.store.claim(want(at, slots)).await.expect("a claim")
    }

    /// Claims the one job that should be there.
    async fn claim_one(&self, at: Timestamp) -> Job {
        let mut jobs = self.claim(at, 9).await;
        assert_eq!(jobs.len(), 1, "one job waits: {jobs:?}");
        jobs.pop().unwrap()
    }

    /// Takes one delivery in and says which events it has.
    async fn accept(&self, delivery: hookward_core::store::NewDelivery) -> Vec<EventId> {
        let ids = delivery.events.iter().map(|event| event.id).collect();
        self.store.accept(vec![delivery]).await.expect("room for a delivery");
        ids
    }
}

fn want(at: Timestamp, slots: usize) -> Claim {
    let lease_until = at.plus(std::time::Duration::from_secs(30));
    Claim { now: at, lease_until, slots: vec![("orders".into(), slots)], unknown: 0 }
}
