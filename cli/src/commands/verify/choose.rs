//! Finds the provider for a name and a scheme id, and builds it.

use std::path::Path;
use std::sync::Arc;

use hookward_core::Provider;
use hookward_core::plugin::{BuildCx, ProviderDescriptor, Registry};
use serde_json::{Value, json};

/// A provider that is ready to verify.
#[derive(Debug, Clone)]
pub(super) struct ChosenProvider {
    pub(super) descriptor: ProviderDescriptor,
    pub(super) provider: Arc<dyn Provider>,
    /// The `with:` block that it was built from.
    pub(super) with: Value,
}

/// Why no provider can be built.
#[derive(Debug, Clone)]
pub(super) enum ChooseError {
    /// No linked provider has this name or scheme.
    Unknown(String),
    /// The `with:` block is invalid.
    Config(String),
}

/// Scheme ids that stand for another setting: id, provider, and the key and value of its `with:` block. The
/// provider's own name and the values of its key `scheme` need no entry.
const SCHEME_ALIASES: &[(&str, &str, &str, &str)] = &[
    ("standard_webhooks", "standard_webhooks", "headers", "webhook"),
    ("svix", "standard_webhooks", "headers", "svix"),
    ("standard_webhooks_v1a", "standard_webhooks", "version", "v1a"),
    ("msgraph_clientstate", "microsoft_graph", "scheme", "client_state"),
];

/// Finds and builds the provider. `-` and `_` are equivalent in names and ids.
pub(super) fn choose(
    registry: &Registry,
    name: &str,
    scheme: Option<&str>,
    mut with: Value,
) -> Result<ChosenProvider, ChooseError> {
    let normalize = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let name = normalize(name);
    let Some(descriptor) = registry.provider(&name) else {
        return Err(ChooseError::Unknown(unknown_provider_message(registry, &name)));
    };
    if let Some(id) = scheme.map(normalize) {
        match with_setting(descriptor, &id) {
            Some((key, value)) => {
                if let Value::Object(members) = &mut with {
                    members.entry(key).or_insert_with(|| json!(value));
                }
            }
            None if id == name => {}
            None => return Err(ChooseError::Unknown(unknown_scheme_message(descriptor, &id))),
        }
    }
    let cx = BuildCx::new(Path::new("."), descriptor.name);
    let provider = (descriptor.build)(with.clone(), &cx).map_err(|e| {
        let at = if e.at.is_empty() { String::new() } else { format!(" at {}", e.at) };
        let help = e.help.as_ref().map(|h| format!("; {h}")).unwrap_or_default();
        ChooseError::Config(format!("--with is invalid for `{}`{at}: {e}{help}", descriptor.name))
    })?;
    Ok(ChosenProvider { descriptor: *descriptor, provider, with })
}

fn unknown_provider_message(registry: &Registry, name: &str) -> String {
    let names = registry.names("provider");
    let distances = names.iter().map(|other| (edit_distance(name, other), other));
    let nearest =
        distances.filter(|(edit_distance, other)| *edit_distance <= 2.max(other.len() / 3)).min();
    let meant = nearest.map(|(_, n)| format!(" Did you mean `{n}`?")).unwrap_or_default();
    let list = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    format!("This build has no provider `{name}`.{meant} It has {list}.")
}

