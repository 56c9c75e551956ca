//! Jobs after the answer: retries, dead letters, replays and resuming.

use serde_json::json;

use crate::sender::{paid, push};
use crate::server::{SOURCES, ServerDir, eventually};

fn server_dir(routes: &str) -> ServerDir {
    ServerDir::new(&format!(
        "store: sqlite:events.db\ndefaults: {{ retry: {{ attempts: 3, first_delay: 50ms, max_delay: 100ms }}, step_timeout: 20s }}\n{SOURCES}\nroutes:\n{routes}"
    ))
}

fn detail(server: &crate::server::Server, id: &str) -> serde_json::Value {
    server.admin("GET", &format!("/api/v1/events/{id}"), "").json()
}

#[test]
fn a_failing_step_is_retried_and_then_dead_with_every_attempt_recorded() {
    let dir = server_dir(
        "  - name: r\n    events: stripe/**\n    chain: [{ handler: exec, with: { command: [sh, -c, 'cat >> seen; echo >> seen; exit 1'] } }]\n",
    );
    let server = dir.start();
    assert_eq!(paid("evt_1").post(&server.addr).status, 200);
    eventually("it is dead", || server.events("status=dead").len() == 1);
    let event = detail(&server, "evt_1");
    let attempts = event["jobs"][0]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3);
    assert_eq!(attempts[0]["outcome"], "error");
    assert_eq!(attempts[1]["cause"], "error");
    assert!(event["jobs"][0]["reason"].as_str().unwrap().contains("attempt 3 of 3"));
    assert_eq!(dir.lines("seen").len(), 3);
    let dead = server.admin("GET", "/api/v1/dead", "").json();
    assert_eq!(dead["events"][0]["dead"][0]["route"], "r");
    assert_eq!(server.metric("hookward_jobs_total{route=\"r\",outcome=\"dead\"}"), 1.0);
    assert_eq!(server.metric("hookward_jobs_total{route=\"r\",outcome=\"retry\"}"), 2.0);
}

#[test]
fn a_retried_chain_resumes_at_the_failed_step() {
    let dir = server_dir(
        "  - name: r\n    events: stripe/**\n    chain:\n      - { handler: file, with: { path: first.jsonl } }\n      - { handler: exec, with: { command: [sh, -c, 'test -f ready'] } }\n      - { handler: file, with: { path: last.jsonl } }\n    retry: { attempts: 100 }\n",
    );
    let server = dir.start();
    paid("evt_1").post(&server.addr);
    eventually("a few attempts", || {
        server.metric("hookward_jobs_total{route=\"r\",outcome=\"retry\"}") >= 2.0
    });
    dir.write("ready", "");
    eventually("it is done", || server.events("status=done").len() == 1);
    assert_eq!(dir.lines("first.jsonl").len(), 1);
    assert_eq!(dir.lines("last.jsonl").len(), 1);
}

