//! `routes:`

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::settings::{self, Defaults};
use super::sources::on_invalid;
use super::{Gate, Location, chain, name, schema_file, unreachable_routes};
use crate::compiled::Route;
use crate::config::suggest::{listed, nearest};
use crate::config::{key_docs, pointer, raw_config};
use crate::routing::{Pattern, TypeGlob};

type Routes = BTreeMap<Arc<str>, Arc<Route>>;

/// The routes by name, and in the order of the file.
pub(super) fn routes(gate: &mut Gate<'_>, defaults: &Defaults) -> (Routes, Vec<Arc<Route>>) {
    let mut routes = Routes::new();
    let mut in_order = Vec::new();
    let mut named: HashMap<String, String> = HashMap::new();
    let mut used = BTreeSet::new();
    for n in 0..gate.len("/routes") {
        let at = pointer::item("/routes", n);
        if gate.doc.is_lost(&at) {
            continue;
        }
        let spec: raw_config::Route = gate.decode(&at);
        if let Some(route_name) = &spec.name {
            check_name(gate, &mut named, &at, route_name);
        }
        let globs: Vec<(usize, TypeGlob)> = spec
            .events
            .unwrap_or_default()
            .into_iter()
            .enumerate()
            .filter_map(|(n, glob)| Some((n, glob?.0)))
            .collect();
        for (n, glob) in &globs {
            check_source(gate, &format!("{at}/events/{n}"), glob);
            used.insert(glob.source().to_owned());
        }
        let block = spec.pattern.map(Value::Object);
        let pattern = block.as_ref().and_then(|block| pattern(gate, &at, block));
        if let Some(address) = spec.order_by.as_ref().filter(|a| a.0.is_header()) {
            unsigned(gate, &format!("{at}/order_by"), &address.0.to_string(), "orders");
        }
        let schema = spec.schema.and_then(|s| schema_file::load(gate, &format!("{at}/schema"), &s));
        let on_invalid_at = format!("{at}/on_invalid");
        if spec.on_invalid.is_some() && !gate.has(&format!("{at}/schema")) {
            gate.doc
                .warn(
                    Location::Key(&on_invalid_at),
                    "`on_invalid` without `schema` changes nothing",
                )
                .help("add `schema:`, or remove the key");
        }
        let retry = settings::retry(gate, &format!("{at}/retry"), spec.retry, defaults.retry);
        let breaker =
            settings::breaker(gate, &format!("{at}/breaker"), spec.breaker, defaults.breaker);
        let steps = spec.chain.unwrap_or_default();
        let chain = chain::chain(gate, &format!("{at}/chain"), steps, defaults.step_timeout);
        let Some(route_name) = spec.name.map(|n| name(&n)) else { continue };
        let route = Arc::new(Route {
            name: Arc::clone(&route_name),
            events: globs.into_iter().map(|(_, glob)| glob).collect(),
            pattern,
            when: spec.when.map(|w| w.0),
            schema,
            on_invalid: on_invalid(spec.on_invalid),
            chain,
            retry,
            breaker,
            concurrency: spec.concurrency.unwrap_or(defaults.concurrency),
            order_by: spec.order_by.map(|a| a.0),
            config_hash: hash(gate.written.pointer(&at).unwrap_or(&Value::Null)),
        });
        unreachable_routes::warn(gate, &at, &route, block.as_ref());
        in_order.push(Arc::clone(&route));
        routes.insert(route_name, route);
    }
    unused_sources(gate, &used);
    (routes, in_order)
}

fn check_name(gate: &mut Gate<'_>, named: &mut HashMap<String, String>, at: &str, name: &str) {
    let own = format!("{at}/name");
    if name.trim() != name || name.chars().any(char::is_control) {
        gate.doc
            .error(
                Location::Value(&own),
                "the name of a route starts or ends with a space, or has a control character",
            )
            .help("write a plain name such as paid-orders");
    }
    let Some(first) = named.get(name) else {
        named.insert(name.to_owned(), own);
        return;
    };
    let first = gate.doc.value_span(first);
    gate.doc
        .error(Location::Value(&own), format!("two routes have the name `{name}`"))
        .label("this one needs another name")
        .related(first, "the first one")
        .help("queued jobs find their route by its name, so each name stands for one route");
}

