//! Kills while handlers run: programs that append to a ledger outside of the store, synced, with work
//! before it and after it. Each event has its effect; each effect is of a recorded run; each further
//! run has its cause; and what a kill interrupted runs again soon after the restart.

use std::collections::HashSet;
use std::time::Duration;

use crate::RunOptions;
use crate::fault::process::{Ended, Process};
use crate::fault::trial::{Fixture, Found, examine, explained, run_parallel};
use crate::fault::{CHANGES, Fault, Shim};
use crate::recovery::{STORE, crash, points};
use crate::sender::now;
use crate::server::eventually;

/// What a kill interrupted is claimed again within this; its lease would have lasted 30 s.
const RESUME: i64 = 5_000;

/// Kills between two looks at everything.
const ROUND: usize = 25;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if let Some(missing) = Shim::missing() {
        return Ok(format!("SKIP: {missing}"));
    }
    let shim = Shim::build()?;
    let canary = canary(&shim)?;
    let half = options.until.map(|until| {
        let now = std::time::Instant::now();
        now + until.saturating_duration_since(now) / 2
    });
    let mut kills = Kills::new(&shim, options.seed);
    kills.run(&RunOptions { until: half, ..options.clone() })?;
    let at_points = at_points(&shim, options)?;
    Ok(format!("{}; {at_points}; canary: {canary}", kills.told()))
}

/// A program that works 25 ms, has its effect, and works as long again.
fn step(shim: &Shim) -> String {
    let program = shim.step.display();
    format!(
        "{{ handler: exec, with: {{ command: [\"{program}\", begun.jsonl, ledger.jsonl, '25', '25'] }} }}"
    )
}

/// Kills at random moments, again and again on one store.
struct Kills {
    fixture: Fixture,
    chance: fastrand::Rng,
    kills: usize,
    events: usize,
    found: Found,
    /// From a restart until interrupted jobs began again, in milliseconds.
    resumed: Vec<i64>,
    known: HashSet<(String, u64)>,
}

impl Kills {
    fn new(shim: &Shim, seed: u64) -> Self {
        Self {
            fixture: Fixture::new(STORE, &step(shim)),
            chance: fastrand::Rng::with_seed(seed),
            kills: 0,
            events: 0,
            found: Found::default(),
            resumed: Vec::new(),
            known: HashSet::new(),
        }
    }

