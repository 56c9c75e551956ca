//! JSON Schemas (draft 2020-12) of webhook events, as text in the binary.
//!
//! They are the schemas that `schema: builtin:PROVIDER/EVENT` of routes.yaml names. The crate holds
//! data alone: it parses nothing and has no dependencies.
//!
//! Each schema requires the members that a handler of the event needs, checks the other members that
//! it knows where they are present, and allows members that a provider adds later.
//!
//! ```
//! let text = hookward_schemas::get("stripe/payment_intent.succeeded").expect("it is built in");
//! assert!(text.contains("\"$schema\""));
//! ```

/// All schemas, each with its name, such as `stripe/payment_intent.succeeded`, and its text. Sorted
/// by name.
///
/// The event part of a name is the provider's own word, so it may contain a slash, as in
/// `shopify/orders/create`.
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

/// Returns the text of the schema of a name; `None` where no schema has this name.
#[must_use]
pub fn get(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Returns the names of all schemas, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}
