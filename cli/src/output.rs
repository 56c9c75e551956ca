//! Printing: results on stdout, errors on stderr, tables where people read.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};

/// An error, and the exit code for it.
pub(crate) fn fail(code: u8, error: impl Display) -> ExitCode {
    let text = error.to_string();
    let text = text.trim_end();
    // Diagnostics say themselves what they are.
    let start =
        if text.starts_with("error") || text.starts_with("warning") { "" } else { "error: " };
    let _ = writeln!(std::io::stderr(), "{start}{text}");
    ExitCode::from(code)
}

/// A line of a result. A closed pipe is no error: whoever read it has enough.
pub(crate) fn line(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// A word to the person at the terminal.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A table with these columns.
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

/// Whether errors may be coloured.
pub(crate) fn colour() -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "NO_COLOR is a convention of terminals, not configuration"
    )]
    let wanted = std::env::var("NO_COLOR").map_or(true, |v| v.is_empty());
    wanted && std::io::stderr().is_terminal()
}
