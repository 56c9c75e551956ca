//! `sources:`

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use hookward_core::plugin::ProviderDescriptor;
use hookward_core::{Provider, SecretSet, TimedSecret};

use super::plugin::{self, Kind};
use super::settings::Defaults;
use super::{Gate, Location, name};
use crate::compiled::{CompiledServer, Dedupe, Limits, OnInvalid, Rate, SecretFile, Source};
use crate::config::{pointer, raw_config};

/// The provider that proves nothing.
const NONE: &str = "none";
/// Kept with every event: what the bytes are, which trace they belong to, and who sent them.
const ALWAYS_KEPT: [&str; 3] = ["content-type", "traceparent", "user-agent"];

type Sources = BTreeMap<Arc<str>, Arc<Source>>;

pub(super) fn sources(
    gate: &mut Gate<'_>,
    defaults: &Defaults,
    server: &CompiledServer,
) -> (Sources, HashMap<String, Arc<Source>>) {
    let mut sources = Sources::new();
    let mut paths = HashMap::new();
    let mut taken: HashMap<String, String> = HashMap::new();
    for source_name in gate.keys("/sources") {
        let at = pointer::join("/sources", &source_name);
        if gate.doc.is_lost(&at) {
            continue;
        }
        let good_name = check_name(gate, &at, &source_name);
        let spec: raw_config::Source = gate.decode(&at);
        let path = spec.path.as_ref().map(|p| p.0.clone());
        let path = path.unwrap_or_else(|| format!("/webhooks/{source_name}"));
        if good_name && !gate.doc.is_poisoned(&format!("{at}/path")) {
            check_path(gate, &mut taken, &at, &path, &source_name);
        }
        if let Some(source) = source(gate, &at, &source_name, path, spec, defaults, server) {
            let source = Arc::new(source);
            paths.insert(source.path.clone(), Arc::clone(&source));
            sources.insert(Arc::clone(&source.name), source);
        }
    }
    (sources, paths)
}

fn check_name(gate: &mut Gate<'_>, at: &str, name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let good = name.len() <= 64
        && name.chars().all(plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !good {
        gate.doc.error(Location::Key(at), format!("`{name}` cannot be the name of a source")).help(
            "a source's name stands in its path: up to 64 letters, digits, `-`, `_` and `.`, the first a letter or digit; `path:` sets another path",
        );
    }
    good
}

fn check_path(
    gate: &mut Gate<'_>,
    taken: &mut HashMap<String, String>,
    at: &str,
    path: &str,
    source_name: &str,
) {
    let Some(first) = taken.insert(path.to_owned(), at.to_owned()) else { return };
    let at_path = |at: &str, gate: &Gate<'_>| {
        let own = format!("{at}/path");
        if gate.has(&own) {
            (gate.doc.value_span(&own), own)
        } else {
            (gate.doc.key_span(at), at.to_owned())
        }
    };
    let ((first_span, first_at), (span, own_at)) = (at_path(&first, gate), at_path(at, gate));
    // Sources are read by name; what stands further down in the file is the one to blame.
    let (span, own_at, other) = match span.start > first_span.start {
        true => (span, own_at, first_span),
        false => (first_span, first_at, span),
    };
    gate.doc
        .error(Location::Part(&own_at, span), format!("the path `{path}` is taken by another source"))
        .related(other, "it is taken here")
        .help(format!("write another `path:`; without one, `{source_name}` is called on /webhooks/{source_name}"));
}

fn source(
    gate: &mut Gate<'_>,
    at: &str,
    source_name: &str,
    path: String,
    spec: raw_config::Source,
    defaults: &Defaults,
    server: &CompiledServer,
) -> Option<Source> {
    let descriptor = provider(gate, at, source_name, spec.provider.as_deref());
    let provider = descriptor
        .and_then(|d| plugin::build(gate, at, source_name, d.schema, d.build).map(|p| (d, p)));
    let secrets =
        secrets(gate, at, spec.secrets, descriptor.as_ref(), provider.as_ref().map(|(_, p)| &**p));
    let handed_over = handed_over(gate, at, spec.secret_file, descriptor.as_ref());
    if let Some((_, provider)) = &provider {
        for caution in provider.config_warnings() {
            gate.doc.warn(Location::Key(at), format!("source `{source_name}`: {caution}"));
        }
    }
    let limits = limits(gate, at, spec.limits.unwrap_or_default(), defaults, server);
    let (descriptor, provider) = provider?;
    let tolerance = spec.tolerance.map(|s| s.0).or(descriptor.tolerance);
    check_window(gate, at, source_name, tolerance, defaults);
    let verified = descriptor.name != NONE;
    let key = format!("{at}/provider");
    if !verified && gate.has(&key) {
        let diagnostic = gate.doc.warn(
            Location::Value(&key),
            format!("source `{source_name}` does not prove who sends"),
        );
        diagnostic.label("without verification");
        diagnostic.help("anyone who knows the path can send events; prefer a provider that proves, or narrow with `limits: { allow_ips: […] }`");
    }
    let mut keep_headers: Vec<String> = descriptor
        .keep_headers
        .iter()
        .chain(&ALWAYS_KEPT)
        .map(|h| h.to_ascii_lowercase())
        .collect();
    keep_headers.sort();
    keep_headers.dedup();
    Some(Source {
        name: name(source_name),
        path,
        provider_name: descriptor.name,
        provider,
        methods: descriptor.methods,
        media_types: descriptor.media_types,
        keep_headers,
        secrets,
        secret_file: handed_over,
        verified,
        tolerance,
        limits,
        dedupe: match spec.dedupe {
            Some(raw_config::Dedupe::Id) => Dedupe::Id,
            Some(raw_config::Dedupe::IdAndBody) | None => Dedupe::IdAndBody,
        },
        on_parse_error: on_invalid(spec.on_parse_error),
    })
}

