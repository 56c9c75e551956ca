//! Trace of a run: a hash of every line, which shows whether two runs of one seed are equal, and
//! the lines themselves where a run is to be reported. A run uses one thread, so its trace is
//! thread-local.

use std::cell::RefCell;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};

thread_local! {
    static TRACE: RefCell<Trace> = RefCell::new(Trace::default());
}

#[derive(Default)]
struct Trace {
    hash: DefaultHasher,
    lines: Option<Vec<String>>,
    /// Reused for each line, because a run has thousands.
    line: String,
}

/// Starts an empty trace, which retains its lines if asked.
pub(crate) fn begin(retain_lines: bool) {
    TRACE.with_borrow_mut(|trace| {
        *trace = Trace { lines: retain_lines.then(Vec::new), ..Trace::default() };
    });
}

/// Adds a line, prefixed with the simulated time.
pub(crate) fn add(what: std::fmt::Arguments<'_>) {
    TRACE.with_borrow_mut(|trace| {
        trace.line.clear();
        let at = super::world::elapsed_ms();
        let _ = write!(trace.line, "{:>8}.{:03} {what}", at / 1000, at % 1000);
        trace.hash.write(trace.line.as_bytes());
        trace.hash.write_u8(b'\n');
        if let Some(lines) = &mut trace.lines {
            lines.push(trace.line.clone());
        }
    });
}

/// Returns the hash of all lines so far.
pub(crate) fn hash() -> u64 {
    TRACE.with_borrow(|trace| trace.hash.finish())
}

/// Returns the retained lines, none unless [`begin`] was asked to retain them.
pub(crate) fn lines() -> Vec<String> {
    TRACE.with_borrow(|trace| trace.lines.clone().unwrap_or_default())
}

macro_rules! trace {
    ($($what:tt)*) => { $crate::sim::trace::add(format_args!($($what)*)) };
}
pub(crate) use trace;
