//! Suite `malformed`: bytes that are not valid HTTP. First a table of cases, each with its pinned
//! answer, and then random mutations of valid requests. `--runs` is the number of mutated requests,
//! 1,000,000 in the long form.
//!
//! It proves that no bytes make the server panic, hang, answer an unintended status, or grow in
//! memory. The oracle is the table and the list of allowed statuses; a failure shows the bytes. The
//! canaries are a server that never answers and one that always answers 500.

mod case;
mod mutations;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::RunOptions;
use crate::malformed::case::{Case, cases};
use crate::malformed::mutations::Mutations;
use crate::process_stats::resident_mib;
use crate::raw_http::{ExchangeError, exchange};
use crate::server::{SOURCES, Server, ServerDir};

/// Mutated requests of the short form.
const SHORT_FORM_REQUESTS: usize = 25_000;
/// A server that has not closed the connection within this time hangs.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Clients at the same time.
const CLIENTS: usize = 32;
/// Allowed growth of resident memory after the first tenth of the requests.
const MAX_GROWTH_MIB: u64 = 48;

/// Statuses that a mutated request may get.
const ALLOWED_STATUSES: [u16; 13] =
    [100, 200, 400, 401, 404, 405, 408, 413, 414, 415, 422, 429, 431];

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let count = if options.short { SHORT_FORM_REQUESTS } else { options.runs };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let canaries = runtime.spawn(check_canaries());
    let place = ServerDir::new(&routes());
    let server = Server::start(place.0.path(), &[("RUST_LOG", "warn")]);
    let cases = cases();
    runtime.block_on(check_table(&server.addr, &cases, false))?;
    runtime.block_on(check_strict_table(&cases))?;
    let start = Instant::now();
    let (first, rest) = (count.div_ceil(10), count - count.div_ceil(10));
    runtime.block_on(send_mutations(&server.addr, options.seed, first))?;
    let warm_mib = resident_mib(server.pid());
    let tally = runtime.block_on(send_mutations(&server.addr, !options.seed, rest))?;
    let (after_mib, took) = (resident_mib(server.pid()), start.elapsed());
    check_alive(&server)?;
    runtime.block_on(canaries).map_err(|e| e.to_string())??;
    if after_mib > warm_mib + MAX_GROWTH_MIB {
        return Err(format!(
            "memory grew from {warm_mib} to {after_mib} MiB, at most {MAX_GROWTH_MIB} more are allowed"
        ));
    }
    Ok(format!(
        "{} pinned cases; {count} mutated requests in {took:.0?}: no panic, no hang, no 5xx, slowest exchange {:.1?}, {warm_mib} MiB and then {after_mib} MiB; canaries found. Answers: {}",
        cases.len(),
        tally.slowest,
        tally.summary()
    ))
}

fn routes() -> String {
    format!(
        "store: sqlite:events.db\n{SOURCES}  open: {{ provider: none, limits: {{ body: 2MiB }} }}\nroutes: []\n"
    )
}

/// Checks that the server still accepts a valid event and that nothing panicked.
fn check_alive(server: &Server) -> Result<(), String> {
    // An unsigned event, because failed verifications have blocked this address by now, as they
    // should.
    let answer = crate::http::send(&server.addr, "POST", "/webhooks/open", &[], b"{}");
    match answer {
        Ok(answer) if answer.status == 200 => {}
        other => return Err(format!("a valid event after all requests got {other:?}")),
    }
    match server.log().lines().find(|line| line.contains("panicked")) {
        Some(line) => Err(format!("the server's log: {line}")),
        None => Ok(()),
    }
}

/// Compares the answers of a server with `strict_framing`.
async fn check_strict_table(cases: &[Case]) -> Result<(), String> {
    let place = ServerDir::new(&format!("server: {{ strict_framing: true }}\n{}", routes()));
    let server = Server::start(place.0.path(), &[("RUST_LOG", "warn")]);
    let checked = check_table(&server.addr, cases, true).await;
    checked.map_err(|e| format!("with strict framing: {e}"))
}

