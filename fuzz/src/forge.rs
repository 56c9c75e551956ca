//! Target `forge`: a request is signed as its sender signs, and then changed. A changed request
//! that still verifies must mean the same: the same signed bytes, tag, headers and id, within the
//! time window.

use hookward_core::{Body, EventDraft, Identity, Proof, Request, Secret, Timestamp};
use http::{HeaderName, HeaderValue, Method};

use super::input::{lines, text};
use super::senders::{self, NOW, PUBLIC_URL, Sender};

/// A signed request after the changes of the script.
struct Forged {
    request: Request,
    secret: String,
    now: Timestamp,
}

/// Lines: the provider, the type, the id, the script, then the body. Three bytes of the script are
/// one change: its kind, its place, and its value.
pub fn run(data: &[u8]) {
    let [name, event_type, event_id, script, body] = lines(data);
    let Some(sender) = senders::by_name_or_hash(name) else { return };
    let Some(signer) = sender.provider.signer() else { return };
    let (Some(event_type), Some(event_id)) = (text(event_type), text(event_id)) else { return };
    let draft = EventDraft::new(
        event_type.to_owned(),
        event_id.to_owned(),
        Body::new(body.to_vec()),
        format!("{PUBLIC_URL}/webhooks/fuzz"),
        NOW,
    );
    let Ok(signed) = signer.sign(&draft, &Secret::new(sender.secret.as_str())) else { return };
    let first = match sender.prove_at(&signed, &sender.secret, NOW) {
        Ok(Proof::Genuine(delivery)) => sender.provider.identify(&delivery).unwrap_or_default(),
        Ok(Proof::Handshake(_)) => return,
        // A signed id must not be empty, and a header's value must not be only spaces.
        Err(_) if event_id.trim().is_empty() || event_type.trim().is_empty() => return,
        // The scheme reads the time from the body, and this body has none.
        Err(_)
            if sender
                .scheme_text("/timestamp/from")
                .is_some_and(|from| !from.contains("header:") && !from.contains("sig:")) =>
        {
            return;
        }
        // A header changes such an id, so it is no longer the signed one.
        Err(_) if event_id.trim() != event_id || !event_id.is_ascii() => return,
        // Without a scheme the target does not know what a body must contain.
        Err(error) if event_type.is_ascii() && sender.scheme.is_some() => {
            panic!("{}: rejects the request that it signed: {error}", sender.name)
        }
        Err(_) => return,
    };
    let mut forged = Forged { request: signed.clone(), secret: sender.secret.clone(), now: NOW };
    for change in script.chunks_exact(3).take(32) {
        let [kind, place, byte] = change else { continue };
        alter(&mut forged, sender, *kind, *place, *byte);
    }
    if let Ok(Proof::Genuine(delivery)) =
        sender.prove_at(&forged.request, &forged.secret, forged.now)
    {
        let second = sender.provider.identify(&delivery).unwrap_or_default();
        check_same_meaning(sender, &signed, &forged, (&first, &second));
    }
}

/// Applies one change of the script.
fn alter(forged: &mut Forged, sender: &Sender, kind: u8, place: u8, byte: u8) {
    let request = &mut forged.request;
    match kind % 8 {
        0 => {
            let mut bytes = request.body.bytes().to_vec();
            edit(&mut bytes, kind / 8, place, byte);
            request.body = Body::new(bytes);
        }
        1 | 2 => {
            let names: Vec<HeaderName> = request.head.headers.keys().cloned().collect();
            let Some(name) = names.get(usize::from(byte) % names.len().max(1)) else { return };
            let Some(old) = request.head.headers.get(name) else { return };
            let mut bytes = old.as_bytes().to_vec();
            edit(&mut bytes, kind / 8, place, byte.rotate_left(3));
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                request.head.headers.insert(name, value);
            }
        }
        3 => forged.now = forged.now.plus(std::time::Duration::from_secs(u64::from(place) * 7)),
        4 => forged.now = forged.now.minus(std::time::Duration::from_secs(u64::from(place) * 7)),
        5 if place.is_multiple_of(2) => request.head.method = Method::PUT,
        5 => request.head.target.push(char::from(byte % 26 + b'a')),
        6 => {
            let mut bytes = forged.secret.clone().into_bytes();
            edit(&mut bytes, kind / 8, place, byte % 96 + 32);
            if let Ok(secret) = String::from_utf8(bytes) {
                forged.secret = secret;
            }
        }
        _ => {
            let name = sender.scheme_text("/signature/name").unwrap_or("x-other").replace('*', "2");
            let value = HeaderValue::from_bytes(&[b"v1=", [byte].as_slice()].concat());
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), value) {
                request.head.headers.append(name, value);
            }
        }
    }
}

