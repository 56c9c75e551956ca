//! Runs the conformance suite and the test vectors of Amazon SNS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::keys::{FixedKeys, KeyDocument, KeyRequest, KeySource};
use hookward_core::plugin::{BuildCx, BuildError, Plugin};
use hookward_core::{
    Body, HandshakeEffect, Proof, Provider, SecretSet, Timestamp, VerifyCx, VerifyError, prove,
};
use hookward_provider_aws_sns::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

const TOPIC: &str = "arn:aws:sns:us-west-2:123456789012:MyTopic";

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

/// Some members of a message and its white space are not signed, so not every change of the body is
/// detected. A test below changes the signed members.
fn subject() -> Subject {
    Subject::of(PLUGINS, "unused", "unused-too").body_is_not_signed()
}

fn build_with(topics: Value) -> Arc<dyn Provider> {
    try_build(json!({ "topics": topics })).unwrap()
}

/// Verifies the vector with this id after `change` edits its body.
fn verify_vector(
    provider: &dyn Provider,
    id: &str,
    change: impl FnOnce(&mut Value),
) -> Result<Proof, VerifyError> {
    let file = vectors();
    let vector = file.vectors.iter().find(|v| v.id == id).unwrap();
    let mut request = vector.request.to_request().unwrap();
    let mut body = request.body.json().unwrap().clone();
    change(&mut body);
    request.body = Body::from_json(body);
    let keys = FixedKeys(vector.inputs.certificate_pem.clone().unwrap().into());
    let secrets = SecretSet::from_texts(Option::<String>::None).unwrap();
    let now = Timestamp::from_secs(file.now_default);
    let cx = VerifyCx::new(now, secrets.active(now), &keys);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(prove(provider, request, &cx))
}

#[test]
fn aws_sns_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn aws_sns_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}

