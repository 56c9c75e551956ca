//! The conditions of a route, one module for each kind: `events` globs, `match` patterns, `when`
//! expressions, JSON Schemas and the data addresses that they use.
//!
//! [`config`](crate::config) compiles them; [`Route`](crate::compiled::Route) holds and evaluates
//! them. Nothing here knows of routes, sources or stores. Every condition is bounded in time,
//! because the bytes that it reads come from senders.

mod address;
mod condition;
mod counted_json;
mod evaluation_budget;
mod event_schema;
mod event_view;
mod glob;
mod glob_trie;
mod pattern;
mod schema_expansion;

pub use address::{DataAddress, DataValue};
pub use condition::{Condition, ConditionError};
pub(crate) use evaluation_budget::MAX_EVALUATION_TIME;
pub use evaluation_budget::{BudgetSpent, EvaluationBudget};
pub use event_schema::EventSchema;
pub use event_view::EventView;
pub use glob::TypeGlob;
pub(crate) use glob_trie::GlobTrie;
pub use pattern::{Pattern, PatternError};
