//! `hookward check`, `routes`, `explain`, `plugins`, `schema`: the commands that an operator runs before serving.

use serde_json::json;

use crate::server::ServerDir;

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn check_reports_ten_mistakes_each_with_position_and_help() {
    let dir = ServerDir::new(
        r#"store: sqlite:events.db
server: { listn: 127.0.0.1:8080 }
sources:
  stripe:
    secrets: ["${E2E_UNSET_SECRET}"]
  github:
    secrets: [""]
    limits: { rate: 100/fortnight }
  shopfy:
    provider: shopfy
    secrets: [x]
routes:
  - name: a
    events: strpe/invoice.paid
    chain: [log]
  - name: b
    events: stripe/invoice.paid
    chain: []
  - name: b
    events: stripe/*
    chain: [loog]
  - name: c
    events: stripe/*
    schema: nowhere.json
    chain:
      - handler: http_forward
        with: { url: "http://127.0.0.1:1", allow_privat: true }
    retry: { attempts: many }
"#,
    );
    let output = dir.run(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    let positions = message.lines().filter(|l| l.contains("routes.yaml:")).count();
    assert!(positions >= 11, "{positions} positions in\n{message}");
    for word in [
        "listn",
        "E2E_UNSET_SECRET",
        "empty",
        "fortnight",
        "shopfy",
        "strpe",
        "chain",
        "`b`",
        "loog",
        "nowhere.json",
        "allow_privat",
        "attempts",
    ] {
        assert!(message.contains(word), "no word of {word} in\n{message}");
    }
    assert!(message.contains("help"), "{message}");
}

#[test]
fn check_summarises_a_valid_file() {
    let dir = ServerDir::new(
        "store: \"memory:\"\nsources:\n  stripe: { secrets: [whsec_x] }\nroutes:\n  - { name: a, events: stripe/**, chain: [log, noop] }\n",
    );
    let output = dir.run(&["check", "--live"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let message = stdout(&output);
    assert!(
        message.contains("1 source") && message.contains("1 route") && message.contains("noop"),
        "{message}"
    );
    assert!(!message.contains("whsec_x"));
}

#[test]
fn a_source_without_secret_or_provider_does_not_start() {
    for (sources, word) in [("{ stripe: {} }", "secret"), ("{ acme: { secrets: [x] } }", "acme")] {
        let dir = ServerDir::new(&format!("store: \"memory:\"\nsources: {sources}\nroutes: []\n"));
        let started = crate::server::Server::try_start(dir.0.path(), &[]);
        assert!(started.err().expect("it started").contains(word));
    }
}

#[test]
fn explain_gives_a_reason_for_every_route() {
    let dir = ServerDir::new(
        r#"store: "memory:"
sources: { stripe: { secrets: [x] } }
routes:
  - { name: takes, events: stripe/invoice.*, chain: [log] }
  - { name: glob, events: stripe/charge.*, chain: [log] }
  - { name: match, events: stripe/**, match: { /data/object/currency: [eur] }, chain: [log] }
  - { name: when, events: stripe/**, when: body.data.object.amount > 1000, chain: [log] }
"#,
    );
    dir.write("event.json", r#"{"data":{"object":{"amount":5,"currency":"usd"}}}"#);
    let args = [
        "explain",
        "--source",
        "stripe",
        "--type",
        "invoice.paid",
        "--data",
        "event.json",
        "--json",
    ];
    let output = dir.run(&args);
    let message: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let verdicts: Vec<_> =
        message.as_array().unwrap().iter().map(|r| r["verdict"].clone()).collect();
    assert_eq!(verdicts, [json!("takes"), json!("glob"), json!("match"), json!("when")]);
}

#[test]
fn plugins_and_schema_print_json() {
    let dir = ServerDir::new("");
    let plugins: serde_json::Value =
        serde_json::from_str(&stdout(&dir.run(&["plugins", "--json"]))).unwrap();
    let names: Vec<_> =
        plugins.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    for name in [
        "stripe",
        "github",
        "shopify",
        "slack",
        "standard_webhooks",
        "hmac",
        "none",
        "noop",
        "log",
        "file",
        "http_forward",
        "exec",
        "sqlite",
        "memory",
    ] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
    let schema: serde_json::Value = serde_json::from_str(&stdout(&dir.run(&["schema"]))).unwrap();
    assert!(schema["$schema"].is_string());
}

#[test]
fn wrong_usage_exits_with_2() {
    let dir = ServerDir::new("");
    assert_eq!(dir.run(&["frobnicate"]).status.code(), Some(2));
    assert_eq!(dir.run(&["explain", "--source"]).status.code(), Some(2));
}

#[test]
fn the_shipped_schema_is_the_printed_one() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/routes.schema.json");
    let shipped = std::fs::read_to_string(shipped).unwrap();
    let printed = stdout(&ServerDir::new("").run(&["schema"]));
    assert!(shipped == printed, "run `hookward schema > schemas/routes.schema.json`");
}
