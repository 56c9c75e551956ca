//! `hookward verify`: judges one captured request offline and says why it fails, or runs a file of
//! vectors.

mod choose;
mod outcome;
mod settings;
mod vectors;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use hookward_core::plugin::Registry;
use hookward_core::{Clock, HumanDuration, Secret, SystemClock, Timestamp};

use crate::diagnose::Trial;
use crate::http_file::{self, Captured};
use crate::{USAGE, output};
use choose::Unusable;
use outcome::Outcome;

/// Verify one captured request, or a file of vectors, offline, and say why it fails
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hookward verify --provider stripe --secret whsec_… --at 2026-11-23T13:00:00Z captured.http
  hookward verify --provider standard_webhooks --with scheme=svix --secret @secret.txt -
  hookward verify --vectors vectors.json

A .http file is one raw request: `POST https://hooks.example.com/webhooks/stripe HTTP/1.1`, the
headers, an empty line, and the exact bytes of the body up to the end of the file.")]
pub(crate) struct VerifyArgs {
    /// Whose request it is: a name of `hookward plugins`
    #[arg(long, value_name = "NAME", required_unless_present = "vectors")]
    provider: Option<String>,
    /// The signing secret; several are tried in order. `@FILE` reads it from a file
    #[arg(long = "secret", value_name = "S", value_parser = hidden)]
    secrets: Vec<Secret>,
    /// A key of the provider's `with:` block, such as `signature.name=X-Sig`. `@FILE` as the value
    /// reads it from a file; `scheme=ID` picks the variant where a provider has several
    #[arg(long, value_name = "KEY=VALUE")]
    with: Vec<String>,
    /// The present moment, as RFC 3339 or Unix seconds; default: now
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    at: Option<Timestamp>,
    /// How far a signed time may be from then, such as 5m; default: as the provider documents
    #[arg(long, value_name = "D", value_parser = span)]
    tolerance: Option<Duration>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Judge a file of vectors instead
    #[arg(
        long,
        value_name = "FILE.json",
        conflicts_with_all = ["provider", "secrets", "with", "at", "tolerance", "file"]
    )]
    vectors: Option<PathBuf>,
    /// The captured request; `-` is standard input
    #[arg(value_name = "FILE.http", required_unless_present = "vectors")]
    file: Option<PathBuf>,
}

pub(crate) async fn run(args: VerifyArgs, registry: &Registry) -> ExitCode {
    let done = match &args.vectors {
        Some(file) => vectors::run(file, registry).await,
        None => one(&args, registry).await,
    };
    done.unwrap_or_else(|message| output::fail(USAGE, message))
}

/// Judges one request. The error is a wrong use of the command.
async fn one(args: &VerifyArgs, registry: &Registry) -> Result<ExitCode, String> {
    let name = args.provider.as_deref().unwrap_or_default();
    let (mut with, scheme) = settings::block(&args.with)?;
    let keys = settings::take_keys(&mut with);
    let chosen = match choose::choose(registry, name, scheme.as_deref(), with) {
        Ok(chosen) => chosen,
        Err(Unusable::Unknown(explanation)) => {
            let code = "UNKNOWN_PROVIDER";
            Outcome::Reject { code, explanation }.print(args.json);
            return Ok(ExitCode::from(USAGE));
        }
        Err(Unusable::Config(message)) => return Err(message),
    };
    let secrets = args.secrets.iter().map(from_file).collect::<Result<Vec<_>, _>>()?;
    let needed = chosen.descriptor.needs_secret && !chosen.provider.proves_without_secret();
    if secrets.is_empty() && needed {
        return Err(format!(
            "`{}` verifies with a secret; give it with --secret",
            chosen.descriptor.name
        ));
    }
    let file = args.file.as_deref().unwrap_or_else(|| Path::new("-"));
    let bytes = read(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let Captured { request, public_url } =
        http_file::parse(&bytes).map_err(|e| format!("{}: {e}", file.display()))?;
    let trial = Trial {
        registry,
        name: chosen.descriptor.name,
        provider: chosen.provider,
        with: chosen.with,
        scheme: None,
        request,
        public_url,
        secrets,
        now: args.at.unwrap_or_else(|| SystemClock.now()),
        tolerance: args.tolerance,
        keys,
    };
    let outcome = Outcome::of(&trial.with_known_scheme()).await;
    outcome.print(args.json);
    Ok(outcome.exit())
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return std::fs::read(file);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A secret on the command line shows in process lists, so it may stand in a file. The end of line
/// that editors put behind it is not part of it.
fn from_file(secret: &Secret) -> Result<Secret, String> {
    let Some(path) = secret.expose().strip_prefix('@') else { return Ok(secret.clone()) };
    let text = std::fs::read_to_string(path)
        .map_err(|e| format!("--secret @FILE: the file cannot be read: {e}"))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    Ok(Secret::new(text))
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a value parser")]
fn hidden(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let unix = || text.parse().ok().map(Timestamp::from_secs);
    Timestamp::parse_rfc3339(text).or_else(unix).ok_or_else(|| {
        "write RFC 3339, such as 2026-11-23T13:00:00Z, or Unix seconds, such as 1795438800"
            .to_owned()
    })
}

fn span(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.map_or_else(|| HumanDuration::parse(text).map(|p| p.0), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_file_ends_before_its_newline() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let given = Secret::new(format!("@{}", file.display()));
        for (text, secret) in
            [("a b", "a b"), ("a b\n", "a b"), ("a b\r\n", "a b"), ("a\n\n", "a\n")]
        {
            std::fs::write(&file, text).unwrap();
            assert_eq!(from_file(&given).unwrap().expose(), secret);
        }
        std::fs::remove_file(&file).unwrap();
        assert!(from_file(&given).unwrap_err().contains("cannot be read"));
        assert_eq!(from_file(&Secret::new("whsec_@")).unwrap().expose(), "whsec_@");
    }

    #[test]
    fn moments_and_spans_read_as_people_write_them() {
        assert_eq!(moment("1760000000"), moment("2025-10-09T08:53:20Z"));
        assert_eq!(moment("-1"), Ok(Timestamp::from_secs(-1)));
        assert!(moment("yesterday").unwrap_err().contains("RFC 3339"));
        assert_eq!(span("300"), span("5m"));
        assert!(span("soon").is_err());
    }
}
