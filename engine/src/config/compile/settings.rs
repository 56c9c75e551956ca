//! `server:`, `admin:`, `store:` and `defaults:`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hookward_core::plugin::StoreDescriptor;

use super::plugin::{self, Kind};
use super::tls;
use super::{Gate, Location};
use crate::compiled::{
    BreakerPolicy, CompiledAdmin, CompiledServer, CompiledStore, Jitter, Retention, RetryPolicy,
};
use crate::config::raw_config;

const MIB: usize = 1024 * 1024;
const DAY: u64 = 24 * 60 * 60;
const STORE: &str = "sqlite:hookward.db";

/// What counts where a source or route says nothing.
pub(super) struct Defaults {
    pub(super) body: usize,
    pub(super) retry: RetryPolicy,
    pub(super) breaker: BreakerPolicy,
    pub(super) step_timeout: Duration,
    pub(super) concurrency: usize,
    pub(super) retention: Retention,
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub(super) fn server(gate: &mut Gate<'_>) -> CompiledServer {
    let server: raw_config::Server = gate.decode("/server");
    CompiledServer {
        listen: server.listen.map_or(local(8080), |l| l.0),
        public_url: server.public_url.map(|u| u.0),
        tls: tls::tls(gate, server.tls),
        trusted_proxies: server
            .trusted_proxies
            .into_iter()
            .flatten()
            .flatten()
            .map(|net| net.0)
            .collect(),
        max_connections: server.max_connections.unwrap_or(10_000),
        max_body_bytes_in_flight: server
            .max_body_bytes_in_flight
            .map_or(64 * MIB, |b| b.0.as_usize()),
    }
}

pub(super) fn admin(gate: &mut Gate<'_>) -> CompiledAdmin {
    let admin: raw_config::Admin = gate.decode("/admin");
    let listen = admin.listen.map_or(local(8081), |l| l.0);
    let token = admin.token.filter(|t| !t.expose().is_empty());
    if !listen.ip().is_loopback() && token.is_none() && !gate.doc.is_poisoned("/admin/token") {
        let empty = gate.has("/admin/token");
        let diagnostic = gate.doc.error(
            Location::Value("/admin/listen"),
            format!("the admin port would be open to others at {listen}, without a token"),
        );
        diagnostic.label("not a loopback address");
        if empty {
            diagnostic.help("`admin.token` is there, but empty: set the variable that it names");
        }
        diagnostic
            .help("add `token: \"${HOOKWARD_ADMIN_TOKEN}\"` to `admin`, or listen on 127.0.0.1");
    }
    CompiledAdmin { listen, token }
}

pub(super) fn defaults(gate: &mut Gate<'_>) -> Defaults {
    let defaults: raw_config::Defaults = gate.decode("/defaults");
    let built_in = RetryPolicy {
        attempts: 3,
        first_delay: Duration::from_secs(2),
        factor: 2.0,
        max_delay: Duration::from_secs(3600),
        jitter: Jitter::Full,
    };
    let retry = retry(gate, "/defaults/retry", defaults.retry, built_in);
    let built_in = BreakerPolicy {
        failures: 20,
        window: Duration::from_secs(30),
        cooldown: Duration::from_secs(15),
        max_cooldown: Duration::from_secs(300),
    };
    let breaker = breaker(gate, "/defaults/breaker", defaults.breaker, built_in);
    let retention = defaults.retention.unwrap_or_default();
    let days = |d: u64| Duration::from_secs(d * DAY);
    Defaults {
        body: defaults.limits.and_then(|l| l.body).map_or(10 * MIB, |b| b.0.as_usize()),
        retry,
        breaker,
        step_timeout: defaults.step_timeout.map_or(Duration::from_secs(30), |s| s.0),
        concurrency: defaults.concurrency.unwrap_or(16),
        retention: Retention {
            events: retention.events.map_or(days(7), |s| s.0),
            dead: retention.dead.map_or(days(30), |s| s.0),
        },
    }
}

/// A `retry:` block over what counts without it, key by key.
pub(super) fn retry(
    gate: &mut Gate<'_>,
    at: &str,
    block: Option<raw_config::Retry>,
    base: RetryPolicy,
) -> RetryPolicy {
    let Some(block) = block else { return base };
    let policy = RetryPolicy {
        attempts: block.attempts.unwrap_or(base.attempts),
        first_delay: block.first_delay.as_ref().map_or(base.first_delay, |s| s.0),
        factor: block.factor.unwrap_or(base.factor),
        max_delay: block.max_delay.as_ref().map_or(base.max_delay, |s| s.0),
        jitter: match block.jitter {
            None => base.jitter,
            Some(raw_config::Jitter::Full) => Jitter::Full,
            Some(raw_config::Jitter::None) => Jitter::None,
        },
    };
    let written = block.first_delay.is_some() || block.max_delay.is_some();
    if written && policy.first_delay > policy.max_delay && !gate.doc.is_poisoned(at) {
        let key = if block.first_delay.is_some() { "first_delay" } else { "max_delay" };
        let show = |d| humantime::format_duration(d).to_string();
        let message = format!(
            "the first delay, {}, is longer than `max_delay`, {}",
            show(policy.first_delay),
            show(policy.max_delay)
        );
        let at = format!("{at}/{key}");
        gate.doc
            .error(Location::Value(&at), message)
            .help("raise `max_delay` or lower `first_delay`; a key left out counts as in `defaults.retry`");
    }
    policy
}

/// A `breaker:` block over what counts without it, key by key.
pub(super) fn breaker(
    gate: &mut Gate<'_>,
    at: &str,
    block: Option<raw_config::Breaker>,
    base: BreakerPolicy,
) -> BreakerPolicy {
    let Some(block) = block else { return base };
    let policy = BreakerPolicy {
        failures: block.failures.unwrap_or(base.failures),
        window: block.window.map_or(base.window, |s| s.0),
        cooldown: block.cooldown.as_ref().map_or(base.cooldown, |s| s.0),
        max_cooldown: block.max_cooldown.as_ref().map_or(base.max_cooldown, |s| s.0),
    };
    let written = block.cooldown.is_some() || block.max_cooldown.is_some();
    if written && policy.cooldown > policy.max_cooldown && !gate.doc.is_poisoned(at) {
        let key = if block.cooldown.is_some() { "cooldown" } else { "max_cooldown" };
        let show = |d| humantime::format_duration(d).to_string();
        let message = format!(
            "the first cooldown, {}, is longer than `max_cooldown`, {}",
            show(policy.cooldown),
            show(policy.max_cooldown)
        );
        let at = format!("{at}/{key}");
        gate.doc.error(Location::Value(&at), message).help(
            "raise `max_cooldown` or lower `cooldown`; a key left out counts as in `defaults.breaker`",
        );
    }
    policy
}

pub(super) fn store(gate: &mut Gate<'_>) -> Option<CompiledStore> {
    let at = "/store";
    if gate.doc.is_poisoned(at) {
        return None;
    }
    let written = gate.sound.pointer(at).and_then(|v| v.as_str()).map(str::to_owned);
    let spot = if written.is_some() { Location::Value(at) } else { Location::Key("") };
    let url = written.clone().unwrap_or_else(|| STORE.to_owned());
    // `memory:` ends in a colon, which YAML wants quoted; the bare name of a store will do.
    let bare = gate.cx.registry.store(&url).map(|store| (store.name, ""));
    let Some((scheme, rest)) = url.split_once(':').or(bare) else {
        let urls = urls(gate);
        gate.doc
            .error(spot, "`store` is no URL: it has no scheme")
            .label("expected SCHEME:…")
            .help(format!("linked stores: {urls}"));
        return None;
    };
    let Some(descriptor) = gate.cx.registry.store(scheme).copied() else {
        if written.is_some() {
            plugin::unknown(gate, spot, Kind::Store, scheme, &[]);
        } else {
            plugin::unlinked_default_store(gate, STORE);
        }
        return None;
    };
    check(gate, spot, &descriptor, rest)?;
    let rest = rest.to_owned();
    Some(CompiledStore { url, rest, descriptor })
}

fn check(
    gate: &mut Gate<'_>,
    spot: Location<'_>,
    store: &StoreDescriptor,
    rest: &str,
) -> Option<()> {
    let error = (store.check)(rest).err();
    let Some(error) = error else { return Some(()) };
    let diagnostic = gate.doc.error(spot, format!("`store`: {}", error.message));
    match error.help {
        Some(help) => diagnostic.help(help),
        None => diagnostic.help(format!("it is written `{}`", store.url)),
    };
    None
}

fn urls(gate: &Gate<'_>) -> String {
    let names = gate.cx.registry.names("store");
    let urls = names.iter().filter_map(|n| gate.cx.registry.store(n)).map(|s| s.url);
    match crate::config::suggest::listed(urls) {
        none if none.is_empty() => "none".to_owned(),
        some => some,
    }
}
