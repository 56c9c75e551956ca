//! One captured request of each sender that signs neither the id nor the type of its events. Whoever
//! has it invents types and ids, and claims the ids of events that are still to come.

use hookward_core::plugin::Plugin;

use crate::sender::{Signed, now, sign_at};
use crate::server::{Server, ServerDir};

/// A sender, with the headers of type and id.
const SENDERS: [(&str, &str, &str); 5] = [
    ("github", "x-github-event", "x-github-delivery"),
    ("shopify", "x-shopify-topic", "x-shopify-event-id"),
    ("sentry", "sentry-hook-resource", "request-id"),
    ("bitbucket", "x-event-key", "x-request-uuid"),
    ("woocommerce", "x-wc-webhook-topic", "x-wc-webhook-delivery-id"),
];

/// Events that one signed body makes at most.
const MAX_EVENTS_PER_BODY: usize = 8;

fn start() -> (ServerDir, Server) {
    let mut routes = "store: sqlite:events.db\nsources:\n".to_owned();
    for (name, ..) in SENDERS {
        routes.push_str(&format!("  {name}: {{ secrets: [\"e2e-secret\"] }}\n"));
    }
    let dir = ServerDir::new(&format!("{routes}routes: []\n"));
    let server = dir.start();
    (dir, server)
}

fn signed(sender: &str, event_type: &str, id: &str, body: &str) -> Signed {
    let all = [
        hookward_provider_github::PLUGINS,
        hookward_provider_shopify::PLUGINS,
        hookward_provider_catalogue::PLUGINS,
    ];
    let is_sender = |plugin: &&Plugin| matches!(plugin, Plugin::Provider(p) if p.name == sender);
    let plugin = all.into_iter().flatten().find(is_sender).unwrap();
    let plugins = std::slice::from_ref(plugin);
    sign_at(plugins, sender, "e2e-secret", (event_type, id), body.as_bytes(), now())
}

fn stored(server: &Server, sender: &str) -> usize {
    server.events(&format!("source={sender}")).len()
}

#[test]
fn invented_types_of_a_captured_request_make_at_most_eight_events() {
    let (_dir, server) = start();
    for (sender, type_header, id_header) in SENDERS {
        let captured = signed(sender, "push", "captured", r#"{"n":1}"#);
        assert_eq!(captured.post(&server.addr).status, 200, "{sender}");
        for n in 0..100 {
            let request = captured
                .clone()
                .with(type_header, &format!("invented-{n}"))
                .with(id_header, &format!("invented-{n}"));
            assert_eq!(request.post(&server.addr).status, 200, "{sender}");
        }
        assert_eq!(stored(&server, sender), MAX_EVENTS_PER_BODY, "{sender}");
    }
}

#[test]
fn a_claimed_id_does_not_keep_the_real_event_out() {
    let (_dir, server) = start();
    for (sender, type_header, id_header) in SENDERS {
        let captured = signed(sender, "push", "captured", r#"{"n":1}"#);
        captured.post(&server.addr);
        // Claimed under the type of the captured request and under another one.
        let claim = captured.clone().with(id_header, "real");
        claim.post(&server.addr);
        claim.with(type_header, "other").post(&server.addr);
        let before = stored(&server, sender);
        let real = signed(sender, "push", "real", r#"{"n":2}"#);
        let answer = real.post(&server.addr);
        assert_eq!(answer.status, 200, "{sender}");
        assert_eq!(stored(&server, sender), before + 1, "{sender}: the real event is stored");
        // Its retry is a duplicate.
        assert_eq!(real.post(&server.addr).body, answer.body, "{sender}");
        assert_eq!(stored(&server, sender), before + 1, "{sender}");
    }
}
