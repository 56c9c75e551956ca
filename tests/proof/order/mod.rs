//! Suite `order`: events of many order keys, with eight jobs at a time, some of which fail at first
//! or die, and kills in between.
//!
//! It proves that jobs of one `order_by` key run one at a time and in the order of acceptance. The
//! oracle is the receiver, [`sink`], which knows the order. The canary is a route without
//! `order_by`.

mod sink;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::RunOptions;
use crate::order::sink::{Observations, OrderSink};
use crate::sender::stripe;
use crate::server::{Server, ServerDir};

/// Threads that send. Each key belongs to one of them, so that its order is known.
const SENDERS: usize = 16;

/// Limit for the duration of a workload.
const WORKLOAD_TIMEOUT: Duration = Duration::from_secs(900);

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let short = Workload { keys: 40, events: 15, kills: 3 };
    let canary = run_workload(options.seed, Workload { kills: 0, ..short }, "")?;
    if canary.violations == 0 {
        return Err("the canary, a route without an order, ran everything in order".to_owned());
    }
    let workload =
        if options.short { short } else { Workload { keys: 1000, events: 100, kills: 12 } };
    let (mut total, mut rounds) = (Observations::default(), 0);
    while if options.short { rounds == 0 } else { options.wants_another(rounds) } {
        let seed = options.seed.wrapping_add(rounds as u64);
        let observed = run_workload(seed, workload, "    order_by: /data/object/customer\n")?;
        if observed.violations > 0 {
            return Err(format!(
                "{} attempts out of order: {:?}",
                observed.violations, observed.examples
            ));
        }
        rounds += 1;
        total.requests += observed.requests;
        total.failed += observed.failed;
        total.dead += observed.dead;
        total.repeated += observed.repeated;
    }
    let Workload { keys, events, kills } = workload;
    Ok(format!(
        "{rounds} rounds of {keys} keys with {events} events each, {kills} kills a round: {} attempts, {} of them failed, {} dead, {} ran again after a kill, 0 out of order; canary: {} out of order",
        total.requests, total.failed, total.dead, total.repeated, canary.violations
    ))
}

/// Numbers of keys, of events of each key, and of kills.
#[derive(Debug, Clone, Copy)]
struct Workload {
    keys: usize,
    events: usize,
    kills: usize,
}

fn routes_yaml(port: u16, order: &str) -> String {
    format!(
        "store: sqlite:events.db\ndefaults: {{ retry: {{ attempts: 50, first_delay: 50ms, max_delay: 200ms }} }}\nsources:\n  stripe: {{ secrets: [whsec_e2e_stripe] }}\nroutes:\n  - name: ordered\n    events: stripe/**\n    concurrency: 8\n{order}    chain: [{{ handler: http_forward, with: {{ url: \"http://127.0.0.1:{port}/\", allow_private: true }} }}]\n"
    )
}

/// Runs a workload; `order` is the route's `order_by` line, or empty.
fn run_workload(seed: u64, workload: Workload, order: &str) -> Result<Observations, String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let sink = OrderSink::start();
    let place = ServerDir::new(&routes_yaml(sink.port, order));
    let mut server = place.start();
    // The address changes with each restart; senders retry until a server answers.
    let addr = Arc::new(Mutex::new(server.addr.clone()));
    let sent = Arc::new(AtomicUsize::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (addr, sent, stop) = (addr.clone(), sent.clone(), stop.clone());
            std::thread::spawn(move || send(sender, workload, &addr, &sent, &stop))
        })
        .collect();
    let all = workload.keys * workload.events;
    let done = || sink.ended_events() >= all && sent.load(Ordering::Relaxed) >= all;
    let mut kills = 0;
    let start = Instant::now();
    while !done() || kills < workload.kills {
        if start.elapsed() > WORKLOAD_TIMEOUT {
            stop.store(true, Ordering::Relaxed);
            let (ended, sent) = (sink.ended_events(), sent.load(Ordering::Relaxed));
            return Err(format!(
                "after {WORKLOAD_TIMEOUT:?} {sent} of {all} events are sent and {ended} ended"
            ));
        }
        // Kills are spread over the whole run.
        let due = (kills + 1) * all / (workload.kills + 1);
        if kills < workload.kills && (sink.ended_events() >= due || done()) {
            server.kill();
            sink.server_killed();
            std::thread::sleep(Duration::from_millis(rng.u64(0..50)));
            server = place.start();
            server.addr.clone_into(&mut addr.lock().unwrap());
            kills += 1;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    senders.into_iter().for_each(|s| s.join().unwrap());
    wait_until_settled(&server)?;
    server.kill();
    Ok(sink.observations())
}

/// Waits until the store has recorded the end of all jobs.
fn wait_until_settled(server: &Server) -> Result<(), String> {
    let start = Instant::now();
    while server.admin("GET", "/api/v1/stats", "").json()["open"] != 0 {
        if start.elapsed() > Duration::from_secs(30) {
            return Err("jobs are open although all events have ended at the receiver".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Sends the events of this sender's keys in turns, each until it is acknowledged.
fn send(
    sender: usize,
    workload: Workload,
    addr: &Mutex<String>,
    sent: &AtomicUsize,
    stop: &AtomicBool,
) {
    for n in 0..workload.events {
        for key in (sender..workload.keys).step_by(SENDERS) {
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
