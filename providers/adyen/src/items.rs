//! Verifies and identifies payment notifications: batches in which each item carries a signature
//! over eight of its fields. The provider calls this module for requests without the signature
//! header.

use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext, Tag};
use hookward_core::{
    IdentifyError, Identity, ProviderEventId, Request, Secret, Verified, VerifyCx, VerifyError,
};
use serde_json::Value;

/// JSON pointers to the array of items, to the wrapped item within an element of the array, and to
/// the signature within the item.
const ITEMS_POINTER: &str = "/notificationItems";
const ITEM_POINTER: &str = "/NotificationRequestItem";
const SIGNATURE_POINTER: &str = "/additionalData/hmacSignature";
/// Adyen sends one item in a notification; larger batches are rejected.
const MAX_ITEMS: usize = 1000;
/// The merchant chooses this text, so it may contain the separator of the signed fields.
const MERCHANT_REFERENCE: &str = "/merchantReference";
/// The signed fields, in the order in which Adyen joins them.
const SIGNED_FIELDS: [&str; 8] = [
    "/pspReference",
    "/originalReference",
    "/merchantAccountCode",
    MERCHANT_REFERENCE,
    "/amount/value",
    "/amount/currency",
    "/eventCode",
    "/success",
];

/// Verifies the signature of every item and returns the index of the secret that signed the first
/// one. Items may be signed with different secrets.
pub(crate) fn verify(request: &Request, cx: &VerifyCx<'_>) -> Result<usize, VerifyError> {
    let missing = || {
        VerifyError::missing_signature(
            "the header HmacSignature, and notificationItems of the body with hmacSignature,",
        )
    };
    let body = request.body.json_for_proof().map_err(VerifyError::unreadable_proof)?;
    let items = body.value().pointer(ITEMS_POINTER).and_then(Value::as_array);
    let items = items.ok_or_else(missing)?;
    if items.is_empty() {
        return Err(missing());
    }
    if items.len() > MAX_ITEMS {
        return Err(VerifyError::invalid_format(format!(
            "the batch has {} items; at most {MAX_ITEMS} are allowed",
            items.len()
        )));
    }
    // Each item has its own signature, so whoever captured one could repeat it within a delivery.
    let mut ids: Vec<Option<String>> =
        items.iter().filter_map(|item| Some(item_id(item.pointer(ITEM_POINTER)?))).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(VerifyError::invalid_format("the batch contains an item twice"));
    }
    let mut first = None;
    for item in items {
        let item = item.pointer(ITEM_POINTER).ok_or_else(missing)?;
        let given = item.pointer(SIGNATURE_POINTER).and_then(Value::as_str).ok_or_else(missing)?;
        let tag = Tag::decode(given, Encoding::Base64, 32..=32).ok_or_else(|| {
            VerifyError::invalid_format("an hmacSignature is not base64 of 32 bytes")
        })?;
        let message = signed_message(item)?;
        let tags = [tag];
        let mut found = None;
        for (index, secret) in cx.secrets.iter() {
            let matches = item_mac(secret, &message).is_some_and(|mac| mac.matches_any(&tags));
            if matches && found.is_none() {
                found = Some(index);
            }
        }
        let index = found.ok_or(VerifyError::InvalidSignature)?;
        first.get_or_insert(index);
    }
    first.ok_or_else(missing)
}

fn item_mac(secret: &Secret, message: &str) -> Option<HmacContext> {
    let key = Encoding::Hex.decode(secret.expose())?;
    let mut mac = HmacContext::new(HmacAlgorithm::Sha256, &key)?;
    mac.update(message.as_bytes());
    Some(mac)
}

