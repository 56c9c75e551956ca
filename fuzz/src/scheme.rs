//! Target `scheme`: any block of the scheme grammar, compiled, used to sign, and used to verify.

use hookward_core::keys::NoKeys;
use hookward_core::scheme::Scheme;
use hookward_core::{Body, EventDraft, Secret, SecretSet, Signer, VerifyCx};

use super::input::{lines, sections, text};
use super::senders::{NOW, PUBLIC_URL};

/// Sections: the scheme as JSON, then lines: the secret, the type, the id, the body.
pub fn run(data: &[u8]) {
    let [scheme, rest] = sections(data);
    let [secret, event_type, event_id, body] = lines(rest);
    let Some(scheme) = text(scheme) else { return };
    let Ok(read) = Scheme::from_json(scheme) else { return };
    let message = read.message.clone();
    let compiled = match read.compile() {
        Ok(compiled) => compiled,
        Err(error) => {
            assert!(
                error.pointer.is_empty() || error.pointer.starts_with('/'),
                "{}",
                error.pointer
            );
            assert!(!error.message.is_empty());
            return;
        }
    };
    let (Some(secret), Some(event_type), Some(event_id)) =
        (text(secret), text(event_type), text(event_id))
    else {
        return;
    };
    let usable = compiled.check_secret(&Secret::new(secret));
    if let Err(error) = &usable {
        assert!(secret.len() < 16 || !error.message.contains(secret), "{error}");
    }
    let draft = EventDraft::new(
        event_type.to_owned(),
        event_id.to_owned(),
        Body::new(body.to_vec()),
        format!("{PUBLIC_URL}/webhooks/fuzz"),
        NOW,
    );
    let signer: &dyn Signer = &compiled;
    let Ok(mut request) = signer.sign(&draft, &Secret::new(secret)) else { return };
    assert_eq!(usable, Ok(()), "the scheme signs with a secret that `check_secret` rejects");
    let Ok(secrets) = SecretSet::from_texts([secret]) else { return };
    let cx = VerifyCx::new(NOW, secrets.active(NOW), &NoKeys).with_public_url(PUBLIC_URL);
    if compiled.verify(&request, &cx).is_err() {
        // The scheme reads two parts from one header, which no sender can satisfy.
        return;
    }
    let token = serde_json::from_str::<serde_json::Value>(scheme)
        .is_ok_and(|scheme| scheme["alg"] == "equal");
    if message.contains("{body}") && !token {
        request.body = Body::new([body, b"+"].concat());
        assert!(compiled.verify(&request, &cx).is_err(), "the signature verifies for another body");
        request.body = draft.body.clone();
    }
    let other = SecretSet::from_texts([format!("{secret}x")]).unwrap_or_default();
    let cx = cx.with_secrets(other.active(NOW));
    let verified = compiled.verify(&request, &cx).is_ok();
    assert!(!verified, "the signature verifies with another secret");
}
