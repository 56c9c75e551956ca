//! Runs the conformance suite and the test vectors of PayPal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::keys::{FixedKeys, KeyDocument, KeyRequest, KeySource};
use hookward_core::plugin::{BuildCx, BuildError, Plugin};
use hookward_core::{Body, Proof, Provider, SecretSet, Timestamp, VerifyCx, VerifyError, prove};
use hookward_provider_paypal::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

fn vectors() -> VectorFile {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

fn subject() -> Subject {
    Subject::of(PLUGINS, "4JH86294D6297924G", "9XY00000AB1111111")
}

/// A CRC detects every change of one bit.
#[test]
fn paypal_keeps_the_contract() {
    subject().recordings(vectors()).check();
}

#[test]
fn paypal_agrees_with_every_vector() {
    run_vectors(|_| subject().build().ok(), &vectors()).assert_agrees();
}

#[tokio::test]
async fn a_second_body_with_the_same_crc_has_the_same_replay_token() {
    let provider = subject().build().unwrap();
    let file = vectors();
    let mut tokens = Vec::new();
    for id in ["paypal-001", "paypal-015"] {
        let vector = file.vectors.iter().find(|v| v.id == id).unwrap();
        let keys = FixedKeys(vector.inputs.certificate_pem.clone().unwrap().into());
        let secrets = SecretSet::from_texts(["9XY00000AB1111111", "4JH86294D6297924G"]).unwrap();
        let now = Timestamp::from_secs(1_431_963_913);
        let cx = VerifyCx::new(now, secrets.active(now), &keys);
        let proof = prove(&*provider, vector.request.to_request().unwrap(), &cx).await;
        let Ok(Proof::Genuine(delivery)) = proof else { panic!("{id}: {proof:?}") };
        assert_eq!(delivery.secret_index(), 1);
        tokens.push(provider.replay_token(&delivery).unwrap());
        if id == "paypal-001" {
            let event = provider.identify(&delivery).unwrap().remove(0);
            assert_eq!(event.event_type.as_deref(), Some("PAYMENT.SALE.COMPLETED"));
            assert!(!event.event_id.unwrap().signed);
        }
        let mut longer = vector.request.to_request().unwrap();
        longer.body = Body::new([longer.body.bytes().as_ref(), b" "].concat());
        assert!(prove(&*provider, longer, &cx).await.is_err());
    }
    assert_eq!(tokens[0], tokens[1]);
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
    (descriptor.build)(with, &BuildCx::new(Path::new("."), "paypal"))
}

/// Verifies a correctly signed request, whose certificate comes in this document.
fn verify_with(issuers: Option<&str>, document: &[&str]) -> Result<(), &'static str> {
    let with = issuers.map_or(json!({}), |pem| json!({ "trusted_issuers": pem }));
    let provider = try_build(with).unwrap();
    let file = vectors();
    let vector = file.vectors.iter().find(|v| v.id == "paypal-own-valid").unwrap();
    let keys = Fetched(document.concat());
    let secrets = SecretSet::from_texts(["4JH86294D6297924G"]).unwrap();
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

#[test]
fn trusted_issuers_must_be_authorities_and_omitting_them_is_warned_about() {
    let error = try_build(json!({ "trusted_issuers": LEAF })).unwrap_err();
    assert_eq!(error.at, "/trusted_issuers");
    let open = try_build(json!({})).unwrap().config_warnings();
    assert!(open[0].contains("set `trusted_issuers`"));
    let pinned = try_build(json!({ "trusted_issuers": ISSUER })).unwrap();
    assert!(pinned.config_warnings().is_empty());
}
