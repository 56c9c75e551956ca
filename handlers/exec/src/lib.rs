//! `handler: exec` runs a program for each event, without a shell. The event goes in as one line
//! of JSON; the exit code says what comes of it.

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
    /// The program and its arguments. No shell reads them. A program without a slash is looked up
    /// on PATH; a relative path starts at the folder of routes.yaml, which is also the working folder.
    #[schemars(length(min = 1))]
    command: Vec<String>,
    /// Environment variables on top of PATH, HOME, LANG, TZ and HOOKWARD_*; everything else of the
    /// server's own environment is kept from the program.
    #[serde(default)]
    env: BTreeMap<String, Secret>,
}

impl HandlerConfig for ExecConfig {
    const NAME: &'static str = "exec";
    const SUMMARY: &'static str = "Runs a program for each event, the event on its standard input";

    fn build(self, cx: &BuildCx<'_>) -> Result<Arc<dyn Handler>, BuildError> {
        let mut words = self.command.into_iter();
        let Some(program) = words.next().filter(|p| !p.is_empty()) else {
            return Err(BuildError::at("/command", "it names no program").help(
                "write the program and its arguments as a list: [\"./notify.sh\", \"--now\"]",
            ));
        };
        let args: Vec<_> = words.collect();
        if args.iter().chain([&program]).any(|word| word.contains('\0')) {
            return Err(BuildError::at("/command", "a word holds a NUL character"));
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.expose().contains('\0') {
                let at = format!("/env/{}", name.replace('~', "~0").replace('/', "~1"));
                return Err(BuildError::at(
                    at,
                    format!("`{name}` cannot be an environment variable"),
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

/// Arguments may carry tokens: only their number is shown.
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
        // NUL cannot stand in an environment variable; what a type says there is for people.
        let clean = |text: &str| text.replace('\0', "\u{fffd}");
        let about = [
            ("HOOKWARD_EVENT_ID", event.id().to_string()),
            ("HOOKWARD_EVENT_TYPE", clean(event.event_type().unwrap_or_default())),
            ("HOOKWARD_SOURCE", clean(event.source())),
            ("HOOKWARD_ROUTE", clean(&cx.route)),
            ("HOOKWARD_ATTEMPT", cx.attempt.to_string()),
        ];
        let name = &self.program.name;
        let command = self.program.command(&about).map_err(HandlerError::retry)?;
        let ended = run::run(command, line.into_bytes()).await;
        let ended =
            ended.map_err(|e| HandlerError::retry(format!("`{name}` cannot be run: {e}")))?;
        match ended.failure() {
            None => Ok(Flow::Next),
            Some(failure) => Err(HandlerError::retry(format!("`{name}` {failure}"))),
        }
    }

    async fn probe(&self) -> Result<(), ProbeError> {
        self.program.find().map(drop).map_err(ProbeError::new)
    }
}
