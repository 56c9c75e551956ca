//! Compares the body with the hash in a claim. With this claim the token covers the body.

use hookward_core::crypto::{Encoding, sha256, tokens_equal};
use hookward_core::keys::jwt::Claims;
use schemars::JsonSchema;
use serde::Deserialize;

/// Where the SHA-256 of the body is in a token, and how it is encoded.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BodyHash {
    /// The name of the claim, such as `request_body_sha256`.
    claim: String,
    /// Encoding of the hash; by default `hex`.
    #[serde(default = "hex")]
    encoding: Encoding,
}

fn hex() -> Encoding {
    Encoding::Hex
}

impl BodyHash {
    /// Returns whether the claim is the hash of a body. Hex is accepted in either case.
    pub(crate) fn matches(&self, body: &[u8], claims: &Claims) -> bool {
        let claimed = claims.non_empty_str(&self.claim).and_then(|text| self.encoding.decode(text));
        claimed.is_some_and(|hash| tokens_equal(&hash, &sha256(body)))
    }
}
