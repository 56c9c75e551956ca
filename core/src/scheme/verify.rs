//! Verifying by a compiled scheme.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::proof::{HmacAlg, Mac, Tag, VerifyError, tokens_equal};
use crate::provider::VerifyCx;
use crate::request::{Head, Request};
use crate::scheme::address::{Address, scalar, texts_at};
use crate::scheme::compiled::{CompiledScheme, CompiledTime, MAX_ELEMENTS, TimeSource};
use crate::scheme::fields::form_value;
use crate::scheme::spec::{Place, TimeUnit};
use crate::scheme::template::Segment;

/// What stands in the place of the signature: candidates, and the other keys of its list.
struct Given<'a> {
    candidates: Vec<Cow<'a, str>>,
    /// With `*` every candidate must match, else any.
    all: bool,
    pairs: Vec<(&'a str, &'a str)>,
}

impl CompiledScheme {
    /// From the head alone: is everything that belongs there, and is it well-formed?
    pub fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.read_head(head).map(drop)
    }

    /// Index of the secret that made the signature.
    pub fn verify(&self, request: &Request, cx: &VerifyCx<'_>) -> Result<usize, VerifyError> {
        let in_head = self.read_head(&request.head)?;
        let json = if self.needs_json() { request.body.json().ok() } else { None };
        let given = match in_head {
            Some(given) => given,
            None => self.given_in_body(request, json)?,
        };
        let time = match &self.timestamp {
            Some(spec) => Some((spec, self.time_text(spec, &given, request, json)?)),
            None => None,
        };
        let secret = match self.alg {
            None => self.match_token(&given, cx)?,
            Some(alg) => {
                let text = time.as_ref().map(|(_, text)| text.as_ref());
                let parts = self.message_parts(&given, text, request, json, cx)?;
                self.match_tag(alg, &self.tags(&given)?, &parts, cx)?
            }
        };
        if let Some((spec, text)) = time {
            check_time(spec, &text, cx)?;
        }
        Ok(secret)
    }

    /// The part of a proof that needs no body: what [`CompiledScheme::precheck`] refuses is refused
    /// by `verify` with the same words, because both begin here. Gives the signature if it is here.
    fn read_head<'a>(&'a self, head: &'a Head) -> Result<Option<Given<'a>>, VerifyError> {
        let given = match self.signature.place {
            Place::Header | Place::Query => {
                let given = self.given_in_head(head)?;
                self.tags(&given)?;
                Some(given)
            }
            Place::Json | Place::Form => None,
        };
        for segment in &self.message {
            match (segment, &given) {
                (Segment::Header(name), _) => drop(non_empty(head.required(name)?, name)?),
                (Segment::Sig(key), Some(given)) => drop(single_pair(given, key)?),
                _ => {}
            }
        }
        let time = match (self.timestamp.as_ref().map(|t| &t.from), &given) {
            (Some(TimeSource::At(Address::Header(name))), _) => {
                Some(non_empty(head.required(name)?, name)?)
            }
            (Some(TimeSource::Sig(key)), Some(given)) => Some(single_pair(given, key)?),
            _ => None,
        };
        if let (Some(spec), Some(text)) = (&self.timestamp, time) {
            parse_time(text, spec.unit).ok_or_else(bad_time)?;
        }
        self.naming.precheck(head)?;
        Ok(given)
    }

    fn needs_json(&self) -> bool {
        self.signature.place == Place::Json
            || self.message.iter().any(|s| matches!(s, Segment::Json(_)))
            || self
                .timestamp
                .as_ref()
                .is_some_and(|t| matches!(&t.from, TimeSource::At(a) if a.reads_json()))
    }

    fn match_token(&self, given: &Given<'_>, cx: &VerifyCx<'_>) -> Result<usize, VerifyError> {
        let matches = |configured: &[u8]| {
            let same = |c: &Cow<'_, str>| tokens_equal(c.as_bytes(), configured);
            if given.all {
                given.candidates.iter().all(same)
            } else {
                given.candidates.iter().any(same)
            }
        };
        let found = cx.secrets.iter().find(|(_, s)| self.key_bytes(s).is_some_and(|k| matches(&k)));
        found.map(|(index, _)| index).ok_or(VerifyError::InvalidSignature)
    }

    fn match_tag(
        &self,
        alg: HmacAlg,
        tags: &[Tag],
        parts: &[Cow<'_, [u8]>],
        cx: &VerifyCx<'_>,
    ) -> Result<usize, VerifyError> {
        let mut found = None;
        for (index, secret) in cx.secrets.iter() {
            let Some(key) = self.key_bytes(secret) else { continue };
            let Some(mut mac) = Mac::new(alg, &key) else { continue };
            parts.iter().for_each(|part| mac.update(part));
            if mac.matches_any(tags) && found.is_none() {
                found = Some(index);
            }
        }
        found.ok_or(VerifyError::InvalidSignature)
    }

    fn message_parts<'a>(
        &'a self,
        given: &Given<'a>,
        time: Option<&'a str>,
        request: &'a Request,
        json: Option<&Value>,
        cx: &VerifyCx<'_>,
    ) -> Result<Vec<Cow<'a, [u8]>>, VerifyError> {
        let text = |text: String| Cow::Owned(text.into_bytes());
        let resolve = |segment: &'a Segment| -> Result<Cow<'a, [u8]>, VerifyError> {
            Ok(match segment {
                Segment::Literal(literal) => Cow::Borrowed(literal.as_bytes()),
                Segment::Body => Cow::Borrowed(request.body.bytes()),
                Segment::Timestamp => Cow::Borrowed(time.unwrap_or_default().as_bytes()),
                Segment::Method => Cow::Borrowed(request.head.method.as_str().as_bytes()),
                Segment::Url => text(request.url(cx.public_url).ok_or_else(|| {
                    VerifyError::format("this sender signs the URL; set server.public_url")
                })?),
                Segment::Header(name) => {
                    Cow::Borrowed(non_empty(request.head.required(name)?, name)?.as_bytes())
                }
                Segment::Sig(key) => Cow::Borrowed(single_pair(given, key)?.as_bytes()),
                Segment::Json(pointer) => text(json_text(json, pointer)?),
                Segment::Form(field) => text(form_text(request, field)?),
            })
        };
        self.message.iter().map(resolve).collect()
    }

    fn given_in_body<'a>(
        &'a self,
        request: &Request,
        json: Option<&Value>,
    ) -> Result<Given<'a>, VerifyError> {
        let name = self.signature.name.as_str();
        if self.signature.place == Place::Form {
            return self.split(Cow::Owned(form_text(request, name)?));
        }
        let missing = || VerifyError::missing(format!("the signature at {name} of the body"));
        let texts = texts_at(json.ok_or_else(missing)?, name).ok_or_else(missing)?;
        if texts.is_empty() {
            return Err(missing());
        }
        let strip = |text| self.strip_prefix(Cow::Owned(text));
        let candidates = texts.into_iter().map(strip).collect::<Result<_, _>>()?;
        Ok(Given { candidates, all: name.contains("/*"), pairs: Vec::new() })
    }

    fn given_in_head<'a>(&'a self, head: &'a Head) -> Result<Given<'a>, VerifyError> {
        let name = self.signature.name.as_str();
        if self.signature.place == Place::Query {
            let query = head.query().unwrap_or_default();
            let value = form_value(query.as_bytes(), name)?
                .ok_or_else(|| VerifyError::missing(format!("the query parameter {name}")))?;
            return self.split(Cow::Owned(value));
        }
        let Some(stem) = name.strip_suffix('*') else {
            return self.split(Cow::Borrowed(head.required(name)?));
        };
        let stem = stem.to_ascii_lowercase();
        let names = head.headers.keys().filter(|k| k.as_str().starts_with(&stem));
        let mut given = Given { candidates: Vec::new(), all: false, pairs: Vec::new() };
        for header in names.take(MAX_ELEMENTS) {
            let one = self.split(Cow::Borrowed(head.required(header.as_str())?))?;
            given.candidates.extend(one.candidates);
        }
        if given.candidates.is_empty() {
            return Err(VerifyError::missing(format!("a header {name}")));
        }
        Ok(given)
    }

    /// Takes prefix and list apart. Without a list there is one candidate.
    fn split<'a>(&'a self, text: Cow<'a, str>) -> Result<Given<'a>, VerifyError> {
        let spec = &self.signature;
        let (Some(separator), Cow::Borrowed(list)) = (spec.split, &text) else {
            let candidates = vec![self.strip_prefix(text)?];
            return Ok(Given { candidates, all: false, pairs: Vec::new() });
        };
        let list: &'a str = list;
        let elements: Vec<&str> = list
            .split(separator.as_char())
            .map(|e| if spec.trim { e.trim() } else { e })
            .filter(|e| !e.is_empty())
            .take(MAX_ELEMENTS + 1)
            .collect();
        if elements.len() > MAX_ELEMENTS {
            return Err(VerifyError::format(format!(
                "over {MAX_ELEMENTS} elements in the signature"
            )));
        }
        // Elements of another form are of no interest, such as those of a version yet to come.
        let strip = |e: &'a str| self.strip_prefix(Cow::Borrowed(e)).ok();
        let (Some(mark), Some(take)) = (spec.pair, &spec.take) else {
            let candidates: Vec<_> = elements.into_iter().filter_map(strip).collect();
            return match candidates.is_empty() {
                true => Err(VerifyError::format("the list holds no signature")),
                false => Ok(Given { candidates, all: false, pairs: Vec::new() }),
            };
        };
        let pairs: Vec<_> =
            elements.into_iter().filter_map(|e| e.split_once(mark.as_char())).collect();
        let taken = pairs.iter().filter(|(key, _)| key == take);
        let candidates: Vec<_> = taken.filter_map(|(_, value)| strip(value)).collect();
        if candidates.is_empty() {
            return Err(VerifyError::format(format!("the signature has no `{take}` element")));
        }
        Ok(Given { candidates, all: false, pairs })
    }

    fn strip_prefix<'a>(&self, text: Cow<'a, str>) -> Result<Cow<'a, str>, VerifyError> {
        let Some(prefix) = &self.signature.prefix else { return Ok(text) };
        let stripped = match text {
            Cow::Borrowed(t) => t.strip_prefix(prefix.as_str()).map(Cow::Borrowed),
            Cow::Owned(t) => t.strip_prefix(prefix.as_str()).map(|t| Cow::Owned(t.to_owned())),
        };
        stripped.ok_or_else(|| {
            VerifyError::format(format!("the signature does not start with `{prefix}`"))
        })
    }

    /// Decodes the candidates; those of a wrong form are passed over as long as one is right.
    fn tags(&self, given: &Given<'_>) -> Result<Vec<Tag>, VerifyError> {
        let Some(alg) = self.alg else { return Ok(Vec::new()) };
        let spec = &self.signature;
        let decode = |c: &Cow<'_, str>| Tag::decode(c, spec.encoding, alg.tag_len());
        let tags: Vec<Tag> = given.candidates.iter().filter_map(decode).collect();
        if tags.is_empty() || (given.all && tags.len() < given.candidates.len()) {
            let form = format!("{:?}", spec.encoding).to_lowercase();
            let bytes = alg.tag_len();
            return Err(VerifyError::format(format!(
                "the signature is not {form} of {bytes} bytes"
            )));
        }
        Ok(tags)
    }

    fn time_text<'a>(
        &self,
        time: &CompiledTime,
        given: &Given<'a>,
        request: &'a Request,
        json: Option<&Value>,
    ) -> Result<Cow<'a, str>, VerifyError> {
        Ok(match &time.from {
            TimeSource::Sig(key) => Cow::Borrowed(single_pair(given, key)?),
            TimeSource::At(Address::Header(name)) => {
                Cow::Borrowed(non_empty(request.head.required(name)?, name)?)
            }
            TimeSource::At(Address::Form(field)) => Cow::Owned(form_text(request, field)?),
            TimeSource::At(Address::Pointer(p) | Address::Root(p)) => {
                Cow::Owned(json_text(json, p)?)
            }
        })
    }
}

