//! Mistakes in decoding a secret: it is decoded although its text is the key, or used as text although it must
//! be decoded.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};

use super::secret::secret_label;
use super::{Guess, Trial};

/// A way to make a key from a text: the function, its name, and the `key:` of the scheme grammar for it.
struct KeyForm {
    key: fn(&str) -> Option<Vec<u8>>,
    name: &'static str,
    setting: Option<&'static str>,
}

const KEY_FORMS: &[KeyForm] = &[
    KeyForm {
        key: |s| Some(s.as_bytes().to_vec()),
        name: "as plain text, not decoded",
        setting: Some("utf8"),
    },
    KeyForm {
        key: |s| s.strip_prefix("whsec_").map(|s| s.as_bytes().to_vec()),
        name: "as plain text without `whsec_`, not decoded",
        setting: None,
    },
    KeyForm {
        key: |s| BASE64.decode(without_prefix(s)).ok(),
        name: "decoded from base64",
        setting: Some("whsec"),
    },
    KeyForm {
        key: |s| BASE64_NOPAD.decode(without_prefix(s)).ok(),
        name: "decoded from base64 whose padding (`=` at its end) is lost",
        setting: None,
    },
    KeyForm {
        key: |s| {
            BASE64URL
                .decode(without_prefix(s))
                .or_else(|_| BASE64URL_NOPAD.decode(without_prefix(s)))
                .ok()
        },
        name: "decoded from URL-safe base64",
        setting: None,
    },
    KeyForm {
        key: |s| HEXLOWER_PERMISSIVE.decode(without_prefix(s)).ok(),
        name: "decoded from hex",
        setting: Some("hex"),
    },
];

fn without_prefix(text: &str) -> &[u8] {
    text.strip_prefix("whsec_").unwrap_or(text).as_bytes()
}

/// Every secret in every form except the one that the scheme uses.
pub(super) fn decodings<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    if trial.scheme.is_none() {
        return Vec::new();
    }
    let expected = trial.scheme_text("/key").unwrap_or("utf8");
    let mut guesses = Vec::new();
    for (index, secret) in trial.secrets.iter().enumerate() {
        for form in KEY_FORMS.iter().filter(|form| form.setting != Some(expected)) {
            let key = (form.key)(secret.expose()).filter(|key| !key.is_empty());
            let Some(changed) = key.and_then(|key| trial.with_key(&key)) else { continue };
            let label = secret_label(trial, index);
            let advice = match form.setting {
                Some(setting) if trial.name == "hmac" => format!("Set `key: {setting}`."),
                _ => format!(
                    "`{}` uses a secret {}; the signer used it differently, or the secret was copied in another form.",
                    trial.name,
                    form_name(expected)
                ),
            };
            let explanation = format!("{label} fits {}. {advice}", form.name);
            guesses.push(Guess { trial: changed, explanation });
        }
    }
    guesses
}

fn form_name(setting: &str) -> &'static str {
    KEY_FORMS.iter().find(|f| f.setting == Some(setting)).map_or("in its own form", |f| f.name)
}
