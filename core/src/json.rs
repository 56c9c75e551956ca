//! Strict JSON: the form that a sender's body must have before anything reads it. Two parsers that
//! resolve a duplicate key differently let an attacker show a checker one value and the handler
//! another (RFC 8259, section 4), so ambiguous bodies are rejected here, once and for everyone.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::decimal::Decimal;
use crate::exact_json::NumberTexts;

/// Deepest nesting of arrays and objects in a body.
pub const MAX_JSON_DEPTH: u8 = 64;

/// Most bytes of memory that one parsed body may take. Small values take up to a hundred times
/// their text, so a limit on the text alone would bound nothing.
pub(crate) const MAX_JSON_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// An array item: `Vec` grows by doubling, so it reserves up to twice what it holds.
const ARRAY_ITEM_BYTES: usize = 2 * size_of::<Value>();
/// The first member of an object: the map allocates a B-tree node for eleven members.
const FIRST_MEMBER_BYTES: usize = 528;
/// Every member of an object, beside the text of its key: a share of nodes that are half full.
const MEMBER_BYTES: usize = 112;
/// A string's own allocation, beside its text.
const STRING_OVERHEAD_BYTES: usize = 16;

/// Parses one JSON value.
///
/// # Errors
/// For a duplicate key in an object, nesting deeper than [`MAX_JSON_DEPTH`], a value that would
/// take more than 64 MiB of memory, bytes after the value, and bytes that are not UTF-8. The error
/// names line and column, never content.
///
/// ```
/// use hookward_core::parse_strict;
///
/// assert_eq!(parse_strict(br#"{"amount": 10}"#)?["amount"], 10);
/// assert!(parse_strict(br#"{"amount": 10, "amount": 10000}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn parse_strict(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    parse_strict_exact(bytes).map(|parsed| parsed.value)
}

/// A parsed value with what its `Value` cannot hold.
pub(crate) struct ParsedJson {
    pub(crate) value: Value,
    /// The texts of the numbers that an `f64` rounds; `None` where every number fits.
    pub(crate) number_texts: Option<Box<NumberTexts>>,
    /// An estimate of the bytes of memory that all of it takes.
    pub(crate) memory_size: usize,
}

/// Like [`parse_strict`]; also keeps the numbers that do not fit, and estimates the memory.
pub(crate) fn parse_strict_exact(bytes: &[u8]) -> Result<ParsedJson, serde_json::Error> {
    match parse_range(bytes, bytes) {
        Err(e) if e.to_string().starts_with(OUT_OF_RANGE) => {
            parse_range(&clamp_numbers(bytes).ok_or(e)?, bytes)
        }
        parsed => parsed,
    }
}

/// How serde_json names a number that an `f64` cannot hold.
const OUT_OF_RANGE: &str = "number out of range";

/// Parses `clamped`, in which numbers beyond the range of an `f64` are replaced; all others stand at
/// the same places in `bytes`.
fn parse_range(clamped: &[u8], bytes: &[u8]) -> Result<ParsedJson, serde_json::Error> {
    let mut de = serde_json::Deserializer::from_slice(clamped);
    let parsing = Parsing {
        bytes,
        memory_left: Cell::new(MAX_JSON_MEMORY_BYTES),
        numbers: Cell::new(0),
        scanned: Cell::new((0, 0)),
    };
    let (value, number_texts) = StrictSeed { depth: 0, parsing: &parsing }.deserialize(&mut de)?;
    de.end()?;
    let memory_size = MAX_JSON_MEMORY_BYTES - parsing.memory_left.get();
    Ok(ParsedJson { value, number_texts, memory_size })
}

/// What all values of one body share while it is parsed.
struct Parsing<'a> {
    bytes: &'a [u8],
    /// Bytes of memory that the rest of the body may take.
    memory_left: Cell<usize>,
    /// The number of JSON numbers that were deserialized.
    numbers: Cell<usize>,
    /// The position up to which [`Self::number_text`] has read, and the numbers before it.
    scanned: Cell<(usize, usize)>,
}

impl<'a> Parsing<'a> {
    fn count_number(&self) {
        self.numbers.set(self.numbers.get() + 1);
    }

    /// The text of the number that was counted last. serde_json returns the rounded value alone,
    /// and its feature for exact numbers changes how every crate of a program reads them, so the
    /// text is found by its ordinal. All calls together read the body once.
    fn number_text(&self) -> Option<&'a str> {
        let (mut at, mut numbers) = self.scanned.get();
        loop {
            let number = next_number(self.bytes, at)?;
            (at, numbers) = (number.end, numbers + 1);
            if numbers == self.numbers.get() {
                self.scanned.set((at, numbers));
                return std::str::from_utf8(self.bytes.get(number)?).ok();
            }
        }
    }
}