/// A signed time may lie as far ahead as behind, so a request stays good for twice the tolerance.
fn check_window(
    gate: &mut Gate<'_>,
    at: &str,
    source_name: &str,
    tolerance: Option<Duration>,
    defaults: &Defaults,
) {
    let (keep, own) = ("/defaults/retention/events", format!("{at}/tolerance"));
    let Some(good_for) = tolerance.map(|t| t.saturating_mul(2)) else { return };
    if defaults.retention.events >= good_for
        || gate.doc.is_poisoned(keep)
        || gate.doc.is_poisoned(&own)
    {
        return;
    }
    let spot = if gate.has(keep) { Location::Value(keep) } else { Location::Value(&own) };
    let good_for = humantime::format_duration(good_for);
    gate.doc
        .warn(spot, format!("events are forgotten while a request to source `{source_name}` is still good"))
        .label(format!("a signed request is good for up to {good_for}"))
        .help("whoever captured one could send it again as a new event; keep events for at least twice the tolerance");
}

pub(super) fn on_invalid(spec: Option<raw_config::OnInvalid>) -> OnInvalid {
    match spec {
        Some(raw_config::OnInvalid::Reject) => OnInvalid::Reject,
        Some(raw_config::OnInvalid::Keep) | None => OnInvalid::Keep,
    }
}

fn provider(
    gate: &mut Gate<'_>,
    at: &str,
    source_name: &str,
    written: Option<&str>,
) -> Option<ProviderDescriptor> {
    let key = format!("{at}/provider");
    if gate.doc.is_poisoned(&key) {
        return None;
    }
    let wanted = written.unwrap_or(source_name);
    let found = gate.cx.registry.provider(wanted).copied();
    if let (None, Some(name)) = (found, written) {
        plugin::unknown(gate, Location::Value(&key), Kind::Provider, name, &[]);
    } else if found.is_none() {
        let linked = crate::config::suggest::listed(gate.cx.registry.names("provider"));
        let near = crate::config::suggest::nearest(source_name, gate.cx.registry.names("provider"));
        let diagnostic = gate.doc.error(
            Location::Key(at),
            format!("source `{source_name}` names no provider, and no linked one is called `{source_name}`"),
        );
        match near {
            Some(near) => diagnostic.label(format!("did you mean `provider: {near}`?")),
            None => diagnostic.label("`provider` is missing here"),
        };
        diagnostic.help(format!("write `provider:` with one of: {linked}"));
        diagnostic.help("`provider: hmac` describes other HMAC senders in `with:`; `provider: none` takes events without proof");
    } else if wanted == NONE && written.is_none() {
        gate.doc
            .error(Location::Key(at), format!("source `{source_name}` has no `provider`"))
            .help("a source without verification must say so: write `provider: none` out");
    }
    found
}

