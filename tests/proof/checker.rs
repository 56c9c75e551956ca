//! The oracles: what must hold after every recovery, looked at from outside, through the admin port
//! and the sink.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::{Known, object};
use crate::server::Server;

/// What was counted while judging.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) stored: usize,
    pub(crate) lost: usize,
    pub(crate) second_runs: usize,
}

/// Every stored event: the provider's id, and ours.
pub(crate) fn stored(server: &Server) -> Result<HashMap<String, String>, String> {
    let mut all = HashMap::new();
    let mut cursor = String::new();
    loop {
        let target = format!("/api/v1/events?limit=500&cursor={cursor}");
        let page = server.admin("GET", &target, "").json();
        for event in page["events"].as_array().ok_or("no list of events")? {
            let name = event["eventId"].as_str().ok_or("an event without an id")?.to_owned();
            let id = event["id"].as_str().ok_or("an event without our id")?.to_owned();
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

/// Waits until all work is done, then judges: nothing acknowledged is lost, nothing is there that was
/// not sent, each event is there once, has had its effect, and each further effect has its cause on
/// record; stored bytes are those that were sent.
pub(crate) fn judge(
    server: &Server,
    known: &Known,
    effects: &HashMap<String, usize>,
) -> Result<Found, String> {
    let stored = stored(server)?;
    let lost = known.acknowledged.iter().filter(|id| !stored.contains_key(*id)).count();
    let sent = |id: &String| known.acknowledged.contains(id) || known.unknown.contains(id);
    if let Some(stranger) = stored.keys().find(|id| !sent(id)) {
        return Err(format!("{stranger} is stored and was never sent"));
    }
    let mut found = Found { stored: stored.len(), lost, second_runs: 0 };
    for (n, (name, id)) in stored.iter().enumerate() {
        let count = effects.get(id).copied().unwrap_or(0);
        if count == 0 {
            return Err(format!("{name} is done and had no effect"));
        }
        found.second_runs += count - 1;
        // All that ran more than once, and a sample of the rest.
        if count > 1 || n % 97 == 0 {
            one(server, name, id, count)?;
        }
    }
    Ok(found)
}

fn one(server: &Server, name: &str, id: &str, effects: usize) -> Result<(), String> {
    let event = server.admin("GET", &format!("/api/v1/events/{id}"), "").json();
    let attempts = event["attempts"].as_array().ok_or("no attempts")?;
    let caused = |a: &&Value| a["cause"].is_string() || a["outcome"] == "crash";
    let causes = attempts.iter().filter(caused).count();
    if effects > 1 && causes < effects - 1 {
        return Err(format!(
            "{name} had {effects} effects and {causes} recorded causes: {attempts:?}"
        ));
    }
    let body: Value = serde_json::from_str(event["body"].as_str().unwrap_or_default())
        .map_err(|e| format!("{name}: {e}"))?;
    if body["data"]["object"] != object(name) {
        return Err(format!("{name} is stored with other bytes"));
    }
    Ok(())
}

/// Until nothing waits or runs.
pub(crate) fn settled(server: &Server) -> Result<(), String> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(120) {
        let page = server.admin("GET", "/api/v1/stats", "").json();
        if page["open"] == 0 {
            let dead = page["dead"].as_u64().unwrap_or(1);
            return if dead == 0 { Ok(()) } else { Err(format!("{dead} jobs died")) };
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("work was not done within two minutes".to_owned())
}
