//! The words about every key of routes.yaml, from `key_docs.yaml`: they go into the JSON Schema
//! and into the help of messages.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{pointer, yaml};

/// One key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Words {
    /// What it is for, in a sentence or two.
    pub(super) means: String,
    /// What counts where it is not written.
    pub(super) default: Option<String>,
    /// A line of YAML.
    pub(super) example: String,
}

/// By path: `sources.*.limits.rate`; `*` stands for a name or an item.
static WORDS: LazyLock<BTreeMap<String, Words>> = LazyLock::new(|| {
    yaml::parse(include_str!("key_docs.yaml"))
        .ok()
        .and_then(|(value, _)| serde_json::from_value(value).ok())
        .unwrap_or_default()
});

/// The words about the key at a pointer.
pub(super) fn entry(at: &str) -> Option<&'static Words> {
    let mut names = pointer::tokens(at);
    let sources = names.first().is_some_and(|n| n == "sources");
    for (n, name) in names.iter_mut().enumerate() {
        if (sources && n == 1) || name.parse::<usize>().is_ok() {
            *name = "*".to_owned();
        }
    }
    by_path(&names.join("."))
}

/// The words about the key of a path.
pub(super) fn by_path(path: &str) -> Option<&'static Words> {
    WORDS.get(path)
}

/// Every path.
#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    WORDS.keys().map(String::as_str)
}

/// Where a key of this name belongs, in words.
pub(super) fn homes(key: &str) -> Vec<String> {
    let suffix = format!(".{key}");
    let mut homes: Vec<String> = WORDS
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
    homes.dedup();
    homes
}
