//! Makes requests without a signature, for `hookward send`.

use hookward_core::{EventDraft, Head, Request, Secret, SignError, Signer};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::Unverified;

impl Signer for Unverified {
    fn sign(&self, draft: &EventDraft, _: &Secret) -> Result<Request, SignError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.identity_rules.headers(&draft.event_type, &draft.event_id) {
            let fail = |reason: String| SignError::new(reason);
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| fail(e.to_string()))?;
            let value = HeaderValue::from_str(value).map_err(|e| fail(e.to_string()))?;
            headers.insert(name, value);
        }
        let head = Head::new(Method::POST, draft.target().to_owned(), headers);
        Ok(Request::new(head, draft.body.clone()))
    }
}
