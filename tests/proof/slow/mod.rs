//! Suite `slow`: thousands of slow peers, with heads and bodies that never end, answers that are
//! never read, TLS handshakes that stall, and TLS on a port without it. `--runs` is the number of
//! peers, 15,000 in the long form, which is more than the shipped limit of connections. All peers
//! have the address of the genuine senders.
//!
//! It proves that all of them are closed in time, that memory stays small, that genuine senders are
//! served meanwhile, and that the server stops while all peers are connected. The oracle is the
//! time after which each peer sees its connection closed. The canary is a server without time
//! limits.

mod peer;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::RunOptions;
use crate::genuine_sender::GenuineSender;
use crate::process_stats::{descriptor_limits, open_descriptors, peak_mib, set_descriptor_limits};
use crate::server::{SOURCES, Server, ServerDir};
use crate::slow::peer::{Behavior, CERTIFICATE, Connection, KEY, Peer, peers, tls_peers};

/// Peers of the short form.
const SHORT_FORM_PEERS: usize = 1500;
/// Limit for the time until a peer is closed. The promise is 12 s; the rest allows for a busy
/// machine.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(16);
/// The limit of connections that the server ships with.
const SHIPPED_MAX_CONNECTIONS: usize = 10_000;
/// Allowed resident memory of the server without peers.
const BASE_MEMORY_MIB: u64 = 96;
/// Allowed resident memory for each peer.
const PEER_MEMORY_KIB: u64 = 14;
/// Peers that never read a large answer, at a listener in this process.
const UNREAD_PEERS: usize = 40;
/// Limit for the 99th percentile of genuine answers, far above what is usual, for a busy machine.
const MAX_GENUINE_P99: Duration = Duration::from_secs(3);

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let count = if options.short { SHORT_FORM_PEERS } else { options.runs };
    let (soft, hard) = descriptor_limits(std::process::id()).ok_or("no /proc")?;
    let needed = count as u64 + 500;
    if soft < needed && set_descriptor_limits(std::process::id(), needed, hard.max(needed)).is_err()
    {
        return Ok(format!("SKIP: {count} peers need {needed} descriptors, {hard} are allowed"));
    }
    let place = ServerDir::new(&format!("store: sqlite:events.db\n{SOURCES}routes: []\n"));
    let server = place.start();
    let addr = server.addr.parse().map_err(|e| format!("{e}"))?;
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;

    // The canary and the unread answers take as long as the rest, so they run at the same time.
    let without_limits = runtime.block_on(serve_without_limits())?;
    let canary = runtime.spawn(attack(without_limits, peers(&mut rng, 60)));
    let (_folder, tls_server, tls_addr) = start_tls_server()?;
    let stalled = runtime.spawn(attack(tls_addr, tls_peers(&mut rng, count / 15)));
    let large_answers = runtime.block_on(serve_large_answers())?;
    let unread = runtime
        .spawn(attack(large_answers, vec![Peer::new(Behavior::LargeUnread, 0); UNREAD_PEERS]));

    let genuine = GenuineSender::start(&server.addr, "slow");
    let connections = runtime.block_on(attack(addr, peers(&mut rng, count)));
    let latencies = genuine.stop()?;
    let connections = connections?;
    let slowest = check_closed(&connections)?;
    let stalled = runtime.block_on(stalled).map_err(|e| e.to_string())??;
    let tls_slowest = check_closed(&stalled).map_err(|e| format!("with TLS: {e}"))?;
    let at_once = count.min(SHIPPED_MAX_CONNECTIONS) as u64;
    let allowed = BASE_MEMORY_MIB + at_once * PEER_MEMORY_KIB / 1024;
    let tls_mib = peak_mib(tls_server.pid());
    if tls_mib > allowed {
        return Err(format!("{tls_mib} MiB resident with stalled TLS handshakes"));
    }
    let unread = runtime.block_on(unread).map_err(|e| e.to_string())??;
    check_closed(&unread).map_err(|e| format!("with a large unread answer: {e}"))?;
    let canary = runtime.block_on(canary).map_err(|e| e.to_string())??;
    if check_closed(&canary).is_ok() {
        return Err("the canary, a server without time limits, closed its slow peers".to_owned());
    }
    let left = canary.iter().filter(|connection| connection.closed_after.is_none()).count();
    let memory = peak_mib(server.pid());
    if memory > allowed {
        return Err(format!("{memory} MiB resident, {allowed} are allowed"));
    }
    if latencies.percentile(99) > MAX_GENUINE_P99 {
        return Err(format!("genuine senders wait more than {MAX_GENUINE_P99:?}: {latencies}"));
    }

    let (connected, stopped) =
        runtime.block_on(stop_under_attack(server, peers(&mut rng, count)))?;
    Ok(format!(
        "{count} slow peers, the last closed after {slowest:.1?}; {} with stalled TLS, the last closed after {tls_slowest:.1?}, {tls_mib} MiB at most; {UNREAD_PEERS} of 64 MiB unread answers closed; {memory} MiB at most; {latencies}; stopped with {connected} open in {stopped:.1?}; canary, a server without time limits, kept {left} of 60",
        count / 15
    ))
}

