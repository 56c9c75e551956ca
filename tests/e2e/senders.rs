//! Every linked provider as a source: its accepted vectors are stored, the others are rejected, and the real server
//! accepts what the provider signs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hookward::App;
use hookward::plugin::{ProviderDescriptor, Registry};
use hookward_core::store::EventFilter;
use hookward_core::{Reply, Timestamp};
use hookward_testkit::clock::FakeClock;
use hookward_vectors::{Vector, VectorFile, Verdict};
use serde_json::{Value, json};

use crate::server::ServerDir;

/// Providers without vectors: their scheme is written in routes.yaml, or they verify nothing.
const WITHOUT_VECTORS: [&str; 2] = ["hmac", "none"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn linked() -> Vec<ProviderDescriptor> {
    let registry = Registry::linked().unwrap();
    registry.names("provider").iter().map(|name| *registry.provider(name).unwrap()).collect()
}

fn vectors(name: &str) -> VectorFile {
    let crate_of_its_own =
        repository().join("providers").join(name.replace('_', "-")).join("tests/vectors.json");
    let catalogue =
        repository().join("providers/catalogue/tests/vectors").join(format!("{name}.json"));
    let text = std::fs::read(&crate_of_its_own).or_else(|_| std::fs::read(&catalogue));
    let text = text.unwrap_or_else(|e| panic!("{name} has no vectors: {e}"));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The settings that a provider's vectors need besides the scheme.
fn own_settings(provider: &str) -> Value {
    match provider {
        "jwt" => json!({
            "issuer": "https://login.partner.example",
            "audience": "https://hooks.example.com",
            "jwks_url": "https://login.partner.example/jwks.json",
            "claims": { "azp": "our-client" },
            "body_hash": { "claim": "body_sha256" },
        }),
        _ => json!({}),
    }
}

/// The `with:` blocks to try: the plain one, then each scheme in the provider's JSON Schema.
fn blocks(provider: &ProviderDescriptor, vector: &Vector) -> Vec<Value> {
    let mut settings = vector.inputs.settings();
    if let (Value::Object(all), Value::Object(own)) = (&mut settings, own_settings(provider.name)) {
        all.extend(own);
    }
    let mut blocks = vec![settings.clone()];
    let schema = (provider.schema)();
    let texts = |value: &Value| -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![value.clone()];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(map) => {
                    let listed = map.get("enum").and_then(Value::as_array).cloned();
                    found.extend(listed.into_iter().flatten().chain(map.get("const").cloned()));
                    open.extend(map.into_iter().map(|(_, v)| v));
                }
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
        found.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    };
    let resolved = |value: &Value| match value.get("$ref").and_then(Value::as_str) {
        Some(at) => schema.pointer(at.trim_start_matches('#')).cloned().unwrap_or_default(),
        None => value.clone(),
    };
    let keys = schema.pointer("/properties").and_then(Value::as_object).cloned();
    for (key, value) in keys.unwrap_or_default() {
        let inner = value.pointer("/anyOf/0").unwrap_or(&value);
        for text in texts(&resolved(inner)) {
            let mut block = settings.clone();
            block[&key] = json!(text);
            blocks.push(block);
        }
    }
    blocks
}

/// The answer that a source of this provider gives this vector, and how many deliveries it then has.
async fn answer(
    provider: &str,
    with: &Value,
    vector: &Vector,
    now: Timestamp,
) -> Option<(Reply, usize)> {
    let secrets = vector
        .secret_set()
        .ok()?
        .all()
        .iter()
        .map(|s| s.secret.expose().to_owned())
        .collect::<Vec<_>>();
    let mut request = vector.request.to_request().ok()?;
    // Some senders sign the path, so the source has the path of the vector.
    let target = std::mem::take(&mut request.head.target);
    let path = target.split('?').next().unwrap_or_default();
    let mut source = json!({ "provider": provider, "with": with, "path": path });
    if !secrets.is_empty() {
        source["secrets"] = json!(secrets);
    }
    if let Some(secs) = vector.tolerance_s.filter(|s| *s > 0) {
        source["tolerance"] = json!(format!("{secs}s"));
    }
    let file = json!({
        "store": "memory:",
        "server": { "public_url": vector.request.public_url() },
        "sources": { "s": source },
    });
    let dir = tempfile::tempdir().unwrap();
    let routes = dir.path().join("routes.yaml");
    // `$` is escaped, because secrets may contain it and variables are filled in.
    std::fs::write(&routes, file.to_string().replace('$', "$$")).unwrap();
    let mut app = App::from_file(&routes).unwrap().clock(Arc::new(FakeClock::at(now)));
    if let Some(keys) = vector.inputs.fixed_keys() {
        app = app.keys(Arc::new(keys));
    }
    // The provider rejects some of the blocks; those are skipped.
    let hooks = app.open().await.ok()?;
    let head = request.head.with_target(target);
    let reply =
        hookward::internal::engine(&hooks).receive(head, request.body.bytes().clone()).await;
    let stored = hooks.store().browse()?.list(&EventFilter::default(), 10, None).await.ok()?;
    Some((reply, stored.events.len()))
}

#[tokio::test]
async fn every_provider_stores_its_accepted_vectors_and_rejects_the_others() {
    let mut wrong = Vec::new();
    let mut judged = BTreeMap::new();
    for provider in linked() {
        if WITHOUT_VECTORS.contains(&provider.name) {
            continue;
        }
        let file = vectors(provider.name);
        let accepted = file.vectors.iter().filter(|v| v.expect == Verdict::Accept);
        // The first three, and all whose answer is recorded.
        let good: Vec<_> = accepted
            .enumerate()
            .filter(|(n, v)| *n < 3 || v.reply.is_some())
            .map(|(_, v)| v)
            .collect();
        let mut kept = 0;
        for vector in &good {
            let now = Timestamp::from_secs(vector.now_unix.unwrap_or(file.now_default));
            let mut found = Vec::new();
            for with in blocks(&provider, vector) {
                found.extend(answer(provider.name, &with, vector, now).await);
            }
            // Some accepted deliveries have no event, such as the heartbeats of Asana.
            let taken: Vec<_> = found.iter().filter(|(r, _)| r.status.is_success()).collect();
            if taken.is_empty() {
                wrong.push(format!("{}: {} is not taken: {found:?}", provider.name, vector.id));
            }
            if let Some(expected) = &vector.reply
                && !taken.iter().all(|(reply, _)| expected.matches(reply))
            {
                wrong.push(format!("{}: {} is answered {taken:?}", provider.name, vector.id));
            }
            kept += usize::from(taken.iter().any(|(_, stored)| *stored > 0));
        }
        if kept == 0 {
            wrong.push(format!("{}: nothing is stored", provider.name));
        }
        let bad = file.vectors.iter().find(|v| {
            v.expect == Verdict::Reject && v.request.to_request().is_ok() && !v.secret.is_empty()
        });
        if let Some(vector) = bad {
            let now = Timestamp::from_secs(vector.now_unix.unwrap_or(file.now_default));
            let found = answer(provider.name, &vector.inputs.settings(), vector, now).await;
            if found.as_ref().is_some_and(|(r, stored)| r.status.as_u16() < 400 || *stored > 0) {
                wrong.push(format!("{}: {} is not rejected: {found:?}", provider.name, vector.id));
            }
        }
        judged.insert(provider.name, good.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(judged.len() >= 60, "only {} providers", judged.len());
    let bare: Vec<_> = judged.iter().filter(|(_, n)| **n == 0).map(|(name, _)| *name).collect();
    assert!(bare.is_empty(), "nothing is accepted for {bare:?}");
}

/// A secret of the form that the provider takes.
fn secret(provider: &str) -> &'static str {
    match provider {
        "adyen" => "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        "basic" => "hooks:secret-of-the-test",
        "standard_webhooks" | "svix" | "clerk" | "resend" | "openai" => {
            "whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u"
        }
        "contentful" => "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        _ => "secret-of-the-test",
    }
}

#[test]
fn the_server_accepts_what_each_provider_signs() {
    let signs = |name: &str| {
        let cx = hookward::plugin::BuildCx::new(Path::new("."), "s");
        let built = linked().into_iter().find(|p| p.name == name).unwrap();
        (built.build)(json!({}), &cx).ok().is_some_and(|p| p.signer().is_some())
    };
    let names: Vec<&str> =
        linked().iter().map(|p| p.name).filter(|n| *n != "none" && signs(n)).collect();
    assert!(names.len() >= 50, "only {} sign: {names:?}", names.len());
    let source = |name: &&str| ((*name).to_owned(), json!({ "secrets": [secret(name)] }));
    let sources: serde_json::Map<String, Value> = names.iter().map(source).collect();
    let file = json!({
        "store": "memory:",
        "server": { "public_url": "https://hooks.example.com" },
        "sources": sources,
        "routes": [{ "name": "all", "events": "*/**", "chain": ["noop"] }],
    });
    let dir = ServerDir::new(&file.to_string());
    let server = dir.start();
    let mut wrong = Vec::new();
    for name in names {
        let to = format!("http://{}/webhooks/{name}", server.addr);
        let out = dir.run(&["send", name, "thing.happened", "--to", &to]);
        if !out.status.success() {
            let said = String::from_utf8_lossy(&out.stdout).into_owned();
            let why = String::from_utf8_lossy(&out.stderr).into_owned();
            wrong.push(format!("{name}: {said}{why}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), server.log());
}
