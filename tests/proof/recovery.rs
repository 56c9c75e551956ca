//! Suite `recovery`: crashes while a store is opened, twice in a row. A crash is a kill before,
//! after or in the middle of a storage call that changes something, or a power cut, which takes
//! back what was not synced. The stores are one that a kill left under load, the same one in its
//! first format, none at all, and none at all with large events.
//!
//! It proves that a crash at any point of a recovery or a migration loses nothing. The oracle is
//! [`crate::fault::trial`], the canary a recovery without the write-ahead log.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::RunOptions;
use crate::checker::stored_events;
use crate::fault::process::Ended;
use crate::fault::trial::{FILE_STEP, Findings, Fixture, run_parallel};
use crate::fault::{CHANGING_CALLS, Fault, Shim};
use crate::load::Load;
use crate::server::eventually;

/// The `store:` of the suites that inject faults.
pub(crate) const STORE: &str = "sqlite:store/events.db";

/// Bytes by which a large event is longer. Six such events make SQLite checkpoint its log while
/// events are accepted.
pub(crate) const LARGE_EVENT_PADDING: usize = 800_000;

/// A run of up to this number of calls has its faults in each of them, a longer one in a sample.
const MAX_CALLS_WITHOUT_SAMPLING: u64 = 1000;
/// Size of the sample for each kind of fault.
const SAMPLED_CALLS: usize = 60;

/// Events in the store that a kill leaves, or a few more.
const UNCLEAN_EVENTS: usize = 40;

/// Kinds of crashes, the calls in which they happen, and whether some of the unsynced data
/// survives.
const CRASHES: [(&str, &str, bool); 6] = [
    ("before", CHANGING_CALLS, false),
    ("after", CHANGING_CALLS, false),
    ("torn", "w", false),
    ("cut", CHANGING_CALLS, false),
    ("cut", CHANGING_CALLS, true),
    ("cut", "ostn", true),
];

/// A store to recover, and the workload during its recovery.
struct Template {
    name: &'static str,
    fixture: Fixture,
    /// Events that are sent as soon as the server is ready.
    ids: &'static [&'static str],
    /// The changing calls of a run without a fault.
    calls: String,
}

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if let Some(missing) = Shim::missing_requirement() {
        return Ok(format!("SKIP: {missing}"));
    }
    let shim = Shim::build()?;
    let unclean = store_after_kill(UNCLEAN_EVENTS)?;
    check_canary(&unclean)?;
    let first_format = in_first_format(&unclean)?;
    let new = Fixture::new(STORE, FILE_STEP);
    let large = Fixture { padding: LARGE_EVENT_PADDING, ..Fixture::new(STORE, FILE_STEP) };
    let named = [
        ("unclean", unclean, &[][..]),
        ("format 1", first_format, &[]),
        ("new", new, &["evt_1", "evt_2"]),
        ("large", large, &["evt_1", "evt_2", "evt_3", "evt_4", "evt_5", "evt_6"]),
    ];
    let templates = named.map(|(name, fixture, ids)| make_template(&shim, name, fixture, ids));
    let templates = templates.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let mut pairs = Vec::new();
    for template in &templates {
        for first in crash_faults(&template.calls, &mut rng) {
            let all = crash_faults(&template.calls, &mut rng);
            let second = all[rng.usize(..all.len())];
            pairs.push((template, first, second));
        }
    }
    rng.shuffle(&mut pairs);
    let all = pairs.len();
    // The short form has a fifth of the pairs with large events, which take most of the time.
    pairs.retain(|(template, ..)| {
        !options.short || template.fixture.padding == 0 || rng.u8(..5) == 0
    });
    let results = run_parallel(
        3,
        &pairs,
        |n| options.wants_another(n),
        |(template, first, second)| {
            crash_twice(&shim, template, first, second)
                .map_err(|e| format!("{}: {first}, then {second}: {e}", template.name))
        },
    )?;
    let mut findings = Findings::default();
    let mut crashes = 0;
    for (crashed, one) in &results {
        crashes += crashed;
        findings.add(*one);
    }
    let calls: Vec<_> = templates.iter().map(|t| format!("{} {}", t.calls.len(), t.name)).collect();
    Ok(format!(
        "{} of {all} pairs of crashes ({} calls), {crashes} crashes; {} acknowledged, {} stored, 0 lost, {} further effects, {} further runs, each with its cause; canary, a recovery without the log, lost events",
        results.len(),
        calls.join(", "),
        findings.acknowledged,
        findings.stored,
        findings.further_effects,
        findings.further_runs
    ))
}

