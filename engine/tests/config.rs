//! What a configuration becomes, and what is said of a wrong one. The cases are files: each
//! `bad/*.yaml` has its messages in a `.stderr` beside it. With the variable `UPDATE_EXPECTED` set,
//! the messages are written instead of compared; read the difference before you commit it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "config/plugins.rs"]
mod plugins;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hookward_core::{Handler, Timestamp};
use hookward_engine::config::{Diagnostics, LoadCx, Loaded, load};

const BUILTIN: &[(&str, &str)] = &[("stripe/payment_intent.succeeded", r#"{"type":"object"}"#)];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn world(folder_name: &str) -> plugins::World {
    let variables = [
        ("STRIPE_WEBHOOK_SECRET", "whsec_from_the_environment"),
        ("GITHUB_SECRET", "github-secret-from-the-environment"),
        ("BAD_SECRET", "not-a-stripe-secret"),
        ("EMPTY", ""),
        ("PORT", "99999"),
        ("EIGHT", "8"),
        ("YES", "true"),
        ("PROVIDER_NAME", "hidden-provider"),
        ("HIDDEN_RATE", "hidden-rate"),
    ];
    let variables = variables.into_iter().map(|(k, v)| (k, v.to_owned())).collect();
    plugins::World { variables, root: folder(folder_name) }
}

fn load_in(folder_name: &str, file: &str) -> Result<Loaded, Diagnostics> {
    let world = world(folder_name);
    let functions: BTreeMap<String, Arc<dyn Handler>> =
        [("fulfil_order".to_owned(), plugins::function())].into();
    let registry = plugins::registry();
    let cx = LoadCx {
        registry: &registry,
        environment: &world,
        builtin_schemas: BUILTIN,
        handlers: &functions,
        now: Timestamp::from_secs(1_780_000_000),
    };
    load(Path::new(file), &cx)
}

fn cases(folder_name: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder(folder_name))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    names
}

#[test]
fn every_wrong_file_gets_its_messages() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut differing = Vec::new();
    for name in cases("bad") {
        let said = load_in("bad", &name).expect_err(&name).to_string();
        let expected = folder("bad").join(&name).with_extension("stderr");
        if update {
            std::fs::write(&expected, &said).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != said {
            differing.push(format!("--- {name}\n{said}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn every_good_file_becomes_a_plan() {
    for name in cases("good") {
        if let Err(said) = load_in("good", &name) {
            panic!("{said}");
        }
    }
}
