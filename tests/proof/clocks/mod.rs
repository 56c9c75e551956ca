//! Suite `clocks`: the wall clock of the real server is wrong by up to sixty days, at its start and by
//! steps while it runs, over restarts and kills.
//!
//! It proves that a wrong clock removes nothing: every event and every dead letter is stored, and a
//! repetition of each is answered with the bytes of its first answer and stored once, with a
//! retention of one day. The oracle is a listing of the store after each restart. The canary is a
//! store that forgot where its clock was: there the wrong clock removes events, and the oracle must
//! find that they are missing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use hookward_core::Timestamp;
use tempfile::TempDir;

use crate::RunOptions;
use crate::checker::stored_events;
use crate::fault::Shim;
use crate::load::object;
use crate::sender::{now, stripe_raw};
use crate::server::{Server, ServerDir, eventually};

/// Runs of the short form. Each has several restarts, of some seconds.
const SHORT_FORM_RUNS: usize = 2;
/// Restarts of one run, each with a clock of its own.
const RESTARTS: usize = 6;
/// Events that each server gets.
const EVENTS_PER_START: usize = 4;
/// Longer than two purges, which come every second with the retention of the canary, and each minute
/// and once at the start otherwise.
const PURGE_TIME: Duration = Duration::from_millis(1_500);
const DAY: i64 = 24 * 3600;

/// Every second event is a dead letter. Days are purged once at each start.
const ROUTES: &str = "store: sqlite:events.db\ndefaults: { retention: { events: 1d, dead: 2d } }\nsources:\n  stripe: { secrets: [whsec_e2e_stripe] }\nroutes:\n  - name: r\n    events: stripe/payment_intent.succeeded\n    chain: [noop]\n  - name: dead\n    events: stripe/charge.failed\n    retry: { attempts: 1 }\n    chain: [{ handler: exec, with: { command: [sh, -c, 'exit 1'] } }]\n";

/// The library that moves the clock, and the file with its offset.
struct FakeClock {
    folder: TempDir,
    library: PathBuf,
}

impl FakeClock {
    fn build() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (source, library) = (folder.path().join("clock.c"), folder.path().join("clock.so"));
        std::fs::write(&source, include_str!("clock.c")).map_err(|e| e.to_string())?;
        let run = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&library, &source])
            .output()
            .map_err(|e| e.to_string())?;
        if !run.status.success() {
            return Err(String::from_utf8_lossy(&run.stderr).into_owned());
        }
        let clock = Self { folder, library };
        clock.set(0)?;
        Ok(clock)
    }

    /// Sets the offset of the wall clock, in seconds, of all servers under this clock.
    fn set(&self, seconds: i64) -> Result<(), String> {
        use std::os::unix::fs::FileExt;
        // In place: a running server has mapped the file.
        let file =
            std::fs::File::options().create(true).truncate(false).write(true).open(self.file());
        file.and_then(|file| file.write_all_at(&seconds.to_ne_bytes(), 0))
            .map_err(|e| e.to_string())
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    fn start(&self, place: &ServerDir) -> Result<Server, String> {
        let (library, file) = (self.library.display().to_string(), self.file());
        let file = file.display().to_string();
        Server::try_start(place.0.path(), &[("LD_PRELOAD", &library), ("CLOCK_OFFSET", &file)])
    }
}

/// Counts of all runs.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: usize,
    repetitions: usize,
    restarts: usize,
    steps: usize,
}

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if let Some(missing) = Shim::missing_requirement() {
        return Ok(format!("SKIP: {missing}"));
    }
    let clock = FakeClock::build()?;
    let canary = check_canary(&clock)?;
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let runs = if options.short { SHORT_FORM_RUNS } else { options.runs };
    let options = RunOptions { runs, ..options.clone() };
    let (mut done, mut tally) = (0, Tally::default());
    while options.wants_another(done) {
        run_once(&clock, &mut rng, &mut tally).map_err(|e| format!("run {done}: {e}"))?;
        done += 1;
    }
    Ok(format!(
        "{done} stores over {} restarts and {} steps of a clock that was wrong by up to 60 days: {} acknowledged, half of them dead letters, 0 lost; {} repetitions answered as the first time and stored once; canary, a store that forgot its clock, lost {canary}",
        tally.restarts, tally.steps, tally.acknowledged, tally.repetitions
    ))
}

/// Sends an event, signed at the time that the server's clock shows.
fn post(server: &Server, id: &str, n: usize, offset: i64) -> Result<Vec<u8>, String> {
    let kind = if n.is_multiple_of(2) { "payment_intent.succeeded" } else { "charge.failed" };
    let body = serde_json::json!({
        "id": id, "object": "event", "type": kind, "data": { "object": object(id) }
    });
    let at = Timestamp::from_millis(now().as_millis() + offset * 1_000);
    let answer = stripe_raw(id, kind, body.to_string().as_bytes(), at)
        .try_post(&server.addr)
        .map_err(|e| e.to_string())?;
    match answer.status {
        200 => Ok(answer.body),
        status => Err(format!("{id} got {status}: {}", answer.text())),
    }
}

