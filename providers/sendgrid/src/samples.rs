//! Events for tests: shaped as the sender shapes them. SendGrid alone can sign them.

use hookward_core::Sample;

/// All samples; `*` serves every type.
pub(crate) const ALL: &[Sample] =
    &[Sample { event_type: "*", id_prefix: "", body: include_str!("samples/any.json") }];
