//! Mistakes in the signature scheme: another encoding, label, hash, message or unit of time than the provider's.
//! The request is verified again with that part of the scheme changed.

use data_encoding::{BASE64, BASE64_NOPAD};
use http::HeaderValue;
use serde_json::{Value, json};

use super::{Guess, Trial};

/// Hex for base64 or the reverse, base64 of hex digits, lost padding.
pub(super) fn encodings<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let expected = trial.scheme_text("/signature/encoding").unwrap_or("hex");
    let others = ["hex", "base64"].into_iter().filter(|e| *e != expected);
    let other = |other: &str| {
        let altered = with_scheme_parts(trial, &[("/signature/encoding", json!(other))])?;
        let explanation = format!(
            "The signature is right, but written in {}, where `{}` expects {}.{}",
            encoding_name(other),
            trial.name,
            encoding_name(expected),
            advice(trial, "signature.encoding", other)
        );
        Some(Guess { trial: altered, explanation })
    };
    let mut guesses: Vec<_> = others.filter_map(other).collect();
    let hex = |digits: String| digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(digits);
    let decoded = |tag: &str| hex(String::from_utf8(BASE64.decode(tag.as_bytes()).ok()?).ok()?);
    let padded = |tag: &str| BASE64_NOPAD.decode(tag.as_bytes()).ok().map(|b| BASE64.encode(&b));
    let explanation = "The signature is right, but it is base64 of hex digits: the signer encoded the text of the digest (`hexdigest`, `hash_hmac`) instead of its bytes.".to_owned();
    guesses.extend(rewritten_tag(trial, "hex", decoded).map(|trial| Guess { trial, explanation }));
    let explanation = "The signature is right, but the padding of its base64 (`=` at the end) is lost: something removed it.".to_owned();
    guesses
        .extend(rewritten_tag(trial, "base64", padded).map(|trial| Guess { trial, explanation }));
    guesses.extend(["base64url"].into_iter().filter(|e| *e != expected).filter_map(other));
    guesses
}

fn encoding_name(encoding: &str) -> &str {
    if encoding == "base64url" { "URL-safe base64" } else { encoding }
}

/// Rewrites the last element of the signature header; a label before it stays.
fn rewritten_tag<'a>(
    trial: &Trial<'a>,
    encoding: &str,
    rewrite: impl Fn(&str) -> Option<String>,
) -> Option<Trial<'a>> {
    let name = trial.scheme_text("/signature/name")?.to_owned();
    let value = trial.request.head.single(&name).ok()??.to_owned();
    let start = value.rfind([' ', ',']).map_or(0, |at| at + 1);
    let (mut before, mut last) = value.split_at(start);
    if let Some((label, rest)) = last.split_once('=').filter(|(_, rest)| rest.len() > 2) {
        before = value.get(..start + label.len() + 1)?;
        last = rest;
    }
    let tag = rewrite(last).filter(|tag| !tag.is_empty())?;
    let mut altered = with_scheme_parts(trial, &[("/signature/encoding", json!(encoding))])?;
    let value = HeaderValue::from_str(&format!("{before}{tag}")).ok()?;
    let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
    altered.request.head.headers.insert(name, value);
    Some(altered)
}

/// Another prefix or label before the signature, or none.
pub(super) fn labels<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let list = trial.scheme_text("/signature/take").map(str::to_owned);
    let expected_label =
        list.clone().or_else(|| trial.scheme_text("/signature/prefix").map(str::to_owned));
    let others: &[&str] = match list {
        Some(_) => &["v0", "v1", "v2", "h1", "s"],
        None => &["sha256=", "SHA256=", "sha1=", "sha512=", "hmac-sha256=", "v0=", "v1=", "v1,"],
    };
    let key = if list.is_some() { "/signature/take" } else { "/signature/prefix" };
    let expected = expected_label.as_ref().map_or("none".to_owned(), |o| format!("`{o}`"));
    let explanation = |found: &str| {
        format!(
            "The signature is right, but stands behind {found}; `{}` expects {expected}.",
            trial.name
        )
    };
    let mut guesses: Vec<_> = others
        .iter()
        .filter(|o| Some(**o) != expected_label.as_deref())
        .filter_map(|other| {
            let altered = with_scheme_parts(trial, &[(key, json!(other))])?;
            let advice =
                advice(trial, key.trim_start_matches('/').replace('/', ".").as_str(), other);
            Some(Guess {
                trial: altered,
                explanation: format!("{}{advice}", explanation(&format!("`{other}`"))),
            })
        })
        .collect();
    if expected_label.is_some() {
        let label_parts =
            ["prefix", "split", "pair", "take"].map(|k| (format!("/signature/{k}"), Value::Null));
        let label_parts: Vec<_> =
            label_parts.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        let without_label = with_scheme_parts(trial, &label_parts);
        guesses.extend(
            without_label.map(|trial| Guess { trial, explanation: explanation("no label at all") }),
        );
    }
    guesses
}

