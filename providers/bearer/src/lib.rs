//! Senders that present a token as `Authorization: Bearer` and sign nothing. The `with:` block says
//! where type and id of an event are.
#![warn(missing_docs)]

mod samples;

use std::sync::Arc;

use hookward_core::plugin::{BuildCx, BuildError, ProviderConfig};
use hookward_core::scheme::{OneOrMore, Scheme};
use hookward_core::{Provider, SampleEvent};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

hookward_core::register_provider!(BearerConfig);

/// Settings of the provider: the keys of its `with:` block.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BearerConfig {
    /// Where the event type is: `/pointer` into the body, `header:NAME` or `form:FIELD`; of
    /// several, the first that is present. Without this key every event has the type `event`.
    #[serde(default)]
    pub event_type: Option<OneOrMore>,
    /// Where the event id is, in the same notation as `event_type`.
    #[serde(default)]
    pub event_id: Option<OneOrMore>,
    /// Where the array of events is, for senders that batch: a pointer, or `""` for the whole body.
    /// Pointers of `event_type` and `event_id` then start at the item; `^/pointer` starts at the
    /// body.
    #[serde(default)]
    pub batch: Option<String>,
}

impl ProviderConfig for BearerConfig {
    const NAME: &'static str = "bearer";
    const SUMMARY: &'static str = "Any sender that presents a token as `Authorization: Bearer`";
    const SAMPLES: &'static [SampleEvent] = samples::ALL;

    fn scheme(with: &Value) -> Option<Value> {
        let mut scheme: Map<String, Value> =
            serde_json::from_str(include_str!("scheme.json")).ok()?;
        for key in ["event_type", "event_id", "batch"] {
            let set = with.get(key).filter(|value| !value.is_null());
            scheme.extend(set.map(|value| (key.to_owned(), value.clone())));
        }
        Some(Value::Object(scheme))
    }

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Provider>, BuildError> {
        let mut scheme = Scheme::from_json(include_str!("scheme.json"))?;
        scheme.event_type = self.event_type;
        scheme.event_id = self.event_id;
        scheme.batch = self.batch;
        Ok(Arc::new(scheme.compile()?))
    }
}
