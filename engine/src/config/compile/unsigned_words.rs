//! Warnings about routes that decide by words which the sender does not sign: whoever captured one
//! request can send it again under another type or with other headers.

use std::sync::Arc;

use super::compile_cx::CompileCx;
use super::dedupe::is_signed;
use crate::compiled::{Route, Source};
use crate::config::document::Location;
use crate::config::pointer;
use crate::routing::{DataAddress, TypeGlob};

/// One place of a route that reads an address.
pub(super) struct Reading {
    /// The pointer of the key in routes.yaml.
    pub(super) at: String,
    pub(super) address: DataAddress,
    /// "matches" or "orders".
    pub(super) verb: &'static str,
}

/// Warns about each reading of a route whose value some source of the route does not sign.
pub(super) fn warn_readings<'a>(
    cx: &mut CompileCx<'_>,
    route: &Route,
    readings: impl IntoIterator<Item = Reading>,
    sources: impl Iterator<Item = &'a Arc<Source>> + Clone,
) {
    for Reading { at, address, verb } in readings {
        let takes = |source: &&Arc<Source>| route.events.iter().any(|glob| takes(glob, source));
        let unsigned = sources.clone().filter(takes).filter(|source| {
            // A source that verifies nothing has a warning of its own.
            source.verified && !is_signed(&address, &*source.provider)
        });
        let names: Vec<_> = unsigned.map(|source| format!("`{}`", source.name)).collect();
        let is_body = matches!(address, DataAddress::Pointer(_));
        if names.is_empty() || is_body {
            continue;
        }
        let place = cx.document.place_name(&at);
        let message = format!(
            "{place} {verb} by `{address}`, which the sender of {} does not sign",
            names.join(", ")
        );
        cx.document
            .warn(Location::Key(&at), message)
            .label("a proxy or an attacker can change an unsigned word")
            .help("prefer a place in the signed body, such as /data/object/id");
    }
}

/// Warns once per source whose event types are not signed and by which alone a route decides. A
/// route that also looks at the signed body has what the warning asks for.
pub(super) fn warn_types<'a>(
    cx: &mut CompileCx<'_>,
    routes: &[Arc<Route>],
    sources: impl Iterator<Item = &'a Arc<Source>>,
) {
    for source in sources {
        if !source.verified || is_signed(&DataAddress::EventType, &*source.provider) {
            continue;
        }
        let decides = |route: &&Arc<Route>| {
            let looks_at_body = route.schema.is_some()
                || route.pattern.iter().flat_map(|pattern| pattern.addresses()).any(|address| {
                    matches!(address, DataAddress::Pointer(_))
                        && is_signed(address, &*source.provider)
                });
            !looks_at_body
                && route.events.iter().any(|glob| takes(glob, source) && !glob.takes_every_type())
        };
        let names: Vec<_> =
            routes.iter().filter(decides).map(|route| format!("`{}`", route.name)).collect();
        if names.is_empty() {
            continue;
        }
        let at = pointer::join("/sources", &source.name);
        cx.document
            .warn(
                Location::Key(&at),
                format!("the sender of source `{}` does not sign the event type", source.name),
            )
            .label(format!("by which {} decide{}", names.join(", "), plural(names.len())))
            .help("whoever captured one request can send it again under up to seven other types; let `match` or `schema` check a member of the signed body that only this type has");
    }
}

fn plural(subjects: usize) -> &'static str {
    if subjects == 1 { "s" } else { "" }
}

fn takes(glob: &TypeGlob, source: &Source) -> bool {
    glob.source() == "*" || glob.source() == &*source.name
}
