//! `chain:`: steps, their names and their handlers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hookward_core::Handler;

use super::plugin::{self, Kind};
use super::{Gate, Location, name};
use crate::compiled::Step;
use crate::config::raw_config;

pub(super) fn chain(
    gate: &mut Gate<'_>,
    at: &str,
    specs: Vec<Option<raw_config::Step>>,
    timeout: Duration,
) -> Vec<Step> {
    check_names(gate, at, &specs);
    let mut taken = BTreeSet::new();
    taken.extend(specs.iter().flatten().filter_map(|s| s.name.clone()));
    let mut steps = Vec::new();
    for (n, spec) in specs.into_iter().enumerate() {
        let Some(spec) = spec else { continue };
        let at = format!("{at}/{n}");
        let Some(handler_name) = spec.handler else { continue };
        let step_name = spec.name.unwrap_or_else(|| free_name(&mut taken, &handler_name));
        let Some(handler) = handler(gate, &at, &handler_name, &step_name) else { continue };
        steps.push(Step {
            name: name(&step_name),
            handler_name: name(&handler_name),
            handler,
            timeout: spec.timeout.map_or(timeout, |s| s.0),
        });
    }
    steps
}

/// `log`, then `log-2`, `log-3`, past names that are written out.
fn free_name(taken: &mut BTreeSet<String>, handler: &str) -> String {
    let numbered = (2..).map(|n: usize| format!("{handler}-{n}"));
    let mut names = std::iter::once(handler.to_owned()).chain(numbered);
    let free = names.find(|name| !taken.contains(name)).unwrap_or_else(|| handler.to_owned());
    taken.insert(free.clone());
    free
}

fn check_names(gate: &mut Gate<'_>, at: &str, specs: &[Option<raw_config::Step>]) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (n, spec) in specs.iter().enumerate() {
        let Some(name) = spec.as_ref().and_then(|s| s.name.as_deref()) else { continue };
        let Some(other) = first.get(name) else {
            first.insert(name, n);
            continue;
        };
        let span = gate.doc.value_span(&format!("{at}/{other}/name"));
        let own = format!("{at}/{n}/name");
        gate.doc
            .error(Location::Value(&own), format!("two steps of this chain have the name `{name}`"))
            .label("this one needs another name")
            .related(span, "the first one")
            .help("a retry resumes at a step by its name, so each name stands for one step");
    }
}

fn handler(
    gate: &mut Gate<'_>,
    at: &str,
    handler_name: &str,
    step_name: &str,
) -> Option<Arc<dyn Handler>> {
    if let Some(function) = gate.cx.handlers.get(handler_name) {
        let with = format!("{at}/with");
        if gate.has(&with) {
            gate.doc
                .error(
                    Location::Key(&with),
                    format!("`{handler_name}` is a function of this app and takes no `with`"),
                )
                .help("remove `with`; the function has its settings from the app");
        }
        return Some(Arc::clone(function));
    }
    if let Some(descriptor) = gate.cx.registry.handler(handler_name).copied() {
        return plugin::build(gate, at, step_name, descriptor.schema, descriptor.build);
    }
    let own: Vec<&str> = gate.cx.handlers.keys().map(String::as_str).collect();
    let key = format!("{at}/handler");
    plugin::unknown(gate, Location::Value(&key), Kind::Handler, handler_name, &own);
    None
}
