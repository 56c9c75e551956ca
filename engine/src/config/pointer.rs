//! JSON pointers as texts: the names of places in a configuration.

use serde_json::Value;

/// Returns the pointer of a member of the mapping at `parent`.
pub(super) fn join(parent: &str, key: &str) -> String {
    format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Returns the pointer of an item of the list at `parent`.
pub(super) fn item(parent: &str, index: usize) -> String {
    format!("{parent}/{index}")
}

/// Returns the tokens of a pointer, unescaped.
pub(super) fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|t| t.replace("~1", "/").replace("~0", "~")).collect()
}

/// Splits a pointer into its parent and its last token, unescaped; `None` for the whole document.
pub(super) fn split(pointer: &str) -> Option<(&str, String)> {
    let (parent, last) = pointer.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

/// Whether `pointer` is `ancestor` or a place inside it.
pub(super) fn is_within(pointer: &str, ancestor: &str) -> bool {
    pointer.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Removes a place. A list item becomes null instead, so that the pointers of later items stay
/// valid.
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
