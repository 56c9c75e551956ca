//! Target `prove`: verification and identification of any request, with any provider, secret and
//! time.

use bytes::Bytes;
use hookward_core::keys::FixedKeys;
use hookward_core::store::batch_item;
use hookward_core::{Proof, Timestamp};

use super::http_file::parser;
use super::input::{lines, text};
use super::senders;

/// Lines: the provider, the secret (or, as JSON, the document that is fetched for keys), the time
/// in Unix seconds, then a request as in a `.http` file.
pub fn run(data: &[u8]) {
    let [name, secret, now, file] = lines(data);
    let (Some(sender), Some(secret)) = (senders::by_name_or_hash(name), text(secret)) else {
        return;
    };
    let Ok(captured) = parser::parse(file) else { return };
    let keys = FixedKeys(Bytes::copy_from_slice(secret.as_bytes()));
    let secret =
        if secret.is_empty() || secret.starts_with('{') { sender.secret.as_str() } else { secret };
    let now = text(now).and_then(|now| now.parse().ok()).map_or(senders::NOW, Timestamp::from_secs);
    match sender.prove_with(&captured.request, secret, now, &keys) {
        Err(error) => {
            let shown = format!("{} {error}", error.code());
            // A short secret may be part of an ordinary word.
            assert!(secret.len() < 16 || !shown.contains(secret), "{shown}");
        }
        Ok(Proof::Handshake(handshake)) => {
            let is_text = std::str::from_utf8(&handshake.reply.body).is_ok();
            assert!(is_text, "a handshake's answer is not text");
        }
        Ok(Proof::Genuine(delivery)) => {
            let identities = sender.provider.identify(&delivery).unwrap_or_default();
            for identity in &identities {
                assert_ne!(identity.event_type.as_deref(), Some(""));
                assert!(identity.event_id.as_ref().is_none_or(|id| !id.value.is_empty()));
                if let Some(part) = &identity.item_pointer {
                    assert!(
                        batch_item(delivery.body(), part).is_some(),
                        "the body has no item {part}"
                    );
                }
            }
            let again = sender.provider.identify(&delivery).unwrap_or_default();
            assert_eq!(identities, again, "two identifications of one delivery differ");
        }
    }
}
