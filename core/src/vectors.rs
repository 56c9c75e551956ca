//! Test vectors: recorded requests with the verdict that they must get, as JSON. Read and judged
//! here for `hookward verify --vectors` and for the conformance kit alike.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::Body;
use crate::clock::Timestamp;
use crate::keys::{FixedKeys, KeySource, NoKeys};
use crate::proof::{Proof, VerifyError, prove};
use crate::provider::{Provider, VerifyCx};
use crate::reply::Reply;
use crate::request::{Head, Request};
use crate::secret::{EmptySecret, SecretSet};

/// A file of them.
#[derive(Debug, Clone, Deserialize)]
pub struct VectorFile {
    /// Of the format; 1.
    pub version: u32,
    /// Unix seconds of the clock where a vector does not say.
    pub now_default: i64,
    /// Requests and what the proof must say.
    #[serde(default)]
    pub vectors: Vec<Vector>,
    /// Set-up requests and their full answers.
    #[serde(default)]
    pub handshakes: Vec<HandshakeVector>,
}

/// One request and what the proof must say. Members that are not listed are for people.
#[derive(Debug, Clone, Deserialize)]
pub struct Vector {
    /// Unique in the file.
    pub id: String,
    /// Whose way of signing.
    pub provider: String,
    /// Which of its ways.
    pub scheme: String,
    /// What it shows.
    pub name: String,
    /// Whether everyone must agree.
    pub class: Class,
    /// The secret. Empty: one that must never verify anything, or none where the vector brings the
    /// sender's public keys.
    pub secret: String,
    /// Several, in order; takes precedence over `secret`.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Method, URL, headers and body.
    #[serde(flatten)]
    pub request: Recorded,
    /// Unix seconds of the clock.
    #[serde(default)]
    pub now_unix: Option<i64>,
    /// Seconds of tolerance instead of the scheme's own.
    #[serde(default)]
    pub tolerance_s: Option<u64>,
    /// The verdict.
    pub expect: Verdict,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// What would be fetched or configured besides the secret.
    #[serde(flatten)]
    pub material: VectorInputs,
    /// The event type of an accepted request, where the vector says.
    #[serde(default)]
    pub event_type: Option<String>,
    /// The event id of an accepted request, where the vector says.
    #[serde(default)]
    pub event_id: Option<String>,
}

/// What stands in for keys that would be fetched and for settings that would be configured.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct VectorInputs {
    /// A certificate, as PEM.
    #[serde(default)]
    pub certificate_pem: Option<String>,
    /// A public key, as a JWK.
    #[serde(default)]
    pub jwk: Option<Value>,
    /// Public keys, as a JWK set.
    #[serde(default)]
    pub jwks: Option<Value>,
    /// The `audience` of the provider's `with:` block.
    #[serde(default)]
    pub expected_audience: Option<String>,
    /// The `email` of the provider's `with:` block.
    #[serde(default)]
    pub expected_email: Option<String>,
}

/// A recorded request.
#[derive(Debug, Clone, Deserialize)]
pub struct Recorded {
    /// The method.
    pub method: String,
    /// The public URL, as the sender signed it.
    pub url: String,
    /// Name and value, in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body where it is UTF-8.
    #[serde(default)]
    pub body: Option<String>,
    /// The body where it is not, in base64.
    #[serde(default)]
    pub body_b64: Option<String>,
}

/// A set-up request and its full answer.
#[derive(Debug, Clone, Deserialize)]
pub struct HandshakeVector {
    /// Unique in the file.
    pub id: String,
    /// Whose.
    pub provider: String,
    /// What it shows.
    pub name: String,
    /// The secret; empty: none is configured.
    pub secret: String,
    /// What would be fetched or configured besides the secret.
    #[serde(flatten)]
    pub material: VectorInputs,
    /// What is sent.
    pub request: Recorded,
    /// What must be answered.
    pub response: Answer,
}

/// What a handshake must be answered with.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// These headers with these values, whatever others there are.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The exact body.
    #[serde(default)]
    pub body: String,
}

/// Whether everyone must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Whoever disagrees is wrong.
    Normative,
    /// Reasonable implementations differ; this is our choice.
    Policy,
}

/// What a proof says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Genuine.
    Accept,
    /// Not believed.
    Reject,
}

/// What a provider made of a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What the proof says; a genuine handshake is accepted too.
    pub verdict: Verdict,
    /// The code of a rejection.
    pub code: Option<&'static str>,
    /// Of the first event, where the request is accepted and can be identified.
    pub event_type: Option<String>,
    /// Of the first event.
    pub event_id: Option<String>,
}

impl Judgement {
    /// A rejection with this code.
    pub fn reject(code: &'static str) -> Self {
        Self { verdict: Verdict::Reject, code: Some(code), event_type: None, event_id: None }
    }

    /// Whether this is what the vector demands; a type or id that it does not give is not compared.
    pub fn agrees(&self, vector: &Vector) -> bool {
        let same = |want: &Option<String>, got| want.is_none() || want == got;
        self.verdict == vector.expect
            && same(&vector.event_type, &self.event_type)
            && same(&vector.event_id, &self.event_id)
    }
}

impl VectorInputs {
    /// The document that is served for every key; `None` where there is no key.
    pub fn keys(&self) -> Option<FixedKeys> {
        let json = self.jwks.clone().or_else(|| self.jwk.as_ref().map(|k| json!({"keys": [k]})));
        let text = self.certificate_pem.clone().or_else(|| json.map(|json| json.to_string()));
        text.map(|text| FixedKeys(text.into()))
    }

    /// The settings, as members of a `with:` block.
    pub fn settings(&self) -> Value {
        let named = [("audience", &self.expected_audience), ("email", &self.expected_email)];
        let set = named
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?))));
        Value::Object(set.collect())
    }
}

