//! What makes two deliveries the same one, and how long.

use hookward_core::ProviderEventId;
use hookward_core::store::KeepKeys;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// Posts a signed push in which headers are replaced; an empty value removes the header.
async fn post_with(pipeline: &Pipeline, body: &str, headers: &[(&str, &str)]) -> Reply {
    let mut head = pipeline.signed_head("id-1", body, "s");
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        head.headers.remove(&name);
        if !value.is_empty() {
            head.headers.insert(name, value.parse().unwrap());
        }
    }
    pipeline.engine.receive(head, Bytes::from(body.to_owned())).await
}

/// The stored events with this type, or all; the newest first.
async fn events(pipeline: &Pipeline) -> Vec<EventDetail> {
    let page = pipeline.browse().list(&EventFilter::default(), 500, None).await.unwrap();
    let mut events = Vec::new();
    for event in page.events {
        events.push(pipeline.browse().show(event.id).await.unwrap().unwrap());
    }
    events
}

#[tokio::test]
async fn a_repeated_delivery_is_a_duplicate_until_its_window_has_passed() {
    let pipeline = pipeline("dedupe: { window: 7d }", ALL_EVENTS, vec![]);
    pipeline.engine.start_retention_clock().await.unwrap();
    let first = pipeline.post("id-1", "{}").await;
    assert_eq!(pipeline.post("id-1", "{}").await, first);
    pipeline.clock.advance(DAY * 7);
    assert_eq!(pipeline.post("id-1", "{}").await, first);
    pipeline.clock.advance(Duration::from_secs(1));
    assert_ne!(pipeline.post("id-1", "{}").await.body, first.body);
}

#[tokio::test]
async fn a_captured_request_without_a_signed_time_is_a_duplicate_after_its_event_was_purged() {
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    let first = pipeline.post("id-1", "{}").await;
    let worker = pipeline.start_worker();
    pipeline.until_runs(1).await;
    worker.stop(Duration::from_secs(1)).await;
    pipeline.clock.advance(DAY * 8);
    let now = pipeline.clock.now();
    let window = pipeline.engine.config().sources["github"].dedupe_window;
    assert_eq!(window, DAY * 90);
    let keep = vec![KeepKeys::new("github", now.minus(window))];
    let purge = PurgeRequest::new(now.minus(DAY * 7), now.minus(DAY * 7), 9).with_keep_keys(keep);
    assert_eq!(pipeline.engine.store().purge(purge).await.unwrap(), 1);
    for (id, event_type) in [("id-1", "push"), ("id-2", "push")] {
        let headers = [("x-github-delivery", id), ("x-github-event", event_type)];
        let again = post_with(&pipeline, "{}", &headers).await;
        assert_eq!(again.status, 200);
        // The provider's answer, of an event whose job does not exist any more.
        let body: Value = serde_json::from_slice(&again.body).unwrap();
        let first: Value = serde_json::from_slice(&first.body).unwrap();
        assert_eq!((&body["received"], &body["jobId"]), (&first["received"], &Value::Null));
    }
    assert!(events(&pipeline).await.is_empty());
    pipeline.clock.advance(DAY * 83);
    pipeline.post("id-1", "{}").await;
    assert_eq!(events(&pipeline).await.len(), 1, "past the window it is a new event");
}

