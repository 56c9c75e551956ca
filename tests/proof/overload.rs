//! Far more than the store can take: each of its commits is held up, thousands of senders come with
//! small events, some with bodies as large as allowed and some with bodies ten times as large. Memory stays bounded, whoever is not served
//! is told when to come back, nothing acknowledged is lost, and all is well again soon after. `--minutes`
//! says how long it lasts. Needs strace, to hold up the commits of the real binary.

use std::collections::{BTreeMap, HashSet};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::RunOptions;
use crate::process_stats::{Spans, file_limit, limit_files, peak_mib};
use crate::raw_http::{Answer, Fault, exchange};
use crate::sender::paid;
use crate::server::{Place, SOURCES, Server};

/// The short form lasts so long.
const SHORT: Duration = Duration::from_secs(6);
/// Senders of small events: more than may wait for the store.
const SMALL: usize = 3000;
/// Senders of large ones: together five times what may be in memory.
const LARGE: usize = 40;
const LARGE_BYTES: usize = 8 << 20;
/// Senders of bodies that are ten times as large as their source allows; half of them do not say so.
const TOO_LARGE: usize = 8;
const ALLOWED: usize = 1 << 20;
/// Each commit takes so much longer.
const HELD_UP: Duration = Duration::from_millis(400);
/// Resident memory of the server, in MiB: bodies, 3,000 connections, the store's copies of a commit.
const MEMORY: u64 = 400;
/// Until it serves again; far from what is promised, five seconds.
const RECOVERED: Duration = Duration::from_secs(20);

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if !Command::new("strace").arg("-V").output().is_ok_and(|o| o.status.success()) {
        return Ok("SKIP: no strace".to_owned());
    }
    let (ours, hard) = file_limit(std::process::id()).ok_or("no /proc")?;
    let needed = 2 * SMALL as u64;
    if ours < needed && limit_files(std::process::id(), needed, hard.max(needed)).is_err() {
        return Ok(format!("SKIP: {needed} descriptors are needed, {hard} are allowed"));
    }
    let span = match options.until {
        Some(until) => until.saturating_duration_since(Instant::now()),
        None if options.short => SHORT,
        None => Duration::from_secs(options.runs as u64),
    };
    let seen = burst("64MiB", SMALL, span)?;
    if seen.memory > MEMORY {
        return Err(format!("{} MiB resident, {MEMORY} are allowed: {}", seen.memory, seen.told()));
    }
    // With room for everything, memory must be seen to grow far more. A machine that is too busy to send
    // that much shows nothing, and nothing is claimed.
    let canary = burst("4GiB", 0, Duration::from_secs(3))?;
    if canary.memory < seen.memory + seen.memory / 4 {
        return Ok(format!(
            "SKIP: nothing is shown, {} MiB; the canary, bodies without a bound, took {} MiB",
            seen.memory, canary.memory
        ));
    }
    Ok(format!("{}; without a bound for bodies {} MiB", seen.told(), canary.memory))
}

/// What a burst showed.
struct Seen {
    answers: BTreeMap<(u16, String), usize>,
    cut_off: usize,
    broken: usize,
    taken: Spans,
    memory: u64,
    recovered: Duration,
}

impl Seen {
    fn told(&self) -> String {
        let one = |((status, code), n): (&(u16, String), &usize)| format!("{n} × {status} {code}");
        let answers: Vec<_> = self.answers.iter().map(one).collect();
        format!(
            "answers {}; {} large ones cut off while they sent, {} small connections broken; taken after p50 {:.1?}, p99 {:.1?}; {} MiB at most; 0 lost; served again {:.1?} after",
            answers.join(", "),
            self.cut_off,
            self.broken,
            self.taken.at(50),
            self.taken.at(99),
            self.memory,
            self.recovered
        )
    }
}

