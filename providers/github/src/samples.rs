//! Events for `hookward send`: small, and shaped as the sender shapes them.

use hookward_core::Sample;

/// All samples; `*` serves every other type.
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
