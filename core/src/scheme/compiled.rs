//! A scheme checked and compiled: addresses parsed, templates cut, contradictions refused.

use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

#[cfg(feature = "keys")]
use crate::crypto::p256_point_from_spki;
use crate::crypto::{HmacAlgorithm, ProofAlgorithm};
use crate::prove::Verified;
use crate::provider::{IdentifyError, Identity};
use crate::scheme::field_location::FieldLocation;
use crate::scheme::identity::IdentityRules;
use crate::scheme::spec::{
    KeyFormat, Scheme, SchemeError, SignatureAlgorithm, SignatureLocation, SignatureSpec, TimeUnit,
};
use crate::scheme::template::{self, Segment};
use crate::secret::Secret;

/// Bounds that keep the work on one request small.
pub(crate) const MAX_ELEMENTS: usize = 32;

/// A scheme that is ready to verify, identify and sign.
#[derive(Debug, Clone)]
pub struct CompiledScheme {
    pub(crate) signature: SignatureSpec,
    pub(crate) message: Vec<Segment>,
    /// `None`: token equality.
    pub(crate) alg: Option<ProofAlgorithm>,
    pub(crate) key: KeyFormat,
    pub(crate) timestamp: Option<CompiledTime>,
    pub(crate) naming: IdentityRules,
    pub(crate) replay_token: Option<FieldLocation>,
}

#[derive(Debug, Clone)]
pub(crate) struct CompiledTime {
    pub(crate) from: TimeSource,
    pub(crate) unit: TimeUnit,
    pub(crate) past: Duration,
    pub(crate) future: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimeSource {
    Sig(String),
    At(FieldLocation),
}

impl Scheme {
    /// Reads a scheme from JSON: a provider crate's own file.
    pub fn from_json(text: &str) -> Result<Self, SchemeError> {
        serde_json::from_str(text).map_err(|e| SchemeError::new("", e.to_string()))
    }

    /// Checks and compiles it.
    pub fn compile(self) -> Result<CompiledScheme, SchemeError> {
        check_signature(&self.signature)?;
        check_key(self.alg, self.key)?;
        let alg = proof_algorithm(self.alg)?;
        let message = template::parse(&self.message)?;
        let timestamp = self.timestamp.map(compile_time).transpose()?;
        check_message(&message, &self.signature, timestamp.as_ref(), alg)?;
        let naming = IdentityRules::new(self.event_type, self.event_id, self.batch)?;
        let replay_token =
            self.replay_token.map(|text| replay_token(&text, &message)).transpose()?;
        if replay_token.is_some() && naming.is_batch() {
            // The items of one delivery would have one token, and a longer one would bring new items.
            return Err(SchemeError::new(
                "/replay_token",
                "`replay_token` does not go with `batch`",
            ));
        }
        Ok(CompiledScheme {
            signature: self.signature,
            message,
            alg,
            key: self.key,
            timestamp,
            naming,
            replay_token,
        })
    }
}

/// The algorithm of the proof; `None` for `equal`, which compares tokens.
fn proof_algorithm(alg: SignatureAlgorithm) -> Result<Option<ProofAlgorithm>, SchemeError> {
    Ok(Some(match alg {
        SignatureAlgorithm::Equal => return Ok(None),
        SignatureAlgorithm::HmacSha1 => ProofAlgorithm::Hmac(HmacAlgorithm::Sha1),
        SignatureAlgorithm::HmacSha256 => ProofAlgorithm::Hmac(HmacAlgorithm::Sha256),
        SignatureAlgorithm::HmacSha512 => ProofAlgorithm::Hmac(HmacAlgorithm::Sha512),
        SignatureAlgorithm::Sha256 => ProofAlgorithm::Sha256,
        #[cfg(feature = "keys")]
        SignatureAlgorithm::Ed25519 => ProofAlgorithm::Ed25519,
        #[cfg(feature = "keys")]
        SignatureAlgorithm::EcdsaP256Sha256Der => ProofAlgorithm::EcdsaP256Der,
        #[cfg(not(feature = "keys"))]
        SignatureAlgorithm::Ed25519 | SignatureAlgorithm::EcdsaP256Sha256Der => {
            return Err(SchemeError::new(
                "/alg",
                "this program is built without the feature `keys` of hookward-core, which public-key \
                 signatures need; enable it, or use an algorithm with a shared key",
            ));
        }
    }))
}

fn check_signature(spec: &SignatureSpec) -> Result<(), SchemeError> {
    let wrong = |at: &str, message: String| Err(SchemeError::new(at, message));
    let name = spec.name.as_str();
    match spec.place {
        SignatureLocation::Header => {
            let stem = name.strip_suffix("-*").unwrap_or(name);
            if http::HeaderName::from_bytes(stem.as_bytes()).is_err() {
                return wrong("/signature/name", format!("`{name}` is not a header name"));
            }
        }
        SignatureLocation::Json if !name.starts_with('/') || name.matches("/*").count() > 1 => {
            return wrong(
                "/signature/name",
                format!("`{name}` is no JSON pointer with at most one `*`"),
            );
        }
        _ if name.is_empty() => return wrong("/signature/name", "the name is empty".to_owned()),
        _ => {}
    }
    if spec.split.is_some() && spec.place != SignatureLocation::Header {
        return wrong("/signature/split", "lists are read from headers alone".to_owned());
    }
    if spec.split.is_none() && (spec.pair.is_some() || spec.take.is_some()) {
        return wrong("/signature", "`pair` and `take` go with `split`".to_owned());
    }
    if spec.pair.is_some() != spec.take.is_some() {
        return wrong("/signature", "`pair` and `take` go together".to_owned());
    }
    Ok(())
}

/// A public key must never serve as a shared one: everybody has it.
fn check_key(alg: SignatureAlgorithm, key: KeyFormat) -> Result<(), SchemeError> {
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
            "`whpk` and `spki-b64` are public keys; with this `alg` the key is `utf8`, `hex` or `whsec`",
        ),
    };
    if fits { Ok(()) } else { Err(SchemeError::new("/key", allowed)) }
}

