//! HTTP Message Signatures (RFC 9421): `Signature-Input` says which parts of a request are covered,
//! `Signature` holds the proof, and `Content-Digest` (RFC 9530) ties the body to it.
//!
//! All of it is code: what is signed is chosen by each request, and what has to be, by the
//! configuration.
#![warn(missing_docs)]

mod base;
mod fields;
mod input;
mod key;
#[cfg(test)]
mod rfc;
mod samples;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::crypto::Encoding;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{FieldLocation, IdentityRules, OneOrMore};
use hookward_core::{
    EventDraft, Head, IdentifyError, Identity, Provider, Request, SampleEvent, Secret, SecretError,
    SignError, Signer, Verification, Verified, VerifyCx, VerifyError,
};
use http::{HeaderMap, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use input::{DIGEST, Demands};
pub use key::{KeyAlgorithm, SecretForm};

hookward_core::register_provider!(HttpMessageSignaturesConfig);

const TOLERANCE: Duration = Duration::from_secs(300);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpMessageSignaturesConfig {
    /// The algorithm; a request that names another is refused.
    #[serde(default)]
    pub alg: KeyAlgorithm,
    /// How the shared secret is written. Public keys are PEM, or base64 without its frame.
    #[serde(default)]
    pub secret_form: SecretForm,
    /// The label of the signature that counts; without it there may be one alone.
    #[serde(default)]
    pub label: Option<String>,
    /// The `keyid` of the signature that counts.
    #[serde(default)]
    pub keyid: Option<String>,
    /// The components that have to be covered, such as `@method` or `date`; without this key the method and the whole
    /// URL. The digest of a body has to be covered in any case.
    #[serde(default)]
    pub covers: Option<Vec<String>>,
    /// Where the event type is, as in `provider: hmac`; without this key `/type`, else `event`.
    #[serde(default)]
    pub event_type: Option<OneOrMore>,
    /// Where the event id is, as in `provider: hmac`; without this key `/id`.
    #[serde(default)]
    pub event_id: Option<OneOrMore>,
    /// Where the array of events is, as in `provider: hmac`.
    #[serde(default)]
    pub batch: Option<String>,
}

impl ProviderConfig for HttpMessageSignaturesConfig {
    const NAME: &'static str = "http_message_signatures";
    const SUMMARY: &'static str = "Any sender that signs by RFC 9421, HTTP Message Signatures";
    const METHODS: &'static [&'static str] = &["POST", "PUT", "PATCH", "GET", "DELETE"];
    const TOLERANCE: Option<Duration> = Some(TOLERANCE);
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let wrong =
            |name: &&String| name.bytes().any(|b| b.is_ascii_uppercase()) || name.is_empty();
        if let Some(name) = self.covers.iter().flatten().find(wrong) {
            return Err(BuildError::at(
                "/covers",
                format!("`{name}` is no component in lower case"),
            ));
        }
        let named = self.event_type.is_some();
        let or = |given: Option<OneOrMore>, place: &str| {
            Some(given.unwrap_or_else(|| OneOrMore(vec![place.to_owned()])))
        };
        let naming =
            IdentityRules::new(or(self.event_type, "/type"), or(self.event_id, "/id"), self.batch)?;
        let Self { alg, label, keyid, covers, secret_form, .. } = self;
        let demands = Demands { alg, label, keyid, covers };
        Ok(Arc::new(MessageSignatures { demands, secret_form, naming, named }))
    }
}

#[derive(Debug)]
struct MessageSignatures {
    demands: Demands,
    secret_form: SecretForm,
    naming: IdentityRules,
    /// Whether the configuration says where the type is.
    named: bool,
}

impl MessageSignatures {
    fn read_head(&self, head: &Head) -> Result<input::Input, VerifyError> {
        self.naming.precheck(head)?;
        input::choose(&self.demands, head)
    }
}

