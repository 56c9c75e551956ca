//! `when:` expressions, on minijinja with fuel: for what `match` cannot say. Sees `body`, `headers`
//! and `event`. One that errs counts as false.

use std::fmt;
use std::sync::LazyLock;

use hookward_core::BodyError;
use minijinja::{Environment, ErrorKind, Expression, UndefinedBehavior};

use crate::routing::subject::Subject;

/// Instructions that one evaluation may take.
const FUEL: u64 = 20_000;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::new();
    env.set_fuel(Some(FUEL));
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env
});

/// A compiled `when:`.
pub struct Condition {
    text: String,
    expression: Expression<'static, 'static>,
}

impl Condition {
    /// Checks and compiles an expression.
    pub fn compile(text: &str) -> Result<Self, String> {
        let compiled = ENVIRONMENT.compile_expression_owned(text.to_owned());
        let expression = compiled.map_err(|e| {
            let detail = e.detail().map(|d| format!(": {d}")).unwrap_or_default();
            format!("this expression cannot be read: {}{detail}", e.kind())
        })?;
        let names = expression.undeclared_variables(false);
        if let Some(name) = names.iter().filter(|n| !KNOWN.contains(&n.as_str())).min() {
            return Err(format!(
                "`{name}` is unknown here; an expression sees {}",
                KNOWN.join(", ")
            ));
        }
        if let Some((what, name)) = unknown_word(text) {
            return Err(format!("there is no {what} `{name}`"));
        }
        Ok(Self { text: text.to_owned(), expression })
    }

    /// Whether it holds. The outer error: the body cannot be read. The inner: it could not be computed.
    pub fn holds<'a>(&self, subject: &Subject<'a>) -> Result<Result<bool, String>, &'a BodyError> {
        let value = subject.value()?;
        Ok(match self.expression.eval(value.clone()) {
            Ok(result) => Ok(result.is_true()),
            Err(e) => Err(e.kind().to_string()),
        })
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What an expression sees. `range`, `dict` and the like are functions of the language.
const KNOWN: &[&str] = &["body", "event", "headers", "range", "dict", "namespace", "debug"];

/// The first filter (`| name`) or test (`is name`) that the language does not have: it would make the
/// expression false for ever.
fn unknown_word(text: &str) -> Option<(&'static str, String)> {
    let words = words(text);
    let mut before: &str = "";
    for (n, word) in words.iter().enumerate() {
        let name = word.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
        let (what, probe, kind) = match before {
            "|" if name => ("filter", format!("'' | {word}"), ErrorKind::UnknownFilter),
            "is" if name && word != "not" => {
                ("test", format!("'' is {word}"), ErrorKind::UnknownTest)
            }
            _ => {
                // `is not odd` asks for the test behind the `not`.
                let passes = before == "is" && word == "not";
                before = if passes { "is" } else { words.get(n).map_or("", String::as_str) };
                continue;
            }
        };
        before = word;
        let unknown = match ENVIRONMENT.compile_expression_owned(probe) {
            Ok(probe) => probe.eval(()).is_err_and(|e| e.kind() == kind),
            Err(e) => e.kind() == kind,
        };
        if unknown {
            return Some((what, word.clone()));
        }
    }
    None
}

/// Names and signs, without what stands in quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) => {
                if c == open {
                    quote = None;
                }
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c.is_alphanumeric() || c == '_' => {
                word.push(c);
                continue;
            }
            None => {}
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if !c.is_whitespace() {
            words.push(c.to_string());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookward_core::Body;
    use serde_json::json;

    fn holds(text: &str) -> Result<bool, String> {
        let body = Body::from_json(
            json!({"data": {"object": {"amount": 1500, "tags": ["a"]}}, "draft": false}),
        );
        let headers = [("x-a".to_owned(), "1".to_owned())];
        let subject = Subject::new("stripe", "invoice.paid", Some("evt_1"), &headers, &body);
        Condition::compile(text).unwrap().holds(&subject).unwrap()
    }

    #[test]
    fn expressions_see_body_headers_and_event() {
        assert_eq!(holds("body.data.object.amount > 1000"), Ok(true));
        assert_eq!(holds("body.data.object.amount > 2000"), Ok(false));
        assert_eq!(holds("'a' in body.data.object.tags and not body.draft"), Ok(true));
        assert_eq!(holds("headers['x-a'] == '1' and event.type == 'invoice.paid'"), Ok(true));
        assert_eq!(holds("body.data.object.tags | length == 1"), Ok(true));
        assert_eq!(holds("body.missing is defined"), Ok(false));
    }

    #[test]
    fn what_cannot_be_computed_is_an_error_and_never_true() {
        assert!(holds("body.missing.deeper > 1").is_err());
        assert!(!holds("body.missing > 1").unwrap_or(false));
    }

    #[test]
    fn a_name_filter_or_test_that_does_not_exist_is_refused_at_load() {
        for (text, word) in [
            ("bdy.amount > 1", "bdy"),
            ("body.total | flot > 1", "flot"),
            ("body.a > 1 and body.b | flot > 1", "flot"),
            ("body.a is nmber", "nmber"),
            ("body.a is not nmber", "nmber"),
        ] {
            let told = Condition::compile(text).unwrap_err();
            assert!(told.contains(&format!("`{word}`")), "{text}: {told}");
        }
        for text in [
            "body.a | float > 1 and body.b is not defined",
            "'x | nope is odd' == body.a",
            "event.type is in ['a', 'b']",
            "headers['x'] | default('') | lower == 'y' or body.n is divisibleby(3)",
            "body.list | map(attribute='id') | list | length > 2",
        ] {
            assert!(Condition::compile(text).is_ok(), "{text}: {:?}", Condition::compile(text));
        }
    }

    #[test]
    fn a_wrong_expression_is_refused_at_load() {
        assert!(Condition::compile("body.a >").unwrap_err().contains("cannot be read"));
    }
}