/// The edit distance of two strings (insertions, deletions, replacements).
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, byte) in a.bytes().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(b.bytes()) {
            left = (diagonal + usize::from(byte != other)).min(*cell + 1).min(left + 1);
            diagonal = std::mem::replace(cell, left);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// The key and value of the `with:` block that a scheme id stands for.
fn with_setting(descriptor: &ProviderDescriptor, id: &str) -> Option<(String, String)> {
    let variant = SCHEME_ALIASES.iter().find(|v| v.0 == id && v.1 == descriptor.name);
    if let Some((_, _, key, value)) = variant {
        return Some(((*key).to_owned(), (*value).to_owned()));
    }
    // `gitlab_signing` is `signing` of `gitlab`.
    let short = id.strip_prefix(descriptor.name).and_then(|rest| rest.strip_prefix('_'));
    let value = scheme_values(descriptor)
        .into_iter()
        .find(|value| *value == id || Some(value.as_str()) == short)?;
    Some(("scheme".to_owned(), value))
}

/// The values of a provider's key `scheme`; empty if it has no such key.
fn scheme_values(descriptor: &ProviderDescriptor) -> Vec<String> {
    let schema = (descriptor.schema)();
    schema
        .pointer("/properties/scheme")
        .map(|key| allowed_strings(&schema, key))
        .unwrap_or_default()
}

/// The strings that a part of a JSON Schema allows: an `enum`, a `const`, or one per alternative.
fn allowed_strings(root: &Value, part: &Value) -> Vec<String> {
    let list = |key: &str| part.get(key).and_then(Value::as_array).into_iter().flatten();
    let own = list("enum").chain(part.get("const")).filter_map(Value::as_str).map(str::to_owned);
    let named = part.get("$ref").and_then(Value::as_str);
    // This recursion ends, because the schemas of `with:` blocks are not recursive.
    let inner = named.and_then(|name| root.pointer(name.trim_start_matches('#')));
    let inner = inner.into_iter().chain(list("oneOf")).chain(list("anyOf"));
    own.chain(inner.flat_map(|inner| allowed_strings(root, inner))).collect()
}

fn unknown_scheme_message(descriptor: &ProviderDescriptor, id: &str) -> String {
    let aliases = SCHEME_ALIASES.iter().filter(|v| v.1 == descriptor.name).map(|v| v.0.to_owned());
    let mut ids: Vec<_> =
        aliases.chain(scheme_values(descriptor)).chain([descriptor.name.to_owned()]).collect();
    ids.sort_unstable();
    ids.dedup();
    let ids = ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    format!("`{}` has no scheme `{id}` here. It has {ids}.", descriptor.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_of(name: &str, scheme: Option<&str>) -> Result<(&'static str, Value), String> {
        let registry = Registry::linked().unwrap();
        match choose(&registry, name, scheme, json!({})) {
            Ok(chosen) => Ok((chosen.descriptor.name, chosen.with)),
            Err(ChooseError::Unknown(text) | ChooseError::Config(text)) => Err(text),
        }
    }

    #[test]
    fn names_and_scheme_ids_match_with_dash_or_underscore() {
        let (webhook, svix) = (json!({"headers": "webhook"}), json!({"headers": "svix"}));
        let ours = "standard_webhooks";
        assert_eq!(with_of("stripe", Some("stripe")), Ok(("stripe", json!({}))));
        assert_eq!(with_of("standard-webhooks", None), Ok((ours, json!({}))));
        assert_eq!(with_of("standard-webhooks", Some("standard-webhooks")), Ok((ours, webhook)));
        assert_eq!(with_of("standard_webhooks", Some("svix")), Ok((ours, svix)));
        assert_eq!(with_of("svix", Some("svix")), Ok(("svix", json!({}))));
        let v1a = json!({"version": "v1a"});
        assert_eq!(with_of(ours, Some("standard-webhooks-v1a")), Ok((ours, v1a)));
        for (name, id, value) in [
            ("github", "github-sha1", "sha1"),
            ("shopify", "shopify-events", "events"),
            ("adyen", "adyen-items", "items"),
            ("hubspot", "hubspot-v2", "v2"),
            ("mailgun", "mailgun-legacy-form", "legacy_form"),
        ] {
            assert_eq!(with_of(name, Some(id)), Ok((name, json!({ "scheme": value }))));
        }
        let token = json!({"scheme": "token"});
        assert_eq!(with_of("gitlab", Some("gitlab-token")), Ok(("gitlab", token.clone())));
        assert_eq!(with_of("gitlab", Some("token")), Ok(("gitlab", token)));
        assert_eq!(with_of("coinbase-cdp", Some("coinbase-cdp")), Ok(("coinbase_cdp", json!({}))));
    }

    #[test]
    fn an_unknown_name_or_scheme_lists_the_known_ones() {
        assert_eq!(
            (
                edit_distance("strip", "stripe"),
                edit_distance("kitten", "sitting"),
                edit_distance("", "ab")
            ),
            (1, 3, 2)
        );
        let text = with_of("strip", None).unwrap_err();
        assert!(text.contains("Did you mean `stripe`?") && text.contains("`github`"), "{text}");
        let text = with_of("github", Some("github-md5")).unwrap_err();
        assert!(text.contains("no scheme `github_md5`") && text.contains("`sha1`"), "{text}");
        assert!(with_of("hmac", None).unwrap_err().contains("signature"));
    }
}
