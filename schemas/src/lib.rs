//! JSON Schemas (draft 2020-12) of webhook events, as text in the binary.
//!
//! Read by whoever resolves `schema: builtin:PROVIDER/EVENT` of a routes.yaml, and by `hookward`'s own commands that list
//! what is there. The crate holds data only: it parses nothing and depends on nothing.
//!
//! Each schema demands what a handler of the event cannot do without, checks what else it knows, and stays open for members
//! that a provider adds later.

/// Every schema: its name (`stripe/payment_intent.succeeded`) and its text, sorted by name.
///
/// The event part of the name is the provider's own word, so it may contain a slash (`shopify/orders/create`).
pub const ALL: &[(&str, &str)] = &[
    ("github/issues", include_str!("../github/issues.json")),
    ("github/pull_request", include_str!("../github/pull_request.json")),
    ("github/push", include_str!("../github/push.json")),
    ("shopify/orders/create", include_str!("../shopify/orders/create.json")),
    (
        "stripe/customer.subscription.created",
        include_str!("../stripe/customer.subscription.created.json"),
    ),
    (
        "stripe/customer.subscription.deleted",
        include_str!("../stripe/customer.subscription.deleted.json"),
    ),
    ("stripe/invoice.payment_failed", include_str!("../stripe/invoice.payment_failed.json")),
    (
        "stripe/payment_intent.payment_failed",
        include_str!("../stripe/payment_intent.payment_failed.json"),
    ),
    ("stripe/payment_intent.succeeded", include_str!("../stripe/payment_intent.succeeded.json")),
];

/// The text of the schema with this name, or `None` where we ship none.
#[must_use]
pub fn get(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names, sorted: for the message that answers an unknown one.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}