    fn run(&mut self, options: &RunOptions) -> Result<(), String> {
        while options.wants_another(self.kills) {
            while options.wants_another(self.kills) {
                self.kill_once()?;
                if self.kills.is_multiple_of(ROUND) {
                    break;
                }
            }
            let mut process = self.start()?;
            self.resume(&mut process)?;
            drop(process);
            self.found = self.fixture.judge()?;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<Process, String> {
        self.resumed.push(-now().as_millis());
        let process = Process::start(self.fixture.place.0.path(), &[], Duration::from_secs(20));
        if process.ready.is_some() {
            return Ok(process);
        }
        let (ended, log) = process.end(Duration::ZERO);
        Err(format!("it does not start after kill {}: {ended:?}: {log}", self.kills))
    }

    /// What was interrupted is finished first, so that no job is hit so often that it counts as the
    /// one that kills the process.
    fn resume(&mut self, process: &mut Process) -> Result<(), String> {
        let started = -self.resumed.pop().unwrap_or_default();
        if !process.settle(Duration::from_secs(20)) {
            return Err("interrupted work was not done within 20 s of the restart".to_owned());
        }
        for line in self.fixture.place.lines("begun.jsonl") {
            let (id, attempt) = (line["id"].to_string(), line["attempt"].as_u64().unwrap_or(0));
            let at = line["at"].as_i64().unwrap_or(0);
            if self.known.insert((id, attempt)) && attempt > 1 && at >= started {
                self.resumed.push(at - started);
            }
        }
        match self.resumed.last() {
            Some(ms) if *ms > RESUME => Err(format!("a job began again only after {ms} ms")),
            _ => Ok(()),
        }
    }

    fn kill_once(&mut self) -> Result<(), String> {
        let mut process = self.start()?;
        self.resume(&mut process)?;
        let Some((addr, _)) = process.ready.clone() else { return Ok(()) };
        let before = self.fixture.place.lines("begun.jsonl").len();
        for _ in 0..5 {
            let id = format!("evt_{}", self.events);
            self.events += 1;
            if !self.fixture.send(&addr, &id, Duration::from_secs(5))? {
                return Err(format!("{id} was refused"));
            }
        }
        eventually("a step began", || self.fixture.place.lines("begun.jsonl").len() > before);
        self.let_it_work(process);
        // Now and then the restart dies, too, with a job alone at work.
        if self.chance.u8(..4) == 0 {
            let process = self.start()?;
            self.resumed.pop();
            self.let_it_work(process);
        }
        Ok(())
    }

    fn let_it_work(&mut self, mut process: Process) {
        std::thread::sleep(Duration::from_millis(self.chance.u64(0..70)));
        process.kill();
        process.end(Duration::from_secs(5));
        self.kills += 1;
    }

    fn told(&self) -> String {
        let mut resumed = self.resumed.clone();
        resumed.sort_unstable();
        let at = |share: usize| resumed.get(resumed.len().saturating_sub(1) * share / 100);
        format!(
            "{} kills at random: {} acknowledged, {} stored, 0 lost, {} effects, {} of them extra, {} further runs, each with its cause; {} jobs began again after {} ms (median) and {} ms (longest) from the restart",
            self.kills,
            self.found.acknowledged,
            self.found.stored,
            self.found.effects,
            self.found.extra,
            self.found.causes,
            resumed.len(),
            at(50).copied().unwrap_or(0),
            at(100).copied().unwrap_or(0),
        )
    }
}

const IDS: [&str; 4] = ["evt_a", "evt_b", "evt_c", "evt_d"];

/// A crash at every storage call from the start of a server to its end, with work in between.
fn at_points(shim: &Shim, options: &RunOptions) -> Result<String, String> {
    let template = Fixture::new(STORE, &step(shim));
    crash(&template, shim, &Fault::NONE, &["evt_before"])?;
    let plain = template.copy();
    let (_, calls) = crash(&plain, shim, &Fault::NONE, &IDS)?;
    plain.judge()?;
    let mut chance = fastrand::Rng::with_seed(options.seed);
    let mut jobs = points(&calls, &mut chance);
    chance.shuffle(&mut jobs);
    let changes = calls.chars().filter(|call| CHANGES.contains(*call)).count();
    let runs = run_parallel(
        3,
        &jobs,
        |n| options.wants_another(n),
        |fault| {
            let fixture = template.copy();
            let one = || {
                let (crashed, _) = crash(&fixture, shim, fault, &IDS)?;
                Ok((crashed, fixture.judge()?))
            };
            one().map_err(|e: String| format!("{fault}: {e}"))
        },
    )?;
    let mut found = Found::default();
    runs.iter().for_each(|(_, one)| found.add(*one));
    Ok(format!(
        "{} of {} crash points ({changes} calls), {} crashes: {} acknowledged, {} stored, 0 lost, {} effects, {} of them extra, {} further runs",
        runs.len(),
        jobs.len(),
        runs.iter().filter(|(crashed, _)| *crashed).count(),
        found.acknowledged,
        found.stored,
        found.effects,
        found.extra,
        found.causes
    ))
}

/// A store that forgets, and records that are not what happened: the oracle must see each of them.
fn canary(shim: &Shim) -> Result<&'static str, String> {
    let forgets = killed_within(shim, "memory")?;
    match forgets.judge() {
        Err(told) if told.contains("lost") => {}
        other => return Err(format!("a store in memory lost nothing: {other:?}")),
    }
    let fixture = killed_within(shim, STORE)?;
    let server = fixture.place.start();
    crate::checker::settled(&server)?;
    let (known, ledger) = (fixture.known.lock().unwrap(), fixture.ledger());
    examine(&server, &known, &ledger, 0)?;
    let seen = |what: &str, ledger: &[serde_json::Value]| match examine(&server, &known, ledger, 0)
    {
        Err(_) => Ok(()),
        Ok(_) => Err(format!("the oracle did not see {what}")),
    };
    seen("an effect that is missing", &[])?;
    let mut more = ledger.clone();
    more.push(ledger[0].clone());
    seen("an effect that nobody recorded", &more)?;
    let event = server.admin("GET", "/api/v1/events/evt_1", "").json();
    let mut runs = event["attempts"].as_array().ok_or("no attempts")?.clone();
    if runs.len() < 2 {
        return Err(format!("the kill interrupted nothing: {runs:?}"));
    }
    runs.iter_mut().for_each(|run| run["cause"] = serde_json::Value::Null);
    match explained("evt_1", &[1, 2], &runs) {
        Err(_) => Ok("a store in memory, and records without an effect or a cause, were seen"),
        Ok(_) => Err("the oracle did not see that a cause is missing".to_owned()),
    }
}

/// One event, and a kill while its step is at work.
fn killed_within(shim: &Shim, store: &str) -> Result<Fixture, String> {
    let fixture = Fixture::new(store, &step(shim));
    let mut process = Process::start(fixture.place.0.path(), &[], Duration::from_secs(20));
    let (addr, _) = process.ready.clone().ok_or("it does not start")?;
    fixture.send(&addr, "evt_1", Duration::from_secs(5))?;
    eventually("the step began", || !fixture.place.lines("begun.jsonl").is_empty());
    process.kill();
    match process.end(Duration::from_secs(5)) {
        (Ended::Killed, _) => Ok(fixture),
        (ended, log) => Err(format!("it ended with {ended:?}: {log}")),
    }
}