/// Joins the signed fields with colons; an absent field is empty. Only the merchant's reference may
/// contain a colon: with two such fields one signature would match several items.
fn signed_message(item: &Value) -> Result<String, VerifyError> {
    let text = |pointer: &&str| {
        let value = item.pointer(pointer).unwrap_or(&Value::Null);
        let text = scalar(value).ok_or_else(|| {
            VerifyError::invalid_format(format!(
                "{pointer} of an item is not a string, a number or a boolean"
            ))
        })?;
        match text.contains(':') && *pointer != MERCHANT_REFERENCE {
            true => {
                Err(VerifyError::invalid_format(format!("{pointer} of an item contains a colon")))
            }
            false => Ok(text),
        }
    };
    let message = SIGNED_FIELDS.iter().map(text).collect::<Result<Vec<_>, _>>()?.join(":");
    // The header signs whole bodies with the same key, and those are JSON objects. A signed item
    // must not pass as a signed body.
    match is_object(message.as_bytes()) {
        true => Err(VerifyError::invalid_format("pspReference of an item is not a reference")),
        false => Ok(message),
    }
}

/// Returns whether bytes begin like a JSON object. The header signs only such bytes; the signed
/// text of an item never begins so.
pub(crate) fn is_object(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    text.trim_ascii_start().first() == Some(&b'{')
}

/// Returns a field as Adyen signs it; `None` for an array, an object or a number with a fraction.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        // A number over 64 bits is rounded: its last digits could be changed, and Adyen sends none.
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Identifies the items of a verified delivery. The type is the event code. The id is the pair by
/// which Adyen documents duplicates, with the outcome added, because a later notification may
/// correct the outcome of the same payment.
pub(crate) fn identify(delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
    let error = |reason: &str| IdentifyError::new(reason);
    let body = delivery.json().map_err(|e| error(&e.to_string()))?;
    let items = body.pointer(ITEMS_POINTER).and_then(Value::as_array);
    let items = items.ok_or_else(|| error("the body has no array notificationItems"))?;
    let one = |(n, item): (usize, &Value)| {
        let item = item.pointer(ITEM_POINTER).unwrap_or(&Value::Null);
        let event_id = item_id(item).map(ProviderEventId::signed);
        let event_type = item_text(item, "/eventCode");
        Identity::new()
            .with_event_id(event_id)
            .with_event_type(event_type)
            .with_item_pointer(format!("{ITEMS_POINTER}/{n}{ITEM_POINTER}"))
    };
    Ok(items.iter().enumerate().map(one).collect())
}

/// The ids of the items of a delivery that is proven and cannot be identified, because its JSON is
/// read in two ways. The signatures leave the rest of the body open, so that one captured request
/// could be stored in any number of such bodies.
pub(crate) fn replay_token(delivery: &Verified) -> Option<String> {
    if delivery.json().is_ok() {
        return None;
    }
    let body = delivery.body().json_for_proof().ok()?;
    let items = body.value().pointer(ITEMS_POINTER)?.as_array()?;
    let ids = items.iter().map(|item| item_id(item.pointer(ITEM_POINTER)?));
    Some(ids.map(Option::unwrap_or_default).collect::<Vec<_>>().join("\n"))
}

fn item_id(item: &Value) -> Option<String> {
    let success = item_text(item, "/success").unwrap_or_default();
    Some(format!(
        "{}:{}:{success}",
        item_text(item, "/pspReference")?,
        item_text(item, "/eventCode")?
    ))
}

fn item_text(item: &Value, pointer: &str) -> Option<String> {
    // Adyen signs the text of a field, whether the JSON has it as a string, a number or a boolean.
    item.pointer(pointer).and_then(scalar).filter(|text| !text.is_empty())
}

/// Returns whether a body has notification items.
pub(crate) fn has_items(body: &Value) -> bool {
    body.pointer(ITEMS_POINTER).is_some()
}

/// Signs each item of a body; `None` if the body or the secret cannot be used.
pub(crate) fn sign_items(body: &Value, secret: &Secret) -> Option<Value> {
    let mut body = body.clone();
    for item in body.pointer_mut(ITEMS_POINTER)?.as_array_mut()? {
        let item = item.pointer_mut(ITEM_POINTER)?;
        let tag = Encoding::Base64.encode(&item_mac(secret, &signed_message(item).ok()?)?.finish());
        let members = item.as_object_mut()?;
        let data =
            members.entry("additionalData").or_insert_with(|| Value::Object(Default::default()));
        data.as_object_mut()?.insert("hmacSignature".to_owned(), Value::String(tag));
    }
    Some(body)
}