#[async_trait]
impl Provider for MessageSignatures {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.read_head(head).map(drop)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let input = self.read_head(&request.head)?;
        let of_url = ["@target-uri", "@authority", "@scheme"].iter().any(|name| input.covers(name));
        let base_url = match cx.public_url {
            None if of_url => {
                return Err(VerifyError::invalid_format(
                    "this sender signs the URL; set server.public_url",
                ));
            }
            other => other.unwrap_or_default().trim_end_matches('/'),
        };
        let text = base::text(&input.list, &request.head, base_url)?;
        let (algorithm, tags) = (self.demands.alg.algorithm(), [input.tag.clone()]);
        let mut found = None;
        for (index, secret) in cx.secrets.iter() {
            let Some(key) = self.demands.alg.key(secret, self.secret_form) else { continue };
            if algorithm.matches_any(&key, &[text.as_bytes()], &tags) && found.is_none() {
                found = Some(index);
            }
        }
        let secret = found.ok_or(VerifyError::InvalidSignature)?;
        input::check_digest(&input, &request.head, request.body.bytes())?;
        check_time(&input, cx)?;
        Ok(Verification::Genuine { secret })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let input = self.read_head(delivery.head());
        let input = input.map_err(|e| IdentifyError::new(e.to_string()))?;
        let mut found = self.naming.identify(delivery, |address| match address {
            FieldLocation::Header(name) => input.covers(name),
            // The digest covers the whole body.
            FieldLocation::Pointer(_) | FieldLocation::Root(_) | FieldLocation::Form(_) => true,
        })?;
        if !self.named {
            for identity in &mut found {
                identity.event_type.get_or_insert_with(|| "event".to_owned());
            }
        }
        Ok(found)
    }

    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        self.read_head(delivery.head()).ok()?.nonce().map(str::to_owned)
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), SecretError> {
        match (self.demands.alg.key(secret, self.secret_form), self.demands.alg) {
            (Some(_), _) => Ok(()),
            (None, KeyAlgorithm::HmacSha256) => Err(SecretError::new("is empty, or not base64")),
            (None, alg) => {
                let text = format!("is not a public key for {} in PEM or base64", alg.name());
                Err(SecretError::new(text))
            }
        }
    }

    fn config_warnings(&self) -> Vec<String> {
        let bare = self.demands.covers.as_ref().is_some_and(|names| {
            !names.iter().any(|name| name == "@target-uri" || name == "@authority")
        });
        let open = "`covers` leaves the host open, so a request that was signed for another receiver \
                    under this key is believed; add `@authority`";
        bare.then(|| open.to_owned()).into_iter().collect()
    }

    fn signer(&self) -> Option<&dyn Signer> {
        if self.demands.alg == KeyAlgorithm::HmacSha256 { Some(self) } else { None }
    }
}

/// `created` may be up to the tolerance away, both ways, and `expires` may not have come.
fn check_time(input: &input::Input, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
    let tolerance = cx.tolerance.unwrap_or(TOLERANCE);
    let now = cx.now.as_secs();
    let secs = |n: i64| Duration::from_secs(u64::try_from(n).unwrap_or(0));
    let age = secs(now.saturating_sub(input.created));
    let ahead = secs(input.created.saturating_sub(now));
    if age > tolerance {
        return Err(VerifyError::TimestampTooOld { age, tolerance });
    }
    if ahead > tolerance {
        return Err(VerifyError::TimestampInFuture { ahead, tolerance });
    }
    match input.expires {
        Some(expires) if now >= expires => Err(VerifyError::TimestampTooOld {
            age: secs(now.saturating_sub(expires)),
            tolerance: Duration::ZERO,
        }),
        _ => Ok(()),
    }
}

/// Signs method, URL, type and digest of the body, and what the configuration demands besides where
/// that is in the request anyway.
impl Signer for MessageSignatures {
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        let fail = |reason: String| SignError::new(reason);
        let digest = Encoding::Base64.encode(&Sha256::digest(draft.body.bytes()));
        let value = |text: String| HeaderValue::from_str(&text).map_err(|e| fail(e.to_string()));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(DIGEST, value(format!("sha-256=:{digest}:"))?);
        for (name, text) in self.naming.headers(&draft.event_type, &draft.event_id) {
            let name = http::HeaderName::from_bytes(name.as_bytes());
            headers.insert(name.map_err(|e| fail(e.to_string()))?, value(text.to_owned())?);
        }
        let label = self.demands.label.as_deref().unwrap_or("sig1");
        let mut covered =
            vec!["@method", "@authority", "@path", "@query", "@target-uri", "content-type", DIGEST];
        for name in self.demands.covers.iter().flatten() {
            if !covered.contains(&name.as_str()) {
                covered.push(name);
            }
        }
        let keyid = self.demands.keyid.as_deref().unwrap_or("hookward");
        let items: Vec<_> = covered.iter().map(|name| format!("\"{name}\"")).collect();
        let created = draft.now.as_secs();
        let written = format!(
            "{label}=({});created={created};keyid=\"{keyid}\";nonce=\"{}\";alg=\"hmac-sha256\"",
            items.join(" "),
            draft.event_id,
        );
        let list = fields::lists(&written).and_then(|mut lists| lists.pop());
        let (_, list) =
            list.ok_or_else(|| fail("the label, keyid or id cannot be written".to_owned()))?;
        headers.insert("signature-input", value(format!("{label}={}", fields::written(&list)))?);
        let target = draft.target().to_owned();
        let base_url = draft.url.strip_suffix(&target).unwrap_or(&draft.url);
        let mut head = Head::new(Method::POST, target.clone(), headers);
        let text = base::text(&list, &head, base_url).map_err(|e| fail(e.to_string()))?;
        let tag = self
            .demands
            .alg
            .key(secret, self.secret_form)
            .and_then(|key| self.demands.alg.algorithm().tag(&key, &[text.as_bytes()]))
            .ok_or_else(|| fail("the secret is not of the expected form".to_owned()))?;
        let tag = value(format!("{label}=:{}:", Encoding::Base64.encode(&tag)))?;
        head.headers.insert("signature", tag);
        Ok(Request::new(head, draft.body.clone()))
    }
}
