//! `hookward send`: signs an event the way its provider does, and posts it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use hookward::plugin::{BuildCx, Registry};
use hookward_core::plugin::ProviderDescriptor;
use hookward_core::{Body, Clock, EventDraft, EventId, Provider, Request, Secret, SystemClock};
use rustls::pki_types::CertificateDer;

use crate::{EXIT_ERROR, EXIT_USAGE, client, output};

/// The secrets of `examples/quickstart/routes.yaml`, so that `send` needs no flags there. They are public:
/// never use them for real sources.
pub(crate) const DEMO_SECRETS: &[(&str, &str)] = &[
    ("stripe", "whsec_hookward_quickstart"),
    ("github", "hookward-quickstart"),
    ("shopify", "hookward-quickstart"),
    ("slack", "hookward-quickstart"),
    ("standard_webhooks", "whsec_aG9va3dhcmQtcXVpY2tzdGFydC1zZWNyZXQh"),
];

/// Sign a sample event or a file the way the provider does, and post it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  hookward send stripe payment_intent.succeeded\n  hookward send github push --routes routes.yaml --data push.json"
)]
pub(crate) struct SendArgs {
    /// The source's name; without a routes.yaml, a provider's
    source: String,
    /// The provider's event type
    #[arg(value_name = "TYPE")]
    event_type: String,
    /// The routing table that has the source [default: routes.yaml, if it exists]; without
    /// one, the secrets of the quickstart are used
    #[arg(long, value_name = "ROUTES")]
    routes: Option<PathBuf>,
    /// URL to send to; the source's path is added if the URL has none
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Send the bytes of this file as the body
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Sign with this secret instead of the configured one
    #[arg(long, value_name = "S")]
    secret: Option<String>,
    /// Print the request as a .http file instead of sending it
    #[arg(long)]
    print: bool,
}

/// What is needed to sign and send a request.
struct SendTarget {
    provider: Arc<dyn Provider>,
    descriptor: ProviderDescriptor,
    secret: Option<Secret>,
    url: String,
    /// The certificate of the server of the routes.yaml, for HTTPS.
    certificate: Option<CertificateDer<'static>>,
    /// The URL as the receiver knows it, for senders that sign it.
    public_url: String,
}

pub(crate) async fn run(args: SendArgs, registry: &Registry) -> ExitCode {
    let target = match find_target(&args, registry) {
        Ok(target) => target,
        Err(e) => return output::fail(EXIT_USAGE, e),
    };
    let request = match sign_request(&args, &target) {
        Ok(request) => request,
        Err(e) => return output::fail(EXIT_USAGE, e),
    };
    if args.print {
        return print_request(&request, &with_signed_query(&target.public_url, &request));
    }
    let url = with_signed_query(&target.url, &request);
    post_request(request, &url, target.certificate).await
}

fn find_target(args: &SendArgs, registry: &Registry) -> Result<SendTarget, String> {
    let default_file = PathBuf::from("routes.yaml");
    let file = args.routes.clone().or_else(|| default_file.exists().then_some(default_file));
    match file {
        Some(file) => target_from_routes(args, &file, registry),
        None => target_from_provider(args, registry),
    }
}

fn target_from_routes(
    args: &SendArgs,
    file: &std::path::Path,
    registry: &Registry,
) -> Result<SendTarget, String> {
    let config = super::load(file)?.config;
    let source = config.sources.get(args.source.as_str()).ok_or_else(|| {
        let known: Vec<_> = config.sources.keys().map(|n| n.as_ref()).collect();
        format!(
            "there is no source `{}` in {}; its sources are: {}",
            args.source,
            file.display(),
            known.join(", ")
        )
    })?;
    let descriptor = registry.provider(source.provider_name).copied();
    let descriptor = descriptor.ok_or("this source's provider is not linked")?;
    let now = SystemClock.now();
    let configured = source.secrets.active(now).iter().next().map(|(_, s)| s.clone());
    let tls = config.server.tls.as_ref().filter(|_| args.to.is_none());
    let certificate = tls.and_then(|tls| tls.certified_key().cert.first().cloned());
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listen = format!("{scheme}://{}", config.server.listen);
    let url = delivery_url(args.to.as_deref().unwrap_or(&listen), &source.path)?;
    let public_url = match &config.server.public_url {
        Some(base) => format!("{}{}", base.trim_end_matches('/'), source.path),
        None => url.clone(),
    };
    let secret = args.secret.as_ref().map(Secret::new).or(configured);
    let provider = source.provider.clone();
    Ok(SendTarget { provider, descriptor, secret, url, certificate, public_url })
}

