//! Suite `disk`: a full disk, a file system that aborts, writes that hang, and disks on which a
//! server cannot start. It needs root, mounts, fsfreeze and setpriv.
//!
//! It proves that senders get 503 with Retry-After in time, that jobs that were accepted are
//! finished, that every acknowledged event is stored, and that the server accepts events again
//! without intervention where it can. The oracle is [`crate::checker`], with the status and the
//! time of each answer. The canary is a store whose write-ahead log was removed.

mod load;
mod mount;
mod starts;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::RunOptions;
use crate::checker::{check, stored_events};
use crate::disk::load::{Request, TimedLoad, send_typed};
use crate::disk::mount::{Disk, missing_requirement};
use crate::disk::starts::{check_failing_starts, check_message};
use crate::effect_sink::EffectSink;
use crate::failed_start::start_failing;
use crate::load::SentEvents;
use crate::server::{Server, ServerDir};

/// Limit for each answer: twice what is promised, because the machine may be busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);
/// Limit for the time until events are accepted again once they can be.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Size of the disk that is filled; 5 % of it, below which the server accepts nothing, is 6.4 MiB.
const DISK_MIB: usize = 128;

/// Attempts of the canary: on a busy machine one may acknowledge too little.
const CANARY_ATTEMPTS: usize = 3;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if let Some(missing) = missing_requirement() {
        return Ok(format!("SKIP: {missing}"));
    }
    let mut canary = 0;
    for _ in 0..CANARY_ATTEMPTS {
        canary += count_lost_without_log()?;
        if canary > 0 {
            break;
        }
    }
    if canary == 0 {
        return Err("the canary, a store without its log, lost nothing".to_owned());
    }
    let mut summary = vec![check_failing_starts()?];
    let rounds = if options.short { 3 } else { options.runs.max(3) };
    let mut total = Total::default();
    let mut n = 0;
    while if options.until.is_some() { options.wants_another(n) } else { n == 0 } {
        let seed = options.seed.wrapping_add(n as u64);
        total.add(fill(seed, rounds).map_err(|e| format!("full: {e}"))?);
        total.add(abort(seed).map_err(|e| format!("aborted: {e}"))?);
        let spans: &[u64] = if options.short { &[1, 5] } else { &[1, 5, 5, 60] };
        // The longest freeze happens once; more of them would only take time.
        let spans = if n > 0 { spans.get(..2).unwrap_or(spans) } else { spans };
        total.add(freeze(seed, spans).map_err(|e| format!("frozen: {e}"))?);
        n += 1;
    }
    summary.push(total.to_string());
    Ok(format!("{}; canary lost {canary}", summary.join("; ")))
}

/// Counts of all parts.
#[derive(Debug, Default)]
struct Total {
    full: usize,
    aborted: usize,
    frozen: usize,
    requests: usize,
    unavailable: usize,
    acknowledged: usize,
    /// Events acknowledged while a file system aborted, and those of them that were lost.
    during_abort: usize,
    lost_in_abort: usize,
    slowest_answer: Duration,
    slowest_recovery: Duration,
}

impl Total {
    fn add(&mut self, other: Self) {
        self.full += other.full;
        self.aborted += other.aborted;
        self.frozen += other.frozen;
        self.requests += other.requests;
        self.unavailable += other.unavailable;
        self.acknowledged += other.acknowledged;
        self.during_abort += other.during_abort;
        self.lost_in_abort += other.lost_in_abort;
        self.slowest_answer = self.slowest_answer.max(other.slowest_answer);
        self.slowest_recovery = self.slowest_recovery.max(other.slowest_recovery);
    }

    /// Checks and counts requests: each must be answered in time, with 200, or with 503 and
    /// Retry-After.
    fn add_requests(&mut self, requests: &[Request]) -> Result<(), String> {
        for one in requests {
            self.requests += 1;
            self.slowest_answer = self.slowest_answer.max(one.took);
            if one.took > ANSWER_TIMEOUT {
                return Err(format!(
                    "an answer took {:?}, at most {ANSWER_TIMEOUT:?} are allowed",
                    one.took
                ));
            }
            match one.status {
                Some(503) if !one.retry_after => return Err("503 without Retry-After".to_owned()),
                Some(503) => self.unavailable += 1,
                Some(200) | None => {}
                Some(other) => return Err(format!("got {other}, allowed are 200 and 503")),
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} times full, {} aborted, {} frozen: {} requests, {} got 503, slowest answer {} ms, \
             served again after at most {} ms; {} acknowledged, 0 lost; {} more acknowledged while a file system aborted, {} of them lost",
            self.full,
            self.aborted,
            self.frozen,
            self.requests,
            self.unavailable,
            self.slowest_answer.as_millis(),
            self.slowest_recovery.as_millis(),
            self.acknowledged,
            self.during_abort,
            self.lost_in_abort
        )
    }
}

