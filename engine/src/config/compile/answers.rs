//! `reply:`, `keep_headers:` and `methods:` of a source: what its sender is answered, which of its
//! headers are stored, and how it may call.

use hookward_core::plugin::ProviderDescriptor;
use hookward_core::{Provider, Reply, is_credential_header};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::compile_cx::CompileCx;
use crate::config::document::Location;
use crate::config::suggest::quoted_list;
use crate::config::{pointer, raw_config};

/// The headers stored with every event: the type of the body, the trace, and the sender's software.
const ALWAYS_STORED_HEADERS: [&str; 3] = ["content-type", "traceparent", "user-agent"];

/// The maximum size of a reply's body, in bytes. It is stored with every event of the source.
const MAX_REPLY_BODY_BYTES: usize = 4096;

/// The maximum size of one header of a reply, name and value together, in bytes.
const MAX_REPLY_HEADER_BYTES: usize = 1024;

/// Headers that describe the message and the connection. The server sets them, and another value
/// would contradict the message that is really sent.
const CONNECTION_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Compiles `reply:`, the answer to every accepted delivery of the source; `None` where the
/// provider makes it.
pub(super) fn reply(
    cx: &mut CompileCx<'_>,
    source_at: &str,
    raw: Option<raw_config::SourceReply>,
) -> Option<Reply> {
    let raw = raw?;
    let at = format!("{source_at}/reply");
    let status = raw.status.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.unwrap_or(StatusCode::OK);
    let body = raw.body.unwrap_or_default();
    check_body(cx, &format!("{at}/body"), status, &body);
    let mut reply = Reply::empty(status);
    for (name, value) in raw.headers.into_iter().flatten() {
        let header_at = pointer::join(&format!("{at}/headers"), &name);
        if let Some(value) = value
            && let Some((parsed, value)) = reply_header(cx, &header_at, &name, &value)
        {
            if reply.headers.iter().any(|(other, _)| *other == parsed) {
                cx.document
                    .error(Location::Key(&header_at), format!("`{name}` is set twice"))
                    .help("upper and lower case are equivalent; remove one of them");
            }
            reply.headers.push((parsed, value));
        }
    }
    let is_typed = reply.headers.iter().any(|(name, _)| *name == header::CONTENT_TYPE);
    if !body.is_empty() && !is_typed {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        reply.headers.push((header::CONTENT_TYPE, text));
    }
    Some(reply.with_body(body))
}

fn check_body(cx: &mut CompileCx<'_>, at: &str, status: StatusCode, body: &str) {
    if body.len() > MAX_REPLY_BODY_BYTES {
        cx.document
            .error(Location::Value(at), format!("the body has {} bytes", body.len()))
            .label(format!("at most {MAX_REPLY_BODY_BYTES} are allowed"))
            .help("the body is stored with every event, so that a repetition gets the same answer");
    }
    if matches!(status.as_u16(), 204 | 205) && !body.is_empty() {
        cx.document
            .error(
                Location::Value(at),
                format!("an answer with status {} has no body", status.as_u16()),
            )
            .help("remove `body`, or write `status: 200`");
    }
}

/// Parses one header of a reply; reports what is wrong with it.
fn reply_header(
    cx: &mut CompileCx<'_>,
    at: &str,
    name: &str,
    value: &str,
) -> Option<(HeaderName, HeaderValue)> {
    let Ok(parsed) = HeaderName::try_from(name) else {
        cx.document
            .error(Location::Key(at), format!("`{name}` is not a header name"))
            .help("write a name of letters, digits and `-`, such as Content-Type");
        return None;
    };
    if CONNECTION_HEADERS.contains(&parsed.as_str()) {
        cx.document
            .error(Location::Key(at), format!("`{name}` is set by the server"))
            .help("remove it");
        return None;
    }
    let size = name.len() + value.len();
    let parsed_value = HeaderValue::try_from(value).ok();
    let Some(parsed_value) = parsed_value.filter(|_| size <= MAX_REPLY_HEADER_BYTES) else {
        cx.document
            .error(Location::Value(at), format!("the value of `{name}` cannot be sent in a header"))
            .help(format!("write one line of at most {MAX_REPLY_HEADER_BYTES} bytes"));
        return None;
    };
    Some((parsed, parsed_value))
}

