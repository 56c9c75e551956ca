//! The answers of the receiving port: valid, invalid, duplicate and stale events, a GitHub push, the rate limit,
//! and every rejection.

use std::io::Write;

use serde_json::json;

use crate::http;
use crate::sender::{self, paid, push, stripe, stripe_raw};
use crate::server::{SOURCES, Server, ServerDir, eventually};

const ROUTES: &str = r#"
routes:
  - name: paid
    events: stripe/payment_intent.succeeded
    schema: builtin:stripe/payment_intent.succeeded
    chain: [{ handler: file, with: { path: done.jsonl } }]
  - name: canceled
    events: stripe/customer.subscription.deleted
    schema: builtin:stripe/customer.subscription.deleted
    on_invalid: reject
    chain: [noop]
  - name: pushes
    events: github/push
    chain: [noop]
"#;

fn server_dir(store: &str) -> ServerDir {
    ServerDir::new(&format!("store: {store}\n{SOURCES}{ROUTES}"))
}

fn start_default() -> (ServerDir, Server) {
    let dir = server_dir("sqlite:events.db");
    let server = dir.start();
    (dir, server)
}

#[test]
fn a_valid_event_is_answered_stored_and_handled() {
    let (dir, server) = start_default();
    let answer = paid("evt_1").post(&server.addr);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["received"], true);
    assert_eq!(body["eventId"], "evt_1");
    assert!(body["jobId"].is_string());
    eventually("the event is handled", || dir.lines("done.jsonl").len() == 1);
    let line = &dir.lines("done.jsonl")[0];
    assert_eq!(line["eventType"], "payment_intent.succeeded");
    assert_eq!(line["body"]["data"]["object"]["amount"], 4200);
    eventually("it is done", || server.events("")[0]["status"] == "done");
}

#[test]
fn a_duplicate_gets_the_same_answer_bytes_and_no_second_job() {
    let (dir, server) = start_default();
    let first = paid("evt_1").post(&server.addr);
    let second = paid("evt_1").post(&server.addr);
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    eventually("it is handled", || !dir.lines("done.jsonl").is_empty());
    assert_eq!(server.events("").len(), 1);
    assert_eq!(
        server.metric("hookward_requests_total{source=\"stripe\",outcome=\"duplicate\"}"),
        1.0
    );
    assert_eq!(dir.lines("done.jsonl").len(), 1);
}

#[test]
fn an_unverified_request_gets_401_with_its_code_and_is_not_stored() {
    let (_place, server) = start_default();
    let good = paid("evt_1");
    let tampered = sender::Signed { body: [good.body.as_slice(), b" "].concat(), ..good.clone() };
    let old = sender::now().minus(std::time::Duration::from_secs(301));
    let ahead = sender::now().plus(std::time::Duration::from_secs(330));
    let at = |t| stripe_raw("evt_1", "payment_intent.succeeded", &good.body, t);
    for (request, code) in [
        (good.clone().without("stripe-signature"), "MISSING_SIGNATURE"),
        (good.clone().with("stripe-signature", "v1=00"), "INVALID_FORMAT"),
        (good.clone().with("stripe-signature", "nonsense"), "INVALID_FORMAT"),
        (tampered, "INVALID_SIGNATURE"),
        (at(old), "TIMESTAMP_TOO_OLD"),
        (at(ahead), "TIMESTAMP_IN_FUTURE"),
    ] {
        let answer = request.post(&server.addr);
        assert_eq!(answer.status, 401, "{code}");
        let expected = json!({"error": "Webhook verification failed", "code": code});
        assert_eq!(answer.json(), expected);
    }
    assert!(server.events("").is_empty());
    assert_eq!(good.post(&server.addr).status, 200);
}

#[test]
fn two_different_signature_headers_are_rejected() {
    let (_place, server) = start_default();
    let mut request = paid("evt_1");
    let other = paid("evt_2");
    let signature = other.headers.iter().find(|(n, _)| n == "stripe-signature").unwrap().clone();
    request.headers.push(signature);
    assert_eq!(request.post(&server.addr).json()["code"], "INVALID_FORMAT");
    let mut twice = paid("evt_3");
    let same = twice.headers.iter().find(|(n, _)| n == "stripe-signature").unwrap().clone();
    twice.headers.push(same);
    assert_eq!(twice.post(&server.addr).status, 200);
}

