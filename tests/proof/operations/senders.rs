//! The workload of a run: each delivery is sent until it is acknowledged, some by several senders
//! at the same time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookward_core::{Body, EventDraft, Head, Reply, Secret};
use hookward_engine::Engine;
use serde_json::json;

use super::run::World;
use crate::duplicates::count_events;
use crate::sim::store::lock;

/// Limit for each answer. The engine waits at most two seconds of it for the commit.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause of a sender that got a 503.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Requests within which a delivery must be accepted once the faults have ended.
const MAX_REQUESTS_AFTER_FAULTS: usize = 5;

/// One delivery of the workload.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) source: &'static str,
    pub(super) event_type: &'static str,
    /// The sender's id and the bytes of each event.
    pub(super) events: Vec<(String, String)>,
    pub(super) body: Bytes,
    /// Number of senders that send it at the same time.
    pub(super) senders: usize,
    at: Duration,
}

/// A charge of a customer, whose first step behaves as `behavior` says.
fn charge(id: &str, behavior: &str, customer: Option<&str>, senders: usize, at: u64) -> Delivery {
    let object = json!({"do": behavior, "customer": customer, "amount": "1.50"});
    let event_type = "charge.succeeded";
    let body = json!({"id": id, "type": event_type, "data": {"object": object}}).to_string();
    let (body, at) = (Bytes::from(body), Duration::from_millis(at));
    Delivery { source: "stripe", event_type, events: one_event(id, &body), body, senders, at }
}

fn one_event(id: &str, body: &Bytes) -> Vec<(String, String)> {
    vec![(id.to_owned(), String::from_utf8_lossy(body).into_owned())]
}

/// An event that no route matches.
pub(super) fn unrouted(id: &str) -> Delivery {
    let body = Bytes::from(json!({"id": id, "type": "payout.paid"}).to_string());
    let (events, at) = (one_event(id, &body), Duration::ZERO);
    Delivery { source: "stripe", event_type: "payout.paid", events, body, senders: 1, at }
}

/// All deliveries of a run, one of them a batch.
pub(super) fn all() -> Vec<Delivery> {
    let items: Vec<_> = (0..3)
        .map(|n| (format!("item_{n}"), format!(r#"{{"id":"item_{n}","type":"sold","n":{n}.50}}"#)))
        .collect();
    let texts: Vec<_> = items.iter().map(|(_, text)| text.as_str()).collect();
    let batch = Delivery {
        source: "shop",
        event_type: "sold",
        body: Bytes::from(format!(r#"{{"items":[{}]}}"#, texts.join(","))),
        events: items,
        senders: 2,
        at: Duration::from_millis(300),
    };
    vec![
        charge("evt_plain", "", Some("ann"), 3, 0),
        charge("evt_fail", "fail", Some("ann"), 1, 0),
        charge("evt_behind", "", Some("ann"), 1, 100),
        charge("evt_replace", "replace", Some("bob"), 1, 200),
        charge("evt_fatal", "fatal", Some("bob"), 1, 210),
        charge("evt_last", "", Some("bob"), 1, 500),
        charge("evt_panic", "panic", None, 1, 600),
        charge("evt_slow", "slow", None, 1, 700),
        charge("evt_late", "", Some("ann"), 2, 9_000),
        unrouted("evt_unwanted"),
        batch,
    ]
}

/// Signs a delivery with the engine's time.
fn sign(engine: &Engine, delivery: &Delivery) -> (Head, Bytes) {
    let source = engine
        .config()
        .sources
        .get(delivery.source)
        .cloned()
        .expect("a source of the configuration");
    let draft = EventDraft::new(
        delivery.event_type.to_owned(),
        delivery.events[0].0.clone(),
        Body::new(delivery.body.clone()),
        format!("http://localhost/webhooks/{}", delivery.source),
        engine.now(),
    );
    let signer = source.provider.signer().expect("a provider that signs");
    let request = signer.sign(&draft, &Secret::new("whsec_operations")).expect("a request");
    (request.head, delivery.body.clone())
}

/// Sends a delivery until it is acknowledged or the engine drains.
pub(super) async fn send_until_acknowledged(world: Arc<World>, engine: Arc<Engine>, n: usize) {
    let delivery = &world.deliveries[n];
    tokio::time::sleep(delivery.at).await;
    let mut after_faults = 0;
    while !engine.is_draining() {
        match send_once(&world, &engine, n).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(e) => return world.record_violation(format!("{}: {e}", delivery.events[0].0)),
        }
        after_faults += usize::from(lock(&world.script).point.is_none());
        if after_faults > MAX_REQUESTS_AFTER_FAULTS && !engine.is_draining() {
            return world.record_violation(format!(
                "{} is not accepted although the faults have ended",
                delivery.events[0].0
            ));
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Sends one request; returns whether it was acknowledged. An answer that is not allowed is an
/// error.
pub(super) async fn send_once(world: &World, engine: &Engine, n: usize) -> Result<bool, String> {
    let delivery = &world.deliveries[n];
    let (head, body) = sign(engine, delivery);
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, engine.receive(head, body)).await;
    let reply = answer.map_err(|_| format!("no answer within {ANSWER_TIMEOUT:?}"))?;
    match reply.status.as_u16() {
        200 => acknowledge(world, delivery, n, &reply).map(|()| true),
        503 if reply.headers.iter().any(|(name, _)| name == "retry-after") => Ok(false),
        _ => Err(format!("got {reply:?}, allowed are 200, and 503 with Retry-After")),
    }
}

/// Records a 200, and checks that another connection to the store's file sees each of its events
/// once.
fn acknowledge(world: &World, delivery: &Delivery, n: usize, reply: &Reply) -> Result<(), String> {
    let file = lock(&world.file);
    let file = file.as_ref().ok_or("no store is open")?;
    for (id, _) in &delivery.events {
        match count_events(file, id) {
            1 => {}
            times => return Err(format!("INV-1: acknowledged, and {id} is stored {times} times")),
        }
    }
    lock(&world.acks).push((n, reply.body.to_vec().into()));
    Ok(())
}
