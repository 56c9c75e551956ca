//! No acknowledged event is lost: restarts, kills, concurrent repetitions, and shutdown.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::sender::paid;
use crate::server::{SOURCES, ServerDir, eventually};

const ROUTES: &str = "routes:\n  - name: r\n    events: stripe/**\n    chain: [{ handler: file, with: { path: done.jsonl } }]\n";

fn server_dir() -> ServerDir {
    ServerDir::new(&format!("store: sqlite:events.db\n{SOURCES}{ROUTES}"))
}

fn done(dir: &ServerDir) -> BTreeSet<String> {
    dir.lines("done.jsonl").iter().map(|l| l["eventId"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_kill_under_load_loses_no_acknowledged_event() {
    let dir = server_dir();
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..4 {
        let server = dir.start();
        let stop = Arc::new(AtomicBool::new(false));
        let senders: Vec<_> = (0..8)
            .map(|sender| {
                let (addr, stop, acknowledged) =
                    (server.addr.clone(), stop.clone(), acknowledged.clone());
                std::thread::spawn(move || {
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let id = format!("evt_{round}_{sender}_{n}");
                        match paid(&id).try_post(&addr) {
                            Ok(answer) if answer.status == 200 => {
                                acknowledged.lock().unwrap().insert(id);
                            }
                            _ => return,
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300 + 100 * round));
        server.kill();
        stop.store(true, Ordering::Relaxed);
        senders.into_iter().for_each(|s| s.join().unwrap());
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() > 50, "only {} acknowledged", acknowledged.len());
    let server = dir.start();
    eventually("every acknowledged event is handled", || done(&dir).is_superset(&acknowledged));
    eventually("nothing waits", || server.events("status=pending").is_empty());
    // Each is stored once, so a repetition of any of them is a duplicate.
    for id in acknowledged.iter().step_by(37) {
        assert_eq!(paid(id).post(&server.addr).status, 200);
        let found = server.events(&format!("q={id}"));
        assert_eq!(found.len(), 1, "{id}");
    }
}

#[test]
fn a_restart_resumes_jobs_and_recognises_duplicates() {
    let dir = ServerDir::new(&format!(
        "store: sqlite:events.db\n{SOURCES}routes:\n  - name: r\n    events: stripe/**\n    chain:\n      - {{ handler: file, with: {{ path: first.jsonl }} }}\n      - {{ handler: exec, with: {{ command: [sh, -c, 'test -f ready || sleep 60'] }} }}\n      - {{ handler: file, with: {{ path: done.jsonl }} }}\n"
    ));
    let server = dir.start();
    let first = paid("evt_1").post(&server.addr);
    eventually("it is in its second step", || dir.lines("first.jsonl").len() == 1);
    server.kill();
    dir.write("ready", "");
    let server = dir.start();
    assert_eq!(paid("evt_1").post(&server.addr).body, first.body);
    eventually("it is handled", || dir.lines("done.jsonl").len() == 1);
    eventually("it is done", || server.events("status=done").len() == 1);
    let event = server.admin("GET", "/api/v1/events/evt_1", "").json();
    let attempts = event["jobs"][0]["attempts"].as_array().unwrap();
    assert!(attempts.iter().any(|a| a["outcome"] == "crash"), "{attempts:?}");
    assert_eq!(attempts.last().unwrap()["cause"], "crash");
}

#[test]
fn concurrent_equal_requests_are_one_event_with_one_answer() {
    let dir = server_dir();
    let server = dir.start();
    for round in 0..5 {
        let request = Arc::new(paid(&format!("evt_{round}")));
        let senders: Vec<_> = (0..32)
            .map(|_| {
                let (request, addr) = (request.clone(), server.addr.clone());
                std::thread::spawn(move || request.post(&addr))
            })
            .collect();
        let answers: Vec<_> = senders.into_iter().map(|s| s.join().unwrap()).collect();
        assert!(answers.iter().all(|a| a.status == 200));
        assert!(answers.iter().all(|a| a.body == answers[0].body));
    }
    eventually("all are handled", || dir.lines("done.jsonl").len() == 5);
    assert_eq!(server.events("").len(), 5);
}

#[test]
fn sigterm_finishes_running_steps_releases_the_rest_and_exits_with_0() {
    let dir = ServerDir::new(&format!(
        "store: sqlite:events.db\n{SOURCES}routes:\n  - name: r\n    events: stripe/**\n    chain: [{{ handler: exec, with: {{ command: [sh, -c, 'sleep 1'] }} }}, {{ handler: file, with: {{ path: done.jsonl }} }}]\n    concurrency: 2\n"
    ));
    let server = dir.start();
    for n in 0..6 {
        assert_eq!(paid(&format!("evt_{n}")).post(&server.addr).status, 200);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(dir.lines("done.jsonl").len(), 2, "what ran was finished");
    let server = dir.start();
    eventually("the rest runs", || done(&dir).len() == 6);
    eventually("all is settled", || server.events("status=done").len() == 6);
    for event in server.events("") {
        let id = event["id"].as_str().unwrap();
        let shown = server.admin("GET", &format!("/api/v1/events/{id}"), "").json();
        assert_eq!(shown["jobs"][0]["attempts"].as_array().unwrap().len(), 1, "{shown}");
    }
}

#[test]
fn a_second_signal_exits_immediately_and_loses_nothing() {
    let dir = ServerDir::new(&format!(
        "store: sqlite:events.db\n{SOURCES}routes:\n  - name: r\n    events: stripe/**\n    chain: [{{ handler: exec, with: {{ command: [sh, -c, 'test -f ready || sleep 60'] }} }}]\n"
    ));
    let server = dir.start();
    assert_eq!(paid("evt_1").post(&server.addr).status, 200);
    std::thread::sleep(Duration::from_millis(300));
    server.signal("-TERM");
    eventually("it drains", || server.log().contains("a second signal"));
    let start = std::time::Instant::now();
    assert_eq!(server.terminate(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(5));
    dir.write("ready", "");
    let server = dir.start();
    eventually("it is done", || server.events("status=done").len() == 1);
}

#[test]
fn a_second_server_on_the_same_store_does_not_start() {
    let dir = server_dir();
    let _server = dir.start();
    let started = crate::server::Server::try_start(dir.0.path(), &[]);
    let log = started.err().expect("it started");
    assert!(log.contains("events.db"), "{log}");
}

#[test]
fn slow_and_silent_peers_are_closed_while_others_are_served() {
    use std::io::{Read, Write};
    let dir = server_dir();
    let server = dir.start();
    let mut silent = crate::http::connect(&server.addr);
    let mut half_head = crate::http::connect(&server.addr);
    half_head.write_all(b"POST /webhooks/stripe HTTP/1.1\r\nhost:").unwrap();
    let mut half_body = crate::http::connect(&server.addr);
    let signed = paid("evt_slow");
    let bytes = crate::http::encode_request(
        &server.addr,
        "POST",
        &signed.target,
        &signed.headers,
        &signed.body,
    );
    half_body.write_all(&bytes[..bytes.len() - 5]).unwrap();
    assert_eq!(paid("evt_1").post(&server.addr).status, 200);
    let start = std::time::Instant::now();
    assert_eq!(crate::http::read(&mut half_body).unwrap().status, 408);
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest);
    let _ = half_head.read_to_end(&mut rest);
    assert!(start.elapsed() < Duration::from_secs(13), "{:?}", start.elapsed());
}

#[test]
fn exec_children_end_when_the_server_is_killed() {
    let routes = "routes:\n  - name: r\n    events: stripe/**\n    chain: [{ handler: exec, with: { command: [sh, -c, \"echo $$ >> pids; sleep 300 & wait\"] } }]\n";
    let dir = ServerDir::new(&format!("store: sqlite:events.db\n{SOURCES}{routes}"));
    let server = dir.start();
    for n in 0..3 {
        assert_eq!(paid(&format!("evt_{n}")).try_post(&server.addr).unwrap().status, 200);
    }
    let pids = || std::fs::read_to_string(dir.path("pids")).unwrap_or_default();
    eventually("three programs run", || pids().lines().count() == 3);
    server.kill();
    // Each leads a process group of two.
    let alive = |pid: &str| {
        std::process::Command::new("pgrep").args(["-g", pid]).output().unwrap().status.success()
    };
    eventually("they and what they started are gone", || !pids().lines().any(alive));
}

#[test]
fn no_event_is_acknowledged_into_a_database_that_was_moved_away() {
    for moved in ["events.db", "events.db-wal"] {
        let dir = server_dir();
        let server = dir.start();
        assert_eq!(paid("evt_1").post(&server.addr).status, 200);
        let (file, away) = (dir.path(moved), dir.path("moved-away"));
        std::fs::rename(&file, &away).unwrap();
        let answers = (2..20).map(|n| paid(&format!("evt_{n}")).try_post(&server.addr));
        let acknowledged = answers.flatten().filter(|answer| answer.status == 200).count();
        assert_eq!(acknowledged, 0, "{moved}");
        let log = server.log.clone();
        assert_eq!(server.exit_code(), Some(70), "{moved}");
        let log = log.lock().unwrap().clone();
        assert!(log.contains("moved or deleted") && log.contains(moved), "{log}");
        std::fs::rename(&away, &file).unwrap();
        let server = dir.start();
        let (stored, _) = (server.events(""), server.terminate());
        assert!(stored.iter().any(|event| event["eventId"] == "evt_1"), "{moved}: {stored:?}");
    }
}

#[test]
fn a_server_without_events_ends_when_its_database_is_deleted() {
    let dir = server_dir();
    let server = dir.start();
    assert_eq!(paid("evt_1").post(&server.addr).status, 200);
    std::fs::remove_file(dir.path("events.db")).unwrap();
    eventually("the server is not ready", || server.admin("GET", "/readyz", "").status == 503);
    assert_eq!(server.exit_code(), Some(70));
}

#[test]
fn a_backup_of_a_running_server_is_checked_restored_and_never_overwrites() {
    let dir = server_dir();
    let server = dir.start();
    for n in 0..5 {
        assert_eq!(paid(&format!("evt_{n}")).post(&server.addr).status, 200);
    }
    let made = dir.run(&["backup", "copy.db", "--json"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let report: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!((&report["ok"], &report["events"]), (&true.into(), &5.into()), "{report}");
    assert_eq!(paid("evt_5").post(&server.addr).status, 200);
    let again = dir.run(&["backup", "copy.db"]);
    assert_eq!(again.status.code(), Some(70));
    let message = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(message.contains("overwrites nothing"), "{message}");
    for file in ["events.db", "copy.db"] {
        let checked = dir.run(&["verify-store", file]);
        let text = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success() && text.contains(": ok, "), "{file}: {text}");
    }
    server.kill();
    // Beside the log and the mark of the newer store, the backup is refused with the cure.
    std::fs::copy(dir.path("copy.db"), dir.path("events.db")).unwrap();
    let log = crate::server::Server::try_start(dir.0.path(), &[]).err().expect("it started");
    assert!(log.contains("is a backup made at") && log.contains("events.db.mark"), "{log}");
    let checked = dir.run(&["verify-store", "events.db"]);
    assert_eq!(checked.status.code(), Some(1));
    for end in ["-wal", "-shm", ".mark"] {
        let _ = std::fs::remove_file(dir.path(&format!("events.db{end}")));
    }
    let server = dir.start();
    assert_eq!(server.events("").len(), 5);
}

#[cfg(unix)]
#[test]
fn check_and_serve_warn_of_a_store_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = server_dir();
    dir.start().terminate();
    let quiet = dir.run(&["check"]);
    assert!(!String::from_utf8_lossy(&quiet.stderr).contains("other users"), "{quiet:?}");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(dir.path("events.db"), open).unwrap();
    let warned = dir.run(&["check"]);
    let text = String::from_utf8_lossy(&warned.stderr).into_owned();
    assert!(warned.status.success() && text.contains("chmod 600"), "{text}");
    let server = dir.start();
    eventually("it warns", || server.log().contains("open to others"));
}