fn compile_time(spec: crate::scheme::TimestampSpec) -> Result<CompiledTime, SchemeError> {
    let from = match spec.from.strip_prefix("sig:") {
        Some(key) if !key.is_empty() => TimeSource::Sig(key.to_owned()),
        _ => TimeSource::At(FieldLocation::parse(&spec.from, "/timestamp/from")?),
    };
    Ok(CompiledTime { from, unit: spec.unit, past: spec.past.0, future: spec.future.0 })
}

/// A text that anyone could change would stop nobody, so the message has to hold it.
fn replay_token(text: &str, message: &[Segment]) -> Result<FieldLocation, SchemeError> {
    let at = "/replay_token";
    let address = match FieldLocation::parse(text, at)? {
        FieldLocation::Pointer(pointer) => FieldLocation::Root(pointer),
        other => other,
    };
    let holds = |segment: &Segment| match (segment, &address) {
        (Segment::Header(a), FieldLocation::Header(b))
        | (Segment::Json(a), FieldLocation::Root(b))
        | (Segment::Form(a), FieldLocation::Form(b)) => a == b,
        (Segment::Body, address) => !matches!(address, FieldLocation::Header(_)),
        _ => false,
    };
    if message.iter().any(holds) {
        return Ok(address);
    }
    Err(SchemeError::new(at, "this text is not part of the signed message, so it stops nobody"))
}

fn check_message(
    message: &[Segment],
    signature: &SignatureSpec,
    timestamp: Option<&CompiledTime>,
    alg: Option<ProofAlgorithm>,
) -> Result<(), SchemeError> {
    let wrong = |at: &str, message: &str| Err(SchemeError::new(at, message));
    match (alg, message.contains(&Segment::Key)) {
        (Some(ProofAlgorithm::Sha256), false) => {
            return wrong("/message", "without `{key}` anyone could compute this hash");
        }
        (Some(ProofAlgorithm::Sha256), true) | (_, false) => {}
        _ => return wrong("/message", "`{key}` goes with `alg: sha256` alone"),
    }
    let varies = |s: &Segment| !matches!(s, Segment::Literal(_) | Segment::Key);
    if alg.is_some() && !message.iter().any(varies) {
        return wrong(
            "/message",
            "the message holds no variable: every request would have one signature",
        );
    }
    if message.contains(&Segment::Timestamp) && timestamp.is_none() {
        return wrong("/message", "`{timestamp}` needs a `timestamp:` block that says where it is");
    }
    let uses_sig = message.iter().any(|s| matches!(s, Segment::Sig(_)))
        || timestamp.is_some_and(|t| matches!(t.from, TimeSource::Sig(_)));
    if uses_sig && signature.pair.is_none() {
        return wrong(
            "/signature",
            "`sig:KEY` needs a list signature with `split`, `pair` and `take`",
        );
    }
    let covers = |segment: &Segment, time: &TimeSource| match (segment, time) {
        (Segment::Timestamp, _) => true,
        (Segment::Body, TimeSource::At(place)) => !matches!(place, FieldLocation::Header(_)),
        (Segment::Sig(a), TimeSource::Sig(b)) => a == b,
        (Segment::Header(a), TimeSource::At(FieldLocation::Header(b))) => a == b,
        (Segment::Json(a), TimeSource::At(FieldLocation::Pointer(b) | FieldLocation::Root(b))) => {
            a == b
        }
        (Segment::Form(a), TimeSource::At(FieldLocation::Form(b))) => a == b,
        _ => false,
    };
    match timestamp {
        Some(time) if alg.is_some() && !message.iter().any(|s| covers(s, &time.from)) => wrong(
            "/timestamp",
            "this time is not part of the signed message, so anyone could change it",
        ),
        _ => Ok(()),
    }
}

