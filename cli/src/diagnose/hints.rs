//! Hints about the request and the secrets that no verification can confirm. Used when undoing a known mistake
//! does not make the signature match.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use hookward_core::VerifyError;
use http::header;

use super::secret::secret_label;
use super::{Trial, body, rewrite, sender};

/// A hint: its sentence, if it applies.
type Hint = fn(&Trial<'_>, &VerifyError) -> Option<String>;

const HINTS: &[Hint] = &[
    other_sender,
    missing_signature,
    other_credential,
    placeholder_secret,
    unusable_secret,
    digest_length,
    content_length,
    empty_body,
    replacement_characters,
    sorted_keys,
    content_encoding,
];

/// At most this many hints are reported.
const MAX_HINTS: usize = 2;

/// Prefixes of credentials that are not signing secrets: provider (empty: any), prefix, what the credential is,
/// and what is needed instead.
const OTHER_CREDENTIALS: &[(&str, &str, &str, &str)] = &[
    (
        "stripe",
        "sk_",
        "a Stripe API key",
        "the endpoint's signing secret, which starts with `whsec_`",
    ),
    (
        "stripe",
        "rk_",
        "a restricted Stripe API key",
        "the endpoint's signing secret, which starts with `whsec_`",
    ),
    (
        "stripe",
        "pk_",
        "a publishable Stripe key",
        "the endpoint's signing secret, which starts with `whsec_`",
    ),
    (
        "stripe",
        "we_",
        "the id of a Stripe endpoint",
        "its signing secret, which starts with `whsec_`",
    ),
    (
        "slack",
        "xox",
        "a Slack token",
        "the app's signing secret (Basic Information, App Credentials)",
    ),
    (
        "slack",
        "xapp-",
        "an app-level Slack token",
        "the app's signing secret (Basic Information, App Credentials)",
    ),
    (
        "github",
        "ghp_",
        "a GitHub access token",
        "the secret that was typed into the webhook's settings",
    ),
    (
        "github",
        "gho_",
        "a GitHub access token",
        "the secret that was typed into the webhook's settings",
    ),
    (
        "github",
        "ghs_",
        "a GitHub access token",
        "the secret that was typed into the webhook's settings",
    ),
    (
        "github",
        "github_pat_",
        "a GitHub access token",
        "the secret that was typed into the webhook's settings",
    ),
    ("shopify", "shpat_", "a Shopify access token", "the app's client secret (API secret key)"),
    ("shopify", "shppa_", "a Shopify access token", "the app's client secret (API secret key)"),
    (
        "standard_webhooks",
        "whpk_",
        "a public key, for the asymmetric `v1a` signatures",
        "the symmetric secret, which starts with `whsec_`",
    ),
    ("", "-----BEGIN", "a key or certificate in PEM", "a shared secret"),
];

/// Where to find the signing secret, and which secret it is confused with.
const SECRET_LOCATIONS: &[(&str, &str)] = &[
    (
        "stripe",
        " At Stripe each endpoint has its own, in test and live mode each, and `stripe listen` has another.",
    ),
    (
        "github",
        " At GitHub a repository, an organisation and an app have their own each; the secret cannot be shown again, only set anew.",
    ),
    (
        "shopify",
        " At Shopify it is the app's client secret; webhooks made in the admin (Notifications) have one of the shop instead.",
    ),
    ("slack", " At Slack it is the app's signing secret, not the verification token."),
    ("standard_webhooks", " Each endpoint has its own."),
];

/// The hints that apply, the most likely first.
pub(super) fn collect(trial: &Trial<'_>, error: &VerifyError) -> Vec<String> {
    HINTS.iter().filter_map(|hint| hint(trial, error)).take(MAX_HINTS).collect()
}

/// A sentence on where to find the secret, with a leading space.
pub(super) fn secret_location(provider: &str) -> &'static str {
    SECRET_LOCATIONS.iter().find(|(name, _)| *name == provider).map_or("", |(_, text)| text)
}

fn other_sender(trial: &Trial<'_>, _: &VerifyError) -> Option<String> {
    sender::describe_other_sender(trial)
}

fn missing_signature(trial: &Trial<'_>, error: &VerifyError) -> Option<String> {
    let missing = matches!(error, VerifyError::MissingSignature { .. });
    if !missing || sender::describe_other_sender(trial).is_some() {
        return None;
    }
    let headers = &trial.request.head.headers;
    let names: Vec<_> = headers.keys().map(|k| k.as_str()).take(20).collect();
    let header_names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    if trial.scheme_text("/signature/name").is_some_and(|name| headers.contains_key(name)) {
        return Some(format!(
            "The signature itself is there, so something on the way removed the missing part. The headers are: {header_names}."
        ));
    }
    let cause = match trial.name {
        "github" => "GitHub signs nothing while the webhook has no secret in its settings",
        _ => "The sender may have no secret set for this webhook",
    };
    Some(format!(
        "{cause}, a proxy may have dropped the header, or it is not this provider's request. The headers are: {header_names}."
    ))
}

fn other_credential(trial: &Trial<'_>, _: &VerifyError) -> Option<String> {
    trial.secrets.iter().enumerate().find_map(|(index, secret)| {
        let text = secret.expose().trim();
        let kind = OTHER_CREDENTIALS.iter().find(|(provider, start, ..)| {
            (provider.is_empty() || *provider == trial.name) && text.starts_with(start)
        })?;
        Some(format!("{} is {}; use {} instead.", secret_label(trial, index), kind.2, kind.3))
    })
}

