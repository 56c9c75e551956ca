//! All errors and warnings of one file, as shown by `hookward check`, by a failed start and in the
//! log of a rejected reload.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use super::diagnostic::{Diagnostic, Severity};
use super::render;
use super::text::SourceText;

/// Errors and warnings of one file, ordered by position.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    text: SourceText,
    /// The spans that snippets show as `***`.
    masked: Vec<Range<usize>>,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(super) fn new(
        text: SourceText,
        masked: Vec<Range<usize>>,
        mut list: Vec<Diagnostic>,
    ) -> Self {
        list.sort_by_key(|d| (d.line, d.column, d.severity));
        // A block with an anchor is checked at every alias that uses it. Its mistakes are in one
        // place of the file, so the same message is shown once.
        let mut seen = HashSet::new();
        list.retain(|d| {
            let message = if d.label.is_some() { "" } else { d.message.as_str() };
            seen.insert((
                d.severity,
                d.span.clone(),
                message.to_owned(),
                d.label.clone(),
                d.help.clone(),
            ))
        });
        Self { text, masked, list }
    }

    /// Makes the one error of a file whose text cannot be read.
    pub(super) fn unreadable(path: String, line: usize, message: String, help: &str) -> Self {
        let diagnostic = Diagnostic {
            severity: Severity::Error,
            file: path.clone(),
            line,
            column: 1,
            path: String::new(),
            message,
            help: vec![help.to_owned()],
            label: None,
            span: 0..0,
            related: None,
            located: false,
        };
        Self::new(SourceText::new(path, ""), vec![], vec![diagnostic])
    }

    /// Iterates over all of them, by line and column.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Returns the number of errors.
    pub fn errors(&self) -> usize {
        self.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// Returns the number of warnings.
    pub fn warnings(&self) -> usize {
        self.iter().filter(|d| d.severity == Severity::Warning).count()
    }

    /// Whether there are neither errors nor warnings.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Renders them as rustc does: message, place, snippet and help for each, then the counts.
    /// `color` adds ANSI escapes.
    pub fn render(&self, color: bool) -> String {
        render::render(&self.text, &self.masked, &self.list, color)
    }
}

/// Renders the diagnostics without color.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}
