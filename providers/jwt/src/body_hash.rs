//! The hash of the body in a claim: what makes a bearer token a signature.

use hookward_core::crypto::{Encoding, sha256, tokens_equal};
use hookward_core::keys::jwt::Claims;
use schemars::JsonSchema;
use serde::Deserialize;

/// Where the SHA-256 of the body is in a token, and how it is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BodyHash {
    /// The name of the claim, such as `request_body_sha256`.
    claim: String,
    /// How the hash is written; by default `hex`.
    #[serde(default = "hex")]
    encoding: Encoding,
}

fn hex() -> Encoding {
    Encoding::Hex
}

impl BodyHash {
    /// Whether the claim is the hash of this body. Hex is taken in either case.
    pub(crate) fn is_of(&self, body: &[u8], claims: &Claims) -> bool {
        let said = claims.non_empty_str(&self.claim).and_then(|text| self.encoding.decode(text));
        said.is_some_and(|said| tokens_equal(&said, &sha256(body)))
    }
}
