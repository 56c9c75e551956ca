//! The whole proof: a provider, a secret, a moment and any request, as far as its events' names.

use bytes::Bytes;
use hookward_core::keys::FixedKeys;
use hookward_core::store::batch_item;
use hookward_core::{Proof, Timestamp};

use super::http_file::parser;
use super::input::{lines, text};
use super::senders;

/// Lines: the provider, the secret (or what is fetched where keys are, as JSON), the moment in Unix
/// seconds, then a request as in a `.http` file.
pub fn run(data: &[u8]) {
    let [name, secret, now, file] = lines(data);
    let (Some(sender), Some(secret)) = (senders::named(name), text(secret)) else { return };
    let Ok(captured) = parser::parse(file) else { return };
    let keys = FixedKeys(Bytes::copy_from_slice(secret.as_bytes()));
    let secret =
        if secret.is_empty() || secret.starts_with('{') { sender.secret.as_str() } else { secret };
    let now = text(now).and_then(|now| now.parse().ok()).map_or(senders::NOW, Timestamp::from_secs);
    match sender.prove_with(&captured.request, secret, now, &keys) {
        Err(error) => {
            let told = format!("{} {error}", error.code());
            // Short ones stand in ordinary words.
            assert!(secret.len() < 16 || !told.contains(secret), "{told}");
        }
        Ok(Proof::Handshake(handshake)) => {
            let json = std::str::from_utf8(&handshake.reply.body).is_ok();
            assert!(json, "an answer that is no text");
        }
        Ok(Proof::Genuine(delivery)) => {
            let identities = sender.provider.identify(&delivery).unwrap_or_default();
            for identity in &identities {
                assert_ne!(identity.event_type.as_deref(), Some(""));
                assert!(identity.event_id.as_ref().is_none_or(|id| !id.value.is_empty()));
                if let Some(part) = &identity.part {
                    assert!(batch_item(delivery.body(), part).is_some(), "there is no {part}");
                }
            }
            let again = sender.provider.identify(&delivery).unwrap_or_default();
            assert_eq!(identities, again, "it is named in two ways");
        }
    }
}