#[test]
fn a_changed_or_removed_signed_member_is_rejected() {
    let provider = build_with(json!([]));
    for (id, names) in [
        ("sns-own-notification-v2", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn"]),
        ("sns-own-notification-v1", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn"]),
        ("sns-own-unsubscribe", ["Message", "MessageId", "SubscribeURL", "Token", "Timestamp"]),
    ] {
        assert!(verify_vector(&*provider, id, |_| {}).is_ok(), "{id}");
        for name in names.into_iter().chain(["Type"]) {
            let changed = verify_vector(&*provider, id, |body| {
                body[name] = format!("{} ", body[name].as_str().unwrap()).into();
            });
            assert!(changed.is_err(), "{id}: {name} changed");
            let removed = verify_vector(&*provider, id, |body| {
                body.as_object_mut().unwrap().remove(name);
            });
            assert!(removed.is_err(), "{id}: {name} removed");
        }
    }
}

#[test]
fn messages_of_unlisted_topics_are_rejected() {
    let (ours, others) =
        (build_with(json!([TOPIC])), build_with(json!([TOPIC.replace("My", "Your")])));
    for id in ["sns-own-notification-v2", "sns-own-subscribe", "sns-own-unsubscribe"] {
        assert!(verify_vector(&*ours, id, |_| {}).is_ok(), "{id}");
        let rejected = verify_vector(&*others, id, |_| {}).unwrap_err();
        assert!(matches!(rejected, VerifyError::InvalidClaim { .. }), "{id}: {rejected}");
    }
}

#[test]
fn only_subscriptions_of_listed_topics_on_sns_hosts_are_confirmed() {
    let effect = |topics: Value, id: &str| match verify_vector(&*build_with(topics), id, |_| {}) {
        Ok(Proof::Handshake(handshake)) => {
            assert_eq!((handshake.reply.status.as_u16(), handshake.reply.body.len()), (200, 0));
            match handshake.effect {
                Some(HandshakeEffect::Confirm { url }) => Ok(Some(url)),
                _ => Ok(None),
            }
        }
        Ok(Proof::Genuine(_)) => panic!("{id} is accepted as an event"),
        Err(e) => Err(e.code()),
    };
    let url = effect(json!([TOPIC]), "sns-own-subscribe").unwrap().unwrap();
    assert!(url.starts_with("https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription"));
    assert_eq!(effect(json!([]), "sns-own-subscribe"), Ok(None));
    let elsewhere = "sns-own-subscribe-elsewhere";
    assert_eq!(effect(json!([TOPIC]), elsewhere), Err("INVALID_FORMAT"));
    assert_eq!(effect(json!([]), elsewhere), Ok(None));
}

#[test]
fn topics_must_be_full_arns_and_issuers_authorities_and_omitting_either_is_warned_about() {
    let error = try_build(json!({ "topics": [TOPIC, "orders"] })).unwrap_err();
    assert_eq!(error.at, "/topics/1");
    let error = try_build(json!({ "trusted_issuers": LEAF })).unwrap_err();
    assert_eq!(error.at, "/trusted_issuers");
    let open = build_with(json!([])).config_warnings();
    assert!(open[0].contains("set `topics`") && open[1].contains("set `trusted_issuers`"));
    let closed = try_build(json!({ "topics": [TOPIC], "trusted_issuers": ISSUER })).unwrap();
    assert!(closed.config_warnings().is_empty());
}

/// A source whose certificate is fetched, so that it is checked.
#[derive(Debug)]
struct Fetched(String);

#[async_trait]
impl KeySource for Fetched {
    async fn fetch(&self, _: &KeyRequest) -> Result<KeyDocument, VerifyError> {
        Ok(KeyDocument::fetched(self.0.clone(), Timestamp::from_secs(NOW_SECS)))
    }

    async fn confirm(&self, _: &str) -> Result<(), VerifyError> {
        Ok(())
    }
}

const NOW_SECS: i64 = 1_760_000_000;
const ROOT: &str = include_str!("certificates/root.pem");
const ISSUER: &str = include_str!("certificates/issuer.pem");
const EXPIRED_ISSUER: &str = include_str!("certificates/expired-issuer.pem");
const FOREIGN_ISSUER: &str = include_str!("certificates/foreign-issuer.pem");
const LEAF: &str = include_str!("certificates/leaf.pem");
const EXPIRED_LEAF: &str = include_str!("certificates/expired-leaf.pem");
const OTHER_NAME: &str = include_str!("certificates/other-name.pem");
const FOREIGN_LEAF: &str = include_str!("certificates/foreign-leaf.pem");

fn try_build(with: Value) -> Result<Arc<dyn Provider>, BuildError> {
    let Plugin::Provider(descriptor) = PLUGINS[0] else { panic!() };
    (descriptor.build)(with, &BuildCx::new(Path::new("."), "sns"))
}

/// Verifies a correctly signed request, whose certificate comes in this document.
fn verify_with(issuers: Option<&str>, document: &[&str]) -> Result<(), &'static str> {
    let with = issuers.map_or(json!({}), |pem| json!({ "trusted_issuers": pem }));
    let provider = try_build(with).unwrap();
    let file = vectors();
    let vector = file.vectors.iter().find(|v| v.id == "sns-own-notification-v2").unwrap();
    let keys = Fetched(document.concat());
    let secrets = SecretSet::from_texts(Option::<String>::None).unwrap();
    let now = Timestamp::from_secs(NOW_SECS);
    let cx = VerifyCx::new(now, secrets.active(now), &keys);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let request = vector.request.to_request().unwrap();
    runtime.block_on(prove(&*provider, request, &cx)).map(drop).map_err(|e| e.code())
}

#[test]
fn a_trusted_issuer_vouches_for_a_leaf_alone_and_for_a_chain() {
    assert_eq!(verify_with(Some(ISSUER), &[LEAF]), Ok(()));
    assert_eq!(verify_with(Some(ISSUER), &[LEAF, ISSUER]), Ok(()));
    assert_eq!(verify_with(Some(ROOT), &[LEAF, ISSUER]), Ok(()));
    assert_eq!(verify_with(Some(&[FOREIGN_ISSUER, ISSUER].concat()), &[LEAF]), Ok(()));
}

#[test]
fn certificates_that_no_trusted_issuer_vouches_for_are_rejected() {
    for (what, issuers, document) in [
        ("issued by another", ISSUER, vec![FOREIGN_LEAF]),
        ("issued by another of the same name", ROOT, vec![FOREIGN_LEAF, FOREIGN_ISSUER]),
        ("the wrong issuer beside it", ROOT, vec![FOREIGN_LEAF, ISSUER]),
        ("a foreign issuer trusted", FOREIGN_ISSUER, vec![LEAF, ISSUER]),
        ("an expired intermediate", ROOT, vec![LEAF, EXPIRED_ISSUER]),
        ("an expired issuer trusted", EXPIRED_ISSUER, vec![LEAF]),
        ("an expired leaf", ISSUER, vec![EXPIRED_LEAF]),
        ("another name", ISSUER, vec![OTHER_NAME]),
        ("another name in a chain", ROOT, vec![OTHER_NAME, ISSUER]),
        ("the issuer first", ROOT, vec![ISSUER, LEAF]),
        ("a missing link", ROOT, vec![LEAF]),
    ] {
        assert_eq!(verify_with(Some(issuers), &document), Err("KEY_UNAVAILABLE"), "{what}");
    }
}

#[test]
fn without_trusted_issuers_only_a_leaf_alone_needs_no_public_root() {
    assert_eq!(verify_with(None, &[LEAF]), Ok(()));
    for (what, document) in [
        ("a root that is not public", vec![LEAF, ISSUER, ROOT]),
        ("issued by another", vec![FOREIGN_LEAF, FOREIGN_ISSUER]),
        ("the issuer first", vec![ISSUER, LEAF]),
        ("an expired leaf", vec![EXPIRED_LEAF]),
    ] {
        assert_eq!(verify_with(None, &document), Err("KEY_UNAVAILABLE"), "{what}");
    }
}
