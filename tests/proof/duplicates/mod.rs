//! Sixty-four senders with the same delivery at the same moment, key after key: one event each, every
//! answer 2xx with the same bytes, and none before the event is in the file. Over the real server, and
//! over an engine whose store rolls the winner back.

mod in_process;

use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};

use rusqlite::{Connection, OpenFlags};

use crate::RunOptions;
use crate::duplicates::in_process::{Checks, Rolls, Storing, over};
use crate::sender::{Signed, paid};
use crate::server::Place;

/// At the same moment.
const SENDERS: usize = 64;

const ROUTES: &str = "store: sqlite:events.db\nsources:\n  stripe: { secrets: [whsec_e2e_stripe] }\nroutes:\n  - { name: r, events: stripe/**, chain: [noop] }\n";

/// What one sender heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// When it heard it, the event was in the file for others to see.
    pub(crate) stored: bool,
}

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let keys = if options.short { 40 } else { options.runs.max(100) };
    let twice = over(Storing::Checks(Checks::default()), 3)?;
    let Err(canary) = judge(&twice, 0) else {
        return Err("the canary, a store that looks first and inserts later, passed".to_owned());
    };
    let rolled = over(Storing::Rolls(Rolls::default()), (keys / 4).max(10))?;
    judge(&rolled, 1).map_err(|e| format!("with the winner rolled back: {e}"))?;
    let mut asked = 0;
    let mut rounds = 0;
    while if options.until.is_some() { options.wants_another(rounds) } else { rounds == 0 } {
        let all = server(options.seed.wrapping_add(rounds as u64), keys)?;
        judge(&all, 0)?;
        asked += all.len();
        rounds += 1;
    }
    Ok(format!(
        "{asked} keys, {SENDERS} senders each: {} answers, all 200 and the same for a key, none before its event was in the file, one event each; {} keys whose winner was rolled back: one 503 each, one event each; canary: {canary}",
        asked * SENDERS,
        rolled.len()
    ))
}

/// One key: what was heard, and how many events there are of it.
pub(crate) type One = (String, Vec<Heard>, usize);

/// `refused` senders of each key were sent away; all others got the same 200, and there is one event.
fn judge(all: &[One], refused: usize) -> Result<(), String> {
    for (key, heard, events) in all {
        if *events != 1 {
            return Err(format!("{key} is stored {events} times"));
        }
        let (taken, sent_away): (Vec<_>, Vec<_>) = heard.iter().partition(|h| h.status == 200);
        if sent_away.len() != refused || sent_away.iter().any(|h| h.status != 503) {
            return Err(format!("{key}: {} were sent away: {sent_away:?}", sent_away.len()));
        }
        if let Some(other) = taken.iter().find(|h| h.body != taken[0].body) {
            let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
            let (one, other) = (text(&taken[0].body), text(&other.body));
            return Err(format!("{key} was answered with {one} and with {other}"));
        }
        if let Some(early) = taken.iter().find(|h| !h.stored) {
            return Err(format!("{key} was acknowledged before it was in the file: {early:?}"));
        }
    }
    Ok(())
}

/// Over the real server. Whether an event is in the file is asked of the file, by another process than
/// the one that writes it.
fn server(seed: u64, keys: usize) -> Result<Vec<One>, String> {
    let place = Place::new(ROUTES);
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
    let heard: Arc<Vec<Mutex<Vec<Heard>>>> =
        Arc::new((0..keys).map(|_| Mutex::default()).collect());
    let at_once = Arc::new(Barrier::new(SENDERS));
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (requests, heard, at_once) = (requests.clone(), heard.clone(), at_once.clone());
            let (addr, path) = (server.addr.clone(), place.path("events.db"));
            std::thread::spawn(move || {
                let file = open_read_only(&path);
                for ((id, signed), heard) in requests.iter().zip(heard.iter()) {
                    at_once.wait();
                    let answer = signed.try_post(&addr).unwrap();
                    let stored = count(&file, id) > 0;
                    let one = Heard { status: answer.status, body: answer.body, stored };
                    heard.lock().unwrap().push(one);
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().map_err(|_| "a sender had no answer")?;
    }
    let file = open_read_only(&place.path("events.db"));
    let all = requests
        .iter()
        .zip(heard.iter())
        .map(|((id, _), heard)| (id.clone(), heard.lock().unwrap().clone(), count(&file, id)));
    let all = all.collect();
    server.kill();
    Ok(all)
}

/// The file, to be read alone.
pub(crate) fn open_read_only(path: &Path) -> Connection {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    conn.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    conn
}

/// Events with this id of the sender. Of a thousand events: there is no index for others.
pub(crate) fn count(file: &Connection, id: &str) -> usize {
    file.prepare_cached("select count(*) from events where event_id = ?1")
        .and_then(|mut count| count.query_row([id], |row| row.get::<_, i64>(0)))
        .map(|n| usize::try_from(n).unwrap_or(0))
        .unwrap()
}
