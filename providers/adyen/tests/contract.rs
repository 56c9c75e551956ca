//! Runs the conformance suite and the test vectors of Adyen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext};
use hookward_core::keys::NoKeys;
use hookward_core::{Body, Head, Proof, Request, SecretSet, Timestamp, VerifyCx, prove};
use hookward_provider_adyen::PLUGINS;
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::json;

const KEYS: [&str; 2] = [
    "11223344D785FBAE710E7F943F307971BB61B21281C98C9129B3D4018A57B2EB",
    "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00",
];

fn vectors(scheme: &str) -> VectorFile {
    let mut file: VectorFile = serde_json::from_str(include_str!("vectors.json")).unwrap();
    file.vectors.retain(|vector| vector.scheme.starts_with(scheme));
    file
}

fn subject(scheme: &str) -> Subject {
    Subject::of(PLUGINS, KEYS[0], KEYS[1]).with(json!({ "scheme": scheme }))
}

#[test]
fn adyen_header_signatures_keep_the_contract() {
    subject("header").recordings(vectors("adyen-header")).samples_do_not_fit().check();
    subject("auto").recordings(vectors("adyen-header")).check();
}

/// Only eight fields of an item are signed, so not every change of the body is detected.
#[test]
fn adyen_item_signatures_keep_the_contract() {
    let items = || vectors("adyen-items");
    subject("items").recordings(items()).samples_do_not_fit().body_is_not_signed().check();
    subject("auto").recordings(items()).body_is_not_signed().check();
}

#[test]
fn adyen_agrees_with_every_vector() {
    let choice = |scheme: &str| scheme.trim_start_matches("adyen-").to_owned();
    run_vectors(|scheme| subject(&choice(scheme)).build().ok(), &vectors("")).assert_agrees();
    run_vectors(|_| subject("auto").build().ok(), &vectors("")).assert_agrees();
}

/// Verifies and identifies a body with this header: returns the ids of its events, or the code of
/// the rejection.
async fn verdict(
    scheme: &str,
    body: &str,
    header: Option<&str>,
) -> Result<Vec<String>, &'static str> {
    let provider = subject(scheme).build().unwrap();
    let mut head = Head::default().with_method(http::Method::POST);
    if let Some(header) = header {
        head.headers.insert("hmacsignature", header.parse().unwrap());
    }
    let (secrets, now) = (SecretSet::from_texts([KEYS[0]]).unwrap(), Timestamp::from_secs(0));
    let active = secrets.active(now);
    let cx = VerifyCx::new(now, active, &NoKeys);
    let request = Request::new(head, Body::new(body.to_owned()));
    match prove(provider.as_ref(), request, &cx).await {
        Ok(Proof::Genuine(delivery)) => {
            let events = provider.identify(&delivery).unwrap_or_default();
            Ok(events.into_iter().filter_map(|e| Some(e.event_id?.value)).collect())
        }
        Ok(Proof::Handshake(_)) => panic!("Adyen has no handshakes"),
        Err(e) => Err(e.code()),
    }
}

fn signature_of(message: &str) -> String {
    let key = Encoding::Hex.decode(KEYS[0]).unwrap();
    let mut mac = HmacContext::new(HmacAlgorithm::Sha256, &key).unwrap();
    mac.update(message.as_bytes());
    Encoding::Base64.encode(&mac.finish())
}

fn item(fields: [serde_json::Value; 8], tag: &str) -> String {
    let [psp, original, account, reference, value, currency, code, success] = fields;
    let item = json!({
        "pspReference": psp, "originalReference": original, "merchantAccountCode": account,
        "merchantReference": reference, "amount": {"value": value, "currency": currency},
        "eventCode": code, "success": success, "additionalData": {"hmacSignature": tag},
    });
    json!({ "notificationItems": [{ "NotificationRequestItem": item }] }).to_string()
}

#[tokio::test]
async fn a_captured_item_keeps_its_id_in_every_json_spelling() {
    let tag = signature_of("791::M:order:1:100:EUR:AUTHORISATION:true");
    let id = Ok(vec!["791:AUTHORISATION:true".to_owned()]);
    let [a, m, o, e] = ["AUTHORISATION", "M", "order:1", "EUR"].map(|text| json!(text));
    let fields = |psp, success| {
        [psp, json!(""), m.clone(), o.clone(), json!(100), e.clone(), a.clone(), success]
    };
    let right = item(fields(json!("791"), json!("true")), &tag);
    assert_eq!(verdict("items", &right, None).await, id);
    assert_eq!(verdict("items", &item(fields(json!(791), json!(true)), &tag), None).await, id);
    let moved = [json!("791:"), m, json!("order"), json!("1"), json!(100), e, a, json!("true")];
    assert_eq!(verdict("items", &item(moved, &tag), None).await, Err("INVALID_FORMAT"));
}

#[tokio::test]
async fn header_and_item_signatures_do_not_verify_each_other() {
    let text = "791::M:1:100:EUR:AUTHORISATION:true";
    let tag = signature_of(text);
    assert_eq!(verdict("auto", text, Some(&tag)).await, Err("INVALID_FORMAT"));
    let body = r#"{"a":"b","c":"d","e":"f","g":1,"h":2,"i":3,"j":"AUTHORISATION:true"}"#;
    let tag = signature_of(body);
    assert_eq!(verdict("auto", body, Some(&tag)).await, Ok(Vec::new()));
    let parts: Vec<_> = body.split(':').collect();
    let (last, first) = parts.split_last_chunk::<4>().map(|(a, b)| (b, a)).unwrap();
    let fields = [
        json!(first[0]),
        json!(first[1]),
        json!(first[2]),
        json!(first[3..].join(":")),
        json!(last[0]),
        json!(last[1]),
        json!(last[2]),
        json!(last[3]),
    ];
    assert_eq!(verdict("auto", &item(fields, &tag), None).await, Err("INVALID_FORMAT"));
}
