//! Suite `adversary`: one hostile party, with the limits that the server ships with. The party has
//! the address of a genuine sender, as behind a proxy that the server does not trust. `--runs` is
//! the duration of each attack in seconds.
//!
//! It proves that no party, alone, makes a correctly signed event fail, and that memory stays
//! bounded: the server's address space is limited, so that an allocation without a bound ends it.
//! The oracle is a genuine sender whose events must all be accepted in time, and a list of what is
//! stored afterwards. Each attack has its canary: a server with the weakness that the attack needs,
//! at which the oracle must see genuine events fail.

mod attacks;
mod captured;
mod unbounded_schema;
mod weak_server;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::RunOptions;
use crate::adversary::attacks::{Attack, Onslaught};
use crate::adversary::weak_server::{WeakServer, Weakness};
use crate::genuine_sender::{GenuineSender, Latencies};
use crate::process_stats::{descriptor_limits, peak_mib, set_descriptor_limits};
use crate::server::{Server, ServerDir};

pub(crate) use unbounded_schema::{EVALUATE_UNBOUNDED, evaluate_unbounded};

/// Duration of an attack in the short form, and of an attack on a canary.
const SHORT_FORM_DURATION: Duration = Duration::from_secs(4);
/// Address space of the server. More than the server maps when it starts, and less than the
/// machine has.
const MAX_ADDRESS_SPACE_MIB: u64 = 3 * 1024;
/// Allowed resident memory of the server.
const MAX_MEMORY_MIB: u64 = 400;
/// Limit for the slowest answer to a proven request, far above what is usual, for a busy machine.
const MAX_LATENCY: Duration = Duration::from_secs(5);
/// Descriptors of this process, which holds the hostile ends of the connections.
const NEEDED_DESCRIPTORS: u64 = 20_000;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let (soft, hard) = descriptor_limits(std::process::id()).ok_or("no /proc")?;
    if soft < NEEDED_DESCRIPTORS {
        let hard = hard.max(NEEDED_DESCRIPTORS);
        if set_descriptor_limits(std::process::id(), NEEDED_DESCRIPTORS, hard).is_err() {
            return Ok(format!("SKIP: {NEEDED_DESCRIPTORS} descriptors are needed"));
        }
    }
    let duration = match options.short {
        true => SHORT_FORM_DURATION,
        false => Duration::from_secs(options.runs as u64),
    };
    let (mut findings, mut failures) = (Vec::new(), Vec::new());
    let mut record = |result: Result<String, String>| match result {
        Ok(finding) => findings.push(finding),
        Err(failure) => failures.push(failure),
    };
    // All attacks, also after one has succeeded: they exploit different weaknesses.
    for attack in Attack::ALL {
        let finding = attack_server(attack, duration)
            .and_then(|finding| check_canary(attack).map(|()| format!("{attack}: {finding}")));
        record(finding.map_err(|e| format!("{attack}: {e}")));
    }
    record(captured::run(duration));
    if failures.is_empty() { Ok(findings.join("; ")) } else { Err(failures.join("; ")) }
}

/// Attacks the real server beside a genuine sender; returns what was seen.
fn attack_server(attack: Attack, duration: Duration) -> Result<String, String> {
    let place = ServerDir::new(include_str!("routes.yaml"));
    place.write("recursive.json", attacks::RECURSIVE_SCHEMA);
    let server = start_limited(&place)?;
    let duration = duration.max(attack.min_duration());
    let (onslaught, genuine) = attack_beside_genuine(&server.addr, attack, duration)?;
    let latencies = genuine.stop()?;
    check_latencies(&latencies)?;
    let peak = peak_mib(server.pid());
    if peak > MAX_MEMORY_MIB {
        return Err(format!("{peak} MiB resident, {MAX_MEMORY_MIB} are allowed"));
    }
    let stored = count_events(&server, "source=stripe")?;
    if stored < latencies.answered.len() {
        let acknowledged = latencies.answered.len();
        return Err(format!(
            "{acknowledged} genuine events were acknowledged, {stored} are stored"
        ));
    }
    if let Some(source) = attack.proven_source() {
        if onslaught.slowest > MAX_LATENCY {
            return Err(format!("a proven request was answered after {:.1?}", onslaught.slowest));
        }
        if count_events(&server, &format!("source={source}"))? == 0 {
            return Err("no proven event is stored".to_owned());
        }
    }
    if server.terminate() != Some(0) {
        return Err("the server did not stop cleanly after the attack".to_owned());
    }
    let sent = onslaught.sent;
    Ok(format!("{sent} hostile requests or connections, {latencies}, {peak} MiB at most"))
}

/// Starts a server whose address space is limited.
fn start_limited(place: &ServerDir) -> Result<Server, String> {
    let server = Server::start(place.0.path(), &[("RUST_LOG", "off")]);
    let limit = format!("--as={}", MAX_ADDRESS_SPACE_MIB << 20);
    let output =
        Command::new("prlimit").args(["--pid", &server.pid().to_string(), &limit]).output();
    match output {
        Ok(output) if output.status.success() => Ok(server),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(e) => Err(format!("prlimit: {e}")),
    }
}

/// Runs an attack beside a genuine sender, which continues.
fn attack_beside_genuine(
    addr: &str,
    attack: Attack,
    duration: Duration,
) -> Result<(Onslaught, GenuineSender), String> {
    let target: SocketAddr = addr.parse().map_err(|e| format!("{e}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let genuine = GenuineSender::start(addr, "adversary");
    let onslaught = runtime.block_on(attack.run(target, duration));
    // Connections that are still open are reset, so that the next attack finds free ports.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok((onslaught, genuine))
}

fn check_latencies(latencies: &Latencies) -> Result<(), String> {
    let slowest = latencies.percentile(100);
    if latencies.answered.len() < 10 {
        return Err(format!("too few genuine events to prove anything: {latencies}"));
    }
    if slowest > MAX_LATENCY {
        return Err(format!("a genuine sender waited {slowest:.1?}"));
    }
    Ok(())
}

/// Attacks a server that has the weakness; a genuine sender must be seen to fail.
fn check_canary(attack: Attack) -> Result<(), String> {
    let Some(weakness) = Weakness::for_attack(attack) else {
        return unbounded_schema::check_canary();
    };
    let weak = WeakServer::start(weakness)?;
    let (_, genuine) = attack_beside_genuine(&weak.addr, attack, SHORT_FORM_DURATION)?;
    match genuine.stop().and_then(|latencies| check_latencies(&latencies)) {
        Ok(()) => Err(format!("the canary, a server that {weakness}, served every genuine event")),
        Err(_) => Ok(()),
    }
}

/// The number of stored events that match a query.
fn count_events(server: &Server, query: &str) -> Result<usize, String> {
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let target = format!("/api/v1/events?limit=500&{query}&cursor={cursor}");
        let page = server.admin("GET", &target, "").json();
        count += page["events"].as_array().ok_or("no list of events")?.len();
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return Ok(count),
        }
    }
}
