//! An event for `hookward send`; name its places in the `with:` block.

use hookward_core::Sample;

/// All samples; `*` serves every type.
pub(crate) const ALL: &[Sample] =
    &[Sample { event_type: "*", id_prefix: "", body: include_str!("samples/any.json") }];
