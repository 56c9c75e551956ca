//! Suite `overload`: more load than the store can commit. Each commit is delayed, while thousands
//! of senders send small events, some send bodies of the allowed size, and some send bodies of ten
//! times that size. `--minutes` sets the duration. The suite needs strace, to delay the commits of
//! the real server.
//!
//! It proves that memory stays bounded, that requests beyond the capacity get 503 or 429 with
//! Retry-After, that no acknowledged event is lost, and that the server soon serves normally again.
//! The canary is a server without a bound for bodies in memory, whose memory must be seen to grow.

use std::collections::{BTreeMap, HashSet};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::RunOptions;
use crate::genuine_sender::Latencies;
use crate::process_stats::{descriptor_limits, peak_mib, set_descriptor_limits};
use crate::raw_http::{Answer, ExchangeError, exchange};
use crate::sender::paid;
use crate::server::{SOURCES, Server, ServerDir};

/// Duration of the short form.
const SHORT_FORM_DURATION: Duration = Duration::from_secs(6);
/// Senders of small events, more than may wait for the store.
const SMALL_SENDERS: usize = 3000;
/// Senders of large events, which together are five times what may be in memory.
const LARGE_SENDERS: usize = 40;
/// Size of a large body.
const LARGE_BODY_BYTES: usize = 8 << 20;
/// Senders of bodies of ten times the limit of their source; half of them do not announce the size.
const OVERSIZED_SENDERS: usize = 8;
/// Body limit of the source for oversized bodies.
const BODY_LIMIT_BYTES: usize = 1 << 20;
/// Delay of each commit.
const COMMIT_DELAY: Duration = Duration::from_millis(400);
/// Allowed resident memory: bodies, 3,000 connections, the store's copies of a commit.
const MAX_MEMORY_MIB: u64 = 400;
/// Limit for the time until the server serves again. The promise is 5 s; the rest allows for a busy
/// machine.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if !Command::new("strace").arg("-V").output().is_ok_and(|o| o.status.success()) {
        return Ok("SKIP: no strace".to_owned());
    }
    let (soft, hard) = descriptor_limits(std::process::id()).ok_or("no /proc")?;
    let needed = 2 * SMALL_SENDERS as u64;
    if soft < needed && set_descriptor_limits(std::process::id(), needed, hard.max(needed)).is_err()
    {
        return Ok(format!("SKIP: {needed} descriptors are needed, {hard} are allowed"));
    }
    let duration = match options.until {
        Some(until) => until.saturating_duration_since(Instant::now()),
        None if options.short => SHORT_FORM_DURATION,
        None => Duration::from_secs(options.runs as u64),
    };
    let result = burst("", SMALL_SENDERS, duration)?;
    if result.peak_mib > MAX_MEMORY_MIB {
        return Err(format!(
            "{} MiB resident, {MAX_MEMORY_MIB} are allowed: {}",
            result.peak_mib,
            result.summary()
        ));
    }
    // A machine that is too busy to send so much that memory grows without the bound proves
    // nothing.
    let canary = burst("server: { max_body_bytes_in_flight: 4GiB }\n", 0, Duration::from_secs(3))?;
    if canary.peak_mib < result.peak_mib + result.peak_mib / 4 {
        return Ok(format!(
            "SKIP: nothing is proved, {} MiB; the canary, bodies without a bound, used only {} MiB",
            result.peak_mib, canary.peak_mib
        ));
    }
    Ok(format!("{}; canary, bodies without a bound, {} MiB", result.summary(), canary.peak_mib))
}

/// Result of a burst.
struct BurstResult {
    answers: BTreeMap<(u16, String), usize>,
    large_unanswered: usize,
    small_unanswered: usize,
    acknowledged: Latencies,
    peak_mib: u64,
    recovered_after: Duration,
}

impl BurstResult {
    fn summary(&self) -> String {
        let format_count =
            |((status, code), n): (&(u16, String), &usize)| format!("{n} × {status} {code}");
        let answers: Vec<_> = self.answers.iter().map(format_count).collect();
        format!(
            "answers {}; {} large and {} small requests without an answer; acknowledged after p50 {:.1?}, p99 {:.1?}; {} MiB at most; 0 lost; served again after {:.1?}",
            answers.join(", "),
            self.large_unanswered,
            self.small_unanswered,
            self.acknowledged.percentile(50),
            self.acknowledged.percentile(99),
            self.peak_mib,
            self.recovered_after
        )
    }
}

/// Counts of all senders.
#[derive(Default)]
struct Tally {
    answers: BTreeMap<(u16, String), usize>,
    acknowledged: Vec<String>,
    latencies: Vec<Duration>,
    large_unanswered: usize,
    small_unanswered: usize,
    failure: Option<String>,
}

