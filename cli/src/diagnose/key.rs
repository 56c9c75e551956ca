//! Mistakes on the way from a secret's text to the key: decoded where it is used as it stands, or
//! used as it stands where it is to be decoded.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};

use super::secret::named;
use super::{Guess, Trial};

/// A way to make a key from a text: how, what it is called, the `key:` of the grammar that does it.
struct Form {
    key: fn(&str) -> Option<Vec<u8>>,
    name: &'static str,
    setting: Option<&'static str>,
}

const FORMS: &[Form] = &[
    Form {
        key: |s| Some(s.as_bytes().to_vec()),
        name: "as plain text, not decoded",
        setting: Some("utf8"),
    },
    Form {
        key: |s| s.strip_prefix("whsec_").map(|s| s.as_bytes().to_vec()),
        name: "as plain text without `whsec_`, not decoded",
        setting: None,
    },
    Form {
        key: |s| BASE64.decode(bare(s)).ok(),
        name: "decoded from base64",
        setting: Some("whsec"),
    },
    Form {
        key: |s| BASE64_NOPAD.decode(bare(s)).ok(),
        name: "decoded from base64 whose padding (`=` at its end) is lost",
        setting: None,
    },
    Form {
        key: |s| BASE64URL.decode(bare(s)).or_else(|_| BASE64URL_NOPAD.decode(bare(s))).ok(),
        name: "decoded from URL-safe base64",
        setting: None,
    },
    Form {
        key: |s| HEXLOWER_PERMISSIVE.decode(bare(s)).ok(),
        name: "decoded from hex",
        setting: Some("hex"),
    },
];

fn bare(text: &str) -> &[u8] {
    text.strip_prefix("whsec_").unwrap_or(text).as_bytes()
}

/// Every secret in every form but the one that the scheme uses.
pub(super) fn forms<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    if trial.scheme.is_none() {
        return Vec::new();
    }
    let ours = trial.says("/key").unwrap_or("utf8");
    let mut guesses = Vec::new();
    for (index, secret) in trial.secrets.iter().enumerate() {
        for form in FORMS.iter().filter(|form| form.setting != Some(ours)) {
            let key = (form.key)(secret.expose()).filter(|key| !key.is_empty());
            let Some(trial_with) = key.and_then(|key| trial.with_key(&key)) else { continue };
            let who = named(trial, index);
            let cure = match form.setting {
                Some(setting) if trial.name == "hmac" => format!("Set `key: {setting}`."),
                _ => format!(
                    "`{}` uses a secret {}; the signer did otherwise, or the secret was copied in another form.",
                    trial.name,
                    name_of(ours)
                ),
            };
            let says = format!("{who} fits {}. {cure}", form.name);
            guesses.push(Guess { trial: trial_with, says });
        }
    }
    guesses
}

fn name_of(setting: &str) -> &'static str {
    FORMS.iter().find(|f| f.setting == Some(setting)).map_or("in its own form", |f| f.name)
}
