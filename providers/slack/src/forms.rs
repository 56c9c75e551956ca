//! Identifies slash commands and interactivity, whose bodies are signed forms. The provider calls
//! this module for verified deliveries that are not JSON.

use hookward_core::scheme::form_value;
use hookward_core::{Identity, ProviderEventId, parse_strict};
use serde_json::Value;

/// Returns type and id of a form. The whole body is signed, so both are signed.
pub(crate) fn identify(body: &[u8]) -> Identity {
    let field = |name| form_value(body, name).ok().flatten().filter(|text| !text.is_empty());
    let payload = field("payload").and_then(|text| parse_strict(text.as_bytes()).ok());
    let (event_type, id) = match (payload, field("command")) {
        (Some(payload), _) => (text(&payload, "type"), text(&payload, "trigger_id")),
        (None, Some(command)) => {
            (Some(format!("command.{}", command.trim_start_matches('/'))), field("trigger_id"))
        }
        (None, None) => (None, None),
    };
    Identity::new()
        .with_event_type(event_type.unwrap_or_else(|| "event".to_owned()))
        .with_event_id(id.map(ProviderEventId::signed))
}

fn text(value: &Value, key: &str) -> Option<String> {
    let text = value.get(key)?.as_str()?;
    Some(text.to_owned()).filter(|text| !text.is_empty())
}
