//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::Sample;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[Sample] = &[
    Sample {
        event_type: "whatsapp_business_account",
        id_prefix: "wamid.",
        body: include_str!("samples/whatsapp_business_account.json"),
    },
    Sample { event_type: "page", id_prefix: "m_", body: include_str!("samples/page.json") },
    Sample { event_type: "*", id_prefix: "", body: include_str!("samples/any.json") },
];
