//! The documentation of every key of routes.yaml, from `key_docs.yaml`. It is used in the JSON
//! Schema, and so by editors, and in the help of error messages.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{pointer, yaml};

/// The documentation of one key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyDoc {
    /// What the key is for, in a sentence or two.
    pub(super) description: String,
    /// The value that an omitted key has, in words; `None` where the key is required or has parts.
    pub(super) default: Option<String>,
    /// An example, as one line of YAML.
    pub(super) example: String,
}

/// By path, such as `sources.*.limits.rate`; a `*` stands for a name or a list index.
static KEY_DOCS: LazyLock<BTreeMap<String, KeyDoc>> = LazyLock::new(|| {
    // A test parses the same text, so the fallback is never used in a build that passes it.
    yaml::parse(include_str!("key_docs.yaml"))
        .ok()
        .and_then(|parsed| serde_json::from_value(parsed.value).ok())
        .unwrap_or_default()
});

/// Keys of earlier versions that have another name today, and the new name.
const RENAMED_KEYS: &[(&str, &str)] = &[
    ("keep", "retention"),
    ("on_unreadable", "on_parse_error"),
    ("over", "window"),
    ("pause", "cooldown"),
    ("max_pause", "max_cooldown"),
];

/// Finds the documentation of the key at a JSON pointer.
pub(super) fn of_pointer(at: &str) -> Option<&'static KeyDoc> {
    let mut names = pointer::tokens(at);
    let in_sources = names.first().is_some_and(|n| n == "sources");
    for (n, name) in names.iter_mut().enumerate() {
        if (in_sources && n == 1) || name.parse::<usize>().is_ok() {
            *name = "*".to_owned();
        }
    }
    of_path(&names.join("."))
}

/// Finds the documentation of the key at a path such as `sources.*.limits.rate`.
pub(super) fn of_path(path: &str) -> Option<&'static KeyDoc> {
    KEY_DOCS.get(path)
}

/// Returns the paths of all keys, sorted.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    KEY_DOCS.keys().map(String::as_str)
}

/// Returns today's name of a key that earlier versions had.
pub(super) fn renamed(key: &str) -> Option<&'static str> {
    RENAMED_KEYS.iter().find(|(old, _)| *old == key).map(|(_, new)| *new)
}

/// Describes the mappings that have a key of this name, such as "a route".
pub(super) fn parents_of(key: &str) -> Vec<String> {
    let suffix = format!(".{key}");
    let mut parents: Vec<String> = KEY_DOCS
        .keys()
        .filter_map(|path| if path == key { Some("") } else { path.strip_suffix(&suffix) })
        .map(|parent| match parent {
            "" => "the top level".to_owned(),
            "sources.*" => "a source".to_owned(),
            "sources.*.secrets.*" => "an item of `secrets`".to_owned(),
            "routes.*" => "a route".to_owned(),
            "routes.*.chain.*" => "a step of a chain".to_owned(),
            other => match (other.strip_prefix("sources.*."), other.strip_prefix("routes.*.")) {
                (Some(rest), _) => format!("`{rest}` of a source"),
                (_, Some(rest)) => format!("`{rest}` of a route"),
                _ => format!("`{other}`"),
            },
        })
        .collect();
    parents.dedup();
    parents
}
