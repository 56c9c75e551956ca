//! Senders that sign nothing. Anyone who knows the URL can send, so a source must name this
//! provider explicitly, and is shown as unverified wherever sources are shown.
#![warn(missing_docs)]

mod samples;
mod unsigned;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{IdentityRules, OneOrMore};
use hookward_core::{
    Head, IdentifyError, Identity, Provider, Request, SampleEvent, Signer, Verification, Verified,
    VerifyCx, VerifyError,
};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_provider!(NoneConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoneConfig {
    /// Where the event type is: `/pointer` into the body, `header:NAME` or `form:FIELD`; of
    /// several, the first that is present. Without this key every event has the type `event`.
    #[serde(default)]
    pub event_type: Option<OneOrMore>,
    /// Where the event id is, in the same notation as `event_type`.
    #[serde(default)]
    pub event_id: Option<OneOrMore>,
}

impl ProviderConfig for NoneConfig {
    const NAME: &'static str = "none";
    const SUMMARY: &'static str = "Verifies nothing: anyone who knows the URL can send";
    const NEEDS_SECRET: bool = false;
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        Ok(Arc::new(Unverified {
            identity_rules: IdentityRules::new(self.event_type, self.event_id, None)?,
        }))
    }
}

#[derive(Debug)]
struct Unverified {
    identity_rules: IdentityRules,
}

#[async_trait]
impl Provider for Unverified {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.identity_rules.precheck(head)
    }

    async fn verify(
        &self,
        request: &Request,
        _: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        self.precheck(&request.head)?;
        Ok(Verification::Genuine { secret: 0 })
    }

    fn proves_any_method(&self) -> bool {
        true
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        // Nothing is signed, so the id alone does not identify a duplicate.
        self.identity_rules.identify(delivery, |_| false)
    }

    /// Nobody needs a captured request where nothing is verified.
    fn is_valid_indefinitely(&self) -> bool {
        false
    }

    fn signer(&self) -> Option<&dyn Signer> {
        Some(self)
    }
}
