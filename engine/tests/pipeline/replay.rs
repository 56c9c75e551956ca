//! Captured requests that come again, changed where the signature lets them be changed.

use hookward_core::ProviderEventId;

use super::*;

/// Believes everything. A token is signed and its body is not; or items are signed one by one.
#[derive(Debug)]
struct Open;

#[async_trait]
impl Provider for Open {
    fn precheck(&self, _: &Head) -> Result<(), VerifyError> {
        Ok(())
    }
    async fn verify(&self, _: &Request, _: &VerifyCx<'_>) -> Result<Verification, VerifyError> {
        Ok(Verification::Genuine { secret: 0 })
    }
    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let body = delivery.json().unwrap();
        let named = |id: &Value, signed, part| Identity {
            event_type: Some("push".to_owned()),
            event_id: Some(ProviderEventId { value: id.as_str().unwrap().to_owned(), signed }),
            part,
        };
        let items = body.get("items").and_then(Value::as_array).into_iter().flatten();
        let items = items.enumerate().map(|(n, id)| named(id, true, Some(format!("/items/{n}"))));
        Ok(body.get("id").map(|id| named(id, false, None)).into_iter().chain(items).collect())
    }
    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        Some(delivery.json().ok()?.get("token")?.as_str()?.to_owned())
    }
}

/// How many events there are after each of these bodies.
async fn events(bodies: &[&'static str]) -> Vec<usize> {
    let way = way_of(Open);
    let mut counts = Vec::new();
    for body in bodies {
        let reply = way.engine.receive(bare_head(), Bytes::from_static(body.as_bytes())).await;
        assert_eq!(reply.status, 200);
        let page = way.browse().list(&Filter::default(), 10, None).await.unwrap();
        counts.push(page.events.len());
    }
    counts
}

#[tokio::test]
async fn a_signed_token_is_good_for_one_event_whatever_body_and_id_stand_beside_it() {
    let bodies = [
        r#"{"token":"a","id":"1"}"#,
        r#"{"token":"a","id":"1"}"#,
        r#"{"token":"a","id":"2","amount":1000000}"#,
        r#"{"token":"b","id":"1"}"#,
        r#"{"token":"b","id":"3"}"#,
    ];
    // A new token with an old id is a repetition too; it is not stored, so its token is still good.
    assert_eq!(events(&bodies).await, [1, 1, 1, 1, 2]);
}

#[tokio::test]
async fn an_id_of_a_batch_counts_wherever_it_stands() {
    let bodies = [
        r#"{"items":["1","2"]}"#,
        r#"{"items":["2"]}"#,
        r#"{"items":["3","1"]}"#,
        r#"{"items":["4","4"]}"#,
    ];
    assert_eq!(events(&bodies).await, [2, 2, 3, 5]);
}

#[tokio::test]
async fn a_token_of_a_batch_is_good_for_no_single_event() {
    let bodies = [
        r#"{"token":"a","items":["1","2"]}"#,
        r#"{"token":"a","id":"3"}"#,
        r#"{"token":"b","id":"3"}"#,
        r#"{"token":"b","items":["4"]}"#,
    ];
    assert_eq!(events(&bodies).await, [2, 2, 3, 3]);
}
