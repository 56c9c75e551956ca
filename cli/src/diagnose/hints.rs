//! Evidence that no proof can back: what the request and the secrets look like. Read where undoing
//! a known mistake does not make the signature fit.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use hookward_core::VerifyError;
use http::header;

use super::secret::named;
use super::{Trial, body, rewrite, sender};

/// A sign: what it says where it is there.
type Sign = fn(&Trial<'_>, &VerifyError) -> Option<String>;

const SIGNS: &[Sign] = &[
    other_sender,
    unsigned,
    wrong_kind,
    placeholder,
    unusable,
    digest_length,
    length,
    empty_body,
    replaced,
    sorted,
    compressed,
];

/// At most this many are told.
const MOST: usize = 2;

/// Texts by which a credential that is no signing secret is known: provider (empty: any), its
/// start, what it is, what is wanted instead.
const KINDS: &[(&str, &str, &str, &str)] = &[
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

/// Where a secret of ours is found, and which others it is taken for.
const WHERE: &[(&str, &str)] = &[
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

/// What is to be seen, the likeliest first.
pub(super) fn read(trial: &Trial<'_>, error: &VerifyError) -> Vec<String> {
    SIGNS.iter().filter_map(|sign| sign(trial, error)).take(MOST).collect()
}

/// A sentence on where the secret is found, with a space before it.
pub(super) fn where_secrets_are(provider: &str) -> &'static str {
    WHERE.iter().find(|(name, _)| *name == provider).map_or("", |(_, text)| text)
}

fn other_sender(trial: &Trial<'_>, _: &VerifyError) -> Option<String> {
    sender::looks_like(trial)
}

fn unsigned(trial: &Trial<'_>, error: &VerifyError) -> Option<String> {
    let missing = matches!(error, VerifyError::MissingSignature { .. });
    if !missing || sender::looks_like(trial).is_some() {
        return None;
    }
    let headers = &trial.request.head.headers;
    let names: Vec<_> = headers.keys().map(|k| k.as_str()).take(20).collect();
    let seen = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    if trial.says("/signature/name").is_some_and(|name| headers.contains_key(name)) {
        return Some(format!(
            "The signature itself is there, so something on the way took away what is missing. The headers are: {seen}."
        ));
    }
    let cause = match trial.name {
        "github" => "GitHub signs nothing while the webhook has no secret in its settings",
        _ => "The sender may have no secret set for this webhook",
    };
    Some(format!(
        "{cause}, a proxy may have dropped the header, or it is not this provider's request. The headers are: {seen}."
    ))
}

fn wrong_kind(trial: &Trial<'_>, _: &VerifyError) -> Option<String> {
    trial.secrets.iter().enumerate().find_map(|(index, secret)| {
        let text = secret.expose().trim();
        let kind = KINDS.iter().find(|(provider, start, ..)| {
            (provider.is_empty() || *provider == trial.name) && text.starts_with(start)
        })?;
        Some(format!("{} is {}; what is wanted is {}.", named(trial, index), kind.2, kind.3))
    })
}

fn placeholder(trial: &Trial<'_>, _: &VerifyError) -> Option<String> {
    trial.secrets.iter().enumerate().find_map(|(index, secret)| {
        let text = secret.expose();
        let who = named(trial, index);
        if text.is_empty() {
            Some(format!("{who} is empty: a signature under an empty secret can be made by anyone, so it is never accepted. The variable that holds it may not be set."))
        } else if text.starts_with("${") || (text.starts_with('$') && text.len() > 1) {
            Some(format!("{who} starts with `$`, as a variable that nobody filled in."))
        } else if text.ends_with('…') || text.ends_with("...") || text.contains("***") {
            Some(format!("{who} is shortened or masked, as pages and logs show it."))
        } else {
            None
        }
    })
}

fn unusable(trial: &Trial<'_>, _: &VerifyError) -> Option<String> {
    let given = trial.secrets.iter().enumerate().filter(|(_, s)| !s.expose().is_empty());
    given.into_iter().find_map(|(index, secret)| {
        let wrong = trial.provider.check_secret(secret).err()?;
        Some(format!("{} cannot be used: it {wrong}.", named(trial, index)))
    })
}

/// The digest in the signature header has the length of another hash, is cut, or is not there.
fn digest_length(trial: &Trial<'_>, error: &VerifyError) -> Option<String> {
    if !matches!(error, VerifyError::InvalidFormat { .. }) {
        return None;
    }
    let header = trial.says("/signature/name")?;
    let value = trial.request.head.single(header).ok()??;
    if value.is_empty() {
        return Some(format!(
            "The header {header} is there and is empty: something took its value away, or the sender had no secret to sign with."
        ));
    }
    let longest = value.split([' ', ',', ';']).map(after_label).max_by_key(|part| part.len())?;
    let hex = HEXLOWER_PERMISSIVE.decode(longest.as_bytes()).ok().map(|b| (b.len(), "hex"));
    let base64 = || BASE64.decode(longest.as_bytes()).ok().map(|b| (b.len(), "base64"));
    let (bytes, form) = hex.or_else(base64).filter(|(bytes, _)| *bytes > 0)?;
    let what = match bytes {
        16 => "as long as an MD5 digest",
        20 => "a SHA-1 tag",
        32 => "as long as a SHA-256 tag",
        48 => "a SHA-384 tag",
        64 => "a SHA-512 tag, or an Ed25519 signature",
        _ => "no digest in common use: it may be cut",
    };
    let wanted = trial.says("/alg")?.trim_start_matches("hmac-").to_uppercase();
    if !wanted.starts_with("SHA") {
        return None;
    }
    let written = trial.says("/signature/encoding").unwrap_or("hex");
    let length = if wanted == "SHA1" {
        20
    } else if wanted == "SHA512" {
        64
    } else {
        32
    };
    if (bytes, form) == (length, written) {
        return None;
    }
    Some(format!(
        "What is there is {form} of {bytes} bytes, {what}; `{}` expects {wanted} in {written}.",
        trial.name
    ))
}

fn after_label(part: &str) -> &str {
    part.split_once('=').map_or(part, |(_, rest)| if rest.len() > 2 { rest } else { part })
}

fn length(trial: &Trial<'_>, _: &VerifyError) -> Option<String> {
    let claimed = body::content_length(trial)?;
    let is = trial.request.body.bytes().len();
    let fault = match claimed.cmp(&is) {
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Greater => "the body is truncated",
        std::cmp::Ordering::Less => "the body was changed or something was added to it",
    };
    Some(format!(
        "Content-Length says {claimed} bytes and there are {is}: {fault} since it was sent."
    ))
}

fn empty_body(trial: &Trial<'_>, error: &VerifyError) -> Option<String> {
    let empty =
        trial.request.body.bytes().is_empty() && matches!(error, VerifyError::InvalidSignature);
    empty.then(|| "The body is empty: something read it before it was captured, or the capture left it out.".to_owned())
}

fn replaced(trial: &Trial<'_>, _: &VerifyError) -> Option<String> {
    let has = std::str::from_utf8(trial.request.body.bytes()).is_ok_and(|t| t.contains('\u{fffd}'));
    has.then(|| "The body holds replacement characters (U+FFFD): bytes that are not UTF-8 were lost when something read it as text.".to_owned())
}

/// Many libraries sort the keys of what they write; the order before that cannot be guessed.
fn sorted(trial: &Trial<'_>, error: &VerifyError) -> Option<String> {
    let unproven = matches!(error, VerifyError::InvalidSignature);
    (unproven && rewrite::keys_are_sorted(trial.request.body.bytes())).then(|| "The keys of the JSON body stand in alphabetical order, as in one that was parsed and written again (re-serialised) by a library that sorts them. If that happened, only the raw bytes can be verified. If not, the secret is probably another one.".to_owned())
}

fn compressed(trial: &Trial<'_>, error: &VerifyError) -> Option<String> {
    let coded = trial.request.head.headers.get(header::CONTENT_ENCODING)?;
    let named = matches!(error, VerifyError::InvalidSignature) && coded != "identity";
    named.then(|| "It has a Content-Encoding: the signature covers the bytes as the sender signed them, and something packed or unpacked them since.".to_owned())
}
