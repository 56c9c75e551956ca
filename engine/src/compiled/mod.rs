//! The configuration: a routes.yaml that passed every gate, compiled. Made by `config`, read by `accept`
//! and `work`; one `Arc` that a reload swaps as a whole.

mod limits;
mod secret_file;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hookward_core::plugin::StoreDescriptor;
use hookward_core::{ActiveSecrets, Handler, Provider, Secret, SecretSet, Timestamp};
use ipnet::IpNet;

pub use limits::{Limits, Rate};
pub use secret_file::SecretFile;
pub use tls::Tls;

use crate::routing::{Condition, DataAddress, EventSchema, Pattern, RouteTable, TypeGlob};

/// Everything that routes.yaml says.
#[derive(Debug)]
pub struct CompiledConfig {
    /// The file it was read from.
    pub file: PathBuf,
    /// Relative paths start here.
    pub base_dir: PathBuf,
    /// Which store.
    pub store: CompiledStore,
    /// `server:`
    pub server: CompiledServer,
    /// `admin:`
    pub admin: CompiledAdmin,
    /// How long things are kept.
    pub retention: Retention,
    /// Sources by name.
    pub sources: BTreeMap<Arc<str>, Arc<Source>>,
    /// Sources by the path on which they are called.
    pub paths: HashMap<String, Arc<Source>>,
    /// Routes by name.
    pub routes: BTreeMap<Arc<str>, Arc<Route>>,
    /// Which routes an event could take.
    pub table: RouteTable,
}

/// `store:`
#[derive(Debug, Clone)]
pub struct CompiledStore {
    /// As written, such as `sqlite:hookward.db`.
    pub url: String,
    /// The part after the scheme.
    pub rest: String,
    /// The plugin.
    pub descriptor: StoreDescriptor,
}

/// `server:`
#[derive(Debug, Clone)]
pub struct CompiledServer {
    /// The receiving port.
    pub listen: SocketAddr,
    /// Scheme and host that senders call.
    pub public_url: Option<String>,
    /// `None`: HTTP in clear.
    pub tls: Option<Tls>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Open connections at most.
    pub max_connections: usize,
    /// Bytes of bodies in memory at most.
    pub max_body_bytes_in_flight: usize,
}

impl CompiledStore {
    /// The URL without what may be a password in it: for messages.
    pub fn shown(&self) -> String {
        let (base, query) = match self.url.split_once('?') {
            Some((base, _)) => (base, "?***"),
            None => (self.url.as_str(), ""),
        };
        match base.rsplit_once('@') {
            Some((_, host)) => {
                let scheme = base.split_once(':').map_or("", |(scheme, _)| scheme);
                format!("{scheme}://***@{host}{query}")
            }
            None => format!("{base}{query}"),
        }
    }
}

/// `admin:`
#[derive(Debug, Clone)]
pub struct CompiledAdmin {
    /// The admin port.
    pub listen: SocketAddr,
    /// The bearer token; `None`: loopback only.
    pub token: Option<Secret>,
}

/// `defaults.retention`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Finished events, and the dedupe window.
    pub events: Duration,
    /// Events in the dead letters.
    pub dead: Duration,
}

/// One source.
#[derive(Debug)]
pub struct Source {
    /// Its name.
    pub name: Arc<str>,
    /// The path on which it is called, such as `/webhooks/stripe`.
    pub path: String,
    /// The provider's name.
    pub provider_name: &'static str,
    /// The provider.
    pub provider: Arc<dyn Provider>,
    /// The methods that its senders use.
    pub methods: &'static [&'static str],
    /// The media types that its senders use; empty: any.
    pub media_types: &'static [&'static str],
    /// The headers that are kept with its events, lower-case.
    pub keep_headers: Vec<String>,
    /// Its secrets.
    pub secrets: SecretSet,
    /// The secret that its sender says at set-up.
    pub handed_over: Option<Arc<SecretFile>>,
    /// `false`: `provider: none`.
    pub verified: bool,
    /// How far a signed time may be from now; `None`: as the provider documents.
    pub tolerance: Option<Duration>,
    /// Its limits.
    pub limits: Limits,
    /// What counts as the same delivery where the id is not signed.
    pub dedupe: Dedupe,
    /// What becomes of a proven body that must be read and cannot be.
    pub on_parse_error: OnInvalid,
}

impl Source {
    /// The secrets that count now: the configured ones, or else the one that the sender handed over.
    pub fn secrets_at(&self, now: Timestamp) -> ActiveSecrets<'_> {
        let handed_over = self.handed_over.as_deref().filter(|_| self.secrets.all().is_empty());
        handed_over.and_then(|h| h.active(now)).unwrap_or_else(|| self.secrets.active(now))
    }
}

/// What counts as the same delivery where the id is an unsigned header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dedupe {
    /// The id, and also the signed bytes.
    #[default]
    IdAndBody,
    /// The id alone.
    Id,
}

/// What becomes of something invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnInvalid {
    /// 200, and kept for inspection.
    #[default]
    Retention,
    /// 422, and not kept.
    Reject,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// `SOURCE/TYPE` patterns, any of which is enough.
    pub events: Vec<TypeGlob>,
    /// `match:`
    pub pattern: Option<Pattern>,
    /// `when:`
    pub when: Option<Condition>,
    /// `schema:`
    pub schema: Option<EventSchema>,
    /// What becomes of an event that fails the schema.
    pub on_invalid: OnInvalid,
    /// The steps, in order; at least one.
    pub chain: Vec<Step>,
    /// When to try again.
    pub retry: RetryPolicy,
    /// When a step that keeps failing is left alone.
    pub breaker: BreakerPolicy,
    /// Jobs at a time.
    pub concurrency: usize,
    /// Events with the same value here run one after the other.
    pub order_by: Option<DataAddress>,
    /// Changes when the route's text changes: a queued job keeps the one it was made under.
    pub config_hash: u64,
}

/// One step of a chain.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name, unique within the chain.
    pub name: Arc<str>,
    /// The handler's name.
    pub handler_name: Arc<str>,
    /// The handler.
    pub handler: Arc<dyn Handler>,
    /// It is given up after this long.
    pub timeout: Duration,
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Attempts at most, the first one included.
    pub attempts: u32,
    /// Before the second attempt, at most this long.
    pub first_delay: Duration,
    /// Each further delay is so many times the one before.
    pub factor: f64,
    /// No delay is longer.
    pub max_delay: Duration,
    /// Whether a delay is drawn between zero and its bound (`full`) or is the bound (`none`).
    pub jitter: Jitter,
}

/// When a step that keeps failing is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// So many failures in a row open it; 0: none ever do.
    pub failures: u32,
    /// And only if the first of them is this long ago.
    pub window: Duration,
    /// It first stays open for this long, then for twice as long each time.
    pub cooldown: Duration,
    /// But no longer than this.
    pub max_cooldown: Duration,
}

/// How a delay is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Jitter {
    /// Evenly between zero and the bound.
    #[default]
    Full,
    /// The bound itself.
    None,
}

impl CompiledConfig {
    /// The names of the providers in use, sorted, once each.
    pub fn providers(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.sources.values().map(|s| s.provider_name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The sources that prove nothing.
    pub fn unverified(&self) -> Vec<&str> {
        self.sources.values().filter(|s| !s.verified).map(|s| s.name.as_ref()).collect()
    }
}
