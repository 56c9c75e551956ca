//! `handler: noop` does nothing: for tests, for benchmarks, and for a route whose events are only
//! stored.

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, HandlerConfig};
use hookward_core::{Event, Flow, Handler, HandlerCx, HandlerError};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_handler!(NoopConfig);

/// Settings of the handler: its `with:` block has no keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoopConfig {}

impl HandlerConfig for NoopConfig {
    const NAME: &'static str = "noop";
    const SUMMARY: &'static str = "Does nothing and succeeds";

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
        Ok(Arc::new(Noop))
    }
}

#[derive(Debug)]
struct Noop;

#[async_trait]
impl Handler for Noop {
    async fn handle(&self, _: Event, _: &HandlerCx) -> Result<Flow, HandlerError> {
        Ok(Flow::Next)
    }
}
