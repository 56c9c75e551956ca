//! The fixture and the oracle of the suites that inject faults into a real server: its folder, what
//! is sent to it, and what must hold after a new server has recovered its store.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::causes::check_effects;
use crate::checker::{stored_events, wait_until_settled};
use crate::fault::process::Process;
use crate::fault::{CallTrace, Fault, Shim};
use crate::load::{SentEvents, object};
use crate::sender::{Signed, now, stripe_raw};
use crate::server::{Server, ServerDir};

/// Limit for each answer: twice what is promised, because the machine may be busy.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);

/// Limit for the answer to a large event, which a debug build reads and parses slowly.
const LARGE_EVENT_ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// A step that appends each event to the ledger, a file outside the store.
pub(crate) const FILE_STEP: &str = "{ handler: file, with: { path: ledger.jsonl } }";

/// A folder with a store and a ledger outside it, and the events that were sent to its server.
pub(crate) struct Fixture {
    pub(crate) place: ServerDir,
    pub(crate) sent: Arc<Mutex<SentEvents>>,
    /// Bytes by which each event is made longer.
    pub(crate) padding: usize,
}

/// Counts of one check.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Findings {
    pub(crate) acknowledged: usize,
    pub(crate) stored: usize,
    pub(crate) effects: usize,
    /// Effects of an event beyond its first.
    pub(crate) further_effects: usize,
    /// Runs of a job beyond its first, each of which has a recorded cause.
    pub(crate) further_runs: usize,
}

impl Findings {
    pub(crate) fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.stored += other.stored;
        self.effects += other.effects;
        self.further_effects += other.further_effects;
        self.further_runs += other.further_runs;
    }
}

impl Fixture {
    pub(crate) fn new(store: &str, step: &str) -> Self {
        let place = ServerDir(temp_dir());
        std::fs::create_dir(place.path("store")).unwrap();
        place.write(
            "routes.yaml",
            &format!(
                "store: {store}\ndefaults: {{ retry: {{ attempts: 50, first_delay: 50ms, max_delay: 500ms }} }}\nsources:\n  stripe: {{ secrets: [whsec_e2e_stripe] }}\nroutes:\n  - name: effect\n    events: stripe/**\n    concurrency: 4\n    chain: [{step}]\n"
            ),
        );
        Self { place, sent: Arc::default(), padding: 0 }
    }

    /// Copies the folder and the record of what was sent, for a run that must not change this
    /// fixture.
    pub(crate) fn copy(&self) -> Self {
        let place = ServerDir(temp_dir());
        for from in ["store", ""] {
            let to = place.path(from);
            std::fs::create_dir_all(&to).unwrap();
            for file in std::fs::read_dir(self.place.path(from)).unwrap().flatten() {
                if file.file_type().unwrap().is_file() {
                    std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
                }
            }
        }
        let sent = self.sent.lock().unwrap().clone();
        Self { place, sent: Arc::new(Mutex::new(sent)), padding: self.padding }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.place.path("store").join("events.db")
    }

    /// Starts a server under the shim and waits up to `timeout` until it is ready or has ended.
    pub(crate) fn start(
        &self,
        shim: &Shim,
        fault: &Fault,
        timeout: Duration,
    ) -> (Process, CallTrace) {
        let trace = CallTrace(self.place.path("trace"));
        let _ = std::fs::remove_file(&trace.0);
        let env = shim.env(fault, &self.place.path("store"), &trace);
        (Process::start(self.place.0.path(), &env, timeout), trace)
    }

    /// Sends an event until it is acknowledged, up to `retry_for`, and returns whether it was. A
    /// late answer and a status other than 200 and 503 are errors.
    pub(crate) fn send(&self, addr: &str, id: &str, retry_for: Duration) -> Result<bool, String> {
        let start = Instant::now();
        let mut failed_requests = 0;
        self.sent.lock().unwrap().unanswered.insert(id.to_owned());
        loop {
            let event = self.event(id);
            let sent_at = Instant::now();
            let answer = event.try_post(addr);
            let took = sent_at.elapsed();
            let limit = if self.padding > 0 { LARGE_EVENT_ANSWER_TIMEOUT } else { ANSWER_TIMEOUT };
            if took > limit {
                return Err(format!(
                    "{id}: the answer took {took:?}, at most {limit:?} are allowed"
                ));
            }
            match answer {
                Ok(answer) if answer.status == 200 => {
                    self.sent.lock().unwrap().acknowledged.insert(id.to_owned());
                    return Ok(true);
                }
                Ok(answer) if answer.status == 503 => {}
                Ok(answer) => return Err(format!("{id}: {} {}", answer.status, answer.text())),
                Err(_) => failed_requests += 1,
            }
            if failed_requests == 2 || start.elapsed() > retry_for {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(120));
        }
    }

    fn event(&self, id: &str) -> Signed {
        let event_type = "payment_intent.succeeded";
        let (object, padding) = (object(id), "x".repeat(self.padding));
        let body =
            json!({"id": id, "type": event_type, "data": {"object": object}, "padding": padding});
        stripe_raw(id, event_type, body.to_string().as_bytes(), now())
    }

