//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::SampleEvent;

/// All samples: there is one kind of event.
pub(crate) const ALL: &[SampleEvent] = &[
    SampleEvent::new("event", "", include_str!("samples/any.json")),
    SampleEvent::new("*", "", include_str!("samples/any.json")),
];
