//! The JSON format of test vectors (`docs/vectors.md`), and what a vector defines: the request, the
//! secrets, the sender's public keys and the provider's settings.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use hookward_core::keys::FixedKeys;
use hookward_core::{Body, EmptySecret, Head, Reply, Request, SecretSet, VerifyError};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A file of test vectors.
#[derive(Debug, Clone, Deserialize)]
pub struct VectorFile {
    /// Version of the format: 1.
    pub version: u32,
    /// Clock of the vectors without `now_unix`, in Unix seconds.
    pub now_default: i64,
    /// Requests with the verdict they must get.
    #[serde(default)]
    pub vectors: Vec<Vector>,
    /// Handshake requests with the answer they must get.
    #[serde(default)]
    pub handshakes: Vec<HandshakeVector>,
}

/// A recorded request with the verdict it must get. JSON members without a field here are ignored:
/// they are for human readers.
#[derive(Debug, Clone, Deserialize)]
pub struct Vector {
    /// Identifier, unique in the file.
    pub id: String,
    /// Name of the provider in routes.yaml, such as `github`.
    pub provider: String,
    /// Which of the provider's signature schemes the request uses.
    pub scheme: String,
    /// What the vector shows, in a few words.
    pub name: String,
    /// Whether every implementation must agree with the verdict.
    pub class: Class,
    /// The configured secret. Where it is empty, no secret is configured if [`Vector::inputs`]
    /// brings a public key; without a public key the vector must be rejected.
    pub secret: String,
    /// Several configured secrets, in order; takes precedence over `secret`.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Method, URL, headers and body.
    #[serde(flatten)]
    pub request: RecordedRequest,
    /// Clock of this vector in Unix seconds, instead of [`VectorFile::now_default`].
    #[serde(default)]
    pub now_unix: Option<i64>,
    /// Timestamp tolerance in seconds, instead of the provider's own.
    #[serde(default)]
    pub tolerance_s: Option<u64>,
    /// The verdict that the request must get.
    pub expect: Verdict,
    /// Why it must get this verdict.
    #[serde(default)]
    pub why: String,
    /// The sender's public keys and the provider's settings.
    #[serde(flatten)]
    pub inputs: VectorInputs,
    /// The event type of an accepted request; not compared where it is absent.
    #[serde(default)]
    pub event_type: Option<String>,
    /// The event id of an accepted request; not compared where it is absent.
    #[serde(default)]
    pub event_id: Option<String>,
    /// The answer to an accepted request whose events have a route; not compared where it is
    /// absent.
    #[serde(default)]
    pub reply: Option<ExpectedResponse>,
}

/// Stand-ins for keys that a receiver fetches from the sender and for settings of the provider.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct VectorInputs {
    /// The sender's certificate as PEM.
    #[serde(default)]
    pub certificate_pem: Option<String>,
    /// The sender's public key as a JSON Web Key (RFC 7517).
    #[serde(default)]
    pub jwk: Option<Value>,
    /// The sender's public keys as a JSON Web Key Set (RFC 7517); takes precedence over `jwk`.
    #[serde(default)]
    pub jwks: Option<Value>,
    /// The `audience` of the provider's `with:` block.
    #[serde(default)]
    pub expected_audience: Option<String>,
    /// The `email` of the provider's `with:` block.
    #[serde(default)]
    pub expected_email: Option<String>,
}

/// A request as it was recorded or made for a vector.
#[derive(Debug, Clone, Deserialize)]
pub struct RecordedRequest {
    /// The HTTP method.
    pub method: String,
    /// The receiver's public URL, as the sender signed it.
    pub url: String,
    /// Names and values of the headers, in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body, where it is UTF-8.
    #[serde(default)]
    pub body: Option<String>,
    /// The body in base64, for bodies that are not UTF-8; takes precedence over `body`.
    #[serde(default)]
    pub body_b64: Option<String>,
}

/// A handshake request with the answer it must get.
#[derive(Debug, Clone, Deserialize)]
pub struct HandshakeVector {
    /// Identifier, unique in the file.
    pub id: String,
    /// Name of the provider in routes.yaml.
    pub provider: String,
    /// What the vector shows, in a few words.
    pub name: String,
    /// The configured secret; empty where none is configured.
    pub secret: String,
    /// The sender's public keys and the provider's settings.
    #[serde(flatten)]
    pub inputs: VectorInputs,
    /// The request that the sender makes.
    pub request: RecordedRequest,
    /// The answer that the sender must get.
    pub response: ExpectedResponse,
}

