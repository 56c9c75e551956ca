//! Suite `kill`: `kill -9` under load, again and again over one store. The page cache survives a
//! kill, so this proves that commits come before answers, that recovery works, and that work
//! continues after it. After each restart, events from before the kill are sent again: the answer must
//! be the first one, byte for byte, and they are stored once. The oracle is [`crate::checker`], the canaries are a store in memory, which
//! loses events, and records that do not explain all effects,
//! and a store that forgets its dedupe keys at a restart.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::RunOptions;
use crate::checker::{Findings, check, wait_until_settled};
use crate::effect_sink::EffectSink;
use crate::load::{Load, SentEvents, event};
use crate::server::{Server, ServerDir, eventually};

/// Kills between two checks of all events.
const KILLS_PER_CHECK: usize = 25;
/// Events of each kind that are sent again after a kill.
const REPETITIONS: usize = 4;
/// Threads that send events.
const SENDERS: usize = 16;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    crate::causes::check_canaries()?;
    let canary =
        kill_repeatedly("memory", &RunOptions { runs: 2, until: None, ..options.clone() })?;
    if canary.1.lost == 0 {
        return Err("the canary, a store in memory, lost nothing".to_owned());
    }
    check_forgotten_keys()?;
    let (kills, findings, acknowledged) = kill_repeatedly("sqlite:events.db", options)?;
    if findings.lost > 0 {
        return Err(format!(
            "{} of {acknowledged} acknowledged events lost in {kills} kills",
            findings.lost
        ));
    }
    Ok(format!(
        "{kills} kills, {acknowledged} acknowledged, {} stored, 0 lost, {} further runs, each with its cause, {} repetitions answered as the first time; canary lost {}",
        findings.stored, findings.further_runs, findings.repetitions, canary.1.lost
    ))
}

/// Returns a configuration whose one route has an effect in the sink.
pub(crate) fn routes_yaml(store: &str, sink: &EffectSink) -> String {
    format!(
        "store: {store}\ndefaults: {{ retry: {{ attempts: 50, first_delay: 100ms, max_delay: 1s }} }}\nsources:\n  stripe: {{ secrets: [whsec_e2e_stripe] }}\nroutes:\n  - name: effect\n    events: stripe/**\n    concurrency: 8\n    chain: [{{ handler: http_forward, with: {{ url: \"http://127.0.0.1:{}/\", allow_private: true }} }}]\n",
        sink.port
    )
}

/// Returns the number of kills, what the last check found, and the number of acknowledged events.
fn kill_repeatedly(store: &str, options: &RunOptions) -> Result<(usize, Findings, usize), String> {
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let sink = EffectSink::start();
    let place = ServerDir::new(&routes_yaml(store, &sink));
    let sent = Arc::new(Mutex::new(SentEvents::default()));
    let (mut kills, mut findings, mut repetitions) = (0, Findings::default(), 0);
    let durable = store != "memory";
    while options.wants_another(kills) {
        for _ in 0..KILLS_PER_CHECK.min(options.runs) {
            if !options.wants_another(kills) {
                break;
            }
            let server = place.start();
            if durable {
                repetitions += send_again(&server, &sent, &mut rng)?;
            }
            let load = Load::start(&server.addr, SENDERS, kills, &sent);
            std::thread::sleep(Duration::from_millis(rng.u64(20..160)));
            server.kill();
            load.stop();
            kills += 1;
        }
        let server = place.start();
        if durable {
            repetitions += send_again(&server, &sent, &mut rng)?;
        }
        wait_until_settled(&server)?;
        findings = check(&server, &sent.lock().unwrap(), &sink.effects())?;
        findings.repetitions = repetitions;
        server.kill();
        if findings.lost > 0 {
            break;
        }
    }
    let acknowledged = sent.lock().unwrap().acknowledged.len();
    Ok((kills, findings, acknowledged))
}

/// Sends events from before a restart again: some that were acknowledged, and some without an
/// answer. Returns the number of repetitions that had the bytes of the first answer.
fn send_again(
    server: &Server,
    sent: &Mutex<SentEvents>,
    rng: &mut fastrand::Rng,
) -> Result<usize, String> {
    let (answered, unanswered) = {
        let sent = sent.lock().unwrap();
        (
            rng.choose_multiple(sent.answers.iter(), REPETITIONS)
                .into_iter()
                .map(|(id, answer)| (id.clone(), answer.clone()))
                .collect::<Vec<_>>(),
            rng.choose_multiple(sent.unanswered.iter(), REPETITIONS)
                .into_iter()
                .cloned()
                .collect::<Vec<_>>(),
        )
    };
    let post = |id: &str| match event(id).try_post(&server.addr) {
        Ok(answer) if answer.status == 200 => Ok(answer.body),
        Ok(answer) => Err(format!("{id}, sent again: {} {}", answer.status, answer.text())),
        Err(e) => Err(format!("{id}, sent again: {e}")),
    };
    for (id, first) in &answered {
        let again = post(id)?;
        if again != *first {
            let text = String::from_utf8_lossy;
            return Err(format!(
                "{id}, sent again after a restart, was answered {}, and {} the first time",
                text(&again),
                text(first)
            ));
        }
    }
    for id in unanswered {
        let answer = post(&id)?;
        sent.lock().unwrap().acknowledge(id, answer);
    }
    Ok(answered.len())
}

/// Checks that a store that forgets its dedupe keys at a restart is found.
fn check_forgotten_keys() -> Result<(), String> {
    let sink = EffectSink::start();
    let place = ServerDir::new(&routes_yaml("sqlite:events.db", &sink));
    let sent = Arc::new(Mutex::new(SentEvents::default()));
    let server = place.start();
    let load = Load::start(&server.addr, 4, 0, &sent);
    eventually("events are acknowledged", || sent.lock().unwrap().acknowledged.len() > REPETITIONS);
    server.kill();
    load.stop();
    let mut rng = fastrand::Rng::with_seed(1);
    // The same store finds the repetitions before it forgets its keys.
    let server = place.start();
    send_again(&server, &sent, &mut rng)?;
    server.kill();
    forget_keys(&place.path("events.db")).map_err(|e| format!("the keys are not deleted: {e}"))?;
    let server = place.start();
    match send_again(&server, &sent, &mut rng) {
        Err(found) if found.contains("sent again after a restart") => Ok(()),
        other => Err(format!("the canary, forgotten dedupe keys, was not found: {other:?}")),
    }
}

/// Deletes the dedupe keys of a store. Keys of the newest events are only in the rows of the events
/// and are read from there at start, so the store also has to count them as flushed.
fn forget_keys(database: &Path) -> rusqlite::Result<()> {
    let conn = rusqlite::Connection::open(database)?;
    let newest: i64 = conn.query_row("select max(seq) from events", [], |row| row.get(0))?;
    // The checksum of the row: kind, length and bytes of each value.
    let mut row = Vec::new();
    for (kind, bytes) in [(3, &b"keys_flushed_to"[..]), (1, &newest.to_le_bytes())] {
        row.push(kind);
        row.extend((bytes.len() as u64).to_le_bytes());
        row.extend(bytes);
    }
    conn.execute("delete from keys", [])?;
    let changed = conn.execute(
        "update meta set value = ?1, sum = ?2 where name = 'keys_flushed_to'",
        [newest, i64::from(crc32(&row).cast_signed())],
    )?;
    assert_eq!(changed, 1, "the store has a counter of flushed keys");
    Ok(())
}

/// CRC-32 as in zlib.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(sum & 1))
        })
    })
}
