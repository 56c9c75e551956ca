//! Says what a YAML syntax error means for someone who wrote a configuration, not a parser.

use saphyr_parser::Marker;

use super::text::SourceText;

/// Message and help for an error of the parser.
pub(super) fn explain(info: &str, text: &SourceText, mark: Marker) -> (String, String) {
    let line = text.slice(&text.line(mark.line()));
    let has = |part: &str| info.contains(part);
    let (message, help) = if has("tab") {
        ("a tab stands where YAML wants spaces", "indent with spaces; two a level are usual")
    } else if has("quoted scalar, found unexpected end") || has("indentation in quoted scalar") {
        (
            "this quoted text never ends",
            "end it with the same quote; inside \"…\" a quote is written \\\", inside '…' it is written ''",
        )
    } else if has("trailing content after") {
        (
            "something follows the closing quote",
            "put the whole value in quotes; inside \"…\" a quote is written \\\", inside '…' it is written ''",
        )
    } else if has("unknown escape") || has("escape character") {
        (
            "this escape means nothing in \"…\"",
            "write \\\\ for a backslash, or use '…', where nothing is escaped",
        )
    } else if has("unknown anchor") {
        (
            "this alias names nothing that is anchored before it",
            "text that starts with `*` needs quotes, such as \"*/order.created\"",
        )
    } else if has("anchor or alias") {
        (
            "a name is missing after this `*` or `&`",
            "text that starts with `*` or `&` needs quotes, such as \"**\"",
        )
    } else if has("unexpected character") {
        ("a value cannot start with this character", "put the value in quotes")
    } else if has("mapping values are not allowed") {
        (
            "a `:` is not allowed here",
            "text that contains `: ` needs quotes; if this is a key, check its indentation and that of the line before",
        )
    } else if line.contains("${")
        && (has("flow") || has("bracket") || has("','") || has("placement"))
    {
        (
            "this is not a valid list or mapping",
            "inside [ ] and { } a `${…}` needs quotes: \"${NAME}\"",
        )
    } else if has("',' or '}'") {
        (
            "expected `,` or `}` here",
            "close the `{` before it, or put values that contain `,`, `:` or braces in quotes",
        )
    } else if has("',' or ']'") || has("placement of ':'") || has("in flow construct") {
        (
            "expected `,` or a closing bracket here",
            "close the `[` or `{` before it, or put values that contain `,`, `:` or brackets in quotes",
        )
    } else if has("followed by a valid YAML whitespace") {
        ("a space is missing after the `:`", "write one space there, not a tab")
    } else if has("misplaced bracket") {
        ("this bracket closes nothing", "remove it, or open it before")
    } else if has("did not find expected '-'") || has("block sequence entries") {
        (
            "a list item and a key cannot stand side by side here",
            "start every item of the list with `- ` in the same column, or indent the key",
        )
    } else if has("expected key")
        || has("simple key")
        || has("document start")
        || has("invalid indentation")
    {
        (
            "this does not line up with what stands before it",
            "keys of one mapping start in the same column and end in `:`",
        )
    } else if has("unprintable") || has("byte order mark") {
        ("there is an invisible character here", "remove it, or write it as an escape in \"…\"")
    } else {
        return (
            format!("this is not valid YAML: {info}"),
            "check quotes, brackets and indentation here and on the line before".to_owned(),
        );
    };
    (message.to_owned(), help.to_owned())
}