/// Returns a configuration in which payments have an effect, and invoices have an effect and then
/// wait until the file `go` exists.
fn routes_yaml(sink: &EffectSink, go: &Path) -> String {
    let port = sink.port;
    let effect = format!(
        "{{ handler: http_forward, with: {{ url: \"http://127.0.0.1:{port}/\", allow_private: true }} }}"
    );
    let wait = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    format!(
        "store: sqlite:disk/events.db\ndefaults: {{ retry: {{ attempts: 50, first_delay: 100ms, max_delay: 1s }} }}\nsources:\n  stripe: {{ secrets: [whsec_e2e_stripe] }}\nroutes:\n  - name: effect\n    events: stripe/payment_intent.*\n    concurrency: 8\n    chain: [{effect}]\n  - name: held\n    events: stripe/invoice.*\n    concurrency: 8\n    chain: [{effect}, {{ handler: exec, timeout: 120s, with: {{ command: [sh, -c, '{wait}'] }} }}]\n"
    )
}

/// A folder with a mounted disk, and the events that were sent to its server.
struct Fixture {
    place: ServerDir,
    sink: EffectSink,
    sent: Arc<Mutex<SentEvents>>,
}

impl Fixture {
    fn new() -> Self {
        let place = ServerDir(tempfile::tempdir().unwrap());
        let sink = EffectSink::start();
        place.write("routes.yaml", &routes_yaml(&sink, &place.path("go")));
        Self { place, sink, sent: Arc::default() }
    }

    /// Waits until all work is done, and checks what is stored; returns the number of acknowledged
    /// events.
    fn check(&self, server: &Server) -> Result<usize, String> {
        wait_until_idle(server, Duration::from_secs(60))?;
        let sent = self.sent.lock().unwrap();
        let findings = check(server, &sent, &self.sink.effects())?;
        let acknowledged = sent.acknowledged.len();
        if findings.lost > 0 {
            return Err(format!("{} of {acknowledged} acknowledged events lost", findings.lost));
        }
        Ok(acknowledged)
    }
}

