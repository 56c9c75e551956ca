//! The scheme grammar: any block that somebody may write, compiled, signed with and verified.

use hookward_core::keys::NoKeys;
use hookward_core::scheme::Scheme;
use hookward_core::{Body, Draft, Secret, SecretSet, Signer, VerifyCx};

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
    if let Err(told) = &usable {
        assert!(secret.len() < 16 || !told.contains(secret), "{told}");
    }
    let draft = Draft {
        event_type: event_type.to_owned(),
        event_id: event_id.to_owned(),
        body: Body::new(body.to_vec()),
        url: format!("{PUBLIC_URL}/webhooks/fuzz"),
        now: NOW,
    };
    let signer: &dyn Signer = &compiled;
    let Ok(mut request) = signer.sign(&draft, &Secret::new(secret)) else { return };
    assert_eq!(usable, Ok(()), "it signs with a secret that it does not take");
    let Ok(secrets) = SecretSet::from_texts([secret]) else { return };
    let cx = VerifyCx {
        now: NOW,
        secrets: secrets.active(NOW),
        tolerance: None,
        public_url: Some(PUBLIC_URL),
        keys: &NoKeys,
    };
    if compiled.verify(&request, &cx).is_err() {
        // Two things in one header: nobody can send that.
        return;
    }
    let token = serde_json::from_str::<serde_json::Value>(scheme)
        .is_ok_and(|scheme| scheme["alg"] == "equal");
    if message.contains("{body}") && !token {
        request.body = Body::new([body, b"+"].concat());
        assert!(compiled.verify(&request, &cx).is_err(), "another body under the same signature");
        request.body = draft.body.clone();
    }
    let other = SecretSet::from_texts([format!("{secret}x")]).unwrap_or_default();
    let cx = VerifyCx { secrets: other.active(NOW), ..cx };
    let fits = compiled.verify(&request, &cx).is_ok();
    assert!(!fits, "another secret fits the same signature");
}
