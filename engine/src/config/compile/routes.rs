//! `routes:`, one compiled route for each item.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hookward_core::ExactJson;
use serde_json::Value;

use super::compile_cx::CompileCx;
use super::exact_block::exact_block;
use super::settings::{self, Defaults};
use super::sources::on_invalid;
use super::unsigned_words::Reading;
use super::{chain, schema_file, unreachable_routes, unsigned_words};
use crate::compiled::{Route, Source};
use crate::config::document::Location;
use crate::config::scalars::GlobText;
use crate::config::suggest::{nearest, quoted_list};
use crate::config::{key_docs, pointer, raw_config};
use crate::routing::{Condition, Pattern, TypeGlob};

type RoutesByName = BTreeMap<Arc<str>, Arc<Route>>;

/// What later routes are compared with.
#[derive(Default)]
struct SeenRoutes {
    /// The pointer of each name that is taken.
    names: HashMap<String, String>,
    /// The sources that at least one route names; `*` for any.
    used_sources: BTreeSet<String>,
}

/// Compiles all routes: by name, and in the order of the file.
pub(super) fn compile(
    cx: &mut CompileCx<'_>,
    defaults: &Defaults,
    sources: &BTreeMap<Arc<str>, Arc<Source>>,
) -> (RoutesByName, Vec<Arc<Route>>) {
    let mut by_name = RoutesByName::new();
    let mut in_file_order = Vec::new();
    let mut seen = SeenRoutes::default();
    for n in 0..cx.list_len("/routes") {
        let at = pointer::item("/routes", n);
        if cx.document.has_error_at_or_above(&at) {
            continue;
        }
        let raw: raw_config::Route = cx.decode(&at);
        if let Some(route) = compile_route(cx, &at, raw, defaults, sources, &mut seen) {
            in_file_order.push(Arc::clone(&route));
            by_name.insert(Arc::clone(&route.name), route);
        }
    }
    warn_unused_sources(cx, &seen.used_sources);
    unsigned_words::warn_types(cx, &in_file_order, sources.values());
    (by_name, in_file_order)
}

/// Compiles one route. Every part is checked even where the route has no name, for one run shows
/// every mistake.
fn compile_route(
    cx: &mut CompileCx<'_>,
    at: &str,
    raw: raw_config::Route,
    defaults: &Defaults,
    sources: &BTreeMap<Arc<str>, Arc<Source>>,
    seen: &mut SeenRoutes,
) -> Option<Arc<Route>> {
    if let Some(name) = &raw.name {
        check_name(cx, &mut seen.names, at, name);
    }
    let events = compile_globs(cx, at, raw.events, &mut seen.used_sources);
    let match_block = raw.pattern.map(Value::Object);
    let pattern = match_block.as_ref().and_then(|block| compile_pattern(cx, at, block));
    let client_address =
        pattern.iter().flat_map(Pattern::addresses).find(|a| a.is_client_certificate());
    if let Some(address) = client_address
        && !cx.contains("/server/tls/client_ca")
        && !cx.document.has_error_at("/server")
    {
        cx.document
            .warn(
                Location::Key(&format!("{at}/match")),
                format!(
                    "`{address}` never has a value: the server asks for no client certificates"
                ),
            )
            .help("add `client_ca: FILE` to `server.tls`");
    }
    let schema = raw.schema.and_then(|s| schema_file::load(cx, &format!("{at}/schema"), &s));
    if raw.on_invalid.is_some() && !cx.contains(&format!("{at}/schema")) {
        let key = format!("{at}/on_invalid");
        cx.document
            .warn(Location::Key(&key), "`on_invalid` without `schema` has no effect")
            .help("add `schema:`, or remove `on_invalid`");
    }
    let retry = settings::compile_retry(cx, &format!("{at}/retry"), raw.retry, defaults.retry);
    let breaker =
        settings::compile_breaker(cx, &format!("{at}/breaker"), raw.breaker, defaults.breaker);
    let raw_steps = raw.chain.unwrap_or_default();
    let chain = chain::compile(cx, &format!("{at}/chain"), raw_steps, defaults.step_timeout);
    let route = Arc::new(Route {
        name: raw.name?.into(),
        events,
        pattern,
        when: raw.when.map(|w| w.0),
        schema,
        on_invalid: on_invalid(raw.on_invalid),
        chain,
        retry,
        breaker,
        concurrency: raw.concurrency.unwrap_or(defaults.concurrency),
        order_by: raw.order_by.map(|a| a.0),
    });
    let readings = readings(at, &route, match_block.as_ref());
    unsigned_words::warn_readings(cx, &route, readings, sources.values());
    unreachable_routes::warn(cx, at, &route, match_block.as_ref());
    Some(route)
}

