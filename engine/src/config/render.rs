//! Draws diagnostics with annotate-snippets, over a copy of the text in which secrets are stars.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::diagnostics::{Diagnostic, Severity};
use super::text::SourceText;

/// What stands for a secret, whatever its length.
const STARS: &str = "***";

/// All of them, one after the other, and how many there are.
pub(super) fn render(
    text: &SourceText,
    masked: &[Range<usize>],
    list: &[Diagnostic],
    color: bool,
) -> String {
    let renderer = if color { Renderer::styled().hyperlink(false) } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in list {
        out.push_str(&one(text, masked, diagnostic, &renderer));
        out.push_str("\n\n");
    }
    if let Some(summary) = summary(text, list) {
        out.push_str(&summary);
        out.push('\n');
    }
    out
}

fn summary(text: &SourceText, list: &[Diagnostic]) -> Option<String> {
    let count = |severity, word: &str| {
        let n = list.iter().filter(|d| d.severity == severity).count();
        (n > 0).then(|| format!("{n} {word}{}", if n == 1 { "" } else { "s" }))
    };
    let counts: Vec<_> = [count(Severity::Error, "error"), count(Severity::Warning, "warning")]
        .into_iter()
        .flatten()
        .collect();
    (!counts.is_empty()).then(|| format!("{}: {}", text.path, counts.join(", ")))
}

fn one(
    text: &SourceText,
    masked: &[Range<usize>],
    diagnostic: &Diagnostic,
    renderer: &Renderer,
) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    // Long flow mappings hold many keys on one line; the path says which one is meant.
    let path = Some(&diagnostic.path).filter(|path| !path.is_empty());
    let path = path.map(|path| Level::NOTE.with_name("at").message(path));
    let helps = path.into_iter().chain(diagnostic.help.iter().map(|h| Level::HELP.message(h)));
    let title = level.primary_title(&diagnostic.message);
    if !diagnostic.located {
        return renderer.render(&[title
            .element(
                Origin::path(&diagnostic.file).line(diagnostic.line).char_column(diagnostic.column),
            )
            .elements(helps)]);
    }
    let span = text.first_line(&diagnostic.span);
    let line = text.position(span.start).0;
    let related = diagnostic.related.as_ref().map(|(span, label)| {
        let span = text.first_line(span);
        (text.position(span.start).0, span, label)
    });
    let (first, last) =
        related.as_ref().map_or((line, line), |(other, ..)| (line.min(*other), line.max(*other)));
    let mut window = Window::new(text, masked, first..=last);
    let primary = window.place(&span);
    let mut snippet =
        Snippet::source(window.shown.clone()).path(&diagnostic.file).line_start(first).annotation(
            AnnotationKind::Primary.span(primary.clone()).label(diagnostic.label.as_deref()),
        );
    if let Some((_, span, label)) = &related {
        let place = window.place(span);
        snippet =
            snippet.annotation(AnnotationKind::Context.span(place).label(Some(label.as_str())));
    }
    let drawn = renderer.render(&[title.element(snippet).elements(helps)]);
    // Stars may have moved the caret's column; what is told is the column in the file.
    let shown = window.column(primary.start);
    let place = |column: usize| format!("{}:{line}:{column}", diagnostic.file);
    drawn.replacen(&place(shown), &place(diagnostic.column), 1)
}

/// Some lines of the text with the secrets masked.
struct Window {
    shown: String,
    /// Pieces: where each starts in the text and in what is shown, its length there, and whether
    /// it is a mask.
    pieces: Vec<Piece>,
}

struct Piece {
    from: Range<usize>,
    to: Range<usize>,
    mask: bool,
}

impl Window {
    fn new(
        text: &SourceText,
        masked: &[Range<usize>],
        lines: std::ops::RangeInclusive<usize>,
    ) -> Self {
        let mut window = Self { shown: String::new(), pieces: Vec::new() };
        for line in lines {
            let range = text.line(line);
            let mut at = range.start;
            let mut masks: Vec<_> = masked
                .iter()
                .map(|m| trimmed(text, m.start.max(range.start)..m.end.min(range.end)))
                .filter(|m| m.start < m.end)
                .collect();
            masks.sort_by_key(|m| m.start);
            for mask in masks {
                if mask.end > at {
                    window.push(text, at..mask.start.max(at), None);
                    window.push(text, mask.start.max(at)..mask.end, Some(STARS));
                    at = mask.end;
                }
            }
            window.push(text, at..range.end, None);
            window.shown.push('\n');
        }
        window
    }

    fn push(&mut self, text: &SourceText, from: Range<usize>, stars: Option<&str>) {
        let start = self.shown.len();
        self.shown.push_str(stars.unwrap_or_else(|| text.slice(&from)));
        self.pieces.push(Piece { from, to: start..self.shown.len(), mask: stars.is_some() });
    }

    /// Where a span of the text is in what is shown.
    fn place(&mut self, span: &Range<usize>) -> Range<usize> {
        let end = self.shown.len().saturating_sub(1);
        let map = |offset: usize, is_end: bool| {
            let inside = |p: &&Piece| {
                p.from.start <= offset && (offset < p.from.end || (is_end && offset == p.from.end))
            };
            let piece = match is_end {
                true => self.pieces.iter().find(inside),
                false => self
                    .pieces
                    .iter()
                    .find(inside)
                    .or_else(|| self.pieces.iter().find(|p| p.from.end == offset)),
            };
            match piece {
                Some(p) if p.mask && is_end => p.to.end,
                Some(p) if p.mask => p.to.start,
                Some(p) => p.to.start + (offset - p.from.start),
                None => end,
            }
        };
        let start = map(span.start, false);
        let end = map(span.end, true).max(start);
        start..end
    }

    /// The column, from 1, of a byte of what is shown.
    fn column(&self, offset: usize) -> usize {
        let before = self.shown.get(..offset).unwrap_or_default();
        before.rsplit('\n').next().unwrap_or_default().chars().count() + 1
    }
}

fn trimmed(text: &SourceText, span: Range<usize>) -> Range<usize> {
    let written = text.slice(&span);
    span.start + (written.len() - written.trim_start().len())..span.end
}
