//! JSON Schemas of events.
//!
//! A schema is compiled once, when the configuration is loaded. It fetches nothing, its regular
//! expressions run in linear time, and each value that it reads takes a step of the delivery's
//! budget, so that no body can make validation slow. Numbers are compared exactly.

use std::fmt::{self, Write};

use hookward_core::{Decimal, ExactJson};
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Keyword, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

use super::counted_json::{CountedJson, CountedNode};
use super::evaluation_budget::{BudgetSpent, EvaluationBudget};
use super::schema_expansion::max_expansion;

/// The maximum number of errors that are reported for one event.
const MAX_ERRORS: usize = 10;
/// The maximum length of one error text, in characters; a longer one is cut.
const MAX_ERROR_CHARS: usize = 300;
/// The maximum size of one compiled regular expression, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;
/// The most steps for the list of errors. The validator collects all of them, with those of every
/// branch of `oneOf`, at some hundred bytes each.
const MAX_ERROR_STEPS: u64 = 20_000;

/// The text for a body that has too many of them, with those of all branches.
const UNLISTED_ERRORS: &str = "/: does not match the schema; its errors are too many to list";
/// The most subschemas that a schema may apply to one value. Once the budget is spent, those of each
/// level are still passed through.
const MAX_EXPANSION: u64 = 100_000;
/// The same for a schema whose errors are listed: each of these may be one.
const MAX_LISTED_EXPANSION: u64 = 1000;

/// A compiled JSON Schema of `schema:`.
pub struct EventSchema {
    name: String,
    lists_errors: bool,
    validator: Validator<CountedJson>,
}

impl EventSchema {
    /// Compiles a schema; `name` is the value of `schema:`, such as `builtin:stripe/charge`.
    ///
    /// # Errors
    /// Why it is not a usable JSON Schema: a reference out of the document, a pattern with
    /// look-around, an unknown type.
    pub fn compile(name: &str, schema: ExactJson<'_>) -> Result<Self, String> {
        let schema = &with_exact_operands(schema)?;
        let expansion = max_expansion(schema);
        if expansion > MAX_EXPANSION {
            return Err(format!(
                "its references apply more than {MAX_EXPANSION} subschemas to one value"
            ));
        }
        let mut options = jsonschema::options_for::<CountedJson>().with_pattern_options(
            PatternOptions::regex().size_limit(MAX_REGEX_BYTES).dfa_size_limit(MAX_REGEX_BYTES),
        );
        for keyword in NUMBER_KEYWORDS {
            options = options.with_keyword(keyword.name, |parent, value, _| {
                compile_number_keyword(*keyword, parent, value)
            });
        }
        let validator = options.offline().build(schema).map_err(|e| truncate(&e.to_string()))?;
        let lists_errors = expansion <= MAX_LISTED_EXPANSION;
        Ok(Self { name: name.to_owned(), lists_errors, validator })
    }

    /// Validates a body. Returns nothing for a valid one, else up to ten errors, which name places
    /// and never quote values of the body: they are stored with the event and logged.
    ///
    /// # Errors
    /// [`BudgetSpent`] where the budget did not suffice to find out.
    pub fn errors(
        &self,
        event: ExactJson<'_>,
        budget: &EvaluationBudget,
    ) -> Result<Vec<String>, BudgetSpent> {
        budget.check()?;
        let is_valid = self.validator.is_valid(CountedNode::new(event, budget));
        budget.check()?;
        if is_valid {
            return Ok(Vec::new());
        }
        let unlisted = || vec![UNLISTED_ERRORS.to_owned()];
        if !self.lists_errors {
            return Ok(unlisted());
        }
        Ok(budget.run_limited(MAX_ERROR_STEPS, |limited| {
            let mut errors = self.validator.iter_errors(CountedNode::new(event, limited));
            if limited.is_spent() {
                return unlisted();
            }
            let mut texts: Vec<String> = errors.by_ref().take(MAX_ERRORS).map(describe).collect();
            if errors.next().is_some() {
                texts.push("and more".to_owned());
            }
            texts
        }))
    }

    /// Returns the value of `schema:`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The place of an error and what is wrong there.
fn describe(error: ValidationError<'_>) -> String {
    let at = error.instance_path().to_string();
    let at = if at.is_empty() { "/" } else { &at };
    // The text may list every member of an object, so it is cut while it is written.
    let mut text = CutText { text: String::new(), chars_left: MAX_ERROR_CHARS };
    let written = match error.kind() {
        // The count in the validator's own text needs the value, which it does not get.
        ValidationErrorKind::AdditionalItems { .. } => {
            write!(text, "{at}: Additional items are not allowed")
        }
        _ => write!(text, "{at}: {}", error.masked()),
    };
    if written.is_err() {
        text.text.push('…');
    }
    text.text
}

/// A text that takes a limited number of characters.
struct CutText {
    text: String,
    chars_left: usize,
}

impl Write for CutText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for c in part.chars() {
            self.chars_left = self.chars_left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(c);
        }
        Ok(())
    }
}

