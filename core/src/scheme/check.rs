//! Checks of a scheme that is being compiled: contradictions, and schemes that would prove nothing.
//! Called by [`Scheme::compile`](super::Scheme::compile).

use crate::crypto::ProofAlgorithm;
use crate::scheme::compiled_timestamp::{CompiledTimestamp, TimestampLocation};
use crate::scheme::error::SchemeError;
use crate::scheme::field_location::FieldLocation;
use crate::scheme::spec::{KeyFormat, SignatureAlgorithm, SignatureLocation, SignatureSpec};
use crate::scheme::template::Segment;

/// Checks the name of the signature's place and the keys of a list.
pub(super) fn check_signature(spec: &SignatureSpec) -> Result<(), SchemeError> {
    let error = |at: &str, message: String| Err(SchemeError::new(at, message));
    let name = spec.name.as_str();
    match spec.location {
        SignatureLocation::Header => {
            // `X-Signature-*` stands for all headers that begin with `X-Signature-`.
            let stem = name.strip_suffix("-*").unwrap_or(name);
            if http::HeaderName::from_bytes(stem.as_bytes()).is_err() {
                return error("/signature/name", format!("`{name}` is not a header name"));
            }
        }
        SignatureLocation::Json if !name.starts_with('/') || name.matches("/*").count() > 1 => {
            return error(
                "/signature/name",
                format!(
                    "`{name}` is not a JSON pointer with at most one `*`; write /pointer or \
                     /pointer/*/pointer"
                ),
            );
        }
        _ if name.is_empty() => {
            return error("/signature/name", "the name is empty; write a field's name".to_owned());
        }
        _ => {}
    }
    if spec.split.is_some() && spec.location != SignatureLocation::Header {
        let message = "`split` is allowed only with `in: header`";
        return error("/signature/split", message.to_owned());
    }
    if spec.split.is_none() && (spec.pair.is_some() || spec.take.is_some()) {
        let message = "`pair` and `take` describe the elements of a list and need `split`";
        return error("/signature", message.to_owned());
    }
    if spec.pair.is_some() != spec.take.is_some() {
        let message = "`pair` and `take` need each other: set both or neither";
        return error("/signature", message.to_owned());
    }
    Ok(())
}

/// Checks that the key's format fits the algorithm. A public key must never serve as a shared
/// secret: everybody has it.
pub(super) fn check_key_format(alg: SignatureAlgorithm, key: KeyFormat) -> Result<(), SchemeError> {
    let (fits, allowed) = match alg {
        SignatureAlgorithm::Ed25519 => (
            matches!(key, KeyFormat::Hex | KeyFormat::Whpk),
            "with `alg: ed25519` the key is `hex` or `whpk`",
        ),
        SignatureAlgorithm::EcdsaP256Sha256Der => {
            (key == KeyFormat::SpkiB64, "with `alg: ecdsa-p256-sha256-der` the key is `spki-b64`")
        }
        _ => (
            !matches!(key, KeyFormat::Whpk | KeyFormat::SpkiB64),
            "`whpk` and `spki-b64` are public keys; with this `alg` the key is `utf8`, `hex` or \
             `whsec`",
        ),
    };
    if fits { Ok(()) } else { Err(SchemeError::new("/key", allowed)) }
}

