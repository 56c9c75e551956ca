//! [`CompiledScheme`]: a scheme with its locations parsed, its template split and its
//! contradictions ruled out.

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};

#[cfg(feature = "keys")]
use crate::crypto::p256_point_from_spki;
use crate::crypto::{HmacAlgorithm, ProofAlgorithm};
use crate::identity::{IdentifyError, Identity, RequestPart};
use crate::prove::Verified;
use crate::scheme::check;
use crate::scheme::compiled_timestamp::{CompiledTimestamp, TimestampLocation};
use crate::scheme::error::SchemeError;
use crate::scheme::field_location::FieldLocation;
use crate::scheme::identity::IdentityRules;
use crate::scheme::spec::{
    KeyFormat, Scheme, SignatureAlgorithm, SignatureLocation, SignatureSpec, TimestampSpec,
};
use crate::scheme::template::{self, Segment};
use crate::secret::{Secret, SecretError};

/// A scheme that is ready to verify, identify and sign. Made by [`Scheme::compile`]; it is a
/// [`Provider`](crate::Provider) by itself.
#[derive(Debug, Clone)]
pub struct CompiledScheme {
    pub(super) signature: SignatureSpec,
    pub(super) message: Vec<Segment>,
    /// `None`: the signature is the secret itself.
    pub(super) alg: Option<ProofAlgorithm>,
    pub(super) key: KeyFormat,
    pub(super) timestamp: Option<CompiledTimestamp>,
    pub(super) identity: IdentityRules,
    pub(super) replay_token: Option<FieldLocation>,
}

impl Scheme {
    /// Reads a scheme from JSON, such as the file in a provider crate.
    ///
    /// # Errors
    /// [`SchemeError`] for unknown keys, unknown values and missing keys.
    pub fn from_json(text: &str) -> Result<Self, SchemeError> {
        serde_json::from_str(text).map_err(|e| SchemeError::new("", e.to_string()))
    }

    /// Checks the scheme and compiles it.
    ///
    /// # Errors
    /// [`SchemeError`] for names, pointers and templates that cannot be parsed, and for a scheme
    /// that would prove nothing: an unsigned timestamp, a message without a variable, a public key
    /// used as a shared secret.
    ///
    /// ```
    /// use hookward_core::scheme::Scheme;
    ///
    /// let scheme = Scheme::from_json(r#"{
    ///   "signature": { "in": "header", "name": "X-Acme-Signature" },
    ///   "message": "always the same text",
    ///   "alg": "hmac-sha256"
    /// }"#)?;
    /// let error = scheme.compile().unwrap_err();
    /// assert_eq!(error.pointer, "/message");
    /// # Ok::<(), hookward_core::scheme::SchemeError>(())
    /// ```
    pub fn compile(self) -> Result<CompiledScheme, SchemeError> {
        check::check_signature(&self.signature)?;
        check::check_key_format(self.alg, self.key)?;
        let alg = proof_algorithm(self.alg)?;
        let message = template::parse(&self.message)?;
        let timestamp = self.timestamp.map(compile_timestamp).transpose()?;
        check::check_message(&message, &self.signature, timestamp.as_ref(), alg)?;
        let identity = IdentityRules::new(self.event_type, self.event_id, self.batch)?;
        let replay_token = match &self.replay_token {
            Some(text) => Some(check::replay_token(text, &message, identity.is_batch())?),
            None => None,
        };
        Ok(CompiledScheme {
            signature: self.signature,
            message,
            alg,
            key: self.key,
            timestamp,
            identity,
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
                "signatures under a public key need the feature `keys` of hookward-core, which this \
                 program is built without; enable it, or use an algorithm with a shared secret",
            ));
        }
    }))
}

fn compile_timestamp(spec: TimestampSpec) -> Result<CompiledTimestamp, SchemeError> {
    let location = match spec.from.strip_prefix("sig:") {
        Some(key) if !key.is_empty() => TimestampLocation::SignatureList(key.to_owned()),
        _ => TimestampLocation::Field(FieldLocation::parse(&spec.from, "/timestamp/from")?),
    };
    Ok(CompiledTimestamp {
        location,
        unit: spec.unit,
        past: spec.past.0,
        future: spec.future.0,
        optional: spec.optional,
    })
}

/// A secret without what is written before it: the version of its signatures, as Supabase and others
/// show it, and the prefix of its kind.
fn without_key_prefix<'a>(text: &'a str, version: &str, kind: &str) -> &'a str {
    let versioned = text.strip_prefix(version).filter(|rest| rest.starts_with(kind));
    let text = versioned.unwrap_or(text);
    text.strip_prefix(kind).unwrap_or(text)
}

impl CompiledScheme {
    /// The key that a configured secret stands for; `None` where the secret cannot be decoded or
    /// the algorithm does not accept the key.
    pub(super) fn key_bytes(&self, secret: &Secret) -> Option<Vec<u8>> {
        let text = secret.expose();
        // With or without padding: senders show both, and the library of Standard Webhooks for Python
        // takes both.
        let base64 = |text: &str| {
            let padded = || BASE64.decode(text.as_bytes());
            BASE64_NOPAD.decode(text.as_bytes()).or_else(|_| padded()).ok()
        };
        let key = match self.key {
            KeyFormat::Utf8 => text.as_bytes().to_vec(),
            KeyFormat::Hex => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?,
            KeyFormat::Whsec => base64(without_key_prefix(text, "v1,", "whsec_"))?,
            KeyFormat::Whpk => base64(without_key_prefix(text, "v1a,", "whpk_"))?,
            #[cfg(feature = "keys")]
            KeyFormat::SpkiB64 => p256_point_from_spki(&base64(text)?)?.to_vec(),
            // A scheme with such a key does not compile without the feature, see `proof_algorithm`.
            #[cfg(not(feature = "keys"))]
            KeyFormat::SpkiB64 => return None,
        };
        let accepts = |key: &Vec<u8>| self.alg.map_or(!key.is_empty(), |alg| alg.accepts_key(key));
        Some(key).filter(accepts)
    }

