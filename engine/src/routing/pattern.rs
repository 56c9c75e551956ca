//! `match:` patterns: data, in the manner of EventBridge. All addresses must fit; of the
//! alternatives of one address, any. Checked at load, cannot loop, costs next to nothing.

use std::net::IpAddr;

use hookward_core::BodyError;
use ipnet::IpNet;
use serde_json::Value;

use crate::routing::address::DataAddress;
use crate::routing::subject::Subject;

/// A compiled `match:` block.
#[derive(Debug, Clone)]
pub struct Pattern(Vec<(DataAddress, Vec<Test>)>);

/// A mistake in a `match:` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    /// JSON pointer into the block.
    pub at: String,
    /// What was found and what is allowed.
    pub message: String,
}

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Pattern {
    /// Checks and compiles a block; all mistakes at once.
    pub fn compile(block: &Value) -> Result<Self, Vec<PatternError>> {
        let error = |at: String, message: String| PatternError { at, message };
        let Some(map) = block.as_object() else {
            return Err(vec![error(
                String::new(),
                "`match` is a map of addresses to values".into(),
            )]);
        };
        let mut errors = Vec::new();
        let mut all = Vec::new();
        for (key, wanted) in map {
            let at = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            let address = DataAddress::parse(key).map_err(|m| errors.push(error(at.clone(), m)));
            let alternatives = match wanted {
                Value::Array(list) if list.is_empty() => {
                    errors.push(error(
                        at.clone(),
                        "an empty list matches nothing; name at least one value".into(),
                    ));
                    continue;
                }
                Value::Array(list) => list.iter().collect(),
                single => vec![single],
            };
            let many = wanted.is_array();
            let mut tests = Vec::new();
            for (n, alternative) in alternatives.into_iter().enumerate() {
                let at = if many { format!("{at}/{n}") } else { at.clone() };
                match test(alternative) {
                    Ok(test) => tests.push(test),
                    Err(message) => errors.push(error(at, message)),
                }
            }
            if let Ok(address) = address {
                all.push((address, tests));
            }
        }
        if errors.is_empty() { Ok(Self(all)) } else { Err(errors) }
    }

    /// The first address that does not fit; `None` where all do.
    pub fn misfit<'a>(&self, subject: &Subject<'a>) -> Result<Option<String>, &'a BodyError> {
        for (address, tests) in &self.0 {
            let value = address.get(subject)?;
            if !tests.iter().any(|test| test.fits(value.as_deref())) {
                return Ok(Some(address.to_string()));
            }
        }
        Ok(None)
    }

    /// The addresses that it looks at.
    pub fn addresses(&self) -> impl Iterator<Item = &DataAddress> {
        self.0.iter().map(|(address, _)| address)
    }
}

const OPERATORS: &str = "prefix, suffix, numeric, exists, anything-but, cidr";

fn test(wanted: &Value) -> Result<Test, String> {
    let map = match wanted {
        Value::Object(map) => map,
        Value::Array(_) => return Err("a list within a list means nothing here".into()),
        scalar => return Ok(Test::Equal(scalar.clone())),
    };
    let (Some((operator, operand)), 1) = (map.iter().next(), map.len()) else {
        return Err(format!("an operator is a map with one key, one of: {OPERATORS}"));
    };
    let text = || operand.as_str().map(str::to_owned).ok_or(format!("`{operator}` takes a text"));
    Ok(match operator.as_str() {
        "prefix" => Test::Prefix(text()?),
        "suffix" => Test::Suffix(text()?),
        "exists" => Test::Exists(operand.as_bool().ok_or("`exists` takes true or false")?),
        "numeric" => Test::Numeric(comparisons(operand)?),
        "cidr" => Test::Cidr(
            text()?.parse().map_err(|_| "`cidr` takes a network such as 10.0.0.0/8".to_owned())?,
        ),
        "anything-but" => {
            let list = match operand {
                Value::Array(list) => list.iter().map(test).collect::<Result<_, _>>()?,
                single => vec![test(single)?],
            };
            Test::AnythingBut(list)
        }
        other => return Err(format!("unknown operator `{other}`; allowed are: {OPERATORS}")),
    })
}

fn comparisons(operand: &Value) -> Result<Vec<(Comparison, f64)>, String> {
    let wrong = || {
        "`numeric` takes pairs of an operator (<, <=, =, >=, >) and a number, such as [\">\", 1000, \"<=\", 5000]".to_owned()
    };
    let list =
        operand.as_array().filter(|l| !l.is_empty() && l.len() % 2 == 0).ok_or_else(wrong)?;
    let pair = |pair: &[Value]| {
        let [operator, number] = pair else { return Err(wrong()) };
        let comparison = match operator.as_str() {
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::LessOrEqual,
            Some("=") => Comparison::Equal,
            Some(">=") => Comparison::GreaterOrEqual,
            Some(">") => Comparison::Greater,
            _ => return Err(wrong()),
        };
        Ok((comparison, number.as_f64().ok_or_else(wrong)?))
    };
    list.chunks(2).map(pair).collect()
}

impl Test {
    /// A list fits where one of its items does.
    fn fits(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Exists(wanted), value) => value.is_some() == *wanted,
            (_, None) => false,
            (Self::AnythingBut(tests), Some(value)) => {
                !tests.iter().any(|test| test.fits(Some(value)))
            }
            (test, Some(Value::Array(items))) => items.iter().any(|item| test.fits_one(item)),
            (test, Some(value)) => test.fits_one(value),
        }
    }

    fn fits_one(&self, value: &Value) -> bool {
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
            Self::Exists(_) | Self::AnythingBut(_) => self.fits(Some(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookward_core::Body;
    use serde_json::json;

    fn fits(pattern: Value, body: Value) -> bool {
        let body = Body::from_json(body);
        let headers = [("x-a".to_owned(), "10.1.2.3".to_owned())];
        let subject = Subject::new("stripe", "t.x", Some("evt_1"), &headers, &body);
        Pattern::compile(&pattern).unwrap().misfit(&subject).unwrap().is_none()
    }

    #[test]
    fn each_operator_does_what_it_says() {
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
            assert_eq!(fits(pattern.clone(), body.clone()), expected, "{pattern}");
        }
    }

    #[test]
    fn all_mistakes_of_a_block_are_told_at_once() {
        let errors =
            Pattern::compile(&json!({"a": [1], "/b": [], "/c": [{"nope": 1}, {"numeric": [">"]}]}));
        let at: Vec<_> = errors.unwrap_err().into_iter().map(|e| e.at).collect();
        assert_eq!(at.len(), 4);
        assert!(at.contains(&"/~1c/0".to_owned()));
    }

    #[test]
    fn a_body_that_cannot_be_read_is_an_error_not_a_misfit() {
        let body = Body::new("not json");
        let subject = Subject::new("s", "t", None, &[], &body);
        assert!(Pattern::compile(&json!({"/a": [1]})).unwrap().misfit(&subject).is_err());
        assert!(Pattern::compile(&json!({"event:type": ["t"]})).unwrap().misfit(&subject).is_ok());
    }
}
