//! Crashes while a store is being opened: after an unclean stop, on a file of the first format, and
//! on nothing at all, at every storage call that changes something, twice in a row. A crash is a kill
//! before the call, after it or in its middle, or a power cut that takes back what was not synced.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::RunOptions;
use crate::checker::stored;
use crate::fault::process::Ended;
use crate::fault::trial::{FILE_STEP, Fixture, Found, run_parallel};
use crate::fault::{CHANGES, Fault, Shim};
use crate::load::Load;
use crate::server::eventually;

pub(crate) const STORE: &str = "sqlite:store/events.db";

/// Six of these, and the log is taken into the file while events come in.
pub(crate) const LARGE: usize = 800_000;

/// Of thousands of calls so many are taken for each kind of crash or fault.
pub(crate) const SOME: usize = 60;

/// The kinds of crash, at which calls, and whether some of what was not synced survives.
const CRASHES: [(&str, &str, bool); 6] = [
    ("before", CHANGES, false),
    ("after", CHANGES, false),
    ("torn", "w", false),
    ("cut", CHANGES, false),
    ("cut", CHANGES, true),
    ("cut", "ostn", true),
];

/// What is found at the start.
struct Template {
    name: &'static str,
    fixture: Fixture,
    /// What is sent as soon as it is open.
    ids: &'static [&'static str],
    /// The calls from there to the end of an undisturbed run.
    calls: String,
}

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    if let Some(missing) = Shim::missing() {
        return Ok(format!("SKIP: {missing}"));
    }
    let shim = Shim::build()?;
    let unclean = unclean(40)?;
    canary(&unclean)?;
    let older = older(&unclean)?;
    let new = Fixture::new(STORE, FILE_STEP);
    let large = Fixture { padding: LARGE, ..Fixture::new(STORE, FILE_STEP) };
    let named = [
        ("unclean", unclean, &[][..]),
        ("format 1", older, &[]),
        ("new", new, &["evt_1", "evt_2"]),
        ("large", large, &["evt_1", "evt_2", "evt_3", "evt_4", "evt_5", "evt_6"]),
    ];
    let templates = named.map(|(name, fixture, ids)| template(&shim, name, fixture, ids));
    let templates = templates.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut chance = fastrand::Rng::with_seed(options.seed);
    let mut jobs = Vec::new();
    for template in &templates {
        for fault in points(&template.calls, &mut chance) {
            let all = points(&template.calls, &mut chance);
            let again = all[chance.usize(..all.len())];
            jobs.push((template, fault, again));
        }
    }
    chance.shuffle(&mut jobs);
    let all = jobs.len();
    // Large events take most of the time.
    jobs.retain(|(template, ..)| {
        !options.short || template.fixture.padding == 0 || chance.u8(..5) == 0
    });
    let runs = run_parallel(
        3,
        &jobs,
        |n| options.wants_another(n),
        |(template, first, second)| {
            twice(&shim, template, first, second)
                .map_err(|e| format!("{}: {first}, then {second}: {e}", template.name))
        },
    )?;
    let mut found = Found::default();
    let mut crashes = 0;
    for (fired, one) in &runs {
        crashes += fired;
        found.add(*one);
    }
    let calls: Vec<_> = templates.iter().map(|t| format!("{} {}", t.calls.len(), t.name)).collect();
    Ok(format!(
        "{} of {all} pairs of crashes ({} calls), {crashes} crashes; {} acknowledged, {} stored, 0 lost, {} extra effects, {} further runs, each with its cause; canary, a log thrown away, lost",
        runs.len(),
        calls.join(", "),
        found.acknowledged,
        found.stored,
        found.extra,
        found.causes
    ))
}

/// A store that a kill left under load, with so many events or some more.
fn unclean(events: usize) -> Result<Fixture, String> {
    let fixture = Fixture::new(STORE, FILE_STEP);
    let server = fixture.place.start();
    let load = Load::start(&server.addr, 4, 0, &fixture.known);
    eventually("some are taken in", || fixture.known.lock().unwrap().acknowledged.len() >= events);
    server.kill();
    load.stop();
    Ok(fixture)
}

