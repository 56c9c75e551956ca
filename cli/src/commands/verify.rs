//! `hookward verify`: verifies a captured request offline and explains a failure, or runs a file of vectors.

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
use crate::{EXIT_USAGE, output};
use choose::ChooseError;
use outcome::VerifyOutcome;

/// Verify a captured request or a file of vectors offline, and explain why verification fails
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hookward verify --provider stripe --secret whsec_… --at 2026-11-23T13:00:00Z captured.http
  hookward verify --provider standard_webhooks --with scheme=svix --secret @secret.txt -
  hookward verify --vectors vectors.json

A .http file is one raw request: `POST https://hooks.example.com/webhooks/stripe HTTP/1.1`, the
headers, an empty line, and the exact bytes of the body up to the end of the file.")]
pub(crate) struct VerifyArgs {
    /// The provider of the request, as listed by `hookward plugins`
    #[arg(long, value_name = "NAME", required_unless_present = "vectors")]
    provider: Option<String>,
    /// The signing secret; repeat it to try several in order. `@FILE` reads it from a file
    #[arg(long = "secret", value_name = "S", value_parser = parse_secret)]
    secrets: Vec<Secret>,
    /// A key of the provider's `with:` block, such as `signature.name=X-Sig`. `@FILE` as the value
    /// reads it from a file; `scheme=ID` picks the variant where a provider has several
    #[arg(long, value_name = "KEY=VALUE")]
    with: Vec<String>,
    /// Time of verification, as RFC 3339 or Unix seconds; default: now
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    at: Option<Timestamp>,
    /// Tolerance of the signed time, such as 5m; default: the provider's documented one
    #[arg(long, value_name = "D", value_parser = parse_tolerance)]
    tolerance: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Run a file of vectors instead
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
    let result = match &args.vectors {
        Some(file) => vectors::run(file, registry).await,
        None => verify_request(&args, registry).await,
    };
    result.unwrap_or_else(|message| output::fail(EXIT_USAGE, message))
}

/// Verifies one request. An error is wrong usage of the command.
async fn verify_request(args: &VerifyArgs, registry: &Registry) -> Result<ExitCode, String> {
    let name = args.provider.as_deref().unwrap_or_default();
    let (mut with, scheme) = settings::parse_block(&args.with)?;
    let keys = settings::take_keys(&mut with);
    let chosen = match choose::choose(registry, name, scheme.as_deref(), with) {
        Ok(chosen) => chosen,
        Err(ChooseError::Unknown(explanation)) => {
            let code = "UNKNOWN_PROVIDER";
            VerifyOutcome::Reject { code, explanation }.print(args.json);
            return Ok(ExitCode::from(EXIT_USAGE));
        }
        Err(ChooseError::Config(message)) => return Err(message),
    };
    let secrets = args.secrets.iter().map(resolve_secret).collect::<Result<Vec<_>, _>>()?;
    let needed = chosen.descriptor.needs_secret && !chosen.provider.proves_without_secret();
    if secrets.is_empty() && needed {
        return Err(format!("`{}` needs a secret; use --secret", chosen.descriptor.name));
    }
    let file = args.file.as_deref().unwrap_or_else(|| Path::new("-"));
    let bytes = read_file_or_stdin(file).map_err(|e| format!("{}: {e}", file.display()))?;
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
    let outcome = VerifyOutcome::verify(&trial.with_known_scheme()).await;
    outcome.print(args.json);
    Ok(outcome.exit_code())
}

fn read_file_or_stdin(file: &Path) -> std::io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return std::fs::read(file);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the secret; `@FILE` is read from the file, because a secret on the command line is
/// visible in process lists. One line end at the end of the file is removed, because editors add it.
fn resolve_secret(secret: &Secret) -> Result<Secret, String> {
    let Some(path) = secret.expose().strip_prefix('@') else { return Ok(secret.clone()) };
    let text = std::fs::read_to_string(path)
        .map_err(|e| format!("--secret @FILE: the file cannot be read: {e}"))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    Ok(Secret::new(text))
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a value parser")]
fn parse_secret(text: &str) -> Result<Secret, String> {
    Ok(Secret::new(text))
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let unix = || text.parse().ok().map(Timestamp::from_secs);
    Timestamp::parse_rfc3339(text).or_else(unix).ok_or_else(|| {
        "write RFC 3339, such as 2026-11-23T13:00:00Z, or Unix seconds, such as 1795438800"
            .to_owned()
    })
}

fn parse_tolerance(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds
        .map_or_else(|| text.parse::<HumanDuration>().map(|d| d.0).map_err(|e| e.to_string()), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_loses_one_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        let given = Secret::new(format!("@{}", file.display()));
        for (text, secret) in
            [("a b", "a b"), ("a b\n", "a b"), ("a b\r\n", "a b"), ("a\n\n", "a\n")]
        {
            std::fs::write(&file, text).unwrap();
            assert_eq!(resolve_secret(&given).unwrap().expose(), secret);
        }
        std::fs::remove_file(&file).unwrap();
        assert!(resolve_secret(&given).unwrap_err().contains("cannot be read"));
        assert_eq!(resolve_secret(&Secret::new("whsec_@")).unwrap().expose(), "whsec_@");
    }

    #[test]
    fn times_and_tolerances_parse_in_both_forms() {
        assert_eq!(parse_time("1760000000"), parse_time("2025-10-09T08:53:20Z"));
        assert_eq!(parse_time("-1"), Ok(Timestamp::from_secs(-1)));
        assert!(parse_time("yesterday").unwrap_err().contains("RFC 3339"));
        assert_eq!(parse_tolerance("300"), parse_tolerance("5m"));
        assert!(parse_tolerance("soon").is_err());
    }
}
