//! The configuration in force: a routes.yaml that passed every check, with its plugins built.
//!
//! [`config`](crate::config) makes a [`CompiledConfig`]; the ingest pipeline, the worker and
//! [`replay`](crate::replay) read it. It sits behind one `Arc`, which a reload swaps whole, so a
//! request or a job never sees half of an old configuration and half of a new one.
//!
//! Fields carry the name of their key in routes.yaml; `docs/routes.md` describes the keys.

mod firewall;
mod limits;
mod route;
mod route_table;
mod secret_file;
mod source;
mod tls;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hookward_core::plugin::StoreDescriptor;
use hookward_core::{Event, Secret};
use ipnet::IpNet;

pub use firewall::{Firewall, FirewallRule};
pub use limits::{Limits, Rate};
pub use route::{BreakerPolicy, Jitter, RetryPolicy, Route, RouteDecision, Step};
pub use route_table::RouteTable;
pub use secret_file::SecretFile;
pub use source::{Decompress, Dedupe, OnInvalid, Source};
pub use tls::Tls;

/// A routes.yaml, checked and compiled.
#[derive(Debug)]
pub struct CompiledConfig {
    /// The path of the file, as it was given to the loader.
    pub file: PathBuf,
    /// The folder at which relative paths start: that of the file.
    pub base_dir: PathBuf,
    /// `store:`, with the plugin that its scheme names.
    pub store: CompiledStore,
    /// `server:`, the settings of the receiving port.
    pub server: CompiledServer,
    /// `admin:`, the settings of the admin port.
    pub admin: CompiledAdmin,
    /// `defaults.retention`: how long finished events and dead letters stay in the store.
    pub retention: Retention,
    /// All sources by their name in routes.yaml.
    pub sources: BTreeMap<Arc<str>, Arc<Source>>,
    /// All sources by their exact URL path, such as `/webhooks/stripe`.
    pub sources_by_path: HashMap<String, Arc<Source>>,
    /// All routes by their name in routes.yaml.
    pub routes: BTreeMap<Arc<str>, Arc<Route>>,
    /// All routes in the order of the file, with an index from event type to candidates.
    pub route_table: RouteTable,
}

impl CompiledConfig {
    /// Returns the names of the providers in use, sorted and without repetition.
    pub fn provider_names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.sources.values().map(|s| s.provider_name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns a stored event whose body is read as its source's `json:` says. A store keeps bytes
    /// and headers alone.
    pub fn with_json_options(&self, event: &Event) -> Event {
        match self.sources.get(event.source()) {
            Some(source) => event.with_body(event.body().with_json_options(&source.json)),
            None => event.clone(),
        }
    }

    /// Returns the names of the sources whose requests are not verified (`provider: none`).
    pub fn unverified_sources(&self) -> Vec<&str> {
        self.sources.values().filter(|s| !s.verified).map(|s| s.name.as_ref()).collect()
    }
}

/// The compiled `store:` key: a URL and the plugin that its scheme names.
#[derive(Debug, Clone)]
pub struct CompiledStore {
    /// The URL as written, such as `sqlite:hookward.db`. May contain a password.
    pub url: String,
    /// The URL after the scheme and its colon, which is what the plugin opens.
    pub rest: String,
    /// The store plugin that the scheme names.
    pub descriptor: StoreDescriptor,
}

impl CompiledStore {
    /// Returns the URL for messages and logs, with credentials and the query replaced by `***`.
    pub fn redacted_url(&self) -> String {
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

/// The compiled `server:` block: settings of the receiving port.
#[derive(Debug, Clone)]
pub struct CompiledServer {
    /// The address of the receiving port.
    pub listen: SocketAddr,
    /// Scheme and host as senders call them; `None` takes both from each request.
    pub public_url: Option<String>,
    /// The certificate of the receiving port; `None` serves plain HTTP.
    pub tls: Option<Tls>,
    /// The proxies whose `X-Forwarded-For` header is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The maximum number of open connections.
    pub max_connections: usize,
    /// The maximum number of body bytes held in memory at the same time.
    pub max_body_bytes_in_flight: usize,
    /// Whether requests that two HTTP implementations could delimit differently are rejected.
    pub strict_framing: bool,
}

impl CompiledServer {
    /// The part of `max_body_bytes_in_flight` that large bodies leave free for small ones: a
    /// quarter. So few large bodies cannot delay all small events.
    pub fn small_body_reserve_bytes(&self) -> usize {
        self.max_body_bytes_in_flight / 4
    }

    /// The largest body for which there can be memory.
    pub fn largest_body_bytes(&self) -> usize {
        self.max_body_bytes_in_flight - self.small_body_reserve_bytes()
    }
}

/// The compiled `admin:` block: settings of the admin port.
#[derive(Debug, Clone)]
pub struct CompiledAdmin {
    /// The address of the admin port.
    pub listen: SocketAddr,
    /// The bearer token that callers must send; `None` is possible on loopback only.
    pub token: Option<Secret>,
}

/// The compiled `defaults.retention` block: how long finished events stay in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How long finished events stay. This is also the dedupe window, in which a repeated delivery
    /// is recognised.
    pub events: Duration,
    /// How long events with dead jobs stay.
    pub dead: Duration,
}
