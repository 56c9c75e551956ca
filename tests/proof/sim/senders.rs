//! What senders send, and how they go on at it: again until it is answered well, twice at once, late,
//! under another id, forged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hookward_core::{Body, Draft, Head, Reply, Secret};
use hookward_engine::Engine;
use tokio::task::JoinHandle;

use super::disk::Durable;
use super::faults::Weather;
use super::store::lock;
use super::trace::note;
use super::world::{World, true_now};

/// One event of a sender; its bytes are its own.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) source: &'static str,
    pub(crate) event_type: &'static str,
    id: String,
    pub(crate) body: Bytes,
    pub(crate) forged: bool,
    /// After so many tries.
    pub(crate) gives_up: Option<u32>,
    at: Duration,
}

/// What a sender was told.
#[derive(Debug)]
pub(crate) struct Ack {
    pub(crate) letter: usize,
    pub(crate) reply: Reply,
}

/// Draws all letters of a run.
pub(crate) fn draw(weather: &Weather) -> Vec<Letter> {
    (0..weather.letters).map(|n| letter(n, weather)).collect()
}

fn letter(n: usize, weather: &Weather) -> Letter {
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
        6 => ("stripe", "", format!("no JSON at all, {n}")),
        7..9 => ("github", "push", github()),
        _ => ("github", "issues", github()),
    };
    let forged = fastrand::f64() < weather.forgeries;
    let gives_up = (fastrand::f64() < weather.gives_up).then(|| fastrand::u32(1..4));
    let at = Duration::from_millis(fastrand::u64(0..weather.span * 1_000));
    let body = if forged { body.replace("\"n\":", "\"forged\":") } else { body };
    let body = if forged { format!("{body} ") } else { body };
    Letter { source, event_type, id: format!("id-{n}"), body: body.into(), forged, gives_up, at }
}

/// Sends them all; each task ends when its sender has what it wants or gives up.
pub(crate) fn send(world: &Arc<World>, letters: &[Letter]) -> Vec<JoinHandle<()>> {
    let weather = lock(&world.sky).clone();
    let mut tasks = Vec::new();
    for (n, letter) in letters.iter().enumerate() {
        tasks.push(tokio::spawn(deliver(world.clone(), n, letter.clone())));
        while !letter.forged && fastrand::f64() < weather.repeats {
            let mut again = letter.clone();
            // At once with the first, or at any time.
            again.at = match fastrand::bool() {
                true => letter.at + Duration::from_millis(fastrand::u64(0..60)),
                false => Duration::from_millis(fastrand::u64(0..weather.span * 1_000)),
            };
            if letter.source == "github" && fastrand::bool() {
                again.id = format!("{}-twin", letter.id);
            }
            again.gives_up = Some(fastrand::u32(1..6));
            world.count("repetitions sent");
            tasks.push(tokio::spawn(deliver(world.clone(), n, again)));
        }
    }
    tasks
}

async fn deliver(world: Arc<World>, n: usize, letter: Letter) {
    tokio::time::sleep(letter.at).await;
    for tried in 1.. {
        if let Some(reply) = try_once(&world, n, &letter).await {
            if reply.status.is_success() {
                return acknowledged(&world, n, &letter, reply);
            }
            world.count(if reply.status == 503 { "503" } else { "other refusals" });
        }
        let most = if letter.forged { Some(2) } else { letter.gives_up };
        if most.is_some_and(|most| tried >= most) {
            return;
        }
        if tried > 500 && world.calm.load(Ordering::SeqCst) {
            return world.broken(format!("letter {n} is never accepted"));
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(300..40_000))).await;
    }
}

/// `None`: the connection broke, or there was nobody.
async fn try_once(world: &World, n: usize, letter: &Letter) -> Option<Reply> {
    let (engine, life) = world.running()?;
    let (head, body) = signed(&engine, letter);
    let reply = tokio::select! {
        biased;
        () = life.ended() => None,
        reply = engine.receive(head, body) => Some(reply),
    };
    let told = reply.as_ref().map(|reply| (reply.status.as_u16(), &reply.body));
    note!("letter {n} {} {told:?}", letter.id);
    reply
}

fn signed(engine: &Engine, letter: &Letter) -> (Head, Bytes) {
    let source = engine.config().sources.get(letter.source).cloned().expect("both configs have it");
    let draft = Draft {
        event_type: letter.event_type.to_owned(),
        event_id: letter.id.clone(),
        body: Body::new(letter.body.clone()),
        url: format!("http://localhost/webhooks/{}", letter.source),
        now: true_now(),
    };
    let real = if letter.source == "stripe" { "whsec_sim" } else { "s" };
    // A forger does not know the secret, or changes what another one signed.
    let (secret, tampered) = match (letter.forged, fastrand::bool()) {
        (false, _) => (real, false),
        (true, false) => ("guessed", false),
        (true, true) => (real, true),
    };
    let signer = source.provider.signer().expect("it can sign");
    let request = signer.sign(&draft, &Secret::new(secret)).expect("a signed request");
    let mut body = letter.body.to_vec();
    if tampered {
        body.push(b'\n');
    }
    (request.head, body.into())
}

/// A 2xx: what it stands for must be durable by now.
fn acknowledged(world: &World, n: usize, letter: &Letter, reply: Reply) {
    if letter.forged {
        return world.broken(format!("INV-5: the forged letter {n} is answered {reply:?}"));
    }
    let disk = lock(&world.disk);
    let is_it =
        |entry: &Durable| matches!(entry, Durable::Accepted { body, .. } if *body == letter.body);
    let durable = disk.journal.iter().any(is_it);
    drop(disk);
    if !durable {
        world.broken(format!("INV-1: letter {n} is acknowledged and not durable"));
    }
    world.count("acknowledged");
    lock(&world.acks).push(Ack { letter: n, reply });
}
