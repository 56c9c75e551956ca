//! `match:` patterns: conditions as data, in the manner of Amazon EventBridge.
//!
//! A pattern maps data addresses to alternatives. It matches where every address has a value that
//! matches one of its alternatives. Mistakes are found at load; evaluation has no loops of its own
//! and cannot fail.

use std::net::IpAddr;

use hookward_core::BodyError;
use ipnet::IpNet;
use serde_json::Value;

use super::address::DataAddress;
use super::event_view::EventView;

/// A compiled `match:` block: the tests for each address, of which one must pass.
#[derive(Debug, Clone)]
pub struct Pattern(Vec<(DataAddress, Vec<Test>)>);

/// A mistake in a `match:` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    /// The place of the mistake, as a JSON pointer into the block.
    pub at: String,
    /// Whether the mistake is in the key at that place, not in its value.
    pub is_key: bool,
    /// What was found; what to write follows behind a `; ` where it is known.
    pub message: String,
}

/// One alternative of an address.
#[derive(Debug, Clone, PartialEq)]
enum Test {
    Equal(Value),
    Prefix(String),
    Suffix(String),
    Numeric(Vec<(Comparison, f64)>),
    Exists(bool),
    AnythingBut(Vec<Test>),
    Cidr(IpNet),
}

/// An operator of `numeric`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Pattern {
    /// Compiles a block.
    ///
    /// # Errors
    /// All mistakes of the block, so that one run of `hookward check` shows every one.
    pub fn compile(block: &Value) -> Result<Self, Vec<PatternError>> {
        let error = |at: String, message: String| PatternError { at, is_key: false, message };
        let Some(map) = block.as_object() else {
            return Err(vec![error(
                String::new(),
                "expected a mapping; write data addresses and the values that match, such as /type: [paid]"
                    .into(),
            )]);
        };
        let mut errors = Vec::new();
        let mut compiled = Vec::new();
        for (key, wanted) in map {
            let at = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            let address = DataAddress::parse(key).map_err(|message| {
                errors.push(PatternError { at: at.clone(), is_key: true, message });
            });
            let alternatives = match wanted {
                Value::Array(list) if list.is_empty() => {
                    errors.push(error(
                        at.clone(),
                        "an empty list never matches; write at least one value".into(),
                    ));
                    continue;
                }
                Value::Array(list) => list.iter().collect(),
                single => vec![single],
            };
            let is_list = wanted.is_array();
            let mut tests = Vec::new();
            for (n, alternative) in alternatives.into_iter().enumerate() {
                let at = if is_list { format!("{at}/{n}") } else { at.clone() };
                match compile_test(alternative) {
                    Ok(test) => tests.push(test),
                    Err(message) => errors.push(error(at, message)),
                }
            }
            if let Ok(address) = address {
                compiled.push((address, tests));
            }
        }
        if errors.is_empty() { Ok(Self(compiled)) } else { Err(errors) }
    }

    /// Returns the first address that does not match; `None` where the pattern matches.
    ///
    /// # Errors
    /// Why the body cannot be parsed as JSON, where an address points into it.
    pub fn first_mismatch<'a>(
        &self,
        event: &EventView<'a>,
    ) -> Result<Option<String>, &'a BodyError> {
        for (address, tests) in &self.0 {
            let value = address.get(event)?;
            if !tests.iter().any(|test| test.matches(value.as_deref())) {
                return Ok(Some(address.to_string()));
            }
        }
        Ok(None)
    }

    /// Returns the addresses that the pattern reads.
    pub fn addresses(&self) -> impl Iterator<Item = &DataAddress> {
        self.0.iter().map(|(address, _)| address)
    }
}

const OPERATORS: &str = "prefix, suffix, numeric, exists, anything-but, cidr";

/// Compiles one alternative: a plain value, or a mapping with one operator.
fn compile_test(wanted: &Value) -> Result<Test, String> {
    let map = match wanted {
        Value::Object(map) => map,
        Value::Array(_) => {
            return Err(
                "a list inside a list is not allowed; write its values in the outer list".into()
            );
        }
        scalar => return Ok(Test::Equal(scalar.clone())),
    };
    let (Some((operator, operand)), 1) = (map.iter().next(), map.len()) else {
        return Err(format!(
            "expected one operator, not {}; write a mapping with one of: {OPERATORS}",
            map.len()
        ));
    };
    let text = || operand.as_str().map(str::to_owned).ok_or(format!("`{operator}` takes text"));
    Ok(match operator.as_str() {
        "prefix" => Test::Prefix(text()?),
        "suffix" => Test::Suffix(text()?),
        "exists" => Test::Exists(operand.as_bool().ok_or("`exists` takes true or false")?),
        "numeric" => Test::Numeric(comparisons(operand)?),
        "cidr" => Test::Cidr(
            text()?
                .parse()
                .map_err(|_| "`cidr` takes a network; write one such as 10.0.0.0/8".to_owned())?,
        ),
        "anything-but" => {
            let list = match operand {
                Value::Array(list) => list.iter().map(compile_test).collect::<Result<_, _>>()?,
                single => vec![compile_test(single)?],
            };
            Test::AnythingBut(list)
        }
        other => return Err(format!("unknown operator `{other}`; allowed: {OPERATORS}")),
    })
}

