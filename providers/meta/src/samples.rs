//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::SampleEvent;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[SampleEvent] = &[
    SampleEvent::new(
        "whatsapp_business_account",
        "wamid.",
        include_str!("samples/whatsapp_business_account.json"),
    ),
    SampleEvent::new("page", "m_", include_str!("samples/page.json")),
    SampleEvent::new("*", "", include_str!("samples/any.json")),
];
