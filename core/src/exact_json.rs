//! Parsed JSON together with the numbers that its values round.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::decimal::Decimal;

/// The texts of the numbers of a JSON value that an `f64` rounds, at the places where they stand.
/// Holds nothing for the other values, so that an ordinary body has none.
pub(crate) enum NumberTexts {
    Number(Box<str>),
    /// By index.
    Array(BTreeMap<usize, NumberTexts>),
    /// By name.
    Object(BTreeMap<String, NumberTexts>),
}

/// A JSON value whose numbers keep all their digits. Cheap to copy.
///
/// [`Body::exact_json`](crate::Body::exact_json) returns one.
#[derive(Clone, Copy)]
pub struct ExactJson<'a> {
    value: &'a Value,
    texts: Option<&'a NumberTexts>,
}

impl<'a> ExactJson<'a> {
    pub(crate) fn new(value: &'a Value, texts: Option<&'a NumberTexts>) -> Self {
        Self { value, texts }
    }

    /// The value. Its numbers are rounded where they do not fit; see [`number`](Self::number).
    pub fn value(self) -> &'a Value {
        self.value
    }

    /// The number with all its digits; `None` for other values.
    pub fn number(self) -> Option<Decimal> {
        match (self.value, self.texts) {
            (Value::Number(_), Some(NumberTexts::Number(text))) => Decimal::parse(text),
            (Value::Number(number), _) => Some(Decimal::from(number)),
            _ => None,
        }
    }

    /// The number as text that names its exact value: as the sender wrote it where the value is
    /// rounded, else the shortest form. `None` for other values.
    pub fn number_text(self) -> Option<Cow<'a, str>> {
        match (self.value, self.texts) {
            (Value::Number(_), Some(NumberTexts::Number(text))) => Some(Cow::Borrowed(text)),
            (Value::Number(number), _) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }

    /// Whether [`value`](Self::value) is a number that is rounded.
    pub fn is_rounded_number(self) -> bool {
        matches!(self.texts, Some(NumberTexts::Number(_)))
    }

    /// Whether this value or one inside it is a number that is rounded.
    pub fn has_rounded_numbers(self) -> bool {
        self.texts.is_some()
    }

    /// The value at a JSON pointer (RFC 6901); `None` where the pointer leads nowhere.
    pub fn pointer(self, pointer: &str) -> Option<Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer.strip_prefix('/')?.split('/').try_fold(self, |at, token| {
            let token = token.replace("~1", "/").replace("~0", "~");
            match at.value {
                Value::Array(_) => at.item(parse_index(&token)?),
                _ => at.member(&token),
            }
        })
    }

    /// The member of an object; `None` for another name or value.
    pub fn member(self, name: &str) -> Option<Self> {
        let value = self.value.as_object()?.get(name)?;
        let texts = match self.texts {
            Some(NumberTexts::Object(members)) => members.get(name),
            _ => None,
        };
        Some(Self { value, texts })
    }

    /// The item of an array; `None` past its end and for other values.
    pub fn item(self, index: usize) -> Option<Self> {
        let value = self.value.as_array()?.get(index)?;
        let texts = match self.texts {
            Some(NumberTexts::Array(items)) => items.get(&index),
            _ => None,
        };
        Some(Self { value, texts })
    }

    /// The items of an array; none for other values.
    pub fn items(self) -> impl Iterator<Item = Self> {
        let items = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        (0..items.len()).filter_map(move |index| self.item(index))
    }
}

/// A value whose numbers are what they print as.
impl<'a> From<&'a Value> for ExactJson<'a> {
    fn from(value: &'a Value) -> Self {
        Self { value, texts: None }
    }
}

/// Parses an array index as JSON pointers write it: without a sign and without leading zeros.
fn parse_index(token: &str) -> Option<usize> {
    if token.starts_with('+') || (token.starts_with('0') && token.len() > 1) {
        return None;
    }
    token.parse().ok()
}

