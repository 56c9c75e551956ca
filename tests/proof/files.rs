//! Suite `files`: the files of a store are moved, deleted, emptied, shortened, exchanged with those of
//! another store or of an older backup, and linked, while the server runs and while it does not.
//!
//! It proves that no acknowledged event is lost without an error that says so: a server that runs
//! ends with 70 and acknowledges nothing more, and a start that lacks an event ends with 70, names
//! the file, and says how to start anyway. With the files put back, every acknowledged event is
//! stored. A change that loses nothing, such as a hard link or a move of the whole folder, must refuse no
//! start. The oracle compares what is stored with what was acknowledged; the canary is a store whose
//! mark is removed together with its log, of which the oracle must find the losses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::RunOptions;
use crate::checker::stored_events;
use crate::load::{Load, SentEvents, event};
use crate::server::{Server, ServerDir};

/// Threads that send events.
const SENDERS: usize = 4;
/// Files of a store, by the end of their name.
const ENDS: [&str; 3] = ["", "-wal", ".mark"];
/// A server that must end does so within this time: a check of its files is part of each commit.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// What happens to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Injury {
    // While no server runs.
    DatabaseMoved,
    DatabaseEmptied,
    DatabaseAndLogDeleted,
    LogDeleted,
    LogEmptied,
    LogShortened,
    LogOfAnotherStore,
    DatabaseOfAnotherStore,
    AllOfAnotherStore,
    OlderBackup,
    OlderBackupWithoutLog,
    // While no server runs, and nothing is lost.
    FolderRenamed,
    CopiedToAnotherPlace,
    DatabaseLinked,
    AllLinked,
    OpenedByAnotherProgram,
    // While a server runs.
    MovedWhileRunning,
    LogDeletedWhileRunning,
    ReplacedWhileRunning,
    EmptiedWhileRunning,
    LogEmptiedWhileRunning,
    LinkedWhileRunning,
}

use Injury::{
    AllLinked, AllOfAnotherStore, CopiedToAnotherPlace, DatabaseAndLogDeleted, DatabaseEmptied,
    DatabaseLinked, DatabaseMoved, DatabaseOfAnotherStore, EmptiedWhileRunning, FolderRenamed,
    LinkedWhileRunning, LogDeleted, LogDeletedWhileRunning, LogEmptied, LogEmptiedWhileRunning,
    LogOfAnotherStore, LogShortened, MovedWhileRunning, OlderBackup, OlderBackupWithoutLog,
    OpenedByAnotherProgram, ReplacedWhileRunning,
};

const ALL: [Injury; 22] = [
    DatabaseMoved,
    DatabaseEmptied,
    DatabaseAndLogDeleted,
    LogDeleted,
    LogEmptied,
    LogShortened,
    LogOfAnotherStore,
    DatabaseOfAnotherStore,
    AllOfAnotherStore,
    OlderBackup,
    OlderBackupWithoutLog,
    FolderRenamed,
    CopiedToAnotherPlace,
    DatabaseLinked,
    AllLinked,
    OpenedByAnotherProgram,
    MovedWhileRunning,
    LogDeletedWhileRunning,
    ReplacedWhileRunning,
    EmptiedWhileRunning,
    LogEmptiedWhileRunning,
    LinkedWhileRunning,
];

impl Injury {
    fn is_while_running(self) -> bool {
        self >= MovedWhileRunning
    }

    /// A start must succeed, and find everything.
    fn loses_nothing(self) -> bool {
        matches!(
            self,
            FolderRenamed
                | CopiedToAnotherPlace
                | DatabaseLinked
                | AllLinked
                | OpenedByAnotherProgram
                | LinkedWhileRunning
        )
    }
}

/// Counts of all runs.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: usize,
    refused: usize,
    exits_with_70: usize,
    started: usize,
}

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let lost = check_canary()?;
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let runs = if options.short { 2 * ALL.len() } else { options.runs };
    let options = RunOptions { runs, ..options.clone() };
    let (mut done, mut tally, mut by_injury) = (0, Tally::default(), BTreeMap::new());
    while options.wants_another(done) {
        let injury = ALL[done % ALL.len()];
        let killed = (done / ALL.len()).is_multiple_of(2);
        run_once(injury, killed, &mut rng, &mut tally)
            .map_err(|e| format!("{injury:?} of a store that was killed: {killed}: {e}"))?;
        *by_injury.entry(injury).or_insert(0) += 1;
        done += 1;
    }
    Ok(format!(
        "{done} stores with {} kinds of changes: {} acknowledged, 0 lost without an error; {} starts refused with words and completed with the files put back, {} running servers ended with 70, {} starts that lost nothing succeeded; canary, a store without its log and its mark, lost {lost}",
        by_injury.len(),
        tally.acknowledged,
        tally.refused,
        tally.exits_with_70,
        tally.started
    ))
}

