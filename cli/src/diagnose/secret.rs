//! Mistakes in the text of a secret: what is added or lost when it is copied, stored or exported.

use super::{Guess, Trial};

/// A change of the text, and the explanation if the signature then matches.
type Change = (fn(&str) -> Option<String>, &'static str);

const CHANGES: &[Change] = &[
    (
        |s| Some(s.trim().to_owned()),
        "has white space around it, such as a newline at its end; without that it fits. Remove it where the secret is stored",
    ),
    (
        |s| Some(s.trim().trim_matches(['"', '\'', '`']).to_owned()),
        "has quotes around it; without them it fits. They came from a shell or an .env file and are not part of it",
    ),
    (
        |s| Some(s.split_once('=')?.1.trim().trim_matches(['"', '\'']).to_owned()),
        "is a whole NAME=VALUE line; what stands behind the `=` fits. Give that alone",
    ),
    (
        |s| s.strip_prefix("whsec_").map(str::to_owned),
        "begins with `whsec_`; without that prefix it fits. The signer took the prefix away before using it",
    ),
    (
        |s| (!s.starts_with("whsec_")).then(|| format!("whsec_{s}")),
        "lacks its prefix: with `whsec_` before it, it fits. Give it as it is shown, prefix included",
    ),
    (
        |s| Some(format!("{s}\n")),
        "fits with a newline after it: it was saved at the sender with one. Save it there again without",
    ),
    (
        |s| Some(s.to_lowercase()),
        "fits in lower case. Its letters must stay as the sender shows them",
    ),
    (
        |s| Some(s.to_uppercase()),
        "fits in upper case. Its letters must stay as the sender shows them",
    ),
];

/// Every secret with every change that alters its text.
pub(super) fn copy_mistakes<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let mut guesses = Vec::new();
    for (index, secret) in trial.secrets.iter().enumerate() {
        for (change, explanation) in CHANGES {
            let text = secret.expose();
            let Some(changed) = change(text).filter(|c| c != text && !c.is_empty()) else {
                continue;
            };
            let explanation = format!("{} {explanation}.", secret_label(trial, index));
            guesses.push(Guess { trial: trial.with_secret(changed), explanation });
        }
    }
    guesses
}

/// "The secret", or "Secret 2 of 3".
pub(super) fn secret_label(trial: &Trial<'_>, index: usize) -> String {
    match trial.secrets.len() {
        0 | 1 => "The secret".to_owned(),
        count => format!("Secret {} of {count}", index + 1),
    }
}
