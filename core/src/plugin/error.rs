//! Why a plugin cannot be built from what routes.yaml says.

/// Why a `with:` block, or the URL of a store, cannot be used. Shown by `hookward check` with its
/// position in routes.yaml.
///
/// ```
/// use hookward_core::plugin::BuildError;
///
/// let error = BuildError::at("/url", "`ftp://…` is not an http or https URL")
///     .help("write `https://HOST/PATH`");
/// assert_eq!(error.at, "/url");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct BuildError {
    /// JSON pointer into the `with:` block; empty for the block as a whole.
    pub at: String,
    /// What was found and what is allowed.
    pub message: String,
    /// What the author of routes.yaml should do.
    pub help: Option<String>,
}

impl BuildError {
    /// An error at a JSON pointer into the `with:` block, such as `/url`.
    pub fn at(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), message: message.into(), help: None }
    }

    /// Adds what the author of routes.yaml should do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
