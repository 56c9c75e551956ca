//! Events of Discord's shape. They cannot be signed here: the private key is Discord's.

use hookward_core::SampleEvent;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[SampleEvent] = &[
    SampleEvent::new(
        "APPLICATION_AUTHORIZED",
        "",
        include_str!("samples/application_authorized.json"),
    ),
    SampleEvent::new("*", "", include_str!("samples/any.json")),
];
