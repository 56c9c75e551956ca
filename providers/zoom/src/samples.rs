//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::SampleEvent;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[SampleEvent] = &[
    SampleEvent::new("meeting.started", "", include_str!("samples/meeting.started.json")),
    SampleEvent::new("*", "", include_str!("samples/any.json")),
];
