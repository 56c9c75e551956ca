//! What is sent, and how the senders go on at it: again until it is answered well, some twice at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookward_core::{Body, Draft, Head, Reply, Secret};
use hookward_engine::Engine;
use serde_json::json;

use super::run::World;
use crate::duplicates::count;
use crate::sim::store::lock;

/// An answer takes no longer; the commit has two of them.
const ANSWER: Duration = Duration::from_secs(3);
/// Senders that were sent away come back.
const AGAIN: Duration = Duration::from_secs(2);
/// Where nothing goes wrong any more they need not come often.
const PATIENCE: usize = 5;

/// A delivery.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) source: &'static str,
    pub(super) event_type: &'static str,
    /// Of each event the sender's id, and its bytes.
    pub(super) events: Vec<(String, String)>,
    pub(super) body: Bytes,
    /// So many do the same at once.
    pub(super) senders: usize,
    at: Duration,
}

/// A payment of a customer, with which something is to be done.
fn paid(id: &str, todo: &str, customer: Option<&str>, senders: usize, at: u64) -> Letter {
    let object = json!({"do": todo, "customer": customer, "amount": "1.50"});
    let event_type = "charge.succeeded";
    let body = json!({"id": id, "type": event_type, "data": {"object": object}}).to_string();
    let (body, at) = (Bytes::from(body), Duration::from_millis(at));
    Letter { source: "stripe", event_type, events: named(id, &body), body, senders, at }
}

fn named(id: &str, body: &Bytes) -> Vec<(String, String)> {
    vec![(id.to_owned(), String::from_utf8_lossy(body).into_owned())]
}

/// An event that no route wants.
pub(super) fn unwanted(id: &str) -> Letter {
    let body = Bytes::from(json!({"id": id, "type": "payout.paid"}).to_string());
    let (events, at) = (named(id, &body), Duration::ZERO);
    Letter { source: "stripe", event_type: "payout.paid", events, body, senders: 1, at }
}

pub(super) fn all() -> Vec<Letter> {
    let items: Vec<_> = (0..3)
        .map(|n| (format!("item_{n}"), format!(r#"{{"id":"item_{n}","type":"sold","n":{n}.50}}"#)))
        .collect();
    let texts: Vec<_> = items.iter().map(|(_, text)| text.as_str()).collect();
    let batch = Letter {
        source: "shop",
        event_type: "sold",
        body: Bytes::from(format!(r#"{{"items":[{}]}}"#, texts.join(","))),
        events: items,
        senders: 2,
        at: Duration::from_millis(300),
    };
    vec![
        paid("evt_plain", "", Some("ann"), 3, 0),
        paid("evt_fail", "fail", Some("ann"), 1, 0),
        paid("evt_behind", "", Some("ann"), 1, 100),
        paid("evt_replace", "replace", Some("bob"), 1, 200),
        paid("evt_refuse", "refuse", Some("bob"), 1, 210),
        paid("evt_last", "", Some("bob"), 1, 500),
        paid("evt_panic", "panic", None, 1, 600),
        paid("evt_slow", "slow", None, 1, 700),
        paid("evt_late", "", Some("ann"), 2, 9_000),
        unwanted("evt_unwanted"),
        batch,
    ]
}

/// Signed for this moment.
pub(super) fn signed(engine: &Engine, letter: &Letter) -> (Head, Bytes) {
    let source =
        engine.config().sources.get(letter.source).cloned().expect("a source of the configuration");
    let draft = Draft {
        event_type: letter.event_type.to_owned(),
        event_id: letter.events[0].0.clone(),
        body: Body::new(letter.body.clone()),
        url: format!("http://localhost/webhooks/{}", letter.source),
        now: engine.now(),
    };
    let signer = source.provider.signer().expect("it can sign");
    let request = signer.sign(&draft, &Secret::new("whsec_operations")).expect("a request");
    (request.head, letter.body.clone())
}

/// Sends it until it is acknowledged, or nobody takes anything in any more.
pub(super) async fn deliver(world: Arc<World>, engine: Arc<Engine>, n: usize) {
    let letter = &world.letters[n];
    tokio::time::sleep(letter.at).await;
    let mut calm = 0;
    while !engine.is_draining() {
        match send(&world, &engine, n).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(broken) => return world.broken(format!("{}: {broken}", letter.events[0].0)),
        }
        calm += usize::from(lock(&world.script).point.is_none());
        if calm > PATIENCE && !engine.is_draining() {
            return world.broken(format!("{} is never taken in", letter.events[0].0));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether it was acknowledged; `Err`: an answer that must not be.
pub(super) async fn send(world: &World, engine: &Engine, n: usize) -> Result<bool, String> {
    let letter = &world.letters[n];
    let (head, body) = signed(engine, letter);
    let asked = tokio::time::timeout(ANSWER, engine.receive(head, body)).await;
    let reply = asked.map_err(|_| format!("no answer within {ANSWER:?}"))?;
    match reply.status.as_u16() {
        200 => acknowledged(world, letter, n, &reply).map(|()| true),
        503 if reply.headers.iter().any(|(name, _)| name == "retry-after") => Ok(false),
        _ => Err(format!("it is answered with {reply:?}")),
    }
}

/// What it stands for must be in the file by now, for others to see.
fn acknowledged(world: &World, letter: &Letter, n: usize, reply: &Reply) -> Result<(), String> {
    let file = lock(&world.file);
    let file = file.as_ref().ok_or("nothing is open")?;
    for (id, _) in &letter.events {
        match count(file, id) {
            1 => {}
            times => return Err(format!("INV-1: acknowledged, and {id} is stored {times} times")),
        }
    }
    lock(&world.acks).push((n, reply.body.to_vec().into()));
    Ok(())
}
