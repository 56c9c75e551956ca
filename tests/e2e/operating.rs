//! What an operator does: reload, list, show and replay, over the admin port and the command line.

use serde_json::json;

use crate::http;
use crate::sender::{paid, push};
use crate::server::{SOURCES, Server, ServerDir, eventually};

fn server_dir(routes: &str) -> ServerDir {
    ServerDir::new(&format!("store: sqlite:events.db\n{SOURCES}\nroutes:\n{routes}"))
}

const NOOP: &str = "  - { name: r, events: stripe/**, chain: [noop] }\n";
const FAILS: &str = "  - { name: r, events: stripe/**, chain: [{ handler: exec, with: { command: [\"false\"] } }], retry: { attempts: 1 } }\n";

#[test]
fn sighup_applies_a_valid_file_and_ignores_an_invalid_one() {
    let dir = server_dir(NOOP);
    let server = dir.start();
    let text = std::fs::read_to_string(dir.path("routes.yaml")).unwrap();
    dir.write("routes.yaml", &text.replace("  github:", "  githubb: {}\n  github:"));
    server.signal("-HUP");
    eventually("the mistake is logged", || server.log().contains("reload failed"));
    assert_eq!(paid("evt_1").post(&server.addr).status, 200);
    let stats = server.admin("GET", "/api/v1/stats", "").json();
    assert!(stats["lastReloadError"].as_str().unwrap().contains("githubb"));
    dir.write(
        "routes.yaml",
        &text
            .replace(
                "  github:",
                "  github: { path: /hooks/gh, secrets: [e2e-github] }\n  github2:",
            )
            .replace("github2: {", "github2: { provider: github,"),
    );
    server.signal("-HUP");
    eventually("the new path answers", || {
        let moved = crate::sender::Signed { target: "/hooks/gh".into(), ..push("id-1", b"{}") };
        moved.post(&server.addr).status == 200
    });
    assert_eq!(push("id-2", b"{}").post(&server.addr).status, 404);
}

#[test]
fn the_store_cannot_be_changed_by_a_reload() {
    let dir = server_dir(NOOP);
    let server = dir.start();
    let text = std::fs::read_to_string(dir.path("routes.yaml")).unwrap();
    dir.write("routes.yaml", &text.replace("sqlite:events.db", "sqlite:other.db"));
    server.signal("-HUP");
    eventually("it is rejected", || server.log().contains("restart it for that"));
}

#[test]
fn the_admin_port_requires_its_token_and_rejects_other_origins() {
    let dir = ServerDir::new(&format!(
        "store: \"memory:\"\nadmin: {{ token: s3cret-token-of-e2e }}\n{SOURCES}routes: []\n"
    ));
    let server = dir.start();
    let ask = |headers: &[(&str, &str)]| {
        let headers: Vec<_> =
            headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        http::send(&server.admin, "GET", "/api/v1/events", &headers, b"").unwrap().status
    };
    assert_eq!(ask(&[]), 401);
    assert_eq!(ask(&[("authorization", "Bearer wrong")]), 401);
    assert_eq!(ask(&[("authorization", "Bearer s3cret-token-of-e2e")]), 200);
    let foreign =
        [("authorization", "Bearer s3cret-token-of-e2e"), ("origin", "https://evil.example")];
    assert_eq!(ask(&foreign), 403);
    let probe = http::send(&server.admin, "GET", "/readyz", &[], b"").unwrap();
    assert_eq!(probe.status, 200);
}

#[test]
fn wrong_admin_tokens_are_logged_with_their_address_and_slowed() {
    let dir = ServerDir::new(&format!(
        "store: \"memory:\"\nadmin: {{ token: s3cret-token-of-e2e }}\n{SOURCES}routes: []\n"
    ));
    let server = dir.start();
    let ask = |token: &str| {
        let headers = [("authorization".to_owned(), format!("Bearer {token}"))];
        http::send(&server.admin, "GET", "/api/v1/events", &headers, b"").unwrap().status
    };
    for n in 0..12 {
        assert_eq!(ask(&format!("guess-number-{n}")), 401);
    }
    assert_eq!(ask("s3cret-token-of-e2e"), 200, "the right token is never refused");
    eventually("wrong tokens are logged", || {
        server.log().contains("admin token rejected client=127.0.0.1 wrong=1")
    });
    assert!(!server.log().contains("guess-number"), "{}", server.log());
}