    /// Checks whether a configured secret can be used.
    ///
    /// # Errors
    /// What the secret is not, as the rest of a sentence that begins with its name. Never holds the
    /// secret.
    pub fn check_secret(&self, secret: &Secret) -> Result<(), SecretError> {
        if self.key_bytes(secret).is_some() {
            return Ok(());
        }
        let is_public = self.alg.is_some_and(ProofAlgorithm::is_public);
        Err(SecretError::new(match self.key {
            KeyFormat::Utf8 => "is empty",
            KeyFormat::Hex if is_public => "is not a usable Ed25519 public key in hexadecimal",
            KeyFormat::Hex => "is not hexadecimal",
            KeyFormat::Whsec => "is not base64 (with or without `whsec_` or `v1,whsec_` before it)",
            KeyFormat::Whpk => {
                "is not a usable Ed25519 public key in base64 (with or without `whpk_` or \
                 `v1a,whpk_` before it)"
            }
            KeyFormat::SpkiB64 => "is not a P-256 public key as SubjectPublicKeyInfo in base64",
        }))
    }

    /// Names the events of a proven delivery.
    ///
    /// # Errors
    /// [`IdentifyError`] for a batch that cannot be split into events.
    pub fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        self.identity.identify(delivery, |location| self.signs(location))
    }

    /// The signed text that no other delivery carries; `None` where the scheme names no
    /// `replay_token`.
    pub fn replay_token(&self, delivery: &Verified) -> Option<String> {
        self.replay_token.as_ref()?.read_for_proof(delivery)
    }

    /// Whether the proof covers the value at a location: without that, a changed id would make a
    /// replayed delivery look new. A bare token (`alg: equal`) vouches for the body as the
    /// sender's, and for no header: a proxy may add headers.
    fn signs(&self, location: &FieldLocation) -> bool {
        let signs_body = self.alg.is_none() || self.message.contains(&Segment::Body);
        match location {
            FieldLocation::Header(name) => {
                let is_time = self.timestamp.as_ref().is_some_and(|timestamp| {
                    matches!(&timestamp.location, TimestampLocation::Field(at) if at == location)
                });
                self.alg.is_some()
                    && (self.message.contains(&Segment::Header(name.clone()))
                        || is_time && self.message.contains(&Segment::Timestamp))
            }
            // In a batch, such a pointer starts at an item; a pointer in the message, at the body.
            FieldLocation::Pointer(_) if self.identity.is_batch() => signs_body,
            FieldLocation::Pointer(p) | FieldLocation::Root(p) => {
                signs_body || self.message.contains(&Segment::Json(p.clone()))
            }
            FieldLocation::Form(f) => {
                signs_body || self.message.contains(&Segment::Form(f.clone()))
            }
        }
    }

    /// Whether the proof is the secret itself, in a header or in the query.
    pub fn is_head_token(&self) -> bool {
        let location = self.signature.location;
        self.alg.is_none()
            && matches!(location, SignatureLocation::Header | SignatureLocation::Query)
    }

    /// The query parameter that is the secret itself; `None` where it stands elsewhere.
    pub fn query_token(&self) -> Option<&str> {
        let in_query = self.signature.location == SignatureLocation::Query;
        (self.alg.is_none() && in_query).then_some(self.signature.name.as_str())
    }

    /// Whether the signature stands in the header of this lower-case name.
    pub fn reads_signature_from(&self, header: &str) -> bool {
        let name = self.signature.name.to_ascii_lowercase();
        self.signature.location == SignatureLocation::Header
            && match name.strip_suffix("-*") {
                Some(family) => header.starts_with(family),
                None => header == name,
            }
    }

    /// Whether the signature covers a part of the request.
    ///
    /// Of several places for type or id, the first decides: a signed body cannot be made to lack
    /// what it holds, so a later place counts only where the sender left the first one empty.
    pub fn signs_part(&self, part: RequestPart<'_>) -> bool {
        match part {
            RequestPart::Body => self.alg.is_none() || self.message.contains(&Segment::Body),
            RequestPart::Header(name) => self.signs(&FieldLocation::Header(name.to_owned())),
            // Without a place every event has the same type.
            RequestPart::EventType => {
                self.identity.first_type_location().is_none_or(|location| self.signs(location))
            }
            RequestPart::EventId => {
                self.identity.first_id_location().is_some_and(|location| self.signs(location))
            }
        }
    }

    /// Whether a captured request is genuine for as long as its secret is in use: the signature
    /// covers no time, or need not. False for a bare token.
    pub fn is_valid_indefinitely(&self) -> bool {
        self.alg.is_some() && self.timestamp.as_ref().is_none_or(|time| time.optional)
    }
}