/// The names of the headers stored with each event, in lower case and sorted: those that the
/// provider names, those under `keep_headers:`, and a few that are always safe.
pub(super) fn stored_headers(
    cx: &mut CompileCx<'_>,
    source_at: &str,
    written: Option<Vec<Option<String>>>,
    descriptor: &ProviderDescriptor,
    provider: &dyn Provider,
) -> Vec<String> {
    let own = descriptor.keep_headers.iter().chain(&ALWAYS_STORED_HEADERS);
    let mut names: Vec<String> = own.map(|name| name.to_ascii_lowercase()).collect();
    for (n, name) in written.into_iter().flatten().enumerate() {
        let at = format!("{source_at}/keep_headers/{n}");
        if let Some(name) = name
            && let Some(name) = kept_header(cx, &at, &name, provider)
        {
            names.push(name);
        }
    }
    names.sort();
    names.dedup();
    names
}

/// Checks one name under `keep_headers:`, and returns it in lower case.
fn kept_header(
    cx: &mut CompileCx<'_>,
    at: &str,
    written: &str,
    provider: &dyn Provider,
) -> Option<String> {
    let Ok(name) = HeaderName::try_from(written) else {
        cx.document
            .error(Location::Value(at), format!("`{written}` is not a header name"))
            .help("write a whole name of letters, digits and `-`, such as X-Goog-Channel-ID");
        return None;
    };
    let proves = provider.scheme().is_some_and(|scheme| scheme.reads_signature_from(name.as_str()));
    if proves || is_credential_header(name.as_str()) {
        cx.document
            .error(Location::Value(at), format!("the header `{written}` cannot be kept"))
            .label(if proves {
                "the source is proven by it"
            } else {
                "by its name it is a credential or a signature"
            })
            .help("stored headers are read by operators and handlers; remove this name");
        return None;
    }
    Some(name.as_str().to_owned())
}

/// Compiles `methods:`, the methods that a source allows. Without it, those of its provider.
pub(super) fn methods(
    cx: &mut CompileCx<'_>,
    source_at: &str,
    written: Option<Vec<Option<raw_config::SourceMethod>>>,
    descriptor: &ProviderDescriptor,
    provider: &dyn Provider,
) -> Vec<Method> {
    let parse = |name: &&str| Method::from_bytes(name.as_bytes()).ok();
    let own: Vec<Method> = descriptor.methods.iter().filter_map(parse).collect();
    let Some(written) = written else { return own };
    let mut methods = Vec::new();
    for (n, method) in written.into_iter().enumerate() {
        let Some(method) = method.map(Method::from) else { continue };
        // HEAD is a probe of any sender. Any other method can carry an event, and only a provider
        // knows what its sender signs of it, unless it signs nothing: a token vouches for all.
        let is_trigger = provider.proves_any_method()
            && [Method::GET, Method::PUT, Method::PATCH, Method::DELETE].contains(&method);
        if method != Method::HEAD && !is_trigger && !own.contains(&method) {
            let at = format!("{source_at}/methods/{n}");
            let mut allowed = descriptor.methods.to_vec();
            allowed.push("HEAD");
            allowed.dedup();
            cx.document
                .error(
                    Location::Value(&at),
                    format!("senders of `{}` do not use {method}", descriptor.name),
                )
                .help(format!("write one or several of {}; sources that prove a token or nothing (`bearer`, `basic`, `none`, `hmac` with `alg: equal`) also allow `GET`, `PUT`, `PATCH` and `DELETE`", quoted_list(&allowed)));
        } else if !methods.contains(&method) {
            methods.push(method);
        }
    }
    if methods.iter().all(|method| *method == Method::HEAD) && !methods.is_empty() {
        cx.document
            .error(
                Location::Value(&format!("{source_at}/methods")),
                "a source that allows HEAD alone receives no events",
            )
            .help("write `methods: [POST, HEAD]`");
    }
    methods
}

impl From<raw_config::SourceMethod> for Method {
    fn from(raw: raw_config::SourceMethod) -> Self {
        match raw {
            raw_config::SourceMethod::Post => Self::POST,
            raw_config::SourceMethod::Get => Self::GET,
            raw_config::SourceMethod::Put => Self::PUT,
            raw_config::SourceMethod::Patch => Self::PATCH,
            raw_config::SourceMethod::Delete => Self::DELETE,
            raw_config::SourceMethod::Head => Self::HEAD,
            raw_config::SourceMethod::Options => Self::OPTIONS,
        }
    }
}
