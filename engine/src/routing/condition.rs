//! `when:` expressions, for what a `match` pattern cannot say.
//!
//! The language is that of minijinja. An expression sees `body`, `headers` and `event`. Its
//! evaluation is bounded by minijinja's fuel, which counts instructions and the data that they
//! process, and takes what it used from the delivery's budget. One that fails counts as false.

use std::cell::Cell;
use std::fmt;
use std::sync::LazyLock;
use std::time::Instant;

use hookward_core::BodyError;
use minijinja::{Environment, ErrorKind, Expression, State, UndefinedBehavior, Value};

use super::address::DataAddress;
use super::evaluation_budget::BudgetSpent;
use super::event_view::EventView;

/// The maximum number of instructions of one evaluation. A loop over a body of the maximum size
/// ends here instead of holding a request.
const MAX_INSTRUCTIONS: u64 = 20_000;
/// What an instruction takes, in nanoseconds: converts the time of an evaluation that failed.
const INSTRUCTION_NANOS: u128 = 50;

/// Functions that surround each expression. The fuel of minijinja belongs to the environment, so
/// that one evaluation can neither be given less nor be asked what it used.
const BEFORE: &str = "__before";
const AFTER: &str = "__after";

thread_local! {
    /// The instructions that the evaluation on this thread may use.
    static GRANTED: Cell<u64> = const { Cell::new(0) };
    /// The instructions that it left, once it has ended.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::new();
    env.set_fuel(Some(MAX_INSTRUCTIONS));
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    // Fuel beyond the grant is used up before the expression starts.
    env.add_function(BEFORE, |state: &State<'_, '_>| {
        state.consume_fuel(MAX_INSTRUCTIONS.saturating_sub(GRANTED.get()))
    });
    env.add_function(AFTER, |state: &State<'_, '_>, _before: Value, result: Value| {
        LEFT.set(state.fuel_levels().map(|(_, left)| left));
        result.is_true()
    });
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
        let measured = format!("{AFTER}({BEFORE}(), ({text}\n))");
        let expression = ENVIRONMENT
            .compile_expression_owned(measured)
            .map_err(|e| format!("not a valid expression: {}", e.kind()))?;
        Ok(Self { text: text.to_owned(), expression })
    }

    /// Evaluates the expression for one event.
    ///
    /// # Errors
    /// Why the body cannot be parsed as JSON.
    pub fn evaluate<'a>(
        &self,
        event: &EventView<'a>,
    ) -> Result<Result<bool, ConditionError>, &'a BodyError> {
        let context = match event.expression_context()? {
            Ok(context) => context.clone(),
            Err(spent) => return Ok(Err(spent.into())),
        };
        let budget = event.budget();
        if let Err(spent) = budget.check() {
            return Ok(Err(spent.into()));
        }
        let granted = budget.steps_left().min(MAX_INSTRUCTIONS);
        GRANTED.set(granted);
        LEFT.set(None);
        let started = Instant::now();
        let result = self.expression.eval(context);
        let used = match (&result, LEFT.get()) {
            (Ok(_), Some(left)) => granted.saturating_sub(left),
            (Err(e), _) if e.kind() == ErrorKind::OutOfFuel => granted,
            // minijinja does not say what an evaluation used that failed.
            _ => {
                let instructions = started.elapsed().as_nanos() / INSTRUCTION_NANOS;
                u64::try_from(instructions).unwrap_or(granted).clamp(1, granted)
            }
        };
        budget.charge(used);
        Ok(match result {
            Ok(result) => Ok(result.is_true()),
            // The evaluation got less than it may use, so that its own bound is not the cause.
            Err(_) if budget.is_spent() => Err(BudgetSpent.into()),
            Err(e) => Err(ConditionError::Failed(e.kind().to_string())),
        })
    }

    /// Returns the expression as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the headers and the members of `event` that the expression names, each once. A use
    /// of `headers` that names no header, such as a loop over all, is the header `*`.
    pub(crate) fn named_addresses(&self) -> Vec<DataAddress> {
        let mut found = Vec::new();
        let mut rest = self.text.as_str();
        let mut before = ' ';
        while let Some(c) = rest.chars().next() {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let after = rest.get(c.len_utf8()..).unwrap_or_default();
            if c == '\'' || c == '"' {
                // Quoted text names nothing.
                rest = after.split_once(c).map_or("", |(_, rest)| rest);
                before = c;
                continue;
            }
            // A member of another value may have the same name.
            if is_name(c) && !is_name(before) && before != '.' {
                let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                let address = match (word, member(behind)) {
                    ("headers", name) => {
                        Some(DataAddress::Header(name.unwrap_or("*").to_ascii_lowercase()))
                    }
                    ("event", Some("type")) => Some(DataAddress::EventType),
                    ("event", Some("id")) => Some(DataAddress::EventId),
                    _ => None,
                };
                found.extend(address.filter(|address| !found.contains(address)));
                (rest, before) = (behind, 'x');
                continue;
            }
            (rest, before) = (after, c);
        }
        found
    }
}

/// Why an expression has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It could not be evaluated, such as an attribute of an undefined value. The reason never
    /// quotes the event.
    #[error("{0}")]
    Failed(String),
    /// The budget of the delivery does not suffice.
    #[error(transparent)]
    BudgetSpent(#[from] BudgetSpent),
}

