//! `handler: redact` takes members out of an event's JSON, so that later steps never see them.
//! A whole plugin: a config type, a handler, and one line that registers it.

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, HandlerConfig};
use hookward_core::{Body, Event, Flow, Handler, HandlerCx, HandlerError};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_handler!(RedactConfig);

/// The `with:` block. Doc comments become the descriptions in editors.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedactConfig {
    /// JSON pointers to what is taken out, such as `/data/object/email`.
    remove: Vec<String>,
}

impl HandlerConfig for RedactConfig {
    const NAME: &'static str = "redact";
    const SUMMARY: &'static str = "Takes members out of an event's JSON";

    // Pure: mistakes are found here, files and networks are first touched in `handle`.
    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
        match self.remove.iter().position(|pointer| !pointer.starts_with('/')) {
            Some(n) => Err(BuildError::at(format!("/remove/{n}"), "a pointer begins with `/`")),
            None => Ok(Arc::new(Redact { remove: self.remove })),
        }
    }
}

#[derive(Debug)]
struct Redact {
    remove: Vec<String>,
}

#[async_trait]
impl Handler for Redact {
    async fn handle(&self, event: Event, _: &HandlerCx) -> Result<Flow, HandlerError> {
        // Nothing to take out of what is no JSON; `?` here would mean "try again".
        let Ok(json) = event.json() else { return Ok(Flow::Next) };
        let mut json = json.clone();
        for pointer in &self.remove {
            let Some((parent, name)) = pointer.rsplit_once('/') else { continue };
            if let Some(object) = json.pointer_mut(parent).and_then(|v| v.as_object_mut()) {
                object.remove(&name.replace("~1", "/").replace("~0", "~"));
            }
        }
        Ok(Flow::Replace(event.with_body(Body::from_json(json))))
    }
}
