//! Disks that are full, break, hang, or cannot be written from the start: senders are answered in time
//! and told to come back, what was acknowledged is there afterwards, what was begun is finished, and
//! taking in goes on by itself where it can. Needs root, mounts, fsfreeze and setpriv.

pub(crate) mod load;
pub(crate) mod mount;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::RunOptions;
use crate::checker::{judge, stored};
use crate::disk::load::{Senders, Sent, typed};
use crate::disk::mount::{Disk, Refused, missing, refused};
use crate::effect_sink::Sink;
use crate::load::Known;
use crate::server::{Place, Server};

/// No answer may take longer; twice what is promised, because no test judges speed.
const LIMIT: Duration = Duration::from_secs(6);
/// Taking in goes on at most so long after it could.
const BACK: Duration = Duration::from_secs(20);
/// Nobody's user id.
const NOBODY: u32 = 65534;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if let Some(missing) = missing() {
        return Ok(format!("SKIP: {missing}"));
    }
    let canary = canary()?;
    let mut told = vec![starts()?];
    let rounds = if options.short { 3 } else { options.runs.max(3) };
    let mut total = Total::default();
    let mut n = 0;
    while if options.until.is_some() { options.wants_another(n) } else { n == 0 } {
        let seed = options.seed.wrapping_add(n as u64);
        total.add(full(seed, rounds).map_err(|e| format!("full: {e}"))?);
        total.add(broken(seed).map_err(|e| format!("broken: {e}"))?);
        let spans: &[u64] = if options.short { &[1, 5] } else { &[1, 5, 5, 60] };
        // The longest once is enough for a run.
        let spans = if n > 0 { spans.get(..2).unwrap_or(spans) } else { spans };
        total.add(frozen(seed, spans).map_err(|e| format!("frozen: {e}"))?);
        n += 1;
    }
    told.push(total.to_string());
    Ok(format!("{}; canary lost {canary}", told.join("; ")))
}

/// What was seen, over all.
#[derive(Debug, Default)]
struct Total {
    full: usize,
    broken: usize,
    frozen: usize,
    requests: usize,
    refused: usize,
    acknowledged: usize,
    /// Acknowledged while a file system gave up, and those of them that are gone.
    doubtful: usize,
    gone: usize,
    slowest: Duration,
    back: Duration,
}

impl Total {
    fn add(&mut self, other: Self) {
        self.full += other.full;
        self.broken += other.broken;
        self.frozen += other.frozen;
        self.requests += other.requests;
        self.refused += other.refused;
        self.acknowledged += other.acknowledged;
        self.doubtful += other.doubtful;
        self.gone += other.gone;
        self.slowest = self.slowest.max(other.slowest);
        self.back = self.back.max(other.back);
    }

    /// Takes the requests in; each was answered in time and with what it should be.
    fn requests(&mut self, sent: &[Sent]) -> Result<(), String> {
        for one in sent {
            self.requests += 1;
            self.slowest = self.slowest.max(one.took);
            if one.took > LIMIT {
                return Err(format!("a request took {:?}", one.took));
            }
            match one.status {
                Some(503) if !one.retry_after => return Err("503 without Retry-After".to_owned()),
                Some(503) => self.refused += 1,
                Some(200) | None => {}
                Some(other) => return Err(format!("an answer {other}")),
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} times full, {} broken, {} frozen: {} requests, {} told to come back, slowest answer {} ms, \
             taking in again after {} ms at most; {} acknowledged, 0 lost; {} more acknowledged while a file system gave up, {} of them gone",
            self.full,
            self.broken,
            self.frozen,
            self.requests,
            self.refused,
            self.slowest.as_millis(),
            self.back.as_millis(),
            self.acknowledged,
            self.doubtful,
            self.gone
        )
    }
}

/// Events with an effect; those of invoices then wait until a file is there.
fn routes(sink: &Sink, go: &Path) -> String {
    let port = sink.port;
    let effect = format!(
        "{{ handler: http_forward, with: {{ url: \"http://127.0.0.1:{port}/\", allow_private: true }} }}"
    );
    let wait = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    format!(
        "store: sqlite:disk/events.db\ndefaults: {{ retry: {{ attempts: 50, first_delay: 100ms, max_delay: 1s }} }}\nsources:\n  stripe: {{ secrets: [whsec_e2e_stripe] }}\nroutes:\n  - name: effect\n    events: stripe/payment_intent.*\n    concurrency: 8\n    chain: [{effect}]\n  - name: held\n    events: stripe/invoice.*\n    concurrency: 8\n    chain: [{effect}, {{ handler: exec, timeout: 120s, with: {{ command: [sh, -c, '{wait}'] }} }}]\n"
    )
}

/// A place with a disk in it, and all that is known of what was sent there.
struct Scene {
    place: Place,
    sink: Sink,
    known: Arc<Mutex<Known>>,
}

