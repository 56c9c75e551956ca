//! Events for `hookward send`: small, and shaped as the sender shapes them.

use hookward_core::Sample;

/// All samples; `*` serves every other type.
pub(crate) const ALL: &[Sample] = &[
    Sample {
        event_type: "com.twilio.messaging.message.delivered",
        id_prefix: "EZ",
        body: include_str!("samples/com.twilio.messaging.message.delivered.json"),
    },
    Sample { event_type: "*", id_prefix: "EZ", body: include_str!("samples/any.json") },
];