/// Stops a server while slow peers are connected; returns their number and the duration of the
/// stop.
async fn stop_under_attack(server: Server, peers: Vec<Peer>) -> Result<(usize, Duration), String> {
    let count = peers.len().min(SHIPPED_MAX_CONNECTIONS);
    let addr = server.addr.parse().map_err(|e| format!("{e}"))?;
    let open = tokio::spawn(attack(addr, peers));
    let waited = tokio::task::spawn_blocking(move || {
        let connected = wait_for_peers(server.pid(), count);
        let start = Instant::now();
        (connected, server.terminate(), start.elapsed())
    });
    let (connected, code, stopped) = waited.await.map_err(|e| e.to_string())?;
    open.abort();
    if connected < count / 2 {
        return Err(format!("only {connected} of {count} peers were connected at the stop"));
    }
    if code != Some(0) {
        return Err(format!("stopped with exit code {code:?}, expected 0"));
    }
    Ok((connected, stopped))
}

/// Starts a server with TLS.
fn start_tls_server() -> Result<(ServerDir, Server, SocketAddr), String> {
    let place = ServerDir::new(&format!(
        "store: sqlite:events.db\nserver: {{ tls: {{ certificate: one.pem, key: one.key.pem }} }}\n{SOURCES}routes: []\n"
    ));
    place.write("one.pem", CERTIFICATE);
    place.write("one.key.pem", KEY);
    let server = place.start();
    let addr = server.addr.parse().map_err(|e| format!("{e}"))?;
    Ok((place, server, addr))
}

/// Waits until nearly all peers are connected; returns how many are.
fn wait_for_peers(pid: u32, count: usize) -> usize {
    let start = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(50));
        let open = open_descriptors(pid);
        if open > count * 9 / 10 || start.elapsed() > Duration::from_secs(9) {
            return open;
        }
    }
}

/// Checks that each connection was closed in time; returns the longest time.
fn check_closed(connections: &[Connection]) -> Result<Duration, String> {
    let open = connections.iter().filter(|c| c.closed_after.is_none_or(|t| t > CLOSE_TIMEOUT));
    let open: Vec<_> = open.map(|c| format!("{:?}", c.behavior)).collect();
    match connections.iter().filter_map(|c| c.closed_after).max() {
        Some(longest) if open.is_empty() => Ok(longest),
        _ => {
            let (n, all) = (open.len(), connections.len());
            let behaviors: BTreeSet<_> = open.into_iter().collect();
            Err(format!("{n} of {all} were not closed within {CLOSE_TIMEOUT:?}: {behaviors:?}"))
        }
    }
}

/// Connects all peers to a server; returns when each connection was closed.
async fn attack(addr: SocketAddr, peers: Vec<Peer>) -> Result<Vec<Connection>, String> {
    let mut running = tokio::task::JoinSet::new();
    for (n, peer) in peers.into_iter().enumerate() {
        running.spawn(peer.run(addr));
        // A single burst would overflow the kernel's accept queue.
        if n % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let mut connections = Vec::new();
    while let Some(connection) = running.join_next().await {
        connections.push(connection.map_err(|e| e.to_string())??);
    }
    Ok(connections)
}

/// Serves with the same HTTP library and its defaults, which have no time limits.
async fn serve_without_limits() -> Result<SocketAddr, String> {
    let (listener, addr) = bind().await?;
    let app = axum::Router::new().fallback(|body: bytes::Bytes| async move { body.slice(..0) });
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(addr)
}

/// Serves large answers with Hookward's listener.
async fn serve_large_answers() -> Result<SocketAddr, String> {
    let (listener, addr) = bind().await?;
    let large = bytes::Bytes::from(vec![b'x'; 64 << 20]);
    let app = axum::Router::new().fallback(move || async { large });
    tokio::spawn(async move { hookward::serve(listener, app, std::future::pending()).await });
    Ok(addr)
}

async fn bind() -> Result<(tokio::net::TcpListener, SocketAddr), String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
    let addr = listener.local_addr().map_err(|e| e.to_string())?;
    Ok((listener, addr))
}
