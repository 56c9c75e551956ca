//! Payment notifications: a batch in which each item carries a signature over eight of its fields.
//! Called by the provider for requests without the signature header.

use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext, Tag};
use hookward_core::{
    IdentifyError, Identity, ProviderEventId, Request, Secret, Verified, VerifyCx, VerifyError,
};
use serde_json::Value;

/// Where the items are, and what each is wrapped in.
const ITEMS: &str = "/notificationItems";
const ITEM: &str = "/NotificationRequestItem";
const SIGNATURE: &str = "/additionalData/hmacSignature";
/// Adyen sends one; more than this is no notification.
const MAX_ITEMS: usize = 1000;
/// The text that the merchant chooses.
const MERCHANT_REFERENCE: &str = "/merchantReference";
/// The signed fields, in their order.
const SIGNED: [&str; 8] = [
    "/pspReference",
    "/originalReference",
    "/merchantAccountCode",
    MERCHANT_REFERENCE,
    "/amount/value",
    "/amount/currency",
    "/eventCode",
    "/success",
];

/// Index of the secret that signed the items. Each has to be signed, by any secret.
pub(crate) fn verify(request: &Request, cx: &VerifyCx<'_>) -> Result<usize, VerifyError> {
    let missing = || {
        VerifyError::missing_signature(
            "the header HmacSignature, and notificationItems of the body with hmacSignature,",
        )
    };
    let body = request.body.json().map_err(|_| missing())?;
    let items = body.pointer(ITEMS).and_then(Value::as_array).ok_or_else(missing)?;
    if items.is_empty() {
        return Err(missing());
    }
    if items.len() > MAX_ITEMS {
        return Err(VerifyError::invalid_format(format!("over {MAX_ITEMS} items")));
    }
    // Items are signed one by one, so whoever captured one could put it twice into a delivery.
    let mut ids: Vec<Option<String>> =
        items.iter().filter_map(|item| Some(id_of(item.pointer(ITEM)?))).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(VerifyError::invalid_format("an item stands there twice"));
    }
    let mut first = None;
    for item in items {
        let item = item.pointer(ITEM).ok_or_else(missing)?;
        let given = item.pointer(SIGNATURE).and_then(Value::as_str).ok_or_else(missing)?;
        let tag = Tag::decode(given, Encoding::Base64, 32..=32).ok_or_else(|| {
            VerifyError::invalid_format("an hmacSignature is not base64 of 32 bytes")
        })?;
        let message = message(item)?;
        let tags = [tag];
        let mut found = None;
        for (index, secret) in cx.secrets.iter() {
            let matches = mac(secret, &message).is_some_and(|mac| mac.matches_any(&tags));
            if matches && found.is_none() {
                found = Some(index);
            }
        }
        let index = found.ok_or(VerifyError::InvalidSignature)?;
        first.get_or_insert(index);
    }
    first.ok_or_else(missing)
}

fn mac(secret: &Secret, message: &str) -> Option<HmacContext> {
    let key = Encoding::Hex.decode(secret.expose())?;
    let mut mac = HmacContext::new(HmacAlgorithm::Sha256, &key)?;
    mac.update(message.as_bytes());
    Some(mac)
}

/// The signed fields with colons between them; one that is absent is empty. Only the merchant's own
/// reference may hold a colon: with two such fields one signature would fit several items.
fn message(item: &Value) -> Result<String, VerifyError> {
    let text = |pointer: &&str| {
        let value = item.pointer(pointer).unwrap_or(&Value::Null);
        let text = scalar(value).ok_or_else(|| {
            VerifyError::invalid_format(format!("{pointer} of an item is no text or number"))
        })?;
        match text.contains(':') && *pointer != MERCHANT_REFERENCE {
            true => Err(VerifyError::invalid_format(format!("{pointer} of an item holds a colon"))),
            false => Ok(text),
        }
    };
    let message = SIGNED.iter().map(text).collect::<Result<Vec<_>, _>>()?.join(":");
    // The header signs whole bodies with the same key, and those are objects.
    match is_object(message.as_bytes()) {
        true => Err(VerifyError::invalid_format("pspReference of an item is no reference")),
        false => Ok(message),
    }
}

/// Whether bytes begin as an object of JSON does: what the header signs, and no item's text.
pub(crate) fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// A field as it is signed.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// The proven items: the type is the event code, the id is what Adyen tells repetitions by, with the
/// outcome, which a later notification of the same payment may correct.
pub(crate) fn identify(delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
    let wrong = |reason: &str| IdentifyError { reason: reason.to_owned() };
    let body = delivery.json().map_err(|e| wrong(&e.to_string()))?;
    let items = body.pointer(ITEMS).and_then(Value::as_array);
    let items = items.ok_or_else(|| wrong("there are no notificationItems"))?;
    let one = |(n, item): (usize, &Value)| {
        let item = item.pointer(ITEM).unwrap_or(&Value::Null);
        let event_id = id_of(item).map(|value| ProviderEventId { value, signed: true });
        let event_type = text_of(item, "/eventCode");
        Identity { event_id, event_type, part: Some(format!("{ITEMS}/{n}{ITEM}")) }
    };
    Ok(items.iter().enumerate().map(one).collect())
}

fn id_of(item: &Value) -> Option<String> {
    let success = text_of(item, "/success").unwrap_or_default();
    Some(format!("{}:{}:{success}", text_of(item, "/pspReference")?, text_of(item, "/eventCode")?))
}

fn text_of(item: &Value, pointer: &str) -> Option<String> {
    // However a field is written, it is the text that is signed.
    item.pointer(pointer).and_then(scalar).filter(|text| !text.is_empty())
}

/// Whether a body is of this kind.
pub(crate) fn are_in(body: &Value) -> bool {
    body.pointer(ITEMS).is_some()
}

/// Signs each item of a body; `None` where it is not one that can be signed.
pub(crate) fn signed(body: &Value, secret: &Secret) -> Option<Value> {
    let mut body = body.clone();
    for item in body.pointer_mut(ITEMS)?.as_array_mut()? {
        let item = item.pointer_mut(ITEM)?;
        let tag = Encoding::Base64.encode(&mac(secret, &message(item).ok()?)?.finish());
        let members = item.as_object_mut()?;
        let data =
            members.entry("additionalData").or_insert_with(|| Value::Object(Default::default()));
        data.as_object_mut()?.insert("hmacSignature".to_owned(), Value::String(tag));
    }
    Some(body)
}
