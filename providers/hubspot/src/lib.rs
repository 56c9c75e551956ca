//! HubSpot: `X-HubSpot-Signature-v3` over method, URL, body and time, HMAC-SHA-256; and the two
//! older signatures, plain hashes that begin with the secret.
//!
//! The signature schemes are data (`scheme-v1.json` to `-v3.json`). The URL of version 3, some of
//! whose escapes are decoded before it is signed, and bodies that are not a batch need code.
#![warn(missing_docs)]

mod samples;
mod url;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{CompiledScheme, IdentityRules, OneOrMore, Scheme, SchemeError};
use hookward_core::{
    IdentifyError, Identity, Provider, Request, SampleEvent, Verification, Verified, VerifyCx,
    VerifyError,
};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(HubspotConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HubspotConfig {
    /// Which signature is verified. HubSpot sends an older one next to `v3`; the others are
    /// ignored.
    #[serde(default)]
    pub scheme: Version,
}

/// Version of the signature that is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Version {
    /// An HMAC over method, URL, body and time.
    #[default]
    V3,
    /// A hash of secret, method, URL and body.
    V2,
    /// A hash of secret and body.
    V1,
}

impl ProviderConfig for HubspotConfig {
    const NAME: &'static str = "hubspot";
    const SUMMARY: &'static str = "HubSpot webhooks, one event per item, and workflow requests";
    const METHODS: &'static [&'static str] = &["POST", "GET"];
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    const TOLERANCE: Option<Duration> = None;
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let text = match self.scheme {
            Version::V3 => include_str!("scheme-v3.json"),
            Version::V2 => include_str!("scheme-v2.json"),
            Version::V1 => include_str!("scheme-v1.json"),
        };
        let scheme = Scheme::from_json(text)?.compile()?;
        let (single_rules, batch_rules) =
            (identity_rules(None)?, identity_rules(Some(String::new()))?);
        Ok(Arc::new(Hubspot { version: self.scheme, scheme, single_rules, batch_rules }))
    }
}

fn identity_rules(batch: Option<String>) -> Result<IdentityRules, SchemeError> {
    let location = |pointer: &str| Some(OneOrMore(vec![pointer.to_owned()]));
    IdentityRules::new(location("/subscriptionType"), location("/eventId"), batch)
}

#[derive(Debug)]
struct Hubspot {
    version: Version,
    scheme: CompiledScheme,
    single_rules: IdentityRules,
    batch_rules: IdentityRules,
}

#[async_trait]
impl Provider for Hubspot {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(&self.scheme)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        let targets = match self.version {
            Version::V3 => url::signed_targets(&request.head.target),
            Version::V2 | Version::V1 => vec![request.head.target.clone()],
        };
        let mut found = Err(VerifyError::InvalidSignature);
        for target in targets {
            let mut request = request.clone();
            request.head.target = target;
            found = self.scheme.verify(&request, cx);
            if !matches!(found, Err(VerifyError::InvalidSignature)) {
                break;
            }
        }
        let secret = found?;
        // A plain hash that begins with the secret is open to length extension: whoever has one
        // signed body can append to it without the secret. The padding contains a zero byte, which
        // no JSON has.
        if self.version != Version::V3 && request.body.bytes().contains(&0) {
            return Err(VerifyError::invalid_format(
                "the body contains a zero byte, which no JSON has",
            ));
        }
        Ok(Verification::Genuine { secret })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        if delivery.json().is_ok_and(serde_json::Value::is_array) {
            let mut found = self.batch_rules.identify(delivery, |_| true)?;
            for identity in &mut found {
                identity.scope = scope(delivery, identity);
            }
            return Ok(found);
        }
        // The request of a workflow or a card is an object or a query, without an event type.
        let mut found = self.single_rules.identify(delivery, |_| true)?;
        for identity in &mut found {
            identity.event_type.get_or_insert_with(|| "event".to_owned());
            identity.scope = scope(delivery, identity);
        }
        Ok(found)
    }

    /// The signature of version 3, over a time in milliseconds. A GET contains nothing else that
    /// identifies a duplicate, and an attacker could move bytes between URL and body.
    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        let signature = delivery.header("x-hubspot-signature-v3")?;
        (self.version == Version::V3).then(|| signature.to_owned())
    }

    fn config_warnings(&self) -> Vec<String> {
        match self.version {
            Version::V3 => Vec::new(),
            Version::V1 | Version::V2 => vec![
                "this signature covers no time, so a captured delivery stays valid forever; \
                 set `scheme: v3`"
                    .to_owned(),
            ],
        }
    }
}

/// Returns the scope within which an `eventId` is unique. HubSpot does not promise that it is
/// unique by itself; a retry has the same values of all these members.
fn scope(delivery: &Verified, event: &Identity) -> Option<String> {
    let item = delivery.json().ok()?.pointer(event.item_pointer.as_deref().unwrap_or_default())?;
    let names = ["portalId", "subscriptionId", "objectId", "occurredAt", "propertyName"];
    Some(serde_json::Value::from_iter(names.map(|name| item.get(name).cloned())).to_string())
}
