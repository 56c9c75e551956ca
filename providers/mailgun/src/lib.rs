//! Mailgun: HMAC-SHA-256 over a time and a random token, both in the body next to it. The event is
//! not signed.
//!
//! Its signature scheme is data (`scheme*.json`). The second signature that events of a subaccount
//! carry, and the signer, which puts the signature into the body, need code.
#![warn(missing_docs)]

mod samples;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext};
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    Body, EventDraft, Head, Provider, Request, SampleEvent, Secret, SignError, Signer,
    Verification, VerifyCx, VerifyError,
};
use http::{HeaderMap, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

hookward_core::register_provider!(MailgunConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailgunConfig {
    /// Format of the bodies: `json`, or the older `legacy_form`.
    #[serde(default)]
    pub scheme: BodyFormat,
}

/// Format of the bodies of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum BodyFormat {
    /// A JSON object, with the signature in `/signature`.
    #[default]
    Json,
    /// The fields of a form, urlencoded or, with attachments, multipart.
    LegacyForm,
}

impl ProviderConfig for MailgunConfig {
    const NAME: &'static str = "mailgun";
    const SUMMARY: &'static str = "Mailgun webhooks, JSON or the older form";
    const MEDIA_TYPES: &'static [&'static str] =
        &["application/json", "application/x-www-form-urlencoded", "multipart/form-data"];
    const TOLERANCE: Option<Duration> = Some(Duration::from_secs(300));
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let compile = |text| Ok::<_, BuildError>(Scheme::from_json(text)?.compile()?);
        let (own, parent) = match self.scheme {
            BodyFormat::Json => {
                let parent = compile(include_str!("scheme-parent.json"))?;
                (compile(include_str!("scheme.json"))?, Some(parent))
            }
            BodyFormat::LegacyForm => (compile(include_str!("scheme-legacy-form.json"))?, None),
        };
        Ok(Arc::new(Mailgun { own, parent }))
    }
}

#[derive(Debug)]
struct Mailgun {
    own: CompiledScheme,
    /// The signature of the primary account, which events of a subaccount carry in addition.
    parent: Option<CompiledScheme>,
}

#[async_trait]
impl Provider for Mailgun {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.own)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let own = self.own.verify(request, cx);
        let secret = match (own, &self.parent) {
            (Err(VerifyError::InvalidSignature), Some(parent)) => {
                parent.verify(request, cx).map_err(|e| match e {
                    VerifyError::MissingSignature { .. } => VerifyError::InvalidSignature,
                    other => other,
                })?
            }
            (own, _) => own?,
        };
        Ok(Verification::Genuine { secret })
    }

    fn signer(&self) -> Option<&dyn Signer> {
        if self.parent.is_some() { Some(self) } else { None }
    }
}

/// Puts the signature into a JSON body; the event's id is used as the token.
impl Signer for Mailgun {
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        let fail = |reason: &str| SignError::new(reason);
        let mut body = draft.body.json().map_err(|e| fail(&e.to_string()))?.clone();
        let members = body.as_object_mut().ok_or_else(|| fail("the body is not a JSON object"))?;
        let (time, token) = (draft.now.as_secs().to_string(), draft.event_id.as_str());
        let mut mac = HmacContext::new(HmacAlgorithm::Sha256, secret.expose().as_bytes())
            .ok_or_else(|| fail("the secret is empty"))?;
        mac.update(time.as_bytes());
        mac.update(token.as_bytes());
        let tag = Encoding::Hex.encode(&mac.finish());
        let signature = json!({ "timestamp": time, "token": token, "signature": tag });
        members.insert("signature".to_owned(), signature);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let target = draft.target().to_owned();
        let head = Head::new(Method::POST, target, headers);
        Ok(Request::new(head, Body::from_json(body)))
    }
}
