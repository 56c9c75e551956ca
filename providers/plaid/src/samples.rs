//! Events for tests: shaped as the sender shapes them. Plaid alone can sign them.

use hookward_core::Sample;

/// All samples; `*` serves every type. A type is two members of the body.
pub(crate) const ALL: &[Sample] =
    &[Sample { event_type: "*", id_prefix: "", body: include_str!("samples/any.json") }];
