//! What counts as the same event, where a provider has more to say of it.

use hookward_core::ProviderEventId;

use super::*;

/// Believes everything; an event has the id and the scope that its body gives.
#[derive(Debug)]
struct Relay {
    dedupe_by_content: bool,
}

#[async_trait]
impl Provider for Relay {
    fn precheck(&self, _: &Head) -> Result<(), VerifyError> {
        Ok(())
    }
    async fn verify(&self, _: &Request, _: &VerifyCx<'_>) -> Result<Verification, VerifyError> {
        Ok(Verification::Genuine { secret: 0 })
    }
    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let id = delivery.json().unwrap().get("id").and_then(Value::as_str);
        let event_id = id.map(|value| ProviderEventId { value: value.to_owned(), signed: true });
        Ok(vec![Identity { event_type: Some("push".to_owned()), event_id, part: None }])
    }
    fn scope(&self, delivery: &Verified, _: &Identity) -> Option<String> {
        Some(delivery.json().ok()?.get("source")?.as_str()?.to_owned())
    }
    fn dedupe_by_content(&self) -> bool {
        self.dedupe_by_content
    }
}

/// How many events there are after these bodies.
async fn events(dedupe_by_content: bool, bodies: &[&'static str]) -> usize {
    let way = way_of(Relay { dedupe_by_content });
    for body in bodies {
        let reply = way.engine.receive(bare_head(), Bytes::from_static(body.as_bytes())).await;
        assert_eq!(reply.status, 200);
    }
    way.browse().list(&Filter::default(), 10, None).await.unwrap().events.len()
}

#[tokio::test]
async fn an_id_counts_within_its_scope() {
    let (a, b) = (r#"{"id":"1","source":"/a"}"#, r#"{"id":"1","source":"/b"}"#);
    assert_eq!(events(true, &[a, b, a]).await, 2);
    let again = r#"{"id":"1","source":"/a","attempt":2}"#;
    assert_eq!(events(true, &[a, again, r#"{"id":"1"}"#]).await, 2);
}

#[tokio::test]
async fn the_same_bytes_are_two_events_where_the_sender_says_no_more() {
    let changed = r#"{"changed":["dbid:1"]}"#;
    assert_eq!(events(true, &[changed, changed]).await, 1);
    assert_eq!(events(false, &[changed, changed]).await, 2);
    let with_id = r#"{"id":"1"}"#;
    assert_eq!(events(false, &[with_id, with_id]).await, 1);
}
