//! What real senders do besides sending events: they try a URL, read the answer, and say things in
//! headers. Recorded requests come from the vectors of the providers.

use std::path::Path;

use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext};
use hookward_vectors::{HandshakeVector, VectorFile};
use serde_json::json;

use crate::http::{self, Answer};
use crate::sender;
use crate::server::{ServerDir, eventually};

/// Senders that try a URL with a request that is not signed for a time, with the secret of their
/// vectors.
const PROBING_SENDERS: [&str; 7] =
    ["slack", "line", "gocardless", "woocommerce", "intercom", "bitbucket", "microsoft_graph"];

fn vectors(name: &str) -> VectorFile {
    let providers = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("providers");
    let own = providers.join(name.replace('_', "-")).join("tests/vectors.json");
    let data = providers.join("catalogue/tests/vectors").join(format!("{name}.json"));
    let text = std::fs::read(if own.exists() { own } else { data }).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Sends the recorded request to the source of its provider.
fn replay(addr: &str, recorded: &HandshakeVector) -> Answer {
    let request = &recorded.request;
    let query = request.url.split_once('?').map(|(_, query)| format!("?{query}"));
    let source = recorded.provider.replace('-', "_");
    let target = format!("/webhooks/{source}{}", query.unwrap_or_default());
    let headers: Vec<_> = request
        .headers
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"))
        .cloned()
        .collect();
    let body = request.body.clone().unwrap_or_default();
    if request.method != "HEAD" {
        return http::send(addr, &request.method, &target, &headers, body.as_bytes()).unwrap();
    }
    // The answer to HEAD announces the length of a body that is not sent.
    let bytes = http::encode_request(addr, "HEAD", &target, &headers, b"");
    let mut stream = http::connect(addr);
    std::io::Write::write_all(&mut stream, &bytes).unwrap();
    http::read(&mut stream).unwrap()
}

#[test]
fn recorded_probes_get_their_answers_and_nothing_is_stored() {
    let recorded: Vec<HandshakeVector> = PROBING_SENDERS
        .iter()
        .flat_map(|name| vectors(name).handshakes)
        .filter(|probe| !probe.request.headers.iter().any(|(n, _)| n == "X-Slack-Signature"))
        .collect();
    assert!(recorded.len() >= 20, "only {} requests", recorded.len());
    let secret_of = |name: &str| {
        let mut own = recorded.iter().filter(|p| p.provider.replace('-', "_") == name);
        own.find(|probe| !probe.secret.is_empty()).unwrap()
    };
    let sources: serde_json::Map<_, _> = PROBING_SENDERS
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "secrets": [secret_of(name).secret] })))
        .collect();
    let file = json!({ "store": "sqlite:events.db", "sources": sources, "routes": [] });
    let dir = ServerDir::new(&file.to_string());
    let server = dir.start();
    let mut wrong = Vec::new();
    for probe in &recorded {
        let answer = replay(&server.addr, probe);
        let expected = &probe.response;
        // The body of an error is the server's own.
        let same_body = expected.status >= 400 || answer.body == expected.body.as_bytes();
        let has = |(name, value): (&String, &String)| {
            answer.header(&name.to_ascii_lowercase()).as_ref() == Some(value)
        };
        if answer.status != expected.status || !same_body || !expected.headers.iter().all(has) {
            wrong.push(format!("{}: {} {}", probe.id, answer.head, answer.text()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(server.events("").is_empty(), "a probe is no event");
}

fn tag(algorithm: HmacAlgorithm, secret: &str, message: &str) -> Vec<u8> {
    let mut mac = HmacContext::new(algorithm, secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    mac.finish().to_vec()
}

/// Posts a form that Slack signed now.
fn post_to_slack(addr: &str, form: &str) -> Answer {
    let now = sender::now().as_secs();
    let message = format!("v0:{now}:{form}");
    let signature = Encoding::Hex.encode(&tag(HmacAlgorithm::Sha256, "e2e-slack", &message));
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded".to_owned()),
        ("X-Slack-Request-Timestamp", now.to_string()),
        ("X-Slack-Signature", format!("v0={signature}")),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    http::send(addr, "POST", "/webhooks/slack", &headers, form.as_bytes()).unwrap()
}

#[test]
fn slack_gets_an_empty_200_for_a_submitted_view_and_for_its_repetition() {
    let dir = ServerDir::new(
        "store: sqlite:events.db\nsources:\n  slack: { secrets: [e2e-slack] }\nroutes: []\n",
    );
    let server = dir.start();
    let view = r#"{"type":"view_submission","trigger_id":"1.2","view":{"id":"V1"}}"#;
    let form = format!("payload={}", view.replace('"', "%22"));
    for _ in 0..2 {
        let answer = post_to_slack(&server.addr, &form);
        assert_eq!((answer.status, answer.text()), (200, String::new()));
    }
    let answer = post_to_slack(&server.addr, "command=%2Fship&trigger_id=3.4&text=now");
    assert_eq!((answer.status, answer.text()), (200, String::new()));
    let types: Vec<_> = server.events("").iter().map(|e| e["eventType"].clone()).collect();
    assert_eq!(types, [json!("command.ship"), json!("view_submission")]);
}

#[test]
fn twilio_gets_twiml_for_a_message_and_for_its_repetition() {
    let dir = ServerDir::new(
        "store: sqlite:events.db\nserver: { public_url: \"https://hooks.example.com\" }\nsources:\n  twilio: { secrets: [e2e-twilio] }\nroutes: []\n",
    );
    let server = dir.start();
    let signed = "https://hooks.example.com/webhooks/twilioBodyhiMessageSidSM1SmsStatusreceived";
    let signature = Encoding::Base64.encode(&tag(HmacAlgorithm::Sha1, "e2e-twilio", signed));
    let headers = [
        ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
        ("X-Twilio-Signature".to_owned(), signature),
    ];
    let form = b"Body=hi&MessageSid=SM1&SmsStatus=received";
    let post = || http::send(&server.addr, "POST", "/webhooks/twilio", &headers, form).unwrap();
    let (first, second) = (post(), post());
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.header("content-type").as_deref(), Some("text/xml"));
    assert!(first.text().ends_with("<Response/>"), "{}", first.text());
    assert_eq!(first.body, second.body);
    assert_eq!(second.header("content-type").as_deref(), Some("text/xml"));
    assert_eq!(server.events("").len(), 1);
}

/// Google Drive as a sender: its words are in headers, and its bodies are empty.
const DRIVE: &str = r#"
store: sqlite:events.db
sources:
  drive:
    provider: hmac
    secrets: [e2e-channel]
    methods: [POST, HEAD]
    keep_headers: [X-Goog-Channel-ID, X-Goog-Resource-State]
    reply: { status: 204 }
    with:
      signature: { in: header, name: X-Goog-Channel-Token }
      alg: equal
      event_type: header:X-Goog-Resource-State
routes:
  - name: changes
    events: drive/*
    match: { "header:x-goog-channel-id": [channel-1] }
    chain:
      - { handler: file, with: { path: done.jsonl } }
      - { handler: exec, with: { command: [sh, -c, "cat >> input.jsonl"] } }
"#;

#[test]
fn kept_headers_reach_conditions_files_and_programs_and_the_reply_is_ours_to_set() {
    let dir = ServerDir::new(DRIVE);
    let server = dir.start();
    let post = |channel: &str, number: &str| {
        let headers = [
            ("X-Goog-Channel-Token", "e2e-channel"),
            ("X-Goog-Channel-ID", channel),
            ("X-Goog-Resource-State", "update"),
            ("X-Goog-Message-Number", number),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        http::send(&server.addr, "POST", "/webhooks/drive", &headers, b"{}").unwrap()
    };
    let answer = post("channel-1", "1");
    assert_eq!((answer.status, answer.text()), (204, String::new()));
    assert_eq!(post("channel-1", "1").status, 204, "a repetition");
    eventually("the event is handled", || !dir.lines("input.jsonl").is_empty());
    for file in ["done.jsonl", "input.jsonl"] {
        let headers = dir.lines(file)[0]["headers"].clone();
        assert_eq!(headers["x-goog-channel-id"], "channel-1", "{file}: {headers}");
        assert_eq!(headers["x-goog-resource-state"], "update");
        assert!(headers.get("x-goog-channel-token").is_none(), "it is the secret");
        assert!(headers.get("x-goog-message-number").is_none(), "nobody asked for it");
    }
    let mut stream = http::connect(&server.addr);
    let probe = http::encode_request(&server.addr, "HEAD", "/webhooks/drive", &[], b"");
    std::io::Write::write_all(&mut stream, &probe).unwrap();
    assert_eq!(http::read(&mut stream).unwrap().status, 200);
    assert_eq!(server.events("").len(), 1);
}

#[test]
fn the_shop_of_a_shopify_order_reaches_the_file_of_its_route() {
    let dir = ServerDir::new(
        "store: sqlite:events.db\nsources:\n  shopify: { secrets: [e2e-shop] }\nroutes:\n  - { name: all, events: shopify/**, chain: [{ handler: file, with: { path: done.jsonl } }] }\n",
    );
    let server = dir.start();
    let plugins = hookward_provider_shopify::PLUGINS;
    let body = br#"{"id":1}"#;
    let signed = sender::sign_at(
        plugins,
        "shopify",
        "e2e-shop",
        ("orders/paid", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"),
        body,
        sender::now(),
    );
    let signed = signed.with("X-Shopify-Shop-Domain", "orchard.myshopify.com");
    assert_eq!(signed.post(&server.addr).status, 200);
    eventually("the event is handled", || !dir.lines("done.jsonl").is_empty());
    let headers = &dir.lines("done.jsonl")[0]["headers"];
    assert_eq!(headers["x-shopify-shop-domain"], "orchard.myshopify.com");
    assert!(!headers.to_string().contains("hmac"), "no signature is kept: {headers}");
}