fn check_source(gate: &mut Gate<'_>, at: &str, glob: &TypeGlob) {
    if glob.source() == "*" || gate.has(&pointer::join("/sources", glob.source())) {
        return;
    }
    let sources = gate.keys("/sources");
    let near = nearest(glob.source(), sources.iter().map(String::as_str));
    let diagnostic = gate
        .doc
        .error(Location::Value(at), format!("`{}` is no source of this file", glob.source()));
    match near {
        Some(near) => diagnostic.label(format!("did you mean the source `{near}`?")),
        None => diagnostic.label("names no source"),
    };
    diagnostic.help(match sources.is_empty() {
        true => "there is no source at all; add it under `sources:`".to_owned(),
        false => format!("sources: {}; `*` stands for any", listed(&sources)),
    });
}

fn pattern(gate: &mut Gate<'_>, at: &str, block: &Value) -> Option<Pattern> {
    let at = format!("{at}/match");
    match Pattern::compile(block) {
        Ok(pattern) => {
            for address in pattern
                .addresses()
                .filter(|a| a.is_header())
                .map(ToString::to_string)
                .collect::<Vec<_>>()
            {
                let key = block
                    .as_object()
                    .and_then(|b| b.keys().find(|k| k.eq_ignore_ascii_case(&address)));
                let key = pointer::join(&at, key.unwrap_or(&address));
                unsigned(gate, &key, &address, "chooses");
            }
            Some(pattern)
        }
        Err(errors) => {
            for error in errors {
                let inside = format!("{at}{}", error.at);
                let spot =
                    if error.is_key { Location::Key(&inside) } else { Location::Value(&inside) };
                let (message, help) = match error.message.split_once("; ") {
                    Some((message, help)) => (message, Some(help)),
                    None => (error.message.as_str(), None),
                };
                let diagnostic = gate.doc.error(spot, format!("`match`: {message}"));
                let example =
                    || key_docs::entry(&at).map(|e| format!("for example: {}", e.example));
                if let Some(help) = help.map(str::to_owned).or_else(example) {
                    diagnostic.help(help);
                }
            }
            None
        }
    }
}

fn unsigned(gate: &mut Gate<'_>, at: &str, address: &str, does: &str) {
    let place = gate.doc.place(at);
    gate.doc
        .warn(
            Location::Key(at),
            format!("{place} {does} by `{address}`, which most senders do not sign"),
        )
        .label("anyone on the way could change it")
        .help("prefer a place in the body, such as /data/object/id, or event:type");
}

fn unused_sources(gate: &mut Gate<'_>, used: &BTreeSet<String>) {
    if used.contains("*") || gate.doc.is_poisoned("/routes") {
        return;
    }
    for source in gate.keys("/sources") {
        if !used.contains(&source) {
            let at = pointer::join("/sources", &source);
            gate.doc
                .warn(Location::Key(&at), format!("no route takes events of source `{source}`"))
                .label("its events are kept as unrouted")
                .help(format!("add a route with `events: {source}/**`, or remove the source"));
        }
    }
}

/// A fingerprint of a route as it is written: the long form, variables by name and not by value.
fn hash(route: &Value) -> u64 {
    fn feed(value: &Value, hasher: &mut Sha256) {
        match value {
            Value::Object(map) => {
                // The order of keys in the file means nothing.
                let mut members: Vec<_> = map.iter().collect();
                members.sort_by_key(|(key, _)| *key);
                hasher.update(b"{");
                for (key, member) in members {
                    hasher.update(Value::from(key.as_str()).to_string());
                    hasher.update(b":");
                    feed(member, hasher);
                    hasher.update(b",");
                }
                hasher.update(b"}");
            }
            Value::Array(items) => {
                hasher.update(b"[");
                for item in items {
                    feed(item, hasher);
                    hasher.update(b",");
                }
                hasher.update(b"]");
            }
            scalar => hasher.update(scalar.to_string()),
        }
    }
    let mut hasher = Sha256::new();
    feed(route, &mut hasher);
    let mut first = [0; 8];
    first.iter_mut().zip(hasher.finalize()).for_each(|(to, from)| *to = from);
    u64::from_be_bytes(first)
}
