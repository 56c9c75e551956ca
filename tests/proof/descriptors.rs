//! Suite `descriptors`: a server without free descriptors. It may open 512 files, and twice as many
//! connections arrive. `--runs` is the number of times that this happens to it.
//!
//! It proves that the server neither ends nor uses up the processor, that it serves again soon
//! after the connections have closed, and that no acknowledged event is lost. The canary is a
//! request while all descriptors are taken: if it is answered, the descriptors were not exhausted.

use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::RunOptions;
use crate::checker::{stored_events, wait_until_settled};
use crate::load::{Load, SentEvents};
use crate::process_stats::{cpu_time, descriptor_limits, open_descriptors, set_descriptor_limits};
use crate::sender::paid;
use crate::server::{SOURCES, Server, ServerDir};

/// Descriptors that the server may open.
const DESCRIPTOR_LIMIT: u64 = 512;
/// Connections that are opened, more than the server has descriptors.
const CONNECTIONS: usize = 1024;
/// Time for which all descriptors stay taken.
const EXHAUSTION_DURATION: Duration = Duration::from_secs(2);
/// Repetitions of the short form.
const SHORT_FORM_RUNS: usize = 1;
/// Limit for the time until the server serves again. The promise is 2 s; the rest allows for a busy
/// machine.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(15);

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let runs = RunOptions {
        runs: if options.short { SHORT_FORM_RUNS } else { options.runs },
        ..options.clone()
    };
    let place = ServerDir::new(&format!(
        "store: sqlite:events.db\n{SOURCES}routes:\n  - {{ name: r, events: stripe/**, chain: [{{ handler: file, with: {{ path: done.jsonl }} }}], retry: {{ attempts: 100, first_delay: 100ms, max_delay: 1s }} }}\n"
    ));
    let Some((soft, hard)) = check_raised_limit(&place)? else {
        return Ok("SKIP: no prlimit, or the limit of descriptors is too low".to_owned());
    };
    let server = place.start();
    set_descriptor_limits(server.pid(), DESCRIPTOR_LIMIT, hard)?;
    let sent = Arc::new(Mutex::new(SentEvents::default()));
    let (mut rounds, mut missed) = (0, 0);
    let (mut slowest, mut busiest) = (Duration::ZERO, Duration::ZERO);
    while runs.wants_another(rounds) {
        let load = Load::start(&server.addr, 4, rounds, &sent);
        std::thread::sleep(Duration::from_millis(300));
        let Some(cpu) = exhaust(&server)? else {
            load.stop();
            missed += 1;
            if missed == 5 {
                return Ok("SKIP: in five attempts the connections did not take all descriptors"
                    .to_owned());
            }
            continue;
        };
        let start = Instant::now();
        wait_until_served(&server, &format!("evt_after_{rounds}"), &sent)?;
        slowest = slowest.max(start.elapsed());
        busiest = busiest.max(cpu);
        load.stop();
        rounds += 1;
    }
    let acknowledged = sent.lock().unwrap().acknowledged.clone();
    wait_until_settled(&server)?;
    check_none_lost(&server, &sent)?;
    server.kill();
    check_none_lost(&place.start(), &sent)?;
    Ok(format!(
        "{rounds} times {CONNECTIONS} connections at {DESCRIPTOR_LIMIT} descriptors: served again at most {slowest:.1?} after they had closed, at most {busiest:.1?} of processor time in {EXHAUSTION_DURATION:?}, {} acknowledged and 0 lost; a limit of {soft} is raised to {hard} at the start",
        acknowledged.len()
    ))
}

/// Checks that a server that starts with a low soft limit raises it; returns both values, or `None`
/// if this machine does not allow the check.
fn check_raised_limit(place: &ServerDir) -> Result<Option<(u64, u64)>, String> {
    let own_pid = std::process::id();
    let Some((soft, hard)) = descriptor_limits(own_pid) else { return Ok(None) };
    if hard < 2 * CONNECTIONS as u64
        || set_descriptor_limits(own_pid, DESCRIPTOR_LIMIT / 2, hard).is_err()
    {
        return Ok(None);
    }
    let server = place.start();
    set_descriptor_limits(own_pid, soft.max(2 * CONNECTIONS as u64), hard)?;
    match descriptor_limits(server.pid()) {
        Some((now, _)) if now == hard => Ok(Some((DESCRIPTOR_LIMIT / 2, hard))),
        other => Err(format!(
            "started with a soft limit of {}, the server has {other:?}, expected {hard}",
            DESCRIPTOR_LIMIT / 2
        )),
    }
}

/// Takes all descriptors of the server for a while; returns the processor time that it used
/// meanwhile, or `None` if the connections did not take all descriptors, so that the run proves
/// nothing.
fn exhaust(server: &Server) -> Result<Option<Duration>, String> {
    let connect = |n| {
        // Connections beyond the kernel's accept queue would arrive seconds later.
        if n % 32 == 31 {
            std::thread::sleep(Duration::from_millis(20));
        }
        TcpStream::connect(&server.addr).map_err(|e| format!("connection {n}: {e}"))
    };
    let all = (0..CONNECTIONS).map(connect).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    while open_descriptors(server.pid()) < usize::try_from(DESCRIPTOR_LIMIT).unwrap_or(0) - 2 {
        if start.elapsed() > Duration::from_secs(5) {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = cpu_time(server.pid());
    std::thread::sleep(EXHAUSTION_DURATION);
    let cpu = cpu_time(server.pid()) - before;
    if is_served(server, "evt_canary", Duration::from_secs(1)) {
        return Err(
            "the canary, a request while all descriptors are taken, was answered".to_owned()
        );
    }
    drop(all);
    // Up to one processor is allowed, because the connections of the load are still served.
    if cpu > EXHAUSTION_DURATION {
        return Err(format!(
            "the server used {cpu:?} of processor time in {EXHAUSTION_DURATION:?}"
        ));
    }
    Ok(Some(cpu))
}

/// Returns whether an event is acknowledged within this time.
fn is_served(server: &Server, id: &str, timeout: Duration) -> bool {
    let signed = paid(id);
    let (target, headers) = (&signed.target, &signed.headers);
    let bytes = crate::http::encode_request(&server.addr, "POST", target, headers, &signed.body);
    let Ok(mut stream) = TcpStream::connect(&server.addr) else { return false };
    let timeout_set = stream.set_read_timeout(Some(timeout));
    let sent = timeout_set.and_then(|()| std::io::Write::write_all(&mut stream, &bytes));
    sent.is_ok() && crate::http::read(&mut stream).is_ok_and(|answer| answer.status == 200)
}

fn wait_until_served(server: &Server, id: &str, sent: &Mutex<SentEvents>) -> Result<(), String> {
    let start = Instant::now();
    while start.elapsed() < RECOVERY_TIMEOUT {
        sent.lock().unwrap().unanswered.insert(id.to_owned());
        if is_served(server, id, Duration::from_millis(500)) {
            let mut sent = sent.lock().unwrap();
            sent.unanswered.remove(id);
            sent.acknowledged.insert(id.to_owned());
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(format!(
        "not served {RECOVERY_TIMEOUT:?} after the connections had closed:\n{}",
        server.log()
    ))
}

fn check_none_lost(server: &Server, sent: &Mutex<SentEvents>) -> Result<(), String> {
    let stored = stored_events(server)?;
    let sent = sent.lock().unwrap();
    let lost = sent.acknowledged.iter().filter(|id| !stored.contains_key(*id)).count();
    if lost > 0 {
        return Err(format!("{lost} of {} acknowledged events are lost", sent.acknowledged.len()));
    }
    Ok(())
}
