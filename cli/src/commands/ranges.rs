//! `hookward ranges`: the networks from which senders call, for `allow_ips: provider`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use hookward_core::{Clock, SystemClock};
use hookward_engine::sender_ranges::{self, DatedRanges, LOCAL_FILE, LocalRanges, PublishedRanges};
use serde_json::json;

use crate::{EXIT_ERROR, EXIT_USAGE, client, output};

/// Show or fetch the networks from which senders call, for `allow_ips: provider`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookward ranges list")]
pub(crate) struct RangesArgs {
    #[command(subcommand)]
    command: RangesCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RangesCommand {
    List(ListArgs),
    Update(UpdateArgs),
}

/// List the senders whose networks are known, and how old that knowledge is
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookward ranges list --json")]
struct ListArgs {
    #[command(flatten)]
    routes: super::RoutesFile,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Fetch the networks that senders publish, into hookward-ranges.json beside ROUTES
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A server uses the file after its next start or reload (SIGHUP). What cannot be fetched stays as it was, and the exit code is 1.\n\nExample:\n  hookward ranges update --provider github --provider stripe"
)]
struct UpdateArgs {
    #[command(flatten)]
    routes: super::RoutesFile,
    /// Only the networks of this provider; may be repeated
    #[arg(long, value_name = "NAME")]
    provider: Vec<String>,
    /// Fetch from a mirror instead of the sender: https, or http on this machine
    #[arg(long, value_name = "NAME=URL", value_parser = parse_mirror)]
    mirror: Vec<(String, String)>,
}

fn parse_mirror(text: &str) -> Result<(String, String), String> {
    let (provider, url) = text.split_once('=').ok_or("write NAME=URL")?;
    let parsed = url::Url::parse(url).map_err(|e| format!("`{url}`: {e}"))?;
    let is_local = match parsed.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match parsed.scheme() {
        "https" => {}
        "http" if is_local => {}
        _ => return Err(format!("`{url}` is not https: anyone on the way could change the list")),
    }
    Ok((provider.to_owned(), url.to_owned()))
}

pub(crate) async fn run(args: RangesArgs) -> ExitCode {
    match args.command {
        RangesCommand::List(args) => list(&args),
        RangesCommand::Update(args) => update(&args).await,
    }
}

/// The file with fetched networks that belongs to a routes.yaml.
fn local_file(routes: &Path) -> PathBuf {
    routes.with_file_name(LOCAL_FILE)
}

