//! A compiled scheme as a [`Provider`] and a [`Signer`]: a crate whose sender needs no code of its
//! own builds one from its scheme file.

use async_trait::async_trait;

use crate::prove::Verified;
use crate::provider::{
    Draft, IdentifyError, Identity, Provider, SignError, Signer, Verification, VerifyCx,
};
use crate::request::{Head, Request};
use crate::scheme::compiled::CompiledScheme;
use crate::secret::Secret;
use crate::verify_error::VerifyError;

#[async_trait]
impl Provider for CompiledScheme {
    fn precheck(&self, head: &Head) -> Result<(), VerifyError> {
        CompiledScheme::precheck(self, head)
    }

    async fn verify(
        &self,
        request: &Request,
        cx: &VerifyCx<'_>,
    ) -> Result<Verification, VerifyError> {
        CompiledScheme::verify(self, request, cx).map(|secret| Verification::Genuine { secret })
    }

    fn identify(&self, delivery: &Verified) -> Result<Vec<Identity>, IdentifyError> {
        CompiledScheme::identify(self, delivery)
    }

    fn replay_token(&self, delivery: &Verified) -> Option<String> {
        CompiledScheme::replay_token(self, delivery)
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), String> {
        CompiledScheme::check_secret(self, secret)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        if self.can_sign() { Some(self) } else { None }
    }
}

impl Signer for CompiledScheme {
    fn sign(&self, draft: &Draft, secret: &Secret) -> Result<Request, SignError> {
        CompiledScheme::sign(self, draft, secret)
    }
}
