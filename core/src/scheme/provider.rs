//! A compiled scheme as a [`Provider`] and a [`Signer`]: a crate whose sender needs no code of its
//! own builds one from its scheme file.

use crate::provider::Provider;
use crate::request::Request;
use crate::scheme::compiled::CompiledScheme;
use crate::secret::Secret;
use crate::signer::{EventDraft, SignError, Signer};

impl Provider for CompiledScheme {
    fn scheme(&self) -> Option<&CompiledScheme> {
        Some(self)
    }
}

impl Signer for CompiledScheme {
    fn sign(&self, draft: &EventDraft, secret: &Secret) -> Result<Request, SignError> {
        CompiledScheme::sign(self, draft, secret)
    }
}
