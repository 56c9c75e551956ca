//! The shape of routes.yaml, long form: what is a key, what its value looks like. Everything is
//! optional here; what must be there is said by `required` in the schema and found by the shape gate.
//! No `flatten` and no untagged enums: they blur positions.

use std::collections::BTreeMap;

use hookward_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::scalars::{
    Address, Bytes, Expression, Glob, Listen, Network, PublicUrl, RateText, RoutePath, SecretText,
    Span, SpanAboveZero, Until,
};

/// The file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "routes.yaml of Hookward")]
#[expect(dead_code, reason = "only its schema is used; its members are decoded one by one")]
pub(super) struct File {
    store: Option<String>,
    server: Option<Server>,
    admin: Option<Admin>,
    defaults: Option<Defaults>,
    #[schemars(required, extend("minProperties" = 1))]
    sources: Option<BTreeMap<String, Source>>,
    routes: Option<Vec<Route>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) listen: Option<Listen>,
    pub(super) public_url: Option<PublicUrl>,
    pub(super) tls: Option<Tls>,
    pub(super) trusted_proxies: Option<Vec<Option<Network>>>,
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max_connections: Option<usize>,
    pub(super) max_body_bytes_in_flight: Option<Bytes>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    #[schemars(required, length(min = 1))]
    pub(super) certificate: Option<String>,
    #[schemars(required, length(min = 1))]
    pub(super) key: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) listen: Option<Listen>,
    #[schemars(with = "Option<SecretText>")]
    pub(super) token: Option<Secret>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    pub(super) limits: Option<DefaultLimits>,
    pub(super) retry: Option<Retry>,
    pub(super) breaker: Option<Breaker>,
    pub(super) step_timeout: Option<SpanAboveZero>,
    pub(super) retention: Option<Retention>,
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) concurrency: Option<usize>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DefaultLimits {
    pub(super) body: Option<Bytes>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    pub(super) events: Option<SpanAboveZero>,
    pub(super) dead: Option<SpanAboveZero>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    #[schemars(range(min = 1, max = 1000))]
    pub(super) attempts: Option<u32>,
    pub(super) first_delay: Option<Span>,
    #[schemars(range(min = 1, max = 100))]
    pub(super) factor: Option<f64>,
    pub(super) max_delay: Option<Span>,
    pub(super) jitter: Option<Jitter>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Breaker {
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(super) failures: Option<u32>,
    pub(super) window: Option<Span>,
    pub(super) cooldown: Option<SpanAboveZero>,
    pub(super) max_cooldown: Option<SpanAboveZero>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Jitter {
    Full,
    None,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    #[schemars(length(min = 1))]
    pub(super) provider: Option<String>,
    pub(super) secrets: Option<Vec<Option<SecretItem>>>,
    #[schemars(length(min = 1))]
    pub(super) secret_file: Option<String>,
    pub(super) tolerance: Option<SpanAboveZero>,
    pub(super) limits: Option<Limits>,
    #[expect(dead_code, reason = "read as it is, by the plugin's own schema")]
    with: Option<Map<String, Value>>,
    pub(super) path: Option<RoutePath>,
    pub(super) dedupe: Option<Dedupe>,
    pub(super) on_parse_error: Option<OnInvalid>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretItem {
    #[schemars(with = "Option<SecretText>", required)]
    pub(super) value: Option<Secret>,
    pub(super) until: Option<Until>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) body: Option<Bytes>,
    pub(super) rate: Option<RateText>,
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) burst: Option<u32>,
    pub(super) allow_ips: Option<Vec<Option<Network>>>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Dedupe {
    IdAndBody,
    Id,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnInvalid {
    Keep,
    Reject,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    #[schemars(required, length(min = 1, max = 100))]
    pub(super) name: Option<String>,
    #[schemars(required, length(min = 1))]
    pub(super) events: Option<Vec<Option<Glob>>>,
    #[serde(rename = "match")]
    pub(super) pattern: Option<Map<String, Value>>,
    pub(super) when: Option<Expression>,
    #[schemars(length(min = 1))]
    pub(super) schema: Option<String>,
    pub(super) on_invalid: Option<OnInvalid>,
    #[schemars(required, length(min = 1))]
    pub(super) chain: Option<Vec<Option<Step>>>,
    pub(super) retry: Option<Retry>,
    pub(super) breaker: Option<Breaker>,
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) concurrency: Option<usize>,
    pub(super) order_by: Option<Address>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    #[schemars(required, length(min = 1))]
    pub(super) handler: Option<String>,
    #[schemars(length(min = 1, max = 100))]
    pub(super) name: Option<String>,
    pub(super) timeout: Option<SpanAboveZero>,
    #[expect(dead_code, reason = "read as it is, by the plugin's own schema")]
    with: Option<Map<String, Value>>,
}