/// A store in a folder of its own, and what was sent to it.
struct Fixture {
    place: ServerDir,
    sent: Arc<Mutex<SentEvents>>,
    rounds: usize,
}

impl Fixture {
    fn new() -> Self {
        let place = ServerDir::new(&routes("store"));
        std::fs::create_dir(place.path("store")).unwrap();
        Self { place, sent: Arc::default(), rounds: 0 }
    }

    fn database(&self) -> PathBuf {
        self.place.path("store/events.db")
    }

    /// Sends events for a while, and returns the server.
    fn run_server(&mut self, rng: &mut fastrand::Rng) -> (Server, Load) {
        let server = self.place.start();
        let load = Load::start(&server.addr, SENDERS, self.rounds, &self.sent);
        self.rounds += 1;
        std::thread::sleep(Duration::from_millis(rng.u64(60..200)));
        (server, load)
    }

    /// Runs and ends a server, by a kill or regularly.
    fn fill(&mut self, killed: bool, rng: &mut fastrand::Rng) -> Result<(), String> {
        let (server, load) = self.run_server(rng);
        if killed {
            server.kill();
            load.stop();
            return Ok(());
        }
        load.stop();
        match server.terminate() {
            Some(0) => Ok(()),
            code => Err(format!("a regular end gave {code:?}")),
        }
    }

    fn acknowledged(&self) -> usize {
        self.sent.lock().unwrap().acknowledged.len()
    }

    /// Number of acknowledged events that a server does not have.
    fn count_lost(&self, server: &Server) -> Result<usize, String> {
        let stored = stored_events(server)?;
        let sent = self.sent.lock().unwrap();
        Ok(sent.acknowledged.iter().filter(|id| !stored.contains_key(*id)).count())
    }
}

fn routes(folder: &str) -> String {
    format!(
        "store: sqlite:{folder}/events.db\nsources:\n  stripe: {{ secrets: [whsec_e2e_stripe] }}\nroutes:\n  - name: r\n    events: stripe/**\n    chain: [noop]\n"
    )
}

fn named(database: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", database.display()))
}

fn copy(from: &Path, to: &Path, ends: &[&str]) {
    for end in ends {
        let (from, to) = (named(from, end), named(to, end));
        let _ = std::fs::remove_file(&to);
        if from.exists() {
            std::fs::copy(from, to).unwrap();
        }
    }
}

fn run_once(
    injury: Injury,
    killed: bool,
    rng: &mut fastrand::Rng,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut fixture = Fixture::new();
    let backup = fixture.place.path("backup.db");
    fixture.fill(!killed, rng)?;
    let made = fixture.place.run(&["backup", "backup.db"]);
    if !made.status.success() {
        return Err(format!("the backup failed: {}", String::from_utf8_lossy(&made.stderr)));
    }
    let database = fixture.database();
    let kept = tempfile::tempdir().map_err(|e| e.to_string())?;
    let kept = kept.path().join("events.db");
    if injury.is_while_running() {
        return run_injured(injury, &mut fixture, &kept, rng, tally);
    }
    fixture.fill(killed, rng)?;
    copy(&database, &kept, &ENDS);
    injure(injury, &fixture, &backup, rng)?;
    tally.acknowledged += fixture.acknowledged();
    check_start(injury, &fixture, &kept, tally)
}

/// Starts over injured files: everything is there, or the start is refused with words. Then puts the
/// files back and starts again.
fn check_start(
    injury: Injury,
    fixture: &Fixture,
    kept: &Path,
    tally: &mut Tally,
) -> Result<(), String> {
    match Server::try_start(fixture.place.0.path(), &[]) {
        Ok(server) => {
            let lost = fixture.count_lost(&server)?;
            if lost > 0 {
                return Err(format!("{lost} acknowledged events are missing, and it started"));
            }
            if server.terminate().is_none_or(|code| code != 0) {
                return Err("it did not end regularly".to_owned());
            }
            tally.started += 1;
            Ok(())
        }
        Err(message) if injury.loses_nothing() => Err(format!("the start was refused: {message}")),
        Err(message) => {
            let says = |word: &str| message.contains(word);
            if !says("events.db") || !(says("remove") || says("move ")) || says("panicked") {
                return Err(format!("the error does not say what to do: {message}"));
            }
            copy(kept, &fixture.database(), &ENDS);
            let server = Server::try_start(fixture.place.0.path(), &[])
                .map_err(|e| format!("with the files put back it does not start: {e}"))?;
            let lost = fixture.count_lost(&server)?;
            server.kill();
            tally.refused += 1;
            if lost == 0 { Ok(()) } else { Err(format!("{lost} lost with the files put back")) }
        }
    }
}

