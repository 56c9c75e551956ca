//! `sources:`, one compiled source for each entry.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hookward_core::plugin::ProviderDescriptor;
use http::Method;

use super::allow_ips;
use super::answers;
use super::body;
use super::compile_cx::CompileCx;
use super::dedupe;
use super::firewall;
use super::plugin::{self, NO_VERIFICATION, PluginKind};
use super::proxies;
use super::secrets;
use super::settings::Defaults;
use crate::compiled::{CompiledServer, Limits, OnInvalid, Rate, Source, Tls};
use crate::config::document::Location;
use crate::config::suggest::{nearest, quoted_list};
use crate::config::{pointer, raw_config};

/// The maximum length of a source's name, in bytes.
const MAX_NAME_BYTES: usize = 64;

type SourcesByName = BTreeMap<Arc<str>, Arc<Source>>;

/// Compiles all sources: by name, and by URL path.
pub(super) fn compile(
    cx: &mut CompileCx<'_>,
    defaults: &Defaults,
    server: &CompiledServer,
) -> (SourcesByName, HashMap<String, Arc<Source>>) {
    let mut by_name = SourcesByName::new();
    let mut by_path = HashMap::new();
    let mut taken_paths: HashMap<String, String> = HashMap::new();
    for name in cx.keys("/sources") {
        let at = pointer::join("/sources", &name);
        if cx.document.has_error_at_or_above(&at) {
            continue;
        }
        let name_is_valid = check_name(cx, &at, &name);
        let raw: raw_config::Source = cx.decode(&at);
        let path = raw.path.as_ref().map(|p| p.0.clone());
        let path = path.unwrap_or_else(|| format!("/webhooks/{name}"));
        if name_is_valid && !cx.document.has_error_at(&format!("{at}/path")) {
            check_path_is_unique(cx, &mut taken_paths, &at, &path, &name);
        }
        if let Some(source) = compile_source(cx, &at, &name, path, raw, defaults, server) {
            let source = Arc::new(source);
            by_path.insert(source.path.clone(), Arc::clone(&source));
            by_name.insert(Arc::clone(&source.name), source);
        }
    }
    (by_name, by_path)
}

/// Reports a name that cannot be part of a URL path; `false` for such a one.
fn check_name(cx: &mut CompileCx<'_>, at: &str, name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_valid = name.len() <= MAX_NAME_BYTES
        && name.chars().all(is_allowed)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !is_valid {
        cx.document
            .error(Location::Key(at), format!("`{name}` is not a valid name of a source"))
            .help(format!("allowed: up to {MAX_NAME_BYTES} letters, digits, `-`, `_` and `.`, starting with a letter or digit; the name is part of the path, unless `path:` sets another"));
    }
    is_valid
}

fn check_path_is_unique(
    cx: &mut CompileCx<'_>,
    taken: &mut HashMap<String, String>,
    at: &str,
    path: &str,
    source_name: &str,
) {
    let Some(first) = taken.insert(path.to_owned(), at.to_owned()) else { return };
    let path_location = |at: &str, cx: &CompileCx<'_>| {
        let own = format!("{at}/path");
        if cx.contains(&own) {
            (cx.document.value_span(&own), own)
        } else {
            (cx.document.key_span(at), at.to_owned())
        }
    };
    let ((first_span, first_at), (span, own_at)) =
        (path_location(&first, cx), path_location(at, cx));
    // Sources are compiled in the order of their names. The message points at the one that comes
    // later in the file, which is more likely the new one.
    let (span, own_at, other) = match span.start > first_span.start {
        true => (span, own_at, first_span),
        false => (first_span, first_at, span),
    };
    cx.document
        .error(Location::Part(&own_at, span), format!("two sources have the path `{path}`"))
        .label("choose another path for this one")
        .related(other, "the other one")
        .help(format!("write another `path:`; without one, the path of source `{source_name}` is /webhooks/{source_name}"));
}

