//! Events for `hookward send`: small, and shaped as the specification shapes them.

use hookward_core::SampleEvent;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[SampleEvent] = &[
    SampleEvent::new("com.example.press.started", "", include_str!("samples/any.json")),
    SampleEvent::new("*", "", include_str!("samples/any.json")),
];
