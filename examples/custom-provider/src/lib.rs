//! `provider: acme` verifies the deliveries of Acme, which signs time and body with an HMAC.
//!
//! This is a complete provider plugin. How Acme signs is data, in `scheme.json`: Hookward's own
//! code reads the headers, computes the HMAC and compares it in constant time, so there is no code
//! here that could get a comparison wrong. Only a provider that signs in a way the scheme language
//! cannot express implements `Provider` itself.
//!
//! An app links the crate with `use example_custom_provider as _;` and writes `provider: acme`.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::Scheme;
use hookward_core::{Provider, SampleEvent};
use schemars::JsonSchema;
use serde::Deserialize;

// Registers the plugin in every program that links this crate, and defines `PLUGINS` for those that
// list their plugins instead.
hookward_core::register_provider!(AcmeConfig);

/// The `with:` block of a source. Each field would be a key of it; Acme needs none, because secrets
/// and tolerance are keys of every source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcmeConfig {}

impl ProviderConfig for AcmeConfig {
    const NAME: &'static str = "acme";
    const SUMMARY: &'static str = "Acme deliveries, signed with the shop's key";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    /// The body of `hookward send acme anvil.dropped`, for any event type.
    const SAMPLES: &'static [SampleEvent] =
        &[SampleEvent::new("*", "acme_", include_str!("sample.json"))];
    /// As in `scheme.json`, and checked to be equal: `hookward plugins` shows it without building a
    /// provider.
    const TOLERANCE: Option<Duration> = Some(Duration::from_secs(300));

    // Called by `hookward check` too, so it is pure. The scheme is compiled once per source.
    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        Ok(Arc::new(Scheme::from_json(include_str!("scheme.json"))?.compile()?))
    }
}
