//! Log lines that the contract itself can cause, each a documented item. Plugins add theirs in a
//! room of the same name.

/// A source proves requests with no secret at all (`provider: none`). Said once, at start.
pub fn source_unverified(source: &str) {
    tracing::warn!(
        source,
        "this source accepts anyone's requests: `provider: none` verifies nothing"
    );
}
