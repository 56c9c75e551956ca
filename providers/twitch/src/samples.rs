//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::SampleEvent;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[SampleEvent] = &[
    SampleEvent::new("channel.follow", "", include_str!("samples/channel.follow.json")),
    SampleEvent::new("revocation", "", include_str!("samples/revocation.json")),
    SampleEvent::new("*", "", include_str!("samples/any.json")),
];
