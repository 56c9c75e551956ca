//! Target `form`: fields of forms and queries, compared with the `url` crate.

use std::collections::BTreeSet;
use std::path::Path;

use hookward_core::keys::NoKeys;
use hookward_core::plugin::BuildCx;
use hookward_core::scheme::Scheme;
use hookward_core::{Body, Head, Proof, Request, SecretSet, VerifyCx, VerifyError, prove};
use serde_json::json;

use super::input::{lines, text};
use super::senders::{NOW, poll_once, registry};

/// Lines: the name of a field, then the form.
pub fn run(data: &[u8]) {
    let [field, form] = lines(data);
    let Some(field) = text(field).filter(|f| !f.is_empty() && !f.contains('\u{fffd}')) else {
        return;
    };
    let values: BTreeSet<String> = url::form_urlencoded::parse(form)
        .filter(|(name, _)| name == field)
        .map(|(_, value)| value.into_owned())
        .collect();
    let lossy = values.iter().any(|value| value.contains('\u{fffd}'));
    let only = values.first().filter(|value| values.len() == 1 && !value.is_empty());

    let head = Head::default().with_target("/".to_owned());
    let request = Request::new(head, Body::new(form.to_vec()));
    let found = form_field(field, request);
    if !lossy {
        assert_eq!(found.as_ref(), only, "{field} in {form:?}");
    }
    if let Some(query) = text(form).filter(|_| !lossy) {
        check_query_token(field, query, only);
    }
}

/// Returns the field that the provider `none` takes as the event id.
fn form_field(field: &str, request: Request) -> Option<String> {
    let cx = BuildCx::new(Path::new("."), "fuzz");
    let with = json!({ "event_id": format!("form:{field}") });
    let provider = (registry().provider("none")?.build)(with, &cx).ok()?;
    let secrets = SecretSet::default();
    let cx = VerifyCx::new(NOW, secrets.active(NOW), &NoKeys);
    let Some(Ok(Proof::Genuine(delivery))) = poll_once(prove(&*provider, request, &cx)) else {
        panic!("the provider `none` accepts every request");
    };
    provider.identify(&delivery).ok()?.into_iter().next()?.event_id.map(|id| id.value)
}

/// Verifies the query's field as a token: exactly one value of the field must match the secret,
/// whatever else the query contains.
fn check_query_token(field: &str, query: &str, only: Option<&String>) {
    let scheme = json!({
        "signature": { "in": "query", "name": field }, "alg": "equal", "message": "",
    });
    let Ok(scheme) = serde_json::from_value::<Scheme>(scheme) else { return };
    let Ok(scheme) = scheme.compile() else { return };
    let secret = only.map_or("another", String::as_str);
    let Ok(secrets) = SecretSet::from_texts([secret]) else { return };
    let cx = VerifyCx::new(NOW, secrets.active(NOW), &NoKeys);
    let head = Head::default().with_target(format!("/?{query}"));
    let verdict = scheme.verify(&Request::new(head, Body::default()), &cx);
    match only {
        Some(_) => assert_eq!(verdict, Ok(0), "{field} of {query:?}"),
        None => assert!(
            matches!(
                verdict,
                Err(VerifyError::MissingSignature { .. }
                    | VerifyError::InvalidFormat { .. }
                    | VerifyError::InvalidSignature)
            ),
            "{verdict:?}"
        ),
    }
}
