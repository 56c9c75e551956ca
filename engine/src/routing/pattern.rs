//! `match:` patterns: conditions as data, in the manner of Amazon EventBridge.
//!
//! A pattern maps data addresses to alternatives. It matches where every address has a value that
//! matches one of its alternatives. Numbers compare exactly, at any size. Mistakes are found at
//! load; evaluation has no loops of its own and fails only where the budget of the delivery is
//! spent.

use std::net::IpAddr;

use hookward_core::{BodyError, ClientCertificate, Decimal, ExactJson};
use ipnet::IpNet;
use serde_json::Value;

use super::address::{DataAddress, DataValue};
use super::evaluation_budget::{BudgetSpent, EvaluationBudget};
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
    Null,
    Bool(bool),
    Number(Decimal),
    Text(String),
    Prefix(String),
    Suffix(String),
    Numeric(Vec<(Comparison, Decimal)>),
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
    pub fn compile(block: ExactJson<'_>) -> Result<Self, Vec<PatternError>> {
        let error = |at: String, message: String| PatternError { at, is_key: false, message };
        let Some(map) = block.value().as_object() else {
            return Err(vec![error(
                String::new(),
                "expected a mapping; write data addresses and the values that match, such as /type: [paid]"
                    .into(),
            )]);
        };
        let mut errors = Vec::new();
        let mut compiled = Vec::new();
        for key in map.keys() {
            let Some(wanted) = block.member(key) else { continue };
            let at = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            let address = DataAddress::parse(key).map_err(|message| {
                errors.push(PatternError { at: at.clone(), is_key: true, message });
            });
            let alternatives: Vec<_> = match wanted.value() {
                Value::Array(list) if list.is_empty() => {
                    errors.push(error(
                        at.clone(),
                        "an empty list never matches; write at least one value".into(),
                    ));
                    continue;
                }
                Value::Array(_) => wanted.items().collect(),
                _ => vec![wanted],
            };
            let is_list = wanted.value().is_array();
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

    /// Returns the first address that does not match; `None` where the pattern matches. The inner
    /// error says that the budget does not suffice to find out.
    ///
    /// # Errors
    /// Why the body cannot be parsed as JSON, where an address points into it.
    pub fn first_mismatch<'a>(
        &self,
        event: &EventView<'a>,
    ) -> Result<Result<Option<String>, BudgetSpent>, &'a BodyError> {
        let budget = event.budget();
        for (address, tests) in &self.0 {
            let value = address.get(event)?;
            let matches = tests.iter().any(|test| test.matches(value, budget));
            if let Err(spent) = budget.check() {
                return Ok(Err(spent));
            }
            if !matches {
                return Ok(Ok(Some(address.to_string())));
            }
        }
        Ok(Ok(None))
    }

    /// Returns the addresses that the pattern reads.
    pub fn addresses(&self) -> impl Iterator<Item = &DataAddress> {
        self.0.iter().map(|(address, _)| address)
    }
}

const OPERATORS: &str = "prefix, suffix, numeric, exists, anything-but, cidr";

/// Compiles one alternative: a plain value, or a mapping with one operator.
fn compile_test(wanted: ExactJson<'_>) -> Result<Test, String> {
    let map = match wanted.value() {
        Value::Object(map) => map,
        Value::Array(_) => {
            return Err(
                "a list inside a list is not allowed; write its values in the outer list".into()
            );
        }
        Value::Null => return Ok(Test::Null),
        Value::Bool(wanted) => return Ok(Test::Bool(*wanted)),
        Value::String(wanted) => return Ok(Test::Text(wanted.clone())),
        Value::Number(number) => {
            return Ok(Test::Number(wanted.number().unwrap_or_else(|| number.into())));
        }
    };
    let first = map.keys().next().and_then(|name| Some((name, wanted.member(name)?)));
    let (Some((operator, exact_operand)), 1) = (first, map.len()) else {
        return Err(format!(
            "expected one operator, not {}; write a mapping with one of: {OPERATORS}",
            map.len()
        ));
    };
    let operand = exact_operand.value();
    let text = || operand.as_str().map(str::to_owned).ok_or(format!("`{operator}` takes text"));
    Ok(match operator.as_str() {
        "prefix" => Test::Prefix(text()?),
        "suffix" => Test::Suffix(text()?),
        "exists" => Test::Exists(operand.as_bool().ok_or("`exists` takes true or false")?),
        "numeric" => Test::Numeric(comparisons(exact_operand)?),
        "cidr" => Test::Cidr(
            text()?
                .parse()
                .map_err(|_| "`cidr` takes a network; write one such as 10.0.0.0/8".to_owned())?,
        ),
        "anything-but" => {
            let list = match operand {
                Value::Array(_) => {
                    exact_operand.items().map(compile_test).collect::<Result<_, _>>()?
                }
                _ => vec![compile_test(exact_operand)?],
            };
            Test::AnythingBut(list)
        }
        other => return Err(format!("unknown operator `{other}`; allowed: {OPERATORS}")),
    })
}