/// Reports a source whose sender signs the URL that it calls, where that URL is not known.
fn report_missing_public_url(cx: &mut CompileCx<'_>, at: &str, source_name: &str) {
    if cx.document.has_error_at("/server/public_url") {
        return;
    }
    cx.document
        .error(
            Location::Key(at),
            format!("the sender of source `{source_name}` signs the URL that it calls, and that URL is not known"),
        )
        .label("every request would be rejected")
        .help("add `public_url: https://hooks.example.com` to `server`: the scheme and host under which senders reach this server");
}

/// Compiles one source; `None` where its provider cannot be found or built.
fn compile_source(
    cx: &mut CompileCx<'_>,
    at: &str,
    source_name: &str,
    path: String,
    raw: raw_config::Source,
    defaults: &Defaults,
    server: &CompiledServer,
) -> Option<Source> {
    let descriptor = find_provider(cx, at, source_name, raw.provider.as_deref());
    let provider = descriptor
        .and_then(|d| plugin::build(cx, at, source_name, d.schema, d.build).map(|p| (d, p)));
    let built = provider.as_ref().map(|(_, provider)| &**provider);
    let secrets = secrets::compile(cx, at, raw.secrets, descriptor.as_ref(), built);
    let secret_file = secrets::compile_secret_file(cx, at, raw.secret_file, descriptor.as_ref());
    for warning in built.map(|provider| provider.config_warnings()).into_iter().flatten() {
        cx.document.warn(Location::Key(at), format!("source `{source_name}`: {warning}"));
    }
    if server.public_url.is_none() && built.is_some_and(|provider| provider.needs_public_url()) {
        report_missing_public_url(cx, at, source_name);
    }
    let raw_limits = raw.limits.unwrap_or_default();
    let provider_name = descriptor.as_ref().map_or("", |descriptor| descriptor.name);
    let allow_ips = allow_ips::compile(cx, at, provider_name, raw_limits.allow_ips.as_deref());
    let limits = Limits { allow_ips, ..limits(cx, at, raw_limits, defaults, server) };
    let firewall_at = format!("{at}/firewall");
    let raw_firewall = raw.firewall.unwrap_or_default();
    let (descriptor, provider) = provider?;
    let tolerance = raw.tolerance.map(|s| s.0).or(descriptor.tolerance);
    check_dedupe_window(cx, at, source_name, tolerance, defaults);
    let methods = answers::methods(cx, at, raw.methods, &descriptor, &*provider);
    let keep_headers = answers::stored_headers(cx, at, raw.keep_headers, &descriptor, &*provider);
    let reply = answers::reply(cx, at, raw.reply);
    let json = body::json_options(raw.json.unwrap_or_default(), &*provider);
    let events = defaults.retention.events;
    let (dedupe, dedupe_window) =
        dedupe::compile(cx, at, raw.dedupe, &*provider, tolerance, events);
    let decompress = raw.decompress.map(body::decompress);
    let mut keep_headers = keep_headers;
    if decompress.is_some() {
        // Without it nobody could read the stored body.
        keep_headers.push("content-encoding".to_owned());
    }
    let query_is_event =
        methods.contains(&Method::GET) && !descriptor.methods.contains(&Method::GET.as_str());
    let allow_ips_at = format!("{at}/limits/allow_ips");
    let allow_ips = &limits.allow_ips;
    proxies::warn_unreachable_networks(cx, server, &allow_ips_at, source_name, allow_ips);
    let judged = firewall::JudgedSource {
        name: source_name,
        methods: &methods,
        media_types: descriptor.media_types,
        provider: &*provider,
        limits: &limits,
        server,
    };
    let client_subjects = client_subjects(cx, at, raw.client_subjects);
    let needs_client_certificate = server.tls.as_ref().is_some_and(Tls::requires_client)
        || raw.client_certificate.is_some()
        || !client_subjects.is_empty();
    check_client_ca(cx, at, source_name);
    let firewall = firewall::compile(cx, &firewall_at, raw_firewall, &judged);
    let verified = descriptor.name != NO_VERIFICATION;
    if !verified {
        warn_unverified(cx, at, source_name);
    }
    Some(Source {
        name: source_name.into(),
        path,
        provider_name: descriptor.name,
        provider,
        methods,
        media_types: descriptor.media_types,
        keep_headers,
        reply,
        secrets,
        secret_file,
        verified,
        tolerance,
        limits,
        dedupe,
        dedupe_window,
        json,
        decompress,
        query_is_event,
        needs_client_certificate,
        client_subjects,
        firewall,
        on_parse_error: on_invalid(raw.on_parse_error),
    })
}

