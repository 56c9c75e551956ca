//! A scheme checked and compiled: addresses parsed, templates cut, contradictions refused.

use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use crate::proof::{HmacAlg, Verified};
use crate::provider::{EventName, IdentifyError, Identity};
use crate::scheme::address::{Address, scalar};
use crate::scheme::spec::{Alg, KeyForm, Place, Scheme, SchemeError, SignatureSpec, TimeUnit};
use crate::scheme::template::{self, Segment};
use crate::secret::Secret;

/// Bounds that keep the work on one request small.
pub(crate) const MAX_ELEMENTS: usize = 32;
/// The largest batch that is taken apart.
const MAX_BATCH: usize = 10_000;
/// The event type of a scheme that names none.
const UNNAMED: &str = "event";

/// A scheme that is ready to verify, identify and sign.
#[derive(Debug, Clone)]
pub struct CompiledScheme {
    pub(crate) signature: SignatureSpec,
    pub(crate) message: Vec<Segment>,
    /// `None`: token equality.
    pub(crate) alg: Option<HmacAlg>,
    pub(crate) key: KeyForm,
    pub(crate) timestamp: Option<CompiledTime>,
    event_type: Option<Vec<Address>>,
    event_id: Option<Vec<Address>>,
    batch: Option<String>,
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
    At(Address),
}

impl Scheme {
    /// Reads a scheme from JSON: a provider crate's own file.
    pub fn from_json(text: &str) -> Result<Self, SchemeError> {
        serde_json::from_str(text).map_err(|e| SchemeError::new("", e.to_string()))
    }

    /// Checks and compiles it.
    pub fn compile(self) -> Result<CompiledScheme, SchemeError> {
        let alg = match self.alg {
            Alg::HmacSha1 => Some(HmacAlg::Sha1),
            Alg::HmacSha256 => Some(HmacAlg::Sha256),
            Alg::HmacSha512 => Some(HmacAlg::Sha512),
            Alg::Equal => None,
        };
        check_signature(&self.signature)?;
        let message = template::parse(&self.message)?;
        let timestamp = self.timestamp.map(compile_time).transpose()?;
        check_message(&message, &self.signature, timestamp.as_ref(), alg)?;
        if let Some(pointer) =
            self.batch.as_deref().filter(|p| !p.is_empty() && !p.starts_with('/'))
        {
            let message =
                format!("`{pointer}` is no pointer; write /pointer, or \"\" for the whole body");
            return Err(SchemeError::new("/batch", message));
        }
        let addresses = |texts: Option<crate::scheme::OneOrMore>, at: &str| {
            let parse = |list: crate::scheme::OneOrMore| {
                list.0.iter().map(|text| Address::parse(text, at)).collect::<Result<Vec<_>, _>>()
            };
            texts.map(parse).transpose()
        };
        Ok(CompiledScheme {
            signature: self.signature,
            message,
            alg,
            key: self.key,
            timestamp,
            event_type: addresses(self.event_type, "/event_type")?,
            event_id: addresses(self.event_id, "/event_id")?,
            batch: self.batch,
        })
    }
}

fn check_signature(spec: &SignatureSpec) -> Result<(), SchemeError> {
    let wrong = |at: &str, message: String| Err(SchemeError::new(at, message));
    let name = spec.name.as_str();
    match spec.place {
        Place::Header => {
            let stem = name.strip_suffix("-*").unwrap_or(name);
            if http::HeaderName::from_bytes(stem.as_bytes()).is_err() {
                return wrong("/signature/name", format!("`{name}` is not a header name"));
            }
        }
        Place::Json if !name.starts_with('/') || name.matches("/*").count() > 1 => {
            return wrong(
                "/signature/name",
                format!("`{name}` is no JSON pointer with at most one `*`"),
            );
        }
        _ if name.is_empty() => return wrong("/signature/name", "the name is empty".to_owned()),
        _ => {}
    }
    if spec.split.is_none() && (spec.pair.is_some() || spec.take.is_some()) {
        return wrong("/signature", "`pair` and `take` go with `split`".to_owned());
    }
    if spec.pair.is_some() != spec.take.is_some() {
        return wrong("/signature", "`pair` and `take` go together".to_owned());
    }
    Ok(())
}

fn compile_time(spec: crate::scheme::TimestampSpec) -> Result<CompiledTime, SchemeError> {
    let from = match spec.from.strip_prefix("sig:") {
        Some(key) if !key.is_empty() => TimeSource::Sig(key.to_owned()),
        _ => TimeSource::At(Address::parse(&spec.from, "/timestamp/from")?),
    };
    Ok(CompiledTime { from, unit: spec.unit, past: spec.past.0, future: spec.future.0 })
}

