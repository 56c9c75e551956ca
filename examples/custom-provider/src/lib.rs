//! A provider of one's own. Acme signs time and body with an HMAC, so how it signs is a file,
//! `scheme.json`, and there is no code that could get a comparison wrong.
//!
//! An app links it with `use example_custom_provider as _;` and then writes `provider: acme`.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::Scheme;
use hookward_core::{Provider, Sample};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(AcmeConfig);

/// The `with:` block of a source. Fields here become keys there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcmeConfig {}

impl ProviderConfig for AcmeConfig {
    const NAME: &'static str = "acme";
    const SUMMARY: &'static str = "Acme deliveries, signed with the shop's key";
    const MEDIA_TYPES: &'static [&'static str] = &["application/json"];
    /// What `hookward send acme anvil.dropped` is made of.
    const SAMPLES: &'static [Sample] =
        &[Sample { event_type: "*", id_prefix: "acme_", body: include_str!("sample.json") }];
    /// As in `scheme.json`; named here so that it is shown before a provider is built.
    const TOLERANCE: Option<Duration> = Some(Duration::from_secs(300));

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        Ok(Arc::new(Scheme::from_json(include_str!("scheme.json"))?.compile()?))
    }
}
