//! `firewall:` of a source: its rules, and the ones that admit nothing or have no effect.

use hookward_core::Provider;
use http::{HeaderName, Method, header};
use ipnet::IpNet;

use super::compile_cx::CompileCx;
use super::proxies;
use crate::compiled::{CompiledServer, Firewall, Limits};
use crate::config::document::Location;
use crate::config::raw_config;
use crate::config::scalars::NetworkText;
use crate::config::suggest::quoted_list;

/// What the source admits besides its firewall, against which the rules are judged.
pub(super) struct JudgedSource<'a> {
    pub(super) name: &'a str,
    pub(super) methods: &'a [Method],
    pub(super) media_types: &'static [&'static str],
    pub(super) provider: &'a dyn Provider,
    pub(super) limits: &'a Limits,
    pub(super) server: &'a CompiledServer,
}

/// Compiles the block at `at`.
pub(super) fn compile(
    cx: &mut CompileCx<'_>,
    at: &str,
    raw: raw_config::Firewall,
    source: &JudgedSource<'_>,
) -> Firewall {
    let (allowed, denied) = (networks(raw.allow_networks), networks(raw.deny_networks));
    let denied_headers = headers(cx, &format!("{at}/deny_headers"), raw.deny_headers);
    let firewall = Firewall {
        allow_networks: allowed.iter().map(|(_, net)| *net).collect(),
        deny_networks: denied.iter().map(|(_, net)| *net).collect(),
        methods: methods(cx, &format!("{at}/methods"), raw.methods, source),
        content_types: content_types(cx, &format!("{at}/content_types"), raw.content_types, source),
        max_size: raw.max_size.map(|size| size.0.as_usize()),
        require_headers: headers(cx, &format!("{at}/require_headers"), raw.require_headers)
            .into_iter()
            .map(|(_, name)| name)
            .collect(),
        deny_headers: denied_headers.iter().map(|(_, name)| name.clone()).collect(),
    };
    judge_networks(cx, &format!("{at}/allow_networks"), &allowed, &firewall, source);
    judge_denied_headers(cx, &format!("{at}/deny_headers"), &denied_headers, &firewall, source);
    if firewall.max_size.is_some_and(|max| max >= source.limits.body) {
        cx.document
            .warn(
                Location::Value(&format!("{at}/max_size")),
                format!("`max_size` has no effect: `limits.body` is {} bytes", source.limits.body),
            )
            .help("write a lower size, or remove `max_size`");
    }
    firewall
}

/// The networks that are written without a mistake, each with its index in the list.
fn networks(written: Option<Vec<Option<NetworkText>>>) -> Vec<(usize, IpNet)> {
    let items = written.into_iter().flatten().enumerate();
    items.filter_map(|(n, net)| Some((n, net?.0))).collect()
}

fn methods(
    cx: &mut CompileCx<'_>,
    at: &str,
    written: Option<Vec<Option<raw_config::SourceMethod>>>,
    source: &JudgedSource<'_>,
) -> Vec<Method> {
    let mut methods = Vec::new();
    for (n, method) in written.into_iter().flatten().enumerate() {
        let Some(method) = method.map(Method::from) else { continue };
        if !source.methods.contains(&method) {
            let allowed: Vec<_> = source.methods.iter().map(Method::as_str).collect();
            cx.document
                .error(
                    Location::Value(&format!("{at}/{n}")),
                    format!("source `{}` does not allow {method}", source.name),
                )
                .help(format!("write one or several of {}", quoted_list(&allowed)));
        }
        methods.push(method);
    }
    methods
}

