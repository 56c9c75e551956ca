//! What the sender is answered besides errors, which headers are stored, and which requests are
//! answered without an event.

use super::*;
use hookward_core::{DeliveryOutcome, Receipt};
use http::{Method, StatusCode};

/// A provider that accepts every request as a batch without events, and answers with the name of
/// the outcome.
#[derive(Debug)]
struct EmptyBatches;

#[async_trait]
impl Provider for EmptyBatches {
    async fn verify(&self, _: &Request, _: &VerifyCx<'_>) -> Result<Verification, VerifyError> {
        Ok(Verification::Genuine { secret: 0 })
    }
    fn identify(&self, _: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        Ok(Vec::new())
    }
    fn reply(&self, _: &Verified, receipt: &Receipt) -> Reply {
        assert!(receipt.events.is_empty());
        assert_eq!(receipt.outcome, DeliveryOutcome::NoEvents);
        Reply::text(StatusCode::OK, "empty")
    }
}

async fn stored(pipeline: &Pipeline) -> usize {
    pipeline.browse().list(&EventFilter::default(), 10, None).await.unwrap().events.len()
}

#[tokio::test]
async fn an_empty_batch_is_answered_by_the_provider_and_not_stored() {
    let pipeline = pipeline_with_provider(EmptyBatches);
    let reply = pipeline.engine.receive(bare_head(), Bytes::from_static(b"[]")).await;
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &b"empty"[..]));
    assert_eq!(stored(&pipeline).await, 0);
}

#[tokio::test]
async fn a_configured_reply_replaces_the_answer_of_every_outcome() {
    let reply = "reply: { status: 202, headers: { X-Partner: a }, body: OK }";
    let pipeline = pipeline(reply, ALL_EVENTS, vec![]);
    for (id, body) in [("id-1", "{}"), ("id-2", "1"), ("id-1", "{}")] {
        let reply = pipeline.post(id, body).await;
        assert_eq!((reply.status.as_u16(), &reply.body[..]), (202, &b"OK"[..]), "{id}");
        let header = |name: &str| {
            let found = reply.headers.iter().find(|(n, _)| n.as_str() == name);
            found.map(|(_, v)| v.to_str().unwrap().to_owned())
        };
        assert_eq!(header("x-partner").as_deref(), Some("a"));
        assert_eq!(header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    }
    let rejected = pipeline.post_from("id-3", "{}", "wrong", None).await;
    assert_eq!(rejected.status, 401, "an error is not overridden");
}

#[tokio::test]
async fn a_repetition_gets_the_stored_answer_after_reply_was_changed() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let before = pipeline_over(store.clone(), "reply: { body: first }", ALL_EVENTS, vec![]);
    let first = before.post("id-1", "{}").await;
    let after = pipeline_over(store, "reply: { body: second }", ALL_EVENTS, vec![]);
    assert_eq!(after.post("id-1", "{}").await, first);
    assert_eq!(&after.post("id-2", "[]").await.body[..], b"second");
}

#[tokio::test]
async fn a_head_request_is_answered_where_methods_allows_it_and_stores_nothing() {
    let head = || bare_head().with_method(Method::HEAD);
    let without = pipeline("", ALL_EVENTS, vec![]);
    assert_eq!(without.engine.receive(head(), Bytes::new()).await.status, 405);
    let with = pipeline("methods: [POST, HEAD]", ALL_EVENTS, vec![]);
    for body in ["", "{}"] {
        let reply = with.engine.receive(head(), Bytes::from_static(body.as_bytes())).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0));
    }
    assert_eq!(stored(&with).await, 0);
    assert_eq!(with.post("id-1", "{}").await.status, 200);
    let get = with.engine.receive(bare_head().with_method(Method::GET), Bytes::new()).await;
    let allow = get.headers.iter().find(|(n, _)| n.as_str() == "allow").unwrap();
    assert_eq!((get.status.as_u16(), allow.1.to_str().unwrap()), (405, "POST, HEAD"));
}

#[tokio::test]
async fn a_head_request_from_an_address_that_is_not_allowed_is_rejected() {
    let source = "methods: [POST, HEAD], limits: { allow_ips: [198.51.100.1] }";
    let pipeline = pipeline(source, ALL_EVENTS, vec![]);
    let head = bare_head().with_method(Method::HEAD);
    assert_eq!(pipeline.engine.receive(head, Bytes::new()).await.status, 403);
}

#[tokio::test]
async fn kept_headers_are_stored_and_conditions_read_them() {
    let routes = "  - { name: r, events: github/**, match: { \"header:x-tenant\": [a] }, chain: [record] }\n";
    let pipeline = pipeline("keep_headers: [X-Tenant]", routes, vec![]);
    let mut head = pipeline.signed_head("id-1", "{}", "s");
    head.headers.insert("x-tenant", "a".parse().unwrap());
    head.headers.insert("x-other", "b".parse().unwrap());
    assert_eq!(pipeline.engine.receive(head, Bytes::from_static(b"{}")).await.status, 200);
    let event = pipeline.only_event().await;
    assert_eq!(event.jobs.len(), 1);
    let names: Vec<&str> = event.event.headers().iter().map(|(n, _)| n.as_str()).collect();
    assert!(names.contains(&"x-tenant") && !names.contains(&"x-other"), "{names:?}");
}