/// Waits until no job is open. Dead jobs are an error.
fn wait_until_idle(server: &Server, within: Duration) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let stats = server.admin("GET", "/api/v1/stats", "").json();
        if stats["open"] == 0 {
            return if stats["dead"] == 0 {
                Ok(())
            } else {
                Err(format!("jobs are dead: {stats}"))
            };
        }
        if start.elapsed() > within {
            return Err(format!("jobs are still open after {within:?}: {stats}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Fills the disk, completely or to below the threshold, and frees it again.
fn fill(seed: u64, rounds: usize) -> Result<Total, String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut total = Total::default();
    let fixture = Fixture::new();
    let disk = Disk::memory(fixture.place.path("disk"), DISK_MIB)?;
    let server = fixture.place.start();
    for round in 0..rounds {
        let load = TimedLoad::start(&server.addr, round, &fixture.sent);
        for n in 0..4 {
            send_typed(
                &server.addr,
                &format!("evt_held_{round}_{n}"),
                "invoice.paid",
                &fixture.sent,
            );
        }
        std::thread::sleep(Duration::from_millis(rng.u64(200..500)));
        if round % 3 == 1 {
            disk.fill_except(rng.u64(0..6 << 20))?;
        } else {
            disk.fill()?;
        }
        let since = Instant::now();
        load.wait_for(503, since, ANSWER_TIMEOUT)?;
        std::thread::sleep(Duration::from_millis(600));
        if server.get("/health").status != 503 {
            return Err("`/health` does not answer 503 on a full disk".to_owned());
        }
        // Accepted jobs finish on the full disk, out of the reserve.
        fixture.place.write("go", "");
        wait_until_idle(&server, Duration::from_secs(8))
            .map_err(|e| format!("while the disk is full: {e}"))?;
        std::thread::sleep(Duration::from_secs(2).saturating_sub(since.elapsed()));
        let late: Vec<_> =
            load.requests().into_iter().filter(|s| s.at > since + Duration::from_secs(1)).collect();
        if late.is_empty() || late.iter().any(|s| s.status != Some(503)) {
            return Err(format!("while the disk is full, every answer must be 503: {late:?}"));
        }
        disk.free();
        total.slowest_recovery =
            total.slowest_recovery.max(load.wait_for(200, Instant::now(), RECOVERY_TIMEOUT)?);
        total.add_requests(&load.stop())?;
        total.full += 1;
        std::fs::remove_file(fixture.place.path("go")).map_err(|e| e.to_string())?;
        if server.get("/health").status != 200 {
            return Err("`/health` does not answer 200 although the disk is free again".to_owned());
        }
    }
    fixture.place.write("go", "");
    total.acknowledged = fixture.check(&server)?;
    server.kill();
    Ok(total)
}

/// Aborts the file system, which is read-only from then on.
fn abort(seed: u64) -> Result<Total, String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut total = Total::default();
    let fixture = Fixture::new();
    let disk = Disk::ext4(fixture.place.path("disk"))?;
    let server = fixture.place.start();
    let load = TimedLoad::start(&server.addr, 0, &fixture.sent);
    std::thread::sleep(Duration::from_millis(rng.u64(300..700)));
    // A sync that is in progress during the abort can report success, so only events acknowledged
    // before must survive.
    let before = fixture.sent.lock().unwrap().acknowledged.clone();
    disk.remount("abort")?;
    let since = Instant::now();
    let (code, log) =
        wait_for_exit(server, RECOVERY_TIMEOUT).ok_or("the server runs on over an aborted disk")?;
    let requests = load.stop();
    if code != Some(70) {
        return Err(format!("the server ended with {code:?}, expected 70: {log}"));
    }
    // Until it exits, the server may answer 503, and requests in flight get no answer.
    if requests.iter().any(|s| s.at > since + ANSWER_TIMEOUT && s.status == Some(200)) {
        return Err("an event was acknowledged long after the disk had failed".to_owned());
    }
    total.add_requests(&requests)?;
    let failed = start_failing(fixture.place.0.path(), None)?;
    check_message("on an aborted disk", &failed, &["cannot be", "this user may"])?;
    disk.repair()?;
    let during_abort: Vec<_> = {
        let mut sent = fixture.sent.lock().unwrap();
        let during_abort = sent.acknowledged.difference(&before).cloned().collect::<Vec<_>>();
        sent.acknowledged = before;
        sent.unanswered.extend(during_abort.iter().cloned());
        during_abort
    };
    let server = fixture.place.start();
    let load = TimedLoad::start(&server.addr, 1, &fixture.sent);
    total.slowest_recovery = load.wait_for(200, Instant::now(), RECOVERY_TIMEOUT)?;
    total.add_requests(&load.stop())?;
    total.aborted = 1;
    total.acknowledged = fixture.check(&server)?;
    let stored = stored_events(&server)?;
    total.during_abort = during_abort.len();
    total.lost_in_abort = during_abort.iter().filter(|id| !stored.contains_key(*id)).count();
    server.kill();
    Ok(total)
}

/// Waits for the end of a server; returns its exit code and its log, or `None` if it does not end
/// by itself.
fn wait_for_exit(server: Server, within: Duration) -> Option<(Option<i32>, String)> {
    let start = Instant::now();
    let stat = format!("/proc/{}/stat", server.pid());
    let is_running = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    while is_running() {
        if start.elapsed() > within {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = server.log();
    Some((server.terminate(), log))
}

/// Freezes the file system, so that every write waits.
fn freeze(seed: u64, spans: &[u64]) -> Result<Total, String> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut total = Total::default();
    let fixture = Fixture::new();
    let disk = Disk::ext4(fixture.place.path("disk"))?;
    let server = fixture.place.start();
    for (round, span) in spans.iter().enumerate() {
        let load = TimedLoad::start(&server.addr, round, &fixture.sent);
        std::thread::sleep(Duration::from_millis(rng.u64(200..500)));
        let since = Instant::now();
        let frozen = disk.freeze()?;
        std::thread::sleep(Duration::from_secs(*span));
        drop(frozen);
        total.slowest_recovery =
            total.slowest_recovery.max(load.wait_for(200, Instant::now(), RECOVERY_TIMEOUT)?);
        let requests = load.stop();
        if *span > 3 && !requests.iter().any(|s| s.at > since && s.status == Some(503)) {
            return Err(format!("no sender got 503 during a freeze of {span} s"));
        }
        total.add_requests(&requests)?;
        total.frozen += 1;
    }
    total.acknowledged = fixture.check(&server)?;
    server.kill();
    Ok(total)
}

/// Removes the write-ahead log of a killed server; returns how many lost events the comparison with
/// what was sent finds.
fn count_lost_without_log() -> Result<usize, String> {
    let fixture = Fixture::new();
    let _disk = Disk::memory(fixture.place.path("disk"), DISK_MIB)?;
    let server = fixture.place.start();
    let load = TimedLoad::start(&server.addr, 0, &fixture.sent);
    std::thread::sleep(Duration::from_millis(500));
    server.kill();
    load.stop();
    // Without its mark as well: beside it, the missing log would be found at the start.
    for name in ["disk/events.db-wal", "disk/events.db.mark"] {
        std::fs::remove_file(fixture.place.path(name))
            .map_err(|e| format!("{name} cannot be removed: {e}"))?;
    }
    let server = fixture.place.start();
    let stored = stored_events(&server)?;
    let sent = fixture.sent.lock().unwrap();
    Ok(sent.acknowledged.iter().filter(|id| !stored.contains_key(*id)).count())
}
