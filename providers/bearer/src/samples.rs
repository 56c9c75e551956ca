//! An event for `hookward send`; name its places in the `with:` block.

use hookward_core::SampleEvent;

/// All samples; `*` serves every type.
pub(crate) const ALL: &[SampleEvent] =
    &[SampleEvent::new("*", "", include_str!("samples/any.json"))];
