//! Explains YAML syntax errors in the terms of whoever wrote the file, instead of a parser's.

use saphyr_parser::Marker;

use super::text::SourceText;

/// How to explain the parser's errors that contain one of some phrases.
struct Explanation {
    /// Parts of the parser's message.
    phrases: &'static [&'static str],
    message: &'static str,
    help: &'static str,
}

const fn explanation(
    phrases: &'static [&'static str],
    message: &'static str,
    help: &'static str,
) -> Explanation {
    Explanation { phrases, message, help }
}

/// The first explanation with a matching phrase is used, so special phrases come before general
/// ones.
const EXPLANATIONS: &[Explanation] = &[
    explanation(
        &["tab"],
        "a tab character is not allowed here",
        "indent with spaces, usually two for each level",
    ),
    explanation(
        &["quoted scalar, found unexpected end", "indentation in quoted scalar"],
        "this quoted text has no closing quote",
        "close it with the same quote; inside \"…\" a quote is written \\\", inside '…' it is written ''",
    ),
    explanation(
        &["trailing content after"],
        "text after a closing quote is not allowed",
        "put the whole value in quotes, and write a quote inside \"…\" as \\\" and inside '…' as ''",
    ),
    explanation(
        &["unknown escape", "escape character"],
        "unknown escape sequence in \"…\"",
        "write \\\\ for a backslash, or use '…', which has no escapes",
    ),
    explanation(
        &["unknown anchor"],
        "no anchor of this name comes before this alias",
        "text that starts with `*` needs quotes, such as \"*/order.created\"",
    ),
    explanation(
        &["anchor or alias"],
        "a name is missing after this `*` or `&`",
        "text that starts with `*` or `&` needs quotes, such as \"**\"",
    ),
    explanation(
        &["unexpected character"],
        "a value cannot start with this character",
        "put the value in quotes",
    ),
    explanation(
        &["mapping values are not allowed"],
        "a `:` is not allowed here",
        "text that contains `: ` needs quotes; if this is a key, check its indentation and that of the line before",
    ),
];

/// Parts of the parser's messages about `[ ]` and `{ }`, where a `${…}` without quotes is the
/// likely cause if the line has one.
const FLOW_PHRASES: &[&str] = &["flow", "bracket", "','", "placement"];

/// The explanations that come after the check for a `${…}` without quotes.
const LATER_EXPLANATIONS: &[Explanation] = &[
    explanation(
        &["',' or '}'"],
        "expected `,` or `}` here",
        "close the `{` before it, or put values that contain `,`, `:` or braces in quotes",
    ),
    explanation(
        &["',' or ']'", "placement of ':'", "in flow construct"],
        "expected `,` or a closing bracket here",
        "close the `[` or `{` before it, or put values that contain `,`, `:` or brackets in quotes",
    ),
    explanation(
        &["followed by a valid YAML whitespace"],
        "a space is missing after the `:`",
        "write one space there, not a tab",
    ),
    explanation(
        &["misplaced bracket"],
        "this closing bracket has no opening one",
        "remove it, or write the opening bracket before it",
    ),
    explanation(
        &["did not find expected '-'", "block sequence entries"],
        "a list item and a key cannot be on the same level",
        "start every item of the list with `- ` in the same column, or indent the key",
    ),
    explanation(
        &["expected key", "simple key", "document start", "invalid indentation"],
        "the indentation of this line does not match the lines before it",
        "keys of one mapping start in the same column and end in `:`",
    ),
    explanation(
        &["unprintable", "byte order mark"],
        "there is an invisible character here",
        "remove it, or write it as an escape in \"…\"",
    ),
];

/// Returns message and help for an error of the parser; `mark` is its place.
pub(super) fn explain(info: &str, text: &SourceText, mark: Marker) -> (String, String) {
    let find = |explanations: &'static [Explanation]| {
        explanations.iter().find(|e| e.phrases.iter().any(|phrase| info.contains(phrase)))
    };
    let line = text.slice(&text.line(mark.line()));
    let in_flow = FLOW_PHRASES.iter().any(|phrase| info.contains(phrase));
    let (message, help) = if let Some(found) = find(EXPLANATIONS) {
        (found.message, found.help)
    } else if line.contains("${") && in_flow {
        (
            "this is not a valid list or mapping",
            "inside [ ] and { } a `${…}` needs quotes: \"${NAME}\"",
        )
    } else if let Some(found) = find(LATER_EXPLANATIONS) {
        (found.message, found.help)
    } else {
        return (
            format!("this is not valid YAML: {info}"),
            "check quotes, brackets and indentation here and on the line before".to_owned(),
        );
    };
    (message.to_owned(), help.to_owned())
}
