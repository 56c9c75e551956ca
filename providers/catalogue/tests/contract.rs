//! Runs the conformance suite and the test vectors of every sender in the catalogue.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use hookward_core::plugin::Plugin;
use hookward_provider_catalogue::{DATA, Entry, PLUGINS};
use hookward_testkit::provider::{Subject, run_vectors};
use hookward_testkit::vectors::VectorFile;
use serde_json::{Value, json};

/// Two public keys on P-256, as SubjectPublicKeyInfo in base64.
const SPKI: [&str; 2] = [
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwgqMPZfqVcUBvm43RIZoV1U+QprR5BvnV121g6OGTgjjUAZ11TAPYhxUnhfdvvDeAL9f5W5wp281oIwonJ5KjA==",
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEXwDlZaIRaGrUaZveaWGZFwQb62zVYchEOswnwuaHxX53bFsnUJ/we/nlSQMA3uj7DbgUQKETI5scgs4UTzT/Og==",
];

fn entries() -> Vec<Entry> {
    DATA.iter().map(|(_, text)| Entry::from_json(text).unwrap()).collect()
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors"))
}

fn vectors(name: &str) -> VectorFile {
    let text = fs::read(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Returns the name in the catalogue for the scheme that a vector names: `gitlab-signing` is
/// `signing` of `gitlab`; the sender's own name is its default scheme.
fn scheme_of(entry: &Entry, scheme: &str) -> String {
    let id = scheme.replace('-', "_");
    let id = id.strip_prefix(&entry.name).unwrap_or(&id).trim_start_matches('_').to_owned();
    if id.is_empty() { entry.default.clone().unwrap_or_default() } else { id }
}

fn subject(entry: &Entry, name: &str) -> Subject {
    let schemes = entry.named_schemes();
    let (_, scheme) = schemes.iter().find(|(id, _)| *id == name).unwrap();
    let plugin = PLUGINS.iter().find(|p| p.name() == entry.name).unwrap();
    let secrets = match scheme["key"].as_str() {
        Some("whsec") => ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_b3JjaGFyZC1wcmVzcw=="],
        Some("spki-b64") => SPKI,
        _ => ["orchard-press", "another-press"],
    };
    let with = if name.is_empty() { json!({}) } else { json!({ "scheme": name }) };
    let tolerance = scheme["timestamp"]["past"].as_u64().map(Duration::from_secs);
    let future = scheme["timestamp"]["future"].as_u64().map(Duration::from_secs);
    let plugins: &[Plugin] = std::slice::from_ref(plugin);
    let mut subject = Subject::of(plugins, secrets[0], secrets[1]).with(with).tolerance(tolerance);
    if let Some(future) = future {
        subject = subject.future_tolerance(future);
    }
    if scheme["timestamp"]["from"] == "json:/webhookTimestamp" {
        // This sender puts the time into the body that it signs.
        subject = subject.body(&json!({"webhookTimestamp": Subject::NOW.as_millis()}).to_string());
    }
    if scheme["event_type"].is_null() {
        subject = subject.samples_do_not_fit();
    }
    let message = scheme["message"].as_str().unwrap_or("{body}");
    let signs_body = scheme["alg"] != "equal" && message.contains("{body}");
    if signs_body { subject } else { subject.body_is_not_signed() }
}

#[test]
fn every_sender_has_vectors_for_each_of_its_schemes() {
    let files = fs::read_dir(folder()).unwrap();
    let files: BTreeSet<_> = files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let names: BTreeSet<_> = DATA.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, names);
    for entry in entries() {
        let shown: BTreeSet<_> =
            vectors(&entry.name).vectors.iter().map(|v| scheme_of(&entry, &v.scheme)).collect();
        let names: BTreeSet<_> =
            entry.named_schemes().iter().map(|(id, _)| (*id).to_owned()).collect();
        assert_eq!(shown, names, "{}", entry.name);
    }
}

#[test]
fn every_sender_agrees_with_every_vector() {
    for entry in entries() {
        println!("{}", entry.name);
        let make = |id: &str| subject(&entry, &scheme_of(&entry, id)).build().ok();
        run_vectors(make, &vectors(&entry.name)).assert_agrees();
    }
}

#[test]
fn every_sender_keeps_the_contract() {
    for entry in entries() {
        for (name, _) in entry.named_schemes() {
            println!("{} {name}", entry.name);
            let mut recordings = vectors(&entry.name);
            recordings.vectors.retain(|vector| scheme_of(&entry, &vector.scheme) == name);
            subject(&entry, name).recordings(recordings).check();
        }
    }
}

#[test]
fn descriptors_equal_their_data_files() {
    for (entry, plugin) in entries().iter().zip(PLUGINS) {
        let Plugin::Provider(found) = plugin else { panic!("not a provider") };
        assert_eq!((found.name, found.summary), (entry.name.as_str(), entry.summary.as_str()));
        assert_eq!(found.keep_headers, entry.keep_headers);
        assert_eq!(found.media_types, entry.media_types);
        assert_eq!(found.samples.len(), entry.samples.len());
        let schemes = entry.named_schemes();
        assert_eq!((found.scheme)(&Value::Null).as_ref(), Some(schemes[0].1), "{}", entry.name);
        if !entry.schemes.is_empty() {
            let default = entry.default.as_deref();
            assert_eq!(
                Some(schemes[0].0),
                default,
                "{}: `default` is not one of its schemes",
                entry.name
            );
        }
        assert!(
            !entry.notes.is_empty(),
            "{}: `notes` is empty; state what is not signed",
            entry.name
        );
    }
}

#[test]
fn an_unknown_scheme_is_a_config_error() {
    let plugin = PLUGINS.iter().find(|p| p.name() == "gitlab").unwrap();
    let subject = Subject::of(std::slice::from_ref(plugin), "a", "b");
    let wrong = subject.with(json!({ "scheme": "sining" })).build().unwrap_err();
    assert!(wrong.contains("`sining` is not a scheme of `gitlab`"), "{wrong}");
}