/// Judges the signed time: the tolerance of the source, else that of the scheme, both ways.
fn check_time(spec: &CompiledTime, text: &str, cx: &VerifyCx<'_>) -> Result<(), VerifyError> {
    let at = parse_time(text, spec.unit).ok_or_else(bad_time)?;
    let (past, future) = cx.tolerance.map_or((spec.past, spec.future), |t| (t, t));
    let (age, ahead) = match spec.unit {
        // Whole seconds against whole seconds: at the edge exactly still passes.
        TimeUnit::S => {
            let diff = cx.now.as_secs().saturating_sub(at.as_secs());
            let secs = |n: i64| Duration::from_secs(u64::try_from(n).unwrap_or(0));
            (secs(diff), secs(diff.saturating_neg()))
        }
        TimeUnit::Ms | TimeUnit::Rfc3339 => (cx.now.since(at), at.since(cx.now)),
    };
    if age > past {
        Err(VerifyError::TimestampTooOld { age, tolerance: past })
    } else if ahead > future {
        Err(VerifyError::TimestampInFuture { ahead, tolerance: future })
    } else {
        Ok(())
    }
}

fn parse_time(text: &str, unit: TimeUnit) -> Option<Timestamp> {
    if unit == TimeUnit::Rfc3339 {
        return Timestamp::parse_rfc3339(text);
    }
    let digits = (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten()?;
    Some(if unit == TimeUnit::S {
        Timestamp::from_secs(number)
    } else {
        Timestamp::from_millis(number)
    })
}

fn bad_time() -> VerifyError {
    VerifyError::format("the timestamp is not of the expected form")
}

fn non_empty<'a>(value: &'a str, name: &str) -> Result<&'a str, VerifyError> {
    if value.is_empty() {
        return Err(VerifyError::format(format!("the header {name} is empty")));
    }
    Ok(value)
}

fn single_pair<'a>(given: &Given<'a>, key: &str) -> Result<&'a str, VerifyError> {
    let mut values = given.pairs.iter().filter(|(k, _)| *k == key).map(|(_, v)| *v);
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Ok(value),
        (Some(_), Some(_)) => {
            Err(VerifyError::format(format!("the signature has several `{key}` elements")))
        }
        _ => Err(VerifyError::format(format!("the signature has no `{key}` element"))),
    }
}

fn json_text(json: Option<&Value>, pointer: &str) -> Result<String, VerifyError> {
    let found = json.and_then(|v| v.pointer(pointer)).and_then(scalar).filter(|t| !t.is_empty());
    found.ok_or_else(|| VerifyError::missing(format!("{pointer} of the body")))
}

fn form_text(request: &Request, field: &str) -> Result<String, VerifyError> {
    let found = form_value(request.body.bytes(), field)?.filter(|t| !t.is_empty());
    found.ok_or_else(|| VerifyError::missing(format!("the form field {field}")))
}
