//! GitHub: `X-Hub-Signature-256` over the body, HMAC-SHA-256. The older SHA-1 header is never looked at.
//!
//! Everything about it is data: `scheme.json` says how it signs, `samples/` what it sends.
#![warn(missing_docs)]

mod samples;

use std::sync::Arc;

use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::Scheme;
use hookward_core::{Provider, Sample};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(GithubConfig);

/// The `with:` block: there is nothing to choose.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GithubConfig {}

impl ProviderConfig for GithubConfig {
    const NAME: &'static str = "github";
    const SUMMARY: &'static str = "GitHub webhooks of repositories, organisations and apps";
    const MEDIA_TYPES: &'static [&'static str] =
        &["application/json", "application/x-www-form-urlencoded"];
    const KEEP_HEADERS: &'static [&'static str] = &[
        "x-github-event",
        "x-github-delivery",
        "x-github-hook-id",
        "x-github-hook-installation-target-type",
        "x-github-hook-installation-target-id",
    ];
    const SAMPLES: &'static [Sample] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        Ok(Arc::new(Scheme::from_json(include_str!("scheme.json"))?.compile()?))
    }
}
