//! Which routes an event takes: glob, then `match`, then `when`, then schema, each route for
//! itself. Compiled by `config`, asked by `accept` and by `hookward explain`.

mod address;
mod condition;
mod glob;
mod pattern;
mod schema;
mod subject;
mod table;

pub use address::DataAddress;
pub use condition::Condition;
pub use glob::TypeGlob;
pub use pattern::{Pattern, PatternError};
pub use schema::EventSchema;
pub use subject::Subject;
pub use table::RouteTable;

use crate::compiled::Route;

/// What a route says of an event whose type its globs let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the event.
    Takes,
    /// Its `match:` does not fit; where.
    NoMatch(String),
    /// Its `when:` is false.
    WhenFalse,
    /// Its `when:` could not be computed, which counts as false.
    WhenFailed(String),
    /// It would take the event, which is not valid: what its schema found, or why the body cannot
    /// be read.
    Invalid(Vec<String>),
}

/// Asks one route.
pub fn judge(route: &Route, subject: &Subject<'_>) -> Verdict {
    let unreadable = |e: &hookward_core::BodyError| Verdict::Invalid(vec![e.to_string()]);
    if let Some(pattern) = &route.pattern {
        match pattern.misfit(subject) {
            Ok(None) => {}
            Ok(Some(at)) => return Verdict::NoMatch(at),
            Err(e) => return unreadable(e),
        }
    }
    if let Some(when) = &route.when {
        match when.holds(subject) {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Verdict::WhenFalse,
            Ok(Err(reason)) => return Verdict::WhenFailed(reason),
            Err(e) => return unreadable(e),
        }
    }
    if let Some(schema) = &route.schema {
        match subject.body.json() {
            Ok(value) => match schema.errors(value) {
                errors if errors.is_empty() => {}
                errors => return Verdict::Invalid(errors),
            },
            Err(e) => return unreadable(e),
        }
    }
    Verdict::Takes
}
