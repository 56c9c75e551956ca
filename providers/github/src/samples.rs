//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::SampleEvent;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[SampleEvent] = &[
    SampleEvent::new("push", "", include_str!("samples/push.json")),
    SampleEvent::new("pull_request", "", include_str!("samples/pull_request.json")),
    SampleEvent::new("issues", "", include_str!("samples/issues.json")),
    SampleEvent::new("ping", "", include_str!("samples/ping.json")),
    SampleEvent::new("*", "", include_str!("samples/any.json")),
];