/// Sends to a server with delayed commits. `limits` replaces the limits that it ships with.
fn burst(limits: &str, small: usize, duration: Duration) -> Result<BurstResult, String> {
    let place = ServerDir::new(&format!(
        "store: sqlite:events.db\n{limits}{SOURCES}  open: {{ provider: none, limits: {{ body: 8MiB }}, with: {{ event_type: /type, event_id: /id }} }}\n  narrow: {{ provider: none, limits: {{ body: 1MiB }} }}\nroutes: [{{ name: r, events: open/**, chain: [noop] }}]\n"
    ));
    let server = Server::start(place.0.path(), &[("RUST_LOG", "off")]);
    let delayed = DelayedCommits::attach(server.pid())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let tally = run_senders(&runtime, &server.addr, small, duration)?;
    let peak_mib = peak_mib(server.pid());
    drop(delayed);
    let recovered_after = wait_until_served(&server)?;
    server.kill();
    let stored = stored_event_ids(&place.start())?;
    let lost = tally.acknowledged.iter().filter(|id| !stored.contains(*id)).count();
    if lost > 0 {
        return Err(format!("{lost} of {} acknowledged events are lost", tally.acknowledged.len()));
    }
    let answered: usize = tally.answers.values().sum();
    // The kernel drops connections beyond its accept queue, so some may have no answer.
    if tally.small_unanswered > answered {
        return Err(format!(
            "{} small requests had no answer, more than the {answered} that had one",
            tally.small_unanswered
        ));
    }
    let Tally { answers, large_unanswered, small_unanswered, mut latencies, .. } = tally;
    latencies.sort_unstable();
    let acknowledged = Latencies { answered: latencies, unavailable: 0 };
    Ok(BurstResult {
        answers,
        large_unanswered,
        small_unanswered,
        acknowledged,
        peak_mib,
        recovered_after,
    })
}

/// Runs all senders for this time.
fn run_senders(
    runtime: &tokio::runtime::Runtime,
    addr: &str,
    small: usize,
    duration: Duration,
) -> Result<Tally, String> {
    let tally = Arc::new(Mutex::new(Tally::default()));
    let senders = (0..small + LARGE_SENDERS).map(|n| {
        let (addr, tally) = (addr.to_owned(), tally.clone());
        // Made before the burst, in which making them would slow the small ones down.
        let large = (n >= small).then(|| request(&format!("large_{n}"), Some(n)));
        (n, addr, tally, large)
    });
    let senders = senders.collect::<Vec<_>>();
    let until = Instant::now() + duration;
    let senders = senders.into_iter().map(|(n, addr, tally, large)| {
        runtime.spawn(async move { send(&addr, n, large, until, &tally).await })
    });
    let senders = senders.collect::<Vec<_>>();
    let oversized = (0..OVERSIZED_SENDERS).map(|n| {
        let (addr, request) = (addr.to_owned(), oversized_request(n % 2 == 0));
        runtime.spawn(async move { send_oversized(&addr, &request, until).await })
    });
    let oversized = oversized.collect::<Vec<_>>();
    for sender in senders {
        runtime.block_on(sender).map_err(|e| e.to_string())?;
    }
    for sender in oversized {
        runtime.block_on(sender).map_err(|e| e.to_string())??;
    }
    let mut tally = std::mem::take(&mut *tally.lock().unwrap());
    match tally.failure.take() {
        Some(failure) => Err(failure),
        None => Ok(tally),
    }
}