/// The names that an expression may use: the three values of an event and minijinja's functions.
const VISIBLE_NAMES: &[&str] =
    &["body", "event", "headers", "tls", "range", "dict", "namespace", "debug"];

/// The member that `.name`, `['name']` or `["name"]` at the start of a text names.
fn member(text: &str) -> Option<&str> {
    let text = text.trim_start();
    if let Some(text) = text.strip_prefix('.') {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        return text.get(..end).filter(|name| !name.is_empty());
    }
    let text = text.strip_prefix('[')?.trim_start();
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text.get(1..)?.split_once(quote).map(|(name, _)| name)
}

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
    use crate::routing::EvaluationBudget;
    use hookward_core::Body;
    use serde_json::json;

    fn evaluate(text: &str) -> Result<bool, String> {
        let body = Body::from_json(
            json!({"data": {"object": {"amount": 1500, "tags": ["a"]}}, "draft": false}),
        );
        let headers = [("x-a".to_owned(), "1".to_owned())];
        let budget = EvaluationBudget::default();
        let event =
            EventView::new("stripe", "invoice.paid", Some("evt_1"), &headers, &body, &budget);
        let result = Condition::compile(text).unwrap().evaluate(&event).unwrap();
        result.map_err(|e| e.to_string())
    }

    /// Evaluates an expression again and again with one budget; returns the number of results.
    fn evaluate_until_spent(text: &str, body: &str, steps: u64) -> usize {
        let condition = Condition::compile(text).unwrap();
        let body = Body::new(body.to_owned());
        let budget = EvaluationBudget::with_steps(steps);
        let event = EventView::new("s", "t", None, &[], &body, &budget);
        (0..100_000)
            .take_while(|_| {
                let result = condition.evaluate(&event).unwrap();
                result != Err(ConditionError::BudgetSpent(BudgetSpent))
            })
            .count()
    }

    #[test]
    fn evaluations_spend_the_budget_of_the_delivery() {
        let cheap = evaluate_until_spent("body.a == 1", r#"{"a":1}"#, 20_000);
        assert!((500..5000).contains(&cheap), "{cheap}");
        let list = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(2000));
        let dear = evaluate_until_spent("body.a | sum > 1", &list, 200_000);
        assert!((5..200).contains(&dear), "{dear}");
        let failing = evaluate_until_spent("body.a.b.c", r#"{"a":1}"#, 20_000);
        assert!((2..20_000).contains(&failing), "{failing}");
        // One evaluation ends at its own bound, and the rest of the budget remains.
        let endless = evaluate_until_spent("range(90000) | list | length > 1", "{}", 200_000);
        assert!((9..12).contains(&endless), "{endless}");
        // Less than one evaluation may use.
        assert_eq!(evaluate_until_spent("range(5000) | list | length > 1", "{}", 1000), 0);
        assert_eq!(evaluate_until_spent("true", &list, 1000), 0, "the body is too large");
    }

    #[test]
    fn the_budget_suffices_for_a_large_batch_and_several_routes() {
        let members: Vec<_> = (0..50).map(|n| format!(r#""k{n}":"value {n}""#)).collect();
        let body = Body::new(format!(r#"{{"kind":"open","n":4,{}}}"#, members.join(",")));
        let conditions = ["body.kind == 'open'", "body.n > 3 and body.n < 9", "'value' in body.k7"];
        let conditions = conditions.map(|text| Condition::compile(text).unwrap());
        let budget = EvaluationBudget::default();
        for _ in 0..10_000 {
            let event = EventView::new("s", "t", None, &[], &body, &budget);
            for condition in &conditions {
                assert_eq!(condition.evaluate(&event).unwrap(), Ok(true));
            }
        }
    }

    #[test]
    fn integers_of_up_to_128_bits_are_compared_exactly() {
        let body = r#"{"a":9007199254740993,"b":18446744073709551617,"c":-9223372036854775809}"#;
        let body = Body::new(body);
        let budget = EvaluationBudget::default();
        let event = EventView::new("s", "t", None, &[], &body, &budget);
        for (text, expected) in [
            ("body.a == 9007199254740993", true),
            ("body.a == 9007199254740992", false),
            ("body.b == 18446744073709551617", true),
            ("body.b == 18446744073709551616", false),
            ("body.b > 18446744073709551616", true),
            ("body.c == -9223372036854775809", true),
            ("body.c < -9223372036854775808", true),
        ] {
            let result = Condition::compile(text).unwrap().evaluate(&event).unwrap();
            assert_eq!(result, Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_expression_cannot_end_the_function_around_it() {
        assert!(Condition::compile("true) or (false").is_err());
        assert!(Condition::compile("__after(1, 2)").is_err());
        assert_eq!(evaluate("1 if body.draft else 0"), Ok(false));
    }

    #[test]
    fn the_headers_and_event_members_that_an_expression_names_are_found() {
        let named = |text: &str| {
            let addresses = Condition::compile(text).unwrap().named_addresses();
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            named("headers['X-A'] == '1' and headers.etag == headers [\"x-a\"]"),
            ["header:x-a", "header:etag"]
        );
        assert_eq!(named("event.type == 'headers.x' and event['id']"), ["event:type", "event:id"]);
        assert_eq!(named("headers | length > 3"), ["header:*"]);
        assert!(named("body.headers.x == body.event.type and event.source").is_empty());
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