fn content_types(
    cx: &mut CompileCx<'_>,
    at: &str,
    written: Option<Vec<Option<String>>>,
    source: &JudgedSource<'_>,
) -> Vec<String> {
    let mut types = Vec::new();
    for (n, written) in written.into_iter().flatten().enumerate() {
        let Some(written) = written else { continue };
        let media_type = written.to_ascii_lowercase();
        let item = format!("{at}/{n}");
        if !is_media_type(&media_type) {
            cx.document
                .error(Location::Value(&item), format!("`{written}` is not a media type"))
                .help("write one such as application/json, without parameters, or text/*");
            continue;
        }
        let class = media_type.strip_suffix('*');
        let is_sent = |sent: &&str| match class {
            Some(class) => sent.to_ascii_lowercase().starts_with(class),
            None => sent.eq_ignore_ascii_case(&media_type),
        };
        if !source.media_types.is_empty() && !source.media_types.iter().any(is_sent) {
            cx.document
                .error(
                    Location::Value(&item),
                    format!("source `{}` does not accept `{written}`", source.name),
                )
                .help(format!("write one or several of {}", quoted_list(source.media_types)));
        }
        types.push(media_type);
    }
    types
}

/// Whether a text is a type and a subtype, or a type and `*`.
fn is_media_type(text: &str) -> bool {
    let is_token = |t: &str| {
        !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    text.split_once('/').is_some_and(|(a, b)| is_token(a) && (b == "*" || is_token(b)))
}

/// The names that are written without a mistake, each with its index in the list.
fn headers(
    cx: &mut CompileCx<'_>,
    at: &str,
    written: Option<Vec<Option<String>>>,
) -> Vec<(usize, HeaderName)> {
    let mut names = Vec::new();
    for (n, written) in written.into_iter().flatten().enumerate() {
        let Some(written) = written else { continue };
        match HeaderName::try_from(&written) {
            Ok(name) => names.push((n, name)),
            Err(_) => {
                cx.document
                    .error(
                        Location::Value(&format!("{at}/{n}")),
                        format!("`{written}` is not a header name"),
                    )
                    .help(
                        "write a whole name of letters, digits and `-`, such as X-Forwarded-Host",
                    );
            }
        }
    }
    names
}

/// Reports denied headers that every genuine request has.
fn judge_denied_headers(
    cx: &mut CompileCx<'_>,
    at: &str,
    denied: &[(usize, HeaderName)],
    firewall: &Firewall,
    source: &JudgedSource<'_>,
) {
    let scheme = source.provider.scheme();
    for (n, name) in denied {
        let proves = scheme.is_some_and(|s| s.reads_signature_from(name.as_str()));
        let reason = if firewall.require_headers.contains(name) {
            "`require_headers` has it too"
        } else if proves {
            "the source is proven by it"
        } else if *name == header::HOST {
            "every request has it"
        } else if *name == header::CONTENT_TYPE && !firewall.content_types.is_empty() {
            "`content_types` needs it"
        } else {
            continue;
        };
        cx.document
            .error(
                Location::Value(&format!("{at}/{n}")),
                format!(
                    "`{name}` cannot be denied: genuine requests of source `{}` have it",
                    source.name
                ),
            )
            .label(reason)
            .help("remove this name");
    }
}

/// Reports networks that no client can be in, or that have no effect.
fn judge_networks(
    cx: &mut CompileCx<'_>,
    allow_at: &str,
    allowed: &[(usize, IpNet)],
    firewall: &Firewall,
    source: &JudgedSource<'_>,
) {
    let networks = &firewall.allow_networks;
    proxies::warn_unreachable_networks(cx, source.server, allow_at, source.name, networks);
    for (n, net) in allowed {
        let is_denied = firewall.deny_networks.iter().any(|denied| denied.contains(net));
        let is_limited_away = !source.limits.allow_ips.is_empty()
            && !source.limits.allow_ips.iter().any(|own| own.contains(net) || net.contains(own));
        let reason = match (is_denied, is_limited_away) {
            (true, _) => "`deny_networks` contains it",
            (false, true) => "`limits.allow_ips` does not admit it",
            (false, false) => continue,
        };
        cx.document
            .error(
                Location::Value(&format!("{allow_at}/{n}")),
                format!("no client of source `{}` can be in `{net}`", source.name),
            )
            .label(reason)
            .help("remove this network, or the one that contradicts it");
    }
}
