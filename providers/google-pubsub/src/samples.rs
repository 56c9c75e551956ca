//! Events for tests: shaped as the sender shapes them. Google alone can sign their tokens.

use hookward_core::SampleEvent;

/// All samples; `*` serves every type.
pub(crate) const ALL: &[SampleEvent] =
    &[SampleEvent::new("*", "", include_str!("samples/any.json"))];
