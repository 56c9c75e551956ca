//! Bodies of other media than plain JSON, and triggers without a body: recorded requests
//! (`bodies/*.http`, written by `bodies/record.py`) and what becomes of them (`bodies/cases.json`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde_json::Value;

use crate::http;
use crate::server::{ServerDir, eventually};

const SECRET: &str = "a secret of the recorded requests";

/// Every source takes its secret from above. The route reads the body of each event.
const ROUTES: &str = r#"
store: sqlite:events.db
sources:
  github: { secrets: [SECRET] }
  plex: { provider: none, with: { event_type: /event }, json: { form_field: payload } }
  mailgun: { secrets: [SECRET], with: { scheme: legacy_form }, tolerance: 10000d }
  mailgun_json: { provider: mailgun, secrets: [SECRET], tolerance: 10000d }
  parse: { provider: basic, secrets: ["sendgrid:mail"] }
  firehose:
    provider: hmac
    secrets: [SECRET]
    with: { signature: { in: header, name: X-Amz-Firehose-Access-Key }, alg: equal }
    decompress: { encodings: [gzip, deflate] }
  content:
    provider: hmac
    secrets: [SECRET]
    with:
      signature: { in: header, name: X-Signature }
      alg: hmac-sha256
      event_type: /type
      event_id: /id
    decompress: { encodings: [gzip], signed: decompressed }
  button:
    provider: hmac
    secrets: [SECRET]
    methods: [GET]
    with: { signature: { in: query, name: token }, alg: equal, event_type: form:event }
  job:
    provider: bearer
    secrets: [a-secret-of-the-recorded-requests]
    methods: [GET, PUT]
    with: { event_type: /event }
routes:
  - name: all
    events: ["*/**"]
    when: body is defined
    chain: [{ handler: file, with: { path: done.jsonl } }]
"#;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/e2e/bodies")
}

fn cases() -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join("cases.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn request_of(case: &Value) -> Vec<u8> {
    let name = case["request"].as_str().unwrap();
    std::fs::read(folder().join(format!("{name}.http"))).unwrap()
}

/// The bytes of the stored body, from the admin API.
fn stored_body(event: &Value) -> Vec<u8> {
    match event["body"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => BASE64.decode(event["bodyBase64"].as_str().unwrap().as_bytes()).unwrap(),
    }
}

fn check_case(case: &Value, dir: &ServerDir, server: &crate::server::Server) {
    let name = case["request"].as_str().unwrap();
    let request = request_of(case);
    let known: BTreeSet<String> = ids(server);
    let lines = dir.lines("done.jsonl").len();
    let answer = http::raw(&server.addr, &request).unwrap();
    assert_eq!(
        u64::from(answer.status),
        case["status"].as_u64().unwrap(),
        "{name}: {}",
        answer.text()
    );
    if let Some(code) = case["code"].as_str() {
        assert_eq!(answer.json()["code"], code, "{name}");
        assert_eq!(ids(server), known, "{name}: a rejected request is not stored");
        if let Some(words) = case["log"].as_str() {
            eventually("the log names the cause", || server.log().contains(words));
        }
        return;
    }
    let new: Vec<String> = ids(server).difference(&known).cloned().collect();
    let [id] = &new[..] else { panic!("{name}: stored {new:?}") };
    let show = || server.admin("GET", &format!("/api/v1/events/{id}"), "").json();
    eventually(name, || show()["status"] == case["event"]);
    let event = show();
    assert_eq!(event["eventType"], case["type"], "{name}");
    let at = request.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let expected = case["stored"].as_str().map_or(&request[at..], str::as_bytes);
    assert_eq!(stored_body(&event), expected, "{name}: the stored bytes are the received bytes");
    if case["event"] == "done" {
        eventually(name, || dir.lines("done.jsonl").len() > lines);
        let line = dir.lines("done.jsonl").pop().unwrap();
        if !case["body"].is_null() {
            let pointer = case["pointer"].as_str().unwrap_or_default();
            assert_eq!(line["body"].pointer(pointer), Some(&case["body"]), "{name}: {line}");
        }
    }
}

fn ids(server: &crate::server::Server) -> BTreeSet<String> {
    let events = server.events("");
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_recorded_body_becomes_what_its_case_says() {
    let dir = ServerDir::new(&ROUTES.replace("SECRET", &format!("{SECRET:?}")));
    let server = dir.start();
    for case in cases() {
        check_case(&case, &dir, &server);
    }
    // Read again from the store: the steps run once more, after a restart.
    let done = dir.lines("done.jsonl");
    drop(server);
    let server = dir.start();
    let replayed = server.admin("POST", "/api/v1/replay", r#"{"status":"done"}"#);
    assert_eq!(replayed.status, 202, "{}", replayed.text());
    eventually("all are handled again", || dir.lines("done.jsonl").len() == 2 * done.len());
    let body_of = |lines: &[Value], id: &Value| {
        let line = lines.iter().find(|line| line["id"] == *id).unwrap();
        (line["body"].clone(), line["bodyText"].clone(), line["bodyBase64"].clone())
    };
    let again = dir.lines("done.jsonl").split_off(done.len());
    for line in &done {
        assert_eq!(body_of(&done, &line["id"]), body_of(&again, &line["id"]), "{line}");
    }
}

#[test]
fn a_source_that_takes_the_last_of_equal_keys_handles_the_event() {
    let routes = ROUTES
        .replace("github: {", "github: { json: { duplicate_keys: last },")
        .replace("provider: mailgun,", "provider: mailgun, json: { duplicate_keys: last },")
        .replace("SECRET", &format!("{SECRET:?}"));
    let dir = ServerDir::new(&routes);
    let server = dir.start();
    for name in ["github_duplicate_keys", "mailgun_json_duplicate_keys"] {
        let case = cases().into_iter().find(|case| case["request"] == name).unwrap();
        let answer = http::raw(&server.addr, &request_of(&case)).unwrap();
        assert_eq!(answer.status, 200);
    }
    eventually("both are handled", || dir.lines("done.jsonl").len() == 2);
}