/// The same store as the first format kept it, and stopped as uncleanly: its last changes are only
/// in the log.
fn older(unclean: &Fixture) -> Result<Fixture, String> {
    let now = unclean.copy();
    let old = unclean.copy();
    std::fs::remove_dir_all(old.place.path("store")).map_err(|e| e.to_string())?;
    std::fs::create_dir(old.place.path("store")).map_err(|e| e.to_string())?;
    let file = old.place.path("first.db");
    write_first_format(&file, &now.database()).map_err(|e| format!("the first format: {e}"))?;
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

fn write_first_format(file: &Path, now: &Path) -> rusqlite::Result<()> {
    let conn = rusqlite::Connection::open(file)?;
    conn.execute_batch("pragma auto_vacuum = incremental; pragma journal_mode = wal;")?;
    conn.execute_batch(include_str!("../../stores/sqlite/src/migrations/0001_first.sql"))?;
    conn.execute("attach ?1 as now", [now.to_str().expect("a temporary path is text")])?;
    let same_name = ["names", "deliveries", "events", "jobs"].map(|table| (table, table));
    for (table, now) in same_name.into_iter().chain([("twins", "content_duplicates")]) {
        // The first format's own columns; later ones added more.
        let columns: String = conn.query_row(
            "select group_concat(name, ', ') from pragma_table_info(?1)",
            [table],
            |row| row.get(0),
        )?;
        conn.execute_batch(&format!(
            "insert into main.{table} ({columns}) select {columns} from now.{now}"
        ))?;
    }
    // Every key was written at once, with its event.
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

fn template(
    shim: &Shim,
    name: &'static str,
    fixture: Fixture,
    ids: &'static [&'static str],
) -> Result<Template, String> {
    let plain = fixture.copy();
    let (crashed, calls) = crash(&plain, shim, &Fault::NONE, ids)?;
    if crashed {
        return Err(format!("{name}: it crashed without a fault"));
    }
    plain.judge().map_err(|e| format!("{name}, undisturbed: {e}"))?;
    let calls = calls.chars().filter(|call| CHANGES.contains(*call)).collect();
    Ok(Template { name, fixture, ids, calls })
}

/// Every call with every crash that fits it.
pub(crate) fn points(calls: &str, chance: &mut fastrand::Rng) -> Vec<Fault> {
    let mut points = Vec::new();
    for (kind, counted, some_survives) in CRASHES {
        let k = calls.chars().filter(|call| counted.contains(*call)).count() as u64;
        for at in spread_over(k, chance) {
            let seed = if some_survives { chance.u64(1..) } else { 0 };
            points.push(Fault { kind, calls: counted, at, seed, ..Fault::NONE });
        }
    }
    points
}

/// All of them, or some of very many.
pub(crate) fn spread_over(k: u64, chance: &mut fastrand::Rng) -> Vec<u64> {
    if k < 1000 {
        return (1..=k).collect();
    }
    let some: BTreeSet<u64> = (0..SOME).map(|_| chance.u64(1..=k)).collect();
    some.into_iter().collect()
}

/// How many of the two crashes took place, and what the judge counted.
fn twice(
    shim: &Shim,
    template: &Template,
    first: &Fault,
    second: &Fault,
) -> Result<(usize, Found), String> {
    let fixture = template.fixture.copy();
    let mut crashes = 0;
    for fault in [first, second] {
        let (crashed, _) = crash(&fixture, shim, fault, template.ids)?;
        crashes += usize::from(crashed);
    }
    let found = fixture.judge()?;
    repetitions(&fixture)?;
    Ok((crashes, found))
}

/// Starts, sends, works, drains, and crashes somewhere on the way: whether it did, and its calls.
pub(crate) fn crash(
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
        Ended::Killed if trace.fired() > 0 => Ok((true, trace.calls())),
        _ => Err(format!("it ended with {ended:?}: {log}")),
    }
}

/// Some that were acknowledged come again: each is known.
fn repetitions(fixture: &Fixture) -> Result<(), String> {
    let known: Vec<_> = fixture.known.lock().unwrap().acknowledged.iter().cloned().collect();
    if known.is_empty() {
        return Ok(());
    }
    let server = fixture.place.start();
    let before = stored(&server)?.len();
    for id in known.iter().step_by(known.len().div_ceil(3)) {
        if !fixture.send(&server.addr, id, Duration::from_secs(7))? {
            return Err(format!("{id} was refused when it came again"));
        }
    }
    let after = stored(&server)?.len();
    server.kill();
    if after == before { Ok(()) } else { Err(format!("{before} events became {after}")) }
}

/// A recovery that forgets the log: the oracle must see it.
fn canary(unclean: &Fixture) -> Result<(), String> {
    let fixture = unclean.copy();
    let mut log = fixture.database().into_os_string();
    log.push("-wal");
    std::fs::remove_file(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    match fixture.judge() {
        Err(told) if told.contains("lost") => Ok(()),
        other => Err(format!("the canary, a log thrown away, was not seen: {other:?}")),
    }
}
