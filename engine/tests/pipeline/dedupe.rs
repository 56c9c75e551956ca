//! What makes two deliveries the same one, and how long.

use hookward_core::ProviderEventId;

use super::*;

#[tokio::test]
async fn a_repeated_delivery_is_a_duplicate_until_its_window_has_passed() {
    let pipeline = pipeline("", ALL_EVENTS, vec![]);
    pipeline.engine.start_retention_clock().await.unwrap();
    let first = pipeline.post("id-1", "{}").await;
    assert_eq!(pipeline.post("id-1", "{}").await, first);
    pipeline.clock.advance(Duration::from_secs(7 * 86_400));
    assert_eq!(pipeline.post("id-1", "{}").await, first);
    pipeline.clock.advance(Duration::from_secs(1));
    assert_ne!(pipeline.post("id-1", "{}").await.body, first.body);
}

#[tokio::test]
async fn an_unsigned_id_alone_identifies_a_duplicate_only_with_dedupe_id() {
    let both = pipeline("", ALL_EVENTS, vec![]);
    assert_eq!(both.post("id-1", "{}").await, both.post("id-2", "{}").await);
    let id = pipeline("dedupe: id", ALL_EVENTS, vec![]);
    assert_ne!(id.post("id-1", "{}").await.body, id.post("id-2", "{}").await.body);
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
