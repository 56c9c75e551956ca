//! `when:` expressions, for what a `match` pattern cannot say.
//!
//! The language is that of minijinja. An expression sees `body`, `headers` and `event`, and its
//! evaluation is bounded by a number of instructions. One that fails counts as false.

use std::fmt;
use std::sync::LazyLock;

use hookward_core::BodyError;
use minijinja::{Environment, ErrorKind, Expression, UndefinedBehavior};

use super::event_view::EventView;

/// The maximum number of instructions of one evaluation. A loop over a body of the maximum size
/// ends here instead of holding a request.
const MAX_INSTRUCTIONS: u64 = 20_000;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::new();
    env.set_fuel(Some(MAX_INSTRUCTIONS));
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env
});

/// A compiled `when:` expression, evaluated once for each event that reaches it.
pub struct Condition {
    text: String,
    expression: Expression<'static, 'static>,
}

impl Condition {
    /// Compiles an expression.
    ///
    /// # Errors
    /// A syntax error, or a name, filter or test that does not exist. An unknown name would be
    /// undefined for every event, and the route would never match without any message.
    pub fn compile(text: &str) -> Result<Self, String> {
        let compiled = ENVIRONMENT.compile_expression_owned(text.to_owned());
        let expression = compiled.map_err(|e| {
            let detail = e.detail().map(|d| format!(": {d}")).unwrap_or_default();
            format!("not a valid expression: {}{detail}", e.kind())
        })?;
        let names = expression.undeclared_variables(false);
        if let Some(name) = names.iter().filter(|n| !VISIBLE_NAMES.contains(&n.as_str())).min() {
            return Err(format!("unknown name `{name}`; allowed: {}", VISIBLE_NAMES.join(", ")));
        }
        if let Some((kind, name)) = find_unknown_filter_or_test(text) {
            return Err(format!(
                "unknown {kind} `{name}`; allowed: the built-in {kind}s of minijinja"
            ));
        }
        Ok(Self { text: text.to_owned(), expression })
    }

    /// Evaluates the expression for one event.
    ///
    /// The inner error is the reason why the expression could not be evaluated, such as an
    /// attribute of an undefined value; it never quotes the event.
    ///
    /// # Errors
    /// Why the body cannot be parsed as JSON.
    pub fn evaluate<'a>(
        &self,
        event: &EventView<'a>,
    ) -> Result<Result<bool, String>, &'a BodyError> {
        let context = event.expression_context()?;
        Ok(match self.expression.eval(context.clone()) {
            Ok(result) => Ok(result.is_true()),
            Err(e) => Err(e.kind().to_string()),
        })
    }

    /// Returns the expression as written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The names that an expression may use: the three values of an event and minijinja's functions.
const VISIBLE_NAMES: &[&str] = &["body", "event", "headers", "range", "dict", "namespace", "debug"];

/// Finds the first filter (`| name`) or test (`is name`) that minijinja does not have, and returns
/// its kind and name. minijinja itself reports it only when the expression is evaluated.
fn find_unknown_filter_or_test(text: &str) -> Option<(&'static str, String)> {
    let tokens = tokens(text);
    let mut before: &str = "";
    for (n, token) in tokens.iter().enumerate() {
        let is_name = token.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
        let (kind, probe, error_kind) = match before {
            "|" if is_name => ("filter", format!("'' | {token}"), ErrorKind::UnknownFilter),
            "is" if is_name && token != "not" => {
                ("test", format!("'' is {token}"), ErrorKind::UnknownTest)
            }
            _ => {
                // In `is not odd` the test is behind the `not`.
                let negates_test = before == "is" && token == "not";
                before = if negates_test { "is" } else { tokens.get(n).map_or("", String::as_str) };
                continue;
            }
        };
        before = token;
        let unknown = match ENVIRONMENT.compile_expression_owned(probe) {
            Ok(probe) => probe.eval(()).is_err_and(|e| e.kind() == error_kind),
            Err(e) => e.kind() == error_kind,
        };
        if unknown {
            return Some((kind, token.clone()));
        }
    }
    None
}

/// Splits an expression into names and punctuation, without quoted text.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
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
            tokens.push(std::mem::take(&mut word));
        }
        if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    if !word.is_empty() {
        tokens.push(word);
    }
    tokens
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

    fn evaluate(text: &str) -> Result<bool, String> {
        let body = Body::from_json(
            json!({"data": {"object": {"amount": 1500, "tags": ["a"]}}, "draft": false}),
        );
        let headers = [("x-a".to_owned(), "1".to_owned())];
        let event = EventView::new("stripe", "invoice.paid", Some("evt_1"), &headers, &body);
        Condition::compile(text).unwrap().evaluate(&event).unwrap()
    }

    #[test]
    fn expressions_see_body_headers_and_event() {
        assert_eq!(evaluate("body.data.object.amount > 1000"), Ok(true));
        assert_eq!(evaluate("body.data.object.amount > 2000"), Ok(false));
        assert_eq!(evaluate("'a' in body.data.object.tags and not body.draft"), Ok(true));
        assert_eq!(evaluate("headers['x-a'] == '1' and event.type == 'invoice.paid'"), Ok(true));
        assert_eq!(evaluate("body.data.object.tags | length == 1"), Ok(true));
        assert_eq!(evaluate("body.missing is defined"), Ok(false));
    }

    #[test]
    fn an_expression_over_a_missing_value_is_an_error_or_false() {
        assert!(evaluate("body.missing.deeper > 1").is_err());
        assert!(!evaluate("body.missing > 1").unwrap_or(false));
    }

    #[test]
    fn unknown_names_filters_and_tests_are_errors_at_load() {
        for (text, word) in [
            ("bdy.amount > 1", "bdy"),
            ("body.total | flot > 1", "flot"),
            ("body.a > 1 and body.b | flot > 1", "flot"),
            ("body.a is nmber", "nmber"),
            ("body.a is not nmber", "nmber"),
        ] {
            let error = Condition::compile(text).unwrap_err();
            assert!(error.contains(&format!("`{word}`")), "{text}: {error}");
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
    fn a_syntax_error_is_an_error_at_load() {
        assert!(Condition::compile("body.a >").unwrap_err().contains("not a valid expression"));
    }
}
