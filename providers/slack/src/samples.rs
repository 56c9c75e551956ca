//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::Sample;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[Sample] = &[
    Sample {
        event_type: "app_mention",
        id_prefix: "Ev",
        body: include_str!("samples/app_mention.json"),
    },
    Sample { event_type: "message", id_prefix: "Ev", body: include_str!("samples/message.json") },
    Sample { event_type: "*", id_prefix: "Ev", body: include_str!("samples/any.json") },
];
