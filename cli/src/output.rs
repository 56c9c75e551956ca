//! Output: results on stdout, errors and notes on stderr, tables for people.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};

/// Prints an error and returns its exit code.
pub(crate) fn fail(code: u8, error: impl Display) -> ExitCode {
    let text = error.to_string();
    let text = text.trim_end();
    // Diagnostics already start with their level.
    let start =
        if text.starts_with("error") || text.starts_with("warning") { "" } else { "error: " };
    let _ = writeln!(std::io::stderr(), "{start}{text}");
    ExitCode::from(code)
}

/// Prints a line of a result. A closed pipe is not an error: its reader has what it needs.
pub(crate) fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Prints a note for the person at the terminal.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Escapes control characters in a sender's text, because a terminal would execute them, and
/// bidirectional ones, because they make a line read otherwise than it is.
pub(crate) fn escape_control(text: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| c.is_control() || is_bidirectional(c);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let one = |c: char| match c {
        '\t' => c.to_string(),
        c if is_escaped(c) => c.escape_default().to_string(),
        c => c.to_string(),
    };
    Cow::Owned(text.chars().map(one).collect())
}

/// Whether a character changes the direction of the text around it (Unicode Standard Annex 9).
fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Prints a body: escaped line by line on a terminal, as it is elsewhere.
pub(crate) fn payload(text: &str) {
    if !std::io::stdout().is_terminal() {
        return line(text);
    }
    text.lines().for_each(|one| line(escape_control(one)));
}

/// Prints a table with these columns.
pub(crate) fn table(columns: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns.iter().map(|c| c.to_uppercase()));
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    for row in table.to_string().lines() {
        line(row.trim_end());
    }
}

/// Whether errors may be coloured: stderr is a terminal and `NO_COLOR` is not set.
pub(crate) fn colour() -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "NO_COLOR is a convention of terminals, not configuration"
    )]
    let wanted = std::env::var("NO_COLOR").map_or(true, |v| v.is_empty());
    wanted && std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_senders_are_escaped() {
        assert_eq!(escape_control("evt_1 ü\t"), "evt_1 ü\t");
        assert_eq!(escape_control("a\u{202e}b\u{2066}c"), "a\\u{202e}b\\u{2066}c");
        assert_eq!(escape_control("a\u{1b}[2Jb\r\n\u{7}\u{9b}"), "a\\u{1b}[2Jb\\r\\n\\u{7}\\u{9b}");
    }
}