/// The patterns of `client_subjects:`, each compared with a whole name.
fn client_subjects(
    cx: &mut CompileCx<'_>,
    at: &str,
    written: Option<Vec<Option<String>>>,
) -> Vec<String> {
    const KINDS: [&str; 4] = ["DNS:", "URI:", "email:", "IP:"];
    let mut patterns = Vec::new();
    for (n, pattern) in written.into_iter().flatten().enumerate() {
        let Some(pattern) = pattern else { continue };
        if !pattern.contains('=') && !KINDS.iter().any(|kind| pattern.starts_with(kind)) {
            cx.document
                .error(
                    Location::Value(&format!("{at}/client_subjects/{n}")),
                    format!("`{pattern}` is not a name of a certificate"),
                )
                .help("write a whole subject, such as CN=orders,O=Partner, or an alternative name, such as DNS:orders.partner.example; `*` stands for any text without a comma");
        }
        patterns.push(pattern);
    }
    patterns
}

/// Reports a source that needs certificates of clients where the server asks for none.
fn check_client_ca(cx: &mut CompileCx<'_>, at: &str, source_name: &str) {
    let keys = ["client_certificate", "client_subjects"].map(|key| format!("{at}/{key}"));
    let Some(key) = keys.iter().find(|key| cx.contains(key)) else { return };
    if cx.contains("/server/tls/client_ca") || cx.document.has_error_at("/server") {
        return;
    }
    cx.document
        .error(
            Location::Key(key),
            format!("source `{source_name}` needs client certificates, and the server asks for none"),
        )
        .help("add `client_ca: FILE` to `server.tls`, with the certificates of the authorities that vouch for clients");
}

fn warn_unverified(cx: &mut CompileCx<'_>, at: &str, source_name: &str) {
    let key = format!("{at}/provider");
    if !cx.contains(&key) {
        return; // `find_provider` has reported that `provider: none` must be written.
    }
    cx.document
        .warn(Location::Value(&key), format!("requests to source `{source_name}` are not verified"))
        .label("without verification")
        .help("anyone who knows the path can send events; name a provider that verifies, or restrict the callers with `limits: { allow_ips: […] }`");
}

/// Warns where a captured request stays valid for longer than its event is remembered. A signed
/// time may be `tolerance` ahead as well as behind, so a request is valid for twice that time.
fn check_dedupe_window(
    cx: &mut CompileCx<'_>,
    at: &str,
    source_name: &str,
    tolerance: Option<Duration>,
    defaults: &Defaults,
) {
    let (retention, own) = ("/defaults/retention/events", format!("{at}/tolerance"));
    let Some(valid_for) = tolerance.map(|t| t.saturating_mul(2)) else { return };
    if defaults.retention.events >= valid_for
        || cx.document.has_error_at(retention)
        || cx.document.has_error_at(&own)
    {
        return;
    }
    let location =
        if cx.contains(retention) { Location::Value(retention) } else { Location::Value(&own) };
    let valid_for = humantime::format_duration(valid_for);
    cx.document
        .warn(location, format!("events of source `{source_name}` are removed while their requests are still valid"))
        .label(format!("a signed request is valid for up to {valid_for}"))
        .help("a captured request could be sent again as a new event; set `retention.events` to at least twice the tolerance");
}

