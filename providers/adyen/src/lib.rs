//! Adyen: payment notifications with a signature in each item, and the webhooks of its platforms with
//! `HmacSignature` over the body; both HMAC-SHA-256 under a key in hexadecimal.
//!
//! The header is data (`scheme.json`). What needs code is `items.rs`, and the answer that Adyen wants.
#![warn(missing_docs)]

mod items;
mod samples;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, Scheme};
use hookward_core::{
    Body, Draft, Head, IdentifyError, Identity, Provider, Receipt, Reply, Request, Sample, Secret,
    SignError, Signer, Verification, Verified, VerifyCx, VerifyError,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(AdyenConfig);

const SIGNATURE: &str = "hmacsignature";

/// The `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdyenConfig {
    /// Where the signatures are: `auto` (the header where it is there, else the items), `items` of payment
    /// notifications, or the `header` of everything else.
    #[serde(default)]
    pub scheme: Way,
}

/// Where the signatures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Way {
    /// In the header where there is one, else in the items.
    #[default]
    Auto,
    /// In each item.
    Items,
    /// In the header.
    Header,
}

impl ProviderConfig for AdyenConfig {
    const NAME: &'static str = "adyen";
    const SUMMARY: &'static str = "Adyen payment notifications and platform webhooks";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const SAMPLES: &'static [Sample] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let header = Scheme::from_json(include_str!("scheme.json"))?.compile()?;
        Ok(Arc::new(Adyen { way: self.scheme, header }))
    }
}

#[derive(Debug)]
struct Adyen {
    way: Way,
    header: CompiledScheme,
}

impl Adyen {
    /// A request without the header can only be proven by its items, and one with it only by the
    /// header. One key signs both kinds of message, so neither may look like the other.
    fn by_header(&self, head: &Head) -> bool {
        match self.way {
            Way::Auto => head.headers.contains_key(SIGNATURE),
            Way::Items => false,
            Way::Header => true,
        }
    }
}

#[async_trait]
impl Provider for Adyen {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        if self.by_header(head) { self.header.precheck(head) } else { Ok(()) }
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let secret = match self.by_header(&request.head) {
            true => {
                let secret = self.header.verify(request, cx)?;
                if !items::is_object(request.body.bytes()) {
                    return Err(VerifyError::invalid_format("the body is no object of JSON"));
                }
                secret
            }
            false => items::verify(request, cx)?,
        };
        Ok(Verification::Genuine { secret })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        match self.by_header(delivery.head()) {
            true => self.header.identify(delivery),
            false => items::identify(delivery),
        }
    }

    /// What older integrations must be answered; newer ones look at the status alone.
    fn reply(&self, _: &Receipt) -> Reply {
        Reply::text(StatusCode::OK, "[accepted]")
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), String> {
        self.header.check_secret(secret)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        Some(self)
    }
}

impl Signer for Adyen {
    fn sign(&self, draft: &Draft, secret: &Secret) -> Result<Request, SignError> {
        let of_items = draft.body.json().is_ok_and(items::are_in);
        if self.way == Way::Header || (self.way == Way::Auto && !of_items) {
            return self.header.sign(draft, secret);
        }
        let signed = draft.body.json().ok().and_then(|body| items::signed(body, secret));
        let reason = "only notificationItems can be signed, and only with a key in hexadecimal";
        let body = signed.ok_or_else(|| SignError { reason: reason.to_owned() })?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let target = draft.target().to_owned();
        let head = Head { method: Method::POST, target, headers, client: None };
        Ok(Request::new(head, Body::from_json(body)))
    }
}
