//! One error or warning about a configuration.

use std::ops::Range;

/// Whether a configuration can be used despite the mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, but probably does not do what was meant.
    Warning,
}

/// One mistake: what was found and where, what is allowed, what to do.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Whether the configuration can be used.
    pub severity: Severity,
    /// The path of the file, as it was given to the loader.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1 in characters.
    pub column: usize,
    /// The JSON pointer of the place, such as `/routes/0/retry`; empty for the whole file.
    pub path: String,
    /// What was found and why it is a mistake. Never shows a secret or the value of a variable.
    pub message: String,
    /// What is allowed and what to do, one sentence each.
    pub help: Vec<String>,
    /// The text beside the caret.
    pub(super) label: Option<String>,
    /// The bytes of the file that the caret marks.
    pub(super) span: Range<usize>,
    /// A second place that the mistake involves, with its label.
    pub(super) related: Option<(Range<usize>, String)>,
    /// Whether the file's text can be shown; `false` where the file could not be read.
    pub(super) located: bool,
}

impl Diagnostic {
    /// Sets the text beside the caret.
    pub(super) fn label(&mut self, text: impl Into<String>) -> &mut Self {
        self.label = Some(text.into());
        self
    }

    /// Adds a sentence about what is allowed or what to do.
    pub(super) fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help.push(text.into());
        self
    }

    /// Marks a second place in the file.
    pub(super) fn related(&mut self, span: Range<usize>, text: impl Into<String>) -> &mut Self {
        self.related = Some((span, text.into()));
        self
    }
}