/// Waits until an event is accepted again; returns the time that it took.
fn wait_until_served(server: &Server) -> Result<Duration, String> {
    let start = Instant::now();
    while paid("evt_after").try_post(&server.addr).map_or(0, |a| a.status) != 200 {
        if start.elapsed() > RECOVERY_TIMEOUT {
            return Err(format!("not served {RECOVERY_TIMEOUT:?} after the burst"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(start.elapsed())
}

/// Sends requests one after the other, ignoring Retry-After.
async fn send(
    addr: &str,
    sender: usize,
    large_request: Option<Vec<u8>>,
    until: Instant,
    tally: &Mutex<Tally>,
) {
    let large = large_request.is_some();
    for n in 0.. {
        if Instant::now() > until {
            return;
        }
        // Large events repeat their id, so that the disk does not fill up.
        let id = if large { format!("large_{sender}") } else { format!("small_{sender}_{n}") };
        let request = large_request.clone().unwrap_or_else(|| request(&id, None));
        let start = Instant::now();
        let answers = exchange(addr, &request, Duration::from_secs(30)).await;
        {
            let mut tally = tally.lock().unwrap();
            match check_answer(answers) {
                Ok(Some(answer)) => {
                    if answer.status == 200 {
                        tally.latencies.push(start.elapsed());
                    }
                    // A body with too many values is stored without being parsed, so without an
                    // event id.
                    if answer.status == 200 && !(large && has_many_values(sender)) {
                        tally.acknowledged.push(id);
                    }
                    let kind = (answer.status, answer.code.unwrap_or_default());
                    *tally.answers.entry(kind).or_insert(0) += 1;
                }
                Ok(None) if large => tally.large_unanswered += 1,
                Ok(None) => tally.small_unanswered += 1,
                Err(failure) => {
                    tally.failure.get_or_insert(failure);
                    return;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns a request whose body has ten times the limit, with Content-Length or in chunks.
fn oversized_request(announced: bool) -> Vec<u8> {
    let head = "POST /webhooks/narrow HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let size = 10 * BODY_LIMIT_BYTES;
    let framing = match announced {
        true => format!("content-length: {size}\r\n\r\n"),
        false => format!("transfer-encoding: chunked\r\n\r\n{size:x}\r\n"),
    };
    let mut request = format!("{head}{framing}").into_bytes();
    request.resize(request.len() + size, b'x');
    if !announced {
        request.extend_from_slice(b"\r\n0\r\n\r\n");
    }
    request
}

/// Sends an oversized body again and again; it must never be accepted. A connection that is closed
/// while the body is sent is allowed.
async fn send_oversized(addr: &str, request: &[u8], until: Instant) -> Result<(), String> {
    while Instant::now() < until {
        let answers = exchange(addr, request, Duration::from_secs(30)).await;
        let status = answers.map_err(|e| e.to_string())?.pop().map(|answer| answer.status);
        if !matches!(status, None | Some(408 | 413 | 429 | 503)) {
            return Err(format!(
                "a body of ten times the limit got {status:?}, allowed are 408, 413, 429 and 503"
            ));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Returns the answer if it is allowed under overload, `None` if there was no answer: the server
/// may close the connection of a large body before its sender reads the answer.
fn check_answer(answers: Result<Vec<Answer>, ExchangeError>) -> Result<Option<Answer>, String> {
    let answer = match answers {
        Ok(mut answers) => answers.pop(),
        Err(e) => return Err(e.to_string()),
    };
    match answer {
        Some(answer) if answer.status == 200 => Ok(Some(answer)),
        Some(answer) if matches!(answer.status, 429 | 503) => match answer.retry_after {
            Some(seconds) if seconds > 0 => Ok(Some(answer)),
            _ => Err(format!("{} without a positive Retry-After", answer.status)),
        },
        // On a busy machine a body may arrive too slowly.
        Some(answer) if answer.status == 408 => Ok(None),
        Some(answer) => Err(format!(
            "got {} {:?}, allowed are 200, 408, 429 and 503",
            answer.status, answer.code
        )),
        None => Ok(None),
    }
}

/// Returns whether the large body of this sender consists of as many JSON values as fit.
fn has_many_values(sender: usize) -> bool {
    sender % 2 == 1
}

/// Returns a request with a small body, or with the large body of this sender.
fn request(id: &str, large: Option<usize>) -> Vec<u8> {
    let mut body = format!("{{\"type\":\"t\",\"id\":\"{id}\",\"data\":[\"").into_bytes();
    let padding = LARGE_BODY_BYTES - body.len() - 10;
    match large {
        None => {}
        Some(n) if !has_many_values(n) => body.resize(body.len() + padding, b'x'),
        Some(_) => {
            body.extend_from_slice(b"\"");
            body.extend_from_slice(&b",1".repeat(padding / 2));
            body.extend_from_slice(b",\"");
        }
    }
    body.extend_from_slice(b"\"]}");
    let head = "POST /webhooks/open HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let mut request = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
    request.append(&mut body);
    request
}

/// Returns the event ids of all stored events that have one.
fn stored_event_ids(server: &Server) -> Result<HashSet<String>, String> {
    let (mut all, mut cursor) = (HashSet::new(), String::new());
    loop {
        let target = format!("/api/v1/events?limit=500&cursor={cursor}");
        let page = server.admin("GET", &target, "").json();
        let events = page["events"].as_array().ok_or("no list of events")?;
        all.extend(events.iter().filter_map(|e| e["eventId"].as_str().map(str::to_owned)));
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return Ok(all),
        }
    }
}

/// An strace of the store's writer thread that delays its syncs.
struct DelayedCommits(Child);

impl DelayedCommits {
    fn attach(pid: u32) -> Result<Self, String> {
        let thread = writer_thread(pid).ok_or("the store's thread did not start within 5 s")?;
        let delay = format!("inject=fsync,fdatasync:delay_enter={}", COMMIT_DELAY.as_micros());
        let child = Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "-p", &thread, "-e", "trace=fsync,fdatasync", "-e"])
            .arg(delay)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        std::thread::sleep(Duration::from_millis(300));
        Ok(Self(child))
    }
}

impl Drop for DelayedCommits {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the id of the store's writer thread. It gets its name once it runs, which may be after
/// the server is ready.
fn writer_thread(pid: u32) -> Option<String> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let mut names = tasks.filter_map(|task| Some(task.ok()?.file_name().to_str()?.to_owned()));
        let named = names.find(|task| {
            std::fs::read_to_string(format!("/proc/{pid}/task/{task}/comm"))
                .is_ok_and(|name| name.trim() == "hookward-sqlite")
        });
        if named.is_some() {
            return named;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}
