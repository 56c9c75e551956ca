//! Rewrites the shorthands of routes.yaml to the long form, so that each type has one form to
//! decode. Messages about a place of the long form point at the shorthand.

use serde_json::{Value, json};

/// Rewrites `events: x` and `allow_ips: x` to a list, an item `log` of a chain to `{ handler: log }`, the text of a
/// secret to `{ value: … }`, and `dedupe: id` to `dedupe: { by: id }`.
pub(super) fn rewrite(value: &mut Value) {
    let sources = value.get_mut("sources").and_then(Value::as_object_mut);
    for source in sources.into_iter().flat_map(|map| map.values_mut()) {
        if let Some(secrets) = source.get_mut("secrets").and_then(Value::as_array_mut) {
            secrets.iter_mut().for_each(|secret| wrap_text(secret, "value"));
        }
        if let Some(dedupe) = source.get_mut("dedupe") {
            wrap_text(dedupe, "by");
        }
        if let Some(allowed) = source.pointer_mut("/limits/allow_ips") {
            wrap_in_list(allowed);
        }
    }
    let routes = value.get_mut("routes").and_then(Value::as_array_mut);
    for route in routes.into_iter().flatten() {
        if let Some(events) = route.get_mut("events") {
            wrap_in_list(events);
        }
        if let Some(chain) = route.get_mut("chain").and_then(Value::as_array_mut) {
            chain.iter_mut().for_each(|step| wrap_text(step, "handler"));
        }
    }
}

fn wrap_in_list(value: &mut Value) {
    if value.is_string() {
        *value = Value::Array(vec![value.take()]);
    }
}

fn wrap_text(value: &mut Value, key: &str) {
    if value.is_string() {
        *value = json!({ key: value.take() });
    }
}