    pub(crate) fn ledger(&self) -> Vec<Value> {
        self.place.lines("ledger.jsonl")
    }

    /// Starts a server without faults over the store, lets it finish all work, and checks the
    /// result.
    pub(crate) fn recover_and_check(&self) -> Result<Findings, String> {
        let server = Server::try_start(self.place.0.path(), &[])
            .map_err(|log| format!("the store does not open again: {log}"))?;
        let sent = self.sent.lock().unwrap();
        // Before the wait, because an event that is lost has no work to wait for.
        check_none_lost(&stored_events(&server)?, &sent)?;
        wait_until_settled(&server)?;
        let findings = check(&server, &sent, &self.ledger(), self.padding)?;
        if server.log().contains("panicked") {
            return Err(format!("a panic: {}", server.log()));
        }
        server.kill();
        check_integrity(&self.database())?;
        Ok(findings)
    }
}

fn check_none_lost(stored: &HashMap<String, String>, sent: &SentEvents) -> Result<(), String> {
    let lost: Vec<_> = sent.acknowledged.iter().filter(|id| !stored.contains_key(*id)).collect();
    let all = sent.acknowledged.len();
    if lost.is_empty() {
        Ok(())
    } else {
        Err(format!("{} of {all} acknowledged events lost: {lost:?}", lost.len()))
    }
}

/// Checks a server without open jobs: every acknowledged event is stored, nothing is stored that
/// was not sent, bodies are the bytes that were sent, each event had its effect, each effect
/// belongs to a recorded run, and each run after the first has a cause.
pub(crate) fn check(
    server: &Server,
    sent: &SentEvents,
    ledger: &[Value],
    padding: usize,
) -> Result<Findings, String> {
    let stored = stored_events(server)?;
    check_none_lost(&stored, sent)?;
    let mut effects: HashMap<&str, Vec<u64>> = HashMap::new();
    for line in ledger {
        let id = line["id"].as_str().ok_or("a ledger line without `id`")?;
        effects.entry(id).or_default().push(line["attempt"].as_u64().unwrap_or(0));
    }
    let mut findings = Findings {
        acknowledged: sent.acknowledged.len(),
        stored: stored.len(),
        effects: ledger.len(),
        ..Findings::default()
    };
    for (name, id) in &stored {
        if !sent.contains(name) {
            return Err(format!("{name} is stored and was never sent"));
        }
        let event = server.admin("GET", &format!("/api/v1/events/{id}"), "").json();
        let body: Value = serde_json::from_str(event["body"].as_str().unwrap_or_default())
            .map_err(|e| format!("{name}: {e}"))?;
        let padded = body["padding"].as_str().unwrap_or_default();
        let padding_intact = padded.len() == padding && padded.bytes().all(|b| b == b'x');
        if body["data"]["object"] != object(name) || body["id"] != name.as_str() || !padding_intact
        {
            return Err(format!("{name} is stored with other bytes"));
        }
        let effects = effects.remove(id.as_str()).unwrap_or_default();
        let runs = event["attempts"].as_array().ok_or("an event without `attempts`")?;
        let (further_effects, further_runs) = check_effects(name, &effects, runs)?;
        findings.further_effects += further_effects;
        findings.further_runs += further_runs;
    }
    if let Some((id, _)) = effects.iter().next() {
        return Err(format!("{id} had an effect and is not stored"));
    }
    Ok(findings)
}

/// Runs SQLite's integrity check over the file and its log.
pub(crate) fn check_integrity(database: &Path) -> Result<(), String> {
    let conn = rusqlite::Connection::open(database).map_err(|e| e.to_string())?;
    let result: rusqlite::Result<String> =
        conn.pragma_query_value(None, "integrity_check", |row| row.get(0));
    match result {
        Ok(result) if result == "ok" => Ok(()),
        Ok(damage) => Err(format!("the file is damaged: {damage}")),
        Err(e) => Err(format!("the file cannot be checked: {e}")),
    }
}

/// Makes a temporary folder, in memory if possible: the shim models the disk, so a real one only
/// costs time.
pub(crate) fn temp_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

/// Runs the cases with a number of threads until one fails or no other is wanted. A panic counts as
/// a failure. Returns the results in any order.
pub(crate) fn run_parallel<C: Sync, R: Send>(
    threads: usize,
    cases: &[C],
    wants_another: impl Fn(usize) -> bool + Sync,
    run: impl Fn(&C) -> Result<R, String> + Sync,
) -> Result<Vec<R>, String> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new((Vec::new(), BTreeSet::new())));
    let work = || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let failed = !done.lock().unwrap().1.is_empty();
            let Some(case) = cases.get(n).filter(|_| wants_another(n) && !failed) else { return };
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(case)));
            match result.unwrap_or_else(|_| Err(format!("run {n} panicked"))) {
                Ok(result) => done.lock().unwrap().0.push(result),
                Err(failure) => drop(done.lock().unwrap().1.insert(failure)),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (results, failures) = done.into_inner().unwrap();
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => Ok(results),
    }
}
