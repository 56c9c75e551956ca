//! `docs/providers.md` is generated from the linked descriptors, the READMEs of the provider crates and the data of
//! the catalogue. `UPDATE_EXPECTED=1` writes it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use hookward::plugin::{ProviderDescriptor, Registry};
use hookward_provider_catalogue::{DATA, Entry};
use serde_json::Value;

const HEAD: &str = r##"# Senders

<!-- Made from the linked providers: UPDATE_EXPECTED=1 cargo test -p hookward-cli --test e2e page -->

A source selects its provider with `provider:`; without that key, the name of the source is the name
of the provider. Anyone can change what a signature does not cover: `hookward check` warns if a route
selects events by it.

## Senders with a crate of their own

These need code, a reply at set-up, keys from elsewhere, or schemas. Each name links to its page.

"##;

const CATALOGUE: &str = r##"
## Senders as data

Each of these is a file in [`providers/catalogue/data`](../providers/catalogue/data), with requests
and their expected verdicts in
[`providers/catalogue/tests/vectors`](../providers/catalogue/tests/vectors). All are used like this:

```yaml
sources:
  gitlab:
    secrets: ["${GITLAB_WEBHOOK_SIGNING_TOKEN}"]
    with: { scheme: signing }        # only if the table lists several schemes
```

*Replay* is how old a request may be. If no time is signed, a captured request stays valid forever,
and a duplicate is recognised only while its dedupe keys are retained. A *token* proves who sent a
request, but nothing about its bytes. An id or type in *italics* is not covered by the signature.

"##;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn vectors(name: &str) -> PathBuf {
    let own =
        repository().join("providers").join(name.replace('_', "-")).join("tests/vectors.json");
    let data = repository().join("providers/catalogue/tests/vectors").join(format!("{name}.json"));
    if own.exists() { own } else { data }
}

/// The text of the page.
fn page() -> String {
    let registry = Registry::linked().unwrap();
    let data: Vec<&str> = DATA.iter().map(|(name, _)| *name).collect();
    let names = registry.names("provider");
    let crates: Vec<_> = names.iter().filter(|n| !data.contains(n)).collect();
    let mut page = HEAD.to_owned();
    line(&mut page, "| provider | sender | methods | signed time |\n| --- | --- | --- | --- |");
    for name in &crates {
        let provider = registry.provider(name).unwrap();
        let folder = name.replace('_', "-");
        let time = match provider.tolerance {
            Some(span) => format!("{} s either way", span.as_secs()),
            None => "see below".to_owned(),
        };
        let row = [provider.summary, &provider.methods.join(", "), &time].join(" | ");
        line(&mut page, &format!("| [`{name}`](../providers/{folder}) | {row} |"));
    }
    for name in &crates {
        page.push_str(&section(registry.provider(name).unwrap()));
    }
    page.push_str(&catalogue());
    page
}

/// The section of a provider crate, taken from its README.
fn section(provider: &ProviderDescriptor) -> String {
    const PARAGRAPHS: [&str; 7] = [
        "**What is signed.**",
        "**The token.**",
        "**Type and id.**",
        "**The handshake.**",
        "**The answer.**",
        "**Not covered by the signature.**",
        "**What the signature does not cover.**",
    ];
    let folder = provider.name.replace('_', "-");
    let readme = repository().join("providers").join(&folder).join("README.md");
    let readme = std::fs::read_to_string(&readme).unwrap();
    let mut text = format!("\n### `{}`\n\n{}.\n", provider.name, provider.summary);
    for start in PARAGRAPHS {
        let own = readme.split("\n\n").find(|p| p.starts_with(start));
        if let Some(paragraph) = own {
            line(&mut text, &format!("\n{}", paragraph.trim_end()));
        }
    }
    let file = vectors(provider.name);
    if file.exists() {
        line(&mut text, &format!("\n{}", evidence(&file)));
    }
    text
}