/// A keyword that compares numbers. The validator compares them as `f64`, so all of them are
/// replaced.
#[derive(Clone, Copy)]
struct NumberKeyword {
    name: &'static str,
    /// Whether a number passes for an operand.
    passes: fn(&Decimal, &Decimal) -> bool,
    /// The error for one that does not.
    message: &'static str,
}

const NUMBER_KEYWORDS: &[NumberKeyword] = &[
    NumberKeyword {
        name: "minimum",
        passes: |number, limit| number >= limit,
        message: "value is less than the minimum of",
    },
    NumberKeyword {
        name: "maximum",
        passes: |number, limit| number <= limit,
        message: "value is greater than the maximum of",
    },
    NumberKeyword {
        name: "exclusiveMinimum",
        passes: |number, limit| number > limit,
        message: "value is less than or equal to the minimum of",
    },
    NumberKeyword {
        name: "exclusiveMaximum",
        passes: |number, limit| number < limit,
        message: "value is greater than or equal to the maximum of",
    },
    NumberKeyword {
        name: "multipleOf",
        passes: |number, divisor| number.is_multiple_of(divisor).unwrap_or_default(),
        message: "value is not a multiple of",
    },
    NumberKeyword {
        name: "const",
        passes: |number, wanted| number == wanted,
        message: "value does not equal",
    },
];

/// A keyword of a schema that is given a number.
struct NumberCheck {
    keyword: NumberKeyword,
    operand: Decimal,
    /// The operand as the schema has it.
    text: String,
}

/// Precedes the name of a keyword: a member beside it that holds all digits of its operand.
const EXACT_OPERAND: &str = "x-hookward-exact-";

/// The schema as a value that the validator compiles. Beside each keyword whose number is rounded
/// in it there is a second one with the digits.
fn with_exact_operands(schema: ExactJson<'_>) -> Result<Value, String> {
    if !schema.has_rounded_numbers() {
        return Ok(schema.value().clone());
    }
    match schema.value() {
        Value::Array(_) => schema.items().map(with_exact_operands).collect(),
        Value::Object(members) => {
            let mut out = Map::new();
            for (name, value) in members {
                let Some(member) = schema.member(name) else { continue };
                let is_operand = NUMBER_KEYWORDS.iter().any(|keyword| keyword.name == name);
                if is_operand && member.is_rounded_number() {
                    let digits = member.number_text().unwrap_or_default();
                    out.insert(format!("{EXACT_OPERAND}{name}"), Value::from(digits));
                    out.insert(name.clone(), value.clone());
                } else if matches!(name.as_str(), "const" | "enum") && member.has_rounded_numbers()
                {
                    return Err(format!(
                        "`{name}` has a number of more digits than it can compare inside a list or object; compare it with `minimum` and `maximum`"
                    ));
                } else {
                    out.insert(name.clone(), with_exact_operands(member)?);
                }
            }
            Ok(Value::Object(out))
        }
        rounded => Ok(rounded.clone()),
    }
}

fn compile_number_keyword<'a>(
    written: NumberKeyword,
    parent: &Map<String, Value>,
    value: &'a Value,
) -> Result<Box<dyn for<'i> Keyword<'i, CountedJson>>, ValidationError<'a>> {
    // Draft 4 makes a limit exclusive by a second keyword, which is true.
    let exclusive = match written.name {
        "minimum" => Some("exclusiveMinimum"),
        "maximum" => Some("exclusiveMaximum"),
        _ => None,
    };
    let is_exclusive = |name: &&str| parent.get(*name) == Some(&Value::Bool(true));
    let name = exclusive.filter(is_exclusive).unwrap_or(written.name);
    let keyword = NUMBER_KEYWORDS.iter().find(|k| k.name == name).copied().unwrap_or(written);
    match value {
        Value::Number(number) => {
            let exact = parent.get(&format!("{EXACT_OPERAND}{}", written.name));
            let text =
                exact.and_then(Value::as_str).map_or_else(|| number.to_string(), str::to_owned);
            let operand = Decimal::parse(&text).unwrap_or_else(|| Decimal::from(number));
            if name == "multipleOf" && operand.is_multiple_of(&operand).is_none() {
                return Err(ValidationError::custom(
                    "multipleOf takes a number above zero, of up to 37 digits",
                ));
            }
            Ok(Box::new(NumberCheck { keyword, operand, text }))
        }
        Value::Bool(_) if name.starts_with("exclusive") => Ok(Box::new(Anything)),
        other if name == "const" => Ok(Box::new(Constant(other.clone()))),
        _ => Err(ValidationError::custom(format!("{name} takes a number"))),
    }
}

