//! The URL as version 3 signs it: with some escapes decoded. Verification calls this module.

/// Characters whose escapes are decoded, by HubSpot's page "Validating requests".
const DECODED_CHARS: &str = ":/?@!$'()*,;";
/// Characters that other copies of that page list.
const ALTERNATIVE_DECODED_CHARS: &str = ":/@&=+$`\",;><?";

/// Returns the targets that HubSpot may have signed, the documented one first.
pub(crate) fn signed_targets(target: &str) -> Vec<String> {
    let mut all = vec![decode_escapes(target, DECODED_CHARS)];
    for other in [target.to_owned(), decode_escapes(target, ALTERNATIVE_DECODED_CHARS)] {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all
}

/// Decodes the escapes of the listed characters, once; all others stay unchanged.
fn decode_escapes(text: &str, listed: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let digits = after.get(..2);
        let byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok()).map(char::from);
        match byte.filter(|c| listed.contains(*c) && digits.is_some_and(|d| !d.starts_with('+'))) {
            Some(plain) => {
                out.push(plain);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_escapes_are_decoded_and_only_once() {
        for (escaped, plain) in [
            ("/a%3Ab?c=%2F%3f%40", "/a:b?c=/?@"),
            ("/%21%24%27%28%29%2A%2C%3B", "/!$'()*,;"),
            ("/%20%26%3D%7E", "/%20%26%3D%7E"),
            ("/%253A", "/%253A"),
            ("/%3", "/%3"),
            ("/100%+3A%", "/100%+3A%"),
        ] {
            assert_eq!(signed_targets(escaped).first().map(String::as_str), Some(plain));
        }
    }

    #[test]
    fn a_target_without_escapes_is_tried_once() {
        assert_eq!(signed_targets("/in/1?x=1"), ["/in/1?x=1"]);
        assert_eq!(signed_targets("/%3A%26"), ["/:%26", "/%3A%26", "/:&"]);
    }
}
