//! Mistakes in how it is signed: another encoding, label, hash, message or unit of time than the
//! provider's. The proof is run again by the provider's scheme with that part altered.

use data_encoding::{BASE64, BASE64_NOPAD};
use http::HeaderValue;
use serde_json::{Value, json};

use super::{Guess, Trial};

/// Hex for base64 or the reverse, hex digits in base64, lost padding.
pub(super) fn encodings<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let ours = trial.says("/signature/encoding").unwrap_or("hex");
    let others = ["hex", "base64"].into_iter().filter(|e| *e != ours);
    let other = |other: &str| {
        let altered = altered(trial, &[("/signature/encoding", json!(other))])?;
        let says = format!(
            "The signature is right, but written in {}, where `{}` expects {}.{}",
            called(other),
            trial.name,
            called(ours),
            cure(trial, "signature.encoding", other)
        );
        Some(Guess { trial: altered, says })
    };
    let mut guesses: Vec<_> = others.filter_map(other).collect();
    let hex = |digits: String| digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(digits);
    let decoded = |tag: &str| hex(String::from_utf8(BASE64.decode(tag.as_bytes()).ok()?).ok()?);
    let padded = |tag: &str| BASE64_NOPAD.decode(tag.as_bytes()).ok().map(|b| BASE64.encode(&b));
    let says = "The signature is right, but it is base64 of hex digits: the signer encoded the text of the digest (`hexdigest`, `hash_hmac`) where its bytes were wanted.".to_owned();
    guesses.extend(rewritten_tag(trial, "hex", decoded).map(|trial| Guess { trial, says }));
    let says = "The signature is right, but the padding of its base64 (`=` at the end) is lost: something cut it off.".to_owned();
    guesses.extend(rewritten_tag(trial, "base64", padded).map(|trial| Guess { trial, says }));
    guesses.extend(["base64url"].into_iter().filter(|e| *e != ours).filter_map(other));
    guesses
}

fn called(encoding: &str) -> &str {
    if encoding == "base64url" { "URL-safe base64" } else { encoding }
}

/// With the last element of the signature header rewritten; a label before it stays.
fn rewritten_tag<'a>(
    trial: &Trial<'a>,
    encoding: &str,
    rewrite: impl Fn(&str) -> Option<String>,
) -> Option<Trial<'a>> {
    let name = trial.says("/signature/name")?.to_owned();
    let value = trial.request.head.single(&name).ok()??.to_owned();
    let start = value.rfind([' ', ',']).map_or(0, |at| at + 1);
    let (mut before, mut last) = value.split_at(start);
    if let Some((label, rest)) = last.split_once('=').filter(|(_, rest)| rest.len() > 2) {
        before = value.get(..start + label.len() + 1)?;
        last = rest;
    }
    let tag = rewrite(last).filter(|tag| !tag.is_empty())?;
    let mut altered = altered(trial, &[("/signature/encoding", json!(encoding))])?;
    let value = HeaderValue::from_str(&format!("{before}{tag}")).ok()?;
    let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
    altered.request.head.headers.insert(name, value);
    Some(altered)
}

/// Another prefix or label before the signature, or none.
pub(super) fn labels<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let list = trial.says("/signature/take").map(str::to_owned);
    let ours = list.clone().or_else(|| trial.says("/signature/prefix").map(str::to_owned));
    let others: &[&str] = match list {
        Some(_) => &["v0", "v1", "v2", "h1", "s"],
        None => &["sha256=", "SHA256=", "sha1=", "sha512=", "hmac-sha256=", "v0=", "v1=", "v1,"],
    };
    let key = if list.is_some() { "/signature/take" } else { "/signature/prefix" };
    let expected = ours.as_ref().map_or("none".to_owned(), |o| format!("`{o}`"));
    let says = |found: &str| {
        format!(
            "The signature is right, but stands behind {found}; `{}` expects {expected}.",
            trial.name
        )
    };
    let mut guesses: Vec<_> = others
        .iter()
        .filter(|o| Some(**o) != ours.as_deref())
        .filter_map(|other| {
            let altered = altered(trial, &[(key, json!(other))])?;
            let cure = cure(trial, key.trim_start_matches('/').replace('/', ".").as_str(), other);
            Some(Guess { trial: altered, says: format!("{}{cure}", says(&format!("`{other}`"))) })
        })
        .collect();
    if ours.is_some() {
        let none =
            ["prefix", "split", "pair", "take"].map(|k| (format!("/signature/{k}"), Value::Null));
        let none: Vec<_> = none.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        let bare = altered(trial, &none);
        guesses.extend(bare.map(|trial| Guess { trial, says: says("no label at all") }));
    }
    guesses
}

