//! The oracle of the suites that kill the real server: after a recovery it reads everything that is
//! stored through the admin port, and compares it with what was sent and with the effects that the
//! handlers had.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::causes::check_effects;
use crate::effect_sink::Effects;
use crate::load::{SentEvents, object};
use crate::server::Server;

/// All jobs must be done within this time after a start.
const WORK_TIMEOUT: Duration = Duration::from_secs(120);

/// Counts of one check.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Findings {
    pub(crate) stored: usize,
    pub(crate) lost: usize,
    /// Effects of an event beyond its first.
    pub(crate) further_runs: usize,
    /// Events that were sent again after a restart and had the first answer.
    pub(crate) repetitions: usize,
}

/// Returns all stored events: the provider's event id, and Hookward's id for it.
pub(crate) fn stored_events(server: &Server) -> Result<HashMap<String, String>, String> {
    let mut all = HashMap::new();
    let mut cursor = String::new();
    loop {
        let target = format!("/api/v1/events?limit=500&cursor={cursor}");
        let page = server.admin("GET", &target, "").json();
        for event in page["events"].as_array().ok_or("a page without a list of events")? {
            let name = event["eventId"].as_str().ok_or("an event without `eventId`")?.to_owned();
            let id = event["id"].as_str().ok_or("an event without `id`")?.to_owned();
            if let Some(other) = all.insert(name.clone(), id) {
                return Err(format!("{name} is stored twice, also as {other}"));
            }
        }
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return Ok(all),
        }
    }
}

/// Checks a server without open jobs: nothing is stored that was not sent, each event is stored
/// once with the bytes that were sent and had its effect, and each effect belongs to a recorded run
/// that is the first or has its own cause. Lost events are counted, because the canaries lose some.
pub(crate) fn check(
    server: &Server,
    sent: &SentEvents,
    effects: &Effects,
) -> Result<Findings, String> {
    let stored = stored_events(server)?;
    let lost = sent.acknowledged.iter().filter(|id| !stored.contains_key(*id)).count();
    if let Some(unsent) = stored.keys().find(|id| !sent.contains(id)) {
        return Err(format!("{unsent} is stored and was never sent"));
    }
    let mut findings = Findings { stored: stored.len(), lost, ..Findings::default() };
    for (n, (name, id)) in stored.iter().enumerate() {
        let effects = effects.get(id).map_or(&[][..], Vec::as_slice);
        if effects.is_empty() {
            return Err(format!("{name} is done and had no effect"));
        }
        findings.further_runs += effects.len() - 1;
        // All events that ran more than once, and a sample of the others: each costs a request.
        if effects.len() > 1 || n % 97 == 0 {
            check_event(server, name, id, effects)?;
        }
    }
    Ok(findings)
}

fn check_event(server: &Server, name: &str, id: &str, effects: &[u64]) -> Result<(), String> {
    let event = server.admin("GET", &format!("/api/v1/events/{id}"), "").json();
    let attempts = event["attempts"].as_array().ok_or("an event without `attempts`")?;
    check_effects(name, effects, attempts)?;
    let body: Value = serde_json::from_str(event["body"].as_str().unwrap_or_default())
        .map_err(|e| format!("{name}: {e}"))?;
    if body["data"]["object"] != object(name) {
        return Err(format!("{name} is stored with other bytes"));
    }
    Ok(())
}

/// Waits until no job is open. Dead jobs are an error.
pub(crate) fn wait_until_settled(server: &Server) -> Result<(), String> {
    let start = Instant::now();
    while start.elapsed() < WORK_TIMEOUT {
        let page = server.admin("GET", "/api/v1/stats", "").json();
        if page["open"] == 0 {
            let dead = page["dead"].as_u64().unwrap_or(1);
            return if dead == 0 { Ok(()) } else { Err(format!("{dead} jobs are dead")) };
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("jobs are still open after {WORK_TIMEOUT:?}"))
}
