//! Sample events for tests, with the members that the sender uses. Only the issuer can sign them.

use hookward_core::SampleEvent;

/// All samples; `*` serves every type.
pub(crate) const ALL: &[SampleEvent] =
    &[SampleEvent::new("*", "", include_str!("samples/any.json"))];