/// Another hash under the HMAC.
pub(super) fn hashes<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let Some(expected) = trial.scheme_text("/alg") else { return Vec::new() };
    let prefix = trial.scheme_text("/signature/prefix").unwrap_or_default();
    let hash_name = |alg: &str| alg.trim_start_matches("hmac-").to_owned();
    let others =
        ["hmac-sha1", "hmac-sha256", "hmac-sha512"].into_iter().filter(|alg| *alg != expected);
    let mut guesses = Vec::new();
    for other in others {
        let explanation = format!(
            "The signature is right as an HMAC with {}, where `{}` expects {}.{}",
            hash_name(other).to_uppercase(),
            trial.name,
            hash_name(expected).to_uppercase(),
            advice(trial, "alg", other)
        );
        // The label before the signature may name the other hash, or still the provider's.
        let renamed = json!(prefix.replace(&hash_name(expected), &hash_name(other)));
        let with_label =
            with_scheme_parts(trial, &[("/alg", json!(other)), ("/signature/prefix", renamed)]);
        let as_is = with_scheme_parts(trial, &[("/alg", json!(other))]);
        let trials = [as_is, with_label.filter(|_| prefix.contains(&hash_name(expected)))];
        guesses.extend(
            trials
                .into_iter()
                .flatten()
                .map(|trial| Guess { trial, explanation: explanation.clone() }),
        );
    }
    let old = [
        ("/signature/name", json!("X-Hub-Signature")),
        ("/signature/prefix", json!("sha1=")),
        ("/alg", json!("hmac-sha1")),
    ];
    if trial
        .scheme_text("/signature/name")
        .is_some_and(|n| n.eq_ignore_ascii_case("x-hub-signature-256"))
    {
        let explanation = "Only the older X-Hub-Signature is there, made with SHA-1, and it is right. X-Hub-Signature-256, which is sent beside it, was lost on the way: let your proxy pass it on.".to_owned();
        guesses.extend(with_scheme_parts(trial, &old).map(|trial| Guess { trial, explanation }));
    }
    guesses
}

/// Another signed message: without the time, or composed differently.
pub(super) fn messages<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let Some(expected) = trial.scheme_text("/message").map(str::to_owned) else {
        return Vec::new();
    };
    let mut guesses = Vec::new();
    if expected != "{body}" {
        let bare = [("/message", json!("{body}")), ("/timestamp", Value::Null)];
        let explanation = format!(
            "The signature covers the body alone; `{}` signs `{expected}`.{}",
            trial.name,
            advice(trial, "message", "{body}")
        );
        guesses.extend(with_scheme_parts(trial, &bare).map(|trial| Guess { trial, explanation }));
    }
    for other in [
        "{timestamp}.{body}",
        "{timestamp}{body}",
        "{timestamp}:{body}",
        "{body}{timestamp}",
        "v0:{timestamp}:{body}",
    ] {
        if other == expected.replace("{sig:t}", "{timestamp}") {
            continue;
        }
        let explanation = format!(
            "The signature covers `{other}`; `{}` signs `{expected}`.{}",
            trial.name,
            advice(trial, "message", other)
        );
        let altered = with_scheme_parts(trial, &[("/message", json!(other))]);
        guesses.extend(altered.map(|trial| Guess { trial, explanation }));
    }
    guesses
}

/// Another unit or format of the time.
pub(super) fn times<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let Some(expected) = trial.scheme_text("/timestamp/unit") else { return Vec::new() };
    let unit_name = |unit: &str| match unit {
        "s" => "Unix seconds",
        "ms" => "Unix milliseconds",
        _ => "RFC 3339",
    };
    let others = ["s", "ms", "rfc3339"].into_iter().filter(|unit| *unit != expected);
    let guess = |other: &str| {
        let explanation = format!(
            "The signature is right, but its time is written as {}, where `{}` expects {}.{}",
            unit_name(other),
            trial.name,
            unit_name(expected),
            advice(trial, "timestamp.unit", other)
        );
        with_scheme_parts(trial, &[("/timestamp/unit", json!(other))])
            .map(|trial| Guess { trial, explanation })
    };
    others.filter_map(guess).collect()
}

/// The advice: a scheme in routes.yaml can be corrected; a provider's own scheme is right.
fn advice(trial: &Trial<'_>, key: &str, value: &str) -> String {
    if trial.name == "hmac" {
        format!(" Set `{key}` to `{value}`.")
    } else {
        " The signer does not sign as that provider does.".to_owned()
    }
}

/// Sets parts of the scheme, or removes those whose value is null.
fn with_scheme_parts<'a>(trial: &Trial<'a>, parts: &[(&str, Value)]) -> Option<Trial<'a>> {
    let mut scheme = trial.scheme.clone()?;
    for (pointer, value) in parts {
        let (parent, key) = pointer.rsplit_once('/')?;
        let members = scheme.pointer_mut(parent)?.as_object_mut()?;
        if value.is_null() {
            members.remove(key);
        } else {
            members.insert(key.to_owned(), value.clone());
        }
    }
    trial.with_scheme(scheme)
}
