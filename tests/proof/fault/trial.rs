//! One trial of a server that may fail: its folder, what it is sent, and what must hold of what it
//! leaves behind.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::checker::{settled, stored};
use crate::fault::process::Process;
use crate::fault::{Fault, Shim, Trace};
use crate::load::{Known, object};
use crate::sender::{Signed, now, stripe_raw};
use crate::server::{Place, Server};

/// No answer may take longer; twice what is promised, because no test judges speed.
const ANSWER: Duration = Duration::from_secs(6);

/// To a large event: a debug build reads and parses it for a while before it asks the store.
const ANSWER_TO_LARGE: Duration = Duration::from_secs(8);

/// A step that keeps what it did in a file of its own.
pub(crate) const FILE_STEP: &str = "{ handler: file, with: { path: ledger.jsonl } }";

/// A folder with a store, a ledger outside of it, and what is known of what was sent.
pub(crate) struct Fixture {
    pub(crate) place: Place,
    pub(crate) known: Arc<Mutex<Known>>,
    /// How much longer each event is than it has to be.
    pub(crate) padding: usize,
}

/// What was counted while judging.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) acknowledged: usize,
    pub(crate) stored: usize,
    pub(crate) effects: usize,
    /// Effects of an event beyond its first.
    pub(crate) extra: usize,
    /// Runs of a job beyond its first, each with its cause.
    pub(crate) causes: usize,
}

impl Found {
    pub(crate) fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.stored += other.stored;
        self.effects += other.effects;
        self.extra += other.extra;
        self.causes += other.causes;
    }
}

impl Fixture {
    pub(crate) fn new(store: &str, step: &str) -> Self {
        let place = Place(temp_dir());
        std::fs::create_dir(place.path("store")).unwrap();
        place.write(
            "routes.yaml",
            &format!(
                "store: {store}\ndefaults: {{ retry: {{ attempts: 50, first_delay: 50ms, max_delay: 500ms }} }}\nsources:\n  stripe: {{ secrets: [whsec_e2e_stripe] }}\nroutes:\n  - name: effect\n    events: stripe/**\n    concurrency: 4\n    chain: [{step}]\n"
            ),
        );
        Self { place, known: Arc::default(), padding: 0 }
    }

    /// The same, to be spoilt apart from this one.
    pub(crate) fn copy(&self) -> Self {
        let place = Place(temp_dir());
        for from in ["store", ""] {
            let to = place.path(from);
            std::fs::create_dir_all(&to).unwrap();
            for file in std::fs::read_dir(self.place.path(from)).unwrap().flatten() {
                if file.file_type().unwrap().is_file() {
                    std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
                }
            }
        }
        let known = self.known.lock().unwrap();
        let known =
            Known { acknowledged: known.acknowledged.clone(), unknown: known.unknown.clone() };
        Self { place, known: Arc::new(Mutex::new(known)), padding: self.padding }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.place.path("store").join("events.db")
    }

    /// Starts a server that meets this fault.
    pub(crate) fn start(&self, shim: &Shim, fault: &Fault, patience: Duration) -> (Process, Trace) {
        let trace = Trace(self.place.path("trace"));
        let _ = std::fs::remove_file(&trace.0);
        let env = shim.env(fault, &self.place.path("store"), &trace);
        (Process::start(self.place.0.path(), &env, patience), trace)
    }

