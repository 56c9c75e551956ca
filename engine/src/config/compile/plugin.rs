//! Plugins that a configuration names: those that are not linked, and `with:` blocks.

use std::sync::Arc;

use hookward_core::plugin::{BuildCx, BuildError, BuildFn};
use serde_json::Value;

use super::{Gate, Location};
use crate::config::suggest::{listed, nearest};
use crate::config::{pointer, schema, schema_check};

/// A family of plugins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Provider,
    Handler,
    Store,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Handler => "handler",
            Self::Store => "store",
        }
    }
}

/// A name that no linked plugin has; `more` are names that the app itself brings.
pub(super) fn unknown(
    gate: &mut Gate<'_>,
    spot: Location<'_>,
    kind: Kind,
    name: &str,
    more: &[&str],
) {
    let word = kind.word();
    let mut known: Vec<&str> = gate.cx.registry.names(word);
    known.extend(more);
    known.sort_unstable();
    let near = nearest(name, known.iter().copied());
    // A name that came from a variable is not told.
    let written = match &spot {
        Location::Value(at) => gate.doc.filled.get(*at).map(|f| f.written.clone()),
        _ => None,
    };
    let message = match &written {
        Some(written) => {
            format!("no {word} of the name that `{written}` holds is linked into this program")
        }
        None => format!("no {word} `{name}` is linked into this program"),
    };
    let diagnostic = gate.doc.error(spot, message);
    match near {
        Some(near) => diagnostic.label(format!("did you mean `{near}`?")),
        None => diagnostic.label(format!("unknown {word}")),
    };
    diagnostic.help(match known.is_empty() {
        true => format!("no {word} is linked at all"),
        false => format!("linked {word}s: {}", listed(&known)),
    });
    let crate_word: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect();
    if written.is_some() || crate_word.is_empty() {
        return;
    }
    let crate_name = format!("hookward-{word}-{}", crate_word.replace('_', "-"));
    diagnostic.help(format!(
        "if a crate brings it, such as `{crate_name}`, add it to Cargo.toml and write `use {} as _;` in main.rs: a crate that is only listed there is not linked",
        crate_name.replace('-', "_")
    ));
}

/// Nothing is written and the default is not linked.
pub(super) fn unlinked_default_store(gate: &mut Gate<'_>, url: &str) {
    let known = gate.cx.registry.names("store");
    let scheme = url.split(':').next().unwrap_or(url);
    let diagnostic = gate.doc.error(
        Location::Key(""),
        format!("no `store` is written, and the default `{url}` needs the store `{scheme}`, which is not linked into this program"),
    );
    diagnostic.help(match known.is_empty() {
        true => "no store is linked at all".to_owned(),
        false => format!("write `store:` with one of the linked stores: {}", listed(&known)),
    });
    diagnostic.help(format!(
        "or add `hookward-store-{scheme}` to Cargo.toml and write `use hookward_store_{scheme} as _;` in main.rs: a crate that is only listed there is not linked"
    ));
}

/// Checks a `with:` block against the plugin's own schema, then builds the plugin. Errors point
/// into the block.
pub(super) fn build<T: ?Sized>(
    gate: &mut Gate<'_>,
    owner: &str,
    name: &str,
    block_schema: fn() -> Value,
    build: BuildFn<T>,
) -> Option<Arc<T>> {
    let at = pointer::join(owner, "with");
    if gate.doc.is_poisoned(&at) {
        return None;
    }
    // Without a block the plugin is built from an empty one, and what it misses is told there.
    let written = gate.has(&at);
    let block =
        gate.doc.value.pointer(&at).cloned().unwrap_or_else(|| Value::Object(Default::default()));
    if !written {
        insert(&mut gate.doc.value, owner, block);
    }
    schema_check::check(gate.doc, &schema::of_plugin(block_schema()), &at);
    // With what the shape gate read from variables as numbers.
    let block = gate.doc.value.pointer(&at).cloned().unwrap_or_default();
    if gate.doc.is_poisoned(&at) {
        return None;
    }
    let cx = BuildCx { base_dir: gate.base_dir, name };
    match build(block, &cx) {
        Ok(plugin) => Some(plugin),
        Err(error) => {
            report(gate, &at, &error);
            None
        }
    }
}

fn insert(root: &mut Value, owner: &str, block: Value) {
    if let Some(Value::Object(map)) = root.pointer_mut(owner) {
        map.insert("with".to_owned(), block);
    }
}

fn report(gate: &mut Gate<'_>, at: &str, error: &BuildError) {
    let inside = format!("{at}{}", error.at);
    let place = gate.doc.place(at);
    let message = format!("{place}: {}", error.message);
    let help = error.help.as_ref().map(|help| gate.doc.discreet(&inside, help.clone()));
    let diagnostic = gate.doc.error(Location::Value(&inside), message);
    if let Some(help) = help {
        diagnostic.help(help);
    }
    gate.doc.poison(inside);
}
