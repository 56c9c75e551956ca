//! Strict JSON: the form that a sender's body must have before anything reads it. Two parsers that
//! resolve a duplicate key differently let an attacker show a checker one value and the handler
//! another (RFC 8259, section 4), so ambiguous bodies are rejected here, once and for everyone. A
//! source whose sender writes such bodies can choose [`DuplicateKeys::Last`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::decimal::Decimal;
use crate::exact_json::NumberTexts;
use crate::json_repair::{number_length, repair, replace_non_json_numbers, string_length};

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

/// The UTF-8 form of U+FEFF. RFC 8259, section 8.1, lets a parser ignore it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a key that occurs twice in one object means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DuplicateKeys {
    /// The body cannot be read as JSON.
    #[default]
    Reject,
    /// The last value counts, as in the parsers of JavaScript, Python and Go.
    Last,
}

/// The text without a byte order mark.
pub(crate) fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// Parses one JSON value. A byte order mark before it is ignored; half of a surrogate pair becomes
/// U+FFFD.
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
    parse_strict_exact(bytes, DuplicateKeys::Reject).map(|parsed| parsed.value)
}

/// Reads as much of a value as a proof needs that stands in it: the last of several equal keys,
/// `null` below the deepest level, an empty text for `NaN`, U+FFFD for bytes that are not UTF-8.
///
/// For the proof alone. What is routed and handled is read strictly, so that a body that is read in
/// two ways is kept as invalid.
///
/// # Errors
/// Where the text is not JSON even so, or its value would take more than 64 MiB of memory.
pub(crate) fn parse_for_proof(bytes: &[u8]) -> Result<ParsedJson, serde_json::Error> {
    let text = String::from_utf8_lossy(without_byte_order_mark(bytes));
    match replace_non_json_numbers(text.as_bytes()) {
        Some(text) => parse_text(&text, Mode::Proof),
        None => parse_text(text.as_bytes(), Mode::Proof),
    }
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
pub(crate) fn parse_strict_exact(
    bytes: &[u8],
    duplicate_keys: DuplicateKeys,
) -> Result<ParsedJson, serde_json::Error> {
    let text = without_byte_order_mark(bytes);
    parse_text(text, Mode::Strict(duplicate_keys)).map_err(|e| {
        match replace_non_json_numbers(text) {
            Some(_) if e.is_syntax() => serde_json::Error::custom(format_args!(
                "{e}; a number is NaN or Infinity, which JSON does not have"
            )),
            _ => e,
        }
    })
}

/// What is read beyond unambiguous JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Strict(DuplicateKeys),
    Proof,
}

/// Parses a text, and again with repairs where it cannot be read as it is.
fn parse_text(text: &[u8], mode: Mode) -> Result<ParsedJson, serde_json::Error> {
    parse_once(text, text, mode).or_else(|error| match repair(text) {
        Some(repaired) => parse_once(&repaired, text, mode),
        None => Err(error),
    })
}

/// Parses `text`. `original` has the same length, and the numbers as the sender wrote them.
fn parse_once(text: &[u8], original: &[u8], mode: Mode) -> Result<ParsedJson, serde_json::Error> {
    let mut de = serde_json::Deserializer::from_slice(text);
    let parsing = Parsing {
        bytes: original,
        mode,
        has_skipped: Cell::new(false),
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
    mode: Mode,
    /// Whether a value was skipped because it is nested too deep.
    has_skipped: Cell<bool>,
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
        // How many of them stand in skipped values is not known.
        if self.has_skipped.get() {
            return None;
        }
        let (mut at, mut numbers) = self.scanned.get();
        let mut found = None;
        while found.is_none() {
            let rest = self.bytes.get(at..)?;
            let start = rest.iter().position(|b| matches!(b, b'"' | b'-' | b'0'..=b'9'))?;
            let token = rest.get(start..)?;
            let length = if token.first() == Some(&b'"') {
                string_length(token)?
            } else {
                let length = number_length(token);
                numbers += 1;
                if numbers == self.numbers.get() {
                    found = token.get(..length);
                }
                length
            };
            at += start + length;
        }
        self.scanned.set((at, numbers));
        std::str::from_utf8(found?).ok()
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

    /// The seed of a nested value; `None` at the deepest level.
    fn nested(self) -> Option<Self> {
        (self.depth < MAX_JSON_DEPTH).then(|| Self { depth: self.depth + 1, ..self })
    }

    /// The error of a value that is nested too deep. A proof does not stand there, so a value that
    /// is read for one ends here.
    fn check_depth<E: Error>(self) -> Result<(), E> {
        match self.parsing.mode {
            Mode::Proof => {
                self.parsing.has_skipped.set(true);
                Ok(())
            }
            Mode::Strict(_) => {
                Err(E::custom(format_args!("nested deeper than {MAX_JSON_DEPTH} levels")))
            }
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
        let Some(inner) = self.nested() else {
            self.check_depth()?;
            // Not recursive, so this reads any depth.
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok((Value::Null, None));
        };
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
        let Some(inner) = self.nested() else {
            self.check_depth()?;
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok((Value::Null, None));
        };
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
            } else if !texts.is_empty() {
                // Of the same key before, where it occurs twice.
                texts.remove(&key);
            }
            let is_duplicate = members.insert(key, value).is_some();
            if is_duplicate && self.parsing.mode == Mode::Strict(DuplicateKeys::Reject) {
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