/// Makes a store that was killed under load, with at least this number of acknowledged events.
fn store_after_kill(events: usize) -> Result<Fixture, String> {
    let fixture = Fixture::new(STORE, FILE_STEP);
    let server = fixture.place.start();
    let load = Load::start(&server.addr, 4, 0, &fixture.sent);
    eventually("enough events are acknowledged", || {
        fixture.sent.lock().unwrap().acknowledged.len() >= events
    });
    server.kill();
    load.stop();
    Ok(fixture)
}

/// Makes the same store in its first format, and as unclean: its last changes are only in the log.
fn in_first_format(unclean: &Fixture) -> Result<Fixture, String> {
    let now = unclean.copy();
    let old = unclean.copy();
    std::fs::remove_dir_all(old.place.path("store")).map_err(|e| e.to_string())?;
    std::fs::create_dir(old.place.path("store")).map_err(|e| e.to_string())?;
    let file = old.place.path("first.db");
    write_first_format(&file, &now.database())
        .map_err(|e| format!("a store in the first format cannot be made: {e}"))?;
    let conn = rusqlite::Connection::open(&file).map_err(|e| e.to_string())?;
    // Half of the events are in the file, and half in its log.
    conn.execute_batch(
        "pragma wal_autocheckpoint = 0;
         create temp table later as select * from events where seq % 2;
         delete from events where seq % 2;
         pragma wal_checkpoint(truncate);
         begin; insert into events select * from later; commit;",
    )
    .map_err(|e| e.to_string())?;
    for end in ["", "-wal", "-shm"] {
        let from = format!("{}{end}", file.display());
        let to = format!("{}{end}", old.database().display());
        std::fs::copy(&from, &to).map_err(|e| format!("{from}: {e}"))?;
    }
    drop(conn);
    let _ = std::fs::remove_file(file);
    Ok(old)
}

/// Writes the rows of a store of the current format to a new file of the first format.
fn write_first_format(file: &Path, now: &Path) -> rusqlite::Result<()> {
    let conn = rusqlite::Connection::open(file)?;
    conn.execute_batch("pragma auto_vacuum = incremental; pragma journal_mode = wal;")?;
    conn.execute_batch(include_str!("../../stores/sqlite/src/migrations/0001_first.sql"))?;
    conn.execute("attach ?1 as now", [now.to_str().expect("a temporary path is UTF-8")])?;
    let same_name = ["names", "deliveries", "events", "jobs"].map(|table| (table, table));
    for (table, now) in same_name.into_iter().chain([("twins", "content_duplicates")]) {
        // Later migrations added columns.
        let columns: String = conn.query_row(
            "select group_concat(name, ', ') from pragma_table_info(?1)",
            [table],
            |row| row.get(0),
        )?;
        conn.execute_batch(&format!(
            "insert into main.{table} ({columns}) select {columns} from now.{now}"
        ))?;
    }
    // The first format stored every key together with its event; later ones write some of them
    // behind.
    conn.execute_batch(
        "insert into main.meta (name, value)
             select name, value from now.meta where name in ('opens', 'seq', 'probes');
         with recursive cut (event, at, keys, n) as (
             select seq, received_at, keys, 0 from main.events where length(keys) >= 16
             union all
             select event, at, keys, n + 1 from cut where length(keys) >= 16 * (n + 2)
         )
         insert into main.keys (hash, kind, event, at)
             select substr(keys, 16 * n + 1, 16), n > 0, event, at from cut;
         pragma application_id = 0x484b5744;
         pragma user_version = 1;
         detach now;",
    )
}

/// Runs the workload without a fault, to learn its calls.
fn make_template(
    shim: &Shim,
    name: &'static str,
    fixture: Fixture,
    ids: &'static [&'static str],
) -> Result<Template, String> {
    let undisturbed = fixture.copy();
    let (crashed, calls) = run_until_crash(&undisturbed, shim, &Fault::NONE, ids)?;
    if crashed {
        return Err(format!("{name}: it crashed without a fault"));
    }
    undisturbed.recover_and_check().map_err(|e| format!("{name}, without a crash: {e}"))?;
    let calls = calls.chars().filter(|call| CHANGING_CALLS.contains(*call)).collect();
    Ok(Template { name, fixture, ids, calls })
}