/// The answer that a handshake or an accepted request must get.
#[derive(Debug, Clone, Deserialize)]
pub struct ExpectedResponse {
    /// The HTTP status.
    pub status: u16,
    /// Headers that the answer must have; further headers are allowed.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The exact body.
    #[serde(default)]
    pub body: String,
}

/// Whether every implementation must agree with a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The sender's documentation or its library decides; an implementation that disagrees is
    /// wrong.
    Normative,
    /// Reasonable implementations differ; the verdict is Hookward's choice.
    Policy,
}

/// Whether verification accepts a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The request is genuine.
    Accept,
    /// The request is rejected.
    Reject,
}

impl VectorInputs {
    /// A key source that serves the vector's public key for every request; `None` where the vector
    /// has no public key.
    pub fn fixed_keys(&self) -> Option<FixedKeys> {
        let json = self.jwks.clone().or_else(|| self.jwk.as_ref().map(|k| json!({"keys": [k]})));
        let text = self.certificate_pem.clone().or_else(|| json.map(|json| json.to_string()));
        text.map(|text| FixedKeys(text.into()))
    }

    /// The settings as the provider's `with:` block.
    pub fn settings(&self) -> Value {
        let settings = [("audience", &self.expected_audience), ("email", &self.expected_email)];
        let set_settings = settings
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?))));
        Value::Object(set_settings.collect())
    }
}

impl RecordedRequest {
    /// The request as a receiver sees it; its target is the part of the URL after scheme and host.
    ///
    /// # Errors
    /// [`VerifyError::InvalidFormat`] for a method, header or base64 body that cannot be read. An
    /// HTTP server rejects such a request before any provider sees it.
    pub fn to_request(&self) -> Result<Request, VerifyError> {
        let unreadable =
            |what: &str| VerifyError::invalid_format(format!("the {what} cannot be read"));
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| unreadable("header name"))?;
            let value = HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| unreadable("header value"))?;
            // `append` panics at the map's limit of entries.
            headers.try_append(name, value).map_err(|_| unreadable("number of headers"))?;
        }
        let body = match (&self.body, &self.body_b64) {
            (_, Some(base64)) => {
                BASE64.decode(base64.as_bytes()).map_err(|_| unreadable("base64 of the body"))?
            }
            (Some(text), None) => text.clone().into_bytes(),
            (None, None) => Vec::new(),
        };
        let method =
            Method::from_bytes(self.method.as_bytes()).map_err(|_| unreadable("method"))?;
        let target = self.url.get(self.public_url().len()..).unwrap_or_default().to_owned();
        Ok(Request::new(Head::new(method, target, headers), Body::new(body)))
    }

    /// Scheme and host of the URL: the value of `server.public_url` in routes.yaml.
    pub fn public_url(&self) -> &str {
        let host = self.url.find("://").map_or(0, |at| at + 3);
        let path = self.url.get(host..).and_then(|rest| rest.find(['/', '?']));
        path.and_then(|at| self.url.get(..host + at)).unwrap_or(&self.url)
    }
}

impl Vector {
    /// The configured secrets. Without a secret, the set is empty where the vector has a public
    /// key.
    ///
    /// # Errors
    /// [`EmptySecret`] where a secret is empty and the vector has no public key.
    pub fn secret_set(&self) -> Result<SecretSet, EmptySecret> {
        match self.secrets.as_slice() {
            [] if self.secret.is_empty() && self.inputs.fixed_keys().is_some() => {
                SecretSet::from_texts(Option::<String>::None)
            }
            [] => SecretSet::from_texts([self.secret.clone()]),
            secrets => SecretSet::from_texts(secrets.iter().cloned()),
        }
    }
}

impl ExpectedResponse {
    /// Whether a rejection with this error is the expected answer: status 401, or 503 where a key
    /// is unavailable, and no expected body, because the body of a rejection is the server's own.
    pub fn matches_rejection(&self, error: &VerifyError) -> bool {
        let unavailable = matches!(error, VerifyError::KeyUnavailable { .. });
        self.status == if unavailable { 503 } else { 401 } && self.body.is_empty()
    }

    /// Whether this reply is the expected answer: the same status and body, and every expected
    /// header.
    pub fn matches(&self, reply: &Reply) -> bool {
        let has_header = |(name, value): (&String, &String)| {
            let same = |(n, v): &(HeaderName, HeaderValue)| {
                n.as_str().eq_ignore_ascii_case(name) && v.as_bytes() == value.as_bytes()
            };
            reply.headers.iter().any(same)
        };
        reply.status.as_u16() == self.status
            && reply.body == self.body.as_bytes()
            && self.headers.iter().all(has_header)
    }
}