    /// Sends an event as a sender does, again where it is told to come back, for at most `patience`.
    /// Whether it was taken in; `Err`: an answer that must not be.
    pub(crate) fn send(&self, addr: &str, id: &str, patience: Duration) -> Result<bool, String> {
        let start = Instant::now();
        let mut refused = 0;
        self.known.lock().unwrap().unknown.insert(id.to_owned());
        loop {
            let event = self.event(id);
            let asked = Instant::now();
            let answer = event.try_post(addr);
            let took = asked.elapsed();
            if took > if self.padding > 0 { ANSWER_TO_LARGE } else { ANSWER } {
                return Err(format!("{id}: no answer for {took:?}"));
            }
            match answer {
                Ok(answer) if answer.status == 200 => {
                    self.known.lock().unwrap().acknowledged.insert(id.to_owned());
                    return Ok(true);
                }
                Ok(answer) if answer.status == 503 => {}
                Ok(answer) => return Err(format!("{id}: {} {}", answer.status, answer.text())),
                Err(_) => refused += 1,
            }
            if refused == 2 || start.elapsed() > patience {
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

    /// Opens what was left behind without any fault, lets it finish, and judges it.
    pub(crate) fn judge(&self) -> Result<Found, String> {
        let server = Server::try_start(self.place.0.path(), &[])
            .map_err(|log| format!("does not open again: {log}"))?;
        let known = self.known.lock().unwrap();
        // First what is there at all: an event that is lost has no work to wait for.
        lost(&stored(&server)?, &known)?;
        settled(&server)?;
        let found = examine(&server, &known, &self.ledger(), self.padding)?;
        if server.log().contains("panicked") {
            return Err(format!("a panic: {}", server.log()));
        }
        server.kill();
        check_integrity(&self.database())?;
        Ok(found)
    }
}

fn lost(stored: &HashMap<String, String>, known: &Known) -> Result<(), String> {
    let lost: Vec<_> = known.acknowledged.iter().filter(|id| !stored.contains_key(*id)).collect();
    let all = known.acknowledged.len();
    if lost.is_empty() { Ok(()) } else { Err(format!("{} of {all} lost: {lost:?}", lost.len())) }
}

/// Where nothing waits any more: all that was acknowledged is there; nothing is that was not sent;
/// bodies are those that were sent; each event has its effect; each effect is of a recorded run, and
/// each run after the first has its cause.
pub(crate) fn examine(
    server: &Server,
    known: &Known,
    ledger: &[Value],
    padding: usize,
) -> Result<Found, String> {
    let stored = stored(server)?;
    lost(&stored, known)?;
    let mut effects: HashMap<&str, Vec<u64>> = HashMap::new();
    for line in ledger {
        let id = line["id"].as_str().ok_or("a line without an id")?;
        effects.entry(id).or_default().push(line["attempt"].as_u64().unwrap_or(0));
    }
    let mut found = Found {
        acknowledged: known.acknowledged.len(),
        stored: stored.len(),
        effects: ledger.len(),
        ..Found::default()
    };
    for (name, id) in &stored {
        if !known.acknowledged.contains(name) && !known.unknown.contains(name) {
            return Err(format!("{name} is stored and was never sent"));
        }
        let event = server.admin("GET", &format!("/api/v1/events/{id}"), "").json();
        let body: Value = serde_json::from_str(event["body"].as_str().unwrap_or_default())
            .map_err(|e| format!("{name}: {e}"))?;
        let padded = body["padding"].as_str().unwrap_or_default();
        let whole = padded.len() == padding && padded.bytes().all(|b| b == b'x');
        if body["data"]["object"] != object(name) || body["id"] != name.as_str() || !whole {
            return Err(format!("{name} is stored with other bytes"));
        }
        let effects = effects.remove(id.as_str()).unwrap_or_default();
        let runs = event["attempts"].as_array().ok_or("no attempts")?;
        let (extra, causes) = explained(name, &effects, runs)?;
        found.extra += extra;
        found.causes += causes;
    }
    if let Some((id, _)) = effects.iter().next() {
        return Err(format!("an effect of {id}, which is not stored"));
    }
    Ok(found)
}

/// Extra effects, and causes. Effects are given by the number of their attempt.
pub(crate) fn explained(
    name: &str,
    effects: &[u64],
    runs: &[Value],
) -> Result<(usize, usize), String> {
    if effects.is_empty() {
        return Err(format!("{name} is done and had no effect: {runs:?}"));
    }
    let mut causes = 0;
    let mut free: Vec<u64> = Vec::new();
    for (n, run) in runs.iter().enumerate() {
        let before = n.checked_sub(1).and_then(|n| runs.get(n));
        // A run that was given back has no successor with a cause: nothing went wrong.
        let given_back = before.is_some_and(|run| run["outcome"] == "released");
        match (n, run["cause"].is_string()) {
            (1.., false) if !given_back => {
                return Err(format!("{name} ran again without a cause: {runs:?}"));
            }
            (1.., _) => causes += 1,
            _ => {}
        }
        free.push(run["attempt"].as_u64().unwrap_or(0));
    }
    for effect in effects {
        let Some(at) = free.iter().position(|attempt| attempt == effect) else {
            return Err(format!(
                "{name} had an effect in attempt {effect}, of which nothing is recorded: {runs:?}"
            ));
        };
        free.swap_remove(at);
    }
    Ok((effects.len() - 1, causes))
}

/// SQLite's own look at the file, the log included.
pub(crate) fn check_integrity(database: &Path) -> Result<(), String> {
    let conn = rusqlite::Connection::open(database).map_err(|e| e.to_string())?;
    let told: rusqlite::Result<String> =
        conn.pragma_query_value(None, "integrity_check", |row| row.get(0));
    match told {
        Ok(told) if told == "ok" => Ok(()),
        Ok(told) => Err(format!("the file is damaged: {told}")),
        Err(e) => Err(format!("the file cannot be checked: {e}")),
    }
}

/// In memory where that is possible: what a fault does to the file is the shim's work, not the disk's.
pub(crate) fn temp_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.unwrap()
}

/// Does all of it, so many at a time, until one fails; a panic is a failure. What was done, in any
/// order.
pub(crate) fn run_parallel<J: Sync, R: Send>(
    width: usize,
    jobs: &[J],
    wants_another: impl Fn(usize) -> bool + Sync,
    one: impl Fn(&J) -> Result<R, String> + Sync,
) -> Result<Vec<R>, String> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new((Vec::new(), BTreeSet::new())));
    let work = || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let failed = !done.lock().unwrap().1.is_empty();
            let Some(job) = jobs.get(n).filter(|_| wants_another(n) && !failed) else { return };
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(job)));
            match ended.unwrap_or_else(|_| Err(format!("run {n} panicked"))) {
                Ok(result) => done.lock().unwrap().0.push(result),
                Err(told) => drop(done.lock().unwrap().1.insert(told)),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..width {
            scope.spawn(work);
        }
    });
    let (results, failures) = done.into_inner().unwrap();
    match failures.into_iter().next() {
        Some(told) => Err(told),
        None => Ok(results),
    }
}