#[test]
fn a_github_push_is_identified_by_its_headers() {
    let (_place, server) = start_default();
    let answer = push("72d3162e-cc78-11e3-81ab-4c9367dc0958", br#"{"ref":"refs/heads/main"}"#);
    let answer = answer.post(&server.addr);
    assert_eq!(answer.json()["eventId"], "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    assert_eq!(server.events("")[0]["eventType"], "push");
}

#[test]
fn a_captured_github_request_under_another_id_is_a_duplicate() {
    let (_place, server) = start_default();
    let first = push("id-1", br#"{"ref":"refs/heads/main"}"#).post(&server.addr);
    let again = push("id-2", br#"{"ref":"refs/heads/main"}"#).post(&server.addr);
    assert_eq!(first.body, again.body);
    let events = server.events("");
    assert_eq!(events.len(), 1);
    let shown = server.admin("GET", "/api/v1/events/id-1", "").json();
    assert_eq!(shown["contentDuplicates"][0]["eventId"], "id-2");
}

#[test]
fn requests_beyond_the_rate_get_429() {
    let dir = ServerDir::new(
        "store: \"memory:\"\nsources:\n  stripe: { secrets: [whsec_e2e_stripe], limits: { rate: 100/min } }\nroutes: []\n",
    );
    let server = dir.start();
    let statuses: Vec<u16> =
        (0..150).map(|n| paid(&format!("evt_{n}")).post(&server.addr).status).collect();
    assert!(statuses.iter().filter(|s| **s == 200).count() >= 100);
    assert!(statuses.contains(&429));
    let limited = paid("evt_late").post(&server.addr);
    assert_eq!(limited.json()["code"], "RATE_LIMITED");
    assert!(limited.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
}

#[test]
fn forgeries_are_limited_and_do_not_spend_the_rate_of_the_source() {
    let dir = ServerDir::new(
        "store: \"memory:\"\nsources:\n  stripe: { secrets: [whsec_e2e_stripe], limits: { rate: 5/min } }\n  github: { secrets: [e2e-github] }\nroutes: []\n",
    );
    let server = dir.start();
    let forged = paid("evt_1").with("stripe-signature", "t=1,v1=00");
    let statuses: Vec<u16> = (0..70).map(|_| forged.post(&server.addr).status).collect();
    assert_eq!(statuses[0], 401);
    assert_eq!(statuses[69], 429);
    // Another source is not limited by failures of the same address here.
    assert_eq!(push("id-1", b"{}").post(&server.addr).status, 200);
}

#[test]
fn each_malformed_request_gets_its_own_answer() {
    let dir = ServerDir::new(
        "store: \"memory:\"\nsources:\n  stripe: { secrets: [whsec_e2e_stripe], limits: { body: 2KiB } }\n  github: { secrets: [e2e-github] }\nroutes: []\n",
    );
    let server = dir.start();
    let get = server.get("/webhooks/stripe");
    assert_eq!((get.status, get.json()["code"].clone()), (405, json!("METHOD_NOT_ALLOWED")));
    assert_eq!(get.header("allow").as_deref(), Some("POST"));
    let unknown = http::send(&server.addr, "POST", "/webhooks/nobody", &[], b"{}").unwrap();
    assert_eq!((unknown.status, unknown.json()["code"].clone()), (404, json!("UNKNOWN_SOURCE")));
    let large = stripe("evt_1", "x.y", json!({"text": "x".repeat(4000)})).post(&server.addr);
    assert_eq!((large.status, large.json()["code"].clone()), (413, json!("PAYLOAD_TOO_LARGE")));
    let xml = push("id", b"<x/>").with("content-type", "text/xml").post(&server.addr);
    assert_eq!(xml.status, 415);
    let bare = push("id-2", b"{}").without("content-type").post(&server.addr);
    assert_eq!(bare.status, 200, "a missing media type is fine");
    let mut many = paid("evt_2");
    many.headers.extend((0..80).map(|n| (format!("x-{n}"), "1".to_owned())));
    assert_eq!(many.post(&server.addr).status, 431);
}

#[test]
fn an_announced_body_beyond_the_limit_is_rejected_unread() {
    let (_place, server) = start_default();
    let mut stream = http::connect(&server.addr);
    let signature = "t=1,v1=0000000000000000000000000000000000000000000000000000000000000000";
    let head = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\nstripe-signature: {signature}\r\ncontent-length: 1000000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(http::read(&mut stream).unwrap().status, 413);
}

#[test]
fn a_client_address_that_is_not_allowed_gets_403() {
    let dir = ServerDir::new(
        "store: \"memory:\"\nsources:\n  stripe: { secrets: [whsec_e2e_stripe], limits: { allow_ips: [\"3.18.12.63/32\"] } }\nroutes: []\n",
    );
    let server = dir.start();
    let answer = paid("evt_1").post(&server.addr);
    assert_eq!((answer.status, answer.json()["code"].clone()), (403, json!("IP_NOT_ALLOWED")));
}

#[test]
fn on_invalid_decides_whether_an_invalid_event_is_stored_or_rejected() {
    let (_place, server) = start_default();
    let kept =
        stripe("evt_1", "payment_intent.succeeded", json!({"id": "pi_1"})).post(&server.addr);
    let expected = json!({"received": true, "error": "Validation failed, event ignored"});
    assert_eq!((kept.status, kept.json()), (200, expected));
    assert_eq!(server.events("status=invalid").len(), 1);
    let rejected = stripe("evt_2", "customer.subscription.deleted", json!({"id": "sub_1"}));
    let rejected = rejected.post(&server.addr);
    assert_eq!((rejected.status, rejected.json()["code"].clone()), (422, json!("INVALID_EVENT")));
    assert_eq!(server.events("").len(), 1);
    let shown = server.admin("GET", "/api/v1/events/evt_1", "").json();
    assert!(shown["notes"][0].as_str().unwrap().contains("amount"), "{shown}");
}

#[test]
fn an_event_that_no_route_matches_is_answered_and_stored_as_unrouted() {
    let (_place, server) = start_default();
    let answer = stripe("evt_1", "charge.refunded", json!({"id": "ch_1"})).post(&server.addr);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["jobId"], json!(null));
    assert_eq!(server.events("status=unrouted").len(), 1);
}

#[test]
fn a_verified_body_that_cannot_be_parsed_is_stored_as_invalid_byte_for_byte() {
    let (_place, server) = start_default();
    let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
    for (n, body) in [
        b"not json".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        br#"{"id":"a","id":"b","type":"t"}"#.to_vec(),
        deep.into_bytes(),
        b"{}".to_vec(),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = stripe_raw("x", "t", &body, sender::now()).post(&server.addr);
        assert_eq!(answer.status, 200, "{n}");
        assert_eq!(answer.json()["error"], "Validation failed, event ignored", "{n}");
        let newest = &server.events("")[0];
        assert_eq!((&newest["status"], &newest["eventType"]), (&json!("invalid"), &json!(null)));
        let id = newest["id"].as_str().unwrap();
        let shown = server.admin("GET", &format!("/api/v1/events/{id}"), "").json();
        let kept = match shown["body"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => data_encoding::BASE64
                .decode(shown["bodyBase64"].as_str().unwrap().as_bytes())
                .unwrap(),
        };
        assert_eq!(kept, body);
    }
}

#[test]
fn on_parse_error_reject_answers_422() {
    let dir = ServerDir::new(
        "store: \"memory:\"\nsources:\n  stripe: { secrets: [whsec_e2e_stripe], on_parse_error: reject }\nroutes: []\n",
    );
    let server = dir.start();
    let answer = stripe_raw("x", "t", b"not json", sender::now()).post(&server.addr);
    assert_eq!((answer.status, answer.json()["code"].clone()), (422, json!("INVALID_EVENT")));
}

#[test]
fn the_health_page_lists_providers_and_unverified_sources() {
    let dir = ServerDir::new(&format!(
        "store: \"memory:\"\n{SOURCES}  open: {{ provider: none }}\nroutes: []\n"
    ));
    let server = dir.start();
    let page = server.get("/health");
    assert_eq!(page.status, 200);
    let page = page.json();
    assert_eq!(page["status"], "healthy");
    assert_eq!(page["providers"], json!(["github", "none", "stripe"]));
    assert_eq!(page["unverified"], json!(["open"]));
    assert!(page["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_slack_challenge_is_answered_only_with_a_valid_signature() {
    let dir = ServerDir::new(
        "store: \"memory:\"\nsources:\n  slack: { secrets: [e2e-slack] }\nroutes: []\n",
    );
    let server = dir.start();
    let body = br#"{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#;
    let plugins = hookward_provider_slack::PLUGINS;
    let sign = |secret| {
        sender::sign_at(plugins, "slack", secret, ("url_verification", ""), body, sender::now())
    };
    let answer = sign("e2e-slack").post(&server.addr);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P");
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(sign("another").post(&server.addr).status, 401);
    assert!(server.events("").is_empty(), "a handshake is no event");
}

#[test]
fn standard_webhooks_are_accepted_under_both_header_families() {
    let dir = ServerDir::new(
        "store: \"memory:\"\nsources:\n  acme: { provider: standard_webhooks, secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw] }\nroutes: []\n",
    );
    let server = dir.start();
    let plugins = hookward_provider_standard_webhooks::PLUGINS;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let sign = |id| {
        let body = br#"{"type":"contact.created","data":{}}"#;
        sender::sign_at(plugins, "acme", secret, ("contact.created", id), body, sender::now())
    };
    assert_eq!(sign("msg_1").post(&server.addr).json()["eventId"], "msg_1");
    let mut svix = sign("msg_2");
    svix.headers.iter_mut().for_each(|(n, _)| *n = n.replace("webhook-", "svix-"));
    assert_eq!(svix.post(&server.addr).json()["eventId"], "msg_2");
}

#[test]
fn an_old_secret_is_valid_until_its_date_has_passed() {
    let dir = ServerDir::new(
        "store: \"memory:\"\nsources:\n  stripe: { secrets: [new-secret, { value: whsec_e2e_stripe, until: 2999-12-31 }] }\n  github: { secrets: [new-secret, { value: e2e-github, until: 2020-12-31 }] }\nroutes: []\n",
    );
    let server = dir.start();
    assert_eq!(paid("evt_1").post(&server.addr).status, 200);
    assert_eq!(server.metric("hookward_secret_matches_total{source=\"stripe\",secret=\"1\"}"), 1.0);
    assert_eq!(push("id", b"{}").post(&server.addr).status, 401);
}
