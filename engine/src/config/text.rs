//! The text of routes.yaml, and the conversion between byte offsets and lines and columns.

use std::fmt;
use std::ops::Range;

/// The path and the text of a file.
#[derive(Clone, Default)]
pub(super) struct SourceText {
    pub(super) path: String,
    pub(super) text: String,
    /// The byte at which each line starts.
    starts: Vec<usize>,
}

/// Shows the path alone: the text may contain secrets.
impl fmt::Debug for SourceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceText({})", self.path)
    }
}

impl SourceText {
    pub(super) fn new(path: String, text: &str) -> Self {
        // A byte order mark would shift the columns of the first line.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let mut starts = vec![0];
        let mut bytes = text.bytes().enumerate().peekable();
        while let Some((at, byte)) = bytes.next() {
            let crlf = byte == b'\r' && bytes.peek().is_some_and(|(_, next)| *next == b'\n');
            if byte == b'\n' || (byte == b'\r' && !crlf) {
                starts.push(at + 1);
            }
        }
        Self { path, text, starts }
    }

    /// Returns the number of lines.
    pub(super) fn line_count(&self) -> usize {
        self.starts.len()
    }

    /// Returns the span of a line, counted from 1, without its line break.
    pub(super) fn line(&self, line: usize) -> Range<usize> {
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        let content = self.text.get(start..end).unwrap_or_default();
        start..start + content.trim_end_matches(['\n', '\r']).len()
    }

    /// Returns line and column of a byte, both counted from 1, the column in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line(line).start;
        let before = self.text.get(start..offset.min(self.text.len())).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// Returns the byte at a line, counted from 1, and a column, counted from 0.
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let range = self.line(line);
        let content = self.text.get(range.clone()).unwrap_or_default();
        content.char_indices().nth(column).map_or(range.end, |(at, _)| range.start + at)
    }

    /// Returns the part of a span that is on its first line.
    pub(super) fn first_line(&self, span: &Range<usize>) -> Range<usize> {
        let line = self.line(self.position(span.start).0);
        span.start.min(line.end)..span.end.clamp(span.start.min(line.end), line.end)
    }

    /// Returns the text of a span.
    pub(super) fn slice(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_with_every_kind_of_line_break() {
        let text = SourceText::new("f".into(), "\u{feff}é: ü\r\nb: c\nd\re");
        assert_eq!(text.line_count(), 4);
        assert_eq!(text.position(4), (1, 4));
        assert_eq!(text.offset(2, 3), 11);
        assert_eq!(text.slice(&text.line(1)), "é: ü");
        assert_eq!(text.slice(&text.line(4)), "e");
    }
}
