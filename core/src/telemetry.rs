//! Log lines that the contract itself writes, one documented function each. Plugins have a module
//! of the same name for theirs.

/// Warns that a source accepts requests without any proof (`provider: none`). Logged once per
/// source, when the configuration is loaded.
pub fn source_unverified(source: &str) {
    tracing::warn!(
        source,
        "this source accepts anyone's requests: `provider: none` verifies nothing"
    );
}
