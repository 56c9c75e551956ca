//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::SampleEvent;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[SampleEvent] = &[
    SampleEvent::new(
        "com.twilio.messaging.message.delivered",
        "EZ",
        include_str!("samples/com.twilio.messaging.message.delivered.json"),
    ),
    SampleEvent::new("*", "EZ", include_str!("samples/any.json")),
];
