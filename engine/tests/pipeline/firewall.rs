//! The rules of `firewall:`, each with its own code, before a byte of the body is read.

use super::*;
use hookward_engine::ingest::ReadError;

/// A body that must not be read.
struct UnreadBody;

impl hookward_engine::ingest::ReadBody for UnreadBody {
    async fn read(&mut self, _: usize) -> Result<Bytes, ReadError> {
        panic!("the body was read");
    }
}

const RULES: &str = "methods: [POST, HEAD], limits: { body: 1MiB }, firewall: { allow_networks: [192.0.2.0/24], deny_networks: [192.0.2.66], methods: [POST], content_types: [application/json], max_size: 64, require_headers: [X-GitHub-Event], deny_headers: [Origin] }";

/// A signed head that every rule admits.
fn admitted(pipeline: &Pipeline, body: &str) -> Head {
    let mut head = pipeline.signed_head("id-1", body, "s");
    head.headers.insert("content-type", "application/json".parse().unwrap());
    head.headers.insert("content-length", body.len().to_string().parse().unwrap());
    head.with_client(Some("192.0.2.1".parse().unwrap()))
}

#[tokio::test]
async fn each_rule_rejects_with_its_own_code_before_the_body_is_read() {
    let pipeline = pipeline(RULES, ALL_EVENTS, vec![]);
    let from = |ip: &str| admitted(&pipeline, "{}").with_client(Some(ip.parse().unwrap()));
    let with = |name: &'static str, value: &str| {
        let mut head = admitted(&pipeline, "{}");
        head.headers.insert(name, value.parse().unwrap());
        head
    };
    let mut without_event = admitted(&pipeline, "{}");
    without_event.headers.remove("x-github-event");
    for (head, status, expected) in [
        (from("198.51.100.1"), 403, "FIREWALL_NETWORK"),
        (from("192.0.2.66"), 403, "FIREWALL_NETWORK"),
        (admitted(&pipeline, "{}").with_method(http::Method::HEAD), 405, "FIREWALL_METHOD"),
        (without_event, 403, "FIREWALL_HEADER_MISSING"),
        (with("origin", "https://evil.example"), 403, "FIREWALL_HEADER_DENIED"),
        (with("content-type", "text/plain"), 415, "FIREWALL_CONTENT_TYPE"),
        (with("content-length", "65"), 413, "FIREWALL_SIZE"),
    ] {
        let reply = pipeline.engine.receive(head, UnreadBody).await;
        assert_eq!((reply.status.as_u16(), code(&reply)), (status, expected.to_owned()));
    }
    let events = pipeline.browse().list(&EventFilter::default(), 10, None).await.unwrap();
    assert!(events.events.is_empty());
}

#[tokio::test]
async fn a_request_that_every_rule_admits_is_accepted() {
    let pipeline = pipeline(RULES, ALL_EVENTS, vec![]);
    let reply = pipeline.engine.receive(admitted(&pipeline, "{}"), Bytes::from_static(b"{}")).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_body_that_declares_no_size_is_rejected_at_the_same_limit() {
    let pipeline = pipeline(RULES, ALL_EVENTS, vec![]);
    for (length, expected) in [(64, 200), (65, 413)] {
        let body = format!("{:width$}", "{}", width = length);
        let mut head = admitted(&pipeline, &body);
        head.headers.remove("content-length");
        head.headers.insert("transfer-encoding", "chunked".parse().unwrap());
        let reply = pipeline.engine.receive(head, Bytes::from(body)).await;
        assert_eq!(reply.status.as_u16(), expected, "{length}");
        if expected == 413 {
            assert_eq!(code(&reply), "FIREWALL_SIZE");
        }
    }
}
