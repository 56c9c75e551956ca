//! Conditions that cost much for some bodies, on a server with a limited address space.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::http;
use crate::server::{Server, ServerDir};

/// The address space of the server. Four evaluations without a bound need more within seconds.
const MAX_ADDRESS_SPACE_BYTES: u64 = 3 << 30;
/// The most memory that the server may have used at any time.
const MAX_RESIDENT_KIB: u64 = 700 * 1024;
/// How long an answer may take. Tests are not optimised, and the machine may be busy.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(12);

const SOURCES: &str = r#"
store: sqlite:events.db
sources:
  partner:
    provider: hmac
    secrets: ["conditions-partner"]
    with: { signature: { in: header, name: x-token }, message: "{body}", alg: equal, event_type: header:x-type, event_id: header:x-id }
  batches:
    provider: hmac
    secrets: ["conditions-partner"]
    with: { signature: { in: header, name: x-token }, message: "{body}", alg: equal, event_type: /type, event_id: /id, batch: /items }
routes:
"#;

/// Posts a body, and returns its status and how long that took.
fn post(addr: &str, source: &str, event_type: &str, id: &str, body: &str) -> (u16, Duration) {
    let headers = [("x-token", "conditions-partner"), ("x-type", event_type), ("x-id", id)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let started = Instant::now();
    let answer =
        http::send(addr, "POST", &format!("/webhooks/{source}"), &headers, body.as_bytes());
    (answer.unwrap().status, started.elapsed())
}

fn limit_address_space(server: &Server) {
    let limit = format!("--as={MAX_ADDRESS_SPACE_BYTES}");
    let pid = server.pid().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
    assert!(status.expect("prlimit of util-linux").success());
}

fn peak_resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Nested objects, to the depth that a body may have.
fn nested(levels: usize, innermost: &str) -> String {
    format!("{}{innermost}{}", r#"{"a":"#.repeat(levels), "}".repeat(levels))
}

/// A name, a schema and a body for it.
fn costly_schemas() -> Vec<(&'static str, String, String)> {
    let recursive = |keyword: &str| {
        format!(
            r##"{{"$defs":{{"n":{{"{keyword}":[
                {{"type":"object","properties":{{"a":{{"$ref":"#/$defs/n"}}}},"required":["a"]}},
                {{"type":"object","properties":{{"a":{{"$ref":"#/$defs/n"}}}},"maxProperties":9}},
                {{"type":"integer"}}]}}}},"$ref":"#/$defs/n"}}"##
        )
    };
    let deep = nested(58, "\"x\"");
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let numbers = list((0..300_000).map(|n| n.to_string()).collect());
    let objects = list(vec![r#"{"a":[1,2,{"b":3}]}"#.to_owned(); 30_000]);
    let members: Vec<_> = (0..100_000).map(|n| format!(r#""k{n}":{n}"#)).collect();
    let members = format!("{{{}}}", members.join(","));
    let wide = nested(50, &list(vec![nested(8, "1"); 500]));
    let options = list((0..2000).map(|n| format!(r#"{{"v":{n}}}"#)).collect());
    vec![
        ("one-of", recursive("oneOf"), deep.clone()),
        ("any-of", recursive("anyOf"), deep.clone()),
        ("all-of", recursive("allOf"), deep.clone()),
        ("one-of-wide", recursive("oneOf"), wide.clone()),
        ("dynamic-ref", r##"{"$dynamicAnchor":"n","type":"object","properties":{"a":{"oneOf":[{"$dynamicRef":"#n"},{"$dynamicRef":"#n","required":["a"]},{"not":{"$dynamicRef":"#n"}}]}}}"##.to_owned(), deep.clone()),
        ("unevaluated", r##"{"type":"object","properties":{"a":{"anyOf":[{"$ref":"#"},{"$ref":"#","minProperties":1}]}},"unevaluatedProperties":false}"##.to_owned(), deep.clone()),
        ("unevaluated-wide", r##"{"anyOf":[{"patternProperties":{"^k1":true}},{"patternProperties":{"^k2":true}}],"unevaluatedProperties":false}"##.to_owned(), members.clone()),
        ("not", r##"{"properties":{"a":{"not":{"anyOf":[{"$ref":"#"},{"not":{"$ref":"#"}}]}}},"type":"object"}"##.to_owned(), deep.clone()),
        ("if", r##"{"type":"object","properties":{"a":{"if":{"$ref":"#"},"then":{"$ref":"#"},"else":{"$ref":"#"}}}}"##.to_owned(), deep.clone()),
        ("dependent", r##"{"type":"object","dependentSchemas":{"a":{"properties":{"a":{"oneOf":[{"$ref":"#"},{"$ref":"#"}]}}}}}"##.to_owned(), deep),
        ("contains", r##"{"items":{"contains":{"contains":{"const":9}}},"contains":{"type":"string"}}"##.to_owned(), objects.clone()),
        ("unique", r#"{"uniqueItems":true}"#.to_owned(), numbers),
        ("unique-objects", r#"{"uniqueItems":true,"minItems":1000000}"#.to_owned(), objects.clone()),
        ("enum", format!(r#"{{"items":{{"enum":{options}}}}}"#), objects.clone()),
        ("const", format!(r#"{{"const":{objects},"maxItems":1}}"#), objects),
        ("patterns", r#"{"patternProperties":{"^k.*1$":{"type":"string"},"(k|1)*(2|3)*$":{"maximum":5}},"additionalProperties":false}"#.to_owned(), members.clone()),
        ("names", r#"{"propertyNames":{"anyOf":[{"pattern":"^x"},{"minLength":9}]}}"#.to_owned(), members),
        ("text", r#"{"allOf":[{"pattern":"(a|b)*c"},{"pattern":"(a|aa)*d"},{"pattern":"a{1,90}b"},{"format":"email"}]}"#.to_owned(), format!("\"{}\"", "a".repeat(8 << 20))),
    ]
}

#[test]
fn no_schema_and_body_hold_a_sender_or_the_memory_of_the_server() {
    let cases = costly_schemas();
    let route = |name: &str| {
        format!(
            "  - {{ name: {name}, events: partner/{name}, schema: {name}.json, chain: [noop] }}\n"
        )
    };
    let routes: String = cases.iter().map(|(name, _, _)| route(name)).collect();
    let dir = ServerDir::new(&format!(
        "{SOURCES}{routes}  - {{ name: plain, events: partner/plain, chain: [noop] }}\n"
    ));
    for (name, schema, _) in &cases {
        dir.write(&format!("{name}.json"), schema);
    }
    let server = dir.start();
    limit_address_space(&server);
    for (name, _, body) in &cases {
        let times: Vec<_> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..4)
                .map(|n| {
                    let addr = &server.addr;
                    scope.spawn(move || post(addr, "partner", name, &format!("{name}-{n}"), body))
                })
                .collect();
            // A cheap event beside them.
            let (status, took) = post(&server.addr, "partner", "plain", &format!("p-{name}"), "{}");
            assert_eq!(status, 200, "beside {name}");
            assert!(took < MAX_ANSWER_TIME, "beside {name}: {took:?}");
            senders.into_iter().map(|sender| sender.join().unwrap()).collect()
        });
        for (status, took) in times {
            // Memory for large bodies is shared, and a sender that does not get it tries again.
            assert!(status == 200 || (status == 503 && body.len() > 64 << 10), "{name}: {status}");
            assert!(took < MAX_ANSWER_TIME, "{name}: {took:?}");
        }
    }
    let peak = peak_resident_kib(&server);
    assert!(peak < MAX_RESIDENT_KIB, "{peak} KiB");
}

#[test]
fn a_batch_whose_condition_costs_too_much_is_answered_soon_and_listed_as_invalid() {
    let dir = ServerDir::new(&format!(
        "{SOURCES}  - {{ name: expression, events: batches/**, when: \"body.text | upper | list | sort | unique | list | length > 300\", chain: [noop] }}\n"
    ));
    let server = dir.start();
    limit_address_space(&server);
    let text: String = ('a'..='z').cycle().take(2000).collect();
    let item = |n: usize| format!(r#"{{"type":"t","id":"i{n}","text":"{text}"}}"#);
    let items: Vec<_> = (0..4000).map(item).collect();
    let body = format!(r#"{{"items":[{}]}}"#, items.join(","));
    let (status, took) = post(&server.addr, "batches", "t", "-", &body);
    assert_eq!(status, 200);
    assert!(took < MAX_ANSWER_TIME, "{took:?}");
    let invalid = server.events("status=invalid");
    assert!(!invalid.is_empty(), "the budget has no end");
    let id = invalid[0]["id"].as_str().unwrap();
    let event = server.admin("GET", &format!("/api/v1/events/{id}"), "").text();
    assert!(event.contains("cost more than one delivery may take"), "{event}");
    let over_budget = server.metric("hookward_conditions_over_budget_total{route=\"expression\"}");
    assert!(over_budget >= 1.0, "{over_budget}");
    let replayed =
        server.admin("POST", &format!("/api/v1/events/{id}/replay"), r#"{"route":"expression"}"#);
    assert_eq!(replayed.json()["jobs"], 1, "{}", replayed.text());
}
