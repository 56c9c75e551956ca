//! Every sender in the catalogue keeps the contract and agrees with its vectors.
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

/// Public keys of P-256.
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

/// The word of the catalogue for the way of signing that a vector names: `gitlab-signing` is
/// `signing` of `gitlab`; the sender's own name is its default way.
fn way_of(entry: &Entry, scheme: &str) -> String {
    let id = scheme.replace('-', "_");
    let id = id.strip_prefix(&entry.name).unwrap_or(&id).trim_start_matches('_').to_owned();
    if id.is_empty() { entry.default.clone().unwrap_or_default() } else { id }
}

fn subject(entry: &Entry, way: &str) -> Subject {
    let ways = entry.ways();
    let (_, scheme) = ways.iter().find(|(id, _)| *id == way).unwrap();
    let plugin = PLUGINS.iter().find(|p| p.name() == entry.name).unwrap();
    let secrets = match scheme["key"].as_str() {
        Some("whsec") => ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_b3JjaGFyZC1wcmVzcw=="],
        Some("spki-b64") => SPKI,
        _ => ["orchard-press", "another-press"],
    };
    let with = if way.is_empty() { json!({}) } else { json!({ "scheme": way }) };
    let tolerance = scheme["timestamp"]["past"].as_u64().map(Duration::from_secs);
    let plugins: &[Plugin] = std::slice::from_ref(plugin);
    let mut subject = Subject::of(plugins, secrets[0], secrets[1]).with(with).tolerance(tolerance);
    if scheme["timestamp"]["from"] == "json:/webhookTimestamp" {
        // The time of this sender stands in the body that it signs.
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
fn every_sender_has_its_vectors_and_no_file_of_vectors_is_without_a_sender() {
    let files = fs::read_dir(folder()).unwrap();
    let files: BTreeSet<_> = files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let names: BTreeSet<_> = DATA.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, names);
    for entry in entries() {
        let shown: BTreeSet<_> =
            vectors(&entry.name).vectors.iter().map(|v| way_of(&entry, &v.scheme)).collect();
        let ways: BTreeSet<_> = entry.ways().iter().map(|(id, _)| (*id).to_owned()).collect();
        assert_eq!(shown, ways, "{}", entry.name);
    }
}

#[test]
fn every_sender_agrees_with_every_vector() {
    for entry in entries() {
        println!("{}", entry.name);
        let make = |id: &str| subject(&entry, &way_of(&entry, id)).build().ok();
        run_vectors(make, &vectors(&entry.name)).assert_agrees();
    }
}

#[test]
fn every_sender_keeps_the_contract() {
    for entry in entries() {
        for (way, _) in entry.ways() {
            println!("{} {way}", entry.name);
            let mut recordings = vectors(&entry.name);
            recordings.vectors.retain(|vector| way_of(&entry, &vector.scheme) == way);
            subject(&entry, way).recordings(recordings).check();
        }
    }
}

#[test]
fn the_descriptor_says_what_the_file_says() {
    for (entry, plugin) in entries().iter().zip(PLUGINS) {
        let Plugin::Provider(found) = plugin else { panic!("not a provider") };
        assert_eq!((found.name, found.summary), (entry.name.as_str(), entry.summary.as_str()));
        assert_eq!(found.keep_headers, entry.keep_headers);
        assert_eq!(found.media_types, entry.media_types);
        assert_eq!(found.samples.len(), entry.samples.len());
        let ways = entry.ways();
        assert_eq!((found.scheme)(&Value::Null).as_ref(), Some(ways[0].1), "{}", entry.name);
        if !entry.schemes.is_empty() {
            let default = entry.default.as_deref();
            assert_eq!(Some(ways[0].0), default, "{}: `default` is none of its ways", entry.name);
        }
        assert!(!entry.notes.is_empty(), "{}: say what is not signed", entry.name);
    }
}

#[test]
fn a_way_that_is_not_there_is_answered_with_those_that_are() {
    let plugin = PLUGINS.iter().find(|p| p.name() == "gitlab").unwrap();
    let subject = Subject::of(std::slice::from_ref(plugin), "a", "b");
    let wrong = subject.with(json!({ "scheme": "sining" })).build().unwrap_err();
    assert!(wrong.contains("`sining` is no scheme of `gitlab`"), "{wrong}");
}