/// The senders described as data: a table of all, then the notes of each.
fn catalogue() -> String {
    let mut table = String::from(
        "| provider | scheme | proof | event type | event id | replay |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let mut notes = String::new();
    for (_, text) in DATA {
        let entry = Entry::from_json(text).unwrap();
        for (n, (name, scheme)) in entry.named_schemes().into_iter().enumerate() {
            let name = match (name, n) {
                ("", _) => String::new(),
                (name, 0) => format!("`{name}` (default)"),
                (name, _) => format!("`{name}`"),
            };
            let [kind, id] = ["event_type", "event_id"].map(|key| location_of(scheme, key));
            let kind = if kind.is_empty() { "`event`, always".to_owned() } else { kind };
            let id = if id.is_empty() { "none".to_owned() } else { id };
            let row = [proof(scheme), kind, id, replay(scheme)].join(" | ");
            line(&mut table, &format!("| `{}` | {name} | {row} |", entry.name));
        }
        line(&mut notes, &format!("\n### {}\n", entry.title));
        line(&mut notes, &format!("`provider: {}`. {}.", entry.name, entry.summary));
        if let Some(source) = &entry.source {
            line(&mut notes, &format!("Source: <{source}>."));
        }
        let about =
            entry.answer.source.map(|page| format!(" Source: <{page}>.")).unwrap_or_default();
        line(&mut notes, &format!("\nThe answer: {}{about}", entry.answer.notes));
        line(&mut notes, &format!("\n{}", evidence(&vectors(&entry.name))));
        line(&mut notes, &format!("\nNot covered by the signature, and notes: {}", entry.notes));
    }
    format!("{CATALOGUE}{table}{notes}")
}

/// The evidence for the description: its vectors and their sources.
fn evidence(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let file: Value = serde_json::from_str(&text).unwrap();
    let all: Vec<_> = file.get("vectors").and_then(Value::as_array).into_iter().flatten().collect();
    let published = |v: &Value| v.get("published").is_some_and(|p| p == true);
    let own = all.iter().filter(|v| published(v)).count();
    let judged = |v: &Value| {
        let by = v.get("sdk").and_then(Value::as_array).into_iter().flatten();
        let mut names = by.filter_map(|s| s.get("sdk")?.as_str());
        names.any(|name| !name.starts_with("(third party)"))
    };
    let judged = all.iter().filter(|v| judged(v)).count();
    let mut says = format!("Evidence: {} requests", all.len());
    match (own, judged) {
        (0, 0) => says.push_str(
            ", all made from a description of the scheme. No request published by the sender was found, so verify \
             a real one with `hookward verify` before you rely on it.",
        ),
        _ => {
            if own > 0 {
                let _ = write!(says, "; {own} published, by the sender or in its libraries' tests");
            }
            if judged > 0 {
                let _ = write!(says, "; {judged} also checked with the libraries that receivers use");
            }
            says.push('.');
        }
    }
    says
}

fn line(text: &mut String, line: &str) {
    // Writing to a `String` cannot fail.
    let _ = writeln!(text, "{line}");
}

/// What the provider checks, and where it reads it.
fn proof(scheme: &Value) -> String {
    let text = |pointer: &str| scheme.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let location = match text("/signature/in") {
        "header" => format!("`{}`", text("/signature/name")),
        "form" => format!("form field `{}`", text("/signature/name")),
        other => format!("{other} `{}`", text("/signature/name")),
    };
    match text("/alg") {
        "equal" => format!("{location}: a token"),
        alg => {
            let message = if text("/message").is_empty() { "{body}" } else { text("/message") };
            let encoding = text("/signature/encoding");
            format!("{location}: {alg} of `{message}`, {encoding}")
        }
    }
}

/// Where type or id is; in italics if the signature does not cover it.
fn location_of(scheme: &Value, key: &str) -> String {
    let all: Vec<_> = match scheme.get(key) {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        one => one.and_then(Value::as_str).into_iter().collect(),
    };
    let message = scheme.get("message").and_then(Value::as_str).unwrap_or("{body}");
    let is_token = scheme.get("alg").is_some_and(|alg| alg == "equal");
    let signed = |address: &str| match address.strip_prefix("header:") {
        Some(_) => !is_token && message.contains(&format!("{{{address}}}")),
        None => !is_token && message.contains("{body}"),
    };
    let one = |address: &&str| {
        let shown = match address.strip_prefix("header:") {
            Some(name) => format!("header `{name}`"),
            None => format!("`{address}`"),
        };
        if signed(address) { shown } else { format!("*{shown}*") }
    };
    all.iter().map(one).collect::<Vec<_>>().join(", else ")
}

fn replay(scheme: &Value) -> String {
    let window = |key: &str| scheme.get("timestamp")?.get(key)?.as_u64();
    match (window("past"), window("future")) {
        (Some(past), Some(future)) if past == future => format!("{past} s either way"),
        (Some(past), Some(future)) => format!("{past} s old, {future} s ahead"),
        _ => "no time signed".to_owned(),
    }
}

#[test]
fn docs_providers_md_is_generated_from_the_linked_providers() {
    let file = repository().join("docs/providers.md");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&file, page()).unwrap();
    }
    let shipped = std::fs::read_to_string(&file).unwrap();
    assert!(
        shipped == page(),
        "run `UPDATE_EXPECTED=1 cargo test -p hookward-cli --test e2e page`"
    );
}

#[test]
fn every_provider_readme_states_what_is_signed_and_what_is_not() {
    let mut silent = Vec::new();
    for name in Registry::linked().unwrap().names("provider") {
        let readme = repository().join("providers").join(name.replace('_', "-")).join("README.md");
        let Ok(readme) = std::fs::read_to_string(readme) else { continue };
        let says = |words: &str| readme.contains(words);
        let covered = says("**Not covered by the signature.**")
            || says("**What the signature does not cover.**");
        if !covered || !says("**Type and id.**") {
            silent.push(name);
        }
    }
    let no_answer = |name: &&str| {
        let folder = repository().join("providers").join(name.replace('_', "-"));
        let readme = std::fs::read_to_string(folder.join("README.md"));
        readme.is_ok_and(|text| !text.contains("**The answer.**"))
    };
    let unanswered: Vec<_> =
        Registry::linked().unwrap().names("provider").into_iter().filter(no_answer).collect();
    assert!(unanswered.is_empty(), "what their senders do with the answer: {unanswered:?}");
    // These have no scheme of their own: routes.yaml describes it, or nothing is verified.
    silent.retain(|name| !["hmac", "none"].contains(name));
    assert!(silent.is_empty(), "{silent:?}");
}