/// Compiles the operand of `numeric`: pairs of an operator and a number.
fn comparisons(operand: &Value) -> Result<Vec<(Comparison, f64)>, String> {
    let error = || {
        "`numeric` takes pairs of an operator (<, <=, =, >=, >) and a number; write a list such as [\">\", 1000, \"<=\", 5000]".to_owned()
    };
    let list =
        operand.as_array().filter(|l| !l.is_empty() && l.len() % 2 == 0).ok_or_else(error)?;
    let pair = |pair: &[Value]| {
        let [operator, number] = pair else { return Err(error()) };
        let comparison = match operator.as_str() {
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::LessOrEqual,
            Some("=") => Comparison::Equal,
            Some(">=") => Comparison::GreaterOrEqual,
            Some(">") => Comparison::Greater,
            _ => return Err(error()),
        };
        Ok((comparison, number.as_f64().ok_or_else(error)?))
    };
    list.chunks(2).map(pair).collect()
}

impl Test {
    /// Whether the value passes. A list in the body passes where one of its items does.
    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Exists(wanted), value) => value.is_some() == *wanted,
            (_, None) => false,
            (Self::AnythingBut(tests), Some(value)) => {
                !tests.iter().any(|test| test.matches(Some(value)))
            }
            (test, Some(Value::Array(items))) => items.iter().any(|item| test.matches_one(item)),
            (test, Some(value)) => test.matches_one(value),
        }
    }

    fn matches_one(&self, value: &Value) -> bool {
        match self {
            Self::Equal(wanted) => match (wanted.as_f64(), value.as_f64()) {
                (Some(a), Some(b)) => wanted == value || (a - b).abs() < f64::EPSILON * a.abs(),
                _ => wanted == value,
            },
            Self::Prefix(prefix) => value.as_str().is_some_and(|v| v.starts_with(prefix)),
            Self::Suffix(suffix) => value.as_str().is_some_and(|v| v.ends_with(suffix)),
            Self::Cidr(net) => {
                let ip = value.as_str().and_then(|v| v.parse::<IpAddr>().ok());
                ip.is_some_and(|ip| net.contains(&ip))
            }
            Self::Numeric(all) => value.as_f64().is_some_and(|v| {
                all.iter().all(|(comparison, bound)| match comparison {
                    Comparison::Less => v < *bound,
                    Comparison::LessOrEqual => v <= *bound,
                    Comparison::Equal => v == *bound,
                    Comparison::GreaterOrEqual => v >= *bound,
                    Comparison::Greater => v > *bound,
                })
            }),
            Self::Exists(_) | Self::AnythingBut(_) => self.matches(Some(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookward_core::Body;
    use serde_json::json;

    fn matches(pattern: Value, body: Value) -> bool {
        let body = Body::from_json(body);
        let headers = [("x-a".to_owned(), "10.1.2.3".to_owned())];
        let event = EventView::new("stripe", "t.x", Some("evt_1"), &headers, &body);
        Pattern::compile(&pattern).unwrap().first_mismatch(&event).unwrap().is_none()
    }

    #[test]
    fn each_operator_matches_its_values_alone() {
        let body = json!({"a": {"n": 1500, "s": "refs/heads/main", "l": ["x", "y"], "z": null}});
        for (pattern, expected) in [
            (json!({"/a/s": ["refs/heads/main"]}), true),
            (json!({"/a/s": "refs/heads/main"}), true),
            (json!({"/a/s": [{"prefix": "refs/"}], "/a/n": [1]}), false),
            (json!({"/a/s": [{"suffix": "main"}]}), true),
            (json!({"/a/n": [{"numeric": [">", 1000, "<=", 1500]}]}), true),
            (json!({"/a/n": [{"numeric": [">", 1500]}]}), false),
            (json!({"/a/n": [1500.0]}), true),
            (json!({"/a/n": ["1500"]}), false),
            (json!({"/a/l": ["y"]}), true),
            (json!({"/a/l": ["q"]}), false),
            (json!({"/a/z": [null]}), true),
            (json!({"/a/q": [{"exists": false}]}), true),
            (json!({"/a/n": [{"exists": false}]}), false),
            (json!({"/a/s": [{"anything-but": ["x", {"prefix": "refs/"}]}]}), false),
            (json!({"/a/s": [{"anything-but": "x"}]}), true),
            (json!({"/a/q": [{"anything-but": "x"}]}), false),
            (json!({"header:X-A": [{"cidr": "10.0.0.0/8"}]}), true),
            (
                json!({"event:type": ["t.x"], "event:id": ["evt_1"], "event:source": ["stripe"]}),
                true,
            ),
        ] {
            assert_eq!(matches(pattern.clone(), body.clone()), expected, "{pattern}");
        }
    }

    #[test]
    fn a_block_with_several_mistakes_reports_all_of_them() {
        let errors =
            Pattern::compile(&json!({"a": [1], "/b": [], "/c": [{"nope": 1}, {"numeric": [">"]}]}));
        let at: Vec<_> = errors.unwrap_err().into_iter().map(|e| e.at).collect();
        assert_eq!(at.len(), 4);
        assert!(at.contains(&"/~1c/0".to_owned()));
    }

    #[test]
    fn a_body_that_is_not_json_is_an_error_for_pointers_alone() {
        let body = Body::new("not json");
        let event = EventView::new("s", "t", None, &[], &body);
        let first_mismatch =
            |pattern: Value| Pattern::compile(&pattern).unwrap().first_mismatch(&event);
        assert!(first_mismatch(json!({"/a": [1]})).is_err());
        assert!(first_mismatch(json!({"event:type": ["t"]})).is_ok());
    }
}