/// Returns every call with every kind of crash that it can have.
pub(crate) fn crash_faults(calls: &str, rng: &mut fastrand::Rng) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (kind, counted, some_survives) in CRASHES {
        let count = calls.chars().filter(|call| counted.contains(*call)).count() as u64;
        for at in sample_calls(count, rng) {
            let seed = if some_survives { rng.u64(1..) } else { 0 };
            faults.push(Fault { kind, calls: counted, at, seed, ..Fault::NONE });
        }
    }
    faults
}

/// Returns the numbers of all calls, or a sample if there are very many.
pub(crate) fn sample_calls(count: u64, rng: &mut fastrand::Rng) -> Vec<u64> {
    if count < MAX_CALLS_WITHOUT_SAMPLING {
        return (1..=count).collect();
    }
    let sample: BTreeSet<u64> = (0..SAMPLED_CALLS).map(|_| rng.u64(1..=count)).collect();
    sample.into_iter().collect()
}

/// Crashes a copy of the store twice and checks it; returns the number of crashes that happened.
fn crash_twice(
    shim: &Shim,
    template: &Template,
    first: &Fault,
    second: &Fault,
) -> Result<(usize, Findings), String> {
    let fixture = template.fixture.copy();
    let mut crashes = 0;
    for fault in [first, second] {
        let (crashed, _) = run_until_crash(&fixture, shim, fault, template.ids)?;
        crashes += usize::from(crashed);
    }
    let findings = fixture.recover_and_check()?;
    check_repetitions(&fixture)?;
    Ok((crashes, findings))
}

/// Starts, sends, works and stops, until the fault crashes the process. Returns whether it did, and
/// the calls.
pub(crate) fn run_until_crash(
    fixture: &Fixture,
    shim: &Shim,
    fault: &Fault,
    ids: &[&str],
) -> Result<(bool, String), String> {
    let (mut process, trace) = fixture.start(shim, fault, Duration::from_secs(20));
    if let Some((addr, _)) = process.ready.clone() {
        std::thread::scope(|scope| {
            let send = |id| fixture.send(&addr, id, Duration::from_secs(7)).map(drop);
            let sent: Vec<_> = ids.iter().map(|id| scope.spawn(move || send(id))).collect();
            sent.into_iter().try_for_each(|one| one.join().expect("a sender does not panic"))
        })?;
        process.settle(Duration::from_secs(20));
        process.signal("-TERM");
    }
    let (ended, log) = process.end(Duration::from_secs(35));
    match ended {
        _ if log.contains("panicked") => Err(format!("a panic: {log}")),
        Ended::Code(0) => Ok((false, trace.calls())),
        Ended::Killed if trace.injected() > 0 => Ok((true, trace.calls())),
        _ => Err(format!("the process ended with {ended:?}: {log}")),
    }
}

/// Sends some acknowledged events again, and checks that each is recognised as a repetition.
fn check_repetitions(fixture: &Fixture) -> Result<(), String> {
    let sent: Vec<_> = fixture.sent.lock().unwrap().acknowledged.iter().cloned().collect();
    if sent.is_empty() {
        return Ok(());
    }
    let server = fixture.place.start();
    let before = stored_events(&server)?.len();
    for id in sent.iter().step_by(sent.len().div_ceil(3)) {
        if !fixture.send(&server.addr, id, Duration::from_secs(7))? {
            return Err(format!("{id} was not acknowledged when it was sent again"));
        }
    }
    let after = stored_events(&server)?.len();
    server.kill();
    if after == before {
        Ok(())
    } else {
        Err(format!("{before} events became {after} when some were sent again"))
    }
}

/// Checks that the oracle finds a recovery without the write-ahead log.
fn check_canary(unclean: &Fixture) -> Result<(), String> {
    let fixture = unclean.copy();
    // Without its mark as well: beside it, the missing log would be found at the start.
    for end in ["-wal", ".mark"] {
        let mut file = fixture.database().into_os_string();
        file.push(end);
        std::fs::remove_file(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    match fixture.recover_and_check() {
        Err(found) if found.contains("lost") => Ok(()),
        other => Err(format!("the canary, a recovery without the log, was not found: {other:?}")),
    }
}
