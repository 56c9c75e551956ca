//! Explains to the operator why verification failed. Called by `hookward verify` after a rejection.
//!
//! A [`Hypothesis`] is a known mistake. It changes the request, the secret or the scheme as if the mistake were
//! undone, and verifies again; if the signature then matches, the mistake is found. If no hypothesis matches,
//! [`hints`] reads the request for weaker evidence. No explanation contains a secret, a signature or a part of
//! a body.

mod body;
mod clock;
mod hints;
mod key;
mod rewrite;
mod scheme;
mod secret;
mod sender;
mod trial;
mod url;

use hookward_core::VerifyError;

pub(crate) use trial::Trial;

/// Larger bodies are not tried with two mistakes at a time, because that takes hundreds of verifications.
const MAX_BODY_FOR_PAIRS: usize = 64 * 1024;

/// The subject of a mistake. Two mistakes with one subject are not tried together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Sender,
    Secret,
    Body,
    Scheme,
    Url,
}

/// A known mistake, and the ways to undo it.
struct Hypothesis {
    /// Name in the list of the mistakes that were tried.
    name: &'static str,
    subject: Subject,
    /// One guess for each way in which the mistake may have been made, with that undone.
    guesses: for<'a> fn(&Trial<'a>) -> Vec<Guess<'a>>,
}

/// A trial with a mistake undone, and the explanation if its signature then matches.
struct Guess<'a> {
    trial: Trial<'a>,
    explanation: String,
}

/// All hypotheses, the most likely first: the first that matches is reported.
const HYPOTHESES: &[Hypothesis] = &[
    Hypothesis {
        name: "another provider's request",
        subject: Subject::Sender,
        guesses: sender::other_providers,
    },
    Hypothesis {
        name: "white space, quotes or a prefix around the secret",
        subject: Subject::Secret,
        guesses: secret::copy_mistakes,
    },
    Hypothesis {
        name: "a secret that is not decoded or wrongly decoded",
        subject: Subject::Secret,
        guesses: key::decodings,
    },
    Hypothesis {
        name: "a newline added or lost at the end of the body",
        subject: Subject::Body,
        guesses: body::trailing_bytes,
    },
    Hypothesis {
        name: "converted line ends or characters",
        subject: Subject::Body,
        guesses: body::converted_text,
    },
    Hypothesis {
        name: "JSON that was parsed and written again",
        subject: Subject::Body,
        guesses: body::reserialized,
    },
    Hypothesis {
        name: "a body that was read before it was signed",
        subject: Subject::Body,
        guesses: body::empty,
    },
    Hypothesis {
        name: "hex for base64 or the reverse",
        subject: Subject::Scheme,
        guesses: scheme::encodings,
    },
    Hypothesis {
        name: "another prefix or label before the signature",
        subject: Subject::Scheme,
        guesses: scheme::labels,
    },
    Hypothesis { name: "another hash", subject: Subject::Scheme, guesses: scheme::hashes },
    Hypothesis {
        name: "another signed message",
        subject: Subject::Scheme,
        guesses: scheme::messages,
    },
    Hypothesis { name: "a time in another unit", subject: Subject::Scheme, guesses: scheme::times },
    Hypothesis { name: "another URL", subject: Subject::Url, guesses: url::other_urls },
];

/// Explains why verification rejected this request with this error.
pub(crate) async fn explain(trial: &Trial<'_>, error: &VerifyError) -> String {
    if let Some(text) = clock::explain(trial, error) {
        return text;
    }
    let reason = to_sentence(error);
    let base = trial.with_unlimited_tolerance();
    if let Some(unlimited) = base.scheme.clone().and_then(|scheme| base.with_scheme(scheme))
        && unlimited.matches().await
    {
        return format!("The signature is right, but the request is rejected: {error}.");
    }
    if let Some(explanation) = find_one_mistake(&base).await {
        return format!("{reason} {explanation}");
    }
    let hints = hints::collect(trial, error);
    if base.request.body.bytes().len() <= MAX_BODY_FOR_PAIRS
        && let Some(explanation) = find_two_mistakes(&base).await
    {
        return format!("{reason} {explanation}");
    }
    if hints.is_empty() {
        format!("{reason} {}", advice_without_match(trial, error))
    } else {
        format!("{reason} {}", hints.join(" "))
    }
}

async fn find_one_mistake(base: &Trial<'_>) -> Option<String> {
    for hypothesis in HYPOTHESES {
        for guess in (hypothesis.guesses)(base) {
            if guess.trial.matches().await {
                return Some(guess.explanation);
            }
        }
    }
    None
}

async fn find_two_mistakes(base: &Trial<'_>) -> Option<String> {
    for (index, first) in HYPOTHESES.iter().enumerate() {
        for guess in (first.guesses)(base) {
            for second in HYPOTHESES.iter().skip(index + 1).filter(|h| h.subject != first.subject) {
                for second_guess in (second.guesses)(&guess.trial) {
                    if second_guess.trial.matches().await {
                        return Some(format!(
                            "Two things at once: {} {}",
                            guess.explanation, second_guess.explanation
                        ));
                    }
                }
            }
        }
    }
    None
}

/// The error as a sentence.
fn to_sentence(error: &VerifyError) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

fn advice_without_match(trial: &Trial<'_>, error: &VerifyError) -> String {
    match error {
        VerifyError::InvalidSignature => {
            let tried: Vec<_> = HYPOTHESES.iter().map(|h| h.name).collect();
            let hint = hints::secret_location(trial.name);
            format!(
                "None of the known mistakes fits (tried: {}). Most likely the secret belongs to another endpoint or environment, or is the old one from before a rotation; \
                 repeat --secret to try several.{hint} Otherwise the body was changed on its way.",
                tried.join(", ")
            )
        }
        VerifyError::KeyUnavailable { .. } => {
            "Verification needs the key, and `verify` fetches nothing. Pass the sender's published key: \
             `--with certificate_pem=@FILE`, `--with jwks=@FILE` or, for one key, `--with jwk=@FILE`."
                .to_owned()
        }
        VerifyError::InvalidClaim { .. } => {
            "The signature is right, but a claim of the token is not; compare the token with the settings given with `--with`.".to_owned()
        }
        _ => "None of the known mistakes explains it. Check whether a proxy rewrites headers, and whether this request comes from that provider.".to_owned(),
    }
}