fn placeholder_secret(trial: &Trial<'_>, _: &VerifyError) -> Option<String> {
    trial.secrets.iter().enumerate().find_map(|(index, secret)| {
        let text = secret.expose();
        let label = secret_label(trial, index);
        if text.is_empty() {
            Some(format!("{label} is empty: a signature under an empty secret can be made by anyone, so it is never accepted. The variable that holds it may not be set."))
        } else if text.starts_with("${") || (text.starts_with('$') && text.len() > 1) {
            Some(format!("{label} starts with `$`, like a variable that nobody filled in."))
        } else if text.ends_with('…') || text.ends_with("...") || text.contains("***") {
            Some(format!("{label} is shortened or masked, as web pages and logs show it."))
        } else {
            None
        }
    })
}

fn unusable_secret(trial: &Trial<'_>, _: &VerifyError) -> Option<String> {
    let non_empty = trial.secrets.iter().enumerate().filter(|(_, s)| !s.expose().is_empty());
    non_empty.into_iter().find_map(|(index, secret)| {
        let reason = trial.provider.check_secret(secret).err()?;
        Some(format!("{} cannot be used: it {reason}.", secret_label(trial, index)))
    })
}

/// The digest in the signature header has the length of another hash, is truncated, or is missing.
fn digest_length(trial: &Trial<'_>, error: &VerifyError) -> Option<String> {
    if !matches!(error, VerifyError::InvalidFormat { .. }) {
        return None;
    }
    let header = trial.scheme_text("/signature/name")?;
    let value = trial.request.head.single(header).ok()??;
    if value.is_empty() {
        return Some(format!(
            "The header {header} is there and is empty: something removed its value, or the sender had no secret to sign with."
        ));
    }
    let longest = value.split([' ', ',', ';']).map(after_label).max_by_key(|part| part.len())?;
    let hex = HEXLOWER_PERMISSIVE.decode(longest.as_bytes()).ok().map(|b| (b.len(), "hex"));
    let base64 = || BASE64.decode(longest.as_bytes()).ok().map(|b| (b.len(), "base64"));
    let (bytes, form) = hex.or_else(base64).filter(|(bytes, _)| *bytes > 0)?;
    let description = match bytes {
        16 => "as long as an MD5 digest",
        20 => "a SHA-1 tag",
        32 => "as long as a SHA-256 tag",
        48 => "a SHA-384 tag",
        64 => "a SHA-512 tag, or an Ed25519 signature",
        _ => "no digest in common use: it may be truncated",
    };
    let expected_hash = trial.scheme_text("/alg")?.trim_start_matches("hmac-").to_uppercase();
    if !expected_hash.starts_with("SHA") {
        return None;
    }
    let expected_encoding = trial.scheme_text("/signature/encoding").unwrap_or("hex");
    let expected_length = if expected_hash == "SHA1" {
        20
    } else if expected_hash == "SHA512" {
        64
    } else {
        32
    };
    if (bytes, form) == (expected_length, expected_encoding) {
        return None;
    }
    Some(format!(
        "It contains {form} of {bytes} bytes, {description}; `{}` expects {expected_hash} in {expected_encoding}.",
        trial.name
    ))
}

fn after_label(part: &str) -> &str {
    part.split_once('=').map_or(part, |(_, rest)| if rest.len() > 2 { rest } else { part })
}

fn content_length(trial: &Trial<'_>, _: &VerifyError) -> Option<String> {
    let claimed = body::content_length(trial)?;
    let actual = trial.request.body.bytes().len();
    let fault = match claimed.cmp(&actual) {
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Greater => "the body is truncated",
        std::cmp::Ordering::Less => "the body was changed or something was added to it",
    };
    Some(format!(
        "Content-Length says {claimed} bytes, but there are {actual}: {fault} after it was sent."
    ))
}

fn empty_body(trial: &Trial<'_>, error: &VerifyError) -> Option<String> {
    let empty =
        trial.request.body.bytes().is_empty() && matches!(error, VerifyError::InvalidSignature);
    empty.then(|| "The body is empty: something read it before it was captured, or the capture left it out.".to_owned())
}

fn replacement_characters(trial: &Trial<'_>, _: &VerifyError) -> Option<String> {
    let has_replacement =
        std::str::from_utf8(trial.request.body.bytes()).is_ok_and(|t| t.contains('\u{fffd}'));
    has_replacement.then(|| "The body holds replacement characters (U+FFFD): bytes that are not UTF-8 were lost when something read it as text.".to_owned())
}

/// Many libraries sort the keys that they write; the original order cannot be recovered.
fn sorted_keys(trial: &Trial<'_>, error: &VerifyError) -> Option<String> {
    let signature_fails = matches!(error, VerifyError::InvalidSignature);
    (signature_fails && rewrite::keys_are_sorted(trial.request.body.bytes())).then(|| "The keys of the JSON body are in alphabetical order, as after it was parsed and written again (re-serialised) by a library that sorts them. If that happened, only the raw bytes can be verified. If not, the secret is probably another one.".to_owned())
}

fn content_encoding(trial: &Trial<'_>, error: &VerifyError) -> Option<String> {
    let coded = trial.request.head.headers.get(header::CONTENT_ENCODING)?;
    let applies = matches!(error, VerifyError::InvalidSignature) && coded != "identity";
    applies.then(|| "It has a Content-Encoding: the signature covers the bytes as the sender signed them, and something compressed or decompressed them afterwards.".to_owned())
}