impl<'i> Keyword<'i, CountedJson> for NumberCheck {
    fn validate(&self, instance: CountedNode<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) {
            return Ok(());
        }
        Err(ValidationError::custom(format!("{} {}", self.keyword.message, self.text)))
    }

    fn is_valid(&self, instance: CountedNode<'i>) -> bool {
        match instance.decimal() {
            Some(number) => (self.keyword.passes)(&number, &self.operand),
            None => self.keyword.name != "const",
        }
    }
}

/// `const` with a value that is not a number.
struct Constant(Value);

impl<'i> Keyword<'i, CountedJson> for Constant {
    fn validate(&self, instance: CountedNode<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) {
            return Ok(());
        }
        Err(ValidationError::custom(format!("{} was expected", self.0)))
    }

    fn is_valid(&self, instance: CountedNode<'i>) -> bool {
        instance.equals(&self.0)
    }
}

/// The second keyword of draft 4, which the first one reads.
struct Anything;

impl<'i> Keyword<'i, CountedJson> for Anything {
    fn validate(&self, _: CountedNode<'i>) -> Result<(), ValidationError<'i>> {
        Ok(())
    }

    fn is_valid(&self, _: CountedNode<'i>) -> bool {
        true
    }
}

fn truncate(text: &str) -> String {
    match text.char_indices().nth(MAX_ERROR_CHARS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl fmt::Debug for EventSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventSchema({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookward_core::Body;
    use serde_json::json;
    use std::time::Instant;

    fn compile(schema: &str) -> EventSchema {
        let schema = Body::new(schema.to_owned());
        EventSchema::compile("s", schema.exact_json().unwrap()).unwrap()
    }

    fn compile_value(schema: &Value) -> Result<EventSchema, String> {
        EventSchema::compile("s", ExactJson::from(schema))
    }

    fn errors_of(schema: &EventSchema, event: &Value) -> Vec<String> {
        schema.errors(ExactJson::from(event), &EvaluationBudget::default()).unwrap()
    }

    /// Whether the schema accepts a body, both as text.
    fn accepts(schema: &str, body: &str) -> bool {
        let schema = compile(schema);
        let body = Body::new(body.to_owned());
        let errors = schema.errors(body.exact_json().unwrap(), &EvaluationBudget::default());
        errors.unwrap().is_empty()
    }

    #[test]
    fn errors_name_places_and_never_quote_the_body() {
        let schema = json!({"properties": {"a": {"type": "integer"}, "b": {"maxLength": 2}}, "required": ["c"]});
        let schema = compile_value(&schema).unwrap();
        assert!(errors_of(&schema, &json!({"c": 1})).is_empty());
        let errors = errors_of(&schema, &json!({"a": "hunter2", "b": "hunter2"}));
        assert_eq!(errors.len(), 3);
        assert!(errors.iter().any(|e| e.starts_with("/a: ")));
        assert!(!errors.concat().contains("hunter2"), "{errors:?}");
    }

    #[test]
    fn external_references_and_backtracking_patterns_are_errors() {
        for reference in ["https://example.com/x.json", "file:///etc/passwd"] {
            assert!(compile_value(&json!({"$ref": reference})).is_err());
        }
        assert!(compile_value(&json!({"pattern": "(?=a)b"})).is_err());
    }

    #[test]
    fn at_most_ten_errors_are_reported() {
        let schema = compile_value(&json!({"items": {"type": "integer"}})).unwrap();
        let errors = errors_of(&schema, &Value::Array(vec![json!("x"); 1000]));
        assert_eq!(errors.len(), 11);
    }

    #[test]
    fn numbers_are_compared_with_all_their_digits() {
        for (schema, accepted, rejected) in [
            (r#"{"maximum":9007199254740992}"#, "9007199254740992.0", "9007199254740993"),
            (r#"{"minimum":18446744073709551617}"#, "18446744073709551617", "18446744073709551616"),
            (r#"{"const":0.10000000000000000001}"#, "0.10000000000000000001", "0.1"),
            (
                r#"{"items":{"multipleOf":100000000000000000001}}"#,
                "[300000000000000000003]",
                "[300000000000000000000]",
            ),
            (r#"{"maximum":18446744073709551615}"#, "18446744073709551615", "18446744073709551616"),
            (r#"{"minimum":0.1}"#, "0.10", "0.09999999999999999999"),
            (r#"{"exclusiveMinimum":1e2}"#, "100.00000000000000000001", "100.0"),
            (r#"{"exclusiveMaximum":-1}"#, "-1.00000000000000000001", "-1e0"),
            (r#"{"multipleOf":0.01}"#, "123456789012345678901.25", "0.010000000000000000001"),
            (r#"{"multipleOf":3}"#, "300000000000000000000003", "300000000000000000000001"),
            (r#"{"const":0.1}"#, "1e-1", "0.10000000000000000001"),
            (r#"{"const":100}"#, "1e2", "\"100\""),
            (r#"{"enum":[0.1,"a"]}"#, "0.100", "0.10000000000000000001"),
            (
                r#"{"const":{"a":[1,0.5]}}"#,
                r#"{"a":[1.0,5e-1]}"#,
                r#"{"a":[1,0.50000000000000000001]}"#,
            ),
            (
                r#"{"uniqueItems":true}"#,
                "[9007199254740993,9007199254740992,1e-400,0]",
                "[1.0,2,1]",
            ),
            (r#"{"type":"integer"}"#, "123456789012345678901234567890", "1.00000000000000000001"),
            (
                r#"{"$schema":"http://json-schema.org/draft-04/schema#","maximum":5,"exclusiveMaximum":true}"#,
                "4.99999999999999999999",
                "5",
            ),
        ] {
            assert!(accepts(schema, accepted), "{schema} {accepted}");
            assert!(!accepts(schema, rejected), "{schema} {rejected}");
        }
        assert!(accepts(r#"{"minimum":5}"#, "\"text\""), "a limit concerns numbers alone");
    }

    /// A body of nested objects, `depth` of them.
    fn nested(depth: usize) -> String {
        format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
    }

    #[test]
    fn no_schema_and_body_take_more_than_the_budget() {
        let recursive = |keyword: &str| {
            format!(
                r##"{{"type":"object","properties":{{"a":{{"{keyword}":[{{"$ref":"#"}},{{"$ref":"#","minProperties":2}},{{"$ref":"#","title":"x"}}]}}}}}}"##
            )
        };
        let objects = format!("[{}1]", r#"{"a":[1,2,{"b":3}]},"#.repeat(30_000));
        let numbers =
            format!("[{}]", (0..400_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
        let names = format!(
            "{{{}}}",
            (0..100_000).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>().join(",")
        );
        let text = format!("\"{}\"", "a".repeat(8_000_000));
        let cases = [
            (recursive("oneOf"), nested(58)),
            (recursive("anyOf"), nested(58)),
            (recursive("allOf"), nested(58)),
            (r##"{"$dynamicAnchor":"n","properties":{"a":{"oneOf":[{"$dynamicRef":"#n"},{"$dynamicRef":"#n","required":["z"]},{"not":{"$dynamicRef":"#n"}}]}}}"##.to_owned(), nested(58)),
            (r##"{"properties":{"a":{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}},"unevaluatedProperties":false}"##.to_owned(), nested(58)),
            (r##"{"properties":{"a":{"not":{"allOf":[{"$ref":"#"},{"not":{"$ref":"#"}}]}}}}"##.to_owned(), nested(58)),
            (r##"{"properties":{"a":{"if":{"$ref":"#"},"then":{"$ref":"#"},"else":{"$ref":"#"}}},"maxProperties":0}"##.to_owned(), nested(58)),
            (r##"{"dependentSchemas":{"a":{"properties":{"a":{"oneOf":[{"$ref":"#"},{"$ref":"#"}]}}}}}"##.to_owned(), nested(58)),
            (r#"{"uniqueItems":true}"#.to_owned(), numbers.clone()),
            (r#"{"uniqueItems":true}"#.to_owned(), objects.clone()),
            (r##"{"contains":{"contains":{"const":1},"minContains":1},"maxContains":3,"items":{"$ref":"#/$defs/i"},"$defs":{"i":{"anyOf":[{"type":"object"},{"type":"integer"}]}}}"##.to_owned(), objects.clone()),
            (format!(r#"{{"items":{{"enum":[{}]}}}}"#, (0..3000).map(|n| format!("{{\"v\":{n}}}")).collect::<Vec<_>>().join(",")), objects.clone()),
            (format!(r#"{{"const":{objects}}}"#), objects.clone()),
            (r#"{"patternProperties":{"^k.*1$":{"type":"integer"},"^k[0-9]*2":{"maximum":5},"(k|1)*(2|3)*":true},"additionalProperties":false}"#.to_owned(), names.clone()),
            (r#"{"propertyNames":{"anyOf":[{"pattern":"^x"},{"minLength":4},{"enum":["k1"]}]}}"#.to_owned(), names.clone()),
            (r#"{"allOf":[{"pattern":"(a|b)*c"},{"pattern":"(a|aa)*d"},{"pattern":"a{1,50}b"},{"format":"email"}]}"#.to_owned(), text),
            (r#"{"items":{"type":"string"}}"#.to_owned(), numbers),
            (
                r#"{"$schema":"http://json-schema.org/draft-07/schema#","items":{"format":"regex"}}"#.to_owned(),
                format!("[{}]", (0..5000).map(|n| format!("\"((a{{400}}){{400}}){n}\"")).collect::<Vec<_>>().join(",")),
            ),
        ];
        for (schema, body) in cases {
            let name: String = schema.chars().take(120).collect();
            let schema = compile(&schema);
            let body = Body::new(body);
            let json = body.exact_json().unwrap();
            let started = Instant::now();
            let result = schema.errors(json, &EvaluationBudget::default());
            let elapsed = started.elapsed();
            println!("{elapsed:?} {} {name}", result.as_ref().map_or(-1, |e| e.len() as i64));
            // Tests are not optimised; a validation without a budget takes years.
            assert!(elapsed.as_secs() < 15, "{elapsed:?} {name}");
        }
    }

    #[test]
    fn a_schema_that_expands_at_one_place_takes_no_more_than_the_budget() {
        // Each definition refers to the next one twice, so that 2^30 of them apply to the value.
        for (keyword, innermost) in [
            ("anyOf", r#"{"type":"object"}"#),
            ("allOf", r#"{"type":"array"}"#),
            ("oneOf", r#"{"minItems":1}"#),
            ("anyOf", "false"),
            ("oneOf", "true"),
            ("allOf", "true"),
        ] {
            let ladder = |levels: usize| {
                let definition = |n: usize| {
                    let next = n + 1;
                    format!(
                        r##""d{n}":{{"{keyword}":[{{"$ref":"#/$defs/d{next}"}},{{"title":"x","$ref":"#/$defs/d{next}"}}]}}"##
                    )
                };
                let definitions: Vec<_> = (0..levels).map(definition).collect();
                format!(
                    r##"{{"$defs":{{{},"d{levels}":{innermost}}},"$ref":"#/$defs/d0"}}"##,
                    definitions.join(",")
                )
            };
            let refused = Body::new(ladder(30));
            let refused = EventSchema::compile("s", refused.exact_json().unwrap()).unwrap_err();
            assert!(refused.contains("more than 100000 subschemas"), "{refused}");
            // 3 × 2^14 subschemas.
            let schema = compile(&ladder(14));
            for body in ["[1]", "5", r#"{"a":1}"#] {
                let body = Body::new(body);
                for steps in [1, 100, 4_000_000] {
                    let started = Instant::now();
                    let budget = EvaluationBudget::with_steps(steps);
                    let _ = schema.errors(body.exact_json().unwrap(), &budget);
                    let elapsed = started.elapsed();
                    println!("{elapsed:?} {keyword} {innermost} {steps}");
                    assert!(elapsed.as_secs() < 5, "{elapsed:?} {keyword} {innermost} {steps}");
                }
            }
        }
    }

    #[test]
    fn a_spent_budget_is_reported_and_never_taken_for_a_verdict() {
        let schema =
            r##"{"properties":{"a":{"oneOf":[{"$ref":"#"},{"$ref":"#","required":["z"]}]}}}"##;
        let schema = compile(schema);
        let body = Body::new(nested(40));
        let json = body.exact_json().unwrap();
        let verdict = schema.errors(json, &EvaluationBudget::default()).unwrap().is_empty();
        let (mut spent, mut decided) = (0, 0);
        for steps in (0..3000).step_by(7) {
            match schema.errors(json, &EvaluationBudget::with_steps(steps)) {
                Err(BudgetSpent) => spent += 1,
                Ok(errors) => {
                    assert_eq!(errors.is_empty(), verdict, "{steps}: {errors:?}");
                    decided += 1;
                }
            }
        }
        assert!(spent > 10 && decided > 10, "{spent} {decided}");
    }
}
