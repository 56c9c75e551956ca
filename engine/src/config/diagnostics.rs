//! What is wrong with a configuration, with positions: made by every gate, shown by
//! `hookward check`, by a failed start and by a refused reload.

use std::fmt;
use std::ops::Range;

use super::render;
use super::text::SourceText;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, and is probably not what was meant.
    Warning,
}

/// One mistake.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as it was given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// JSON pointer of the place, such as `/routes/0/retry`; empty for the whole file.
    pub path: String,
    /// What was found and why it cannot be.
    pub message: String,
    /// What is allowed and what to do, a sentence each.
    pub help: Vec<String>,
    /// What is written under the caret.
    pub(super) label: Option<String>,
    pub(super) span: Range<usize>,
    /// Another place that has to do with it.
    pub(super) related: Option<(Range<usize>, String)>,
    /// `false`: there is no text to show, only a file.
    pub(super) located: bool,
}

impl Diagnostic {
    /// Says under the caret what is wrong right there.
    pub(super) fn label(&mut self, text: impl Into<String>) -> &mut Self {
        self.label = Some(text.into());
        self
    }

    /// Says what is allowed or what to do.
    pub(super) fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help.push(text.into());
        self
    }

    /// Points at another place as well.
    pub(super) fn related(&mut self, span: Range<usize>, text: impl Into<String>) -> &mut Self {
        self.related = Some((span, text.into()));
        self
    }
}

/// Errors and warnings of one file, ordered by position.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    text: SourceText,
    /// What snippets must not show.
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
        // What is anchored is judged wherever it is used, and told once.
        let mut told = std::collections::HashSet::new();
        list.retain(|d| {
            let words = if d.label.is_some() { "" } else { d.message.as_str() };
            told.insert((
                d.severity,
                d.span.clone(),
                words.to_owned(),
                d.label.clone(),
                d.help.clone(),
            ))
        });
        Self { text, masked, list }
    }

    /// A file that cannot be read at all.
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

    /// All, by line and column.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// How many errors.
    pub fn errors(&self) -> usize {
        self.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// How many warnings.
    pub fn warnings(&self) -> usize {
        self.iter().filter(|d| d.severity == Severity::Warning).count()
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// As a compiler would print them: message, place, snippet, help; then how many there are.
    pub fn render(&self, color: bool) -> String {
        render::render(&self.text, &self.masked, &self.list, color)
    }
}

/// Without colour.
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
