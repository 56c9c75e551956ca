//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::Sample;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[Sample] = &[
    Sample {
        event_type: "contact.creation",
        id_prefix: "",
        body: include_str!("samples/contact.creation.json"),
    },
    Sample { event_type: "*", id_prefix: "", body: include_str!("samples/any.json") },
];
