//! Events of one key, one after the other: many keys, eight jobs at a time, events that fail at first
//! and events that die, and kills in between. At most one of a key is with the receiver, in the order in
//! which they were accepted.

mod sink;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::RunOptions;
use crate::order::sink::{OrderSink, Seen};
use crate::sender::stripe;
use crate::server::{Place, Server};

/// So many threads send; a key belongs to one of them, so that the order is known.
const SENDERS: usize = 16;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let short = ByteSize { keys: 40, events: 15, kills: 3 };
    let canary = suite(options.seed, ByteSize { kills: 0, ..short }, "")?;
    if canary.violated == 0 {
        return Err("the canary, a route without an order, ran everything in order".to_owned());
    }
    let size = if options.short { short } else { ByteSize { keys: 1000, events: 100, kills: 12 } };
    let (mut total, mut rounds) = (Seen::default(), 0);
    while if options.short { rounds == 0 } else { options.wants_another(rounds) } {
        let seed = options.seed.wrapping_add(rounds as u64);
        let seen = suite(seed, size, "    order_by: /data/object/customer\n")?;
        if seen.violated > 0 {
            return Err(format!("{} out of order: {:?}", seen.violated, seen.violations));
        }
        rounds += 1;
        total.requests += seen.requests;
        total.failed += seen.failed;
        total.dead += seen.dead;
        total.again += seen.again;
    }
    let ByteSize { keys, events, kills } = size;
    Ok(format!(
        "{rounds} rounds of {keys} keys with {events} events each, {kills} kills a round: {} attempts, {} of them failed, {} died, {} ran again after a kill, 0 out of order; canary: {} out of order",
        total.requests, total.failed, total.dead, total.again, canary.violated
    ))
}

#[derive(Debug, Clone, Copy)]
struct ByteSize {
    keys: usize,
    events: usize,
    kills: usize,
}

fn routes(port: u16, order: &str) -> String {
    format!(
        "store: sqlite:events.db\ndefaults: {{ retry: {{ attempts: 50, first_delay: 50ms, max_delay: 200ms }} }}\nsources:\n  stripe: {{ secrets: [whsec_e2e_stripe] }}\nroutes:\n  - name: ordered\n    events: stripe/**\n    concurrency: 8\n{order}    chain: [{{ handler: http_forward, with: {{ url: \"http://127.0.0.1:{port}/\", allow_private: true }} }}]\n"
    )
}

fn suite(seed: u64, size: ByteSize, order: &str) -> Result<Seen, String> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let sink = OrderSink::start();
    let place = Place::new(&routes(sink.port, order));
    let mut server = place.start();
    // Where the server is now; senders wait while it is away.
    let addr = Arc::new(Mutex::new(server.addr.clone()));
    let sent = Arc::new(AtomicUsize::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (addr, sent, stop) = (addr.clone(), sent.clone(), stop.clone());
            std::thread::spawn(move || send(sender, size, &addr, &sent, &stop))
        })
        .collect();
    let all = size.keys * size.events;
    let done = || sink.ended() >= all && sent.load(Ordering::Relaxed) >= all;
    let mut kills = 0;
    let start = Instant::now();
    while !done() || kills < size.kills {
        if start.elapsed() > Duration::from_secs(900) {
            stop.store(true, Ordering::Relaxed);
            let (ended, sent) = (sink.ended(), sent.load(Ordering::Relaxed));
            return Err(format!("after 15 minutes {sent} of {all} are sent and {ended} ended"));
        }
        // Spread over the whole of it.
        let due = (kills + 1) * all / (size.kills + 1);
        if kills < size.kills && (sink.ended() >= due || done()) {
            server.kill();
            sink.killed();
            std::thread::sleep(Duration::from_millis(chance.u64(0..50)));
            server = place.start();
            server.addr.clone_into(&mut addr.lock().unwrap());
            kills += 1;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    senders.into_iter().for_each(|s| s.join().unwrap());
    written_down(&server)?;
    server.kill();
    Ok(sink.seen())
}

/// Until the store knows that all of it has ended.
fn written_down(server: &Server) -> Result<(), String> {
    let start = Instant::now();
    while server.admin("GET", "/api/v1/stats", "").json()["open"] != 0 {
        if start.elapsed() > Duration::from_secs(30) {
            return Err("jobs are open whose events have ended".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The events of its keys, in turns, each until it is acknowledged.
fn send(
    sender: usize,
    size: ByteSize,
    addr: &Mutex<String>,
    sent: &AtomicUsize,
    stop: &AtomicBool,
) {
    for n in 0..size.events {
        for key in (sender..size.keys).step_by(SENDERS) {
            let id = format!("evt_{key}_{n}");
            let object = serde_json::json!({"id": id, "customer": format!("cus_{key}"), "n": n});
            let signed = stripe(&id, "payment_intent.succeeded", object);
            loop {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let to = addr.lock().unwrap().clone();
                if signed.try_post(&to).is_ok_and(|a| a.status == 200) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}
