//! Events for `hookward send`: small, and shaped as the specification shapes them.

use hookward_core::Sample;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[Sample] = &[
    Sample {
        event_type: "com.example.press.started",
        id_prefix: "",
        body: include_str!("samples/any.json"),
    },
    Sample { event_type: "*", id_prefix: "", body: include_str!("samples/any.json") },
];
