//! Sample events for `hookward send`: small, with the members that the sender uses.

use hookward_core::SampleEvent;

/// All samples. The one with the type `*` is used for every other type.
pub(crate) const ALL: &[SampleEvent] = &[
    SampleEvent::new(
        "payment_intent.succeeded",
        "evt_",
        include_str!("samples/payment_intent.succeeded.json"),
    ),
    SampleEvent::new(
        "payment_intent.payment_failed",
        "evt_",
        include_str!("samples/payment_intent.payment_failed.json"),
    ),
    SampleEvent::new(
        "customer.subscription.created",
        "evt_",
        include_str!("samples/customer.subscription.created.json"),
    ),
    SampleEvent::new(
        "customer.subscription.deleted",
        "evt_",
        include_str!("samples/customer.subscription.deleted.json"),
    ),
    SampleEvent::new(
        "invoice.payment_failed",
        "evt_",
        include_str!("samples/invoice.payment_failed.json"),
    ),
    SampleEvent::new("*", "evt_", include_str!("samples/any.json")),
];
