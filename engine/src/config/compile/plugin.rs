//! Plugins that a configuration names: finding them in the registry, and their `with:` blocks.

use std::sync::Arc;

use hookward_core::plugin::{BuildCx, BuildError, BuildFn};
use serde_json::Value;

use super::compile_cx::CompileCx;
use crate::config::document::Location;
use crate::config::suggest::{nearest, quoted_list};
use crate::config::{pointer, schema, schema_check};

/// The name of the provider that verifies nothing.
pub(super) const NO_VERIFICATION: &str = "none";

/// The kinds of plugins that routes.yaml names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PluginKind {
    Provider,
    Handler,
    Store,
}

impl PluginKind {
    fn word(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Handler => "handler",
            Self::Store => "store",
        }
    }
}

/// Reports a name that no linked plugin has. `app_names` are handlers that the app itself brings.
pub(super) fn report_unlinked(
    cx: &mut CompileCx<'_>,
    location: Location<'_>,
    kind: PluginKind,
    name: &str,
    app_names: &[&str],
) {
    let word = kind.word();
    let mut linked: Vec<&str> = cx.load.registry.names(word);
    linked.extend(app_names);
    linked.sort_unstable();
    let near = nearest(name, linked.iter().copied());
    // What a variable holds may be a secret that was put in the wrong place: it is never shown.
    let reference = match &location {
        Location::Value(at) => cx.document.filled.get(*at).map(|f| f.written.clone()),
        _ => None,
    };
    let message = match &reference {
        Some(reference) => {
            format!("the value of `{reference}` does not name a {word} linked into this program")
        }
        None => format!("no {word} `{name}` is linked into this program"),
    };
    let diagnostic = cx.document.error(location, message);
    match near {
        Some(near) => diagnostic.label(format!("did you mean `{near}`?")),
        None => diagnostic.label(format!("unknown {word}")),
    };
    diagnostic.help(match linked.is_empty() {
        true => format!("this program is built without any {word}"),
        false => format!("linked {word}s: {}", quoted_list(&linked)),
    });
    let crate_word: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect();
    if reference.is_some() || crate_word.is_empty() {
        return;
    }
    let crate_name = format!("hookward-{word}-{}", crate_word.replace('_', "-"));
    diagnostic.help(format!(
        "to link a crate such as `{crate_name}`, add it to Cargo.toml and write `use {} as _;` in main.rs; without that line it is not linked",
        crate_name.replace('-', "_")
    ));
}

/// Reports that `store:` is missing and the plugin of its default is not linked.
pub(super) fn report_unlinked_default_store(cx: &mut CompileCx<'_>, url: &str) {
    let linked = cx.load.registry.names("store");
    let scheme = url.split(':').next().unwrap_or(url);
    let diagnostic = cx.document.error(
        Location::Key(""),
        format!("`store` is missing, and the store `{scheme}` of its default `{url}` is not linked into this program"),
    );
    diagnostic.help(match linked.is_empty() {
        true => "this program is built without any store".to_owned(),
        false => format!("write `store:` with one of the linked stores: {}", quoted_list(&linked)),
    });
    diagnostic.help(format!(
        "or add `hookward-store-{scheme}` to Cargo.toml and write `use hookward_store_{scheme} as _;` in main.rs; without that line it is not linked"
    ));
}

/// Checks the `with:` block of the plugin at `owner` against the plugin's own schema, then builds
/// the plugin. Mistakes are reported at their place in the block.
pub(super) fn build<T: ?Sized>(
    cx: &mut CompileCx<'_>,
    owner: &str,
    name: &str,
    block_schema: fn() -> Value,
    build: BuildFn<T>,
) -> Option<Arc<T>> {
    let at = pointer::join(owner, "with");
    if cx.document.has_error_at(&at) {
        return None;
    }
    // A plugin without a block is built from an empty one, so that a required setting is reported
    // as missing there.
    if !cx.contains(&at)
        && let Some(Value::Object(map)) = cx.document.value.pointer_mut(owner)
    {
        map.insert("with".to_owned(), Value::Object(Default::default()));
    }
    schema_check::check(cx.document, &schema::of_plugin(block_schema()), &at);
    if cx.document.has_error_at(&at) {
        return None;
    }
    // Read after the check, which turns texts from variables into the numbers they stand for.
    let block = cx.document.value.pointer(&at).cloned();
    let block = block.unwrap_or_else(|| Value::Object(Default::default()));
    match build(block, &BuildCx::new(cx.base_dir, name)) {
        Ok(plugin) => Some(plugin),
        Err(error) => {
            report_build_error(cx, &at, &error);
            None
        }
    }
}

fn report_build_error(cx: &mut CompileCx<'_>, at: &str, error: &BuildError) {
    let inside = format!("{at}{}", error.at);
    let place = cx.document.place_name(at);
    let message = format!("{place}: {}", error.message);
    let help = error.help.as_ref().map(|help| cx.document.hide_values(&inside, help.clone()));
    let diagnostic = cx.document.error(Location::Value(&inside), message);
    if let Some(help) = help {
        diagnostic.help(help);
    }
    cx.document.mark_error(inside);
}
