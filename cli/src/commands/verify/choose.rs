//! Which provider a name and the id of a scheme stand for, and that provider built.

use std::path::Path;
use std::sync::Arc;

use hookward_core::Provider;
use hookward_core::plugin::{BuildCx, ProviderDescriptor, Registry};
use serde_json::{Value, json};

/// A provider that is ready to judge.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) descriptor: ProviderDescriptor,
    pub(super) provider: Arc<dyn Provider>,
    /// The block that it was built from.
    pub(super) with: Value,
}

/// Why there is none.
#[derive(Debug, Clone)]
pub(super) enum Unusable {
    /// No provider of this build has that name, or none of that name has such a scheme.
    Unknown(String),
    /// The `with:` block does not fit.
    Config(String),
}

/// Senders that sign as one of our providers does, and schemes that are a setting of it: id,
/// provider, key and value in its `with:` block. A provider's own name needs no line here.
const VARIANTS: &[(&str, &str, &str, &str)] = &[
    ("standard_webhooks", "standard_webhooks", "headers", "webhook"),
    ("openai", "standard_webhooks", "headers", "webhook"),
    ("svix", "standard_webhooks", "headers", "svix"),
    ("clerk", "standard_webhooks", "headers", "svix"),
    ("resend", "standard_webhooks", "headers", "svix"),
];

/// Finds and builds it. `-` and `_` are alike in names and ids.
pub(super) fn choose(
    registry: &Registry,
    name: &str,
    scheme: Option<&str>,
    mut with: Value,
) -> Result<Chosen, Unusable> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let name = plain(name);
    let variant = |id: &str| VARIANTS.iter().find(|(other, ..)| *other == id);
    // A sender without a provider of its own, such as `clerk`, stands for its variant.
    let ours = registry.provider(&name).map(|d| (d, None)).or_else(|| {
        let alias = variant(&name)?;
        Some((registry.provider(alias.1)?, Some(alias)))
    });
    let Some((descriptor, alias)) = ours else {
        return Err(Unusable::Unknown(unknown(registry, &name)));
    };
    let id = scheme.map(plain).filter(|id| *id != name);
    let setting = match id {
        Some(id) => match variant(&id).filter(|v| v.1 == descriptor.name) {
            Some(setting) => Some(setting),
            None => return Err(Unusable::Unknown(no_scheme(descriptor, &id))),
        },
        None if scheme.is_some() => variant(&name),
        None => alias,
    };
    if let (Some((_, _, key, value)), Value::Object(members)) = (setting, &mut with) {
        members.entry(*key).or_insert_with(|| json!(value));
    }
    let cx = BuildCx { base_dir: Path::new("."), name: descriptor.name };
    let provider = (descriptor.build)(with.clone(), &cx).map_err(|e| {
        let at = if e.at.is_empty() { String::new() } else { format!(" at {}", e.at) };
        let help = e.help.as_ref().map(|h| format!("; {h}")).unwrap_or_default();
        Unusable::Config(format!("--with does not fit `{}`{at}: {e}{help}", descriptor.name))
    })?;
    Ok(Chosen { descriptor: *descriptor, provider, with })
}

fn unknown(registry: &Registry, name: &str) -> String {
    let names = registry.names("provider");
    let near = names.iter().map(|other| (edits(name, other), other));
    let nearest = near.filter(|(edits, other)| *edits <= 2.max(other.len() / 3)).min();
    let meant = nearest.map(|(_, n)| format!(" Did you mean `{n}`?")).unwrap_or_default();
    let list = names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    format!("This build has no provider `{name}`.{meant} It has {list}.")
}

/// How many letters have to be put in, taken out or replaced to make one word of the other.
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, a) in one.bytes().enumerate() {
        let mut corner = above;
        let mut left = above + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(other.bytes()) {
            left = (corner + usize::from(a != b)).min(*cell + 1).min(left + 1);
            corner = std::mem::replace(cell, left);
        }
    }
    row.last().copied().unwrap_or_default()
}

fn no_scheme(descriptor: &ProviderDescriptor, id: &str) -> String {
    let ours = VARIANTS.iter().filter(|v| v.1 == descriptor.name).map(|v| v.0);
    let mut ids: Vec<_> = ours.chain([descriptor.name]).map(|id| format!("`{id}`")).collect();
    ids.sort_unstable();
    ids.dedup();
    format!("`{}` has no scheme `{id}` here. It has {}.", descriptor.name, ids.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_of(name: &str, scheme: Option<&str>) -> Result<(&'static str, Value), String> {
        let registry = Registry::linked().unwrap();
        match choose(&registry, name, scheme, json!({})) {
            Ok(chosen) => Ok((chosen.descriptor.name, chosen.with)),
            Err(Unusable::Unknown(text) | Unusable::Config(text)) => Err(text),
        }
    }

    #[test]
    fn names_and_ids_are_found_with_either_dash_and_pick_the_variant() {
        let (webhook, svix) = (json!({"headers": "webhook"}), json!({"headers": "svix"}));
        let ours = "standard_webhooks";
        assert_eq!(with_of("stripe", Some("stripe")), Ok(("stripe", json!({}))));
        assert_eq!(with_of("standard-webhooks", None), Ok((ours, json!({}))));
        assert_eq!(with_of("standard-webhooks", Some("standard-webhooks")), Ok((ours, webhook)));
        assert_eq!(with_of("standard_webhooks", Some("svix")), Ok((ours, svix.clone())));
        assert_eq!(with_of("clerk", None), Ok((ours, svix.clone())));
        assert_eq!(with_of("clerk", Some("clerk")), Ok((ours, svix)));
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        assert_eq!(
            (edits("strip", "stripe"), edits("kitten", "sitting"), edits("", "ab")),
            (1, 3, 2)
        );
        let text = with_of("strip", None).unwrap_err();
        assert!(text.contains("Did you mean `stripe`?") && text.contains("`github`"), "{text}");
        let text = with_of("github", Some("github-sha1")).unwrap_err();
        assert!(text.contains("no scheme `github_sha1`") && text.contains("`github`"), "{text}");
        assert!(with_of("hmac", None).unwrap_err().contains("signature"));
    }
}
