//! Bits that flip and files that end early, in the database and its log: it is found out, or does no
//! harm. No panic, no other bytes to a handler, to a sender or to whoever looks, and nothing gone without
//! a sign, except the end of a log.

mod fixture;
mod server;
mod trial;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::RunOptions;
use crate::flips::fixture::{Files, Known, make};
use crate::flips::trial::{Hit, Verdict, trial};

static PANICS: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {
        PANICS.fetch_add(1, Ordering::Relaxed);
    }));
    let told = runtime.block_on(suite(options));
    std::panic::set_hook(before);
    let served = server::run(options)?;
    Ok(format!("{}; {served}", told?))
}

async fn suite(options: &RunOptions) -> Result<String, String> {
    let known = make().await?;
    let canary = canary(&known).await?;
    let runs = if options.short { 300 } else { options.runs };
    let mut chance = fastrand::Rng::with_seed(options.seed);
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    let mut done = 0;
    while match options.until {
        Some(_) => options.wants_another(done),
        None => done < runs,
    } {
        let (mut files, killed) = match done % 3 {
            0 => (known.clean.clone(), false),
            _ => (known.killed.clone(), true),
        };
        let hit = choose(&mut chance, &files, killed);
        strike(&mut files, hit);
        let verdict = try_one(&known, &files, hit).await;
        let verdict = verdict.map_err(|e| format!("trial {done}, {hit:?}: {e}"))?;
        *counts.entry(verdict).or_default() += 1;
        done += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(verdict, n)| format!("{n} {verdict:?}")).collect();
    Ok(format!(
        "{done} files, 0 panics, 0 with other bytes, 0 with events gone without a sign: {}; canary: {canary}",
        counts.join(", ").to_lowercase()
    ))
}

async fn try_one(known: &Known, files: &Files, hit: Hit) -> Result<Verdict, String> {
    let folder = memory()?;
    files.write(folder.path())?;
    let panics = PANICS.load(Ordering::Relaxed);
    let verdict = trial(known, folder.path(), hit).await;
    match PANICS.load(Ordering::Relaxed) - panics {
        0 => verdict,
        n => Err(format!("{n} panics, and {verdict:?}")),
    }
}

/// Nothing here asks what is durable, so syncs need not cost anything.
fn memory() -> Result<tempfile::TempDir, String> {
    let made = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    made.map_err(|e| e.to_string())
}

/// Four of five are flipped bits.
pub(crate) fn choose(chance: &mut fastrand::Rng, files: &Files, killed: bool) -> Hit {
    let log = killed && !files.log.is_empty() && chance.bool();
    let length = if log { files.log.len() } else { files.db.len() };
    match chance.u8(0..5) {
        0 => Hit::Cut { log, length: chance.usize(0..length) },
        _ => Hit::Bit { log, byte: chance.usize(0..length), bit: chance.u8(0..8) },
    }
}

pub(crate) fn strike(files: &mut Files, hit: Hit) {
    match hit {
        Hit::Bit { log, byte, bit } => {
            let bytes = if log { &mut files.log } else { &mut files.db };
            bytes[byte] ^= 1 << bit;
        }
        Hit::Cut { log, length } => {
            let bytes = if log { &mut files.log } else { &mut files.db };
            bytes.truncate(length);
        }
    }
}

/// A store that keeps no checksums, hit in the bodies: the same judge must find other bytes. How often
/// it does, and what it finds the first time.
async fn canary(known: &Known) -> Result<String, String> {
    let files = without_sums(&known.clean)?;
    let body = b"the body of this event";
    let places: Vec<_> = files
        .db
        .windows(body.len())
        .enumerate()
        .filter(|(_, w)| w == body)
        .map(|(at, _)| at)
        .collect();
    let (mut found, mut tried) = (Vec::new(), 0);
    for at in places.iter().step_by((places.len() / 10).max(1)) {
        let (mut files, hit) = (files.clone(), Hit::Bit { log: false, byte: at + 4, bit: 0 });
        strike(&mut files, hit);
        found.extend(try_one(known, &files, hit).await.err());
        tried += 1;
    }
    match found.first() {
        Some(first) => Ok(format!("{} of {tried} found, as \"{first}\"", found.len())),
        None => Err(format!("the canary, {tried} stores without checksums, passed")),
    }
}

fn without_sums(files: &Files) -> Result<Files, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    files.write(folder.path())?;
    let path: &Path = &folder.path().join("a.db");
    let conn = rusqlite::Connection::open(path).map_err(|e| e.to_string())?;
    conn.execute_batch(
        "update deliveries set body_sum = null, answer_sum = null; update events set sum = null;
         update jobs set sum = null; pragma wal_checkpoint(truncate)",
    )
    .map_err(|e| e.to_string())?;
    drop(conn);
    Files::read(folder.path())
}
