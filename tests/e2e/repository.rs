//! Files of this repository that must agree with files of other packages. These tests are not in a package's
//! own tests, because a published package does not contain the other file.

use std::path::{Path, PathBuf};

use serde_json::Value;

fn read(path: &str) -> String {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// `hookward verify` tries the schemes of well-known senders; it must try what their providers accept.
#[test]
fn verify_tries_the_schemes_of_the_provider_crates() {
    let tried: Value = serde_json::from_str(&read("cli/src/diagnose/schemes.json")).unwrap();
    for (id, file) in [
        ("stripe", "providers/stripe/src/scheme.json"),
        ("github", "providers/github/src/scheme.json"),
        ("shopify", "providers/shopify/src/scheme.json"),
        ("slack", "providers/slack/src/scheme.json"),
        ("standard_webhooks", "providers/standard-webhooks/src/scheme.json"),
        ("svix", "providers/standard-webhooks/src/scheme-svix.json"),
    ] {
        let provider: Value = serde_json::from_str(&read(file)).unwrap();
        for part in ["signature", "message", "alg", "key", "timestamp"] {
            assert_eq!(tried[id].get(part), provider.get(part), "{id} {part}");
        }
    }
}

#[test]
fn docs_routes_md_names_every_key() {
    let (keys, manual) = (read("engine/src/config/key_docs.yaml"), read("docs/routes.md"));
    let paths: Vec<&str> = keys
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.strip_suffix(':'))
        .collect();
    assert!(paths.len() > 50, "read only {} keys from key_docs.yaml", paths.len());
    for path in paths {
        let key = path.trim_end_matches(".*").rsplit('.').next().unwrap_or_default();
        assert!(manual.contains(&format!("`{key}`")), "docs/routes.md does not name `{key}`");
    }
}
