//! The types of routes.yaml in its long form: which keys a block has, and the type of each value.
//!
//! These types are always written with their module, as `raw_config::Route`; the compiled type of
//! the same name, `compiled::Route`, is imported.
//!
//! Every field is optional, because a block is also decoded where a part of it has an error. A
//! required key has `required` in its schema, which the schema check reports. `flatten` and
//! untagged enums are absent: with them an error has no position. `key_docs.yaml` documents the
//! keys.

use std::collections::BTreeMap;

use hookward_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::scalars::{
    AddressText, AllowedNetworkText, DurationText, ExpressionText, GlobText, ListenText,
    NetworkText, PathText, PositiveDurationText, PublicUrlText, RateText, SecretText, SizeText,
    UntilText,
};

/// The configuration of a Hookward server: sources, routes and settings.
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
    pub(super) listen: Option<ListenText>,
    pub(super) public_url: Option<PublicUrlText>,
    pub(super) tls: Option<Tls>,
    pub(super) trusted_proxies: Option<Vec<Option<NetworkText>>>,
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max_connections: Option<usize>,
    pub(super) max_body_bytes_in_flight: Option<SizeText>,
    pub(super) strict_framing: Option<bool>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    #[schemars(required, length(min = 1))]
    pub(super) certificate: Option<String>,
    #[schemars(required, length(min = 1))]
    pub(super) key: Option<String>,
    #[schemars(length(min = 1))]
    pub(super) client_ca: Option<String>,
    pub(super) client_auth: Option<ClientAuth>,
    #[schemars(length(min = 1))]
    pub(super) client_crl: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientAuth {
    Required,
    Optional,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientCertificate {
    Required,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) listen: Option<ListenText>,
    #[schemars(with = "Option<SecretText>")]
    pub(super) token: Option<Secret>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Defaults {
    pub(super) limits: Option<DefaultLimits>,
    pub(super) retry: Option<Retry>,
    pub(super) breaker: Option<Breaker>,
    pub(super) step_timeout: Option<PositiveDurationText>,
    pub(super) retention: Option<Retention>,
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) concurrency: Option<usize>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DefaultLimits {
    pub(super) body: Option<SizeText>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    pub(super) events: Option<PositiveDurationText>,
    pub(super) dead: Option<PositiveDurationText>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    #[schemars(range(min = 1, max = 1000))]
    pub(super) attempts: Option<u32>,
    pub(super) first_delay: Option<DurationText>,
    #[schemars(range(min = 1, max = 100))]
    pub(super) factor: Option<f64>,
    pub(super) max_delay: Option<DurationText>,
    pub(super) jitter: Option<Jitter>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Breaker {
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(super) failures: Option<u32>,
    pub(super) window: Option<DurationText>,
    pub(super) cooldown: Option<PositiveDurationText>,
    pub(super) max_cooldown: Option<PositiveDurationText>,
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
    pub(super) tolerance: Option<PositiveDurationText>,
    pub(super) limits: Option<Limits>,
    pub(super) firewall: Option<Firewall>,
    pub(super) client_certificate: Option<ClientCertificate>,
    #[schemars(length(min = 1, max = 100), inner(length(min = 1, max = 1024)))]
    pub(super) client_subjects: Option<Vec<Option<String>>>,
    #[expect(dead_code, reason = "read as it is, by the plugin's own schema")]
    with: Option<Map<String, Value>>,
    pub(super) path: Option<PathText>,
    #[schemars(length(min = 1))]
    pub(super) methods: Option<Vec<Option<SourceMethod>>>,
    #[schemars(length(max = 32), inner(length(min = 1, max = 64)))]
    pub(super) keep_headers: Option<Vec<Option<String>>>,
    pub(super) reply: Option<SourceReply>,
    pub(super) dedupe: Option<Dedupe>,
    pub(super) json: Option<SourceJson>,
    pub(super) decompress: Option<Decompress>,
    pub(super) on_parse_error: Option<OnInvalid>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceJson {
    pub(super) duplicate_keys: Option<DuplicateKeys>,
    #[schemars(length(min = 1, max = 100))]
    pub(super) form_field: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decompress {
    #[schemars(required, length(min = 1))]
    pub(super) encodings: Option<Vec<Option<ContentEncoding>>>,
    pub(super) signed: Option<SignedForm>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ContentEncoding {
    Gzip,
    Deflate,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SignedForm {
    Compressed,
    Decompressed,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DuplicateKeys {
    Reject,
    Last,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretItem {
    #[schemars(with = "Option<SecretText>", required)]
    pub(super) value: Option<Secret>,
    pub(super) until: Option<UntilText>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) body: Option<SizeText>,
    pub(super) rate: Option<RateText>,
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) burst: Option<u32>,
    pub(super) allow_ips: Option<Vec<Option<AllowedNetworkText>>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Firewall {
    #[schemars(length(min = 1, max = 1000))]
    pub(super) allow_networks: Option<Vec<Option<NetworkText>>>,
    #[schemars(length(min = 1, max = 1000))]
    pub(super) deny_networks: Option<Vec<Option<NetworkText>>>,
    #[schemars(length(min = 1))]
    pub(super) methods: Option<Vec<Option<SourceMethod>>>,
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 128)))]
    pub(super) content_types: Option<Vec<Option<String>>>,
    pub(super) max_size: Option<SizeText>,
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 64)))]
    pub(super) require_headers: Option<Vec<Option<String>>>,
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 64)))]
    pub(super) deny_headers: Option<Vec<Option<String>>>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum SourceMethod {
    Post,
    Get,
    Put,
    Patch,
    Delete,
    Head,
    Options,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceReply {
    #[schemars(range(min = 200, max = 299))]
    pub(super) status: Option<u16>,
    #[schemars(extend("maxProperties" = 16))]
    pub(super) headers: Option<BTreeMap<String, Option<String>>>,
    pub(super) body: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Dedupe {
    pub(super) by: Option<DedupeBy>,
    #[schemars(length(min = 1, max = 8))]
    pub(super) key: Option<Vec<Option<AddressText>>>,
    pub(super) window: Option<PositiveDurationText>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DedupeBy {
    IdAndBody,
    Id,
    Content,
    None,
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
    pub(super) events: Option<Vec<Option<GlobText>>>,
    #[serde(rename = "match")]
    pub(super) pattern: Option<Map<String, Value>>,
    pub(super) when: Option<ExpressionText>,
    #[schemars(length(min = 1))]
    pub(super) schema: Option<String>,
    pub(super) on_invalid: Option<OnInvalid>,
    #[schemars(required, length(min = 1))]
    pub(super) chain: Option<Vec<Option<Step>>>,
    pub(super) retry: Option<Retry>,
    pub(super) breaker: Option<Breaker>,
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) concurrency: Option<usize>,
    pub(super) order_by: Option<AddressText>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    #[schemars(required, length(min = 1))]
    pub(super) handler: Option<String>,
    #[schemars(length(min = 1, max = 100))]
    pub(super) name: Option<String>,
    pub(super) timeout: Option<PositiveDurationText>,
    #[expect(dead_code, reason = "read as it is, by the plugin's own schema")]
    with: Option<Map<String, Value>>,
}