/// Checks that the message depends on the request, covers the timestamp, and uses only what the
/// rest of the scheme provides.
pub(super) fn check_message(
    message: &[Segment],
    signature: &SignatureSpec,
    timestamp: Option<&CompiledTimestamp>,
    alg: Option<ProofAlgorithm>,
) -> Result<(), SchemeError> {
    let error = |at: &str, message: &str| Err(SchemeError::new(at, message));
    match (alg, message.contains(&Segment::Key)) {
        (Some(ProofAlgorithm::Sha256), false) => {
            return error(
                "/message",
                "without `{key}` anyone can compute this hash; put `{key}` into the message",
            );
        }
        (Some(ProofAlgorithm::Sha256), true) | (_, false) => {}
        // An HMAC is keyed already; with a public key, `{key}` would sign what everybody knows.
        _ => return error("/message", "`{key}` is allowed only with `alg: sha256`"),
    }
    // Whoever saw one request could sign all others.
    let varies = |s: &Segment| !matches!(s, Segment::Literal(_) | Segment::Key);
    if alg.is_some() && !message.iter().any(varies) {
        return error(
            "/message",
            "the message has no variable, so every request would have the same signature; add one, \
             such as `{body}`",
        );
    }
    if message.contains(&Segment::Timestamp) && timestamp.is_none() {
        return error(
            "/message",
            "`{timestamp}` needs a `timestamp:` block that says where the time is",
        );
    }
    let uses_list = message.iter().any(|s| matches!(s, Segment::SignatureListValue(_)))
        || timestamp.is_some_and(|t| matches!(t.location, TimestampLocation::SignatureList(_)));
    if uses_list && signature.pair.is_none() {
        return error(
            "/signature",
            "`sig:KEY` needs a list signature with `split`, `pair` and `take`",
        );
    }
    let is_in_json = |time: &CompiledTimestamp| match &time.location {
        TimestampLocation::Field(field) => field.reads_json(),
        TimestampLocation::SignatureList(_) => false,
    };
    if timestamp.is_some_and(|time| {
        time.optional
            && !(is_in_json(time)
                && message.contains(&Segment::Body)
                && !message.contains(&Segment::Timestamp))
    }) {
        return error(
            "/timestamp/optional",
            "only a time in the signed body may be optional: set `from: json:/pointer`, and a \
             `message` with `{body}` and without `{timestamp}`",
        );
    }
    // An unsigned time would pass the tolerance of any replay: the attacker sets it to now.
    match timestamp {
        Some(time) if alg.is_some() && !message.iter().any(|s| covers(s, &time.location)) => error(
            "/timestamp",
            "this time is not part of the signed message, so anyone could change it; add \
             `{timestamp}` to `message`",
        ),
        _ => Ok(()),
    }
}

/// Whether a segment of the message contains the timestamp at this location.
fn covers(segment: &Segment, location: &TimestampLocation) -> bool {
    match (segment, location) {
        (Segment::Timestamp, _) => true,
        (Segment::Body, TimestampLocation::Field(field)) => {
            !matches!(field, FieldLocation::Header(_))
        }
        (Segment::SignatureListValue(a), TimestampLocation::SignatureList(b)) => a == b,
        (Segment::Header(a), TimestampLocation::Field(FieldLocation::Header(b))) => a == b,
        (
            Segment::Json(a),
            TimestampLocation::Field(FieldLocation::Pointer(b) | FieldLocation::Root(b)),
        ) => a == b,
        (Segment::Form(a), TimestampLocation::Field(FieldLocation::Form(b))) => a == b,
        _ => false,
    }
}

/// Parses the `replay_token` and checks that the message contains it: a text that anyone could
/// change would prevent no replay.
pub(super) fn replay_token(
    text: &str,
    message: &[Segment],
    is_batch: bool,
) -> Result<FieldLocation, SchemeError> {
    let at = "/replay_token";
    // The token is one for the delivery, so its pointer starts at the body.
    let location = match FieldLocation::parse(text, at)? {
        FieldLocation::Pointer(pointer) => FieldLocation::Root(pointer),
        other => other,
    };
    let contains = |segment: &Segment| match (segment, &location) {
        (Segment::Header(a), FieldLocation::Header(b))
        | (Segment::Json(a), FieldLocation::Root(b))
        | (Segment::Form(a), FieldLocation::Form(b)) => a == b,
        (Segment::Body, location) => !matches!(location, FieldLocation::Header(_)),
        _ => false,
    };
    if !message.iter().any(contains) {
        return Err(SchemeError::new(
            at,
            "this text is not part of the signed message, so anyone could change it; name one that is",
        ));
    }
    // All items of a delivery would share the token, so a longer copy of the batch could bring new
    // ones.
    if is_batch {
        return Err(SchemeError::new(at, "`replay_token` and `batch` exclude each other"));
    }
    Ok(location)
}
