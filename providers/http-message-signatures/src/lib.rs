//! HTTP Message Signatures (RFC 9421): `Signature-Input` lists the covered parts of a request,
//! `Signature` contains the signatures, and `Content-Digest` (RFC 9530) covers the body.
//!
//! This provider is code, because each request chooses what is signed, and the configuration what
//! must be.
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
    EventDraft, Head, IdentifyError, Identity, Provider, Request, RequestPart, SampleEvent, Secret,
    SecretError, SignError, Signer, Timestamp, Verification, Verified, VerifyCx, VerifyError,
};
use http::{HeaderMap, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use input::{DIGEST_HEADER, Requirements};
pub use key::{KeyAlgorithm, SecretForm};

hookward_core::register_provider!(HttpMessageSignaturesConfig);

const TOLERANCE: Duration = Duration::from_secs(300);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpMessageSignaturesConfig {
    /// The algorithm; a request that names another is rejected.
    #[serde(default)]
    pub alg: KeyAlgorithm,
    /// How the shared secret is encoded. Public keys are PEM, or its base64 without the first and
    /// last line.
    #[serde(default)]
    pub secret_form: SecretForm,
    /// The label of the signature that is verified; without this key a request may have only one.
    #[serde(default)]
    pub label: Option<String>,
    /// The `keyid` of the signature that is verified.
    #[serde(default)]
    pub keyid: Option<String>,
    /// The components that must be covered, such as `@method` or `date`; without this key the
    /// method and the whole URL. The digest of a body must always be covered.
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
                format!("`{name}` is not a component name in lower case"),
            ));
        }
        let has_event_type = self.event_type.is_some();
        let or = |given: Option<OneOrMore>, place: &str| {
            Some(given.unwrap_or_else(|| OneOrMore(vec![place.to_owned()])))
        };
        let identity_rules =
            IdentityRules::new(or(self.event_type, "/type"), or(self.event_id, "/id"), self.batch)?;
        let Self { alg, label, keyid, covers, secret_form, .. } = self;
        let requirements = Requirements { alg, label, keyid, covers };
        Ok(Arc::new(MessageSignatures {
            requirements,
            secret_form,
            identity_rules,
            has_event_type,
        }))
    }
}

#[derive(Debug)]
struct MessageSignatures {
    requirements: Requirements,
    secret_form: SecretForm,
    identity_rules: IdentityRules,
    /// Whether the configuration sets `event_type`. Only the default falls back to the type
    /// `event`.
    has_event_type: bool,
}

impl MessageSignatures {
    fn parse_head(&self, head: &Head) -> Result<input::Input, VerifyError> {
        self.identity_rules.precheck(head)?;
        input::select_signature(&self.requirements, head)
    }
}

/// Components (RFC 9421, section 2.2) whose value a server behind a proxy knows from
/// `server.public_url` alone.
const URL_COMPONENTS: [&str; 3] = ["@target-uri", "@authority", "@scheme"];

#[async_trait]
impl Provider for MessageSignatures {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.parse_head(head).map(drop)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let input = self.parse_head(&request.head)?;
        let of_url = URL_COMPONENTS.iter().any(|name| input.covers(name));
        let base_url = match cx.public_url {
            None if of_url => {
                return Err(VerifyError::invalid_format(
                    "this sender signs the URL; set server.public_url",
                ));
            }
            other => other.unwrap_or_default().trim_end_matches('/'),
        };
        let text = base::signature_base(&input.list, &request.head, base_url)?;
        let (algorithm, tags) = (self.requirements.alg.algorithm(), [input.tag.clone()]);
        let mut found = None;
        for (index, secret) in cx.secrets.iter() {
            let Some(key) = self.requirements.alg.key(secret, self.secret_form) else { continue };
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
        let input = self.parse_head(delivery.head());
        let input = input.map_err(|e| IdentifyError::new(e.to_string()))?;
        let mut found = self.identity_rules.identify(delivery, |address| match address {
            FieldLocation::Header(name) => input.covers(name),
            // The digest covers the whole body, so fields of the body are signed.
            FieldLocation::Pointer(_) | FieldLocation::Root(_) | FieldLocation::Form(_) => true,
        })?;
        if !self.has_event_type {
            for identity in &mut found {
                identity.event_type.get_or_insert_with(|| "event".to_owned());
            }
        }
        Ok(found)
    }

    /// A header is signed in every request only if `covers` requires it.
    fn signs(&self, part: RequestPart<'_>) -> bool {
        let covers = |name: &str| {
            let names = self.requirements.covers.as_ref();
            names.is_some_and(|names| names.iter().any(|covered| covered == name))
        };
        match part {
            RequestPart::Body => true,
            RequestPart::Header(name) => covers(name),
            RequestPart::EventType => self.identity_rules.type_header().is_none_or(covers),
            RequestPart::EventId => self.identity_rules.id_header().is_none_or(covers),
            _ => false,
        }
    }

