//! Files with known events in them, and what is known of each: as a clean end, and as a kill leaves them.
//! Used by the suite `flips`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hookward_core::store::{
    AttemptRecord, Claim, DedupeKey, Job, JobOutcome, KeyKind, NewDelivery, NewEvent, NewJob,
    NewStatus, Settlement,
};
use hookward_core::{Body, EventId, Reply, Store, Timestamp};
use hookward_store_sqlite::SqliteStore;

/// So many events.
pub(crate) const EVENTS: usize = 60;

/// A database and its log, if there is one.
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

/// What is known of the events, by our ids.
pub(crate) struct Known {
    pub(crate) deliveries: HashMap<EventId, NewDelivery>,
    /// The bytes that the next step should get.
    pub(crate) bodies: HashMap<EventId, Vec<u8>>,
    /// The step at which it goes on.
    pub(crate) steps: HashMap<EventId, Option<String>>,
    /// Words of the attempts that were made.
    pub(crate) attempts: HashMap<EventId, Vec<String>>,
    /// Those whose work had ended.
    pub(crate) ended: HashMap<EventId, &'static str>,
    /// In the order of acceptance.
    pub(crate) order: Vec<EventId>,
    /// As a clean end leaves them, and as a kill does.
    pub(crate) clean: Files,
    pub(crate) killed: Files,
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(1_760_000_000)
}

/// The n-th delivery: bodies of 60 bytes to 20 KB, every tenth of two events.
pub(crate) fn delivery(n: usize, answer: &str) -> NewDelivery {
    let text =
        format!("{{\"n\":{n},\"text\":\"{}\"}}", "the body of this event, ".repeat(n * n / 5));
    let event = |part: usize| {
        let hash = |salt: u128| {
            let n = u128::try_from(2 * n + part).unwrap_or_default() + 1;
            (n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) ^ salt).to_be_bytes()
        };
        NewEvent {
            id: EventId::generate(now()),
            event_type: Some(format!("order.paid.{}", n % 5)),
            event_id: Some(format!("evt_{n}_{part}")),
            part: None,
            keys: vec![
                DedupeKey { kind: KeyKind::Id, hash: hash(0) },
                DedupeKey { kind: KeyKind::Content, hash: hash(1 << 90) },
            ],
            status: NewStatus::Routed,
            notes: vec![format!("a note on {n}")],
            jobs: vec![NewJob { route: "orders".into(), order_key: None, config_hash: 7 }],
        }
    };
    NewDelivery {
        source: Arc::from("partner"),
        body: Body::new(text),
        headers: Arc::from([("x-number".to_owned(), format!("number {n}"))]),
        received_at: now(),
        answer: Reply::text(http::StatusCode::OK, format!("{answer} {n}")),
        dedupe_since: now().minus(Duration::from_secs(86_400)),
        events: (0..1 + usize::from(n.is_multiple_of(10))).map(event).collect(),
    }
}

pub(crate) async fn claim(store: &SqliteStore, slots: usize) -> Result<Vec<Job>, String> {
    let lease_until = now().plus(Duration::from_secs(30));
    let slots = vec![("orders".into(), slots)];
    let want = Claim { now: now(), lease_until, slots, unknown: 9 };
    store.claim(want).await.map_err(|e| e.to_string())
}

fn record(job: &Job, outcome: &str) -> AttemptRecord {
    AttemptRecord {
        attempt: job.attempt,
        step: Some("send".to_owned()),
        started_at: now().to_string(),
        duration_ms: 3,
        outcome: outcome.to_owned(),
        error: Some(format!("it said {outcome}")),
        cause: None,
    }
}

/// Takes events in and ends some of the work on them.
pub(crate) async fn make() -> Result<Known, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let path = folder.path().join("a.db");
    let mut known = Known {
        deliveries: HashMap::new(),
        bodies: HashMap::new(),
        steps: HashMap::new(),
        attempts: HashMap::new(),
        ended: HashMap::new(),
        order: Vec::new(),
        clean: Files { db: Vec::new(), log: Vec::new() },
        killed: Files { db: Vec::new(), log: Vec::new() },
    };
    let store = SqliteStore::open(path.clone(), now()).await.map_err(|e| e.0)?;
    for n in 0..EVENTS {
        let made = delivery(n, "taken in as");
        for event in &made.events {
            known.deliveries.insert(event.id, made.clone());
            known.bodies.insert(event.id, made.body.bytes().to_vec());
            known.steps.insert(event.id, None);
            known.order.push(event.id);
        }
        store.accept(vec![made]).await.map_err(|e| e.to_string())?;
        // Half of it is in the database, half in the log.
        if n == EVENTS / 2 {
            store.close().await;
            return go_on(known, folder).await;
        }
    }
    Err("there are too few events".to_owned())
}

async fn go_on(mut known: Known, folder: tempfile::TempDir) -> Result<Known, String> {
    let path = folder.path().join("a.db");
    let store = SqliteStore::open(path, now()).await.map_err(|e| e.0)?;
    for n in EVENTS / 2 + 1..EVENTS {
        let made = delivery(n, "taken in as");
        for event in &made.events {
            known.deliveries.insert(event.id, made.clone());
            known.bodies.insert(event.id, made.body.bytes().to_vec());
            known.steps.insert(event.id, None);
            known.order.push(event.id);
        }
        store.accept(vec![made]).await.map_err(|e| e.to_string())?;
    }
    for (n, job) in claim(&store, EVENTS / 2).await?.into_iter().enumerate() {
        let id = job.event.id();
        let (outcome, settlement) = match n % 3 {
            0 => ("done", Settlement::Done),
            1 => {
                let reason = format!("nobody wants {n}");
                ("error", Settlement::Dead { reason, step: Some("send".to_owned()), body: None })
            }
            _ => {
                let body = format!("what the step before made of {n}").into_bytes();
                known.bodies.insert(id, body.clone());
                known.steps.insert(id, Some("send".to_owned()));
                let (step, body) = (Some("send".to_owned()), Some(body.into()));
                ("error", Settlement::Retry { at: now(), step, body, cause: "error" })
            }
        };
        match n % 3 {
            0 => drop(known.ended.insert(id, "done")),
            1 => drop(known.ended.insert(id, "dead")),
            _ => {}
        }
        known.attempts.insert(id, vec![format!("it said {outcome}")]);
        let attempt = Some(record(&job, outcome));
        let outcome = JobOutcome { lease: job.lease, settlement, attempt };
        store.settle(vec![outcome]).await.map_err(|e| e.to_string())?;
    }
    known.killed = Files::read(folder.path())?;
    store.close().await;
    known.clean = Files::read(folder.path())?;
    Ok(known)
}
