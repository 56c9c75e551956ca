//! Re-serialises a JSON text the way other programs do: other white space, other escapes, the same order and
//! numbers. Works on the text, because parsing loses white space, order and number formats.

use serde_json::Value;

/// White space after a comma, after a colon, and at the start of each line.
struct Layout {
    comma: &'static str,
    colon: &'static str,
    indent: Option<&'static str>,
    name: &'static str,
}

const LAYOUTS: &[Layout] = &[
    Layout { comma: "", colon: "", indent: None, name: "compact, without white space" },
    Layout {
        comma: " ",
        colon: " ",
        indent: None,
        name: "with a space after each comma and colon, as Python writes it",
    },
    Layout { comma: "", colon: " ", indent: Some("  "), name: "indented by two spaces" },
    Layout { comma: "", colon: " ", indent: Some("    "), name: "indented by four spaces" },
    Layout { comma: "", colon: " ", indent: Some("\t"), name: "indented by tabs" },
];

/// The characters that are escaped in strings although JSON does not require it.
struct Escapes {
    ascii: bool,
    slash: bool,
    html: bool,
    name: &'static str,
}

const ESCAPES: &[Escapes] = &[
    Escapes { ascii: false, slash: false, html: false, name: ", without optional escapes" },
    Escapes { ascii: true, slash: false, html: false, name: ", with all but ASCII escaped" },
    Escapes {
        ascii: true,
        slash: true,
        html: false,
        name: ", with slashes and all but ASCII escaped, as PHP writes it",
    },
    Escapes { ascii: false, slash: true, html: false, name: ", with slashes escaped" },
    Escapes {
        ascii: false,
        slash: false,
        html: true,
        name: ", with `<`, `>` and `&` escaped, as Go and Rails write it",
    },
];

/// Larger bodies are tried only in the most common forms.
const MAX_BODY_FOR_ALL_FORMS: usize = 1024 * 1024;

/// Every form of a JSON text, with its name; empty if the body is not JSON.
pub(super) fn forms(body: &[u8]) -> Vec<(Vec<u8>, String)> {
    let Ok(text) = std::str::from_utf8(body) else { return Vec::new() };
    if serde_json::from_str::<Value>(text).is_err() {
        return Vec::new();
    }
    // Sixty forms of a large body would be in memory together.
    let max_forms = if body.len() > MAX_BODY_FOR_ALL_FORMS { 4 } else { usize::MAX };
    let tokens = tokens(text);
    let mut forms = Vec::new();
    // The original escapes come first, because white space changes most often.
    for escapes in std::iter::once(None).chain(ESCAPES.iter().map(Some)) {
        for layout in LAYOUTS {
            if forms.len() >= max_forms {
                return forms;
            }
            let written = write(&tokens, layout, escapes);
            let name = format!("{}{}", layout.name, escapes.map_or("", |e| e.name));
            forms.push((
                format!("{written}\n").into_bytes(),
                format!("{name}, and with a newline at its end"),
            ));
            forms.push((written.into_bytes(), name));
        }
    }
    forms
}

/// Whether the keys of every object are sorted, and one object has at least four keys.
pub(super) fn keys_are_sorted(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    if serde_json::from_str::<Value>(text).is_err() {
        return false;
    }
    // For each open object: the number of its keys so far, and the last key.
    let mut open: Vec<(usize, &str)> = Vec::new();
    let (mut before, mut max_keys) = ("", 0);
    for token in tokens(text) {
        match token {
            "{" => open.push((0, "")),
            "}" => drop(open.pop()),
            ":" => {
                let Some((keys, last)) = open.last_mut() else { return false };
                if *last > before {
                    return false;
                }
                (*keys, *last) = (*keys + 1, before);
                max_keys = max_keys.max(*keys);
            }
            _ => {}
        }
        before = token;
    }
    max_keys >= 4
}

