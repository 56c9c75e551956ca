//! Why a request is not believed, for the operator. Called by `hookward verify` after a rejection.
//!
//! A known mistake is a [`Hypothesis`]: it alters the request, the secret or the scheme as if the
//! mistake were undone, and the proof is run again. What then fits is what went wrong. Where
//! nothing fits, [`signs`] read the request for weaker evidence. No text that is made here holds a
//! secret, a signature, or a part of a body.

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

/// Bodies above this are not tried with two mistakes at once: that is hundreds of proofs.
const MAX_FOR_PAIRS: usize = 64 * 1024;

/// What a mistake is about. Two mistakes of one kind are not tried together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sender,
    Secret,
    Body,
    Scheme,
    Url,
}

/// A known mistake.
struct Hypothesis {
    /// In the list of what was tried.
    name: &'static str,
    kind: Kind,
    /// The ways in which it may have been made, each undone.
    guesses: for<'a> fn(&Trial<'a>) -> Vec<Guess<'a>>,
}

/// A trial with a mistake undone, and what to say if it then fits.
struct Guess<'a> {
    trial: Trial<'a>,
    says: String,
}

/// The likeliest first: of several that fit, the first is named.
const KNOWN: &[Hypothesis] = &[
    Hypothesis { name: "another provider's request", kind: Kind::Sender, guesses: sender::others },
    Hypothesis {
        name: "white space, quotes or a prefix around the secret",
        kind: Kind::Secret,
        guesses: secret::texts,
    },
    Hypothesis {
        name: "a secret that is not decoded or wrongly decoded",
        kind: Kind::Secret,
        guesses: key::forms,
    },
    Hypothesis {
        name: "a newline added or lost at the end of the body",
        kind: Kind::Body,
        guesses: body::ends,
    },
    Hypothesis {
        name: "converted line ends or characters",
        kind: Kind::Body,
        guesses: body::conversions,
    },
    Hypothesis {
        name: "JSON that was parsed and written again",
        kind: Kind::Body,
        guesses: body::rewritten,
    },
    Hypothesis {
        name: "a body that was read before it was signed",
        kind: Kind::Body,
        guesses: body::emptied,
    },
    Hypothesis {
        name: "hex for base64 or the reverse",
        kind: Kind::Scheme,
        guesses: scheme::encodings,
    },
    Hypothesis {
        name: "another prefix or label before the signature",
        kind: Kind::Scheme,
        guesses: scheme::labels,
    },
    Hypothesis { name: "another hash", kind: Kind::Scheme, guesses: scheme::hashes },
    Hypothesis { name: "another signed message", kind: Kind::Scheme, guesses: scheme::messages },
    Hypothesis { name: "a time in another unit", kind: Kind::Scheme, guesses: scheme::times },
    Hypothesis { name: "another URL", kind: Kind::Url, guesses: url::others },
];

/// Says why this request was rejected with this error.
pub(crate) async fn explain(trial: &Trial<'_>, error: &VerifyError) -> String {
    if let Some(text) = clock::explain(trial, error) {
        return text;
    }
    let found = sentence(error);
    let base = trial.without_clock();
    if let Some(same) = base.scheme.clone().and_then(|scheme| base.with_scheme(scheme))
        && same.fits().await
    {
        return format!("The signature is right, but the request is refused: {error}.");
    }
    if let Some(says) = one_mistake(&base).await {
        return format!("{found} {says}");
    }
    let signs = hints::read(trial, error);
    if base.request.body.bytes().len() <= MAX_FOR_PAIRS
        && let Some(says) = two_mistakes(&base).await
    {
        return format!("{found} {says}");
    }
    if signs.is_empty() {
        format!("{found} {}", nothing_fits(trial, error))
    } else {
        format!("{found} {}", signs.join(" "))
    }
}

async fn one_mistake(base: &Trial<'_>) -> Option<String> {
    for known in KNOWN {
        for guess in (known.guesses)(base) {
            if guess.trial.fits().await {
                return Some(guess.says);
            }
        }
    }
    None
}

async fn two_mistakes(base: &Trial<'_>) -> Option<String> {
    for (index, first) in KNOWN.iter().enumerate() {
        for guess in (first.guesses)(base) {
            for second in KNOWN.iter().skip(index + 1).filter(|k| k.kind != first.kind) {
                for both in (second.guesses)(&guess.trial) {
                    if both.trial.fits().await {
                        return Some(format!("Two things at once: {} {}", guess.says, both.says));
                    }
                }
            }
        }
    }
    None
}

/// The error as a sentence.
fn sentence(error: &VerifyError) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

fn nothing_fits(trial: &Trial<'_>, error: &VerifyError) -> String {
    match error {
        VerifyError::InvalidSignature => {
            let tried: Vec<_> = KNOWN.iter().map(|k| k.name).collect();
            let hint = hints::where_secrets_are(trial.name);
            format!(
                "None of the known mistakes fits (tried: {}). Most likely the secret is another one: that of another endpoint or environment, or the old one from before a rotation; \
                 give several with --secret to try them.{hint} Otherwise the body was changed on its way.",
                tried.join(", ")
            )
        }
        VerifyError::KeyUnavailable { .. } => {
            "Nothing can be said without it, and `verify` fetches nothing. Give what the sender publishes by hand: \
             `--with certificate_pem=@FILE`, `--with jwks=@FILE` or, for one key, `--with jwk=@FILE`."
                .to_owned()
        }
        VerifyError::InvalidClaim { .. } => {
            "What signs it is right; compare what it says with the settings given with `--with`.".to_owned()
        }
        _ => "None of the known mistakes makes it fit. Look whether something on the way rewrites headers, and whether this is a request of that provider at all.".to_owned(),
    }
}