/// Edits bytes: inserts, removes, replaces, truncates or repeats.
fn edit(bytes: &mut Vec<u8>, how: u8, place: u8, byte: u8) {
    let at = usize::from(place) * (bytes.len() + 1) / 256;
    match how % 5 {
        0 => bytes.insert(at, byte),
        1 if at < bytes.len() => drop(bytes.remove(at)),
        2 => bytes.truncate(at),
        // Bounded, because twenty repetitions make the bytes a million times as long.
        3 if bytes.len() < 16_384 => bytes.extend_from_within(at..),
        _ => {
            if let Some(old) = bytes.get_mut(at) {
                *old ^= byte;
            }
        }
    }
}

/// Checks that everything the signature covers is unchanged.
fn check_same_meaning(
    sender: &Sender,
    signed: &Request,
    forged: &Forged,
    (first, second): (&[Identity], &[Identity]),
) {
    let who = &sender.name;
    if !sender.descriptor.needs_secret {
        return;
    }
    let (before, after) = (signed, &forged.request);
    // A token that was changed together with its secret is valid. Two spellings of a key may be one
    // key.
    let same_secret = sender.uses_token() || forged.secret.eq_ignore_ascii_case(&sender.secret);
    assert!(same_secret, "{who}: verifies with another secret");
    if sender.covers_body() {
        assert_eq!(before.body.bytes(), after.body.bytes(), "{who}: verifies with another body");
    }
    let header =
        |request: &Request, name: &str| request.head.single(name).ok().flatten().map(str::to_owned);
    if let (Some(message), false) = (sender.message(), sender.uses_token()) {
        if message.contains("{method}") {
            assert_eq!(before.head.method, after.head.method, "{who}");
        }
        if message.contains("{url}") {
            assert_eq!(before.head.target, after.head.target, "{who}");
        }
        for name in sender.signed_headers() {
            assert_eq!(
                header(before, &name),
                header(after, &name),
                "{who}: verifies with another {name}"
            );
        }
        if message.contains("{sig:") || message.contains("{timestamp}") {
            let name = sender.scheme_text("/signature/name").unwrap_or_default();
            let time = NOW.as_secs().to_string();
            let text = header(before, name).unwrap_or_default();
            let now = header(after, name).unwrap_or_default();
            assert!(
                !text.contains(&time) || now.contains(&time),
                "{who}: verifies with another time"
            );
        }
    }
    let name = sender.scheme_text("/signature/name").filter(|_| !who.starts_with("svix"));
    if let Some(tag) = name.and_then(|name| header(before, name)) {
        let all: String = after
            .head
            .headers
            .values()
            .map(|v| String::from_utf8_lossy(v.as_bytes()).to_ascii_lowercase())
            .collect();
        // A token that was changed together with its secret is the secret.
        let tag = if sender.uses_token() { forged.secret.clone() } else { tag };
        let longest = tag.split([',', ' ', '=', ';', ':']).max_by_key(|part| part.len());
        let longest = longest.unwrap_or_default().to_ascii_lowercase();
        assert!(all.contains(&longest), "{who}: verifies without {tag}");
    }
    if let Some(window) = sender.tolerance() {
        let distance = forged.now.since(NOW).max(NOW.since(forged.now));
        assert!(distance <= window, "{who}: verifies {distance:?} away, allowed are {window:?}");
    }
    if sender.uses_token() {
        return;
    }
    for (was, is) in first.iter().zip(second) {
        let id = |i: &Identity| i.event_id.clone().filter(|id| id.signed).map(|id| id.value);
        let (was, is) = (id(was), id(is));
        assert!(was.is_none() || was == is, "{who}: the signed id {was:?} became {is:?}");
    }
}