/// What senders have seen, together.
#[derive(Default)]
struct Tally {
    answers: BTreeMap<(u16, String), usize>,
    acknowledged: Vec<String>,
    spans: Vec<Duration>,
    cut_off: usize,
    broken: usize,
    wrong: Option<String>,
}

fn burst(bound: &str, small: usize, span: Duration) -> Result<Seen, String> {
    let place = Place::new(&format!(
        "store: sqlite:events.db\nserver: {{ max_connections: 20000, max_body_bytes_in_flight: {bound} }}\n{SOURCES}  open: {{ provider: none, limits: {{ body: 8MiB }}, with: {{ event_type: /type, event_id: /id }} }}\n  narrow: {{ provider: none, limits: {{ body: 1MiB }} }}\nroutes: [{{ name: r, events: open/**, chain: [noop] }}]\n"
    ));
    let server = Server::start(place.0.path(), &[("RUST_LOG", "off")]);
    let held_up = HeldUp::attach(server.pid())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let tally = Arc::new(Mutex::new(Tally::default()));
    let senders = (0..small + LARGE).map(|n| {
        let (addr, tally) = (server.addr.clone(), tally.clone());
        // Made beforehand: whoever makes them during the burst holds up the small ones.
        let large = (n >= small).then(|| request(&format!("large_{n}"), Some(n)));
        (n, addr, tally, large)
    });
    let senders = senders.collect::<Vec<_>>();
    let until = Instant::now() + span;
    let senders = senders.into_iter().map(|(n, addr, tally, large)| {
        runtime.spawn(async move { send(&addr, n, large, until, &tally).await })
    });
    let senders = senders.collect::<Vec<_>>();
    let narrow = (0..TOO_LARGE).map(|n| {
        let (addr, request) = (server.addr.clone(), too_large(n % 2 == 0));
        runtime.spawn(async move { send_too_large(&addr, &request, until).await })
    });
    let narrow = narrow.collect::<Vec<_>>();
    for sender in senders {
        runtime.block_on(sender).map_err(|e| e.to_string())?;
    }
    for sender in narrow {
        runtime.block_on(sender).map_err(|e| e.to_string())??;
    }
    let memory = peak_mib(server.pid());
    drop(held_up);
    let begun = Instant::now();
    while paid("evt_after").try_post(&server.addr).map_or(0, |a| a.status) != 200 {
        if begun.elapsed() > RECOVERED {
            return Err(format!("not served {RECOVERED:?} after the burst"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let recovered = begun.elapsed();
    let mut tally = std::mem::take(&mut *tally.lock().unwrap());
    if let Some(wrong) = tally.wrong {
        return Err(wrong);
    }
    server.kill();
    let kept = named(&place.start())?;
    let lost = tally.acknowledged.iter().filter(|id| !kept.contains(*id)).count();
    if lost > 0 {
        return Err(format!("{lost} of {} acknowledged events are lost", tally.acknowledged.len()));
    }
    let answers: usize = tally.answers.values().sum();
    // Connections that come faster than they are accepted may be lost in the kernel; it is told how many.
    if tally.broken > answers {
        return Err(format!("{} of {answers} connections with small requests broke", tally.broken));
    }
    tally.spans.sort_unstable();
    let taken = Spans(std::mem::take(&mut tally.spans), 0);
    let Tally { answers, cut_off, broken, .. } = tally;
    Ok(Seen { answers, cut_off, broken, taken, memory, recovered })
}

/// One sender, who comes again and again, sooner than it is told.
async fn send(
    addr: &str,
    sender: usize,
    made: Option<Vec<u8>>,
    until: Instant,
    tally: &Mutex<Tally>,
) {
    let large = made.is_some();
    for n in 0.. {
        if Instant::now() > until {
            return;
        }
        // Large ones come again under their names: what is on the disk is not the point.
        let id = if large { format!("large_{sender}") } else { format!("small_{sender}_{n}") };
        let request = made.clone().unwrap_or_else(|| request(&id, None));
        let begun = Instant::now();
        let answers = exchange(addr, &request, Duration::from_secs(30)).await;
        {
            let mut tally = tally.lock().unwrap();
            match judged(answers) {
                Ok(Some(answer)) => {
                    if answer.status == 200 {
                        tally.spans.push(begun.elapsed());
                    }
                    // What unfolds too far is kept without having been read: it has no name.
                    if answer.status == 200 && !(large && unfolds(sender)) {
                        tally.acknowledged.push(id);
                    }
                    let kind = (answer.status, answer.code.unwrap_or_default());
                    *tally.answers.entry(kind).or_insert(0) += 1;
                }
                Ok(None) if large => tally.cut_off += 1,
                Ok(None) => tally.broken += 1,
                Err(wrong) => {
                    tally.wrong.get_or_insert(wrong);
                    return;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A body of ten times what is allowed, announced or in chunks.
fn too_large(announced: bool) -> Vec<u8> {
    let head = "POST /webhooks/narrow HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let size = 10 * ALLOWED;
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

/// It must not be taken, however often it comes; whoever keeps sending may be cut off unheard.
async fn send_too_large(addr: &str, request: &[u8], until: Instant) -> Result<(), String> {
    while Instant::now() < until {
        let answers = exchange(addr, request, Duration::from_secs(30)).await;
        let status = answers.map_err(|e| e.to_string())?.pop().map(|answer| answer.status);
        if !matches!(status, None | Some(408 | 413 | 429 | 503)) {
            return Err(format!("a body of ten times the limit was answered with {status:?}"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// The answer, if it is one that overload may have. `None`: the connection broke. A large body's sender,
/// who is told early to stop, may be cut off before that is read.
fn judged(answers: Result<Vec<Answer>, Fault>) -> Result<Option<Answer>, String> {
    let answer = match answers {
        Ok(mut answers) => answers.pop(),
        Err(fault) => return Err(fault.to_string()),
    };
    match answer {
        Some(answer) if answer.status == 200 => Ok(Some(answer)),
        Some(answer) if matches!(answer.status, 429 | 503) => match answer.retry_after {
            Some(seconds) if seconds > 0 => Ok(Some(answer)),
            _ => Err(format!("{} does not say when to come back", answer.status)),
        },
        // On a machine that is busy with both sides a body may come too slowly.
        Some(answer) if answer.status == 408 => Ok(None),
        Some(answer) => Err(format!("{} {:?} is not planned", answer.status, answer.code)),
        None => Ok(None),
    }
}

/// Of the large ones, every second has as many values as it can.
fn unfolds(sender: usize) -> bool {
    sender % 2 == 1
}

fn request(id: &str, large: Option<usize>) -> Vec<u8> {
    let mut body = format!("{{\"type\":\"t\",\"id\":\"{id}\",\"data\":[\"").into_bytes();
    let room = LARGE_BYTES - body.len() - 10;
    match large {
        None => {}
        Some(n) if !unfolds(n) => body.resize(body.len() + room, b'x'),
        Some(_) => {
            body.extend_from_slice(b"\"");
            body.extend_from_slice(&b",1".repeat(room / 2));
            body.extend_from_slice(b",\"");
        }
    }
    body.extend_from_slice(b"\"]}");
    let head = "POST /webhooks/open HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let mut request = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
    request.append(&mut body);
    request
}

/// The names of all events that are stored and have one.
fn named(server: &Server) -> Result<HashSet<String>, String> {
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

/// strace on the thread that writes, its syncs held up.
struct HeldUp(Child);

impl HeldUp {
    fn attach(pid: u32) -> Result<Self, String> {
        let thread = writer(pid).ok_or("the store's thread is not there within five seconds")?;
        let delay = format!("inject=fsync,fdatasync:delay_enter={}", HELD_UP.as_micros());
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

impl Drop for HeldUp {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The thread that writes: it takes its name once it runs, which may be after the server is ready.
fn writer(pid: u32) -> Option<String> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
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
