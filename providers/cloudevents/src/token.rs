//! Verifies the token of a delivery (section 3 of the HTTP web hook specification): in the
//! `Authorization` header or in the query, but not in both.

use hookward_core::plugin::BuildError;
use hookward_core::scheme::{CompiledScheme, Scheme, form_value};
use hookward_core::{
    EventDraft, Head, Request, Secret, SecretError, SignError, VerifyCx, VerifyError,
};

/// The checks of the token in the header and in the query.
#[derive(Debug)]
pub(crate) struct Token {
    header: CompiledScheme,
    query: CompiledScheme,
}

impl Token {
    pub(crate) fn new() -> Result<Self, BuildError> {
        Ok(Self {
            header: Scheme::from_json(include_str!("scheme.json"))?.compile()?,
            query: Scheme::from_json(include_str!("scheme-query.json"))?.compile()?,
        })
    }

    pub(crate) fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        self.scheme(head)?.precheck(head)
    }

    pub(crate) fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<usize, VerifyError> {
        self.scheme(&request.head)?.verify(request, cx)
    }

    pub(crate) fn check_secret(&self, secret: &Secret) -> Result<(), SecretError> {
        self.header.check_secret(secret)
    }

    pub(crate) fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        self.header.sign(draft, secret)
    }

    fn scheme(&self, head: &Head) -> Result<&CompiledScheme, VerifyError> {
        let query = form_value(head.query().unwrap_or_default().as_bytes(), "access_token")?;
        match (head.headers.contains_key(http::header::AUTHORIZATION), query) {
            (true, Some(_)) => Err(VerifyError::invalid_format(
                "the request has a token in the header and in the query; send one of them",
            )),
            (false, Some(_)) => Ok(&self.query),
            (_, None) => Ok(&self.header),
        }
    }
}
