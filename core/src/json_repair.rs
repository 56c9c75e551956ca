//! Rewrites JSON that `serde_json` cannot read and others can into a text of the same length that it
//! reads, so that positions and the order of numbers stay. Called by the parser after an error.

/// Stands for a number beyond an `f64`. Every such number has at least as many characters.
const LARGE_NUMBER: &[u8] = b"9e307";
/// U+FFFD, by which encoders replace half of a surrogate pair.
const REPLACEMENT_ESCAPE: &[u8] = b"fffd";
/// What Python writes for numbers that JSON does not have, in the order in which they are tried.
const NON_JSON_NUMBERS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

/// JSON by its grammar (RFC 8259) that `serde_json` does not read, rewritten: half of a surrogate
/// pair becomes U+FFFD, and a number beyond an `f64` a large one. `None` where there is neither.
pub(crate) fn repair(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = None;
    let mut at = 0;
    while let Some(start) = next_token(text, at) {
        at = start
            + match text.get(start) {
                Some(b'"') => repair_string(text, start, &mut out),
                Some(b'-' | b'0'..=b'9') => repair_number(text, start, &mut out),
                _ => 1,
            };
    }
    out
}

/// A JSON text in which half of a surrogate pair is U+FFFD; `None` where it has no such half.
pub(crate) fn replace_half_surrogates(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = None;
    let mut at = 0;
    while let Some(n) = text.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'"')) {
        at += n;
        at += repair_string(text, at, &mut out);
    }
    out
}

/// `NaN`, `Infinity` and `-Infinity`, which Python writes, rewritten to an empty text. `None` where
/// it holds none of them.
pub(crate) fn replace_non_json_numbers(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = None;
    let mut at = 0;
    while let Some(start) = next_token(text, at) {
        let Some(token) = text.get(start..) else { break };
        at = start
            + match (token.first(), non_json_number(token)) {
                (Some(b'"'), _) => string_length(token).unwrap_or(token.len()),
                (_, Some(length)) => {
                    replace(text, &mut out, start, b"\"\"", length);
                    length
                }
                _ => 1,
            };
    }
    out
}

/// The length of the string literal that the text starts with, its quotes included.
pub(crate) fn string_length(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text.get(at..)?.iter().position(|b| matches!(b, b'"' | b'\\'))?;
        if text.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The length of the number that the text starts with.
pub(crate) fn number_length(text: &[u8]) -> usize {
    let is_end = |b: &u8| !matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    text.iter().position(is_end).unwrap_or(text.len())
}

fn next_token(text: &[u8], from: usize) -> Option<usize> {
    let is_start = |b: &u8| matches!(b, b'"' | b'-' | b'0'..=b'9' | b'N' | b'I');
    text.get(from..)?.iter().position(is_start).map(|n| from + n)
}

fn non_json_number(token: &[u8]) -> Option<usize> {
    NON_JSON_NUMBERS.iter().find(|word| token.starts_with(word)).map(|word| word.len())
}

/// Replaces `length` bytes at `at`; spaces fill what `with` does not.
fn replace(text: &[u8], out: &mut Option<Vec<u8>>, at: usize, with: &[u8], length: usize) {
    let out = out.get_or_insert_with(|| text.to_vec());
    if let Some(target) = out.get_mut(at..at + length) {
        let filled = with.iter().copied().chain(std::iter::repeat(b' '));
        target.iter_mut().zip(filled).for_each(|(to, from)| *to = from);
    }
}

/// Replaces a number that is infinite as an `f64`; returns its length.
fn repair_number(text: &[u8], start: usize, out: &mut Option<Vec<u8>>) -> usize {
    let token = text.get(start..).unwrap_or_default();
    let length = number_length(token);
    let number = token.get(..length).and_then(|token| std::str::from_utf8(token).ok());
    let is_infinite = number.and_then(|n| n.parse::<f64>().ok()).is_some_and(f64::is_infinite);
    if is_infinite && number.is_some_and(is_json_number) {
        let sign = usize::from(token.first() == Some(&b'-'));
        replace(text, out, start + sign, LARGE_NUMBER, length - sign);
    }
    length
}

/// Whether a text that [`str::parse`] reads as an `f64` is a number in JSON, too.
fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let starts_well = whole == "0" || !whole.starts_with(['0', '+']);
    starts_well && !whole.is_empty() && !fraction.is_empty()
}

/// Replaces the halves of surrogate pairs in a string literal; returns its length.
fn repair_string(text: &[u8], start: usize, out: &mut Option<Vec<u8>>) -> usize {
    let token = text.get(start..).unwrap_or_default();
    let length = string_length(token).unwrap_or(token.len());
    let literal = token.get(..length).unwrap_or_default();
    let mut at = 0;
    while let Some(n) = literal.get(at..).and_then(|l| l.iter().position(|b| *b == b'\\')) {
        at += n;
        at += match escaped_unit(literal, at) {
            Some(0xD800..=0xDBFF) => {
                if matches!(escaped_unit(literal, at + 6), Some(0xDC00..=0xDFFF)) {
                    12
                } else {
                    replace(text, out, start + at + 2, REPLACEMENT_ESCAPE, 4);
                    6
                }
            }
            Some(0xDC00..=0xDFFF) => {
                replace(text, out, start + at + 2, REPLACEMENT_ESCAPE, 4);
                6
            }
            Some(_) => 6,
            None => 2,
        };
    }
    length
}

/// The UTF-16 unit of an escape `\uXXXX` at this place.
fn escaped_unit(literal: &[u8], at: usize) -> Option<u16> {
    let digits = literal.get(at..at + 6)?.strip_prefix(br"\u")?;
    digits.iter().try_fold(0, |unit: u16, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit * 16 + u16::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rewrite = fn(&[u8]) -> Option<Vec<u8>>;

    fn rewritten(text: &str, rewrite: Rewrite) -> String {
        let out = rewrite(text.as_bytes()).unwrap_or_else(|| text.as_bytes().to_vec());
        assert_eq!(out.len(), text.len());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn halves_of_surrogate_pairs_become_the_replacement_character() {
        for (text, expected) in [
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""\udc00\uD83D\ude00""#, r#""\ufffd\uD83D\ude00""#),
            (r#""\ud800\u0041\ud800\n""#, r#""\ufffd\u0041\ufffd\n""#),
            (r#""\\ud800\"\ud800""#, r#""\\ud800\"\ufffd""#),
            (r#""\ud800\ud800\udc00""#, r#""\ufffd\ud800\udc00""#),
            (r#""\ud8"#, r#""\ud8"#),
        ] {
            assert_eq!(rewritten(text, repair), expected);
        }
    }

    #[test]
    fn only_numbers_beyond_an_f64_are_replaced() {
        for (text, expected) in [
            ("[1e309,-1E+999, 1e308]", "[9e307,-9e307 , 1e308]"),
            (r#"{"1e400":1e-400}"#, r#"{"1e400":1e-400}"#),
            ("[01e400,1.e400,-.1e400,NaN]", "[01e400,1.e400,-.1e400,NaN]"),
        ] {
            assert_eq!(rewritten(text, repair), expected);
        }
        let words = r#"{"NaN":NaN,"b":[Infinity,-Infinity]}"#;
        let expected = r#"{"NaN":"" ,"b":[""      ,""       ]}"#;
        assert_eq!(rewritten(words, replace_non_json_numbers), expected);
        assert_eq!(replace_non_json_numbers(br#"{"NaN":-1,"a\"NaN":[1]}"#), None);
    }
}
