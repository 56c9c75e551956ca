//! Measures the time that each operation of the store takes per event:
//! `cargo run --release -p hookward-store-sqlite --example measure [FOLDER] [EVENTS]`. CPU time is
//! that of the whole process, so it includes building the deliveries.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a tool that may panic")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookward_core::store::{
    AttemptRecord, ClaimRequest, DedupeKey, DedupeKeyKind, JobOutcome, NewDelivery, NewEvent,
    NewJob, NewStatus, PurgeRequest, Settlement,
};
use hookward_core::{Body, Clock, EventId, Receipt, Reply, Store, SystemClock};
use hookward_store_sqlite::SqliteStore;

/// One event of 1.4 KB with one job. Its random id and its two keys, as of a sender that does not
/// sign the id, are the most expensive case for an index.
fn delivery(n: u64, body: &bytes::Bytes) -> NewDelivery {
    let now = SystemClock.now();
    let hash = |n: u64| (u128::from(n) * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes();
    let key = |kind, n| DedupeKey::new(kind, hash(n));
    let event_id = format!("{:032x}", u128::from_be_bytes(hash(2 * n)).rotate_left(64));
    let event = NewEvent::new(EventId::generate(now), NewStatus::Routed)
        .with_event_type(Some("payment_intent.succeeded".into()))
        .with_event_id(event_id.clone())
        .with_keys(vec![key(DedupeKeyKind::Id, 2 * n), key(DedupeKeyKind::Content, 2 * n + 1)])
        .with_jobs(vec![NewJob::new("orders")]);
    let receipt = Receipt::new(hookward_core::DeliveryOutcome::Accepted, Vec::new());
    NewDelivery::new("stripe", Body::new(body.clone()), now, Reply::received(&receipt))
        .with_headers(Arc::from([("content-type".to_owned(), "application/json".to_owned())]))
        .with_dedupe_since(now.minus(Duration::from_secs(7 * 86_400)))
        .with_events(vec![event])
}

/// User and system time of this process, to 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// Wall time and CPU time since its start.
struct Measurement(Instant, Duration);

impl Measurement {
    fn start() -> Self {
        Self(Instant::now(), cpu_time())
    }
    fn end(&self, what: &str, count: u64) {
        let per = |d: Duration| d.as_secs_f64() * 1e6 / count as f64;
        let (wall, cpu) = (self.0.elapsed(), cpu_time() - self.1);
        println!("{what:<34} {:>8.1} us wall {:>8.1} us cpu", per(wall), per(cpu));
    }
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let folder = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let events: u64 = args.next().and_then(|n| n.parse().ok()).unwrap_or(64_000);
    let path = folder.join(format!("measure-{}.db", std::process::id()));
    let store = SqliteStore::open(path.clone(), SystemClock.now(), hookward_testkit::store::POLICY)
        .await
        .unwrap();
    let body = bytes::Bytes::from(vec![b'x'; 1400]);

    let measurement = Measurement::start();
    for batch in 0..events / 64 {
        let _deliveries: Vec<_> = (0..64).map(|n| delivery(batch * 64 + n, &body)).collect();
    }
    measurement.end("build a delivery", events);

    let measurement = Measurement::start();
    for batch in 0..events / 64 {
        let deliveries = (0..64).map(|n| delivery(batch * 64 + n, &body)).collect();
        store.accept(deliveries).await.unwrap();
    }
    measurement.end("accept, 64 at a time", events);

    let measurement = Measurement::start();
    for batch in 0..events / 64 {
        let deliveries = (0..64).map(|n| delivery(batch * 64 + n, &body)).collect();
        store.accept(deliveries).await.unwrap();
    }
    measurement.end("duplicate, 64 at a time", events);

    let measurement = Measurement::start();
    let worked = work(&store).await;
    measurement.end("claim 32 and settle 32, from the table", worked);

    let mut n = events;
    let mut worked = 0;
    let (mut wall, mut used) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..events / 1024 {
        for _ in 0..16 {
            let deliveries = (0..64).map(|k| delivery(n + k, &body)).collect();
            store.accept(deliveries).await.unwrap();
            n += 64;
        }
        let measurement = Measurement::start();
        worked += work(&store).await;
        wall += measurement.0.elapsed();
        used += cpu_time() - measurement.1;
    }
    let per = |d: Duration| d.as_secs_f64() * 1e6 / worked as f64;
    let what = "claim 32 and settle 32, from memory";
    println!("{what:<34} {:>8.1} us wall {:>8.1} us cpu", per(wall), per(used));

    store.close().await;
    let measurement = Measurement::start();
    let store = Arc::new(
        SqliteStore::open(path.clone(), SystemClock.now(), hookward_testkit::store::POLICY)
            .await
            .unwrap(),
    );
    measurement.end("open the file again, once", 1);

    let measurement = Measurement::start();
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let (store, body) = (store.clone(), body.clone());
            tokio::spawn(async move {
                for k in 0..events / 64 {
                    let delivery = delivery(1 << 40 | caller << 30 | k, &body);
                    store.accept(vec![delivery]).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    measurement.end("accept, 64 callers with one event each", events);
    work(&store).await;

    let measurement = Measurement::start();
    let later = SystemClock.now().plus(Duration::from_secs(1));
    let mut purged = 0;
    loop {
        let purge = PurgeRequest::new(later, later, 100);
        match store.purge(purge).await.unwrap() {
            0 => break,
            removed => purged += removed,
        }
    }
    measurement.end("purge, 100 at a time", purged);
    store.close().await;
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_file(path.with_extension("db.lock"));
}

async fn work(store: &SqliteStore) -> u64 {
    let mut worked = 0;
    loop {
        let now = SystemClock.now();
        let lease_until = now.plus(Duration::from_secs(30));
        let slots = vec![(Arc::from("orders"), 32)];
        let jobs = store.claim(ClaimRequest::new(now, lease_until, slots)).await.unwrap();
        if jobs.is_empty() {
            return worked;
        }
        worked += jobs.len() as u64;
        let outcomes = jobs.iter().map(|job| {
            let record = AttemptRecord::new(
                job.attempt,
                now.to_string(),
                hookward_core::store::AttemptOutcome::Done,
            )
            .with_step(Some("noop".into()))
            .with_duration_ms(1);
            JobOutcome::new(job.lease, Settlement::Done).with_attempt(record)
        });
        store.settle(outcomes.collect()).await.unwrap();
    }
}