impl Recorded {
    /// The request as a receiver sees it: the target is what follows scheme and host.
    ///
    /// # Errors
    /// Where no HTTP server would hand it on: it is refused before any proof.
    pub fn request(&self) -> Result<Request, VerifyError> {
        let unreadable = |what: &str| VerifyError::format(format!("the {what} cannot be read"));
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| unreadable("header name"))?;
            let value = HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| unreadable("header value"))?;
            // A plain append panics at the map's limit.
            headers.try_append(name, value).map_err(|_| unreadable("number of headers"))?;
        }
        let body = match (&self.body, &self.body_b64) {
            (_, Some(coded)) => {
                BASE64.decode(coded.as_bytes()).map_err(|_| unreadable("base64 of the body"))?
            }
            (Some(text), None) => text.clone().into_bytes(),
            (None, None) => Vec::new(),
        };
        let method =
            Method::from_bytes(self.method.as_bytes()).map_err(|_| unreadable("method"))?;
        let target = self.url.get(self.public_url().len()..).unwrap_or_default().to_owned();
        Ok(Request::new(Head { method, target, headers, client: None }, Body::new(body)))
    }

    /// Scheme and host of the URL: what a receiver is configured with.
    pub fn public_url(&self) -> &str {
        let host = self.url.find("://").map_or(0, |at| at + 3);
        let path = self.url.get(host..).and_then(|rest| rest.find(['/', '?']));
        path.and_then(|at| self.url.get(..host + at)).unwrap_or(&self.url)
    }
}

impl Vector {
    /// What is configured as secrets.
    ///
    /// # Errors
    /// Where one of them is empty, and no public key stands for it.
    pub fn secrets(&self) -> Result<SecretSet, EmptySecret> {
        match self.secrets.as_slice() {
            [] if self.secret.is_empty() && self.material.keys().is_some() => {
                SecretSet::of(Option::<String>::None)
            }
            [] => SecretSet::of([&self.secret].into_iter().cloned()),
            several => SecretSet::of(several.iter().cloned()),
        }
    }
}

/// Proves and identifies the request of a vector.
pub async fn judge(provider: &dyn Provider, vector: &Vector, now_default: i64) -> Judgement {
    let accept = |event_type, event_id| Judgement {
        verdict: Verdict::Accept,
        code: None,
        event_type,
        event_id,
    };
    let Ok(secrets) = vector.secrets() else {
        return Judgement::reject(VerifyError::InvalidSignature.code());
    };
    let now = Timestamp::from_secs(vector.now_unix.unwrap_or(now_default));
    let tolerance = vector.tolerance_s.map(Duration::from_secs);
    let keys = vector.material.keys();
    match prove_recorded(provider, &vector.request, &secrets, now, tolerance, keys.as_ref()).await {
        Err(e) => Judgement::reject(e.code()),
        Ok(Proof::Handshake(handshake)) if handshake.reply.status.as_u16() >= 400 => {
            Judgement::reject(VerifyError::InvalidSignature.code())
        }
        Ok(Proof::Handshake(_)) => accept(None, None),
        Ok(Proof::Genuine(delivery)) => {
            let events = provider.identify(&delivery).unwrap_or_default();
            match events.into_iter().next() {
                Some(first) => accept(first.event_type, first.event_id.map(|id| id.value)),
                None => accept(None, None),
            }
        }
    }
}

/// Runs a set-up request in full; `Ok(None)` is an ordinary event.
///
/// # Errors
/// Where the request is not believed.
pub async fn shake(
    provider: &dyn Provider,
    handshake: &HandshakeVector,
    now_default: i64,
) -> Result<Option<Reply>, VerifyError> {
    let texts = Some(handshake.secret.as_str()).filter(|s| !s.is_empty());
    let secrets = SecretSet::of(texts).map_err(|e| VerifyError::format(e.to_string()))?;
    let now = Timestamp::from_secs(now_default);
    let keys = handshake.material.keys();
    match prove_recorded(provider, &handshake.request, &secrets, now, None, keys.as_ref()).await? {
        Proof::Handshake(handshake) => Ok(Some(handshake.reply)),
        Proof::Genuine(_) => Ok(None),
    }
}

impl Answer {
    /// Whether a refusal is what must be answered: 401, or 503 where a key cannot be had. Of the words
    /// that a server puts into it a vector says nothing.
    pub fn agrees_with_refusal(&self, error: &VerifyError) -> bool {
        let unavailable = matches!(error, VerifyError::KeyUnavailable { .. });
        self.status == if unavailable { 503 } else { 401 } && self.body.is_empty()
    }

    /// Whether a reply is what must be answered.
    pub fn agrees(&self, reply: &Reply) -> bool {
        let has = |(name, value): (&String, &String)| {
            let same = |(n, v): &(HeaderName, HeaderValue)| {
                n.as_str().eq_ignore_ascii_case(name) && v.as_bytes() == value.as_bytes()
            };
            reply.headers.iter().any(same)
        };
        reply.status.as_u16() == self.status
            && reply.body == self.body.as_bytes()
            && self.headers.iter().all(has)
    }
}

async fn prove_recorded(
    provider: &dyn Provider,
    recorded: &Recorded,
    secrets: &SecretSet,
    now: Timestamp,
    tolerance: Option<Duration>,
    keys: Option<&FixedKeys>,
) -> Result<Proof, VerifyError> {
    let request = recorded.request()?;
    let public_url = Some(recorded.public_url());
    let keys: &dyn KeySource = keys.map_or(&NoKeys, |fixed| fixed as &dyn KeySource);
    let cx = VerifyCx { now, secrets: secrets.active(now), tolerance, public_url, keys };
    prove(provider, request, &cx).await
}