/// Sends each case of the table and compares the answers.
async fn check_table(addr: &str, cases: &[Case], strict: bool) -> Result<(), String> {
    let mut failures = Vec::new();
    for case in cases {
        let bytes = case.bytes();
        let found = match exchange(addr, &bytes, EXCHANGE_TIMEOUT).await {
            Ok(answers) => answers,
            Err(e) => {
                failures.push(format!("{}: {e}", case.name));
                continue;
            }
        };
        let statuses: Vec<u16> = found.iter().map(|a| a.status).collect();
        let code = found.last().and_then(|a| a.code.clone());
        let expected = case.strict.as_ref().filter(|_| strict).unwrap_or(&case.answers);
        if case.closes && !found.last().is_some_and(|answer| answer.closes) {
            failures.push(format!("{}: the last answer has no `connection: close`", case.name));
        }
        if statuses != *expected || (case.code.is_some() && code != case.code) {
            let code_name = case.code.as_deref().unwrap_or("any");
            failures.push(format!(
                "{}: got {statuses:?} {code:?}, expected {expected:?} {code_name}",
                case.name
            ));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Counts of the mutated requests.
#[derive(Debug, Default)]
struct Tally {
    statuses: std::collections::BTreeMap<u16, usize>,
    slowest: Duration,
}

impl Tally {
    fn summary(&self) -> String {
        let each: Vec<_> = self.statuses.iter().map(|(s, n)| format!("{s} {n}")).collect();
        each.join(", ")
    }

    fn add(&mut self, other: &Self) {
        for (status, n) in &other.statuses {
            *self.statuses.entry(*status).or_insert(0) += n;
        }
        self.slowest = self.slowest.max(other.slowest);
    }
}

/// Sends mutated requests and checks their answers.
async fn send_mutations(addr: &str, seed: u64, count: usize) -> Result<Tally, String> {
    let sent = Arc::new(AtomicUsize::new(0));
    let client = |n: usize| {
        let (addr, sent) = (addr.to_owned(), sent.clone());
        let mut mutations = Mutations::new(seed.wrapping_add(n as u64));
        tokio::spawn(async move {
            let mut tally = Tally::default();
            while sent.load(Ordering::Relaxed) < count {
                let (bytes, requests) = mutations.next_requests();
                sent.fetch_add(requests, Ordering::Relaxed);
                check_exchange(&addr, &bytes, &mut tally).await?;
            }
            Ok::<_, String>(tally)
        })
    };
    let mut all = Tally::default();
    for client in (0..CLIENTS).map(client).collect::<Vec<_>>() {
        all.add(&client.await.map_err(|e| e.to_string())??);
    }
    Ok(all)
}

/// Sends bytes and checks that each answer has an allowed status.
async fn check_exchange(addr: &str, bytes: &[u8], tally: &mut Tally) -> Result<(), String> {
    let with_bytes = |what: String| format!("{what}, to:\n{}", bytes.escape_ascii());
    let start = Instant::now();
    let answers =
        exchange(addr, bytes, EXCHANGE_TIMEOUT).await.map_err(|e| with_bytes(e.to_string()))?;
    tally.slowest = tally.slowest.max(start.elapsed());
    for answer in answers {
        if !ALLOWED_STATUSES.contains(&answer.status) {
            return Err(with_bytes(format!(
                "{} {:?} is not an allowed status",
                answer.status, answer.code
            )));
        }
        *tally.statuses.entry(answer.status).or_insert(0) += 1;
    }
    Ok(())
}

/// Checks that a server that never answers and one that always answers 500 are found.
async fn check_canaries() -> Result<(), String> {
    let listen = || async { TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string()) };
    let (silent_listener, failing_listener) = (listen().await?, listen().await?);
    let name = |l: &TcpListener| l.local_addr().map(|a| a.to_string()).map_err(|e| e.to_string());
    let (silent, failing) = (name(&silent_listener)?, name(&failing_listener)?);
    let app = axum::Router::new().fallback(|| async { http::StatusCode::INTERNAL_SERVER_ERROR });
    tokio::spawn(
        async move { hookward::serve(failing_listener, app, std::future::pending()).await },
    );
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    if !matches!(exchange(&silent, request, EXCHANGE_TIMEOUT).await, Err(ExchangeError::Hangs)) {
        return Err("the canary, a server that never answers, was not found".to_owned());
    }
    drop(silent_listener);
    match check_exchange(&failing, request, &mut Tally::default()).await {
        Err(failure) if failure.contains("500") => Ok(()),
        other => {
            Err(format!("the canary, a server that always answers 500, was not found: {other:?}"))
        }
    }
}
