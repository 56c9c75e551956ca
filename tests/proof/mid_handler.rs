//! Suite `mid-handler`: kills while handlers run. The handler is a program that appends to a ledger
//! outside the store and syncs it, with work before and after that. The first part kills at random
//! times over one store; the second crashes at every storage call from the start of a server to its
//! end.
//!
//! It proves that each event has its effect, that each effect belongs to a recorded run, that each
//! further run has a cause, and that interrupted jobs are claimed soon after the restart. The
//! oracle is [`crate::fault::trial`]. The canaries are a store in memory, and records with a
//! missing effect, an effect too many and a missing cause.

use std::collections::HashSet;
use std::time::Duration;

use crate::RunOptions;
use crate::causes::check_effects;
use crate::fault::process::{Ended, Process};
use crate::fault::trial::{Findings, Fixture, check, run_parallel};
use crate::fault::{CHANGING_CALLS, Fault, Shim};
use crate::recovery::{STORE, crash_faults, run_until_crash};
use crate::sender::now;
use crate::server::eventually;

/// Limit for the time from a restart until an interrupted job runs again. Its lease would last 30
/// s.
const MAX_RESUME_MS: i64 = 5_000;

/// Kills between two checks of all events.
const KILLS_PER_CHECK: usize = 25;

/// Events that are sent before each kill.
const EVENTS_PER_KILL: usize = 5;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if let Some(missing) = Shim::missing_requirement() {
        return Ok(format!("SKIP: {missing}"));
    }
    let shim = Shim::build()?;
    let canary = check_canaries(&shim)?;
    let half = options.until.map(|until| {
        let now = std::time::Instant::now();
        now + until.saturating_duration_since(now) / 2
    });
    let mut kills = Kills::new(&shim, options.seed);
    kills.run(&RunOptions { until: half, ..options.clone() })?;
    let crashes = crash_at_every_call(&shim, options)?;
    Ok(format!("{}; {crashes}; canary: {canary}", kills.summary()))
}

/// Returns the step: a program that works 25 ms, has its effect, and works 25 ms more.
fn step(shim: &Shim) -> String {
    let program = shim.step.display();
    format!(
        "{{ handler: exec, with: {{ command: [\"{program}\", begun.jsonl, ledger.jsonl, '25', '25'] }} }}"
    )
}

/// Kills at random times over one store.
struct Kills {
    fixture: Fixture,
    rng: fastrand::Rng,
    kills: usize,
    events: usize,
    findings: Findings,
    /// Times from a restart until an interrupted job ran again, in milliseconds. The last one is
    /// negative between a start and its check: minus the time of the start.
    resume_ms: Vec<i64>,
    /// Runs that have been read from the ledger of begun runs.
    begun: HashSet<(String, u64)>,
}

impl Kills {
    fn new(shim: &Shim, seed: u64) -> Self {
        Self {
            fixture: Fixture::new(STORE, &step(shim)),
            rng: fastrand::Rng::with_seed(seed),
            kills: 0,
            events: 0,
            findings: Findings::default(),
            resume_ms: Vec::new(),
            begun: HashSet::new(),
        }
    }

