//! What happened, in order: a hash of every line, so that two runs of one seed can be compared, and
//! the lines themselves where a run is to be told. A run happens on one thread, so this is its own.

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
    line: String,
}

/// Begins anew; `kept`: with the lines.
pub(crate) fn begin(kept: bool) {
    TRACE.with_borrow_mut(|trace| {
        *trace = Trace { lines: kept.then(Vec::new), ..Trace::default() };
    });
}

/// One line, with the simulated time before it. Called within a run.
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

/// The hash of all lines so far.
pub(crate) fn hash() -> u64 {
    TRACE.with_borrow(|trace| trace.hash.finish())
}

/// The last lines.
pub(crate) fn tail(n: usize) -> Vec<String> {
    TRACE.with_borrow(|trace| {
        let lines = trace.lines.as_deref().unwrap_or_default();
        lines[lines.len().saturating_sub(n)..].to_vec()
    })
}

macro_rules! note {
    ($($what:tt)*) => { $crate::sim::trace::add(format_args!($($what)*)) };
}
pub(crate) use note;
