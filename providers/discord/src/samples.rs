//! Events of Discord's shape. They cannot be signed here: the private key is Discord's.

use hookward_core::Sample;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[Sample] = &[
    Sample {
        event_type: "APPLICATION_AUTHORIZED",
        id_prefix: "",
        body: include_str!("samples/application_authorized.json"),
    },
    Sample { event_type: "*", id_prefix: "", body: include_str!("samples/any.json") },
];