    fn is_valid_indefinitely(&self) -> bool {
        false
    }

    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        self.parse_head(delivery.head()).ok()?.nonce().map(str::to_owned)
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), SecretError> {
        match (self.requirements.alg.key(secret, self.secret_form), self.requirements.alg) {
            (Some(_), _) => Ok(()),
            (None, KeyAlgorithm::HmacSha256) => Err(SecretError::new("is empty, or not base64")),
            (None, alg) => {
                let text = format!("is not a public key for {} in PEM or base64", alg.name());
                Err(SecretError::new(text))
            }
        }
    }

    /// Without `covers`, a signature must cover `@target-uri` or `@authority`.
    fn needs_public_url(&self) -> bool {
        self.requirements
            .covers
            .as_ref()
            .is_none_or(|covers| covers.iter().any(|name| URL_COMPONENTS.contains(&name.as_str())))
    }

    fn config_warnings(&self) -> Vec<String> {
        let no_host = self.requirements.covers.as_ref().is_some_and(|names| {
            !names.iter().any(|name| name == "@target-uri" || name == "@authority")
        });
        let text = "`covers` does not include the host, so a request that was signed for another receiver \
                    with this key is accepted; add `@authority`";
        no_host.then(|| text.to_owned()).into_iter().collect()
    }

    fn signer(&self) -> Option<&dyn Signer> {
        if self.requirements.alg == KeyAlgorithm::HmacSha256 { Some(self) } else { None }
    }
}

/// Checks that `created` differs from now by at most the tolerance, and that `expires` is not past.
fn check_time(input: &input::Input, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
    cx.check_time(Timestamp::from_secs(input.created), TOLERANCE, TOLERANCE)?;
    let now = cx.now.as_secs();
    match input.expires {
        Some(expires) if now >= expires => Err(VerifyError::TimestampTooOld {
            age: Duration::from_secs(u64::try_from(now.saturating_sub(expires)).unwrap_or(0)),
            tolerance: Duration::ZERO,
        }),
        _ => Ok(()),
    }
}

/// Signs method, URL, media type and digest of the body, and the other components that the
/// configuration requires.
impl Signer for MessageSignatures {
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        let fail = |reason: String| SignError::new(reason);
        let digest = Encoding::Base64.encode(&Sha256::digest(draft.body.bytes()));
        let value = |text: String| HeaderValue::from_str(&text).map_err(|e| fail(e.to_string()));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(DIGEST_HEADER, value(format!("sha-256=:{digest}:"))?);
        for (name, text) in self.identity_rules.headers(&draft.event_type, &draft.event_id) {
            let name = http::HeaderName::from_bytes(name.as_bytes());
            headers.insert(name.map_err(|e| fail(e.to_string()))?, value(text.to_owned())?);
        }
        let label = self.requirements.label.as_deref().unwrap_or("sig1");
        let mut covered = vec![
            "@method",
            "@authority",
            "@path",
            "@query",
            "@target-uri",
            "content-type",
            DIGEST_HEADER,
        ];
        for name in self.requirements.covers.iter().flatten() {
            if !covered.contains(&name.as_str()) {
                covered.push(name);
            }
        }
        let keyid = self.requirements.keyid.as_deref().unwrap_or("hookward");
        let items: Vec<_> = covered.iter().map(|name| format!("\"{name}\"")).collect();
        let created = draft.now.as_secs();
        let input = format!(
            "{label}=({});created={created};keyid=\"{keyid}\";nonce=\"{}\";alg=\"hmac-sha256\"",
            items.join(" "),
            draft.event_id,
        );
        let list = fields::parse_inner_lists(&input).and_then(|mut lists| lists.pop());
        let (_, list) = list.ok_or_else(|| {
            fail(
                "the label, keyid or id contains characters that a signature cannot contain"
                    .to_owned(),
            )
        })?;
        headers.insert(
            "signature-input",
            value(format!("{label}={}", fields::serialize_list(&list)))?,
        );
        let target = draft.target().to_owned();
        let base_url = draft.url.strip_suffix(&target).unwrap_or(&draft.url);
        let mut head = Head::new(Method::POST, target.clone(), headers);
        let text = base::signature_base(&list, &head, base_url).map_err(|e| fail(e.to_string()))?;
        let tag = self
            .requirements
            .alg
            .key(secret, self.secret_form)
            .and_then(|key| self.requirements.alg.algorithm().tag(&key, &[text.as_bytes()]))
            .ok_or_else(|| fail("the secret is not of the expected form".to_owned()))?;
        let tag = value(format!("{label}=:{}:", Encoding::Base64.encode(&tag)))?;
        head.headers.insert("signature", tag);
        Ok(Request::new(head, draft.body.clone()))
    }
}
