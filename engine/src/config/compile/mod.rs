//! The last stage of loading: decode each block, build its plugins, check blocks against each
//! other, and make the [`CompiledConfig`].
//!
//! Each module compiles one block. Places that an earlier stage reported are skipped without a
//! message, so that one mistake gives one message.

mod allow_ips;
mod answers;
mod body;
mod chain;
mod compile_cx;
mod dedupe;
mod exact_block;
mod file_access;
mod firewall;
mod plugin;
mod proxies;
mod routes;
mod schema_file;
mod secrets;
mod settings;
mod sources;
mod tls;
mod unreachable_routes;
mod unsigned_words;

use std::path::Path;

use super::document::Document;
use super::load_cx::LoadCx;
use crate::compiled::{CompiledConfig, RouteTable};
use compile_cx::CompileCx;

/// Compiles the document; `None` where this stage or an earlier one found an error.
pub(super) fn compile(
    document: &mut Document,
    load: &LoadCx<'_>,
    file: &Path,
    base_dir: &Path,
) -> Option<CompiledConfig> {
    let valid = document.value_without_errors();
    let mut cx = CompileCx { document, load, base_dir, valid };
    let defaults = settings::compile_defaults(&mut cx);
    let server = settings::compile_server(&mut cx);
    let admin = settings::compile_admin(&mut cx);
    let store = settings::compile_store(&mut cx);
    let (sources, sources_by_path) = sources::compile(&mut cx, &defaults, &server);
    proxies::warn_untrusted_proxy(&mut cx, &server);
    file_access::warn(&mut cx, file);
    let (routes, in_file_order) = routes::compile(&mut cx, &defaults, &sources);
    if cx.document.has_errors() {
        return None;
    }
    Some(CompiledConfig {
        file: file.to_owned(),
        base_dir: base_dir.to_owned(),
        store: store?,
        server,
        admin,
        retention: defaults.retention,
        sources,
        sources_by_path,
        route_table: RouteTable::new(&in_file_order),
        routes,
    })
}