#[test]
fn an_operator_replays_a_dead_job() {
    let dir = server_dir(
        "  - name: r\n    events: stripe/**\n    chain: [{ handler: exec, with: { command: [sh, -c, 'test -f ready'] } }]\n    retry: { attempts: 1 }\n",
    );
    let server = dir.start();
    paid("evt_1").post(&server.addr);
    paid("evt_2").post(&server.addr);
    eventually("both are dead", || server.events("status=dead").len() == 2);
    dir.write("ready", "");
    let planned = server.admin("POST", "/api/v1/replay", r#"{"status":"dead","dryRun":true}"#);
    assert_eq!((planned.status, planned.json()), (202, json!({"events": 2, "jobs": 2})));
    let one = server.admin("POST", "/api/v1/events/evt_1/replay", "");
    assert_eq!((one.status, one.json()), (202, json!({"jobs": 1})));
    eventually("one is done", || server.events("status=done").len() == 1);
    let rest = server.admin("POST", "/api/v1/replay", r#"{"status":"dead"}"#);
    assert_eq!(rest.json(), json!({"events": 1, "jobs": 1}));
    eventually("both are done", || server.events("status=done").len() == 2);
    let attempts = detail(&server, "evt_1")["jobs"][0]["attempts"].clone();
    assert_eq!(attempts[1]["cause"], "replay");
    // A repetition by the sender is still a duplicate.
    assert_eq!(paid("evt_1").post(&server.addr).status, 200);
    assert_eq!(server.events("").len(), 2);
}

#[test]
fn an_operator_replays_a_done_event_on_all_routes_or_one() {
    let dir = server_dir(
        "  - { name: a, events: stripe/**, chain: [{ handler: file, with: { path: a.jsonl } }] }\n  - { name: b, events: stripe/**, chain: [{ handler: file, with: { path: b.jsonl } }] }\n",
    );
    let server = dir.start();
    paid("evt_1").post(&server.addr);
    eventually("both ran", || dir.lines("a.jsonl").len() + dir.lines("b.jsonl").len() == 2);
    eventually("it is done", || server.events("status=done").len() == 1);
    let answer = server.admin("POST", "/api/v1/events/evt_1/replay", r#"{"route":"b"}"#);
    assert_eq!(answer.json(), json!({"jobs": 1}));
    eventually("b ran again", || dir.lines("b.jsonl").len() == 2);
    assert_eq!(dir.lines("a.jsonl").len(), 1);
    let wrong = server.admin("POST", "/api/v1/events/evt_1/replay", r#"{"route":"c"}"#);
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("a, b"));
}

#[test]
fn a_hanging_step_is_killed_with_its_children_at_the_timeout() {
    let dir = server_dir(
        "  - name: r\n    events: stripe/**\n    chain: [{ handler: exec, timeout: 300ms, with: { command: [sh, -c, 'sleep 300 & echo $! > child; wait'] } }]\n    retry: { attempts: 1 }\n",
    );
    let server = dir.start();
    paid("evt_1").post(&server.addr);
    eventually("it is dead", || server.events("status=dead").len() == 1);
    let attempt = detail(&server, "evt_1")["jobs"][0]["attempts"][0].clone();
    assert_eq!(attempt["outcome"], "timeout");
    let child = std::fs::read_to_string(dir.path("child")).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    eventually("the child is gone", || {
        std::fs::read_to_string(&stat).map_or(true, |s| s.contains(") Z "))
    });
}

#[test]
fn every_matching_route_gets_its_own_job() {
    let dir = server_dir(
        "  - { name: a, events: github/push, chain: [noop] }\n  - { name: b, events: [github/*], match: { /ref: [{ prefix: refs/heads/ }] }, chain: [noop] }\n  - { name: c, events: github/push, when: body.forced, chain: [noop] }\n  - { name: d, events: '*/push', chain: [noop] }\n",
    );
    let server = dir.start();
    push("id-1", br#"{"ref":"refs/heads/main","forced":false}"#).post(&server.addr);
    eventually("all are done", || server.events("status=done").len() == 1);
    let event = detail(&server, "id-1");
    let routes: Vec<_> = event["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|j| j["route"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(routes, ["a", "b", "d"]);
}

#[test]
fn jobs_of_one_order_key_run_in_the_order_of_acceptance() {
    let dir = server_dir(
        "  - name: r\n    events: stripe/**\n    order_by: /data/object/customer\n    chain:\n      - { handler: exec, with: { command: [sh, -c, 'sleep 0.0$((RANDOM % 5))'] } }\n      - { handler: file, with: { path: done.jsonl } }\n",
    );
    let server = dir.start();
    for n in 0..20 {
        paid(&format!("evt_{n:02}")).post(&server.addr);
    }
    eventually("all ran", || dir.lines("done.jsonl").len() == 20);
    let order: Vec<_> =
        dir.lines("done.jsonl").iter().map(|l| l["eventId"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<_> = (0..20).map(|n| format!("evt_{n:02}")).collect();
    assert_eq!(order, expected);
}
