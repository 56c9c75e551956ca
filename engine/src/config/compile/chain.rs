//! `chain:` of a route: its steps, their names and their handlers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hookward_core::Handler;

use super::compile_cx::CompileCx;
use super::plugin::{self, PluginKind};
use crate::compiled::Step;
use crate::config::document::Location;
use crate::config::raw_config;

/// Compiles the steps of the chain at `at`; a step with a mistake is omitted.
pub(super) fn compile(
    cx: &mut CompileCx<'_>,
    at: &str,
    raw_steps: Vec<Option<raw_config::Step>>,
    default_timeout: Duration,
) -> Vec<Step> {
    check_names_are_unique(cx, at, &raw_steps);
    let mut taken = BTreeSet::new();
    taken.extend(raw_steps.iter().flatten().filter_map(|s| s.name.clone()));
    let mut steps = Vec::new();
    for (n, raw) in raw_steps.into_iter().enumerate() {
        let Some(raw) = raw else { continue };
        let at = format!("{at}/{n}");
        let Some(handler_name) = raw.handler else { continue };
        let step_name = raw.name.unwrap_or_else(|| default_step_name(&mut taken, &handler_name));
        let Some(handler) = find_handler(cx, &at, &handler_name, &step_name) else { continue };
        steps.push(Step {
            name: step_name.into(),
            handler_name: handler_name.into(),
            handler,
            timeout: raw.timeout.map_or(default_timeout, |s| s.0),
        });
    }
    steps
}

/// The default name of a step: `log`, then `log-2`, `log-3`, omitting names that are written out.
fn default_step_name(taken: &mut BTreeSet<String>, handler: &str) -> String {
    let numbered = (2..).map(|n: usize| format!("{handler}-{n}"));
    let mut names = std::iter::once(handler.to_owned()).chain(numbered);
    let free = names.find(|name| !taken.contains(name)).unwrap_or_else(|| handler.to_owned());
    taken.insert(free.clone());
    free
}

fn check_names_are_unique(
    cx: &mut CompileCx<'_>,
    at: &str,
    raw_steps: &[Option<raw_config::Step>],
) {
    let mut first_use: HashMap<&str, usize> = HashMap::new();
    for (n, raw) in raw_steps.iter().enumerate() {
        let Some(name) = raw.as_ref().and_then(|s| s.name.as_deref()) else { continue };
        let Some(first) = first_use.get(name) else {
            first_use.insert(name, n);
            continue;
        };
        let first_span = cx.document.value_span(&format!("{at}/{first}/name"));
        let own = format!("{at}/{n}/name");
        cx.document
            .error(Location::Value(&own), format!("two steps of this chain have the name `{name}`"))
            .label("choose another name for this one")
            .related(first_span, "the first one")
            .help("names are unique in a chain: a retry finds the step to resume at by its name");
    }
}

/// The handler of a step: a function of the app, else a linked plugin.
fn find_handler(
    cx: &mut CompileCx<'_>,
    at: &str,
    handler_name: &str,
    step_name: &str,
) -> Option<Arc<dyn Handler>> {
    if let Some(function) = cx.load.handlers.get(handler_name) {
        let with = format!("{at}/with");
        if cx.contains(&with) {
            cx.document
                .error(
                    Location::Key(&with),
                    format!("`{handler_name}` is a function of this app and takes no `with`"),
                )
                .help("remove `with`; the app's own code configures the function");
        }
        return Some(Arc::clone(function));
    }
    if let Some(descriptor) = cx.load.registry.handler(handler_name).copied() {
        return plugin::build(cx, at, step_name, descriptor.schema, descriptor.build);
    }
    let functions: Vec<&str> = cx.load.handlers.keys().map(String::as_str).collect();
    let key = format!("{at}/handler");
    let kind = PluginKind::Handler;
    plugin::report_unlinked(cx, Location::Value(&key), kind, handler_name, &functions);
    None
}