/// Compiles the operand of `numeric`: pairs of an operator and a number.
fn comparisons(operand: ExactJson<'_>) -> Result<Vec<(Comparison, Decimal)>, String> {
    let error = || {
        "`numeric` takes pairs of an operator (<, <=, =, >=, >) and a number; write a list such as [\">\", 1000, \"<=\", 5000]".to_owned()
    };
    let list: Vec<_> = operand.items().collect();
    if list.is_empty() || list.len() % 2 != 0 {
        return Err(error());
    }
    let pair = |pair: &[ExactJson<'_>]| {
        let [operator, number] = pair else { return Err(error()) };
        let comparison = match operator.value().as_str() {
            Some("<") => Comparison::Less,
            Some("<=") => Comparison::LessOrEqual,
            Some("=") => Comparison::Equal,
            Some(">=") => Comparison::GreaterOrEqual,
            Some(">") => Comparison::Greater,
            _ => return Err(error()),
        };
        Ok((comparison, number.number().ok_or_else(error)?))
    };
    list.chunks(2).map(pair).collect()
}

impl Test {
    /// Whether the value passes. A list in the body passes where one of its items does. False once
    /// the budget is spent.
    fn matches(&self, value: Option<DataValue<'_>>, budget: &EvaluationBudget) -> bool {
        match (self, value) {
            (Self::Exists(wanted), value) => value.is_some() == *wanted,
            (_, None) => false,
            (Self::AnythingBut(tests), value) => {
                !tests.iter().any(|test| test.matches(value, budget))
            }
            (test, Some(DataValue::Json(json))) if json.value().is_array() => {
                json.items().any(|item| test.matches_one(DataValue::Json(item), budget))
            }
            (test, Some(DataValue::Names(names))) => ClientCertificate::split_names(names)
                .any(|name| test.matches_one(DataValue::Text(name), budget)),
            (test, Some(value)) => test.matches_one(value, budget),
        }
    }

