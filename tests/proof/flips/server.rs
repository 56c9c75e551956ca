//! Trials with the real server: it is killed while all of its jobs are open, its files are damaged,
//! and a new server continues over them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::RunOptions;
use crate::failed_start::start_failing;
use crate::flips::draw_damage;
use crate::flips::fixture::Files;
use crate::load::object;
use crate::sender::stripe;
use crate::server::{Server, ServerDir};

/// Events of the killed server.
const EVENTS: usize = 40;
/// Servers of the short form.
const SHORT_FORM_SERVERS: usize = 4;

const ROUTES: &str = "store: sqlite:a.db\nsources:\n  stripe: { secrets: [whsec_e2e_stripe] }\nroutes:\n  - name: r\n    events: stripe/**\n    retry: { attempts: 50, first_delay: 200ms, max_delay: 300ms }\n    chain:\n      - { handler: exec, with: { command: [sh, -c, 'test -e go || exit 75'] } }\n      - { handler: file, with: { path: done.jsonl } }\n";

/// Counts of all trials.
#[derive(Debug, Default)]
struct Tally {
    failed_starts: usize,
    exits_with_70: usize,
    completed: usize,
    damage_reports: usize,
}

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let (files, bodies) = files_after_kill()?;
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let runs = if options.short { SHORT_FORM_SERVERS } else { (options.runs / 100).clamp(10, 200) };
    let mut tally = Tally::default();
    for n in 0..runs {
        let mut files = files.clone();
        let damage = draw_damage(&mut rng, &files, true);
        damage.apply(&mut files);
        run_trial(&files, &bodies, &mut tally)
            .map_err(|e| format!("server {n}, {damage:?}: {e}"))?;
    }
    Ok(format!(
        "{runs} files under the real server: {} not opened with a message, {} exits with 70, {} completed with {} events reported as damaged",
        tally.failed_starts, tally.exits_with_70, tally.completed, tally.damage_reports
    ))
}

/// Returns the files of a server that was killed while all jobs were open, and the bodies by event
/// id.
fn files_after_kill() -> Result<(Files, HashMap<String, Value>), String> {
    let place = ServerDir::new(ROUTES);
    let server = place.start();
    let mut bodies = HashMap::new();
    for n in 0..EVENTS {
        let id = format!("evt_{n}");
        let signed = stripe(&id, "payment_intent.succeeded", object(&id));
        if signed.post(&server.addr).status != 200 {
            return Err("an event was not acknowledged".to_owned());
        }
        let body = serde_json::from_slice(&signed.body).map_err(|e| e.to_string())?;
        bodies.insert(id, body);
    }
    server.kill();
    Ok((Files::read(place.0.path())?, bodies))
}

fn run_trial(
    files: &Files,
    bodies: &HashMap<String, Value>,
    tally: &mut Tally,
) -> Result<(), String> {
    let place = ServerDir::new(ROUTES);
    place.write("go", "");
    files.write(place.0.path())?;
    let Ok(server) = Server::try_start(place.0.path(), &[]) else {
        let failed = start_failing(place.0.path(), None)?;
        let message = failed.message;
        if failed.code != Some(70) || !message.contains("a.db") || message.contains("panicked") {
            return Err(format!(
                "the start failed with {:?}, expected 70 and the file's name: {message}",
                failed.code
            ));
        }
        tally.failed_starts += 1;
        return Ok(());
    };
    let start = Instant::now();
    let stat = format!("/proc/{}/stat", server.pid());
    let is_running = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    let has_open_jobs =
        || is_running() && server.admin("GET", "/api/v1/stats", "").json()["open"] != 0;
    while has_open_jobs() {
        if start.elapsed() > Duration::from_secs(20) {
            return Err(format!("jobs are still open after 20 s: {}", server.log()));
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    if server.log().contains("panicked") {
        return Err(server.log());
    }
    for line in place.lines("done.jsonl") {
        let sent = line["eventId"].as_str().and_then(|id| bodies.get(id));
        if sent != Some(&line["body"]) {
            return Err(format!("a handler got wrong bytes: {line}"));
        }
    }
    if !is_running() {
        tally.exits_with_70 += 1;
        return match server.terminate() {
            Some(70) => Ok(()),
            code => Err(format!("the server ended with {code:?}, expected 70")),
        };
    }
    for event in server.events("") {
        let name = event["eventId"].as_str();
        if event["eventType"] == "(damaged)" || event["status"] == "dead" {
            tally.damage_reports += 1;
        } else if name.is_none_or(|name| !bodies.contains_key(name)) {
            return Err(format!("an event is listed that was not sent: {event}"));
        }
    }
    tally.completed += 1;
    Ok(())
}
