//! The quickstart of the README: it serves, `send` knows its secrets, and its events end done, dead and
//! unrouted.

use crate::server::{Server, ServerDir, eventually};

#[test]
fn the_quickstart_accepts_the_events_of_send() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../examples/quickstart/routes.yaml"
    ));
    let dir = ServerDir::new(&text.unwrap());
    let server = Server::start(dir.0.path(), &[]);
    let elsewhere = tempfile::tempdir().unwrap();
    for (source, event_type) in [
        ("stripe", "payment_intent.succeeded"),
        ("stripe", "payment_intent.payment_failed"),
        ("stripe", "customer.subscription.deleted"),
        ("github", "push"),
        ("shopify", "orders/create"),
        ("slack", "app_mention"),
        ("stripe", "a.type.without.a.sample"),
    ] {
        let output = std::process::Command::new(crate::server::HOOKWARD)
            .args(["send", source, event_type, "--to", &format!("http://{}", server.addr)])
            .current_dir(elsewhere.path())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{source} {event_type}: {printed}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(printed.contains("200"), "{printed}");
        // Slack reads the body of an answer as a message, so it gets an empty one.
        assert_eq!(printed.contains("\"received\":true"), source != "slack", "{printed}");
    }
    eventually("one is handled", || dir.lines("paid.jsonl").len() == 1);
    eventually("one is dead", || !server.events("status=dead").is_empty());
    eventually("one is tried again", || {
        server.metric("hookward_jobs_total{route=\"subscriptions\",outcome=\"retry\"}") >= 1.0
    });
    assert_eq!(server.events("status=unrouted").len(), 1);
    eventually("orders, pushes and mentions are done", || server.events("status=done").len() >= 4);
}

#[test]
fn verify_accepts_the_file_that_send_prints() {
    let dir = ServerDir(tempfile::tempdir().unwrap());
    let printed = dir.run(&["send", "github", "push", "--print", "--secret", "s"]);
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    std::fs::write(dir.path("push.http"), &printed.stdout).unwrap();
    let judged =
        dir.run(&["verify", "--provider", "github", "--secret", "s", "--json", "push.http"]);
    let judged: serde_json::Value = serde_json::from_slice(&judged.stdout).unwrap();
    assert_eq!((&judged["verdict"], &judged["eventType"]), (&"accept".into(), &"push".into()));
    let wrong =
        dir.run(&["verify", "--provider", "github", "--secret", "t", "--json", "push.http"]);
    assert_eq!(wrong.status.code(), Some(1));
}

#[test]
fn every_builtin_schema_accepts_the_sample_of_its_type() {
    use hookward_core::plugin::Plugin;
    let plugins = [
        hookward_provider_stripe::PLUGINS,
        hookward_provider_github::PLUGINS,
        hookward_provider_shopify::PLUGINS,
    ];
    for (name, schema) in hookward_schemas::ALL {
        let (provider, event_type) = name.split_once('/').unwrap();
        let samples = plugins.iter().copied().flatten().find_map(|plugin| match plugin {
            Plugin::Provider(p) if p.name == provider => Some(p.samples),
            _ => None,
        });
        let sample = samples.unwrap().iter().find(|s| s.event_type == event_type);
        let sample = sample.unwrap_or_else(|| panic!("{name} has no sample"));
        let body =
            sample.render(event_type, &format!("{}1a2B", sample.id_prefix), crate::sender::now());
        let schema = serde_json::from_str(schema).unwrap();
        let body = serde_json::from_str(&body).unwrap();
        let found = jsonschema::validate(&schema, &body);
        assert!(found.is_ok(), "{name}: {}", found.unwrap_err());
    }
}