fn injure(
    injury: Injury,
    fixture: &Fixture,
    backup: &Path,
    rng: &mut fastrand::Rng,
) -> Result<(), String> {
    let database = fixture.database();
    let (log, folder) = (named(&database, "-wal"), fixture.place.path("store"));
    let failed = |e: std::io::Error| e.to_string();
    let mut other = || -> Result<(Fixture, PathBuf), String> {
        let mut other = Fixture::new();
        other.fill(true, rng)?;
        let path = other.database();
        Ok((other, path))
    };
    match injury {
        DatabaseMoved => std::fs::rename(&database, fixture.place.path("moved")).map_err(failed),
        DatabaseEmptied => std::fs::write(&database, "").map_err(failed),
        DatabaseAndLogDeleted => {
            let _ = std::fs::remove_file(&log);
            std::fs::remove_file(&database).map_err(failed)
        }
        LogDeleted => {
            let _ = std::fs::remove_file(&log);
            Ok(())
        }
        // A store that was closed has no log, and loses nothing by an empty one.
        LogEmptied => std::fs::write(&log, "").map_err(failed),
        LogShortened => {
            let length = log.metadata().map_or(0, |found| found.len());
            let file = std::fs::File::options().create(true).truncate(false).write(true).open(&log);
            file.and_then(|file| file.set_len(rng.u64(0..=length / 2))).map_err(failed)
        }
        LogOfAnotherStore => other().map(|(_other, path)| copy(&path, &database, &["-wal"])),
        DatabaseOfAnotherStore => other().map(|(_other, path)| copy(&path, &database, &[""])),
        AllOfAnotherStore => other().map(|(_other, path)| copy(&path, &database, &["", "-wal"])),
        OlderBackup => {
            copy(backup, &database, &[""]);
            Ok(())
        }
        OlderBackupWithoutLog => {
            let _ = std::fs::remove_file(&log);
            copy(backup, &database, &[""]);
            Ok(())
        }
        FolderRenamed => {
            fixture.place.write("routes.yaml", &routes("renamed"));
            std::fs::rename(&folder, fixture.place.path("renamed")).map_err(failed)
        }
        CopiedToAnotherPlace => {
            std::fs::create_dir(fixture.place.path("copied")).map_err(failed)?;
            copy(&database, &fixture.place.path("copied/events.db"), &ENDS);
            fixture.place.write("routes.yaml", &routes("copied"));
            std::fs::remove_dir_all(&folder).map_err(failed)
        }
        DatabaseLinked => {
            std::fs::hard_link(&database, fixture.place.path("linked.db")).map_err(failed)
        }
        AllLinked => link_all(&folder, &fixture.place.path("linked")).map_err(failed),
        OpenedByAnotherProgram => {
            let conn = rusqlite::Connection::open(&database).map_err(|e| e.to_string())?;
            conn.query_row("select count(*) from events", [], |row| row.get::<_, i64>(0))
                .map(drop)
                .map_err(|e| e.to_string())
        }
        running => Err(format!("{running:?} needs a server")),
    }
}