impl Scene {
    fn new() -> Self {
        let place = Place(tempfile::tempdir().unwrap());
        let sink = Sink::start();
        place.write("routes.yaml", &routes(&sink, &place.path("go")));
        Self { place, sink, known: Arc::default() }
    }

    /// All work done, and what was acknowledged is there, once, with its bytes and its effect.
    fn judge(&self, server: &Server) -> Result<usize, String> {
        idle(server, Duration::from_secs(60))?;
        let known = self.known.lock().unwrap();
        let found = judge(server, &known, &self.sink.counts())?;
        if found.lost > 0 {
            return Err(format!("{} of {} lost", found.lost, known.acknowledged.len()));
        }
        Ok(known.acknowledged.len())
    }
}

/// Until nothing waits or runs, and nothing died.
fn idle(server: &Server, within: Duration) -> Result<(), String> {
    let start = Instant::now();
    loop {
        let stats = server.admin("GET", "/api/v1/stats", "").json();
        if stats["open"] == 0 {
            return if stats["dead"] == 0 { Ok(()) } else { Err(format!("jobs died: {stats}")) };
        }
        if start.elapsed() > within {
            return Err(format!("work is not done after {within:?}: {stats}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Filled to the last byte, or to below the mark, and freed again.
fn full(seed: u64, rounds: usize) -> Result<Total, String> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut total = Total::default();
    let scene = Scene::new();
    let disk = Disk::memory(scene.place.path("disk"), 128)?;
    let server = scene.place.start();
    for round in 0..rounds {
        let load = Senders::start(&server.addr, round, &scene.known);
        for n in 0..4 {
            typed(&server.addr, &format!("evt_held_{round}_{n}"), "invoice.paid", &scene.known);
        }
        std::thread::sleep(Duration::from_millis(chance.u64(200..500)));
        // 5 % of it is 6.4 MiB.
        if round % 3 == 1 {
            disk.fill_but(chance.u64(0..6 << 20))?;
        } else {
            disk.fill()?;
        }
        let since = Instant::now();
        load.until(503, since, LIMIT)?;
        std::thread::sleep(Duration::from_millis(600));
        if server.get("/health").status != 503 {
            return Err("it says that it is well".to_owned());
        }
        // What was begun is finished all the same.
        scene.place.write("go", "");
        idle(&server, Duration::from_secs(8)).map_err(|e| format!("while it is full: {e}"))?;
        std::thread::sleep(Duration::from_secs(2).saturating_sub(since.elapsed()));
        let late: Vec<_> =
            load.sent().into_iter().filter(|s| s.at > since + Duration::from_secs(1)).collect();
        if late.is_empty() || late.iter().any(|s| s.status != Some(503)) {
            return Err(format!("while it is full: {late:?}"));
        }
        disk.make_room();
        total.back = total.back.max(load.until(200, Instant::now(), BACK)?);
        total.requests(&load.stop())?;
        total.full += 1;
        std::fs::remove_file(scene.place.path("go")).map_err(|e| e.to_string())?;
        if server.get("/health").status != 200 {
            return Err("it does not say that it is well again".to_owned());
        }
    }
    scene.place.write("go", "");
    total.acknowledged = scene.judge(&server)?;
    server.kill();
    Ok(total)
}

/// The file system gives up: from then on it can only be read.
fn broken(seed: u64) -> Result<Total, String> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut total = Total::default();
    let scene = Scene::new();
    let disk = Disk::ext4(scene.place.path("disk"))?;
    let server = scene.place.start();
    let load = Senders::start(&server.addr, 0, &scene.known);
    std::thread::sleep(Duration::from_millis(chance.u64(300..700)));
    // A sync that is under way when it gives up can come back as done: only what was acknowledged
    // before counts.
    let before = scene.known.lock().unwrap().acknowledged.clone();
    disk.remount("abort")?;
    let since = Instant::now();
    let (code, log) = ends(server, BACK).ok_or("it runs on, over a disk that failed")?;
    let sent = load.stop();
    if code != Some(70) {
        return Err(format!("it ended with {code:?}, not with 70: {log}"));
    }
    // In between it may answer 503; a request that was on its way has no answer.
    if sent.iter().any(|s| s.at > since + LIMIT && s.status == Some(200)) {
        return Err("it acknowledged long after the disk had failed".to_owned());
    }
    total.requests(&sent)?;
    let Refused { code, words } = refused(scene.place.0.path(), None)?;
    says("on a disk that can only be read", code, &words, &["cannot be", "this user may"])?;
    disk.repair()?;
    let mut doubtful = Vec::new();
    {
        let mut known = scene.known.lock().unwrap();
        let known = &mut *known;
        known.acknowledged.retain(|id| {
            let sure = before.contains(id);
            if !sure {
                doubtful.push(id.clone());
            }
            sure
        });
        known.unknown.extend(doubtful.iter().cloned());
    }
    let server = scene.place.start();
    let load = Senders::start(&server.addr, 1, &scene.known);
    total.back = load.until(200, Instant::now(), BACK)?;
    total.requests(&load.stop())?;
    total.broken = 1;
    total.acknowledged = scene.judge(&server)?;
    let stored = stored(&server)?;
    total.doubtful = doubtful.len();
    total.gone = doubtful.iter().filter(|id| !stored.contains_key(*id)).count();
    server.kill();
    Ok(total)
}

/// The exit code of a server that ends by itself, and its log.
fn ends(server: Server, within: Duration) -> Option<(Option<i32>, String)> {
    let start = Instant::now();
    let stat = format!("/proc/{}/stat", server.pid());
    let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    while runs() {
        if start.elapsed() > within {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = server.log();
    Some((server.terminate(), log))
}

/// Every write waits for a while.
fn frozen(seed: u64, spans: &[u64]) -> Result<Total, String> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut total = Total::default();
    let scene = Scene::new();
    let disk = Disk::ext4(scene.place.path("disk"))?;
    let server = scene.place.start();
    for (round, span) in spans.iter().enumerate() {
        let load = Senders::start(&server.addr, round, &scene.known);
        std::thread::sleep(Duration::from_millis(chance.u64(200..500)));
        let since = Instant::now();
        let frozen = disk.freeze()?;
        std::thread::sleep(Duration::from_secs(*span));
        drop(frozen);
        total.back = total.back.max(load.until(200, Instant::now(), BACK)?);
        let sent = load.stop();
        if *span > 3 && !sent.iter().any(|s| s.at > since && s.status == Some(503)) {
            return Err("nobody was told to come back".to_owned());
        }
        total.requests(&sent)?;
        total.frozen += 1;
    }
    total.acknowledged = scene.judge(&server)?;
    server.kill();
    Ok(total)
}

/// Starts that cannot be: each ends at once, and says what to do.
fn starts() -> Result<String, String> {
    let place = Place(tempfile::tempdir().unwrap());
    let sink = Sink::start();
    let text = routes(&sink, Path::new("go"));
    place.write("routes.yaml", &text);
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(place.0.path(), 0o755);
    let mut count = 0;
    let mut case = |what: &str, user, wanted: &[&str]| {
        let Refused { code, words } = refused(place.0.path(), user)?;
        count += 1;
        says(what, code, &words, wanted)
    };
    case("without its folder", None, &["does not exist", "mkdir -p"])?;

    let disk = Disk::memory(place.path("disk"), 64)?;
    disk.remount("ro")?;
    case("on a disk that can only be read", None, &["cannot be written", "this user may"])?;
    disk.remount("rw")?;

    std::fs::create_dir(disk.at.join("x")).map_err(|e| e.to_string())?;
    open(&disk.at, 0o755);
    case("in another user's folder", Some(NOBODY), &["cannot be written", "this user may"])?;

    let owner = place.start();
    let pid = owner.pid().to_string();
    case("beside another process", None, &["in use", &pid, "stop that process"])?;
    owner.kill();
    open(&disk.at, 0o777);
    open(&disk.at.join("events.db"), 0o644);
    let _ = std::fs::remove_file(disk.at.join("events.db.lock"));
    case("on another user's file", Some(NOBODY), &["cannot be", "this user may"])?;

    disk.fill()?;
    for name in ["events.db", "events.db-wal", "events.db-shm", "events.db.reserve"] {
        let _ = std::fs::remove_file(disk.at.join(name));
    }
    disk.fill()?;
    case("on a disk without room", None, &["no room"])?;
    Ok(format!("{count} starts refused with words"))
}

fn says(what: &str, code: Option<i32>, words: &str, wanted: &[&str]) -> Result<(), String> {
    if !matches!(code, Some(1 | 70)) {
        return Err(format!("{what} it ended with {code:?}: {words}"));
    }
    let lines = words.lines().count();
    match wanted.iter().find(|wanted| !words.contains(**wanted)) {
        Some(missing) => Err(format!("{what} it does not say `{missing}`: {words}")),
        None if lines > 12 || words.contains("panicked") => Err(format!("{what} it said: {words}")),
        None => Ok(()),
    }
}

/// A disk that forgets what it had taken: the log is gone. The judge must see it.
fn canary() -> Result<usize, String> {
    let scene = Scene::new();
    let _disk = Disk::memory(scene.place.path("disk"), 128)?;
    let server = scene.place.start();
    let load = Senders::start(&server.addr, 0, &scene.known);
    std::thread::sleep(Duration::from_millis(500));
    server.kill();
    load.stop();
    let log = scene.place.path("disk/events.db-wal");
    std::fs::remove_file(log).map_err(|e| format!("the log: {e}"))?;
    let server = scene.place.start();
    let stored = stored(&server)?;
    let known = scene.known.lock().unwrap();
    match known.acknowledged.iter().filter(|id| !stored.contains_key(*id)).count() {
        0 => Err("the canary, a store without its log, lost nothing".to_owned()),
        lost => Ok(lost),
    }
}
