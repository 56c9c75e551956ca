//! Events for `hookward send`: small, and shaped as the sender shapes them.

use hookward_core::Sample;

/// All samples; `*` serves every other type.
pub(crate) const ALL: &[Sample] = &[
    Sample {
        event_type: "app_mention",
        id_prefix: "Ev",
        body: include_str!("samples/app_mention.json"),
    },
    Sample { event_type: "message", id_prefix: "Ev", body: include_str!("samples/message.json") },
    Sample { event_type: "*", id_prefix: "Ev", body: include_str!("samples/any.json") },
];
