//! Keys that a sender publishes, through an app with a key source of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use hookward::{App, KeySource};
use hookward_core::keys::{KeyDocument, KeyRequest, NoKeys};
use hookward_core::{Timestamp, VerifyError};
use hookward_testkit::vectors::{Vector, VectorFile};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use tower::ServiceExt;

const ROUTES: &str = "store: 'memory:'\n\
    sources:\n  sns:\n    provider: aws_sns\n    with: { topics: ['arn:aws:sns:us-west-2:123456789012:MyTopic'] }\n\
    routes: [{ name: all, events: sns/**, chain: [noop] }]\n";

fn vector(id: &str) -> Vector {
    let text = include_str!("data/aws-sns.json");
    let file: VectorFile = serde_json::from_str(text).unwrap();
    file.vectors.into_iter().find(|v| v.id == id).unwrap()
}

/// Returns one certificate for every URL; records the URLs that are fetched and confirmed.
#[derive(Debug)]
struct RecordingKeys(String, Mutex<Vec<String>>);

#[async_trait]
impl KeySource for RecordingKeys {
    async fn fetch(&self, want: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        self.1.lock().unwrap().push(want.url.clone());
        Ok(KeyDocument::fetched(self.0.clone(), Timestamp::from_secs(0)))
    }

    async fn confirm(&self, url: &str) -> Result<(), VerifyError> {
        self.1.lock().unwrap().push(format!("confirm {url}"));
        Ok(())
    }
}

/// Posts the vector's request to a new app; returns status, whether Retry-After is set, and the
/// code.
async fn post(keys: Arc<dyn KeySource>, vector: &Vector) -> (StatusCode, bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.yaml");
    std::fs::write(&file, ROUTES).unwrap();
    let plugins = &[hookward_provider_aws_sns::PLUGINS, hookward_handler_noop::PLUGINS];
    let hooks = App::with_plugins(file, plugins).unwrap().keys(keys).build().await.unwrap();
    let text = vector.request.body.clone().unwrap();
    let mut request = Request::post("/webhooks/sns")
        .header("host", "hooks.example.com")
        .header("content-length", text.len());
    for (name, value) in &vector.request.headers {
        request = request.header(name, value);
    }
    let body = Body::from(text);
    let response = hooks.standalone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    #[expect(clippy::disallowed_methods, reason = "limited in the same line")]
    let bytes = Limited::new(body, 4096).collect().await.unwrap().to_bytes();
    let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let code = json["code"].as_str().unwrap_or_default().to_owned();
    hooks.stop_working().await;
    (head.status, head.headers.contains_key("retry-after"), code)
}

#[tokio::test]
async fn an_unavailable_key_is_answered_with_503_and_retry_after() {
    let answer = post(Arc::new(NoKeys), &vector("sns-own-notification-v2")).await;
    assert_eq!(answer, (StatusCode::SERVICE_UNAVAILABLE, true, "KEY_UNAVAILABLE".to_owned()));
}

#[tokio::test]
async fn an_apps_key_source_serves_certificates_and_confirms_subscriptions() {
    let vector = |id| {
        let vector = vector(id);
        let keys = vector.inputs.certificate_pem.clone().unwrap();
        (Arc::new(RecordingKeys(keys, Mutex::default())), vector)
    };
    let (keys, notification) = vector("sns-own-notification-v2");
    assert_eq!(post(keys.clone(), &notification).await.0, StatusCode::OK);
    let seen = keys.1.lock().unwrap().clone();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].starts_with("https://sns.us-west-2.amazonaws.com/SimpleNotificationService-"));

    let (keys, subscription) = vector("sns-own-subscribe");
    assert_eq!(post(keys.clone(), &subscription).await.0, StatusCode::OK);
    let seen = keys.1.lock().unwrap().clone();
    assert!(seen[1].starts_with("confirm https://sns.us-west-2.amazonaws.com/?Action=Confirm"));

    let (keys, elsewhere) = vector("sns-own-subscribe-elsewhere");
    let rejected = (StatusCode::UNAUTHORIZED, false, "INVALID_FORMAT".to_owned());
    assert_eq!(post(keys.clone(), &elsewhere).await, rejected);
    assert_eq!(keys.1.lock().unwrap().len(), 1, "nothing is called");
}
