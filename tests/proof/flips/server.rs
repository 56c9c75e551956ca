//! The same with the real server: it is killed in the middle of its work, its files are hit, and another
//! one goes on over them. Used by the suite `flips`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::RunOptions;
use crate::disk::mount::refused;
use crate::flips::fixture::Files;
use crate::flips::{choose, strike};
use crate::load::object;
use crate::sender::stripe;
use crate::server::{Place, Server};

const EVENTS: usize = 40;

const ROUTES: &str = "store: sqlite:a.db\nsources:\n  stripe: { secrets: [whsec_e2e_stripe] }\nroutes:\n  - name: r\n    events: stripe/**\n    retry: { attempts: 50, first_delay: 200ms, max_delay: 300ms }\n    chain:\n      - { handler: exec, with: { command: [sh, -c, 'test -e go || exit 75'] } }\n      - { handler: file, with: { path: done.jsonl } }\n";

#[derive(Debug, Default)]
struct Seen {
    refused: usize,
    ended: usize,
    ran: usize,
    signs: usize,
}

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let (files, bodies) = begun()?;
    let mut chance = fastrand::Rng::with_seed(options.seed);
    let runs = if options.short { 4 } else { (options.runs / 100).clamp(10, 200) };
    let mut seen = Seen::default();
    for n in 0..runs {
        let mut files = files.clone();
        let hit = choose(&mut chance, &files, true);
        strike(&mut files, hit);
        one(&files, &bodies, &mut seen).map_err(|e| format!("server {n}, {hit:?}: {e}"))?;
    }
    Ok(format!(
        "{runs} files under the real server: {} refused with words, {} ended with 70, {} worked off with {} damaged events shown as such",
        seen.refused, seen.ended, seen.ran, seen.signs
    ))
}

/// Files of a server that was killed while all of its work was open, and the bodies by their names.
fn begun() -> Result<(Files, HashMap<String, Value>), String> {
    let place = Place::new(ROUTES);
    let server = place.start();
    let mut bodies = HashMap::new();
    for n in 0..EVENTS {
        let id = format!("evt_{n}");
        let signed = stripe(&id, "payment_intent.succeeded", object(&id));
        if signed.post(&server.addr).status != 200 {
            return Err("it was not taken in".to_owned());
        }
        let body = serde_json::from_slice(&signed.body).map_err(|e| e.to_string())?;
        bodies.insert(id, body);
    }
    server.kill();
    Ok((Files::read(place.0.path())?, bodies))
}

fn one(files: &Files, bodies: &HashMap<String, Value>, seen: &mut Seen) -> Result<(), String> {
    let place = Place::new(ROUTES);
    place.write("go", "");
    files.write(place.0.path())?;
    let Ok(server) = Server::try_start(place.0.path(), &[]) else {
        let again = refused(place.0.path(), None)?;
        let words = again.words;
        if again.code != Some(70) || !words.contains("a.db") || words.contains("panicked") {
            return Err(format!("it was refused with {:?}: {words}", again.code));
        }
        seen.refused += 1;
        return Ok(());
    };
    let start = Instant::now();
    let stat = format!("/proc/{}/stat", server.pid());
    let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    let open = || runs() && server.admin("GET", "/api/v1/stats", "").json()["open"] != 0;
    while open() {
        if start.elapsed() > Duration::from_secs(20) {
            return Err(format!("it does not get on: {}", server.log()));
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    if server.log().contains("panicked") {
        return Err(server.log());
    }
    for line in place.lines("done.jsonl") {
        let known = line["eventId"].as_str().and_then(|id| bodies.get(id));
        if known != Some(&line["body"]) {
            return Err(format!("a handler got {line}"));
        }
    }
    if !runs() {
        seen.ended += 1;
        return match server.terminate() {
            Some(70) => Ok(()),
            code => Err(format!("it ended with {code:?}")),
        };
    }
    for event in server.events("") {
        let name = event["eventId"].as_str();
        if event["eventType"] == "(damaged)" || event["status"] == "dead" {
            seen.signs += 1;
        } else if name.is_none_or(|name| !bodies.contains_key(name)) {
            return Err(format!("it lists {event}"));
        }
    }
    seen.ran += 1;
    Ok(())
}
