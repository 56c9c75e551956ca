//! Captured requests that an attacker sends again, changed where the signature leaves them open.

use hookward_core::ProviderEventId;

use super::*;

/// A provider that accepts every request. Its signature covers a token and leaves the body open, or
/// covers each item of a batch by itself.
#[derive(Debug)]
struct OpenBodyProvider;

#[async_trait]
impl Provider for OpenBodyProvider {
    fn precheck(&self, _: &Head) -> Result<(), VerifyError> {
        Ok(())
    }
    async fn verify(&self, _: &Request, _: &VerifyCx<'_>) -> Result<Verification, VerifyError> {
        Ok(Verification::Genuine { secret: 0 })
    }
    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let body = delivery.json().unwrap();
        let named = |id: &Value, signed, part| {
            Identity::new()
                .with_event_type("push".to_owned())
                .with_event_id(ProviderEventId::new(id.as_str().unwrap().to_owned(), signed))
                .with_item_pointer(part)
        };
        let items = body.get("items").and_then(Value::as_array).into_iter().flatten();
        let items = items.enumerate().map(|(n, id)| named(id, true, Some(format!("/items/{n}"))));
        Ok(body.get("id").map(|id| named(id, false, None)).into_iter().chain(items).collect())
    }
    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        Some(delivery.json().ok()?.get("token")?.as_str()?.to_owned())
    }
}

/// How many events are stored after each of these bodies was received.
async fn stored_events(bodies: &[&'static str]) -> Vec<usize> {
    let pipeline = pipeline_with_provider(OpenBodyProvider);
    let mut counts = Vec::new();
    for body in bodies {
        let reply = pipeline.engine.receive(bare_head(), Bytes::from_static(body.as_bytes())).await;
        assert_eq!(reply.status, 200);
        let page = pipeline.browse().list(&EventFilter::default(), 10, None).await.unwrap();
        counts.push(page.events.len());
    }
    counts
}

#[tokio::test]
async fn a_replay_token_counts_once_whatever_body_and_id_come_with_it() {
    let bodies = [
        r#"{"token":"a","id":"1"}"#,
        r#"{"token":"a","id":"1"}"#,
        r#"{"token":"a","id":"2","amount":1000000}"#,
        r#"{"token":"b","id":"1"}"#,
        r#"{"token":"b","id":"3"}"#,
    ];
    // A new token with an old id is a duplicate too. It is not stored, so its token counts for the
    // next body.
    assert_eq!(stored_events(&bodies).await, [1, 1, 1, 1, 2]);
}

#[tokio::test]
async fn an_id_in_a_batch_is_a_duplicate_at_any_position() {
    let bodies = [
        r#"{"items":["1","2"]}"#,
        r#"{"items":["2"]}"#,
        r#"{"items":["3","1"]}"#,
        r#"{"items":["4","4"]}"#,
    ];
    assert_eq!(stored_events(&bodies).await, [2, 2, 3, 5]);
}

#[tokio::test]
async fn a_replay_token_of_a_batch_does_not_count_again_for_a_single_event() {
    let bodies = [
        r#"{"token":"a","items":["1","2"]}"#,
        r#"{"token":"a","id":"3"}"#,
        r#"{"token":"b","id":"3"}"#,
        r#"{"token":"b","items":["4"]}"#,
    ];
    assert_eq!(stored_events(&bodies).await, [2, 2, 3, 3]);
}