/// Reads the fetched networks; none where nothing was fetched yet.
fn read_local(file: &Path) -> Result<LocalRanges, String> {
    match std::fs::read(file) {
        Ok(text) => sender_ranges::parse_local(&text)
            .map_err(|e| format!("{}: {e}; correct or remove it", file.display())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(LocalRanges::new()),
        Err(e) => Err(format!("{} cannot be read: {e}", file.display())),
    }
}

fn list(args: &ListArgs) -> ExitCode {
    let local = match read_local(&local_file(&args.routes.routes)) {
        Ok(local) => local,
        Err(e) => return output::fail(EXIT_ERROR, e),
    };
    let known = |name: &str, published: &PublishedRanges| {
        local.get(name).cloned().or_else(|| published.dated())
    };
    if args.json {
        let all = sender_ranges::shipped().map(|(name, published)| {
            let ranges = known(name, published);
            json!({
                "provider": name, "date": ranges.as_ref().map(|r| &r.date),
                "source": ranges.as_ref().map_or(&published.page, |r| &r.source),
                "networks": ranges.as_ref().map(|r| &r.networks),
                "feed": !published.feeds.is_empty(),
            })
        });
        output::line(serde_json::Value::from_iter(all));
        return ExitCode::SUCCESS;
    }
    for (name, published) in sender_ranges::shipped() {
        match known(name, published) {
            Some(ranges) => {
                let networks = ranges.networks.len();
                output::line(format!(
                    "{name}: {networks} networks of {}, {}",
                    ranges.date, ranges.source
                ));
            }
            None => output::line(format!("{name}: not fetched yet, {}", published.page)),
        }
    }
    ExitCode::SUCCESS
}

async fn update(args: &UpdateArgs) -> ExitCode {
    let known: Vec<&str> = sender_ranges::shipped().map(|(name, _)| name).collect();
    let named = args.provider.iter().chain(args.mirror.iter().map(|(name, _)| name));
    if let Some(unknown) = named.into_iter().find(|name| !known.contains(&name.as_str())) {
        let text = format!("no list of `{unknown}` is known; known are {}", known.join(", "));
        return output::fail(EXIT_USAGE, text);
    }
    let file = local_file(&args.routes.routes);
    let mut local = match read_local(&file) {
        Ok(local) => local,
        Err(e) => return output::fail(EXIT_ERROR, e),
    };
    let mirrors: BTreeMap<&str, &str> =
        args.mirror.iter().map(|(name, url)| (name.as_str(), url.as_str())).collect();
    let mut failed = false;
    for (name, published) in sender_ranges::shipped() {
        let is_wanted = args.provider.is_empty() || args.provider.iter().any(|own| own == name);
        if !is_wanted {
            continue;
        }
        match fetch(published, mirrors.get(name).copied()).await {
            Ok(ranges) => {
                let networks = ranges.networks.len();
                output::line(format!("{name}: {networks} networks from {}", ranges.source));
                local.insert(name.to_owned(), ranges);
            }
            // Asked for all, a sender without a list for programs is no failure.
            Err(FetchError::NoFeed) if args.provider.is_empty() => {}
            Err(error) => {
                failed = true;
                output::note(format!("error: {name}: {error}"));
            }
        }
    }
    if let Err(e) = write_local(&file, &local) {
        return output::fail(EXIT_ERROR, format!("{} cannot be written: {e}", file.display()));
    }
    if failed { ExitCode::from(EXIT_ERROR) } else { ExitCode::SUCCESS }
}

/// Why the networks of a sender were not fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the sender publishes its networks on a page only; write them into `allow_ips`")]
    NoFeed,
    #[error("{0}")]
    Failed(String),
}

/// Fetches all lists of one sender. An implausible one is an error: it would admit nobody, or
/// everybody.
async fn fetch(
    published: &PublishedRanges,
    mirror: Option<&str>,
) -> Result<DatedRanges, FetchError> {
    let source = published.feeds.first().ok_or(FetchError::NoFeed)?.url.clone();
    let mut networks = Vec::new();
    for feed in &published.feeds {
        let url = mirror.unwrap_or(&feed.url);
        let failed = |reason: String| FetchError::Failed(format!("{url}: {reason}"));
        let request = http::Request::get(url)
            .header(http::header::USER_AGENT, concat!("hookward/", env!("CARGO_PKG_VERSION")))
            .body(Bytes::new())
            .map_err(|e| failed(e.to_string()))?;
        let answer = client::send(request, None).await.map_err(|e| failed(e.message))?;
        // A redirect is not followed: where a list is, is known.
        if answer.status() != http::StatusCode::OK {
            return Err(failed(format!("it answered with {}", answer.status())));
        }
        networks.extend(feed.read(answer.body()).map_err(failed)?);
    }
    networks.sort();
    networks.dedup();
    let date = SystemClock.now().to_string();
    let date = date.split('T').next().unwrap_or_default().to_owned();
    Ok(DatedRanges { date, source, networks })
}

/// Replaces the file as a whole, so that a reload never reads half of it.
fn write_local(file: &Path, local: &LocalRanges) -> std::io::Result<()> {
    let text = serde_json::to_string_pretty(local)?;
    let new = file.with_extension("json.new");
    let mut out = std::fs::File::create(&new)?;
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.sync_all()?;
    std::fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_https_or_on_this_machine() {
        for good in ["github=https://mirror.example/meta", "github=http://127.0.0.1:8000/meta"] {
            assert!(parse_mirror(good).is_ok(), "{good}");
        }
        for bad in [
            "github",
            "github=meta",
            "github=http://mirror.example/meta",
            "github=file:///etc/passwd",
        ] {
            assert!(parse_mirror(bad).is_err(), "{bad}");
        }
    }
}