fn target_from_provider(args: &SendArgs, registry: &Registry) -> Result<SendTarget, String> {
    let descriptor = *registry.provider(&args.source).ok_or_else(|| {
        format!(
            "there is no routes.yaml here, and no provider `{}`; use --routes, or one of the providers: {}",
            args.source,
            registry.names("provider").join(", ")
        )
    })?;
    let cx = BuildCx::new(std::path::Path::new("."), &args.source);
    let built = (descriptor.build)(serde_json::Value::Null, &cx);
    let provider = built.map_err(|e| format!("`{}` needs a routes.yaml: {e}", args.source))?;
    let demo = DEMO_SECRETS.iter().find(|(name, _)| *name == args.source).map(|(_, s)| *s);
    let secret = args.secret.as_deref().or(demo).map(Secret::new);
    let to = args.to.as_deref().unwrap_or("http://127.0.0.1:8080");
    let url = delivery_url(to, &format!("/webhooks/{}", args.source))?;
    Ok(SendTarget { provider, descriptor, secret, public_url: url.clone(), url, certificate: None })
}

/// The URL to post to: `--to` with the source's path if it has none.
fn delivery_url(to: &str, path: &str) -> Result<String, String> {
    let mut url = url::Url::parse(to).map_err(|e| format!("--to {to}: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("--to {to}: write http://HOST:PORT or https://HOST"));
    }
    if url.path() == "/" {
        url.set_path(path);
    }
    Ok(url.into())
}

/// The URL with the query that was signed: some senders put a hash of the body into the query.
fn with_signed_query(url: &str, request: &Request) -> String {
    match (url.split('?').next(), request.head.query()) {
        (Some(base), Some(query)) => format!("{base}?{query}"),
        _ => url.to_owned(),
    }
}

fn sign_request(args: &SendArgs, target: &SendTarget) -> Result<Request, String> {
    let signer = target.provider.signer().ok_or_else(|| {
        format!(
            "cannot sign requests of `{}`: its sender signs with a private key or inside the body",
            target.descriptor.name
        )
    })?;
    let now = SystemClock.now();
    let exact = target.descriptor.samples.iter().find(|s| s.event_type == args.event_type);
    let sample = exact.or_else(|| target.descriptor.samples.iter().find(|s| s.event_type == "*"));
    let new_id = EventId::generate(now).to_string();
    let prefix = sample.map_or("", |s| s.id_prefix);
    let event_id = match prefix {
        "" => new_id,
        prefix => format!("{prefix}{}", new_id.replace('-', "")),
    };
    let body = match (&args.data, sample) {
        (Some(file), _) => std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?,
        (None, Some(sample)) => sample.render(&args.event_type, &event_id, now).into_bytes(),
        (None, None) => {
            return Err("there is no sample of this event type; use --data FILE".to_owned());
        }
    };
    let secret = match &target.secret {
        Some(secret) => secret.clone(),
        None if !target.descriptor.needs_secret => Secret::new("none"),
        None => return Err("there is no secret to sign with; use --secret".to_owned()),
    };
    let draft = EventDraft::new(
        args.event_type.clone(),
        event_id,
        Body::new(body),
        target.public_url.clone(),
        now,
    );
    signer.sign(&draft, &secret).map_err(|e| e.to_string())
}

fn print_request(request: &Request, url: &str) -> ExitCode {
    use std::io::Write;
    let mut head = format!("{} {url} HTTP/1.1\r\n", request.head.method);
    for (name, value) in &request.head.headers {
        head.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    }
    let mut out = std::io::stdout().lock();
    let written = out
        .write_all(head.as_bytes())
        .and_then(|()| out.write_all(b"\r\n"))
        .and_then(|()| out.write_all(request.body.bytes()))
        .and_then(|()| out.flush());
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => output::fail(EXIT_ERROR, e),
    }
}

async fn post_request(
    request: Request,
    url: &str,
    certificate: Option<CertificateDer<'static>>,
) -> ExitCode {
    let mut builder = http::Request::builder().method(request.head.method.clone()).uri(url);
    for (name, value) in &request.head.headers {
        builder = builder.header(name, value);
    }
    let built = match builder.body(Bytes::clone(request.body.bytes())) {
        Ok(built) => built,
        Err(e) => return output::fail(EXIT_USAGE, e),
    };
    match client::send(built, certificate).await {
        Ok(answer) => {
            output::line(format!("HTTP/1.1 {}", answer.status()));
            if !answer.body().is_empty() {
                output::line(String::from_utf8_lossy(answer.body()));
            }
            ExitCode::from(if answer.status().is_success() { 0 } else { EXIT_ERROR })
        }
        Err(e) => output::fail(EXIT_ERROR, e.message),
    }
}
