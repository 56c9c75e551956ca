//! JSON pointers, as texts: the names of places in a configuration.

use serde_json::Value;

/// The pointer of a member.
pub(super) fn join(parent: &str, token: &str) -> String {
    format!("{parent}/{}", token.replace('~', "~0").replace('/', "~1"))
}

/// The pointer of an item.
pub(super) fn item(parent: &str, index: usize) -> String {
    format!("{parent}/{index}")
}

/// Its tokens, unescaped.
pub(super) fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|t| t.replace("~1", "/").replace("~0", "~")).collect()
}

/// The pointer without its last token, and that token unescaped; `None` for the whole.
pub(super) fn split(pointer: &str) -> Option<(&str, String)> {
    let (parent, last) = pointer.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

/// Whether `pointer` is `ancestor` or a place within it.
pub(super) fn within(pointer: &str, ancestor: &str) -> bool {
    pointer.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Takes a place out: a member disappears, an item becomes null, so that its fellows keep theirs.
pub(super) fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, last)) = split(pointer) else { return };
    match value.pointer_mut(parent) {
        Some(Value::Object(map)) => drop(map.remove(&last)),
        Some(Value::Array(list)) => {
            if let Some(item) = last.parse::<usize>().ok().and_then(|n| list.get_mut(n)) {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}
