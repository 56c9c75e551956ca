//! Suite `duplicates`: 64 senders send the same delivery at the same time, one dedupe key after the
//! other, to the real server and to an engine whose store rolls the first commit back.
//!
//! It proves that each key becomes one event, that all answers are 200 with the same bytes, and
//! that no answer comes before the event is in the store's file, which another connection reads.
//! The canary is a store that looks the key up outside the transaction.

mod in_process;

use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};

use rusqlite::{Connection, OpenFlags};

use crate::RunOptions;
use crate::duplicates::in_process::{StoreBehavior, send_to_engine};
use crate::sender::{Signed, paid};
use crate::server::ServerDir;

/// Senders of each key.
pub(crate) const SENDERS: usize = 64;

const ROUTES: &str = "store: sqlite:events.db\nsources:\n  stripe: { secrets: [whsec_e2e_stripe] }\nroutes:\n  - { name: r, events: stripe/**, chain: [noop] }\n";

/// The answer that one sender got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The event was in the store's file when the answer came.
    pub(crate) stored: bool,
}

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let keys = if options.short { 40 } else { options.runs.max(100) };
    let unsafe_lookup = send_to_engine(StoreBehavior::lookup_outside_transaction(), 3)?;
    let Err(canary) = check(&unsafe_lookup, 0) else {
        return Err("the canary, a look-up outside the transaction, was not found".to_owned());
    };
    let rolled_back = send_to_engine(StoreBehavior::first_rolled_back(), (keys / 4).max(10))?;
    check(&rolled_back, 1).map_err(|e| format!("with the first commit rolled back: {e}"))?;
    let mut sent_keys = 0;
    let mut rounds = 0;
    while if options.until.is_some() { options.wants_another(rounds) } else { rounds == 0 } {
        let results = send_to_server(options.seed.wrapping_add(rounds as u64), keys)?;
        check(&results, 0)?;
        sent_keys += results.len();
        rounds += 1;
    }
    Ok(format!(
        "{sent_keys} keys, {SENDERS} senders each: {} answers, all 200 and the same for a key, none before its event was in the file, one event each; {} keys whose first commit was rolled back: one 503 each, one event each; canary: {canary}",
        sent_keys * SENDERS,
        rolled_back.len()
    ))
}

/// A key, its answers, and the number of stored events that have it.
pub(crate) type KeyResult = (String, Vec<Answered>, usize);

/// Checks that each key has one event, that this number of its senders got 503, and that all others
/// got the same 200.
fn check(results: &[KeyResult], unavailable: usize) -> Result<(), String> {
    for (key, answers, events) in results {
        if *events != 1 {
            return Err(format!("{key} is stored {events} times, expected once"));
        }
        let (acknowledged, others): (Vec<_>, Vec<_>) =
            answers.iter().partition(|a| a.status == 200);
        if others.len() != unavailable || others.iter().any(|a| a.status != 503) {
            return Err(format!(
                "{key}: expected {unavailable} answers with 503 besides 200, got {others:?}"
            ));
        }
        if let Some(other) = acknowledged.iter().find(|a| a.body != acknowledged[0].body) {
            let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
            let (one, other) = (text(&acknowledged[0].body), text(&other.body));
            return Err(format!("{key} got the different answers {one} and {other}"));
        }
        if let Some(early) = acknowledged.iter().find(|a| !a.stored) {
            return Err(format!("{key} was acknowledged before it was in the file: {early:?}"));
        }
    }
    Ok(())
}

/// Sends to the real server. Whether an event is in the file is read from the file, by another
/// process than the one that writes it.
fn send_to_server(seed: u64, keys: usize) -> Result<Vec<KeyResult>, String> {
    let place = ServerDir::new(ROUTES);
    let server = place.start();
    let requests: Arc<Vec<(String, Signed)>> = Arc::new(
        (0..keys)
            .map(|n| {
                let id = format!("evt_{seed}_{n}");
                let signed = paid(&id);
                (id, signed)
            })
            .collect(),
    );
    let answers: Arc<Vec<Mutex<Vec<Answered>>>> =
        Arc::new((0..keys).map(|_| Mutex::default()).collect());
    let barrier = Arc::new(Barrier::new(SENDERS));
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (requests, answers, barrier) = (requests.clone(), answers.clone(), barrier.clone());
            let (addr, path) = (server.addr.clone(), place.path("events.db"));
            std::thread::spawn(move || {
                let file = open_read_only(&path);
                for ((id, signed), answers) in requests.iter().zip(answers.iter()) {
                    barrier.wait();
                    let answer = signed.try_post(&addr).unwrap();
                    let stored = count_events(&file, id) > 0;
                    let answered = Answered { status: answer.status, body: answer.body, stored };
                    answers.lock().unwrap().push(answered);
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().map_err(|_| "a sender got no answer")?;
    }
    let file = open_read_only(&place.path("events.db"));
    let results = requests.iter().zip(answers.iter()).map(|((id, _), answers)| {
        (id.clone(), answers.lock().unwrap().clone(), count_events(&file, id))
    });
    let results = results.collect();
    server.kill();
    Ok(results)
}

/// Opens a store's file read-only, as another process than the store.
pub(crate) fn open_read_only(path: &Path) -> Connection {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    conn
}

/// Returns the number of events with this id of the sender. Without an index, so only for small
/// stores.
pub(crate) fn count_events(file: &Connection, id: &str) -> usize {
    file.prepare_cached("select count(*) from events where event_id = ?1")
        .and_then(|mut count| count.query_row([id], |row| row.get::<_, i64>(0)))
        .map(|n| usize::try_from(n).unwrap_or(0))
        .unwrap()
}