fn check_message(
    message: &[Segment],
    signature: &SignatureSpec,
    timestamp: Option<&CompiledTime>,
    alg: Option<HmacAlg>,
) -> Result<(), SchemeError> {
    let wrong = |at: &str, message: &str| Err(SchemeError::new(at, message));
    if alg.is_some() && !message.iter().any(|s| !matches!(s, Segment::Literal(_))) {
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
    if alg.is_some() {
        if let Some(time) = timestamp {
            let signed = message.iter().any(|s| match (s, &time.from) {
                (Segment::Timestamp | Segment::Body, _) => true,
                (Segment::Sig(a), TimeSource::Sig(b)) => a == b,
                (Segment::Header(a), TimeSource::At(Address::Header(b))) => a == b,
                (Segment::Json(a), TimeSource::At(Address::Pointer(b) | Address::Root(b))) => {
                    a == b
                }
                (Segment::Form(a), TimeSource::At(Address::Form(b))) => a == b,
                _ => false,
            });
            let in_body =
                !matches!(&time.from, TimeSource::Sig(_) | TimeSource::At(Address::Header(_)));
            let only_body = !message.iter().any(|s| match (s, &time.from) {
                (Segment::Timestamp, _) => true,
                (Segment::Sig(a), TimeSource::Sig(b)) => a == b,
                (Segment::Header(a), TimeSource::At(Address::Header(b))) => a == b,
                _ => false,
            });
            if !signed || (!in_body && only_body) {
                return wrong(
                    "/timestamp",
                    "this time is not part of the signed message, so anyone could change it",
                );
            }
        }
    }
    Ok(())
}

impl CompiledScheme {
    /// The key that a secret's text stands for.
    pub(crate) fn key_bytes(&self, secret: &Secret) -> Option<Vec<u8>> {
        let text = secret.expose();
        let key = match self.key {
            KeyForm::Utf8 => text.as_bytes().to_vec(),
            KeyForm::Hex => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?,
            KeyForm::Whsec => {
                BASE64.decode(text.strip_prefix("whsec_").unwrap_or(text).as_bytes()).ok()?
            }
        };
        Some(key).filter(|k| !k.is_empty())
    }

    /// Whether a secret can be used; the text says what is expected and never holds the secret.
    pub fn check_secret(&self, secret: &Secret) -> Result<(), String> {
        match (self.key_bytes(secret), self.key) {
            (Some(_), _) => Ok(()),
            (None, KeyForm::Utf8) => Err("is empty".to_owned()),
            (None, KeyForm::Hex) => Err("is not hexadecimal".to_owned()),
            (None, KeyForm::Whsec) => {
                Err("is not base64 (with or without `whsec_` before it)".to_owned())
            }
        }
    }

    /// Names the events of a proven delivery.
    pub fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        let Some(batch) = &self.batch else {
            let item = if self.reads_json() { delivery.json().ok() } else { None };
            return Ok(vec![self.identity(delivery, item, None)]);
        };
        let body = delivery.json().map_err(|e| IdentifyError { reason: e.to_string() })?;
        let items = body.pointer(batch).and_then(|v| v.as_array()).ok_or_else(|| {
            IdentifyError { reason: format!("there is no array of events at `{batch}`") }
        })?;
        if items.is_empty() || items.len() > MAX_BATCH {
            let reason = format!("a batch of {} events; allowed are 1 to {MAX_BATCH}", items.len());
            return Err(IdentifyError { reason });
        }
        let one = |(n, item)| self.identity(delivery, Some(item), Some(format!("{batch}/{n}")));
        Ok(items.iter().enumerate().map(one).collect())
    }

    fn identity(
        &self,
        delivery: &Verified,
        item: Option<&serde_json::Value>,
        part: Option<String>,
    ) -> Identity {
        let first = |list: &Vec<Address>| {
            list.iter().find_map(|a| a.text(delivery, item).map(|text| (a.clone(), text)))
        };
        let event_type = match &self.event_type {
            None => Some(UNNAMED.to_owned()),
            Some(list) => first(list).map(|(_, text)| text),
        };
        let event_id = self
            .event_id
            .as_ref()
            .and_then(first)
            .map(|(address, value)| EventName { value, signed: self.signs(&address) });
        Identity { event_type, event_id, part }
    }

    fn reads_json(&self) -> bool {
        let lists = [&self.event_type, &self.event_id];
        lists.into_iter().flatten().flatten().any(Address::reads_json)
    }

    /// Whether what stands there cannot be changed without breaking the proof. A token proves all
    /// that its sender wrote, or nothing: the body counts, headers do not.
    fn signs(&self, address: &Address) -> bool {
        match address {
            Address::Header(name) => {
                self.alg.is_some() && self.message.contains(&Segment::Header(name.clone()))
            }
            Address::Pointer(p) | Address::Root(p) => {
                self.alg.is_none()
                    || self.message.contains(&Segment::Body)
                    || self.message.contains(&Segment::Json(p.clone()))
            }
            Address::Form(f) => {
                self.alg.is_none()
                    || self.message.contains(&Segment::Body)
                    || self.message.contains(&Segment::Form(f.clone()))
            }
        }
    }

    /// The headers in which this scheme finds type and id, with the draft's.
    pub(crate) fn named_headers<'a>(
        &'a self,
        draft: &'a crate::provider::Draft,
    ) -> impl Iterator<Item = (String, &'a str)> {
        let in_header = |a: &Address| match a {
            Address::Header(name) => Some(name.clone()),
            _ => None,
        };
        let first = move |list: &'a Option<Vec<Address>>| list.iter().flatten().find_map(in_header);
        let event_type = first(&self.event_type).map(|name| (name, draft.event_type.as_str()));
        let event_id = first(&self.event_id).map(|name| (name, draft.event_id.as_str()));
        event_type.into_iter().chain(event_id)
    }

    /// Whether the signature covers the event type's place: what `check` warns of where it does not.
    pub fn signs_event_type(&self) -> bool {
        self.event_type.iter().flatten().all(|a| self.signs(a))
    }
}

/// The texts at a JSON pointer in which one segment may be `*`: all of them.
pub(crate) fn texts_at(value: &serde_json::Value, pointer: &str) -> Option<Vec<String>> {
    let Some((before, after)) = pointer.split_once("/*") else {
        return Some(vec![scalar(value.pointer(pointer)?)?]);
    };
    let items = value.pointer(before)?.as_array()?;
    items.iter().map(|item| item.pointer(after).and_then(scalar)).collect()
}