fn run_once(clock: &FakeClock, rng: &mut fastrand::Rng, tally: &mut Tally) -> Result<(), String> {
    let place = ServerDir::new(ROUTES);
    let mut answers: BTreeMap<String, (usize, Vec<u8>)> = BTreeMap::new();
    // The first start has the right clock, as does the last one.
    let mut offset = 0;
    for restart in 0..=RESTARTS {
        clock.set(offset)?;
        let server = clock.start(&place)?;
        tally.restarts += 1;
        for step in 0..2 {
            for _ in 0..EVENTS_PER_START / 2 {
                let n = answers.len();
                let id = format!("evt_{n}");
                let answer = post(&server, &id, n, offset)?;
                answers.insert(id, (n, answer));
            }
            check(&server, &mut answers, offset, rng, tally)
                .map_err(|e| format!("restart {restart}, clock off by {offset} s: {e}"))?;
            if step == 0 && restart < RESTARTS && rng.bool() {
                offset = draw_offset(rng);
                clock.set(offset)?;
                tally.steps += 1;
            }
        }
        std::thread::sleep(PURGE_TIME);
        check(&server, &mut answers, offset, rng, tally)
            .map_err(|e| format!("restart {restart}, clock off by {offset} s: {e}"))?;
        if rng.bool() {
            server.kill();
        } else if server.terminate() != Some(0) {
            return Err("a server did not end regularly".to_owned());
        }
        offset = if restart + 1 == RESTARTS { 0 } else { draw_offset(rng) };
    }
    tally.acknowledged += answers.len();
    Ok(())
}

/// An offset of two days to sixty, in either direction, or none.
fn draw_offset(rng: &mut fastrand::Rng) -> i64 {
    match rng.u8(0..5) {
        0 => 0,
        1 => 60 * DAY,
        2 => -60 * DAY,
        3 => rng.i64(2 * DAY..60 * DAY),
        _ => -rng.i64(2 * DAY..60 * DAY),
    }
}

/// Checks that every event is stored once and is done or dead as it must be, and that some
/// repetitions have their first answers.
fn check(
    server: &Server,
    answers: &mut BTreeMap<String, (usize, Vec<u8>)>,
    offset: i64,
    rng: &mut fastrand::Rng,
    tally: &mut Tally,
) -> Result<(), String> {
    for _ in 0..3 {
        let Some((id, (n, first))) = rng.choice(answers.iter()) else { break };
        if &post(server, id, *n, offset)? != first {
            return Err(format!("the repetition of {id} was processed again"));
        }
        tally.repetitions += 1;
    }
    let settled = || {
        let stats = server.admin("GET", "/api/v1/stats", "").json();
        stats["open"] == 0
    };
    eventually("all jobs are settled", settled);
    let stored = stored_events(server)?;
    if let Some((id, _)) = answers.iter().find(|(id, _)| !stored.contains_key(*id)) {
        return Err(format!("{id} is missing, of {} events", answers.len()));
    }
    if stored.len() != answers.len() {
        return Err(format!("{} events are stored, and {} were sent", stored.len(), answers.len()));
    }
    let dead = server.admin("GET", "/api/v1/stats", "").json()["dead"].as_u64();
    let expected = answers.values().filter(|(n, _)| !n.is_multiple_of(2)).count() as u64;
    match dead {
        Some(dead) if dead == expected => Ok(()),
        dead => Err(format!("{dead:?} dead letters, expected {expected}")),
    }
}

/// Removes from a store where its retention clock was. Under a wrong clock, the next start then
/// removes events, and the oracle must find that.
fn check_canary(clock: &FakeClock) -> Result<usize, String> {
    let place = ServerDir::new(ROUTES);
    clock.set(0)?;
    let server = clock.start(&place)?;
    for n in 0..EVENTS_PER_START {
        post(&server, &format!("evt_{n}"), n, 0)?;
    }
    eventually("all jobs are settled", || {
        server.admin("GET", "/api/v1/stats", "").json()["open"] == 0
    });
    if server.terminate() != Some(0) {
        return Err("a server did not end regularly".to_owned());
    }
    let conn = rusqlite::Connection::open(place.path("events.db")).map_err(|e| e.to_string())?;
    conn.execute("delete from meta where name like 'retention%'", []).map_err(|e| e.to_string())?;
    drop(conn);
    clock.set(60 * DAY)?;
    let server = clock.start(&place)?;
    std::thread::sleep(PURGE_TIME);
    match EVENTS_PER_START.checked_sub(stored_events(&server)?.len()) {
        Some(0) | None => Err("the canary, a store that forgot its clock, lost nothing".to_owned()),
        Some(lost) => Ok(lost),
    }
}