/// The place of the first number of a JSON text at or after a position between two tokens.
fn next_number(json: &[u8], mut at: usize) -> Option<Range<usize>> {
    loop {
        let rest = json.get(at..)?;
        at += rest.iter().position(|b| matches!(b, b'"' | b'-' | b'0'..=b'9'))?;
        let token = json.get(at..)?;
        if token.first() == Some(&b'"') {
            at += string_length(token)?;
            continue;
        }
        let is_end = |b: &u8| !matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        return Some(at..at + token.iter().position(is_end).unwrap_or(token.len()));
    }
}

/// Whether a text that [`str::parse`] reads as an `f64` is a number in JSON, too.
fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let starts_well = whole == "0" || !whole.starts_with(['0', '+']);
    starts_well && !whole.is_empty() && !fraction.is_empty()
}

/// A copy of a JSON text in which each number beyond the range of an `f64` is the largest one that
/// has as many characters; `None` where there is no such number. serde_json rejects them, and other
/// parsers do not: an event must not be lost for one.
fn clamp_numbers(json: &[u8]) -> Option<Vec<u8>> {
    // No number out of range is shorter than `1e309`.
    const LARGEST: &[u8] = b"9e307";
    let mut clamped = None;
    let mut at = 0;
    while let Some(number) = next_number(json, at) {
        at = number.end;
        let text = json.get(number.clone()).and_then(|text| std::str::from_utf8(text).ok());
        let is_beyond = text.is_some_and(|text| text.parse().is_ok_and(f64::is_infinite));
        if is_beyond && text.is_some_and(is_json_number) {
            let start = number.start + usize::from(json.get(number.start) == Some(&b'-'));
            let copy = clamped.get_or_insert_with(|| json.to_vec());
            let place = copy.get_mut(start..number.end)?;
            place.fill(b' ');
            place.get_mut(..LARGEST.len())?.copy_from_slice(LARGEST);
        }
    }
    clamped
}

/// The length of the string literal that the text starts with, its quotes included.
fn string_length(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text.get(at..)?.iter().position(|b| matches!(b, b'"' | b'\\'))?;
        if text.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Deserializes one value, and counts depth and memory.
#[derive(Clone, Copy)]
struct StrictSeed<'a> {
    depth: u8,
    parsing: &'a Parsing<'a>,
}

/// A value and the texts of its numbers that an `f64` rounds.
type Exact = (Value, Option<Box<NumberTexts>>);

impl StrictSeed<'_> {
    /// Counts memory before it is allocated, so that a hostile body fails early.
    fn reserve_memory<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.parsing.memory_left.get().checked_sub(bytes);
        self.parsing.memory_left.set(left.ok_or_else(|| {
            E::custom("too many values: parsed, they would take more than 64 MiB of memory")
        })?);
        Ok(())
    }

    /// The seed of a nested value.
    fn nested<E: Error>(self) -> Result<Self, E> {
        match self.depth {
            MAX_JSON_DEPTH => {
                Err(E::custom(format_args!("nested deeper than {MAX_JSON_DEPTH} levels")))
            }
            depth => Ok(Self { depth: depth + 1, ..self }),
        }
    }
}