impl CompiledScheme {
    /// The key that a secret's text stands for.
    pub(crate) fn key_bytes(&self, secret: &Secret) -> Option<Vec<u8>> {
        let text = secret.expose();
        let key = match self.key {
            KeyFormat::Utf8 => text.as_bytes().to_vec(),
            KeyFormat::Hex => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?,
            KeyFormat::Whsec => {
                BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text).as_bytes()).ok()?
            }
            KeyFormat::Whpk => {
                BASE64.decode(text.strip_prefix("whpk_").unwrap_or(text).as_bytes()).ok()?
            }
            #[cfg(feature = "keys")]
            KeyFormat::SpkiB64 => {
                p256_point_from_spki(&BASE64.decode(text.as_bytes()).ok()?)?.to_vec()
            }
            // A scheme with such a key does not compile without the feature, see `proof_algorithm`.
            #[cfg(not(feature = "keys"))]
            KeyFormat::SpkiB64 => return None,
        };
        let takes = |key: &Vec<u8>| self.alg.map_or(!key.is_empty(), |alg| alg.accepts_key(key));
        Some(key).filter(takes)
    }

    /// Whether a secret can be used; the text says what is expected and never holds the secret.
    pub fn check_secret(&self, secret: &Secret) -> Result<(), String> {
        if self.key_bytes(secret).is_some() {
            return Ok(());
        }
        let public = self.alg.is_some_and(ProofAlgorithm::is_public);
        Err(match self.key {
            KeyFormat::Hex if public => "is not a usable Ed25519 public key in hexadecimal",
            KeyFormat::Utf8 => "is empty",
            KeyFormat::Hex => "is not hexadecimal",
            KeyFormat::Whsec => "is not base64 (with or without `whsec_` before it)",
            KeyFormat::Whpk => {
                "is not a usable Ed25519 public key in base64 (with or without `whpk_` before it)"
            }
            KeyFormat::SpkiB64 => "is not a P-256 public key as SubjectPublicKeyInfo in base64",
        }
        .to_owned())
    }

    /// Names the events of a proven delivery.
    pub fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        self.naming.identify(delivery, |address| self.signs(address))
    }

    /// The signed text that no other delivery carries, where the scheme says that there is one.
    pub fn replay_token(&self, delivery: &Verified) -> Option<String> {
        self.replay_token.as_ref()?.text(delivery, None)
    }

    /// Whether what stands there cannot be changed without breaking the proof. A token proves all
    /// that its sender wrote, or nothing: the body counts, headers do not.
    fn signs(&self, address: &FieldLocation) -> bool {
        let whole_body = self.alg.is_none() || self.message.contains(&Segment::Body);
        match address {
            FieldLocation::Header(name) => {
                self.alg.is_some() && self.message.contains(&Segment::Header(name.clone()))
            }
            // In a batch this pointer starts at an item, that of a message at the body.
            FieldLocation::Pointer(_) if self.naming.is_batch() => whole_body,
            FieldLocation::Pointer(p) | FieldLocation::Root(p) => {
                whole_body || self.message.contains(&Segment::Json(p.clone()))
            }
            FieldLocation::Form(f) => {
                whole_body || self.message.contains(&Segment::Form(f.clone()))
            }
        }
    }

    /// Whether the signature covers the event type's place: what `check` warns of where it does not.
    pub fn signs_event_type(&self) -> bool {
        self.naming.type_addresses().all(|a| self.signs(a))
    }
}
