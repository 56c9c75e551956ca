//! `server:`, `admin:`, `store:` and `defaults:`, and the policies that routes share with them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hookward_core::plugin::StoreDescriptor;

use super::compile_cx::CompileCx;
use super::plugin::{self, PluginKind};
use super::tls;
use crate::compiled::{
    BreakerPolicy, CompiledAdmin, CompiledServer, CompiledStore, Jitter, Retention, RetryPolicy,
};
use crate::config::document::Location;
use crate::config::raw_config;
use crate::config::suggest::quoted_list;

/// Shortest admin token: 16 random characters cannot be guessed over a network.
const MIN_ADMIN_TOKEN_CHARS: usize = 16;
const MIB: usize = 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const DEFAULT_STORE_URL: &str = "sqlite:hookward.db";
const DEFAULT_RETRY: RetryPolicy = RetryPolicy {
    attempts: 3,
    first_delay: Duration::from_secs(2),
    factor: 2.0,
    max_delay: Duration::from_secs(3600),
    jitter: Jitter::Full,
};
const DEFAULT_BREAKER: BreakerPolicy = BreakerPolicy {
    failures: 20,
    window: Duration::from_secs(30),
    cooldown: Duration::from_secs(15),
    max_cooldown: Duration::from_secs(300),
};

/// The compiled `defaults:` block: values for sources and routes that do not set their own.
pub(super) struct Defaults {
    /// `defaults.limits.body`, the maximum size of a body in bytes.
    pub(super) body: usize,
    pub(super) retry: RetryPolicy,
    pub(super) breaker: BreakerPolicy,
    pub(super) step_timeout: Duration,
    pub(super) concurrency: usize,
    pub(super) retention: Retention,
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub(super) fn compile_server(cx: &mut CompileCx<'_>) -> CompiledServer {
    let raw: raw_config::Server = cx.decode("/server");
    let proxies = raw.trusted_proxies.into_iter().flatten().flatten();
    CompiledServer {
        listen: raw.listen.map_or(loopback(8080), |l| l.0),
        public_url: raw.public_url.map(|u| u.0),
        tls: tls::load(cx, raw.tls),
        trusted_proxies: proxies.map(|net| net.0).collect(),
        max_connections: raw.max_connections.unwrap_or(10_000),
        max_body_bytes_in_flight: raw.max_body_bytes_in_flight.map_or(64 * MIB, |b| b.0.as_usize()),
        strict_framing: raw.strict_framing.unwrap_or(false),
    }
}

pub(super) fn compile_admin(cx: &mut CompileCx<'_>) -> CompiledAdmin {
    let raw: raw_config::Admin = cx.decode("/admin");
    let listen = raw.listen.map_or(loopback(8081), |l| l.0);
    let token = raw.token.filter(|t| !t.expose().is_empty());
    if let Some(length) = token.as_ref().map(|t| t.expose().chars().count())
        && length < MIN_ADMIN_TOKEN_CHARS
    {
        cx.document
            .error(
                Location::Value("/admin/token"),
                format!("the admin token has {length} characters; at least {MIN_ADMIN_TOKEN_CHARS} are needed, or it could be guessed"),
            )
            .help("make one: openssl rand -hex 32");
    }
    if !listen.ip().is_loopback() && token.is_none() && !cx.document.has_error_at("/admin/token") {
        let is_empty = cx.contains("/admin/token");
        let diagnostic = cx.document.error(
            Location::Value("/admin/listen"),
            format!("the admin port would be open to other machines at {listen}, without a token"),
        );
        diagnostic.label("not a loopback address");
        if is_empty {
            diagnostic.help("`admin.token` is empty; set the variable that it names");
        }
        diagnostic
            .help("add `token: \"${HOOKWARD_ADMIN_TOKEN}\"` to `admin`, or listen on 127.0.0.1");
    }
    CompiledAdmin { listen, token }
}

pub(super) fn compile_defaults(cx: &mut CompileCx<'_>) -> Defaults {
    let raw: raw_config::Defaults = cx.decode("/defaults");
    let retention = raw.retention.unwrap_or_default();
    Defaults {
        body: raw.limits.and_then(|l| l.body).map_or(10 * MIB, |b| b.0.as_usize()),
        retry: compile_retry(cx, "/defaults/retry", raw.retry, DEFAULT_RETRY),
        breaker: compile_breaker(cx, "/defaults/breaker", raw.breaker, DEFAULT_BREAKER),
        step_timeout: raw.step_timeout.map_or(Duration::from_secs(30), |s| s.0),
        concurrency: raw.concurrency.unwrap_or(16),
        retention: Retention {
            events: retention.events.map_or(7 * DAY, |s| s.0),
            dead: retention.dead.map_or(30 * DAY, |s| s.0),
        },
    }
}

/// Compiles the `retry:` block at `at`; each key that it omits comes from `base`.
pub(super) fn compile_retry(
    cx: &mut CompileCx<'_>,
    at: &str,
    raw: Option<raw_config::Retry>,
    base: RetryPolicy,
) -> RetryPolicy {
    let Some(raw) = raw else { return base };
    let policy = RetryPolicy {
        attempts: raw.attempts.unwrap_or(base.attempts),
        first_delay: raw.first_delay.as_ref().map_or(base.first_delay, |s| s.0),
        factor: raw.factor.unwrap_or(base.factor),
        max_delay: raw.max_delay.as_ref().map_or(base.max_delay, |s| s.0),
        jitter: match raw.jitter {
            None => base.jitter,
            Some(raw_config::Jitter::Full) => Jitter::Full,
            Some(raw_config::Jitter::None) => Jitter::None,
        },
    };
    check_order(
        cx,
        at,
        ("first_delay", policy.first_delay, raw.first_delay.is_some()),
        ("max_delay", policy.max_delay, raw.max_delay.is_some()),
        "raise `max_delay` or lower `first_delay`; an omitted key has its value from `defaults.retry`",
    );
    policy
}

/// Compiles the `breaker:` block at `at`; each key that it omits comes from `base`.
pub(super) fn compile_breaker(
    cx: &mut CompileCx<'_>,
    at: &str,
    raw: Option<raw_config::Breaker>,
    base: BreakerPolicy,
) -> BreakerPolicy {
    let Some(raw) = raw else { return base };
    let policy = BreakerPolicy {
        failures: raw.failures.unwrap_or(base.failures),
        window: raw.window.map_or(base.window, |s| s.0),
        cooldown: raw.cooldown.as_ref().map_or(base.cooldown, |s| s.0),
        max_cooldown: raw.max_cooldown.as_ref().map_or(base.max_cooldown, |s| s.0),
    };
    check_order(
        cx,
        at,
        ("cooldown", policy.cooldown, raw.cooldown.is_some()),
        ("max_cooldown", policy.max_cooldown, raw.max_cooldown.is_some()),
        "raise `max_cooldown` or lower `cooldown`; an omitted key has its value from `defaults.breaker`",
    );
    policy
}

/// Reports a first span that is longer than its maximum. Each is a key, its value, and whether the
/// block sets it: the message points at a key that is written there.
fn check_order(
    cx: &mut CompileCx<'_>,
    at: &str,
    first: (&str, Duration, bool),
    max: (&str, Duration, bool),
    help: &str,
) {
    if first.1 <= max.1 || !(first.2 || max.2) || cx.document.has_error_at(at) {
        return;
    }
    let key = if first.2 { first.0 } else { max.0 };
    let message = format!(
        "`{}` is {}, longer than `{}`, which is {}",
        first.0,
        humantime::format_duration(first.1),
        max.0,
        humantime::format_duration(max.1)
    );
    cx.document.error(Location::Value(&format!("{at}/{key}")), message).help(help);
}

pub(super) fn compile_store(cx: &mut CompileCx<'_>) -> Option<CompiledStore> {
    let at = "/store";
    if cx.document.has_error_at(at) {
        return None;
    }
    let written = cx.valid.pointer(at).and_then(|v| v.as_str()).map(str::to_owned);
    let location = if written.is_some() { Location::Value(at) } else { Location::Key("") };
    let url = written.clone().unwrap_or_else(|| DEFAULT_STORE_URL.to_owned());
    // `memory:` ends in a colon and so needs quotes in YAML; the name without it is accepted too.
    let name_alone = cx.load.registry.store(&url).map(|store| (store.name, ""));
    let Some((scheme, rest)) = url.split_once(':').or(name_alone) else {
        let help = linked_store_urls(cx);
        cx.document
            .error(location, "`store` is not a store URL: it has no scheme")
            .label("expected SCHEME:…")
            .help(help);
        return None;
    };
    let Some(descriptor) = cx.load.registry.store(scheme).copied() else {
        if written.is_some() {
            plugin::report_unlinked(cx, location, PluginKind::Store, scheme, &[]);
        } else {
            plugin::report_unlinked_default_store(cx, DEFAULT_STORE_URL);
        }
        return None;
    };
    check_store_url(cx, location, &descriptor, rest)?;
    let rest = rest.to_owned();
    Some(CompiledStore { url, rest, descriptor })
}

/// Asks the store plugin whether it can open the rest of the URL; `None` where it cannot.
fn check_store_url(
    cx: &mut CompileCx<'_>,
    location: Location<'_>,
    store: &StoreDescriptor,
    rest: &str,
) -> Option<()> {
    let error = (store.check)(rest).err();
    let Some(error) = error else { return Some(()) };
    let diagnostic = cx.document.error(location, format!("`store`: {}", error.message));
    match error.help {
        Some(help) => diagnostic.help(help),
        None => diagnostic.help(format!("write it as `{}`", store.url)),
    };
    None
}

fn linked_store_urls(cx: &CompileCx<'_>) -> String {
    let names = cx.load.registry.names("store");
    let urls: Vec<_> =
        names.iter().filter_map(|n| cx.load.registry.store(n)).map(|store| store.url).collect();
    match urls.is_empty() {
        true => "this program is built without any store".to_owned(),
        false => format!("write one of: {}", quoted_list(urls)),
    }
}