/// Compact JSON in which every number has its exact value.
impl fmt::Display for ExactJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.texts.is_none() {
            return write!(f, "{}", self.value);
        }
        match self.value {
            Value::Array(items) => {
                for (n, item) in (0..items.len()).filter_map(|n| Some((n, self.item(n)?))) {
                    write!(f, "{}{item}", if n == 0 { '[' } else { ',' })?;
                }
                f.write_str("]")
            }
            Value::Object(members) => {
                for (n, name) in members.keys().enumerate() {
                    let Some(member) = self.member(name) else { continue };
                    let name = Value::from(name.as_str());
                    write!(f, "{}{name}:{member}", if n == 0 { '{' } else { ',' })?;
                }
                f.write_str("}")
            }
            _ => f.write_str(&self.number_text().unwrap_or_default()),
        }
    }
}

/// Shows only that there is a value, so that no payload reaches a log.
impl fmt::Debug for ExactJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExactJson")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;
    use proptest::prelude::*;

    #[test]
    fn numbers_keep_their_digits_wherever_they_stand() {
        let body = Body::new(
            r#"{"a\"1":[1,-2.5,{"b":18446744073709551617}],"2":"3","c":0.10000000000000000001,
                "d":[1e-400,9007199254740993,-9223372036854775809,1.10],"e":{"f":[[0.1]]}}"#,
        );
        let json = body.exact_json().unwrap();
        let number = |at: &str| json.pointer(at).unwrap().number_text().unwrap();
        assert_eq!(number("/a\"1/2/b"), "18446744073709551617");
        assert_eq!(number("/c"), "0.10000000000000000001");
        assert_eq!(number("/d/0"), "1e-400");
        assert_eq!(number("/d/1"), "9007199254740993");
        assert_eq!(number("/d/2"), "-9223372036854775809");
        assert_eq!(number("/d/3"), "1.1");
        assert_eq!(number("/a\"1/1"), "-2.5");
        assert_eq!(json.pointer("/d/00").map(ExactJson::value), None);
        assert_eq!(json.pointer("/x").map(ExactJson::value), None);
        // Its own text says the same.
        let again = Body::new(json.to_string());
        assert_eq!(again.exact_json().unwrap().to_string(), json.to_string());
        assert_eq!(again.json(), body.json());
    }

    #[test]
    fn an_ordinary_body_holds_no_texts() {
        let body =
            Body::new(r#"{"a":[0.1,1.10,1e2,18446744073709551615,-5,123456.789],"b":"1e9"}"#);
        let json = body.exact_json().unwrap();
        assert!(json.texts.is_none());
        assert!(!json.pointer("/a/0").unwrap().is_rounded_number());
    }

    fn number_text() -> impl Strategy<Value = String> {
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?"
    }

    /// A JSON text and the texts of the numbers in it, in its order.
    fn json_text() -> impl Strategy<Value = (String, Vec<String>)> {
        let leaf = prop_oneof![
            number_text().prop_map(|n| (n.clone(), vec![n])),
            "[a-z0-9\\\\\"-]{0,6}".prop_map(|s| (Value::from(s).to_string(), Vec::new())),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop::collection::vec(inner, 0..5).prop_flat_map(|parts| {
                (Just(parts), any::<bool>()).prop_map(|(parts, is_object)| {
                    let mut numbers = Vec::new();
                    let mut texts = Vec::new();
                    for (n, (text, found)) in parts.into_iter().enumerate() {
                        numbers.extend(found);
                        texts.push(if is_object { format!("\"{n}-\\\"\" : {text}") } else { text });
                    }
                    let (open, close) = if is_object { ('{', '}') } else { ('[', ']') };
                    (format!("{open} {} {close}", texts.join(" ,\n")), numbers)
                })
            })
        })
    }

    fn collect(json: ExactJson<'_>, found: &mut Vec<Decimal>) {
        found.extend(json.number());
        json.items().for_each(|item| collect(item, found));
        for name in json.value().as_object().into_iter().flat_map(|members| members.keys()) {
            collect(json.member(name).unwrap(), found);
        }
    }

    proptest! {
        #[test]
        fn every_number_of_a_body_has_its_exact_value((text, numbers) in json_text()) {
            let body = Body::new(text);
            let mut found = Vec::new();
            collect(body.exact_json().unwrap(), &mut found);
            let expected: Vec<_> = numbers.iter().map(|n| Decimal::parse(n).unwrap()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
