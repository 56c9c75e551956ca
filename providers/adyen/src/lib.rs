//! Adyen: payment notifications with a signature in each item, and the webhooks of its platforms
//! with `HmacSignature` over the body; both HMAC-SHA-256 with a key in hexadecimal.
//!
//! The scheme of the header is data (`scheme.json`). The items (`items.rs`) and the answer that
//! Adyen requires need code.
#![warn(missing_docs)]

mod items;
mod samples;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    Body, EventDraft, Head, IdentifyError, Identity, Provider, Receipt, Reply, Request,
    SampleEvent, Secret, SignError, Signer, Verification, Verified, VerifyCx, VerifyError,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(AdyenConfig);

const SIGNATURE_HEADER: &str = "hmacsignature";

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdyenConfig {
    /// Where the signatures are: `auto` (in the header if it is present, else in the items),
    /// `items` (payment notifications), or `header` (everything else).
    #[serde(default)]
    pub scheme: SchemeChoice,
}

/// Where the signatures of a request are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum SchemeChoice {
    /// In the header if it is present, else in the items.
    #[default]
    Auto,
    /// In each item of the body.
    Items,
    /// In the header `HmacSignature`, over the whole body.
    Header,
}

impl ProviderConfig for AdyenConfig {
    const NAME: &'static str = "adyen";
    const SUMMARY: &'static str = "Adyen payment notifications and platform webhooks";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let header_scheme = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        Ok(Arc::new(Adyen { scheme: self.scheme, header_scheme }))
    }
}

#[derive(Debug)]
struct Adyen {
    scheme: SchemeChoice,
    header_scheme: CompiledScheme,
}

impl Adyen {
    /// Returns whether the header proves the request; otherwise its items do. One key signs both
    /// kinds of message, so a request is never verified by both, and neither kind may pass as the
    /// other.
    fn is_header_signed(&self, head: &Head) -> bool {
        match self.scheme {
            SchemeChoice::Auto => head.headers.contains_key(SIGNATURE_HEADER),
            SchemeChoice::Items => false,
            SchemeChoice::Header => true,
        }
    }
}

#[async_trait]
impl Provider for Adyen {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.header_scheme)
    }

    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        if self.is_header_signed(head) { self.header_scheme.precheck(head) } else { Ok(()) }
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let secret = match self.is_header_signed(&request.head) {
            true => {
                let secret = self.header_scheme.verify(request, cx)?;
                if !items::is_object(request.body.bytes()) {
                    return Err(VerifyError::invalid_format("the body is not a JSON object"));
                }
                secret
            }
            false => items::verify(request, cx)?,
        };
        Ok(Verification::Genuine { secret })
    }

    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        match self.is_header_signed(delivery.head()) {
            true => None,
            false => items::replay_token(delivery),
        }
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        match self.is_header_signed(delivery.head()) {
            true => self.header_scheme.identify(delivery),
            false => items::identify(delivery),
        }
    }

    /// Older integrations require this text; newer ones read only the status.
    fn reply(&self, _: &Verified, _: &Receipt) -> Reply {
        Reply::text(StatusCode::OK, "[accepted]")
    }

    fn signer(&self) -> Option<&dyn Signer> {
        Some(self)
    }
}

impl Signer for Adyen {
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        let has_items = draft.body.json().is_ok_and(items::has_items);
        if self.scheme == SchemeChoice::Header || (self.scheme == SchemeChoice::Auto && !has_items)
        {
            return self.header_scheme.sign(draft, secret);
        }
        let signed = draft.body.json().ok().and_then(|body| items::sign_items(body, secret));
        let reason = "only notificationItems can be signed, and only with a key in hexadecimal";
        let body = signed.ok_or_else(|| SignError::new(reason.to_owned()))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let target = draft.target().to_owned();
        let head = Head::new(Method::POST, target, headers);
        Ok(Request::new(head, Body::from_json(body)))
    }
}