/// The JSON tokens: strings with their quotes, punctuation, numbers and literals, without white space.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' => string_len(rest),
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest
                .find([',', ':', '{', '}', '[', ']', ' ', '\t', '\r', '\n'])
                .unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(len.max(first.len_utf8()));
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn write(tokens: &[&str], layout: &Layout, escapes: Option<&Escapes>) -> String {
    let mut out = String::new();
    let mut depth = 0_usize;
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = layout.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    };
    let mut before = "";
    for token in tokens {
        let opened = matches!(before, "{" | "[");
        match *token {
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                if !opened {
                    line(&mut out, depth);
                }
                out.push_str(token);
            }
            mark => {
                if opened {
                    line(&mut out, depth);
                }
                match mark {
                    "{" | "[" => {
                        depth += 1;
                        out.push_str(mark);
                    }
                    "," => {
                        out.push(',');
                        out.push_str(layout.comma);
                        line(&mut out, depth);
                    }
                    ":" => {
                        out.push(':');
                        out.push_str(layout.colon);
                    }
                    text => out.push_str(
                        &escapes
                            .and_then(|e| rewrite_string(text, e))
                            .unwrap_or_else(|| text.to_owned()),
                    ),
                }
            }
        }
        before = token;
    }
    out
}

/// A string token with these escapes; `None` if the token is not a string or not valid UTF-16.
fn rewrite_string(token: &str, escapes: &Escapes) -> Option<String> {
    if !token.starts_with('"') {
        return None;
    }
    let text: String = serde_json::from_str(token).ok()?;
    let plain = serde_json::to_string(&text).ok()?;
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        let html = escapes.html && matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        if html || (escapes.ascii && !c.is_ascii()) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|u| out.push_str(&format!("\\u{u:04x}")));
        } else if escapes.slash && c == '/' {
            out.push_str("\\/");
        } else {
            out.push(c);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(body: &str) -> Vec<String> {
        forms(body.as_bytes()).into_iter().map(|(b, _)| String::from_utf8(b).unwrap()).collect()
    }

    #[test]
    fn forms_vary_white_space_and_escapes_and_keep_order_and_numbers() {
        let forms = all(r#"{"b": 1.50,"a":[],"é":[{}, "</x>"]}"#);
        for wanted in [
            r#"{"b":1.50,"a":[],"é":[{},"</x>"]}"#,
            r#"{"b": 1.50, "a": [], "\u00e9": [{}, "</x>"]}"#,
            r#"{"b":1.50,"a":[],"\u00e9":[{},"<\/x>"]}"#,
            r#"{"b":1.50,"a":[],"é":[{},"\u003c/x\u003e"]}"#,
            "{\n  \"b\": 1.50,\n  \"a\": [],\n  \"é\": [\n    {},\n    \"</x>\"\n  ]\n}",
        ] {
            assert!(forms.iter().any(|f| f == wanted), "{wanted} is not among {forms:#?}");
        }
    }

    #[test]
    fn every_form_parses_to_the_same_value() {
        let body =
            r#" {"a\"b\\": "\u00e9\ud83d\ude00\/é", "n": [1e5, -0.0, true, null, ""], "e": { } } "#;
        let value: Value = serde_json::from_str(body).unwrap();
        for form in all(body) {
            assert_eq!(serde_json::from_str::<Value>(&form).unwrap(), value, "{form}");
        }
    }

    #[test]
    fn sorted_keys_are_detected_at_every_level() {
        let sorted = |text: &str| keys_are_sorted(text.as_bytes());
        assert!(sorted(r#"{"a":{"b":":","c":2},"d":[{"e":1}],"f":3,"g":4}"#));
        assert!(!sorted(r#"{"a":{"c":1,"b":2},"d":[],"f":3,"g":4}"#));
        assert!(!sorted(r#"{"a":1,"b":2}"#));
        assert!(!sorted("[1,2]") && !sorted("a=b"));
    }

    #[test]
    fn a_body_that_is_not_json_has_no_forms() {
        for body in ["", "a=b", "{", "{} {}", "\u{feff}{}"] {
            assert!(all(body).is_empty(), "{body:?}");
        }
        assert!(forms(b"\xff").is_empty());
    }
}
