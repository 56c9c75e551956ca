//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::Sample;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[Sample] = &[
    Sample {
        event_type: "payment_intent.succeeded",
        id_prefix: "evt_",
        body: include_str!("samples/payment_intent.succeeded.json"),
    },
    Sample {
        event_type: "payment_intent.payment_failed",
        id_prefix: "evt_",
        body: include_str!("samples/payment_intent.payment_failed.json"),
    },
    Sample {
        event_type: "customer.subscription.created",
        id_prefix: "evt_",
        body: include_str!("samples/customer.subscription.created.json"),
    },
    Sample {
        event_type: "customer.subscription.deleted",
        id_prefix: "evt_",
        body: include_str!("samples/customer.subscription.deleted.json"),
    },
    Sample {
        event_type: "invoice.payment_failed",
        id_prefix: "evt_",
        body: include_str!("samples/invoice.payment_failed.json"),
    },
    Sample { event_type: "*", id_prefix: "evt_", body: include_str!("samples/any.json") },
];
