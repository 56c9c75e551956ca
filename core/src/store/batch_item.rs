//! One item of a batch as bytes: the body that handlers of a batched event receive. Called by
//! stores, which keep the body of a batch once, and by the engine, which routes its items.

use serde::de::{Deserialize, IgnoredAny};

use crate::body::Body;

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
    body.json().ok()?.pointer(pointer)?;
    let mut at = body.bytes().trim_ascii_start();
    for token in pointer.split('/').skip(1) {
        at = enter(at, &token.replace("~1", "/").replace("~0", "~"))?;
    }
    let item = at.get(..read::<IgnoredAny>(at)?.1)?;
    Some(Body::new(body.bytes().slice_ref(item)))
}

/// The rest of `value`, an object or array, from the start of its member `token`.
fn enter<'a>(value: &'a [u8], token: &str) -> Option<&'a [u8]> {
    let value = value.trim_ascii_start();
    let array = value.first() == Some(&b'[');
    let mut at = value.get(1..)?.trim_ascii_start();
    let mut index = 0_usize;
    loop {
        let here = if array {
            token.parse() == Ok(index)
        } else {
            let (key, length) = read::<String>(at)?;
            at = at.get(length..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
            key == token
        };
        if here {
            return Some(at);
        }
        at = at.get(read::<IgnoredAny>(at)?.1..)?.trim_ascii_start().strip_prefix(b",")?;
        at = at.trim_ascii_start();
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
    fn what_is_not_there_is_none() {
        assert_eq!(part("[1,2]", "/2"), None);
        assert_eq!(part("{}", "/a"), None);
        assert_eq!(part("nonsense", "/a"), None);
        assert_eq!(part("7", "/a"), None);
    }
}
