//! `handler: log` writes one log line per event, with its id, source, type, route and attempt. The
//! payload is never logged.

mod telemetry;

use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, HandlerConfig};
use hookward_core::{Event, Flow, Handler, HandlerCx, HandlerError};
use schemars::JsonSchema;
use serde::Deserialize;

hookward_core::register_handler!(LogConfig);

/// Settings of the handler: its `with:` block has no keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {}

impl HandlerConfig for LogConfig {
    const NAME: &'static str = "log";
    const SUMMARY: &'static str = "Writes one log line per event, without its payload";

    fn build(self, _: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
        Ok(Arc::new(Log))
    }
}

#[derive(Debug)]
struct Log;

#[async_trait]
impl Handler for Log {
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
        telemetry::log_event(&event, cx);
        Ok(Flow::Next)
    }
}
