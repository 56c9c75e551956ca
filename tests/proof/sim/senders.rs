//! Senders of a simulation: each sends a delivery until it gets a 2xx or gives up. Some send it
//! again at the same time, later or under another id, and some forge it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hookward_core::{Body, EventDraft, Head, Reply, Secret};
use hookward_engine::Engine;
use tokio::task::JoinHandle;

use super::journal::JournalEntry;
use super::scenario::Scenario;
use super::store::lock;
use super::trace::trace;
use super::world::{World, true_now};

/// Requests for one delivery after the faults ended, from which on it counts as never accepted.
const MAX_TRIES: u32 = 500;

/// One delivery of a sender. No two deliveries have the same bytes.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) source: &'static str,
    pub(crate) event_type: &'static str,
    id: String,
    pub(crate) body: Bytes,
    pub(crate) forged: bool,
    /// Number of requests after which the sender gives up; `None`: it never does.
    pub(crate) gives_up_after: Option<u32>,
    at: Duration,
}

/// A 2xx that a sender got.
#[derive(Debug)]
pub(crate) struct Ack {
    /// Index of the delivery.
    pub(crate) delivery: usize,
    pub(crate) reply: Reply,
}

/// Draws all deliveries of a run.
pub(crate) fn draw(scenario: &Scenario) -> Vec<Delivery> {
    (0..scenario.deliveries).map(|n| draw_one(n, scenario)).collect()
}

fn draw_one(n: usize, scenario: &Scenario) -> Delivery {
    let customer = fastrand::u8(..3);
    let stripe = |event_type: &str| {
        format!(
            r#"{{"id":"evt_{n}","type":"{event_type}","data":{{"object":{{"customer":"c{customer}","n":{n}.50}}}}}}"#
        )
    };
    let github = || format!(r#"{{"customer":"c{customer}","n":{n}}}"#);
    let (source, event_type, body) = match fastrand::u8(..10) {
        0..4 => ("stripe", "charge.succeeded", stripe("charge.succeeded")),
        4..6 => ("stripe", "invoice.paid", stripe("invoice.paid")),
        6 => ("stripe", "", format!("not JSON, {n}")),
        7..9 => ("github", "push", github()),
        _ => ("github", "issues", github()),
    };
    let forged = fastrand::f64() < scenario.forgery;
    let gives_up = fastrand::f64() < scenario.sender_gives_up;
    let gives_up_after = gives_up.then(|| fastrand::u32(1..4));
    let at = Duration::from_millis(fastrand::u64(0..scenario.faulty_secs * 1_000));
    // A forged body differs from every genuine one, so that its acceptance shows.
    let body = if forged { format!("{} ", body.replace("\"n\":", "\"forged\":")) } else { body };
    let (id, body) = (format!("id-{n}"), body.into());
    Delivery { source, event_type, id, body, forged, gives_up_after, at }
}

/// Spawns all senders; each task ends when its delivery is acknowledged or its sender gives up.
pub(crate) fn spawn(world: &Arc<World>, deliveries: &[Delivery]) -> Vec<JoinHandle<()>> {
    let scenario = lock(&world.scenario).clone();
    let mut tasks = Vec::new();
    for (n, delivery) in deliveries.iter().enumerate() {
        tasks.push(tokio::spawn(send(world.clone(), n, delivery.clone())));
        while !delivery.forged && fastrand::f64() < scenario.repetition {
            let mut again = delivery.clone();
            // Half of the repetitions race with the first request, the others come at any time.
            again.at = match fastrand::bool() {
                true => delivery.at + Duration::from_millis(fastrand::u64(0..60)),
                false => Duration::from_millis(fastrand::u64(0..scenario.faulty_secs * 1_000)),
            };
            // GitHub's id is outside the signature; only the content shows the repetition.
            if delivery.source == "github" && fastrand::bool() {
                again.id = format!("{}-content-duplicate", delivery.id);
            }
            again.gives_up_after = Some(fastrand::u32(1..6));
            world.count("repetitions sent");
            tasks.push(tokio::spawn(send(world.clone(), n, again)));
        }
    }
    tasks
}

async fn send(world: Arc<World>, n: usize, delivery: Delivery) {
    tokio::time::sleep(delivery.at).await;
    for tries in 1.. {
        if let Some(reply) = send_once(&world, n, &delivery).await {
            if reply.status.is_success() {
                return acknowledge(&world, n, &delivery, reply);
            }
            world.count(if reply.status == 503 { "503" } else { "other rejections" });
        }
        let max_tries = if delivery.forged { Some(2) } else { delivery.gives_up_after };
        if max_tries.is_some_and(|max| tries >= max) {
            return;
        }
        if tries > MAX_TRIES && world.faults_ended.load(Ordering::SeqCst) {
            return world
                .record_violation(format!("delivery {n} is not accepted after {tries} requests"));
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(300..40_000))).await;
    }
}

/// Sends one request. Returns `None` if no process runs, or it dies before the answer.
async fn send_once(world: &World, n: usize, delivery: &Delivery) -> Option<Reply> {
    let (engine, lifetime) = world.running()?;
    let (head, body) = sign(&engine, delivery);
    let reply = tokio::select! {
        biased;
        () = lifetime.ended() => None,
        reply = engine.receive(head, body) => Some(reply),
    };
    let answer = reply.as_ref().map(|reply| (reply.status.as_u16(), &reply.body));
    trace!("delivery {n} {} {answer:?}", delivery.id);
    reply
}

fn sign(engine: &Engine, delivery: &Delivery) -> (Head, Bytes) {
    let source =
        engine.config().sources.get(delivery.source).cloned().expect("a source of both configs");
    let draft = EventDraft::new(
        delivery.event_type.to_owned(),
        delivery.id.clone(),
        Body::new(delivery.body.clone()),
        format!("http://localhost/webhooks/{}", delivery.source),
        true_now(),
    );
    let configured = if delivery.source == "stripe" { "whsec_sim" } else { "s" };
    // A forger signs with a guessed secret, or changes a body after it was signed.
    let (secret, tampered) = match (delivery.forged, fastrand::bool()) {
        (false, _) => (configured, false),
        (true, false) => ("guessed", false),
        (true, true) => (configured, true),
    };
    let signer = source.provider.signer().expect("a provider that signs");
    let request = signer.sign(&draft, &Secret::new(secret)).expect("a signed request");
    let mut body = delivery.body.to_vec();
    if tampered {
        body.push(b'\n');
    }
    (request.head, body.into())
}

/// Records a 2xx and checks that its event is durable at this time.
fn acknowledge(world: &World, n: usize, delivery: &Delivery, reply: Reply) {
    if delivery.forged {
        return world.record_violation(format!("INV-5: the forged delivery {n} got {reply:?}"));
    }
    let disk = lock(&world.disk);
    let durable = disk.journal.iter().any(
        |entry| matches!(entry, JournalEntry::Accepted { body, .. } if *body == delivery.body),
    );
    drop(disk);
    if !durable {
        world.record_violation(format!("INV-1: delivery {n} is acknowledged and not durable"));
    }
    world.count("acknowledged");
    lock(&world.acks).push(Ack { delivery: n, reply });
}
