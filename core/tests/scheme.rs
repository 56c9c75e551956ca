//! Schemes that do not compile, and signature locations that no first-party provider uses. The
//! providers' vectors show what compiled schemes accept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hookward_core::crypto::{HmacAlgorithm, HmacContext};
use hookward_core::keys::NoKeys;
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    Body, EventDraft, Head, Proof, Provider, Request, Secret, SecretSet, Timestamp, Verification,
    VerifyCx, VerifyError, prove,
};
use serde_json::{Value, json};

/// A valid scheme with one member replaced.
fn scheme(pointer: &str, value: Value) -> Value {
    let mut scheme = json!({
        "signature": { "in": "header", "name": "x-signature" },
        "message": "{body}",
        "alg": "hmac-sha256"
    });
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    scheme.pointer_mut(parent).unwrap()[member] = value;
    scheme
}

fn compile(scheme: Value) -> Result<CompiledScheme, (String, String)> {
    let scheme = Scheme::from_json(&scheme.to_string()).map_err(|e| (e.pointer, e.message))?;
    scheme.compile().map_err(|e| (e.pointer, e.message))
}

#[test]
fn a_contradictory_scheme_is_rejected_with_the_pointer_of_its_flaw() {
    let time = |from: &str| json!({ "from": from, "unit": "s" });
    let list = json!({ "in": "header", "name": "x", "split": ",", "pair": "=", "take": "v1" });
    let cases = [
        ("/message", json!("fixed"), "/message"),
        ("/message", json!("{boddy}"), "/message"),
        ("/message", json!("{timestamp}.{body}"), "/message"),
        ("/message", json!("{sig:t}.{body}"), "/signature"),
        ("/timestamp", time("header:x-time"), "/timestamp"),
        ("/timestamp", time("nowhere"), "/timestamp/from"),
        ("/timestamp", time("sig:t"), "/signature"),
        ("/signature/name", json!("not a header"), "/signature/name"),
        ("/signature/pair", json!("="), "/signature"),
        ("/event_type", json!("type"), "/event_type"),
        ("/event_id", json!(["/id", "header:"]), "/event_id"),
        ("/batch", json!("events"), "/batch"),
        ("/unknown", json!(1), ""),
        ("/alg", json!("md5"), ""),
        ("/alg", json!("sha256"), "/message"),
        ("/alg", json!("ed25519"), "/key"),
        ("/alg", json!("ecdsa-p256-sha256-der"), "/key"),
        ("/message", json!("{key}{body}"), "/message"),
        ("/key", json!("whpk"), "/key"),
        ("/key", json!("spki-b64"), "/key"),
        ("/replay_token", json!("token"), "/replay_token"),
        ("/replay_token", json!("header:x-token"), "/replay_token"),
    ];
    for (pointer, value, at) in cases {
        let found = compile(scheme(pointer, value.clone())).unwrap_err();
        assert_eq!(found.0, at, "{pointer}: {value}: {}", found.1);
    }
    for place in ["query", "form", "json"] {
        let mut list = list.clone();
        list["in"] = json!(place);
        list["name"] = json!("/x");
        assert_eq!(compile(scheme("/signature", list)).unwrap_err().0, "/signature/split");
    }
    assert!(compile(scheme("/signature", list)).is_ok());
    assert!(compile(scheme("/timestamp", time("json:/time"))).is_ok());
}

#[test]
fn a_replay_token_must_be_signed_and_excludes_a_batch() {
    let with = |message: &str, token: &str| {
        let mut scheme = scheme("/message", json!(message));
        scheme["replay_token"] = json!(token);
        scheme
    };
    for (message, token, compiles) in [
        ("{json:/time}{json:/token}", "/token", true),
        ("{json:/time}{json:/token}", "json:/token", true),
        ("{json:/time}{json:/token}", "/id", false),
        ("{form:token}", "form:token", true),
        ("{form:token}", "/token", false),
        ("{header:x-token}", "header:X-Token", true),
        ("{body}", "/token", true),
        ("{body}", "header:x-token", false),
    ] {
        assert_eq!(compile(with(message, token)).is_ok(), compiles, "{token} in {message}");
    }
    let mut batch = with("{body}", "/token");
    batch["batch"] = json!("/events");
    assert_eq!(compile(batch).unwrap_err().0, "/replay_token");
}

