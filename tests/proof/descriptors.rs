//! A server that has run out of descriptors: it may open 512 files, and twice as many connections
//! come. It must neither end nor spin, be there again soon after they have gone, and have lost nothing
//! that it acknowledged. `--runs` is how often that happens to it.

use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::RunOptions;
use crate::checker::{settled, stored};
use crate::load::{Known, Load};
use crate::process_stats::{descriptors, file_limit, limit_files, worked};
use crate::sender::paid;
use crate::server::{Place, SOURCES, Server};

/// Files of the server.
const LIMIT: u64 = 512;
/// Connections that it cannot all have.
const CONNECTIONS: usize = 1024;
/// They stay for so long.
const HELD: Duration = Duration::from_secs(2);
/// In the short form.
const SHORT: usize = 1;
/// Far from what is promised, which is two seconds: no test judges speed.
const RECOVERED: Duration = Duration::from_secs(15);

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let runs =
        RunOptions { runs: if options.short { SHORT } else { options.runs }, ..options.clone() };
    let place = Place::new(&format!(
        "store: sqlite:events.db\n{SOURCES}routes:\n  - {{ name: r, events: stripe/**, chain: [{{ handler: file, with: {{ path: done.jsonl }} }}], retry: {{ attempts: 100, first_delay: 100ms, max_delay: 1s }} }}\n"
    ));
    let Some((soft, hard)) = raised(&place)? else {
        return Ok("SKIP: no prlimit, or the limit of descriptors is too low".to_owned());
    };
    let server = place.start();
    limit_files(server.pid(), LIMIT, hard)?;
    let known = Arc::new(Mutex::new(Known::default()));
    let (mut rounds, mut missed) = (0, 0);
    let (mut slowest, mut busiest) = (Duration::ZERO, Duration::ZERO);
    while runs.wants_another(rounds) {
        let load = Load::start(&server.addr, 4, rounds, &known);
        std::thread::sleep(Duration::from_millis(300));
        let work = exhausted(&server)?;
        let Some(work) = work else {
            load.stop();
            missed += 1;
            if missed == 5 {
                return Ok("SKIP: five times the descriptors were not all taken".to_owned());
            }
            continue;
        };
        let begun = Instant::now();
        until_served(&server, &format!("evt_after_{rounds}"), &known)?;
        slowest = slowest.max(begun.elapsed());
        busiest = busiest.max(work);
        load.stop();
        rounds += 1;
    }
    let acknowledged = known.lock().unwrap().acknowledged.clone();
    settled(&server)?;
    all_there(&server, &known)?;
    server.kill();
    all_there(&place.start(), &known)?;
    Ok(format!(
        "{rounds} times {CONNECTIONS} connections at {LIMIT} descriptors: served again {slowest:.1?} after they had gone at the latest, {busiest:.1?} of work in {HELD:?} at the most, {} acknowledged and 0 lost; a limit of {soft} is raised to {hard} at the start",
        acknowledged.len()
    ))
}

/// A server that is started with a low limit raises it: from what to what, if this machine can tell.
fn raised(place: &Place) -> Result<Option<(u64, u64)>, String> {
    let us = std::process::id();
    let Some((soft, hard)) = file_limit(us) else { return Ok(None) };
    if hard < 2 * CONNECTIONS as u64 || limit_files(us, LIMIT / 2, hard).is_err() {
        return Ok(None);
    }
    let server = place.start();
    limit_files(us, soft.max(2 * CONNECTIONS as u64), hard)?;
    match file_limit(server.pid()) {
        Some((now, _)) if now == hard => Ok(Some((LIMIT / 2, hard))),
        other => Err(format!("started with a limit of {}, it has {other:?}", LIMIT / 2)),
    }
}

/// Takes all of its descriptors for a while; the work that it did meanwhile.
/// `None`: the connections did not all arrive, so that nothing is shown.
fn exhausted(server: &Server) -> Result<Option<Duration>, String> {
    let connect = |n| {
        // More at once than the kernel queues for a server come to it seconds later.
        if n % 32 == 31 {
            std::thread::sleep(Duration::from_millis(20));
        }
        TcpStream::connect(&server.addr).map_err(|e| format!("connection {n}: {e}"))
    };
    let all = (0..CONNECTIONS).map(connect).collect::<Result<Vec<_>, _>>()?;
    let begun = Instant::now();
    while descriptors(server.pid()) < usize::try_from(LIMIT).unwrap_or(0) - 2 {
        if begun.elapsed() > Duration::from_secs(5) {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = worked(server.pid());
    std::thread::sleep(HELD);
    let work = worked(server.pid()) - before;
    // The canary: if it is served now, the descriptors were never gone and nothing is shown.
    if served(server, "evt_canary", Duration::from_secs(1)) {
        return Err("an honest sender is served although all descriptors are taken".to_owned());
    }
    drop(all);
    // Requests on connections that were there before are work, too.
    if work > HELD {
        return Err(format!("it spins: {work:?} of work in {HELD:?}"));
    }
    Ok(Some(work))
}

/// Whether an event is taken within this time.
fn served(server: &Server, id: &str, patience: Duration) -> bool {
    let signed = paid(id);
    let (target, headers) = (&signed.target, &signed.headers);
    let bytes = crate::http::encode_request(&server.addr, "POST", target, headers, &signed.body);
    let Ok(mut stream) = TcpStream::connect(&server.addr) else { return false };
    let timeout = stream.set_read_timeout(Some(patience));
    let sent = timeout.and_then(|()| std::io::Write::write_all(&mut stream, &bytes));
    sent.is_ok() && crate::http::read(&mut stream).is_ok_and(|answer| answer.status == 200)
}

fn until_served(server: &Server, id: &str, known: &Mutex<Known>) -> Result<(), String> {
    let begun = Instant::now();
    while begun.elapsed() < RECOVERED {
        known.lock().unwrap().unknown.insert(id.to_owned());
        if served(server, id, Duration::from_millis(500)) {
            let mut known = known.lock().unwrap();
            known.unknown.remove(id);
            known.acknowledged.insert(id.to_owned());
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(format!("not served {RECOVERED:?} after the connections had gone:\n{}", server.log()))
}

fn all_there(server: &Server, known: &Mutex<Known>) -> Result<(), String> {
    let stored = stored(server)?;
    let known = known.lock().unwrap();
    let lost = known.acknowledged.iter().filter(|id| !stored.contains_key(*id)).count();
    if lost > 0 {
        return Err(format!("{lost} of {} acknowledged events are lost", known.acknowledged.len()));
    }
    Ok(())
}
