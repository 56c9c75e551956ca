//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::SampleEvent;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[SampleEvent] = &[
    SampleEvent::new("app_mention", "Ev", include_str!("samples/app_mention.json")),
    SampleEvent::new("message", "Ev", include_str!("samples/message.json")),
    SampleEvent::new("*", "Ev", include_str!("samples/any.json")),
];