/// Compiles `on_invalid:` or `on_parse_error:`; both default to `keep`.
pub(super) fn on_invalid(raw: Option<raw_config::OnInvalid>) -> OnInvalid {
    match raw {
        Some(raw_config::OnInvalid::Reject) => OnInvalid::Reject,
        Some(raw_config::OnInvalid::Keep) | None => OnInvalid::Keep,
    }
}

/// Finds the provider plugin that `provider:` or else the source's name stands for.
fn find_provider(
    cx: &mut CompileCx<'_>,
    at: &str,
    source_name: &str,
    written: Option<&str>,
) -> Option<ProviderDescriptor> {
    let key = format!("{at}/provider");
    if cx.document.has_error_at(&key) {
        return None;
    }
    let wanted = written.unwrap_or(source_name);
    let found = cx.load.registry.provider(wanted).copied();
    if let (None, Some(name)) = (found, written) {
        plugin::report_unlinked(cx, Location::Value(&key), PluginKind::Provider, name, &[]);
    } else if found.is_none() {
        let linked = cx.load.registry.names("provider");
        let near = nearest(source_name, linked.iter().copied());
        let diagnostic = cx.document.error(
            Location::Key(at),
            format!("source `{source_name}` has no `provider`, and no linked provider is called `{source_name}`"),
        );
        match near {
            Some(near) => diagnostic.label(format!("did you mean `provider: {near}`?")),
            None => diagnostic.label("`provider` is missing here"),
        };
        diagnostic.help(format!("write `provider:` with one of: {}", quoted_list(&linked)));
        diagnostic.help("`provider: hmac` describes any other sender with an HMAC signature in `with:`; `provider: none` accepts events without verification");
    } else if wanted == NO_VERIFICATION && written.is_none() {
        cx.document
            .error(Location::Key(at), format!("source `{source_name}` has no `provider`"))
            .help("write `provider: none`; a source without verification must say so");
    }
    found
}

/// Compiles `limits:` of the source at `at`.
fn limits(
    cx: &mut CompileCx<'_>,
    at: &str,
    raw: raw_config::Limits,
    defaults: &Defaults,
    server: &CompiledServer,
) -> Limits {
    let at = format!("{at}/limits");
    let burst_at = format!("{at}/burst");
    let rate = raw.rate.map(|r| r.0);
    match (rate, raw.burst) {
        (None, Some(_)) if !cx.document.has_error_at(&format!("{at}/rate")) => {
            cx.document
                .error(Location::Key(&burst_at), "`burst` without `rate` has no effect")
                .help("add `rate:`, such as `rate: 100/min`, or remove `burst`");
        }
        (Some(rate), Some(burst)) if burst > rate.count => {
            cx.document
                .error(
                    Location::Value(&burst_at),
                    format!("`burst` is {burst}, above the {} of `rate`", rate.count),
                )
                .help("lower `burst` or raise `rate`; without `burst` it is the number of `rate`");
        }
        _ => {}
    }
    let body = raw.body.map_or(defaults.body, |b| b.0.as_usize());
    if body > server.largest_body_bytes() {
        warn_body_limit_too_high(cx, &at);
    }
    Limits { body, rate: rate.map(|r| Rate { burst: raw.burst, ..r }), allow_ips: Vec::new() }
}

fn warn_body_limit_too_high(cx: &mut CompileCx<'_>, limits_at: &str) {
    let own = format!("{limits_at}/body");
    let key = match (cx.contains(&own), cx.contains("/defaults/limits/body")) {
        (true, _) => own.as_str(),
        (false, true) => "/defaults/limits/body",
        (false, false) => "/server/max_body_bytes_in_flight",
    };
    cx.document
        .warn(Location::Value(key), "the limit of one body is above three quarters of `server.max_body_bytes_in_flight`, which is what large bodies may take, so a body of that size is always rejected")
        .help("raise `server.max_body_bytes_in_flight`, or lower `limits.body`");
}
