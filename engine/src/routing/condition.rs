//! `when:` expressions, on minijinja with fuel: for what `match` cannot say. Sees `body`, `headers`
//! and `event`. One that errs counts as false.

use std::fmt;
use std::sync::LazyLock;

use hookward_core::BodyError;
use minijinja::{Environment, Expression, UndefinedBehavior};

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
        assert!(
            holds("body.draft | nosuchfilter").is_err()
                || Condition::compile("body.draft | nosuchfilter").is_err()
        );
    }

    #[test]
    fn a_wrong_expression_is_refused_at_load() {
        assert!(Condition::compile("body.a >").unwrap_err().contains("cannot be read"));
    }
}
