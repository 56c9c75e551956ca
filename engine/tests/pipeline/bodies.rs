//! Bodies that are not plain JSON: what routes and handlers see of them, and what is stored.

use super::*;

/// A route that reads the body.
const OPENED: &str =
    "  - { name: opened, events: github/**, match: { /action: opened }, chain: [record] }\n";
const FORM: &str = "application/x-www-form-urlencoded";

impl Pipeline {
    /// Posts a correctly signed push with this media type.
    async fn post_as(&self, body: &[u8], content_type: &str) -> Reply {
        let provider: Arc<dyn Provider> = self.engine.config().sources["github"].provider.clone();
        let url = "http://localhost/webhooks/github";
        let draft =
            EventDraft::new("push", "id-1", Body::new(body.to_vec()), url, self.clock.now());
        let signer = provider.signer().unwrap();
        let mut head = signer.sign(&draft, &Secret::new("s")).unwrap().head;
        head.headers.insert("content-type", content_type.parse().unwrap());
        self.engine.receive(head, Bytes::copy_from_slice(body)).await
    }
}

/// Status and notes of the event that this body becomes, once its jobs have run.
async fn outcome(source: &str, body: &[u8], content_type: &str) -> (EventStatus, Vec<String>) {
    let pipeline = pipeline(source, OPENED, vec![]);
    let reply = pipeline.post_as(body, content_type).await;
    assert_eq!(reply.status.as_u16(), 200);
    let worker = pipeline.start_worker();
    let mut detail = pipeline.only_event().await;
    if detail.summary.status == EventStatus::Pending {
        detail = pipeline.until_status(EventStatus::Done).await;
        let run = &pipeline.recorder.runs()[0];
        assert_eq!(run.event.json().unwrap()["action"], "opened");
    }
    worker.stop(Duration::from_secs(1)).await;
    assert_eq!(detail.event.body().bytes(), body, "the stored bytes are the received bytes");
    (detail.summary.status, detail.notes)
}

#[tokio::test]
async fn a_byte_order_mark_before_json_is_ignored() {
    for content_type in ["application/json", FORM] {
        let body = "\u{feff}{\"action\":\"opened\"}".as_bytes();
        assert_eq!(outcome("", body, content_type).await.0, EventStatus::Done);
    }
    let form = "\u{feff}action=opened".as_bytes();
    assert_eq!(outcome("", form, FORM).await.0, EventStatus::Done);
}

#[tokio::test]
async fn duplicate_keys_are_invalid_unless_the_source_takes_the_last() {
    let body = br#"{"action":"closed","action":"opened"}"#;
    let (status, notes) = outcome("", body, "application/json").await;
    assert_eq!(status, EventStatus::Invalid);
    assert!(notes[0].contains("twice"), "{notes:?}");
    let last = "json: { duplicate_keys: last }";
    assert_eq!(outcome(last, body, "application/json").await.0, EventStatus::Done);
}

#[tokio::test]
async fn routes_and_handlers_read_the_json_in_a_form() {
    let payload = b"payload=%7B%22action%22%3A%22opened%22%7D&x=1";
    assert_eq!(outcome("", payload, FORM).await.0, EventStatus::Done);
    // Without such a field, and with another one.
    assert_eq!(outcome("", b"action=opened&x=1&x=2", FORM).await.0, EventStatus::Done);
    let other = "json: { form_field: event }";
    let event = b"payload=1&event=%7B%22action%22%3A%22opened%22%7D";
    assert_eq!(outcome(other, event, FORM).await.0, EventStatus::Done);
    // JSON that its sender labels as a form, as curl does by default.
    assert_eq!(outcome("", br#"{"action":"opened"}"#, FORM).await.0, EventStatus::Done);
    let (status, notes) = outcome("", b"payload=%7B", FORM).await;
    assert_eq!(status, EventStatus::Invalid);
    assert!(notes[0].contains("the field `payload`"), "{notes:?}");
}
