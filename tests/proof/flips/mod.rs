//! Suite `flips`: one flipped bit or one truncation in the database or its write-ahead log, a file
//! at a time, under the store in this process and under the real server.
//!
//! It proves that damage is detected or harmless: no panic, no wrong bytes for a handler, a sender
//! or a reader, and no event missing without a report, except at the end of the log. The oracle is
//! [`trial`], which compares all that the store returns with the [`fixture`]. The canary is a store
//! without checksums.

mod fixture;
mod server;
mod trial;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::RunOptions;
use crate::flips::fixture::{Files, Fixture};
use crate::flips::trial::{Damage, Verdict, run_trial};

/// Trials of the short form.
const SHORT_FORM_TRIALS: usize = 300;

/// Panics of any thread, the store's included.
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
    let trials = runtime.block_on(run_trials(options));
    std::panic::set_hook(before);
    let servers = server::run(options)?;
    Ok(format!("{}; {servers}", trials?))
}

async fn run_trials(options: &RunOptions) -> Result<String, String> {
    let fixture = Fixture::make().await?;
    let canary = check_canary(&fixture).await?;
    let runs = if options.short { SHORT_FORM_TRIALS } else { options.runs };
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    let mut done = 0;
    while match options.until {
        Some(_) => options.wants_another(done),
        None => done < runs,
    } {
        let (mut files, after_kill) = match done % 3 {
            0 => (fixture.closed.clone(), false),
            _ => (fixture.killed.clone(), true),
        };
        let damage = draw_damage(&mut rng, &files, after_kill);
        damage.apply(&mut files);
        let verdict = run_trial_counting_panics(&fixture, &files, damage).await;
        let verdict = verdict.map_err(|e| format!("trial {done}, {damage:?}: {e}"))?;
        *counts.entry(verdict).or_default() += 1;
        done += 1;
    }
    let counts: Vec<_> =
        counts.iter().map(|(verdict, n)| format!("{n} {}", verdict.label())).collect();
    Ok(format!(
        "{done} files, 0 panics, 0 with wrong bytes, 0 with events missing without a report: {}; canary: {canary}",
        counts.join(", ")
    ))
}

async fn run_trial_counting_panics(
    fixture: &Fixture,
    files: &Files,
    damage: Damage,
) -> Result<Verdict, String> {
    let folder = memory_folder()?;
    files.write(folder.path())?;
    let panics = PANICS.load(Ordering::Relaxed);
    let verdict = run_trial(fixture, folder.path(), damage).await;
    match PANICS.load(Ordering::Relaxed) - panics {
        0 => verdict,
        n => Err(format!("{n} panics, and the verdict {verdict:?}")),
    }
}

/// Makes a folder in memory if possible: no trial depends on durability, so syncs would only cost
/// time.
fn memory_folder() -> Result<tempfile::TempDir, String> {
    let made = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    made.map_err(|e| e.to_string())
}

/// Draws the damage: four of five are flipped bits.
fn draw_damage(rng: &mut fastrand::Rng, files: &Files, after_kill: bool) -> Damage {
    let log = after_kill && !files.log.is_empty() && rng.bool();
    let length = if log { files.log.len() } else { files.db.len() };
    match rng.u8(0..5) {
        0 => Damage::Truncation { log, length: rng.usize(0..length) },
        _ => Damage::BitFlip { log, byte: rng.usize(0..length), bit: rng.u8(0..8) },
    }
}

/// Checks that the oracle finds wrong bytes in a store without checksums whose bodies are damaged.
/// Returns how many of the trials found them, and the first failure.
async fn check_canary(fixture: &Fixture) -> Result<String, String> {
    let files = without_checksums(&fixture.closed)?;
    let body = b"the body of this event";
    let offsets: Vec<_> = files
        .db
        .windows(body.len())
        .enumerate()
        .filter(|(_, w)| w == body)
        .map(|(at, _)| at)
        .collect();
    let (mut found, mut tried) = (Vec::new(), 0);
    for at in offsets.iter().step_by((offsets.len() / 10).max(1)) {
        let damage = Damage::BitFlip { log: false, byte: at + 4, bit: 0 };
        let mut files = files.clone();
        damage.apply(&mut files);
        found.extend(run_trial_counting_panics(fixture, &files, damage).await.err());
        tried += 1;
    }
    match found.first() {
        Some(first) => Ok(format!("{} of {tried} found, as \"{first}\"", found.len())),
        None => Err(format!("the canary, {tried} damaged stores without checksums, was not found")),
    }
}

/// Removes all checksums from a store.
fn without_checksums(files: &Files) -> Result<Files, String> {
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