fn secrets(
    gate: &mut Gate<'_>,
    at: &str,
    items: Option<Vec<Option<raw_config::SecretItem>>>,
    descriptor: Option<&ProviderDescriptor>,
    provider: Option<&dyn Provider>,
) -> SecretSet {
    let list = format!("{at}/secrets");
    let place = gate.doc.place(at);
    let mut good = Vec::new();
    let mut wrong = gate.doc.is_poisoned(&list);
    for (n, item) in items.into_iter().flatten().enumerate() {
        let Some(raw_config::SecretItem { value: Some(secret), until }) = item else {
            wrong = true;
            continue;
        };
        let value_at = format!("{list}/{n}/value");
        let until = until.map(|u| u.0);
        let complaint = if secret.expose().is_empty() {
            let written =
                gate.doc.filled.get(&value_at).map(|f| format!("`{}` is empty", f.written));
            Some((format!("secret {} of {place} is empty", n + 1), written))
        } else {
            let checked = provider.map_or(Ok(()), |p| p.check_secret(&secret));
            checked
                .err()
                .map(|why| (format!("secret {} of {place} cannot be used: {why}", n + 1), None))
        };
        if let Some((message, label)) = complaint {
            wrong = true;
            let empty = secret.expose().is_empty();
            let diagnostic = gate.doc.error(Location::Value(&value_at), message);
            if let Some(label) = label {
                diagnostic.label(label);
            }
            diagnostic.help(match empty {
                true => "with an empty secret anyone could sign; set it, or remove the line",
                false => "copy the secret again from the sender's settings",
            });
            continue;
        }
        if until.is_some_and(|until| until <= gate.cx.now) {
            let until_at = format!("{list}/{n}/until");
            gate.doc
                .warn(
                    Location::Value(&until_at),
                    format!(
                        "secret {} of {place} is past its end and is no longer accepted",
                        n + 1
                    ),
                )
                .help("remove it, or move its end");
        }
        good.push(TimedSecret { secret, until });
    }
    let own_file = gate.has(&format!("{at}/secret_file"));
    let needed = descriptor.is_some_and(|d| d.needs_secret)
        && !own_file
        && !provider.is_some_and(|p| p.proves_without_secret());
    if needed && good.is_empty() && !wrong {
        let spot = if gate.has(&list) { Location::Key(&list) } else { Location::Key(at) };
        gate.doc
            .error(
                spot,
                format!(
                    "{place} has no secret, and its provider cannot prove anything without one"
                ),
            )
            .help(match descriptor.is_some_and(|d| d.secret_from_handshake) {
                true => "this sender says its secret at set-up: add `secret_file: FILE`, where it is then kept, or `secrets:` where you know it",
                false => "add `secrets: [\"${NAME}\"]` with the name of the variable that holds it",
            });
    }
    if descriptor.is_some_and(|d| d.name == NONE) && gate.has(&list) {
        gate.doc
            .warn(
                Location::Key(&list),
                format!("{place} has secrets that `provider: none` never looks at"),
            )
            .help("name the provider that signs with them, or remove them");
    }
    SecretSet::new(good).unwrap_or_default()
}

/// `secret_file:`, and what is in the file by now.
fn handed_over(
    gate: &mut Gate<'_>,
    at: &str,
    file: Option<String>,
    descriptor: Option<&ProviderDescriptor>,
) -> Option<Arc<SecretFile>> {
    let (file, descriptor) = (file?, descriptor?);
    let key = format!("{at}/secret_file");
    if !descriptor.secret_from_handshake {
        gate.doc
            .error(Location::Key(&key), format!("`{}` says no secret at set-up", descriptor.name))
            .help("remove this line and write `secrets:` with the one from the sender's settings");
        return None;
    }
    let path = gate.base_dir.join(&file);
    let known = match gate.cx.environment.read(&path) {
        Ok(bytes) => Some(String::from_utf8(bytes).unwrap_or_default().trim().to_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => {
            let reason = crate::config::interpolate::reason(&e);
            gate.doc
                .error(Location::Value(&key), format!("`{file}` cannot be read: {reason}"))
                .help("the server writes this file itself; give it a place that it may write to");
            return None;
        }
    };
    if known.as_deref() == Some("") {
        gate.doc
            .error(Location::Value(&key), format!("`{file}` holds no secret"))
            .help("remove the file, and let the sender set the webhook up once more");
        return None;
    }
    let known = known.and_then(|text| SecretSet::from_texts([text]).ok());
    Some(Arc::new(SecretFile::new(path, known)))
}

fn limits(
    gate: &mut Gate<'_>,
    at: &str,
    spec: raw_config::Limits,
    defaults: &Defaults,
    server: &CompiledServer,
) -> Limits {
    let at = format!("{at}/limits");
    let burst_at = format!("{at}/burst");
    let rate = spec.rate.map(|r| r.0);
    match (rate, spec.burst) {
        (None, Some(_)) if !gate.doc.is_poisoned(&format!("{at}/rate")) => {
            gate.doc
                .error(Location::Key(&burst_at), "`burst` without `rate` limits nothing")
                .help("add `rate:`, such as `rate: 100/min`");
        }
        (Some(rate), Some(burst)) if burst > rate.count => {
            gate.doc
                .error(
                    Location::Value(&burst_at),
                    format!("`burst` is {burst}, above the rate's {}", rate.count),
                )
                .help("`burst` can only lower how many come at once; lower it or raise `rate`");
        }
        _ => {}
    }
    let body = spec.body.map_or(defaults.body, |b| b.0.as_usize());
    if body > server.max_body_bytes_in_flight {
        let own = format!("{at}/body");
        let key = match (gate.has(&own), gate.has("/defaults/limits/body")) {
            (true, _) => own.as_str(),
            (false, true) => "/defaults/limits/body",
            (false, false) => "/server/max_body_bytes_in_flight",
        };
        gate.doc
            .warn(Location::Value(key), "the limit of one body is above `server.max_body_bytes_in_flight`, so bodies near it are never taken")
            .help("raise `max_body_bytes_in_flight` or lower the limit");
    }
    Limits {
        body,
        rate: rate.map(|r| Rate { burst: spec.burst, ..r }),
        allow_ips: spec.allow_ips.into_iter().flatten().flatten().map(|n| n.0).collect(),
    }
}
