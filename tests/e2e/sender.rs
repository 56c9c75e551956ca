//! Signed requests, made by the signers of the providers.

use hookward_core::plugin::BuildCx;
use hookward_core::{Body, Clock, EventDraft, Secret, SystemClock, Timestamp};

use crate::http::{self, Answer};

pub(crate) const STRIPE: &str = "whsec_e2e_stripe";
pub(crate) const GITHUB: &str = "e2e-github";

/// A signed request: headers and body.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Signed {
    pub(crate) fn post(&self, addr: &str) -> Answer {
        self.try_post(addr).unwrap()
    }

    pub(crate) fn try_post(&self, addr: &str) -> std::io::Result<Answer> {
        http::send(addr, "POST", &self.target, &self.headers, &self.body)
    }

    /// The request with another value of a header.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// Signs a body the way a provider does.
pub(crate) fn sign_at(
    plugins: &[hookward_core::plugin::Plugin],
    source: &str,
    secret: &str,
    (event_type, event_id): (&str, &str),
    body: &[u8],
    now: Timestamp,
) -> Signed {
    let Some(hookward_core::plugin::Plugin::Provider(descriptor)) = plugins.first() else {
        panic!("no provider")
    };
    let cx = BuildCx::new(std::path::Path::new("."), source);
    let provider = (descriptor.build)(serde_json::Value::Null, &cx).unwrap();
    let draft = EventDraft::new(
        event_type.to_owned(),
        event_id.to_owned(),
        Body::new(body.to_vec()),
        format!("http://localhost/webhooks/{source}"),
        now,
    );
    let request = provider.signer().unwrap().sign(&draft, &Secret::new(secret)).unwrap();
    let headers = request.head.headers.iter();
    let text = |v: &::http::HeaderValue| String::from_utf8(v.as_bytes().to_vec()).unwrap();
    Signed {
        target: format!("/webhooks/{source}"),
        headers: headers.map(|(n, v)| (n.to_string(), text(v))).collect(),
        body: body.to_vec(),
    }
}

/// Signs a Stripe event.
pub(crate) fn stripe(id: &str, event_type: &str, object: serde_json::Value) -> Signed {
    let body = serde_json::json!({
        "id": id, "object": "event", "type": event_type, "created": now().as_secs(),
        "livemode": false, "api_version": "2024-06-20", "data": {"object": object},
    });
    stripe_raw(id, event_type, body.to_string().as_bytes(), now())
}

pub(crate) fn stripe_raw(id: &str, event_type: &str, body: &[u8], at: Timestamp) -> Signed {
    let plugins = hookward_provider_stripe::PLUGINS;
    sign_at(plugins, "stripe", STRIPE, (event_type, id), body, at)
}

/// Signs a Stripe event of a paid payment.
pub(crate) fn paid(id: &str) -> Signed {
    let object = serde_json::json!({
        "id": format!("pi_{id}"), "object": "payment_intent", "amount": 4200, "currency": "usd",
        "customer": "cus_1", "status": "succeeded",
    });
    stripe(id, "payment_intent.succeeded", object)
}

/// Signs a GitHub push.
pub(crate) fn push(delivery: &str, body: &[u8]) -> Signed {
    let plugins = hookward_provider_github::PLUGINS;
    sign_at(plugins, "github", GITHUB, ("push", delivery), body, now())
}