    fn run(&mut self, options: &RunOptions) -> Result<(), String> {
        while options.wants_another(self.kills) {
            while options.wants_another(self.kills) {
                self.kill_once()?;
                if self.kills.is_multiple_of(KILLS_PER_CHECK) {
                    break;
                }
            }
            let mut process = self.start()?;
            self.check_resume(&mut process)?;
            drop(process);
            self.findings = self.fixture.recover_and_check()?;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<Process, String> {
        self.resume_ms.push(-now().as_millis());
        let process = Process::start(self.fixture.place.0.path(), &[], Duration::from_secs(20));
        if process.ready.is_some() {
            return Ok(process);
        }
        let (ended, log) = process.end(Duration::ZERO);
        Err(format!("the server does not start after kill {}: {ended:?}: {log}", self.kills))
    }

    /// Waits until interrupted jobs are done and checks how soon they began. Without the wait, a
    /// job would be interrupted until it counts as a poison job.
    fn check_resume(&mut self, process: &mut Process) -> Result<(), String> {
        let started = -self.resume_ms.pop().unwrap_or_default();
        if !process.settle(Duration::from_secs(20)) {
            return Err("interrupted work was not done within 20 s of the restart".to_owned());
        }
        for line in self.fixture.place.lines("begun.jsonl") {
            let (id, attempt) = (line["id"].to_string(), line["attempt"].as_u64().unwrap_or(0));
            let at = line["at"].as_i64().unwrap_or(0);
            if self.begun.insert((id, attempt)) && attempt > 1 && at >= started {
                self.resume_ms.push(at - started);
            }
        }
        match self.resume_ms.last() {
            Some(ms) if *ms > MAX_RESUME_MS => Err(format!(
                "an interrupted job began {ms} ms after the restart, at most {MAX_RESUME_MS} are allowed"
            )),
            _ => Ok(()),
        }
    }

    fn kill_once(&mut self) -> Result<(), String> {
        let mut process = self.start()?;
        self.check_resume(&mut process)?;
        let Some((addr, _)) = process.ready.clone() else { return Ok(()) };
        let before = self.fixture.place.lines("begun.jsonl").len();
        for _ in 0..EVENTS_PER_KILL {
            let id = format!("evt_{}", self.events);
            self.events += 1;
            if !self.fixture.send(&addr, &id, Duration::from_secs(5))? {
                return Err(format!("{id} was not acknowledged"));
            }
        }
        eventually("a step began", || self.fixture.place.lines("begun.jsonl").len() > before);
        self.kill_soon(process);
        // A quarter of the restarts are killed, too, while the interrupted jobs run alone.
        if self.rng.u8(..4) == 0 {
            let process = self.start()?;
            self.resume_ms.pop();
            self.kill_soon(process);
        }
        Ok(())
    }

    fn kill_soon(&mut self, mut process: Process) {
        std::thread::sleep(Duration::from_millis(self.rng.u64(0..70)));
        process.kill();
        process.end(Duration::from_secs(5));
        self.kills += 1;
    }

    fn summary(&self) -> String {
        let mut sorted = self.resume_ms.clone();
        sorted.sort_unstable();
        let at = |percent: usize| sorted.get(sorted.len().saturating_sub(1) * percent / 100);
        format!(
            "{} kills at random: {} acknowledged, {} stored, 0 lost, {} effects, {} of them further ones, {} further runs, each with its cause; {} jobs began again after {} ms (median) and {} ms (longest) from the restart",
            self.kills,
            self.findings.acknowledged,
            self.findings.stored,
            self.findings.effects,
            self.findings.further_effects,
            self.findings.further_runs,
            sorted.len(),
            at(50).copied().unwrap_or(0),
            at(100).copied().unwrap_or(0),
        )
    }
}

const IDS: [&str; 4] = ["evt_a", "evt_b", "evt_c", "evt_d"];

/// Crashes at every storage call from the start of a server to its end, with work in between.
fn crash_at_every_call(shim: &Shim, options: &RunOptions) -> Result<String, String> {
    let template = Fixture::new(STORE, &step(shim));
    run_until_crash(&template, shim, &Fault::NONE, &["evt_before"])?;
    let undisturbed = template.copy();
    let (_, calls) = run_until_crash(&undisturbed, shim, &Fault::NONE, &IDS)?;
    undisturbed.recover_and_check()?;
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let mut faults = crash_faults(&calls, &mut rng);
    rng.shuffle(&mut faults);
    let changes = calls.chars().filter(|call| CHANGING_CALLS.contains(*call)).count();
    let results = run_parallel(
        3,
        &faults,
        |n| options.wants_another(n),
        |fault| {
            let fixture = template.copy();
            let run = || {
                let (crashed, _) = run_until_crash(&fixture, shim, fault, &IDS)?;
                Ok((crashed, fixture.recover_and_check()?))
            };
            run().map_err(|e: String| format!("{fault}: {e}"))
        },
    )?;
    let mut findings = Findings::default();
    results.iter().for_each(|(_, one)| findings.add(*one));
    Ok(format!(
        "{} of {} crash points ({changes} calls), {} crashes: {} acknowledged, {} stored, 0 lost, {} effects, {} of them further ones, {} further runs",
        results.len(),
        faults.len(),
        results.iter().filter(|(crashed, _)| *crashed).count(),
        findings.acknowledged,
        findings.stored,
        findings.effects,
        findings.further_effects,
        findings.further_runs
    ))
}

/// Checks that the oracle finds a store in memory, and records that differ from what happened.
fn check_canaries(shim: &Shim) -> Result<&'static str, String> {
    crate::causes::check_canaries()?;
    let in_memory = kill_during_step(shim, "memory")?;
    match in_memory.recover_and_check() {
        Err(found) if found.contains("lost") => {}
        other => return Err(format!("the canary, a store in memory, lost nothing: {other:?}")),
    }
    let fixture = kill_during_step(shim, STORE)?;
    let server = fixture.place.start();
    crate::checker::wait_until_settled(&server)?;
    let (sent, ledger) = (fixture.sent.lock().unwrap(), fixture.ledger());
    check(&server, &sent, &ledger, 0)?;
    let expect_failure =
        |what: &str, ledger: &[serde_json::Value]| match check(&server, &sent, ledger, 0) {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("the canary, {what}, was not found")),
        };
    expect_failure("a missing effect", &[])?;
    let mut more = ledger.clone();
    more.push(ledger[0].clone());
    expect_failure("an effect without a recorded run", &more)?;
    let event = server.admin("GET", "/api/v1/events/evt_1", "").json();
    let mut runs = event["attempts"].as_array().ok_or("an event without `attempts`")?.clone();
    if runs.len() < 2 {
        return Err(format!("the kill interrupted no run: {runs:?}"));
    }
    runs.iter_mut().for_each(|run| run["cause"] = serde_json::Value::Null);
    match check_effects("evt_1", &[1, 2], &runs) {
        Err(_) => Ok("a store in memory, and records without an effect or a cause, were found"),
        Ok(_) => Err("the canary, a missing cause, was not found".to_owned()),
    }
}

/// Sends one event and kills the server while its step runs.
fn kill_during_step(shim: &Shim, store: &str) -> Result<Fixture, String> {
    let fixture = Fixture::new(store, &step(shim));
    let mut process = Process::start(fixture.place.0.path(), &[], Duration::from_secs(20));
    let (addr, _) = process.ready.clone().ok_or("the server does not start")?;
    fixture.send(&addr, "evt_1", Duration::from_secs(5))?;
    eventually("the step began", || !fixture.place.lines("begun.jsonl").is_empty());
    process.kill();
    match process.end(Duration::from_secs(5)) {
        (Ended::Killed, _) => Ok(fixture),
        (ended, log) => Err(format!("the process ended with {ended:?}: {log}")),
    }
}