/// The globs of `events:`, each checked against the sources of the file.
fn compile_globs(
    cx: &mut CompileCx<'_>,
    at: &str,
    raw: Option<Vec<Option<GlobText>>>,
    used_sources: &mut BTreeSet<String>,
) -> Vec<TypeGlob> {
    let mut globs = Vec::new();
    for (n, glob) in raw.unwrap_or_default().into_iter().enumerate() {
        let Some(glob) = glob else { continue };
        check_source_exists(cx, &format!("{at}/events/{n}"), &glob.0);
        used_sources.insert(glob.0.source().to_owned());
        globs.push(glob.0);
    }
    globs
}

fn check_name(cx: &mut CompileCx<'_>, names: &mut HashMap<String, String>, at: &str, name: &str) {
    let own = format!("{at}/name");
    if name.trim() != name || name.chars().any(char::is_control) {
        cx.document
            .error(
                Location::Value(&own),
                "the name of a route starts or ends with a space, or has a control character",
            )
            .help("write a plain name such as paid-orders");
    }
    let Some(first) = names.get(name) else {
        names.insert(name.to_owned(), own);
        return;
    };
    let first = cx.document.value_span(first);
    cx.document
        .error(Location::Value(&own), format!("two routes have the name `{name}`"))
        .label("choose another name for this one")
        .related(first, "the first one")
        .help("names are unique in the file: after a reload, queued jobs find their route by its name");
}

fn check_source_exists(cx: &mut CompileCx<'_>, at: &str, glob: &TypeGlob) {
    if glob.source() == "*" || cx.contains(&pointer::join("/sources", glob.source())) {
        return;
    }
    let sources = cx.keys("/sources");
    let near = nearest(glob.source(), sources.iter().map(String::as_str));
    let diagnostic = cx
        .document
        .error(Location::Value(at), format!("`{}` is not a source of this file", glob.source()));
    match near {
        Some(near) => diagnostic.label(format!("did you mean the source `{near}`?")),
        None => diagnostic.label("unknown source"),
    };
    diagnostic.help(match sources.is_empty() {
        true => "this file has no sources; add one under `sources:`".to_owned(),
        false => format!("sources: {}; `*` stands for any source", quoted_list(&sources)),
    });
}

fn compile_pattern(cx: &mut CompileCx<'_>, at: &str, block: &Value) -> Option<Pattern> {
    let at = format!("{at}/match");
    let exact = exact_block(cx.document, &at, block);
    // Written from a value, so that it can be parsed.
    let exact = exact.exact_json().unwrap_or_else(|_| ExactJson::from(block));
    let errors = match Pattern::compile(exact) {
        Ok(pattern) => return Some(pattern),
        Err(errors) => errors,
    };
    for error in errors {
        let inside = format!("{at}{}", error.at);
        let location = match error.is_key {
            true => Location::Key(&inside),
            false => Location::Value(&inside),
        };
        let (message, help) = match error.message.split_once("; ") {
            Some((message, help)) => (message, Some(help)),
            None => (error.message.as_str(), None),
        };
        let diagnostic = cx.document.error(location, format!("`match`: {message}"));
        let example =
            || key_docs::of_pointer(&at).map(|doc| format!("for example: {}", doc.example));
        if let Some(help) = help.map(str::to_owned).or_else(example) {
            diagnostic.help(help);
        }
    }
    None
}

/// The places of a route that read a header, the type or the id of the event.
fn readings(at: &str, route: &Route, match_block: Option<&Value>) -> Vec<Reading> {
    let mut readings = Vec::new();
    for address in route.pattern.iter().flat_map(Pattern::addresses) {
        let text = address.to_string();
        // Addresses are in lower case; the key may be written in another.
        let mut keys = match_block.and_then(Value::as_object).into_iter().flat_map(|b| b.keys());
        let key = keys.find(|key| key.eq_ignore_ascii_case(&text));
        let at = pointer::join(&format!("{at}/match"), key.unwrap_or(&text));
        readings.push(Reading { at, address: address.clone(), verb: "matches" });
    }
    for address in route.when.iter().flat_map(Condition::named_addresses) {
        readings.push(Reading { at: format!("{at}/when"), address, verb: "decides" });
    }
    if let Some(address) = &route.order_by {
        let (at, address) = (format!("{at}/order_by"), address.clone());
        readings.push(Reading { at, address, verb: "orders" });
    }
    readings
}

fn warn_unused_sources(cx: &mut CompileCx<'_>, used: &BTreeSet<String>) {
    // With a mistake in the routes, any source may be the one that was meant.
    if used.contains("*") || cx.document.has_error_at("/routes") {
        return;
    }
    for source in cx.keys("/sources") {
        if !used.contains(&source) {
            let at = pointer::join("/sources", &source);
            cx.document
                .warn(Location::Key(&at), format!("no route takes events of source `{source}`"))
                .label("its events are stored as unrouted")
                .help(format!("add a route with `events: {source}/**`, or remove the source"));
        }
    }
}