/// Links all files of a folder into another, as a backup tool does.
fn link_all(folder: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir(to)?;
    for file in std::fs::read_dir(folder)? {
        let file = file?;
        std::fs::hard_link(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

/// Injures the files of a server under load. It ends with 70, and acknowledges nothing that the next
/// start does not have or miss with words; where nothing is lost, it continues.
fn run_injured(
    injury: Injury,
    fixture: &mut Fixture,
    kept: &Path,
    rng: &mut fastrand::Rng,
    tally: &mut Tally,
) -> Result<(), String> {
    let database = fixture.database();
    let log = named(&database, "-wal");
    let moved = fixture.place.path("moved");
    let failed = |e: std::io::Error| e.to_string();
    let (server, load) = fixture.run_server(rng);
    match injury {
        MovedWhileRunning => std::fs::rename(&database, &moved).map_err(failed)?,
        LogDeletedWhileRunning => {
            std::fs::hard_link(&log, &moved).map_err(failed)?;
            std::fs::remove_file(&log).map_err(failed)?;
        }
        ReplacedWhileRunning => {
            std::fs::hard_link(&database, &moved).map_err(failed)?;
            std::fs::copy(&database, fixture.place.path("new")).map_err(failed)?;
            std::fs::rename(fixture.place.path("new"), &database).map_err(failed)?;
        }
        EmptiedWhileRunning | LogEmptiedWhileRunning => {
            let file = if injury == EmptiedWhileRunning { &database } else { &log };
            let file = std::fs::File::options().write(true).open(file).map_err(failed)?;
            file.set_len(0).map_err(failed)?;
        }
        LinkedWhileRunning => {
            link_all(&fixture.place.path("store"), &fixture.place.path("linked"))
                .map_err(failed)?;
        }
        stopped => return Err(format!("{stopped:?} needs no server")),
    }
    std::thread::sleep(Duration::from_millis(rng.u64(50..150)));
    match injury {
        MovedWhileRunning | LogDeletedWhileRunning | ReplacedWhileRunning => {
            wait_for_exit(&server)?;
            load.stop();
            let log_text = server.log();
            match server.exit_code() {
                Some(70) if log_text.contains("events.db") => tally.exits_with_70 += 1,
                code => return Err(format!("it ended with {code:?}: {log_text}")),
            }
            let at = if injury == LogDeletedWhileRunning { &log } else { &database };
            std::fs::rename(&moved, at).map_err(failed)?;
        }
        LinkedWhileRunning => {
            let one = event("evt_after_the_link");
            let answer = one.try_post(&server.addr).map_err(failed)?;
            if answer.status != 200 {
                return Err(format!("after the link it answered {}", answer.status));
            }
            fixture.sent.lock().unwrap().acknowledge("evt_after_the_link".into(), answer.body);
            server.kill();
            load.stop();
        }
        // The bytes are gone, whatever the server does: the next start has to say so.
        _ => {
            server.kill();
            load.stop();
            tally.acknowledged += fixture.acknowledged();
            return check_refused_or_whole(fixture, tally);
        }
    }
    tally.acknowledged += fixture.acknowledged();
    copy(&database, kept, &ENDS);
    let server = Server::try_start(fixture.place.0.path(), &[])
        .map_err(|e| format!("with the files put back it does not start: {e}"))?;
    let lost = fixture.count_lost(&server)?;
    server.kill();
    tally.started += 1;
    if lost == 0 { Ok(()) } else { Err(format!("{lost} acknowledged events are missing")) }
}

/// After bytes were destroyed under a running server: a start refuses, or has everything.
fn check_refused_or_whole(fixture: &Fixture, tally: &mut Tally) -> Result<(), String> {
    match Server::try_start(fixture.place.0.path(), &[]) {
        Err(message) if message.contains("events.db") && !message.contains("panicked") => {
            tally.refused += 1;
            Ok(())
        }
        Err(message) => Err(format!("the error names no file: {message}")),
        Ok(server) => {
            let lost = fixture.count_lost(&server)?;
            server.kill();
            tally.started += 1;
            match lost {
                0 => Ok(()),
                _ => Err(format!("{lost} acknowledged events are missing, and it started")),
            }
        }
    }
}

fn wait_for_exit(server: &Server) -> Result<(), String> {
    let stat = format!("/proc/{}/stat", server.pid());
    let start = Instant::now();
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        if start.elapsed() > EXIT_TIMEOUT {
            return Err(format!("it still runs after {EXIT_TIMEOUT:?}: {}", server.log()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Checks that the oracle finds the losses of a store without its log and its mark.
fn check_canary() -> Result<usize, String> {
    let mut fixture = Fixture::new();
    fixture.fill(true, &mut fastrand::Rng::with_seed(1))?;
    for end in ["-wal", ".mark"] {
        std::fs::remove_file(named(&fixture.database(), end)).map_err(|e| e.to_string())?;
    }
    let server = Server::try_start(fixture.place.0.path(), &[])?;
    match fixture.count_lost(&server)? {
        0 => Err("the canary, a store without its log and its mark, lost nothing".to_owned()),
        lost => Ok(lost),
    }
}