#[tokio::test]
async fn a_captured_request_makes_at_most_eight_events_under_invented_types() {
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    for n in 0..100 {
        let (event_type, id) = (format!("invented_{n}"), format!("invented-{n}"));
        let headers = [("x-github-event", event_type.as_str()), ("x-github-delivery", &id)];
        assert_eq!(post_with(&pipeline, r#"{"a":1}"#, &headers).await.status, 200);
    }
    let stored = events(&pipeline).await;
    assert_eq!(stored.len(), 8);
    let listed = stored.last().unwrap().content_duplicates.len();
    assert_eq!(listed, 92, "each is listed with the first event");
    // Nor without a type, nor under invented hooks.
    for n in 0..100 {
        let (hook, id) = (format!("{n}"), format!("hook-{n}"));
        let headers = [
            ("x-github-hook-id", hook.as_str()),
            ("x-github-event", ""),
            ("x-github-delivery", &id),
        ];
        post_with(&pipeline, r#"{"a":1}"#, &headers).await;
    }
    assert_eq!(events(&pipeline).await.len(), 8);
}

#[tokio::test]
async fn a_claimed_id_does_not_swallow_the_real_event() {
    for source in ["", "dedupe: id"] {
        let pipeline = pipeline(source, ALL_EVENTS, vec![]);
        pipeline.post("captured", r#"{"a":1}"#).await;
        // The attacker sends the captured bytes under the id of an event to come.
        let claim = [("x-github-delivery", "real"), ("x-github-event", "other")];
        post_with(&pipeline, r#"{"a":1}"#, &claim).await;
        let real = pipeline.post("real", r#"{"b":2}"#).await;
        let stored = events(&pipeline).await;
        assert_eq!(stored[0].event.body().bytes(), &br#"{"b":2}"#[..], "{source}");
        assert_eq!(stored[0].notes.len(), 1, "{:?}", stored[0].notes);
        assert!(stored[0].notes[0].contains("the same id"), "{:?}", stored[0].notes);
        // The sender's own retry is a duplicate by its id.
        assert_eq!(pipeline.post("real", r#"{"b":2}"#).await, real);
        assert_eq!(events(&pipeline).await.len(), stored.len());
        assert!(events(&pipeline).await[0].content_duplicates.is_empty());
    }
}

#[tokio::test]
async fn the_same_bytes_under_another_id_are_a_content_duplicate_and_under_another_type_an_event() {
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    let first = pipeline.post("id-1", "{}").await;
    assert_eq!(pipeline.post("id-2", "{}").await, first);
    let listed = pipeline.only_event().await.content_duplicates;
    assert_eq!(listed[0].event_id.as_deref(), Some("id-2"));
    // The id confirms the repetition, whatever its type.
    assert_eq!(post_with(&pipeline, "{}", &[("x-github-event", "other")]).await, first);
    let other = [("x-github-event", "other"), ("x-github-delivery", "id-3")];
    post_with(&pipeline, "{}", &other).await;
    assert_eq!(events(&pipeline).await.len(), 2);
}

#[tokio::test]
async fn one_github_event_that_two_hooks_deliver_is_two_events() {
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    let of_hook = |hook| [("x-github-hook-id", hook)];
    let first = post_with(&pipeline, "{}", &of_hook("1")).await;
    let second = post_with(&pipeline, "{}", &of_hook("2")).await;
    assert_ne!(first.body, second.body);
    assert_eq!(post_with(&pipeline, "{}", &of_hook("1")).await, first);
    assert_eq!(post_with(&pipeline, "{}", &of_hook("2")).await, second);
    let stored = events(&pipeline).await;
    assert_eq!(stored.len(), 2);
    assert!(
        stored.iter().all(|event| event.content_duplicates.is_empty() && event.notes.is_empty())
    );
}

#[tokio::test]
async fn an_empty_body_says_nothing_about_its_event() {
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    for id in ["1", "2", "1"] {
        pipeline.post(id, "").await;
    }
    assert_eq!(events(&pipeline).await.len(), 2);
}

#[tokio::test]
async fn deliveries_without_an_id_are_not_all_the_same_event() {
    let pipeline = pipeline("dedupe: id", ALL_EVENTS, vec![]);
    for body in ["{}", "{}", "[]"] {
        post_with(&pipeline, body, &[("x-github-delivery", "")]).await;
    }
    assert_eq!(events(&pipeline).await.len(), 3, "`dedupe: id` never decides by the bytes");
}

#[tokio::test]
async fn dedupe_decides_what_identifies_an_event() {
    for (dedupe, sent, stored) in [
        ("id", [("1", "{}"), ("2", "{}"), ("1", "{}"), ("3", "[]")], 3),
        ("content", [("1", "{}"), ("2", "{}"), ("1", "[]"), ("1", "{}")], 2),
        ("none", [("1", "{}"), ("1", "{}"), ("1", "{}"), ("1", "{}")], 4),
        ("id_and_body", [("1", "{}"), ("2", "{}"), ("1", "[]"), ("3", "0")], 3),
    ] {
        let pipeline = pipeline(&format!("dedupe: {dedupe}"), ALL_EVENTS, vec![]);
        for (id, body) in sent {
            assert_eq!(pipeline.post(id, body).await.status, 200);
        }
        assert_eq!(events(&pipeline).await.len(), stored, "{dedupe}");
    }
}

#[tokio::test]
async fn a_dedupe_key_of_values_counts_within_its_window() {
    let source = "dedupe: { key: [/order/id, header:X-Part, event:type], window: 10m }";
    let pipeline = pipeline(source, ALL_EVENTS, vec![]);
    pipeline.engine.start_retention_clock().await.unwrap();
    let send = async |body: &str, part: &str| {
        let before = events(&pipeline).await.len();
        assert_eq!(post_with(&pipeline, body, &[("x-part", part)]).await.status, 200);
        events(&pipeline).await.len() > before
    };
    assert!(send(r#"{"order":{"id":1},"n":1}"#, "a").await);
    assert!(!send(r#"{"order":{"id":1},"n":2}"#, "a").await, "other members do not count");
    assert!(send(r#"{"order":{"id":1}}"#, "b").await);
    assert!(send(r#"{"order":{"id":1}}"#, "").await, "an absent value differs from any");
    assert!(!send(r#"{"order":{"id":1}}"#, "").await);
    assert!(send(r#"{"order":{"id":2}}"#, "a").await);
    pipeline.clock.advance(Duration::from_secs(601));
    assert!(send(r#"{"order":{"id":2}}"#, "a").await, "past the window");
    // A header of the key with two values is as wrong as one of the proof.
    let mut head = pipeline.signed_head("id-1", "{}", "s");
    head.headers.append("x-part", "a".parse().unwrap());
    head.headers.append("x-part", "b".parse().unwrap());
    let reply = pipeline.engine.receive(head, Bytes::from_static(b"{}")).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn an_event_with_none_of_the_values_of_a_dedupe_key_is_new_and_says_so() {
    let pipeline = pipeline("dedupe: { key: [/order/id] }", ALL_EVENTS, vec![]);
    for _ in 0..2 {
        pipeline.post("id-1", "{}").await;
    }
    let stored = events(&pipeline).await;
    assert_eq!(stored.len(), 2);
    assert!(stored[0].notes[0].contains("dedupe.key"), "{:?}", stored[0].notes);
}

/// A provider that accepts every request. The body gives the event's id and scope.
#[derive(Debug)]
struct ScopedProvider {
    dedupe_by_content: bool,
}

#[async_trait]
impl Provider for ScopedProvider {
    fn precheck(&self, _: &Head) -> Result<(), VerifyError> {
        Ok(())
    }
    async fn verify(&self, _: &Request, _: &VerifyCx<'_>) -> Result<Verification, VerifyError> {
        Ok(Verification::Genuine { secret: 0 })
    }
    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let id = delivery.json().unwrap().get("id").and_then(Value::as_str);
        let event_id = id.map(|value| ProviderEventId::signed(value.to_owned()));
        let scope = delivery.json().unwrap().get("source").and_then(Value::as_str);
        Ok(vec![
            Identity::new()
                .with_event_type("push".to_owned())
                .with_event_id(event_id)
                .with_scope(scope.map(str::to_owned)),
        ])
    }
    fn dedupe_by_content(&self) -> bool {
        self.dedupe_by_content
    }
}

/// How many events are stored after these bodies were received.
async fn stored_events(dedupe_by_content: bool, bodies: &[&'static str]) -> usize {
    let pipeline = pipeline_with_provider(ScopedProvider { dedupe_by_content });
    for body in bodies {
        let reply = pipeline.engine.receive(bare_head(), Bytes::from_static(body.as_bytes())).await;
        assert_eq!(reply.status, 200);
    }
    pipeline.browse().list(&EventFilter::default(), 10, None).await.unwrap().events.len()
}

#[tokio::test]
async fn an_event_id_is_unique_only_within_its_scope() {
    let (a, b) = (r#"{"id":"1","source":"/a"}"#, r#"{"id":"1","source":"/b"}"#);
    assert_eq!(stored_events(true, &[a, b, a]).await, 2);
    let again = r#"{"id":"1","source":"/a","attempt":2}"#;
    assert_eq!(stored_events(true, &[a, again, r#"{"id":"1"}"#]).await, 2);
}

#[tokio::test]
async fn equal_bytes_are_two_events_for_a_provider_without_dedupe_by_content() {
    let changed = r#"{"changed":["dbid:1"]}"#;
    assert_eq!(stored_events(true, &[changed, changed]).await, 1);
    assert_eq!(stored_events(false, &[changed, changed]).await, 2);
    let with_id = r#"{"id":"1"}"#;
    assert_eq!(stored_events(false, &[with_id, with_id]).await, 1);
}
