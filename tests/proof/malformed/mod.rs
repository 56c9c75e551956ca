//! Requests that are not what HTTP wants: a table of cases with the answer of each, and then any number
//! that chance makes from good ones. No panic, no answer that is not planned, nothing that hangs, and
//! memory stays what it was. `--runs` is the number of requests that chance makes (1,000,000 for the
//! long form); a failure names the seed and shows the bytes.

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
use crate::raw_http::{Fault, exchange};
use crate::server::{Place, SOURCES, Server};

/// Made by chance in the short form.
const SHORT: usize = 25_000;
/// A server that has not closed by then hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// At once.
const CLIENTS: usize = 32;
/// Memory may grow by so much, in MiB, once the first tenth has warmed it.
const GROWTH: u64 = 48;

/// The answers that are planned for a request that is not one.
const PLANNED: [u16; 13] = [100, 200, 400, 401, 404, 405, 408, 413, 414, 415, 422, 429, 431];

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let count = if options.short { SHORT } else { options.runs };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let canaries = runtime.spawn(canaries());
    let place = Place::new(&format!(
        "store: sqlite:events.db\n{SOURCES}  open: {{ provider: none, limits: {{ body: 2MiB }} }}\nroutes: []\n"
    ));
    let server = Server::start(place.0.path(), &[("RUST_LOG", "warn")]);
    let cases = cases();
    runtime.block_on(table(&server.addr, &cases))?;
    let begun = Instant::now();
    let (first, rest) = (count.div_ceil(10), count - count.div_ceil(10));
    runtime.block_on(by_chance(&server.addr, options.seed, first))?;
    let warm = resident_mib(server.pid());
    let tally = runtime.block_on(by_chance(&server.addr, !options.seed, rest))?;
    let (after, took) = (resident_mib(server.pid()), begun.elapsed());
    alive(&server)?;
    runtime.block_on(canaries).map_err(|e| e.to_string())??;
    if after > warm + GROWTH {
        return Err(format!("memory grew from {warm} to {after} MiB"));
    }
    Ok(format!(
        "{} cases as planned; {count} requests by chance in {took:.0?}: no panic, no hang, no 5xx, slowest exchange {:.1?}, {warm} MiB and then {after} MiB; canaries found. Answers: {}",
        cases.len(),
        tally.slowest,
        tally.told()
    ))
}

/// It still takes an honest event, and nothing of it panicked on the way.
fn alive(server: &Server) -> Result<(), String> {
    // Not a signed one: by now failed proofs have locked this address out, as they should.
    let answer = crate::http::send(&server.addr, "POST", "/webhooks/open", &[], b"{}");
    match answer {
        Ok(answer) if answer.status == 200 => {}
        other => return Err(format!("an honest sender after all of them: {other:?}")),
    }
    match server.log().lines().find(|line| line.contains("panicked")) {
        Some(line) => Err(format!("the server's log: {line}")),
        None => Ok(()),
    }
}

async fn table(addr: &str, cases: &[Case]) -> Result<(), String> {
    let mut wrong = Vec::new();
    for case in cases {
        let bytes = case.bytes();
        let found = match exchange(addr, &bytes, PATIENCE).await {
            Ok(answers) => answers,
            Err(fault) => {
                wrong.push(format!("{}: {fault}", case.name));
                continue;
            }
        };
        let statuses: Vec<u16> = found.iter().map(|a| a.status).collect();
        let code = found.last().and_then(|a| a.code.clone());
        if statuses != case.answers || (case.code.is_some() && code != case.code) {
            let (planned, wanted) = (&case.answers, case.code.as_deref().unwrap_or("any"));
            wrong.push(format!(
                "{}: {statuses:?} {code:?}, planned {planned:?} {wanted}",
                case.name
            ));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// What was seen of the requests that chance made.
#[derive(Debug, Default)]
struct Tally {
    statuses: std::collections::BTreeMap<u16, usize>,
    slowest: Duration,
}

impl Tally {
    fn told(&self) -> String {
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

async fn by_chance(addr: &str, seed: u64, count: usize) -> Result<Tally, String> {
    let sent = Arc::new(AtomicUsize::new(0));
    let client = |n: usize| {
        let (addr, sent) = (addr.to_owned(), sent.clone());
        let mut mutations = Mutations::new(seed.wrapping_add(n as u64));
        tokio::spawn(async move {
            let mut tally = Tally::default();
            while sent.load(Ordering::Relaxed) < count {
                let (bytes, requests) = mutations.some();
                sent.fetch_add(requests, Ordering::Relaxed);
                judged(&addr, &bytes, &mut tally).await?;
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

async fn judged(addr: &str, bytes: &[u8], tally: &mut Tally) -> Result<(), String> {
    let shown = |what: String| format!("{what}, to:\n{}", bytes.escape_ascii());
    let begun = Instant::now();
    let answers =
        exchange(addr, bytes, PATIENCE).await.map_err(|fault| shown(fault.to_string()))?;
    tally.slowest = tally.slowest.max(begun.elapsed());
    for answer in answers {
        if !PLANNED.contains(&answer.status) {
            return Err(shown(format!("{} {:?} is not planned", answer.status, answer.code)));
        }
        *tally.statuses.entry(answer.status).or_insert(0) += 1;
    }
    Ok(())
}

/// A server that answers nothing, and one that fails at everything: both must be found.
async fn canaries() -> Result<(), String> {
    let listen = || async { TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string()) };
    let (silent, fails) = (listen().await?, listen().await?);
    let name = |l: &TcpListener| l.local_addr().map(|a| a.to_string()).map_err(|e| e.to_string());
    let (mute, failing) = (name(&silent)?, name(&fails)?);
    let app = axum::Router::new().fallback(|| async { http::StatusCode::INTERNAL_SERVER_ERROR });
    tokio::spawn(async move { hookward::serve(fails, app, std::future::pending()).await });
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    if !matches!(exchange(&mute, request, PATIENCE).await, Err(Fault::Hangs)) {
        return Err("the canary, a server that answers nothing, was not found".to_owned());
    }
    drop(silent);
    match judged(&failing, request, &mut Tally::default()).await {
        Err(told) if told.contains("500") => Ok(()),
        other => Err(format!("the canary, a server that says 500, was taken for {other:?}")),
    }
}
