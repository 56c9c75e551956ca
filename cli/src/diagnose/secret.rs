//! Mistakes in the text of a secret: what is added or lost when it is copied, stored or exported.

use super::{Guess, Trial};

/// A change of the text, and the explanation if the signature then matches.
type Change = (fn(&str) -> Option<String>, &'static str);

const CHANGES: &[Change] = &[
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

/// What files, shells and exports leave around a secret, by its name, and the text without it.
fn without_one_surrounding(text: &str) -> Option<(&'static str, &str)> {
    let quoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        Some(("starts with a byte order mark", rest))
    } else if let Some(rest) = text.strip_suffix("\r\n") {
        Some(("ends with a carriage return and a newline", rest))
    } else if let Some(rest) = text.strip_suffix('\n') {
        Some(("ends with a newline", rest))
    } else if let Some(rest) = text.strip_suffix('\r') {
        Some(("ends with a carriage return", rest))
    } else if text.starts_with(char::is_whitespace) {
        Some(("starts with white space", text.trim_start()))
    } else if text.ends_with(char::is_whitespace) {
        Some(("ends with white space", text.trim_end()))
    } else if let Some(rest) = quoted('"').or_else(|| quoted('\'')).or_else(|| quoted('`')) {
        Some(("is in quotes", rest))
    } else {
        None
    }
}

/// The secret without what stands around it, one thing after the other, with the names of those that
/// were removed.
fn surroundings(text: &str) -> Vec<(String, String)> {
    let (mut names, mut found) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some((name, inner)) = without_one_surrounding(rest) {
        if !names.contains(&name) {
            names.push(name);
        }
        rest = inner;
        let listed = match names.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, first)) => format!("{} and {last}", first.join(", ")),
            None => continue,
        };
        found.push((rest.to_owned(), listed));
    }
    found
}

/// Every secret with every change that alters its text.
pub(super) fn copy_mistakes<'a>(trial: &Trial<'a>) -> Vec<Guess<'a>> {
    let mut guesses = Vec::new();
    for (index, secret) in trial.secrets.iter().enumerate() {
        for (changed, names) in surroundings(secret.expose()) {
            let label = secret_label(trial, index);
            let explanation = format!(
                "{label} {names}; without that it fits. Remove it where the secret is stored."
            );
            guesses.push(Guess { trial: trial.with_secret(changed), explanation });
        }
        for (n, part) in secret.joined_secrets().iter().enumerate() {
            let label = secret_label(trial, index);
            let explanation = format!(
                "{label} holds several secrets, of which number {} fits. Give each on its own: \
                 repeat --secret, and write each as an item of `secrets:`.",
                n + 1
            );
            guesses.push(Guess { trial: trial.with_secret(part.expose()), explanation });
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_around_a_secret_is_named() {
        for (text, names) in [
            ("s\n", "ends with a newline"),
            ("s\r\n", "ends with a carriage return and a newline"),
            ("s\r", "ends with a carriage return"),
            ("\u{feff}s", "starts with a byte order mark"),
            (" s", "starts with white space"),
            ("s\u{a0}", "ends with white space"),
            ("'s'", "is in quotes"),
            (
                "\u{feff}\"s\"\n",
                "starts with a byte order mark, ends with a newline and is in quotes",
            ),
        ] {
            assert_eq!(surroundings(text).pop(), Some(("s".to_owned(), names.to_owned())));
        }
        assert_eq!(surroundings("s s"), []);
    }
}
