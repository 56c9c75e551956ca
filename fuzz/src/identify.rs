//! Target `identify`: what a provider identifies in a verified request.

use hookward_core::keys::NoKeys;
use hookward_core::store::batch_item;
use hookward_core::{Proof, SecretSet, VerifyCx, prove};

use super::http_file::parser;
use super::input::lines;
use super::senders::{self, NOW, poll_once};

/// Lines: the provider, then a request as in a `.http` file.
pub fn run(data: &[u8]) {
    let [name, file] = lines(data);
    let Some(sender) = senders::by_name_or_hash(name) else { return };
    let Ok(captured) = parser::parse(file) else { return };
    // `none` verifies every request, so that any bytes reach `identify`.
    let Some(none) = senders::by_name_or_hash(b"none") else { return };
    let secrets = SecretSet::default();
    let cx = VerifyCx::new(NOW, secrets.active(NOW), &NoKeys);
    let proof = poll_once(prove(&*none.provider, captured.request, &cx));
    let Some(Ok(Proof::Genuine(delivery))) = proof else { return };
    let Ok(events) = sender.provider.identify(&delivery) else { return };
    assert!(!events.is_empty(), "{}: no event was identified", sender.name);
    assert!(
        events.len() == 1 || events.iter().all(|e| e.item_pointer.is_some()),
        "{}",
        sender.name
    );
    for event in &events {
        assert_ne!(event.event_type.as_deref(), Some(""), "{}", sender.name);
        assert!(event.event_id.as_ref().is_none_or(|id| !id.value.is_empty()), "{}", sender.name);
    }
    for part in events.iter().filter_map(|e| e.item_pointer.as_deref()).take(20) {
        assert!(
            batch_item(delivery.body(), part).is_some(),
            "{}: the body has no item {part}",
            sender.name
        );
    }
    assert_eq!(sender.provider.identify(&delivery).as_ref(), Ok(&events), "{}", sender.name);
}
