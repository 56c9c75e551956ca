//! Renders diagnostics with annotate-snippets, over a copy of the text in which secrets are masked.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::diagnostic::{Diagnostic, Severity};
use super::text::SourceText;

/// The text shown for a secret. It does not depend on the secret's length.
const MASK: &str = "***";

/// Renders all diagnostics one after the other, and a summary line with their numbers.
pub(super) fn render(
    text: &SourceText,
    masked: &[Range<usize>],
    list: &[Diagnostic],
    color: bool,
) -> String {
    let renderer = if color { Renderer::styled().hyperlink(false) } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in list {
        out.push_str(&render_one(text, masked, diagnostic, &renderer));
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

fn render_one(
    text: &SourceText,
    masked: &[Range<usize>],
    diagnostic: &Diagnostic,
    renderer: &Renderer,
) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    // A flow mapping holds many keys on one line; the pointer names the one that is meant.
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
    let lines = MaskedLines::new(text, masked, first..=last);
    let primary = lines.locate(&span);
    let mut snippet =
        Snippet::source(lines.text.clone()).path(&diagnostic.file).line_start(first).annotation(
            AnnotationKind::Primary.span(primary.clone()).label(diagnostic.label.as_deref()),
        );
    if let Some((_, span, label)) = &related {
        let place = lines.locate(span);
        snippet =
            snippet.annotation(AnnotationKind::Context.span(place).label(Some(label.as_str())));
    }
    let rendered = renderer.render(&[title.element(snippet).elements(helps)]);
    // A mask before the caret shifts its column. The place must name the column in the file.
    let masked_column = lines.column(primary.start);
    let place = |column: usize| format!("{}:{line}:{column}", diagnostic.file);
    rendered.replacen(&place(masked_column), &place(diagnostic.column), 1)
}

/// Some lines of the file with the secrets masked, and how their positions map to the file.
struct MaskedLines {
    text: String,
    segments: Vec<Segment>,
}

/// A part of the masked lines that is either copied from the file or a mask.
struct Segment {
    /// The bytes in the file.
    source: Range<usize>,
    /// The bytes in the masked lines.
    target: Range<usize>,
    is_mask: bool,
}

impl MaskedLines {
    fn new(
        text: &SourceText,
        masked: &[Range<usize>],
        numbers: std::ops::RangeInclusive<usize>,
    ) -> Self {
        let mut lines = Self { text: String::new(), segments: Vec::new() };
        for line in numbers {
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
                    lines.push(text, at..mask.start.max(at), None);
                    lines.push(text, mask.start.max(at)..mask.end, Some(MASK));
                    at = mask.end;
                }
            }
            lines.push(text, at..range.end, None);
            lines.text.push('\n');
        }
        lines
    }

    fn push(&mut self, text: &SourceText, source: Range<usize>, mask: Option<&str>) {
        let start = self.text.len();
        self.text.push_str(mask.unwrap_or_else(|| text.slice(&source)));
        let target = start..self.text.len();
        self.segments.push(Segment { source, target, is_mask: mask.is_some() });
    }

    /// Maps a span of the file to the masked lines; a part of a secret maps to the whole mask.
    fn locate(&self, span: &Range<usize>) -> Range<usize> {
        let end_of_text = self.text.len().saturating_sub(1);
        let map = |offset: usize, is_end: bool| {
            let inside = |p: &&Segment| {
                let source = &p.source;
                source.start <= offset && (offset < source.end || (is_end && offset == source.end))
            };
            let segment = match is_end {
                true => self.segments.iter().find(inside),
                false => self
                    .segments
                    .iter()
                    .find(inside)
                    .or_else(|| self.segments.iter().find(|p| p.source.end == offset)),
            };
            match segment {
                Some(p) if p.is_mask && is_end => p.target.end,
                Some(p) if p.is_mask => p.target.start,
                Some(p) => p.target.start + (offset - p.source.start),
                None => end_of_text,
            }
        };
        let start = map(span.start, false);
        let end = map(span.end, true).max(start);
        start..end
    }

    /// Returns the column, counted from 1, of a byte of the masked lines.
    fn column(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or_default();
        before.rsplit('\n').next().unwrap_or_default().chars().count() + 1
    }
}

/// Omits the white space at the start of a span.
fn trimmed(text: &SourceText, span: Range<usize>) -> Range<usize> {
    let written = text.slice(&span);
    span.start + (written.len() - written.trim_start().len())..span.end
}
