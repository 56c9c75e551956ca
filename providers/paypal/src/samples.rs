//! Events for tests: shaped as the sender shapes them. PayPal alone can sign them.

use hookward_core::SampleEvent;

/// All samples; `*` serves every type.
pub(crate) const ALL: &[SampleEvent] =
    &[SampleEvent::new("*", "WH-", include_str!("samples/any.json"))];