/// Another hash under the HMAC.
pub(super) fn hashes<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let Some(ours) = trial.says("/alg") else { return Vec::new() };
    let prefix = trial.says("/signature/prefix").unwrap_or_default();
    let word = |alg: &str| alg.trim_start_matches("hmac-").to_owned();
    let others = ["hmac-sha1", "hmac-sha256", "hmac-sha512"].into_iter().filter(|alg| *alg != ours);
    let mut guesses = Vec::new();
    for other in others {
        let says = format!(
            "The signature is right as an HMAC with {}, where `{}` expects {}.{}",
            word(other).to_uppercase(),
            trial.name,
            word(ours).to_uppercase(),
            cure(trial, "alg", other)
        );
        // The label in front says which hash it is, rightly or not.
        let renamed = json!(prefix.replace(&word(ours), &word(other)));
        let with_label = altered(trial, &[("/alg", json!(other)), ("/signature/prefix", renamed)]);
        let as_is = altered(trial, &[("/alg", json!(other))]);
        let trials = [as_is, with_label.filter(|_| prefix.contains(&word(ours)))];
        guesses
            .extend(trials.into_iter().flatten().map(|trial| Guess { trial, says: says.clone() }));
    }
    let old = [
        ("/signature/name", json!("X-Hub-Signature")),
        ("/signature/prefix", json!("sha1=")),
        ("/alg", json!("hmac-sha1")),
    ];
    if trial.says("/signature/name").is_some_and(|n| n.eq_ignore_ascii_case("x-hub-signature-256"))
    {
        let says = "Only the older X-Hub-Signature is there, made with SHA-1, and it is right. X-Hub-Signature-256, which is sent beside it, was lost on the way: let your proxy pass it on.".to_owned();
        guesses.extend(altered(trial, &old).map(|trial| Guess { trial, says }));
    }
    guesses
}

/// Another message, where a time is signed: without it, or put together in another way.
pub(super) fn messages<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let Some(ours) = trial.says("/message").map(str::to_owned) else { return Vec::new() };
    let mut guesses = Vec::new();
    if ours != "{body}" {
        let bare = [("/message", json!("{body}")), ("/timestamp", Value::Null)];
        let says = format!(
            "The signature covers the body alone; `{}` signs `{ours}`.{}",
            trial.name,
            cure(trial, "message", "{body}")
        );
        guesses.extend(altered(trial, &bare).map(|trial| Guess { trial, says }));
    }
    for other in [
        "{timestamp}.{body}",
        "{timestamp}{body}",
        "{timestamp}:{body}",
        "{body}{timestamp}",
        "v0:{timestamp}:{body}",
    ] {
        if other == ours.replace("{sig:t}", "{timestamp}") {
            continue;
        }
        let says = format!(
            "The signature covers `{other}`; `{}` signs `{ours}`.{}",
            trial.name,
            cure(trial, "message", other)
        );
        let altered = altered(trial, &[("/message", json!(other))]);
        guesses.extend(altered.map(|trial| Guess { trial, says }));
    }
    guesses
}

/// Another way of writing the time.
pub(super) fn times<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let Some(ours) = trial.says("/timestamp/unit") else { return Vec::new() };
    let called = |unit: &str| match unit {
        "s" => "Unix seconds",
        "ms" => "Unix milliseconds",
        _ => "RFC 3339",
    };
    let others = ["s", "ms", "rfc3339"].into_iter().filter(|unit| *unit != ours);
    let guess = |other: &str| {
        let says = format!(
            "The signature is right, but its time is written as {}, where `{}` expects {}.{}",
            called(other),
            trial.name,
            called(ours),
            cure(trial, "timestamp.unit", other)
        );
        altered(trial, &[("/timestamp/unit", json!(other))]).map(|trial| Guess { trial, says })
    };
    others.filter_map(guess).collect()
}

/// A scheme of routes.yaml can be set right; a provider's own cannot be wrong.
fn cure(trial: &Trial<'_>, key: &str, value: &str) -> String {
    if trial.name == "hmac" {
        format!(" Set `{key}` to `{value}`.")
    } else {
        " Whoever signed this does not sign as that provider does.".to_owned()
    }
}

/// With parts of the scheme set, or taken away where the value is null.
fn altered<'a>(trial: &Trial<'a>, parts: &[(&str, Value)]) -> Option<Trial<'a>> {
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
