//! `handler: redact` removes members from an event's JSON, so that later steps never see them.
//!
//! This is a complete handler plugin, in three parts: the line that registers it, a config type
//! (the `with:` block in routes.yaml), and the handler. To write your own, copy the crate and
//! replace the last two; `tests/contract.rs` then checks the rules that every handler must follow.

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, HandlerConfig};
use hookward_core::{Body, Event, Flow, Handler, HandlerCx, HandlerError};
use schemars::JsonSchema;
use serde::Deserialize;

// Registers the plugin in every program that links this crate, and defines `PLUGINS` for those that
// list their plugins instead.
hookward_core::register_handler!(RedactConfig);

/// The `with:` block. Its schema is derived, so editors show these doc comments and complete the
/// keys; unknown keys are reported with their position.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedactConfig {
    /// JSON pointers to the members to remove, such as `/data/object/email`.
    remove: Vec<String>,
}

impl HandlerConfig for RedactConfig {
    const NAME: &'static str = "redact";
    const SUMMARY: &'static str = "Removes members from an event's JSON";

    // Called by `hookward check` too, so it is pure: it finds mistakes, and leaves files and
    // networks to `handle`. `BuildError::at` names the place below `with:` that the error message
    // points to.
    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
        match self.remove.iter().position(|pointer| !pointer.starts_with('/')) {
            Some(n) => Err(BuildError::at(format!("/remove/{n}"), "a pointer begins with `/`")),
            None => Ok(Arc::new(Redact { remove: self.remove })),
        }
    }
}

/// One per step in routes.yaml, shared by all jobs that run at the same time.
#[derive(Debug)]
struct Redact {
    remove: Vec<String>,
}

#[async_trait]
impl Handler for Redact {
    async fn handle(&self, event: Event, _: &HandlerCx) -> Result<Flow, HandlerError> {
        // A body that is not JSON has nothing to remove. `?` would retry the step in vain: the body
        // is the same at every attempt.
        let Ok(json) = event.json() else { return Ok(Flow::Next) };
        let mut json = json.clone();
        for pointer in &self.remove {
            let Some((parent, name)) = pointer.rsplit_once('/') else { continue };
            if let Some(object) = json.pointer_mut(parent).and_then(|v| v.as_object_mut()) {
                // In a pointer `~1` is `/` and `~0` is `~` (RFC 6901).
                object.remove(&name.replace("~1", "/").replace("~0", "~"));
            }
        }
        // Later steps get this event. The stored one stays as received, for the admin port and
        // replays.
        Ok(Flow::Replace(event.with_body(Body::from_json(json))))
    }
}