    fn matches_one(&self, value: DataValue<'_>, budget: &EvaluationBudget) -> bool {
        let number = || match value {
            DataValue::Json(json) => json.number(),
            DataValue::Text(_) | DataValue::Names(_) => None,
        };
        let is_json = |wanted: &Value| matches!(value, DataValue::Json(v) if v.value() == wanted);
        if !budget.charge(1) {
            return false;
        }
        match self {
            Self::Null => is_json(&Value::Null),
            Self::Bool(wanted) => is_json(&Value::Bool(*wanted)),
            Self::Number(wanted) => number().is_some_and(|v| v == *wanted),
            Self::Text(wanted) => value.as_str().is_some_and(|v| v == wanted),
            Self::Prefix(prefix) => value.as_str().is_some_and(|v| v.starts_with(prefix)),
            Self::Suffix(suffix) => value.as_str().is_some_and(|v| v.ends_with(suffix)),
            Self::Cidr(net) => {
                let ip = value.as_str().and_then(|v| v.parse::<IpAddr>().ok());
                ip.is_some_and(|ip| net.contains(&ip))
            }
            Self::Numeric(all) => number().is_some_and(|v| {
                all.iter().all(|(comparison, bound)| match comparison {
                    Comparison::Less => v < *bound,
                    Comparison::LessOrEqual => v <= *bound,
                    Comparison::Equal => v == *bound,
                    Comparison::GreaterOrEqual => v >= *bound,
                    Comparison::Greater => v > *bound,
                })
            }),
            Self::Exists(_) | Self::AnythingBut(_) => self.matches(Some(value), budget),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookward_core::Body;
    use serde_json::json;

    fn compile(pattern: &Value) -> Result<Pattern, Vec<PatternError>> {
        Pattern::compile(ExactJson::from(pattern))
    }

    fn matches(pattern: Value, body: Value) -> bool {
        matches_body(&compile(&pattern).unwrap(), &Body::from_json(body))
    }

    fn matches_body(pattern: &Pattern, body: &Body) -> bool {
        let headers = [("x-a".to_owned(), "10.1.2.3".to_owned())];
        let budget = EvaluationBudget::default();
        let event = EventView::new("stripe", "t.x", Some("evt_1"), &headers, body, &budget);
        pattern.first_mismatch(&event).unwrap().unwrap().is_none()
    }

    /// Whether a pattern for the pointer `/n` matches a number, both as text.
    fn matches_number(alternatives: &str, number: &str) -> bool {
        let pattern = Body::new(format!(r#"{{"/n":{alternatives}}}"#));
        let pattern = Pattern::compile(pattern.exact_json().unwrap()).unwrap();
        matches_body(&pattern, &Body::new(format!(r#"{{"n":{number}}}"#)))
    }

    #[test]
    fn numbers_that_an_f64_cannot_tell_apart_differ() {
        for (alternatives, matching, other) in [
            ("[9007199254740993]", "9007199254740993.0", "9007199254740992"),
            ("[18446744073709551615]", "18446744073709551615", "18446744073709551616"),
            ("[-1]", "-1", "18446744073709551615"),
            ("[0.1]", "0.10", "0.10000000000000000001"),
            ("[100]", "1e2", "100.00000000000000000001"),
            (
                "[123456789012345678901234567890]",
                "123456789012345678901234567890",
                "123456789012345678901234567891",
            ),
            (r#"[{"numeric":[">",9007199254740992]}]"#, "9007199254740993", "9007199254740992.0"),
            (
                r#"[{"numeric":["<=",18446744073709551615]}]"#,
                "18446744073709551615",
                "18446744073709551615.5",
            ),
            (r#"[{"numeric":["=",0.3]}]"#, "0.30", "0.30000000000000000001"),
            (r#"[{"anything-but":9007199254740993}]"#, "9007199254740992", "9007199254740993"),
            (r#"[{"anything-but":[1e2,{"numeric":["<",0]}]}]"#, "100.5", "-1e-400"),
            ("[1]", "[9007199254740993,1.0]", "[1.00000000000000000001]"),
        ] {
            assert!(matches_number(alternatives, matching), "{alternatives} {matching}");
            assert!(!matches_number(alternatives, other), "{alternatives} {other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_comparison_is_that_of_big_integers(a: i128, near in -2..3_i128, places in 0..25_usize) {
            let b = a.saturating_add(near);
            let text = |n: i128| format!("{n}e-{places}");
            for (operator, expected) in
                [("<", b < a), ("<=", b <= a), ("=", b == a), (">=", b >= a), (">", b > a)]
            {
                let alternatives = format!(r#"[{{"numeric":["{operator}",{}]}}]"#, text(a));
                proptest::prop_assert_eq!(matches_number(&alternatives, &text(b)), expected);
            }
            let equal = matches_number(&format!("[true,{}]", text(a)), &text(b));
            proptest::prop_assert_eq!(equal, a == b);
        }
    }

    #[test]
    fn a_large_list_spends_the_budget() {
        let pattern = compile(&json!({"/l": ["q", {"prefix": "z"}]})).unwrap();
        let body = Body::from_json(json!({"l": vec!["x"; 1000]}));
        let budget = EvaluationBudget::with_steps(1500);
        let event = EventView::new("s", "t", None, &[], &body, &budget);
        assert_eq!(pattern.first_mismatch(&event).unwrap(), Err(BudgetSpent));
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
        let errors = compile(&json!({"a": [1], "/b": [], "/c": [{"nope": 1}, {"numeric": [">"]}]}));
        let at: Vec<_> = errors.unwrap_err().into_iter().map(|e| e.at).collect();
        assert_eq!(at.len(), 4);
        assert!(at.contains(&"/~1c/0".to_owned()));
    }

    #[test]
    fn a_body_that_is_not_json_is_an_error_for_pointers_alone() {
        let body = Body::new("not json");
        let budget = EvaluationBudget::default();
        let event = EventView::new("s", "t", None, &[], &body, &budget);
        let first_mismatch = |pattern: Value| compile(&pattern).unwrap().first_mismatch(&event);
        assert!(first_mismatch(json!({"/a": [1]})).is_err());
        assert!(first_mismatch(json!({"event:type": ["t"]})).is_ok());
    }
}
