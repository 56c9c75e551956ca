//! `handler: exec` runs a program for each event, without a shell. The program reads the event as
//! one line of JSON on standard input, and its exit code decides the attempt.

mod program;
mod run;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use hookward_core::plugin::{BuildCx, BuildError, HandlerConfig};
use hookward_core::{
    Event, Flow, Handler, HandlerCx, HandlerError, ProbeError, Secret, event_json,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::program::Program;

hookward_core::register_handler!(ExecConfig);

/// Settings of the handler: the keys of its `with:` block.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecConfig {
    /// The program and its arguments. No shell interprets them. A program without a slash is looked
    /// up on PATH; a relative path starts at the folder of routes.yaml, which is also the working
    /// folder.
    #[schemars(length(min = 1))]
    command: Vec<String>,
    /// Environment variables in addition to PATH, HOME, LANG, TZ and HOOKWARD_*. The program gets
    /// no other variable of the server's environment.
    #[serde(default)]
    env: BTreeMap<String, Secret>,
}

impl HandlerConfig for ExecConfig {
    const NAME: &'static str = "exec";
    const SUMMARY: &'static str = "Runs a program for each event, the event on its standard input";

    fn build(self, cx: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
        let mut items = self.command.into_iter();
        let Some(program) = items.next().filter(|p| !p.is_empty()) else {
            return Err(BuildError::at("/command", "the list is empty, or its first item is")
                .help(
                    "write the program and its arguments as a list: [\"./notify.sh\", \"--now\"]",
                ));
        };
        let args: Vec<_> = items.collect();
        if args.iter().chain([&program]).any(|item| item.contains('\0')) {
            return Err(BuildError::at("/command", "an item contains a NUL character"));
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.expose().contains('\0') {
                let at = format!("/env/{}", name.replace('~', "~0").replace('/', "~1"));
                return Err(BuildError::at(
                    at,
                    format!("`{name}` is not a valid name, or its value contains a NUL character"),
                ));
            }
        }
        let base_dir = cx.base_dir.to_owned();
        Ok(Arc::new(Exec { program: Program { name: program, args, env: self.env, base_dir } }))
    }
}

struct Exec {
    program: Program,
}

/// Arguments may contain tokens, so only their number is shown.
impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec")
            .field("program", &self.program.name)
            .field("arguments", &self.program.args.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Handler for Exec {
    async fn handle(&self, event: Event, cx: &HandlerCx) -> Result<Flow, HandlerError> {
        let mut line = event_json(&event, cx);
        line.push('\n');
        // An environment variable cannot contain NUL. The replacement is exact enough, because the
        // exact type is on standard input.
        let clean = |text: &str| text.replace('\0', "\u{fffd}");
        let event_env = [
            ("HOOKWARD_EVENT_ID", event.id().to_string()),
            ("HOOKWARD_EVENT_TYPE", clean(event.event_type().unwrap_or_default())),
            ("HOOKWARD_SOURCE", clean(event.source())),
            ("HOOKWARD_ROUTE", clean(&cx.route)),
            ("HOOKWARD_ATTEMPT", cx.attempt.to_string()),
        ];
        let name = &self.program.name;
        let command = self.program.command(&event_env).map_err(HandlerError::retry)?;
        let result = run::run(command, line.into_bytes()).await;
        let result =
            result.map_err(|e| HandlerError::retry(format!("`{name}` cannot be run: {e}")))?;
        match result.failure() {
            None => Ok(Flow::Next),
            Some(failure) => Err(HandlerError::retry(format!("`{name}` {failure}"))),
        }
    }

    async fn probe(&self) -> Result<(), ProbeError> {
        self.program.find().map(drop).map_err(ProbeError::new)
    }
}
