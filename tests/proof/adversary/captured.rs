//! One captured request of a sender that signs neither type nor id of its events. Whoever has it
//! sends it again with invented types and ids, and claims the ids of events that are still to come.

use std::time::{Duration, Instant};

use super::{count_events, start_limited};
use crate::sender::{Signed, push};
use crate::server::ServerDir;

/// Types and ids that are invented at most.
const MAX_INVENTED: usize = 200;
/// Events that one signed body may become: the genuine one, and one for each of eight other types.
const MAX_EVENTS_PER_BODY: usize = 9;

/// Attacks the real server, and a server that takes ids as they come, whose weakness must be seen.
pub(crate) fn run(duration: Duration) -> Result<String, String> {
    let finding = attack("", duration)?;
    let canary = attack(", dedupe: id", duration);
    match canary {
        Ok(_) => Err("invented ids: the canary, `dedupe: id`, was not found".to_owned()),
        Err(_) => Ok(finding),
    }
}

/// Sends the captured request with invented words; `options` are further keys of the source.
fn attack(options: &str, duration: Duration) -> Result<String, String> {
    let place = ServerDir::new(&format!(
        "store: sqlite:events.db\nsources:\n  github: {{ secrets: [\"e2e-github\"]{options} }}\nroutes: []\n"
    ));
    let server = start_limited(&place)?;
    let captured = push("d0c0ffee-0000", br#"{"action":"opened","number":1}"#);
    if captured.try_post(&server.addr).map_err(|e| e.to_string())?.status != 200 {
        return Err("the captured request itself was not accepted".to_owned());
    }
    let until = Instant::now() + duration;
    let mut invented = 0;
    while invented < MAX_INVENTED && Instant::now() < until {
        let other_type = captured.clone().with("x-github-event", &format!("invented_{invented}"));
        let other_id = |request: &Signed| {
            request.clone().with("x-github-delivery", &format!("claimed-{invented}"))
        };
        for request in [other_id(&other_type), other_id(&captured), other_type] {
            request.try_post(&server.addr).map_err(|e| e.to_string())?;
        }
        invented += 1;
    }
    let stored = count_events(&server, "source=github")?;
    if stored > MAX_EVENTS_PER_BODY {
        return Err(format!(
            "{invented} invented types and ids made {stored} events of one signed body"
        ));
    }
    // The real events with the claimed ids.
    let mut accepted = 0;
    for n in 0..invented.min(20) {
        let body = format!(r#"{{"action":"closed","number":{n}}}"#);
        let answer = push(&format!("claimed-{n}"), body.as_bytes()).try_post(&server.addr);
        accepted += usize::from(answer.map_err(|e| e.to_string())?.status == 200);
    }
    let new = count_events(&server, "source=github")? - stored;
    if new < accepted {
        return Err(format!("{accepted} events with claimed ids were accepted, {new} are stored"));
    }
    Ok(format!(
        "invented types and ids: {invented} each, {stored} events of one body; {new} of {accepted} events with claimed ids stored"
    ))
}
