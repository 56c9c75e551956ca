//! Contentful: `X-Contentful-Signature` over method, path, the headers that the request lists, and
//! the body, HMAC-SHA-256 in hex.
//!
//! This provider is code, because no other sender signs a list of headers of its choice in this
//! form.
#![warn(missing_docs)]

mod canonical;
mod samples;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext, Tag};
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::{
    EventDraft, Head, IdentifyError, Identity, Provider, Request, RequestPart, SampleEvent, Secret,
    SecretError, SignError, Signer, Timestamp, Verification, Verified, VerifyCx, VerifyError,
};
use http::{HeaderMap, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use canonical::{SIGNATURE_HEADER, SIGNED_HEADERS, TIMESTAMP};

hookward_core::register_provider!(ContentfulConfig);

const TOPIC: &str = "x-contentful-topic";
/// How old a signed time may be by the default of Contentful's own library.
const MAX_AGE: Duration = Duration::from_secs(30);
/// How far ahead a signed time may be. Contentful's own library accepts any time ahead.
const MAX_CLOCK_AHEAD: Duration = Duration::from_secs(300);

/// Settings of the provider: its `with:` block has no keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentfulConfig {}

impl ProviderConfig for ContentfulConfig {
    const NAME: &'static str = "contentful";
    const SUMMARY: &'static str = "Contentful webhooks and app events with request verification";
    const METHODS: &'static [&'static str] = &["POST", "PUT", "PATCH"];
    const KEEP_HEADERS: &'static [&'static str] = &[
        TOPIC,
        "x-contentful-webhook-name",
        "x-contentful-crn",
        "x-contentful-space-id",
        "x-contentful-environment-id",
    ];
    const TOLERANCE: Option<Duration> = None;
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        Ok(Arc::new(Contentful))
    }
}

#[derive(Debug)]
struct Contentful;

/// Parses a head: returns tag, time and the signed text before the body.
fn parse_head(head: &Head) -> Result<(Tag, Timestamp, String), VerifyError> {
    let tag = Tag::decode(head.required(SIGNATURE_HEADER)?, Encoding::Hex, 32..=32)
        .ok_or_else(|| VerifyError::invalid_format("the signature is not hex of 32 bytes"))?;
    let time = head.required(TIMESTAMP)?;
    let digits = (1..=15).contains(&time.len()) && time.bytes().all(|b| b.is_ascii_digit());
    let millis = digits.then(|| time.parse().ok()).flatten();
    let millis = millis.ok_or_else(|| {
        VerifyError::invalid_format("the timestamp is not a number of milliseconds")
    })?;
    head.single(TOPIC)?;
    Ok((tag, Timestamp::from_millis(millis), canonical::canonical_head(head)?))
}

fn mac(secret: &Secret, head: &str, body: &[u8]) -> Option<HmacContext> {
    let mut mac = HmacContext::new(HmacAlgorithm::Sha256, secret.expose().as_bytes())?;
    mac.update(head.as_bytes());
    mac.update(body);
    Some(mac)
}

#[async_trait]
impl Provider for Contentful {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        parse_head(head).map(drop)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let (tag, at, head) = parse_head(&request.head)?;
        let tags = [tag];
        let mut found = None;
        for (index, secret) in cx.secrets.iter() {
            let mac = mac(secret, &head, request.body.bytes());
            if mac.is_some_and(|mac| mac.matches_any(&tags)) && found.is_none() {
                found = Some(index);
            }
        }
        let secret = found.ok_or(VerifyError::InvalidSignature)?;
        cx.check_time(at, MAX_AGE, MAX_CLOCK_AHEAD)?;
        Ok(Verification::Genuine { secret })
    }

    /// The topic is used only if it is signed. A delivery has no id: `/sys/id` of the body
    /// identifies the entry, and is the same for its next change.
    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let names = canonical::signed_headers(delivery.head());
        let signed = names.is_ok_and(|names| names.contains(TOPIC));
        let topic = delivery.header(TOPIC).filter(|topic| signed && !topic.is_empty());
        let kind = || {
            let kind = delivery.json().ok()?.pointer("/sys/type").and_then(Value::as_str);
            kind.filter(|kind| !kind.is_empty())
        };
        let event_type = topic.or_else(kind).unwrap_or("event").to_owned();
        Ok(vec![Identity::new().with_event_type(event_type)])
    }

    /// Which headers are signed differs from request to request; a topic that is not signed is not
    /// used.
    fn signs(&self, part: RequestPart<'_>) -> bool {
        matches!(part, RequestPart::Body | RequestPart::EventType)
    }

    fn is_valid_indefinitely(&self) -> bool {
        false
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), SecretError> {
        match secret.expose().len() {
            64 => Ok(()),
            other => Err(SecretError::new(format!(
                "has {other} characters; a signing secret of Contentful has 64"
            ))),
        }
    }

    fn signer(&self) -> Option<&dyn Signer> {
        Some(self)
    }
}

impl Signer for Contentful {
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        let fail = |reason: String| SignError::new(reason);
        let topic = HeaderValue::from_str(&draft.event_type)
            .map_err(|_| fail("the event type is not a header value".to_owned()))?;
        let mut headers = HeaderMap::new();
        let json = "application/vnd.contentful.management.v1+json";
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(json));
        headers.insert(TOPIC, topic);
        headers.insert(TIMESTAMP, HeaderValue::from(draft.now.as_millis()));
        let list =
            "content-type,x-contentful-signed-headers,x-contentful-timestamp,x-contentful-topic";
        headers.insert(SIGNED_HEADERS, HeaderValue::from_static(list));
        let target = draft.target().to_owned();
        let mut head = Head::new(Method::POST, target, headers);
        let text = canonical::canonical_head(&head).map_err(|e| fail(e.to_string()))?;
        let mac = mac(secret, &text, draft.body.bytes());
        let tag = mac.ok_or_else(|| fail("the secret is empty".to_owned()))?.finish();
        let tag = HeaderValue::from_str(&Encoding::Hex.encode(&tag));
        head.headers.insert(SIGNATURE_HEADER, tag.map_err(|e| fail(e.to_string()))?);
        Ok(Request::new(head, draft.body.clone()))
    }
}
