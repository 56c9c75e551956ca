//! Target `store`: a database file with changed values, opened and used as a server does.
//! Unreadable values must be errors, and must not end the process or the store's writer thread.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hookward_core::store::{
    AttemptOutcome, AttemptRecord, Browse, Cause, ClaimRequest, DedupeKey, DedupeKeyKind,
    EventFilter, JobOutcome, NewDelivery, NewEvent, NewJob, NewStatus, PurgeRequest, ReplayJob,
    Settlement, StoreError,
};
use hookward_core::{Body, EventId, Reply, Store, Timestamp};
use hookward_store_sqlite::SqliteStore;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::input::text;
use super::senders::NOW;

/// Tables, the column that identifies a row, and the columns that can be changed.
const TABLES: &[(&str, &str, &[&str])] = &[
    ("meta", "name", &["value"]),
    ("names", "id", &["name", "id"]),
    ("deliveries", "id", &["events", "headers", "answer", "body", "id"]),
    (
        "events",
        "seq",
        &[
            "delivery",
            "id",
            "source",
            "received_at",
            "status",
            "event_type",
            "event_id",
            "part",
            "keys",
            "notes",
            "seq",
        ],
    ),
    ("keys", "hash", &["event", "at", "hash"]),
    (
        "jobs",
        "event",
        &[
            "route",
            "state",
            "due",
            "attempt",
            "crashes",
            "replay",
            "config_hash",
            "token",
            "started",
            "order_key",
            "step",
            "cause",
            "reason",
            "body",
            "attempts",
            "n",
            "event",
        ],
    ),
    ("content_duplicates", "event", &["n", "event_id", "received_at"]),
    ("event_ids", "hash", &["event"]),
];

/// Lines: `TABLE COLUMN ROW KIND VALUE`, one change each. KIND is `i`nteger, `t`ext, `b`lob or
/// `n`ull.
pub fn run(data: &[u8]) {
    let Some(changes) = text(data) else { return };
    let path = new_path();
    if std::fs::write(&path, template()).is_ok() {
        apply_changes(&path, changes);
        let run = async { tokio::time::timeout(CALLS_TIMEOUT, call_everything(&path)).await };
        let Ok(errors) = runtime().block_on(run) else {
            panic!("the store does not answer within {CALLS_TIMEOUT:?}");
        };
        assert!(!errors.contains("writer thread ended"), "{errors}");
    }
    for end in ["", "-wal", "-shm", ".lock", ".reserve"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
}

/// Limit for all calls of one input.
const CALLS_TIMEOUT: Duration = Duration::from_secs(20);

/// Applies the changes to the file.
fn apply_changes(path: &Path, changes: &str) {
    let Ok(conn) = Connection::open(path) else { return };
    let _ = conn.execute_batch("pragma journal_mode = off; pragma synchronous = off");
    for line in changes.lines().take(16) {
        let mut words = line.splitn(5, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (table, column, row, kind, value) = (word(), word(), word(), word(), word());
        let Some((table, key, columns)) = pick(TABLES, table, |(name, ..)| name) else { continue };
        let Some(column) = pick(columns, column, |name| name) else { continue };
        let value = match kind {
            "i" => Value::Integer(value.parse().unwrap_or(i64::MIN)),
            "t" => Value::Text(value.to_owned()),
            "b" => Value::Blob(value.as_bytes().to_vec()),
            _ => Value::Null,
        };
        let row: u8 = row.parse().unwrap_or(0);
        let sql = format!(
            "update or replace {table} set {column} = ?1
             where {key} = (select {key} from {table} limit 1 offset {row})"
        );
        let _ = conn.execute(&sql, [value]);
    }
}

/// Returns the item of this name, or one that the bytes of the name select.
fn pick<'a, T>(from: &'a [T], name: &str, of: impl Fn(&T) -> &str) -> Option<&'a T> {
    let sum = name.bytes().fold(0_usize, |sum, b| sum.wrapping_mul(31).wrapping_add(b.into()));
    from.iter().find(|t| of(t) == name).or_else(|| from.get(sum.checked_rem(from.len())?))
}

