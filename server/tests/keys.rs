//! Keys that live with a sender, through a whole app that brings its own source of them.
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

/// Has one certificate; remembers what it was asked for and told to call.
#[derive(Debug)]
struct Own(String, Mutex<Vec<String>>);

#[async_trait]
impl KeySource for Own {
    async fn fetch(&self, want: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        self.1.lock().unwrap().push(want.url.clone());
        Ok(KeyDocument::fetched(self.0.clone(), Timestamp::from_secs(0)))
    }

    async fn confirm(&self, url: &str) -> Result<(), VerifyError> {
        self.1.lock().unwrap().push(format!("confirm {url}"));
        Ok(())
    }
}

/// Status, whether it says when to come again, and the code.
async fn answer(keys: Arc<dyn KeySource>, vector: &Vector) -> (StatusCode, bool, String) {
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
    let answer = hooks.standalone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (head, body) = answer.into_parts();
    #[expect(clippy::disallowed_methods, reason = "limited just here")]
    let bytes = Limited::new(body, 4096).collect().await.unwrap().to_bytes();
    let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let code = json["code"].as_str().unwrap_or_default().to_owned();
    hooks.stop_working().await;
    (head.status, head.headers.contains_key("retry-after"), code)
}

#[tokio::test]
async fn a_key_that_cannot_be_had_is_503_so_that_the_sender_comes_again() {
    let found = answer(Arc::new(NoKeys), &vector("sns-own-notification-v2")).await;
    assert_eq!(found, (StatusCode::SERVICE_UNAVAILABLE, true, "KEY_UNAVAILABLE".to_owned()));
}

#[tokio::test]
async fn an_app_brings_its_own_keys_and_a_subscription_is_confirmed_through_them() {
    let vector = |id| {
        let vector = vector(id);
        let keys = vector.inputs.certificate_pem.clone().unwrap();
        (Arc::new(Own(keys, Mutex::default())), vector)
    };
    let (keys, notification) = vector("sns-own-notification-v2");
    assert_eq!(answer(keys.clone(), &notification).await.0, StatusCode::OK);
    let seen = keys.1.lock().unwrap().clone();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].starts_with("https://sns.us-west-2.amazonaws.com/SimpleNotificationService-"));

    let (keys, subscription) = vector("sns-own-subscribe");
    assert_eq!(answer(keys.clone(), &subscription).await.0, StatusCode::OK);
    let seen = keys.1.lock().unwrap().clone();
    assert!(seen[1].starts_with("confirm https://sns.us-west-2.amazonaws.com/?Action=Confirm"));

    let (keys, elsewhere) = vector("sns-own-subscribe-elsewhere");
    let refused = (StatusCode::UNAUTHORIZED, false, "INVALID_FORMAT".to_owned());
    assert_eq!(answer(keys.clone(), &elsewhere).await, refused);
    assert_eq!(keys.1.lock().unwrap().len(), 1, "nothing is called");
}
