//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::Sample;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[Sample] = &[
    Sample { event_type: "push", id_prefix: "", body: include_str!("samples/push.json") },
    Sample {
        event_type: "pull_request",
        id_prefix: "",
        body: include_str!("samples/pull_request.json"),
    },
    Sample { event_type: "issues", id_prefix: "", body: include_str!("samples/issues.json") },
    Sample { event_type: "ping", id_prefix: "", body: include_str!("samples/ping.json") },
    Sample { event_type: "*", id_prefix: "", body: include_str!("samples/any.json") },
];
