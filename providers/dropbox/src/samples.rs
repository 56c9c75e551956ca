//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::Sample;

/// All samples: there is one kind of event.
pub(crate) const ALL: &[Sample] = &[
    Sample { event_type: "event", id_prefix: "", body: include_str!("samples/any.json") },
    Sample { event_type: "*", id_prefix: "", body: include_str!("samples/any.json") },
];
