//! Slow peers by the thousand: heads and bodies that never end, answers that nobody reads, TLS
//! handshakes that stall, the first bytes of TLS on a port that speaks none. All must be closed in time, memory stays small, honest
//! senders are served in between, and the server stops with all of them open. `--runs` is the number
//! of hostile peers (15,000 for the long form).

mod peer;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::RunOptions;
use crate::process_stats::{Honest, descriptors, file_limit, limit_files, peak_mib};
use crate::server::{Place, SOURCES, Server};
use crate::slow::peer::{CERTIFICATE, KEY, Kept, Kind, Peer, peers, tls_peers};

/// In the short form.
const SHORT: usize = 1500;
/// Every hostile peer is closed after this long. The promise is 12 s; no test judges speed.
const CLOSED: Duration = Duration::from_secs(16);
/// Resident memory of the server, in MiB, and in KiB for each peer.
const MEMORY: u64 = 96;
const EACH: u64 = 14;
/// Peers that read nothing of a large answer, at a server of this process.
const UNREAD: usize = 40;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let count = if options.short { SHORT } else { options.runs };
    let (ours, hard) = file_limit(std::process::id()).ok_or("no /proc")?;
    let needed = count as u64 + 500;
    if ours < needed && limit_files(std::process::id(), needed, hard.max(needed)).is_err() {
        return Ok(format!("SKIP: {count} peers need {needed} descriptors, {hard} are allowed"));
    }
    let place = Place::new(&format!(
        "store: sqlite:events.db\nserver: {{ max_connections: 20000 }}\n{SOURCES}routes: []\n"
    ));
    let server = place.start();
    let addr = server.addr.parse().map_err(|e| format!("{e}"))?;
    let mut chance = fastrand::Rng::with_seed(options.seed);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;

    // The canary and the unread answers take their time beside the rest.
    let bare = runtime.block_on(bare())?;
    let canary = runtime.spawn(all(bare, peers(&mut chance, 60)));
    let (_folder, secured, tls_addr) = secured()?;
    let stalled = runtime.spawn(all(tls_addr, tls_peers(&mut chance, count / 15)));
    let app = runtime.block_on(app())?;
    let unread = runtime.spawn(all(app, vec![Peer::new(Kind::LargeUnread, 0); UNREAD]));

    let honest = Honest::start(&server.addr, "slow");
    let spans = runtime.block_on(all(addr, peers(&mut chance, count)));
    let served = honest.stop()?;
    let spans = spans?;
    let slowest = judged(&spans)?;
    let stalled = runtime.block_on(stalled).map_err(|e| e.to_string())??;
    let tls_slowest = judged(&stalled).map_err(|e| format!("over TLS: {e}"))?;
    let tls_memory = peak_mib(secured.pid());
    if tls_memory > MEMORY + count as u64 * EACH / 1024 {
        return Err(format!("{tls_memory} MiB resident under stalled handshakes"));
    }
    let refused = runtime.block_on(unread).map_err(|e| e.to_string())??;
    judged(&refused).map_err(|e| format!("a large answer unread: {e}"))?;
    let canary = runtime.block_on(canary).map_err(|e| e.to_string())??;
    if judged(&canary).is_ok() {
        return Err("the canary, a server without timers, closed its slow peers".to_owned());
    }
    let left = canary.iter().filter(|kept| kept.span.is_none()).count();
    let memory = peak_mib(server.pid());
    let allowed = MEMORY + count as u64 * EACH / 1024;
    if memory > allowed {
        return Err(format!("{memory} MiB resident, {allowed} are allowed"));
    }
    // No test judges speed: this bound is far from what is promised.
    if served.at(99) > Duration::from_secs(3) {
        return Err(format!("honest senders wait: {served}"));
    }

    // Once more, and stopped with all of them open.
    let open = runtime.spawn(all(addr, peers(&mut chance, count)));
    let held = most_open(server.pid(), count);
    let begun = Instant::now();
    let code = server.terminate();
    let stopped = begun.elapsed();
    open.abort();
    if held < count / 2 {
        return Err(format!("only {held} of {count} peers were there at the end"));
    }
    if code != Some(0) {
        return Err(format!("stopped with {code:?}"));
    }
    Ok(format!(
        "{count} slow peers, the last closed after {slowest:.1?}; {} with stalled TLS, the last closed after {tls_slowest:.1?}, {tls_memory} MiB at most; {UNREAD} of 64 MiB unread answers closed; {memory} MiB at most; {served}; stopped with {held} open in {stopped:.1?}; a server without timers kept {left} of 60",
        count / 15
    ))
}

/// A server that speaks TLS.
fn secured() -> Result<(Place, Server, SocketAddr), String> {
    let place = Place::new(&format!(
        "store: sqlite:events.db\nserver: {{ tls: {{ certificate: one.pem, key: one.key.pem }} }}\n{SOURCES}routes: []\n"
    ));
    place.write("one.pem", CERTIFICATE);
    place.write("one.key.pem", KEY);
    let server = place.start();
    let addr = server.addr.parse().map_err(|e| format!("{e}"))?;
    Ok((place, server, addr))
}

/// Waits until nearly all peers that are not answered at once are there; how many are.
fn most_open(pid: u32, count: usize) -> usize {
    let begun = Instant::now();
    loop {
        std::thread::sleep(Duration::from_millis(50));
        let open = descriptors(pid);
        if open > count * 9 / 10 || begun.elapsed() > Duration::from_secs(9) {
            return open;
        }
    }
}

/// The longest time that one was kept, or how many still are.
fn judged(spans: &[Kept]) -> Result<Duration, String> {
    let open = spans.iter().filter(|kept| kept.span.is_none_or(|s| s > CLOSED));
    let open: Vec<_> = open.map(|kept| format!("{:?}", kept.kind)).collect();
    match spans.iter().filter_map(|kept| kept.span).max() {
        Some(longest) if open.is_empty() => Ok(longest),
        _ => {
            let (n, all) = (open.len(), spans.len());
            let kinds: BTreeSet<_> = open.into_iter().collect();
            Err(format!("{n} of {all} were not closed within {CLOSED:?}: {kinds:?}"))
        }
    }
}

/// Lets all of them at a server; how long each was kept.
async fn all(addr: SocketAddr, peers: Vec<Peer>) -> Result<Vec<Kept>, String> {
    let mut running = tokio::task::JoinSet::new();
    for (n, peer) in peers.into_iter().enumerate() {
        running.spawn(peer.run(addr));
        // Connections come in fast, and not as one burst that the kernel itself turns away.
        if n % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let mut spans = Vec::new();
    while let Some(span) = running.join_next().await {
        spans.push(span.map_err(|e| e.to_string())??);
    }
    Ok(spans)
}

/// The same HTTP library as it comes, without a timer.
async fn bare() -> Result<SocketAddr, String> {
    let (listener, addr) = listener().await?;
    let app = axum::Router::new().fallback(|body: bytes::Bytes| async move { body.slice(..0) });
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(addr)
}

/// Our accept loop before an app that gives large answers.
async fn app() -> Result<SocketAddr, String> {
    let (listener, addr) = listener().await?;
    let large = bytes::Bytes::from(vec![b'x'; 64 << 20]);
    let app = axum::Router::new().fallback(move || async { large });
    tokio::spawn(async move { hookward::serve(listener, app, std::future::pending()).await });
    Ok(addr)
}

async fn listener() -> Result<(tokio::net::TcpListener, SocketAddr), String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
    let addr = listener.local_addr().map_err(|e| e.to_string())?;
    Ok((listener, addr))
}
