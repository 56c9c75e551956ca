//! One item of a batch as bytes: the body that handlers of a batched event receive. Called by
//! stores, which keep the body of a batch once, and by the engine, which routes its items.

use serde::de::{Deserialize, IgnoredAny};

use crate::body::Body;
use crate::json::{parse_strict, without_byte_order_mark};
use crate::json_repair::string_length;

/// The item of a JSON body at a JSON pointer, byte for byte; `None` where the body is not strict
/// JSON or has no such item. Nothing is serialised again, so numbers and the order of members
/// survive.
///
/// ```
/// use hookward_core::Body;
/// use hookward_core::store::batch_item;
///
/// let batch = Body::new(r#"{"events":[{"id":1.0},{"id":2.0}]}"#);
/// let item = batch_item(&batch, "/events/1").unwrap();
/// assert_eq!(&item.bytes()[..], br#"{"id":2.0}"#);
/// ```
pub fn batch_item(body: &Body, pointer: &str) -> Option<Body> {
    // Whether a duplicate key is accepted was decided when the delivery was routed.
    body.json_for_proof().ok()?.value().pointer(pointer)?;
    let content = body.content().ok()?;
    let mut at = without_byte_order_mark(content).trim_ascii_start();
    for token in pointer.split('/').skip(1) {
        at = enter(at, &token.replace("~1", "/").replace("~0", "~"))?;
    }
    let item = at.get(..read::<IgnoredAny>(at)?.1)?;
    let item = Body::received(content.slice_ref(item), None, None);
    Some(item.with_json_options(&body.json_options()))
}

/// The rest of `value`, an object or array, from the start of its member `token`.
fn enter<'a>(value: &'a [u8], token: &str) -> Option<&'a [u8]> {
    let value = value.trim_ascii_start();
    let array = value.first() == Some(&b'[');
    let mut at = value.get(1..)?.trim_ascii_start();
    let mut index = 0_usize;
    // Of several members with one key the last counts.
    let mut found = None;
    loop {
        if array && token.parse() == Ok(index) {
            return Some(at);
        }
        if !array {
            let length = string_length(at)?;
            let key = parse_strict(at.get(..length)?).ok()?;
            at = at.get(length..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
            if key == token {
                found = Some(at);
            }
        }
        let Some(length) = read::<IgnoredAny>(at).map(|read| read.1) else { return found };
        let rest = at.get(length..).unwrap_or_default().trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b",") else { return found };
        at = rest.trim_ascii_start();
        index += 1;
    }
}

/// Parses one value at the start of `at`; returns it with its length in bytes.
fn read<'a, T: Deserialize<'a>>(at: &'a [u8]) -> Option<(T, usize)> {
    let mut values = serde_json::Deserializer::from_slice(at).into_iter::<T>();
    let value = values.next()?.ok()?;
    Some((value, values.byte_offset()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(body: &'static str, pointer: &str) -> Option<String> {
        let part = batch_item(&Body::new(body), pointer)?;
        Some(String::from_utf8(part.bytes().to_vec()).unwrap())
    }

    #[test]
    fn an_item_comes_out_byte_for_byte() {
        let body =
            r#" { "a/b" : [ {"z":1.10, "a":2} , [3] ,12345678901234567890123 ], "c~":"x" } "#;
        assert_eq!(part(body, "/a~1b/0").unwrap(), r#"{"z":1.10, "a":2}"#);
        assert_eq!(part(body, "/a~1b/1").unwrap(), "[3]");
        assert_eq!(part(body, "/a~1b/2").unwrap(), "12345678901234567890123");
        assert_eq!(part(body, "/c~0").unwrap(), r#""x""#);
        assert_eq!(part(body, "").unwrap(), body.trim());
    }

    #[test]
    fn an_item_is_found_in_bodies_that_tolerant_parsers_read() {
        assert_eq!(part("\u{feff}{\"a\":[1]}", "/a/0").unwrap(), "1");
        assert_eq!(part(r#"{"a":[1],"b":2,"a":[3]}"#, "/a/0").unwrap(), "3");
        assert_eq!(part(r#"{"\ud800":1e400,"a":["\udc00"]}"#, "/a/0").unwrap(), r#""\udc00""#);
    }

    #[test]
    fn what_is_not_there_is_none() {
        assert_eq!(part("[1,2]", "/2"), None);
        assert_eq!(part("{}", "/a"), None);
        assert_eq!(part("nonsense", "/a"), None);
        assert_eq!(part("7", "/a"), None);
    }
}
