//! Loading routes.yaml: what a file compiles to, and the messages about a file with mistakes.
//!
//! The cases are files: each `bad/*.yaml` has its messages in a `.stderr` file beside it. With the
//! variable `UPDATE_EXPECTED` set, the messages are written instead of compared. Read the difference
//! before you commit it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "config/plugins.rs"]
mod plugins;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hookward_core::{Handler, Timestamp};
use hookward_engine::compiled::{Dedupe, OnInvalid};
use hookward_engine::config::{Diagnostics, LoadCx, Loaded, json_schema, load, load_text};
use serde_json::{Value, json};

const BUILTIN: &[(&str, &str)] = &[("stripe/payment_intent.succeeded", r#"{"type":"object"}"#)];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn test_environment(folder_name: &str) -> plugins::TestEnvironment {
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
    plugins::TestEnvironment {
        variables,
        files: BTreeMap::new(),
        access: BTreeMap::new(),
        root: folder(folder_name),
    }
}

fn load_in(folder_name: &str, file: &str) -> Result<Loaded, Diagnostics> {
    with_cx(&test_environment(folder_name), |cx| load(Path::new(file), cx))
}

fn with_cx<T>(environment: &plugins::TestEnvironment, run: impl FnOnce(&LoadCx<'_>) -> T) -> T {
    let functions: BTreeMap<String, Arc<dyn Handler>> =
        [("fulfil_order".to_owned(), plugins::function())].into();
    let registry = plugins::registry();
    let cx = LoadCx {
        registry: &registry,
        environment,
        builtin_schemas: BUILTIN,
        handlers: &functions,
        now: Timestamp::from_secs(1_780_000_000),
    };
    run(&cx)
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
fn every_bad_file_gets_its_expected_messages() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut differences = Vec::new();
    for name in cases("bad") {
        let diagnostics = load_in("bad", &name).expect_err(&name).to_string();
        let expected = folder("bad").join(&name).with_extension("stderr");
        if update {
            std::fs::write(&expected, &diagnostics).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != diagnostics {
            differences.push(format!("--- {name}\n{diagnostics}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_good_file_loads_with_its_expected_warnings() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    for name in cases("good") {
        let loaded = load_in("good", &name).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        let diagnostics = loaded.warnings.to_string();
        let expected = folder("good").join(&name).with_extension("stderr");
        if update && !diagnostics.is_empty() {
            std::fs::write(&expected, &diagnostics).unwrap();
        }
        assert_eq!(diagnostics, std::fs::read_to_string(&expected).unwrap_or_default(), "{name}");
    }
}

#[test]
fn a_file_with_ten_mistakes_gets_ten_messages_with_place_and_help() {
    let diagnostics = load_in("bad", "ten-mistakes.yaml").unwrap_err();
    assert!(diagnostics.errors() >= 10);
    let rendered = diagnostics.to_string();
    for diagnostic in &diagnostics {
        assert!(rendered.contains(&diagnostic.message), "{}", diagnostic.message);
        let place = format!("--> ten-mistakes.yaml:{}:{}\n", diagnostic.line, diagnostic.column);
        assert!(rendered.contains(&place), "{place}");
        assert!(!diagnostic.help.is_empty(), "{}", diagnostic.message);
    }
}

#[test]
fn no_message_shows_a_secret_or_the_value_of_a_variable() {
    let hidden: Vec<String> =
        test_environment("bad").variables.into_values().filter(|v| v.len() > 5).collect();
    for name in cases("bad") {
        let diagnostics = load_in("bad", &name).unwrap_err();
        for rendered in
            [diagnostics.render(false), diagnostics.render(true), format!("{diagnostics:?}")]
        {
            let shows = |secret: &str| rendered.contains(secret);
            assert!(!hidden.iter().any(|h| shows(h)) && !shows("hunter2"), "{name}");
        }
        assert!(!diagnostics.iter().any(|d| d.message.contains("hunter2")), "{name}");
    }
}

#[test]
fn every_message_points_into_the_file() {
    for name in cases("bad") {
        let text = std::fs::read_to_string(folder("bad").join(&name)).unwrap();
        let lines = text.split('\n').count();
        for diagnostic in &load_in("bad", &name).unwrap_err() {
            assert!((1..=lines).contains(&diagnostic.line) && diagnostic.column >= 1, "{name}");
            assert_eq!(diagnostic.file, name);
        }
    }
}

#[test]
fn every_key_of_a_file_is_compiled() {
    let config = load_in("good", "everything.yaml").unwrap().config;
    assert_eq!(config.retention.events, Duration::from_secs(7 * 86_400));
    assert_eq!(config.store.rest, "hookward.db");
    assert!(config.admin.token.is_none(), "an empty token means no token");
    let stripe = &config.sources["stripe"];
    assert_eq!(stripe.path, "/webhooks/stripe");
    let secrets: Vec<&str> = stripe.secrets.all().iter().map(|s| s.secret.expose()).collect();
    assert_eq!(secrets, ["whsec_from_the_environment", "whsec_from_a_file"]);
    assert_eq!(
        stripe.keep_headers,
        [
            "content-type",
            "stripe-version",
            "traceparent",
            "user-agent",
            "x-goog-channel-id",
            "x-goog-resource-state"
        ]
    );
    assert_eq!(stripe.methods, [http::Method::POST, http::Method::HEAD]);
    let reply = stripe.reply.as_ref().unwrap();
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, &b"<Response/>"[..]));
    assert_eq!(reply.headers.len(), 1);
    assert_eq!((stripe.limits.body, stripe.limits.allow_ips.len()), (1024 * 1024, 2));
    assert_eq!(stripe.limits.rate.unwrap().burst, Some(20));
    assert_eq!((stripe.dedupe.clone(), stripe.on_parse_error), (Dedupe::Id, OnInvalid::Reject));
    assert!(stripe.needs_client_certificate && stripe.client_subjects.len() == 2);
    assert!(!config.server.tls.as_ref().unwrap().requires_client());
    let partner = &config.sources_by_path["/hooks/partner"];
    assert!(!partner.needs_client_certificate);
    assert_eq!(partner.secrets.all()[0].secret.expose(), "$default");
    assert_eq!((partner.tolerance, partner.limits.body), (None, 10 * 1024 * 1024));
    let orders = &config.routes["paid-orders"];
    let steps: Vec<&str> = orders.chain.iter().map(|s| &*s.name).collect();
    assert_eq!(steps, ["log", "http_forward", "log-2", "log-3", "log-4"]);
    assert_eq!(orders.chain[1].timeout, Duration::from_secs(10));
    assert_eq!(orders.chain[0].timeout, Duration::from_secs(30));
    assert_eq!((orders.retry.attempts, orders.retry.factor), (8, 2.0));
    assert_eq!((orders.concurrency, config.routes["rest"].concurrency), (8, 4));
    assert_eq!(config.provider_names(), ["hmac", "stripe"]);
}

#[test]
fn omitted_keys_have_their_documented_defaults() {
    let config = load_in("good", "minimal.yaml").unwrap().config;
    assert_eq!(config.store.url, "sqlite:hookward.db");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:8081");
    assert_eq!(config.server.max_body_bytes_in_flight, 64 * 1024 * 1024);
    assert_eq!(config.sources["stripe"].tolerance, Some(Duration::from_secs(300)));
    let all = &config.routes["all"];
    assert_eq!((all.concurrency, all.retry.attempts), (16, 3));
    assert_eq!(all.retry.max_delay, Duration::from_secs(3600));
}

fn load_text_with(text: &str, variables: &[(&'static str, &str)]) -> Result<Loaded, Diagnostics> {
    let mut environment = test_environment("good");
    environment.variables.extend(variables.iter().map(|(k, v)| (*k, (*v).to_owned())));
    with_cx(&environment, |cx| load_text(Path::new("routes.yaml"), text, cx))
}

#[test]
fn the_value_of_a_variable_cannot_change_the_structure() {
    let text = "sources: { stripe: { secrets: [\"${EVIL}\"] } }";
    let loaded =
        load_text_with(text, &[("EVIL", "whsec_\"] }, other: { provider: none } }")]).unwrap();
    assert_eq!(loaded.config.sources.len(), 1);
}

#[test]
fn unreadable_files_are_reported_with_path_and_line() {
    let diagnostics = load_in("bad", "no-such.yaml").unwrap_err().to_string();
    assert!(
        diagnostics.contains("cannot be read: there is no such file\n--> no-such.yaml:1:1\n"),
        "{diagnostics}"
    );
    let mut environment = test_environment("bad");
    environment.files.insert("big.yaml", vec![b'#'; 1024 * 1024 + 1]);
    environment.files.insert("latin.yaml", b"# fine\nstore: f\xfcr\n".to_vec());
    let diagnostics =
        |name: &str| with_cx(&environment, |cx| load(Path::new(name), cx)).unwrap_err().to_string();
    assert!(diagnostics("big.yaml").contains("larger than 1 MiB"));
    assert!(diagnostics("latin.yaml").contains("latin.yaml:2:1"));
}

#[test]
fn the_editor_schema_accepts_shorthands_and_checks_plugin_blocks() {
    let schema = json_schema(&plugins::registry());
    let validator = jsonschema::validator_for(&schema).unwrap();
    // JSON is a subset of YAML, so this file is read without a YAML parser.
    let text = std::fs::read_to_string(folder("good").join("json.yaml")).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&serde_json::from_str(&text).unwrap())
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    let good = |value: Value| validator.is_valid(&value);
    assert!(good(json!({"sources": {"none": {"with": {"event_type": "/a"}}}})));
    assert!(!good(json!({"sources": {"none": {"with": {"event_typ": "/a"}}}})));
    assert!(!good(json!({"sources": {"x": {"provider": "none", "with": {"event_typ": "/a"}}}})));
    let step = |with: Value| {
        let chain = json!([{"handler": "http_forward", "with": with}]);
        good(
            json!({"sources": {"x": {}}, "routes": [{"name": "a", "events": "x/y", "chain": chain}]}),
        )
    };
    assert!(step(json!({"url": "x", "pause": "5s"})));
    assert!(!step(json!({"url": "x", "method": "GET"})) && !step(json!({"ulr": "x"})));
    assert!(schema.to_string().contains("Where the event goes."));
}

#[test]
fn loading_a_damaged_file_reports_errors_and_never_panics() {
    let mut seed = 42u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below.max(1)
    };
    let pieces = [
        "", "\t", "  ", "\n", ":", "- ", "\"", "'", "[", "}", "*a", "&a ", "${", "$$", "|\n", "é",
        "<<: ", "null",
    ];
    for (folder_name, file) in
        [("good", "everything.yaml"), ("good", "anchors.yaml"), ("bad", "unicode.yaml")]
    {
        let text = std::fs::read_to_string(folder(folder_name).join(file)).unwrap();
        for _ in 0..150 {
            let chars: Vec<char> = text.chars().collect();
            let at = random(chars.len());
            let rest = (at + random(6)).min(chars.len());
            let damaged: String = chars[..at].iter().chain(&chars[rest..]).collect();
            let mut damaged = damaged;
            let byte = damaged.char_indices().nth(at).map_or(damaged.len(), |(b, _)| b);
            damaged.insert_str(byte, pieces[random(pieces.len())]);
            let result = with_cx(&test_environment(folder_name), |cx| {
                load_text(Path::new(file), &damaged, cx)
            });
            if let Err(diagnostics) = result {
                assert!(
                    diagnostics.errors() > 0 && !diagnostics.render(true).is_empty(),
                    "{damaged}"
                );
            }
        }
    }
}

#[test]
fn characters_around_a_secret_are_reported_by_name_and_place() {
    let cases = [
        ("hunter2\n", "ends with a newline"),
        ("hunter2\r\n", "ends with a newline"),
        ("hunter2\r", "ends with a carriage return"),
        ("\u{feff}hunter2", "starts with a byte order mark"),
        (" hunter2", "starts with white space"),
        ("hunter2\t", "ends with white space"),
        ("\"hunter2\"", "is in quotes"),
        ("'hunter2'", "is in quotes"),
    ];
    for (value, found) in cases {
        let text = "sources: { github: { secrets: [ok, \"${SECRET}\"] } }";
        let loaded = load_text_with(text, &[("SECRET", value)]).unwrap();
        let warning = loaded.warnings.to_string();
        assert!(warning.contains("secret 2 of source `github`"), "{warning}");
        assert!(warning.contains(found), "{value:?}: {warning}");
        assert!(warning.contains("SECRET") && !warning.contains("hunter2"), "{warning}");
    }
    for value in ["hunter2", "hunter \"2\"", "\"hunter2", "it's"] {
        let text = "sources: { github: { secrets: [\"${SECRET}\"] } }";
        let loaded = load_text_with(text, &[("SECRET", value)]).unwrap();
        let warnings = loaded.warnings.to_string();
        assert!(!warnings.contains("secret 1 of"), "{warnings}");
    }
}

#[test]
fn a_secret_that_its_provider_rejects_names_the_characters_around_it() {
    let text = "sources: { svix: { provider: standard_webhooks, secrets: [\"${SECRET}\"] } }";
    let secret = "\"whsec_aG9va3dhcmQtcXVpY2tzdGFydC1zZWNyZXQh\"";
    let error = load_text_with(text, &[("SECRET", secret)]).unwrap_err().to_string();
    assert!(error.contains("is in quotes"), "{error}");
}

/// The messages of the warnings of a text.
fn warnings_of(text: &str) -> Vec<String> {
    let loaded = load_text_with(text, &[]).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    loaded.warnings.iter().map(|d| d.message.clone()).collect()
}

#[test]
fn every_rule_of_a_firewall_is_compiled() {
    let config = load_in("good", "firewall.yaml").unwrap().config;
    let firewall = &config.sources["github"].firewall;
    assert_eq!((firewall.allow_networks.len(), firewall.deny_networks.len()), (1, 1));
    assert_eq!(firewall.methods, [http::Method::POST]);
    assert_eq!(firewall.content_types, ["application/json", "text/*"]);
    assert_eq!(firewall.max_size, Some(64 * 1024));
    assert_eq!(firewall.require_headers, ["x-github-event"]);
    assert_eq!(firewall.deny_headers, ["origin", "cookie"]);
    assert_eq!(config.sources["github"].max_body_bytes(), 64 * 1024);
    assert_eq!(config.sources["stripe"].max_body_bytes(), 10 * 1024 * 1024);
}

#[test]
fn a_proxy_that_is_not_trusted_gets_a_warning_and_a_first_try_does_not() {
    let warns = |server: &str| {
        let text = format!(
            "server: {server}\nsources: {{ github: {{ secrets: [\"${{GITHUB_SECRET}}\"] }} }}\nroutes: [{{ name: a, events: github/**, chain: [log] }}]\n"
        );
        warnings_of(&text).iter().any(|message| message.contains("trusted_proxies"))
    };
    let tls = "tls: { certificate: tls/one.pem, key: tls/one.key.pem }";
    let url = "public_url: \"https://hooks.example.com\"";
    for (server, expected) in [
        (format!("{{ {url} }}"), true),
        ("{ public_url: \"http://hooks.example.com\" }".to_owned(), true),
        (format!("{{ {url}, listen: \"[::1]:8080\" }}"), true),
        (format!("{{ {url}, listen: 0.0.0.0:8080 }}"), true),
        (format!("{{ {url}, {tls} }}"), true),
        // Senders connect themselves.
        (format!("{{ {url}, listen: 0.0.0.0:8080, {tls} }}"), false),
        ("{ public_url: \"http://hooks.example.com\", listen: 0.0.0.0:8080 }".to_owned(), false),
        (format!("{{ {url}, trusted_proxies: [127.0.0.1] }}"), false),
        // A first try.
        ("{}".to_owned(), false),
        ("{ listen: 127.0.0.1:9000 }".to_owned(), false),
        ("{ public_url: \"http://localhost:8080\" }".to_owned(), false),
        ("{ public_url: \"https://hooks.localhost\" }".to_owned(), false),
        ("{ public_url: \"http://127.0.0.1:8080\" }".to_owned(), false),
        ("{ public_url: \"http://[::1]:8080\" }".to_owned(), false),
    ] {
        assert_eq!(warns(&server), expected, "{server}");
    }
}

#[test]
fn files_that_others_can_use_get_a_warning() {
    let access = |read, write| hookward_engine::config::AccessOfOthers { read, write };
    let with_reference = "sources: { github: { secrets: [\"${file:secret.txt}\"] } }\nserver: { tls: { certificate: tls/one.pem, key: tls/one.key.pem } }\nroutes: [{ name: a, events: github/**, chain: [log] }]\n";
    let with_literal = "sources: { github: { secrets: [hunter22] } }\nroutes: [{ name: a, events: github/**, chain: [log] }]\n";
    let with_default = "sources: { github: { secrets: [\"${UNSET:-public}\"] } }\nroutes: [{ name: a, events: github/**, chain: [log] }]\n";
    for (text, file, access, expected) in [
        (with_reference, "secret.txt", access(true, false), Some("read `secret.txt`")),
        (with_reference, "secret.txt", access(true, true), Some("read and change `secret.txt`")),
        (with_reference, "one.key.pem", access(true, false), Some("read `tls/one.key.pem`")),
        (with_reference, ".env", access(true, false), Some("read `.env`")),
        // Certificates are public.
        (with_reference, "one.pem", access(true, false), None),
        (with_reference, "routes.yaml", access(true, false), None),
        (with_reference, "routes.yaml", access(false, true), Some("change `routes.yaml`")),
        (with_literal, "routes.yaml", access(true, false), Some("read the secrets in")),
        (with_default, "routes.yaml", access(true, false), None),
    ] {
        let mut environment = test_environment("good");
        environment.access.insert(file, access);
        let loaded =
            with_cx(&environment, |cx| load_text(Path::new("routes.yaml"), text, cx)).unwrap();
        let messages: Vec<_> = loaded.warnings.iter().map(|d| d.message.clone()).collect();
        let found = messages.iter().find(|m| m.starts_with("every user of this machine can"));
        match expected {
            Some(words) => {
                assert!(found.is_some_and(|m| m.contains(words)), "{file}: {messages:?}")
            }
            None => assert_eq!(found, None, "{file}"),
        }
        assert!(!loaded.warnings.to_string().contains("hunter22"));
    }
}