impl<'de> DeserializeSeed<'de> for StrictSeed<'_> {
    type Value = Exact;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Exact, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictSeed<'_> {
    type Value = Exact;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Exact, E> {
        Ok((Value::Null, None))
    }
    fn visit_bool<E>(self, v: bool) -> Result<Exact, E> {
        Ok((Value::Bool(v), None))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Exact, E> {
        self.parsing.count_number();
        Ok((Value::Number(v.into()), None))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Exact, E> {
        self.parsing.count_number();
        Ok((Value::Number(v.into()), None))
    }
    fn visit_f64<E: Error>(self, v: f64) -> Result<Exact, E> {
        self.parsing.count_number();
        let text = self.parsing.number_text();
        // serde_json's own conversion is off by one bit for some numbers.
        let v =
            text.and_then(|text| text.parse().ok()).filter(|v: &f64| v.is_finite()).unwrap_or(v);
        let Some(number) = Number::from_f64(v) else { return Ok((Value::Null, None)) };
        let lost = text.filter(|text| is_rounded(text, &number));
        if let Some(text) = lost {
            self.reserve_memory(text.len() + STRING_OVERHEAD_BYTES)?;
        }
        let text = lost.map(|text| Box::new(NumberTexts::Number(text.into())));
        Ok((Value::Number(number), text))
    }
    fn visit_str<E: Error>(self, v: &str) -> Result<Exact, E> {
        self.reserve_memory(v.len() + STRING_OVERHEAD_BYTES)?;
        Ok((Value::String(v.to_owned()), None))
    }
    fn visit_string<E: Error>(self, v: String) -> Result<Exact, E> {
        self.reserve_memory(v.len() + STRING_OVERHEAD_BYTES)?;
        Ok((Value::String(v), None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Exact, A::Error> {
        let inner = self.nested()?;
        let mut items = Vec::new();
        let mut texts = BTreeMap::new();
        while let Some((item, text)) = seq.next_element_seed(inner)? {
            self.reserve_memory(ARRAY_ITEM_BYTES)?;
            if let Some(text) = text {
                self.reserve_memory(if texts.is_empty() {
                    FIRST_MEMBER_BYTES
                } else {
                    MEMBER_BYTES
                })?;
                texts.insert(items.len(), *text);
            }
            items.push(item);
        }
        let texts = (!texts.is_empty()).then(|| Box::new(NumberTexts::Array(texts)));
        Ok((Value::Array(items), texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Exact, A::Error> {
        let inner = self.nested()?;
        let mut members = Map::new();
        let mut texts = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let first = if members.is_empty() { FIRST_MEMBER_BYTES } else { 0 };
            self.reserve_memory(first + MEMBER_BYTES + key.len() + STRING_OVERHEAD_BYTES)?;
            let (value, text) = map.next_value_seed(inner)?;
            if let Some(text) = text {
                let first = if texts.is_empty() { FIRST_MEMBER_BYTES } else { 0 };
                self.reserve_memory(first + MEMBER_BYTES + key.len() + STRING_OVERHEAD_BYTES)?;
                texts.insert(key.clone(), *text);
            }
            if members.insert(key, value).is_some() {
                return Err(A::Error::custom("a key occurs twice in one object"));
            }
        }
        let texts = (!texts.is_empty()).then(|| Box::new(NumberTexts::Object(texts)));
        Ok((Value::Object(members), texts))
    }
}

/// Whether the number is not the decimal in the text.
fn is_rounded(text: &str, number: &Number) -> bool {
    // An `f64` holds every decimal of 15 digits, but for exponents at the ends of its range.
    const MAX_EXACT_CHARS: usize = 15;
    let is_plain = !text.contains(['e', 'E']);
    let is_exact = is_plain && text.len() <= MAX_EXACT_CHARS;
    !is_exact && Decimal::parse(text).is_some_and(|exact| exact != Decimal::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_whose_values_would_take_more_than_64_mib_is_rejected() {
        let is_rejected = |text: String| match parse_strict(text.as_bytes()) {
            Ok(_) => false,
            Err(e) => e.to_string().contains("too many"),
        };
        let objects = |n: usize| format!("[{}0]", r#"{"a":1},"#.repeat(n));
        assert!(!is_rejected(objects(90_000)));
        assert!(is_rejected(objects(100_000)));
        let numbers = |n: usize| format!("[{}0]", "0,".repeat(n));
        assert!(!is_rejected(numbers(1_000_000)));
        assert!(is_rejected(numbers(1_100_000)));
        let members = |n: usize| {
            let members: Vec<_> = (0..n).map(|n| format!(r#""{n}":0"#)).collect();
            format!("{{{}}}", members.join(","))
        };
        assert!(!is_rejected(members(450_000)));
        assert!(is_rejected(members(520_000)));
        let text = format!(r#""{}""#, "x".repeat(MAX_JSON_MEMORY_BYTES / 2));
        assert!(!is_rejected(text));
    }

    #[test]
    fn numbers_beyond_the_range_of_a_float_keep_their_digits() {
        let text = r#"[1e309, -1E+400 ,{"a\"1e999":1e-999},"1e999", 1]"#;
        let huge = format!("[{}]", "9".repeat(400));
        let body = crate::body::Body::new(text);
        let json = body.exact_json().unwrap();
        let number = |at| json.item(at).unwrap().number_text().unwrap().into_owned();
        assert_eq!(
            (number(0), number(1), number(4)),
            ("1e309".into(), "-1E+400".into(), "1".into())
        );
        assert!(json.value()[0].as_f64().unwrap() > 1e307);
        assert!(json.value()[1].as_f64().unwrap() < -1e307);
        assert_eq!(json.value()[3], "1e999");
        assert_eq!(crate::body::Body::new(huge.clone()).exact_json().unwrap().to_string(), huge);
        for wrong in [
            "[1e309",
            "[1e309,]",
            "1e3099x",
            "[1e999999-]",
            "[01e400]",
            "[1e309,1e]",
            "[1e309,01e400]",
            "[1e309,1.e400]",
            "[1e309,-.1e400]",
            "[1e309,+1e400]",
            "[1e309 1e309]",
        ] {
            assert!(parse_strict(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn unambiguous_json_is_parsed_as_serde_json_parses_it() {
        let text = r#"{"a":[1,-2,3.5,true,null,"x\u00e9"],"b":{}}"#;
        assert_eq!(
            parse_strict(text.as_bytes()).unwrap(),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }

    #[test]
    fn duplicate_keys_depth_over_64_trailing_bytes_and_bad_utf8_are_rejected() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse_strict(deep(64).as_bytes()).is_ok());
        assert!(parse_strict(deep(65).as_bytes()).unwrap_err().to_string().contains("nested"));
        assert!(parse_strict(deep(100_000).as_bytes()).is_err());
        assert!(parse_strict(br#"{"a":1,"a":2}"#).unwrap_err().to_string().contains("twice"));
        assert!(parse_strict(b"{} x").is_err());
        assert!(parse_strict(b"\"\xff\"").is_err());
        assert!(parse_strict(b"").is_err());
    }
}
