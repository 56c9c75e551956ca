//! A store with known events, as a close and as a kill leave its files, and all that the oracle
//! knows of the events.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookward_core::store::{
    AttemptOutcome, AttemptRecord, Cause, ClaimRequest, DedupeKey, DedupeKeyKind, Job, JobOutcome,
    NewDelivery, NewEvent, NewJob, NewStatus, Settlement,
};
use hookward_core::{Body, EventId, Reply, Store, Timestamp};
use hookward_store_sqlite::SqliteStore;

/// Deliveries in the store.
pub(crate) const DELIVERIES: usize = 60;

/// The bytes of a database and of its write-ahead log, which is empty after a close.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) db: Vec<u8>,
    pub(crate) log: Vec<u8>,
}

impl Files {
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let db = std::fs::read(folder.join("a.db")).map_err(|e| e.to_string())?;
        let log = std::fs::read(folder.join("a.db-wal")).unwrap_or_default();
        Ok(Self { db, log })
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), String> {
        std::fs::write(folder.join("a.db"), &self.db).map_err(|e| e.to_string())?;
        if self.log.is_empty() {
            return Ok(());
        }
        std::fs::write(folder.join("a.db-wal"), &self.log).map_err(|e| e.to_string())
    }
}

/// Start of the answer to the first request of each delivery.
pub(crate) const FIRST_ANSWER: &str = "accepted as";

/// The files and the expectations, by Hookward's event id.
pub(crate) struct Fixture {
    pub(crate) deliveries: HashMap<EventId, NewDelivery>,
    /// Bytes that the next step must get.
    pub(crate) bodies: HashMap<EventId, Vec<u8>>,
    /// Step at which the job continues.
    pub(crate) steps: HashMap<EventId, Option<String>>,
    /// Error texts of the recorded attempts.
    pub(crate) attempts: HashMap<EventId, Vec<String>>,
    /// Events without open jobs.
    pub(crate) closed_events: HashSet<EventId>,
    /// All events in the order of acceptance.
    pub(crate) order: Vec<EventId>,
    /// Files after a close.
    pub(crate) closed: Files,
    /// Files after a kill.
    pub(crate) killed: Files,
}

/// The time of all calls.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(1_760_000_000)
}

/// Returns the n-th delivery. Bodies have 60 bytes to 20 KB; every tenth delivery has two events.
pub(crate) fn delivery(n: usize, answer: &str) -> NewDelivery {
    let text =
        format!("{{\"n\":{n},\"text\":\"{}\"}}", "the body of this event, ".repeat(n * n / 5));
    let event = |item: usize| {
        let hash = |salt: u128| {
            let n = u128::try_from(2 * n + item).unwrap_or_default() + 1;
            (n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) ^ salt).to_be_bytes()
        };
        NewEvent::new(EventId::generate(now()), NewStatus::Routed)
            .with_event_type(format!("order.paid.{}", n % 5))
            .with_event_id(format!("evt_{n}_{item}"))
            .with_keys(vec![
                DedupeKey::new(DedupeKeyKind::Id, hash(0)),
                DedupeKey::new(DedupeKeyKind::Content, hash(1 << 90)),
            ])
            .with_notes(vec![format!("a note on {n}")])
            .with_jobs(vec![NewJob::new("orders")])
    };
    NewDelivery::new(
        "partner",
        Body::new(text),
        now(),
        Reply::text(http::StatusCode::OK, format!("{answer} {n}")),
    )
    .with_headers(Arc::from([("x-number".to_owned(), format!("number {n}"))]))
    .with_dedupe_since(now().minus(Duration::from_secs(86_400)))
    .with_events((0..1 + usize::from(n.is_multiple_of(10))).map(event).collect())
}

/// Claims jobs.
pub(crate) async fn claim(store: &SqliteStore, slots: usize) -> Result<Vec<Job>, String> {
    let lease_until = now().plus(Duration::from_secs(30));
    let slots = vec![("orders".into(), slots)];
    let want = ClaimRequest::new(now(), lease_until, slots).with_max_unrouted(9);
    store.claim(want).await.map_err(|e| e.to_string())
}

fn record(job: &Job, outcome: AttemptOutcome) -> AttemptRecord {
    AttemptRecord::new(job.attempt, now().to_string(), outcome)
        .with_step("send".to_owned())
        .with_duration_ms(3)
        .with_error(format!("the attempt was {outcome}"))
}

impl Fixture {
    /// Accepts all deliveries and settles some of their jobs.
    pub(crate) async fn make() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let path = folder.path().join("a.db");
        let mut fixture = Self {
            deliveries: HashMap::new(),
            bodies: HashMap::new(),
            steps: HashMap::new(),
            attempts: HashMap::new(),
            closed_events: HashSet::new(),
            order: Vec::new(),
            closed: Files { db: Vec::new(), log: Vec::new() },
            killed: Files { db: Vec::new(), log: Vec::new() },
        };
        let store = SqliteStore::open(path.clone(), now(), hookward_engine::STORE_POLICY)
            .await
            .map_err(|e| e.message)?;
        fixture.accept(&store, 0..=DELIVERIES / 2).await?;
        // A close moves the first half into the database; the second half stays in the log.
        store.close().await;
        let store = SqliteStore::open(path, now(), hookward_engine::STORE_POLICY)
            .await
            .map_err(|e| e.message)?;
        fixture.accept(&store, DELIVERIES / 2 + 1..=DELIVERIES - 1).await?;
        fixture.settle_some(&store).await?;
        fixture.killed = Files::read(folder.path())?;
        store.close().await;
        fixture.closed = Files::read(folder.path())?;
        Ok(fixture)
    }

    async fn accept(
        &mut self,
        store: &SqliteStore,
        numbers: std::ops::RangeInclusive<usize>,
    ) -> Result<(), String> {
        for n in numbers {
            let new = delivery(n, FIRST_ANSWER);
            for event in &new.events {
                self.deliveries.insert(event.id, new.clone());
                self.bodies.insert(event.id, new.body.bytes().to_vec());
                self.steps.insert(event.id, None);
                self.order.push(event.id);
            }
            store.accept(vec![new]).await.map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Settles half of the jobs: a third each is done, dead, and to be retried with a replaced
    /// body.
    async fn settle_some(&mut self, store: &SqliteStore) -> Result<(), String> {
        for (n, job) in claim(store, DELIVERIES / 2).await?.into_iter().enumerate() {
            let id = job.event.id();
            let (outcome, settlement) = match n % 3 {
                0 => (AttemptOutcome::Done, Settlement::Done),
                1 => {
                    let reason = format!("rejected {n}");
                    (
                        AttemptOutcome::Error,
                        Settlement::Dead { reason, step: Some("send".to_owned()), body: None },
                    )
                }
                _ => {
                    let body = format!("the replaced body of {n}").into_bytes();
                    self.bodies.insert(id, body.clone());
                    self.steps.insert(id, Some("send".to_owned()));
                    let (step, body) = (Some("send".to_owned()), Some(body.into()));
                    (
                        AttemptOutcome::Error,
                        Settlement::Retry { at: now(), step, body, cause: Cause::Error },
                    )
                }
            };
            if n % 3 < 2 {
                self.closed_events.insert(id);
            }
            self.attempts.insert(id, vec![format!("the attempt was {outcome}")]);
            let attempt = Some(record(&job, outcome));
            let outcome = JobOutcome::new(job.lease, settlement).with_attempt(attempt);
            store.settle(vec![outcome]).await.map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}