/// Makes all calls that a server and an operator make; returns the texts of all errors.
async fn call_everything(path: &Path) -> String {
    let mut errors = String::new();
    let store = match SqliteStore::open(path.to_owned(), NOW, hookward_engine::STORE_POLICY).await {
        Ok(store) => store,
        Err(error) => return error.to_string(),
    };
    let mut note = |error: StoreError| errors.push_str(&format!("{error}; "));
    let _ = store.check().await.map_err(&mut note);
    let _ = store.depth().await.map_err(&mut note);
    let _ = store.next_due().await.map_err(&mut note);
    let page = store.list(&EventFilter::default(), 50, None).await.map_err(&mut note);
    let events = page.map(|page| page.events).unwrap_or_default();
    for event in &events {
        let shown = store.show(event.id).await.map_err(&mut note);
        let jobs = shown.ok().flatten().map(|s| s.jobs).unwrap_or_default();
        let replays = jobs.into_iter().map(|job| {
            ReplayJob::Revive(hookward_core::store::JobId { event: event.id, n: job.n })
        });
        let _ = store.replay(NOW, replays.collect()).await.map_err(&mut note);
        let job = NewJob::new("orders");
        let add = vec![ReplayJob::Add { event: event.id, job }];
        let _ = store.replay(NOW, add).await.map_err(&mut note);
    }
    let _ = store.find("evt_1", 10).await.map_err(&mut note);
    let _ = store.accept(vec![delivery(1), delivery(9)]).await.map_err(&mut note);
    for round in 0..2_u64 {
        let now = NOW.plus(Duration::from_secs(3600 * (round + 1)));
        let want = claim(now);
        let jobs = store.claim(want).await.map_err(&mut note).unwrap_or_default();
        let outcomes = jobs.iter().enumerate().map(|(n, job)| {
            JobOutcome::new(job.lease, settlement(n, now)).with_attempt(record(job.attempt))
        });
        let _ = store.settle(outcomes.collect()).await.map_err(&mut note);
    }
    let purge = PurgeRequest::new(NOW.plus(Duration::from_secs(7200)), NOW, 100);
    let _ = store.purge(purge).await.map_err(&mut note);
    store.close().await;
    errors
}

fn claim(now: Timestamp) -> ClaimRequest {
    let lease_until = now.plus(Duration::from_secs(30));
    ClaimRequest::new(now, lease_until, vec![("orders".into(), 4)]).with_max_unrouted(4)
}

fn settlement(n: usize, now: Timestamp) -> Settlement {
    let body = Some(bytes::Bytes::from_static(b"another body"));
    match n % 4 {
        0 => Settlement::Done,
        1 => Settlement::Retry { at: now, step: Some("b".into()), body, cause: Cause::Error },
        2 => Settlement::Dead { reason: "why".into(), step: None, body: None },
        _ => Settlement::Released { step: None, body: None },
    }
}

fn record(attempt: u32) -> AttemptRecord {
    AttemptRecord::new(attempt, NOW.to_string(), AttemptOutcome::Error)
        .with_step(Some("a".into()))
        .with_duration_ms(1)
        .with_error(Some("the receiver answered \"no\"".into()))
}

/// Returns a batch of two events with a job each.
fn delivery(n: u8) -> NewDelivery {
    let key = |kind, salt: u8| DedupeKey::new(kind, [n.wrapping_mul(7) ^ salt; 16]);
    let event = |item: u8| {
        NewEvent::new(EventId::from_bytes([n * 2 + item; 16]), NewStatus::Routed)
            .with_event_type(Some("order.paid".into()))
            .with_event_id(format!("evt_{n}"))
            .with_item_pointer(format!("/{item}"))
            .with_keys(vec![key(DedupeKeyKind::Id, item), key(DedupeKeyKind::Content, 128 + item)])
            .with_notes(vec!["a note".into()])
            .with_jobs(vec![
                NewJob::new(if n.is_multiple_of(2) { "orders" } else { "gone" })
                    .with_order_key((item == 0).then(|| "k".to_owned())),
            ])
    };
    NewDelivery::new(
        "stripe",
        Body::new(format!(r#"[{{"n":{n}}},{{"n":"{n}"}}]"#)),
        NOW,
        Reply::text(http::StatusCode::OK, "accepted"),
    )
    .with_headers(Arc::from([("content-type".to_owned(), "application/json".to_owned())]))
    .with_dedupe_since(NOW.minus(Duration::from_secs(3600)))
    .with_events(vec![event(0), event(1)])
}

/// Returns a file with pending, running, done and dead jobs, attempts, a replaced body and a
/// content duplicate.
fn template() -> &'static [u8] {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let path = new_path();
        runtime().block_on(fill(&path));
        let bytes = std::fs::read(&path).unwrap_or_default();
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_file(format!("{}.lock", path.display()));
        let _ = std::fs::remove_file(format!("{}.reserve", path.display()));
        bytes
    })
}

async fn fill(path: &Path) {
    let Ok(store) = SqliteStore::open(path.to_owned(), NOW, hookward_engine::STORE_POLICY).await
    else {
        return;
    };
    let _ = store.accept((0..4).map(delivery).collect()).await;
    let mut duplicate = delivery(2);
    for event in &mut duplicate.events {
        event.keys.retain(|key| key.kind == DedupeKeyKind::Content);
        event.event_id = Some("evt_content_duplicate".into());
    }
    let _ = store.accept(vec![duplicate]).await;
    let jobs = store.claim(claim(NOW)).await.unwrap_or_default();
    // One job stays running, as after a crash.
    let settled = jobs
        .iter()
        .skip(1)
        .enumerate()
        .map(|(n, job)| JobOutcome::new(job.lease, settlement(n, NOW)).with_attempt(record(1)));
    let _ = store.settle(settled.collect()).await;
    store.close().await;
}

/// Returns the path of a new file.
fn new_path() -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // In memory if possible, because each commit waits for the disk.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    folder.join(format!("hookward-fuzz-{}-{number}.db", std::process::id()))
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap_or_else(|e| panic!("no runtime: {e}"))
    })
}
