//! Runs the conformance suite and the test vectors of Mailgun.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use hookward_core::keys::NoKeys;
use hookward_core::plugin::{BuildCx, Plugin};
use hookward_core::{Proof, SecretSet, Timestamp, VerifyCx, prove};
use hookward_provider_mailgun::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::{VectorFile, Verdict};
use serde_json::{Value, json};

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn form_of(scheme: &str) -> &'static str {
    if scheme.contains("form") { "legacy_form" } else { "json" }
}

fn subject(form: &str) -> Subject {
    let subject = Subject::of(PLUGINS, "TEST_WEBHOOK_SIGNING_KEY", "another-key");
    subject.with(json!({ "scheme": form })).body_is_not_signed()
}

#[test]
fn every_body_format_keeps_the_contract() {
    for form in ["json", "legacy_form"] {
        let mut recordings = vectors();
        recordings.vectors.retain(|vector| form_of(&vector.scheme) == form);
        subject(form).recordings(recordings).check();
    }
}

#[test]
fn mailgun_agrees_with_every_vector() {
    run_vectors(|scheme| subject(form_of(scheme)).build().ok(), &vectors()).assert_agrees();
}

/// The engine uses the token as a dedupe key: nothing else detects a forged body with a captured
/// signature.
#[tokio::test]
async fn the_replay_token_of_every_accepted_request_is_its_signed_token() {
    let Plugin::Provider(descriptor) = PLUGINS[0] else { panic!("not a provider") };
    let file = vectors();
    for vector in file.vectors.iter().filter(|v| v.expect == Verdict::Accept) {
        let cx = BuildCx::new(Path::new("."), "mailgun");
        let with = json!({ "scheme": form_of(&vector.scheme) });
        let provider = (descriptor.build)(with, &cx).unwrap();
        let request = vector.request.to_request().unwrap();
        let text = String::from_utf8(request.body.bytes().to_vec()).unwrap();
        let secrets = SecretSet::from_texts([vector.secret.as_str()]).unwrap();
        let now = Timestamp::from_secs(vector.now_unix.unwrap_or(file.now_default));
        let cx = VerifyCx::new(now, secrets.active(now), &NoKeys);
        let Ok(Proof::Genuine(delivery)) = prove(&*provider, request, &cx).await else {
            panic!("{} is not accepted", vector.id)
        };
        let token = provider.replay_token(&delivery).unwrap();
        let written = match serde_json::from_str::<Value>(&text) {
            Ok(body) => body["signature"]["token"].as_str().unwrap().to_owned(),
            Err(_) => text.split("token=").nth(1).unwrap().split('&').next().unwrap().to_owned(),
        };
        assert_eq!(token, written, "{}", vector.id);
        for identity in provider.identify(&delivery).unwrap() {
            assert!(identity.event_id.is_none_or(|id| !id.signed), "{}", vector.id);
        }
    }
}