#[test]
fn an_admin_call_whose_body_is_not_declared_as_json_is_rejected() {
    let dir = server_dir(NOOP);
    let server = dir.start();
    let post = |content_type: Option<&str>, body: &str| {
        let headers: Vec<_> =
            content_type.map(|t| ("content-type".to_owned(), t.to_owned())).into_iter().collect();
        let body = body.as_bytes();
        http::send(&server.admin, "POST", "/api/v1/replay", &headers, body).unwrap()
    };
    for declared in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let answer = post(declared, r#"{"dryRun":true}"#);
        assert_eq!(answer.status, 415, "{declared:?}");
        assert_eq!(answer.json()["code"], "UNSUPPORTED_MEDIA_TYPE");
    }
    assert_eq!(post(Some("text/plain"), "").status, 415);
    for declared in ["application/json", "Application/JSON; charset=utf-8"] {
        assert_eq!(post(Some(declared), r#"{"dryRun":true}"#).status, 202, "{declared}");
    }
    assert_eq!(post(None, "").status, 202);
}

#[test]
fn a_flood_of_rejected_requests_leaves_a_few_lines_that_name_the_address() {
    let dir = server_dir(NOOP);
    let server = dir.start();
    for n in 0..50 {
        let forged = paid(&format!("evt_{n}")).with("stripe-signature", "t=1,v1=00");
        assert_eq!(forged.post(&server.addr).status, 401);
        let unknown = http::send(&server.addr, "POST", "/webhooks/nobody", &[], b"").unwrap();
        assert_eq!(unknown.status, 404);
    }
    paid("evt_genuine").post(&server.addr);
    eventually("the event is logged", || server.log().contains("delivery stored"));
    let log = server.log();
    for what in ["INVALID_FORMAT", "unknown path"] {
        let lines: Vec<_> = log.lines().filter(|l| l.contains(what)).collect();
        assert!((1..=6).contains(&lines.len()), "{lines:#?}");
        assert!(lines.iter().all(|l| l.contains("client=127.0.0.1")), "{lines:#?}");
    }
    assert_eq!(server.metric("hookward_rejected_total{source=\"stripe\""), 50.0);
}

#[test]
fn check_rejects_a_source_whose_sender_signs_a_url_that_is_not_known() {
    let message_signatures = "provider: http_message_signatures, secrets: [\"c2VjcmV0LXNlY3JldC1zZWNyZXQ=\"], with: { alg: hmac-sha256 }";
    for (source, needs_url) in [
        ("secrets: [\"12345678901234567890123456789012\"], provider: twilio", true),
        ("secrets: [\"trello-secret\"], provider: trello", true),
        (message_signatures, true),
        ("provider: google_pubsub, with: { email: a@b.iam.gserviceaccount.com }", true),
        (
            "provider: google_pubsub, with: { email: a@b.iam.gserviceaccount.com, audience: https://a.example }",
            false,
        ),
        ("secrets: [\"e2e-github\"], provider: github", false),
    ] {
        let routes = format!("sources:\n  one: {{ {source} }}\nroutes: []\n");
        let check = |routes: &str| {
            let output = ServerDir::new(routes).run(&["check"]);
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (code, messages) = check(&routes);
        assert_eq!(code, Some(i32::from(needs_url)), "{source}: {messages}");
        assert_eq!(messages.contains("signs the URL that it calls"), needs_url, "{messages}");
        let url = "server: { public_url: \"https://hooks.example.com\" }\n";
        let (code, messages) = check(&format!("{url}{routes}"));
        assert_eq!(code, Some(0), "{source}: {messages}");
    }
}

#[test]
fn listings_are_filtered_and_paged() {
    let dir = server_dir(NOOP);
    let server = dir.start();
    for n in 0..7 {
        paid(&format!("evt_{n}")).post(&server.addr);
    }
    push("id-1", b"{}").post(&server.addr);
    assert_eq!(server.events("source=github").len(), 1);
    assert_eq!(server.events("type=push").len(), 1);
    assert_eq!(server.events("q=evt_3").len(), 1);
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server
            .admin("GET", &format!("/api/v1/events?source=stripe&limit=3&cursor={cursor}"), "")
            .json();
        seen.extend(
            page["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["eventId"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["evt_6", "evt_5", "evt_4", "evt_3", "evt_2", "evt_1", "evt_0"]);
    assert_eq!(server.admin("GET", "/api/v1/events?status=odd", "").status, 400);
    assert_eq!(server.admin("GET", "/api/v1/events/nobody", "").status, 404);
    assert_eq!(server.admin("GET", "/openapi.json", "").json()["openapi"], "3.1.0");
}

fn text(output: &std::process::Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn events_commands_call_the_running_server() {
    let dir = server_dir(FAILS);
    let server = dir.start();
    paid("evt_1").post(&server.addr);
    eventually("it is dead", || server.events("status=dead").len() == 1);
    let admin = format!("http://{}", server.admin);
    let list = dir.run(&["events", "list", "--admin", &admin, "--json"]);
    assert!(list.status.success(), "{}", text(&list));
    let listed: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(listed["events"][0]["eventId"], "evt_1");
    let shown = dir.run(&["events", "show", "evt_1", "--admin", &admin]);
    assert!(text(&shown).contains("payment_intent.succeeded"), "{}", text(&shown));
    let dead = dir.run(&["dead", "list", "--admin", &admin]);
    assert!(text(&dead).contains("evt") || text(&dead).contains("exec"), "{}", text(&dead));
    let planned = dir.run(&["dead", "replay", "--dry-run", "--json", "--admin", &admin]);
    let planned: serde_json::Value = serde_json::from_slice(&planned.stdout).unwrap();
    assert_eq!(planned, json!({"events": 1, "jobs": 1}));
    let replayed = dir.run(&["dead", "replay", "--admin", &admin]);
    assert!(text(&replayed).contains("jobs: 1"), "{}", text(&replayed));
}

#[test]
fn events_commands_open_the_store_when_no_server_runs() {
    let dir = server_dir(FAILS);
    let server = dir.start();
    paid("evt_1").post(&server.addr);
    eventually("it is dead", || server.events("status=dead").len() == 1);
    assert_eq!(server.terminate(), Some(0));
    // No server listens on the admin port of this file.
    let text_of = std::fs::read_to_string(dir.path("routes.yaml")).unwrap();
    dir.write("routes.yaml", &format!("admin: {{ listen: 127.0.0.1:9 }}\n{text_of}"));
    let shown = dir.run(&["events", "show", "evt_1", "--json"]);
    let shown: serde_json::Value =
        serde_json::from_slice(&shown.stdout).unwrap_or_else(|_| panic!("{}", text(&shown)));
    assert_eq!(shown["status"], "dead");
    let replayed = dir.run(&["events", "replay", "evt_1", "--json"]);
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed));
    dir.write("routes.yaml", &text_of.replace("[\"false\"]", "[\"true\"]"));
    let server = dir.start();
    eventually("it is done", || server.events("status=done").len() == 1);
}

#[test]
fn logs_metrics_and_listings_contain_no_secret_and_no_payload() {
    let dir = server_dir(NOOP);
    let server = dir.start();
    let canary = "canary-4111111111111111";
    let object = json!({"id": "pi_1", "amount": 1, "currency": "usd", "card": canary});
    crate::sender::stripe("evt_1", "payment_intent.succeeded", object).post(&server.addr);
    paid("evt_2").with("stripe-signature", "t=1,v1=beef").post(&server.addr);
    eventually("it is done", || !server.events("status=done").is_empty());
    let everything = [
        server.log(),
        server.admin("GET", "/metrics", "").text(),
        server.admin("GET", "/api/v1/sources", "").text(),
        server.admin("GET", "/api/v1/routes", "").text(),
        server.get("/health").text(),
    ]
    .concat();
    for secret in [canary, "whsec_e2e_stripe", "e2e-github"] {
        assert!(!everything.contains(secret), "{secret} in {everything}");
    }
}

#[test]
fn a_store_that_cannot_be_opened_exits_with_70() {
    let dir = ServerDir::new(&format!("store: sqlite:nowhere/events.db\n{SOURCES}routes: []\n"));
    let output = dir.run(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(70), "{}", text(&output));
    assert!(text(&output).contains("nowhere"));
}

/// Checks that a server accepts, works and stops although its log cannot be written.
fn assert_serves_with_stderr(stderr: std::process::Stdio) {
    let dir = server_dir(NOOP);
    let server = Server::start_with_stderr(dir.0.path(), stderr);
    // More lines than a pipe buffers.
    for n in 0..400 {
        let answer = paid(&format!("evt_{n}")).try_post(&server.addr).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    eventually("all are done", || server.admin("GET", "/api/v1/stats", "").json()["open"] == 0);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn an_unread_log_delays_no_request() {
    let (_unread, log) = std::io::pipe().unwrap();
    assert_serves_with_stderr(log.into());
}

#[test]
fn a_closed_log_breaks_no_request() {
    assert_serves_with_stderr(
        std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into(),
    );
    let (gone, log) = std::io::pipe().unwrap();
    drop(gone);
    assert_serves_with_stderr(log.into());
}