#[tokio::test]
async fn numbers_in_ids_and_in_signed_messages_keep_all_their_digits() {
    let text = json!({
        "signature": { "in": "header", "name": "x-signature", "encoding": "hex" },
        "message": "{json:/id}",
        "alg": "hmac-sha256",
        "event_id": "/id",
        "replay_token": "/id"
    });
    let provider = compile(text).unwrap();
    let secrets = SecretSet::from_texts(["orchard"]).unwrap();
    let now = Timestamp::from_secs(1_760_000_000);
    // Whether a body with `id` verifies under the tag of `signed`, and the id of its event.
    let identify = async |id: &str, signed: &str| {
        let mut head = Head::default();
        head.headers.insert("x-signature", tag(signed).parse().unwrap());
        let request = Request::new(head, Body::new(format!(r#"{{"id":{id}}}"#)));
        let cx = VerifyCx::new(now, secrets.active(now), &NoKeys);
        match prove(&provider, request, &cx).await {
            Ok(Proof::Genuine(delivery)) => {
                let identity = provider.identify(&delivery).unwrap().remove(0);
                Ok(identity.event_id.map(|id| id.value))
            }
            Ok(_) => panic!("a handshake"),
            Err(error) => Err(error),
        }
    };
    for id in ["9007199254740993", "18446744073709551617", "-123456789012345678901234567890"] {
        assert_eq!(identify(id, id).await.unwrap().as_deref(), Some(id));
    }
    // Its neighbour is the same `f64`.
    assert!(identify("18446744073709551618", "18446744073709551617").await.is_err());
    assert_eq!(identify("1.5", "1.5").await.unwrap(), None, "a fraction identifies nothing");
}

fn tag(message: &str) -> String {
    let mut mac = HmacContext::new(HmacAlgorithm::Sha256, b"orchard").unwrap();
    mac.update(message.as_bytes());
    data_encoding::HEXLOWER.encode(&mac.finish())
}

fn verify(scheme: &CompiledScheme, target: &str, body: &str) -> Result<usize, &'static str> {
    let head = Head::default().with_target(target.to_owned());
    let request = Request::new(head, Body::new(body.to_owned()));
    let secrets = SecretSet::from_texts(["orchard"]).unwrap();
    let now = Timestamp::from_secs(0);
    let cx = VerifyCx::new(now, secrets.active(now), &hookward_core::keys::NoKeys);
    scheme.precheck(&request.head).map_err(|e| e.code())?;
    scheme.verify(&request, &cx).map_err(|e| e.code())
}

#[test]
fn a_signature_in_the_query_is_read_from_its_parameter_alone() {
    let scheme =
        compile(scheme("/signature", json!({ "in": "query", "name": "signature" }))).unwrap();
    let good = tag("{}");
    assert_eq!(verify(&scheme, &format!("/in?a=1&signature={good}"), "{}"), Ok(0));
    assert_eq!(verify(&scheme, &format!("/in?signature={good}"), "{ }"), Err("INVALID_SIGNATURE"));
    assert_eq!(verify(&scheme, "/in?signature=", "{}"), Err("INVALID_FORMAT"));
    assert_eq!(verify(&scheme, "/in?a=signature", "{}"), Err("MISSING_SIGNATURE"));
    let twice = format!("/in?signature={good}&signature={}", tag("x"));
    assert_eq!(verify(&scheme, &twice, "{}"), Err("INVALID_FORMAT"));
}

#[test]
fn a_missing_part_of_the_signed_message_is_an_error_and_not_an_empty_text() {
    let json = json!({
        "signature": { "in": "json", "name": "/tag" },
        "message": "{json:/a}{json:/b}",
        "alg": "hmac-sha256"
    });
    let scheme = compile(json).unwrap();
    let body = |tag: String, rest: &str| format!(r#"{{"tag":"{tag}"{rest}}}"#);
    assert_eq!(verify(&scheme, "/", &body(tag("xy"), r#","a":"x","b":"y""#)), Ok(0));
    for rest in [r#","a":"x""#, r#","a":"x","b":"""#, r#","a":"x","b":null"#, r#","a":"x","b":{}"#]
    {
        assert_eq!(verify(&scheme, "/", &body(tag("x"), rest)), Err("MISSING_SIGNATURE"), "{rest}");
    }
    // Whether it is missing is not known.
    assert_eq!(verify(&scheme, "/", "not json"), Err("INVALID_FORMAT"));
    // The last value counts. What is routed is read strictly, so the event is kept as invalid.
    let twice = |b: &str| format!(r#"{{"tag":"{0}","a":"x","b":"{b}","b":"y"}}"#, tag("xy"));
    assert_eq!(verify(&scheme, "/", &twice("z")), Ok(0));
    assert_eq!(verify(&scheme, "/", &twice("y").replace("y\"}", "z\"}")), Err("INVALID_SIGNATURE"));
}

#[test]
fn a_signature_over_the_url_needs_a_configured_public_url() {
    let scheme = compile(scheme("/message", json!("{url}{body}"))).unwrap();
    let mut head = Head::default();
    head.headers.insert("x-signature", tag("https://a.example/in{}").parse().unwrap());
    head.target = "/in".to_owned();
    let request = Request::new(head, Body::new("{}"));
    let secrets = SecretSet::from_texts(["orchard"]).unwrap();
    let now = Timestamp::from_secs(0);
    let with = |public_url| {
        VerifyCx::new(now, secrets.active(now), &hookward_core::keys::NoKeys)
            .with_public_url(public_url)
    };
    assert_eq!(scheme.verify(&request, &with(Some("https://a.example"))), Ok(0));
    assert_eq!(scheme.verify(&request, &with(Some("https://a.example/"))), Ok(0));
    assert!(scheme.verify(&request, &with(Some("https://b.example"))).is_err());
    let unset = scheme.verify(&request, &with(None)).unwrap_err().to_string();
    assert!(unset.contains("public_url"), "{unset}");
}

#[test]
fn a_plain_hash_must_contain_the_key_and_vary_with_the_request() {
    let with = |message: &str| {
        let mut scheme = scheme("/message", json!(message));
        scheme["alg"] = json!("sha256");
        compile(scheme)
    };
    assert!(with("{key}{body}").is_ok());
    for wrong in ["{key}", "v0:{key}", "{body}"] {
        assert_eq!(with(wrong).unwrap_err().0, "/message", "{wrong}");
    }
}

#[test]
fn an_ed25519_key_of_small_order_is_rejected_as_a_secret() {
    let scheme = json!({
        "signature": { "in": "header", "name": "x-signature" },
        "alg": "ed25519",
        "key": "hex"
    });
    let scheme = compile(scheme).unwrap();
    let check_secret = |key: &str| scheme.check_secret(&Secret::new(key));
    assert_eq!(
        check_secret("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
        Ok(())
    );
    let zero = "0".repeat(64);
    for weak in [zero.as_str(), "", "3d40", "not hex"] {
        assert!(check_secret(weak).unwrap_err().message.contains("Ed25519"), "{weak}");
    }
    let mut head = Head::default();
    head.headers.insert("x-signature", "0".repeat(128).parse().unwrap());
    let secrets = SecretSet::from_texts([zero]).unwrap();
    let now = Timestamp::from_secs(0);
    let cx = VerifyCx::new(now, secrets.active(now), &hookward_core::keys::NoKeys);
    let request = Request::new(head, Body::new("{}"));
    let found = scheme.verify(&request, &cx).unwrap_err();
    assert_eq!(found.code(), "INVALID_SIGNATURE");
}

/// A provider that adds a check to its scheme, as those of senders with handshakes do.
#[derive(Debug)]
struct Wrapper {
    scheme: CompiledScheme,
}

#[async_trait::async_trait]
impl Provider for Wrapper {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        self.scheme.verify(request, cx).map(|secret| Verification::Genuine { secret })
    }
}

#[tokio::test]
async fn a_provider_that_overrides_one_method_inherits_the_others_from_its_scheme() {
    let text = json!({
        "signature": { "in": "header", "name": "x-signature" },
        "message": "{header:x-id}.{body}",
        "alg": "hmac-sha256",
        "event_type": "/type",
        "event_id": "header:x-id",
        "replay_token": "header:x-id"
    });
    let provider = Wrapper { scheme: compile(text).unwrap() };
    let now = Timestamp::from_secs(1_760_000_000);
    let body = Body::new(r#"{"type":"paid"}"#);
    let draft = EventDraft::new("paid", "evt_1", body, "https://hooks.example.com/acme", now);
    let signer = provider.signer().expect("the signature is in a header");
    let request = signer.sign(&draft, &Secret::new("hush")).unwrap();

    assert!(provider.precheck(&request.head).is_ok());
    assert!(provider.precheck(&Head::default()).is_err());
    assert!(provider.check_secret(&Secret::new("")).is_err());
    let secrets = SecretSet::from_texts(["hush"]).unwrap();
    let cx = VerifyCx::new(now, secrets.active(now), &NoKeys);
    let Proof::Genuine(delivery) = prove(&provider, request, &cx).await.unwrap() else { panic!() };
    assert_eq!(provider.identify(&delivery).unwrap()[0].event_type.as_deref(), Some("paid"));
    assert_eq!(provider.replay_token(&delivery).as_deref(), Some("evt_1"));
}

#[test]
fn a_secret_is_accepted_as_vendors_show_it() {
    let json = json!({
        "signature": { "in": "header", "name": "X-Sig" },
        "alg": "hmac-sha256",
        "key": "whsec"
    });
    let scheme = compile(json).unwrap();
    for text in ["a2V5", "whsec_a2V5", "v1,whsec_a2V5"] {
        assert!(scheme.check_secret(&Secret::new(text)).is_ok(), "{text}");
    }
    for text in ["v1,a2V5", "v2,whsec_a2V5", "whsec_whsec_a2V5", "v1, whsec_a2V5"] {
        assert!(scheme.check_secret(&Secret::new(text)).is_err(), "{text}");
    }
}
