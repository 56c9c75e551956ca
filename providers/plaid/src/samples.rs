//! Sample events for tests, with the members that the sender uses. Only Plaid can sign them.

use hookward_core::SampleEvent;

/// All samples; `*` serves every type. A type is two members of the body.
pub(crate) const ALL: &[SampleEvent] =
    &[SampleEvent::new("*", "", include_str!("samples/any.json"))];
