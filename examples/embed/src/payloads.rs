//! The members that the handlers read from a body, and no others: what is not listed here may
//! change at the sender without breaking a handler. A member that is always there and checked by
//! the route's schema is not an `Option`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The envelope that Stripe puts around every object.
#[derive(Debug, Deserialize)]
pub(crate) struct StripeEvent<T> {
    pub(crate) data: StripeEventData<T>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StripeEventData<T> {
    pub(crate) object: T,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PaymentIntent {
    id: String,
    /// In the smallest unit of the currency, such as cents.
    pub(crate) amount: u64,
    pub(crate) currency: String,
    customer: Option<String>,
    receipt_email: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    pub(crate) last_payment_error: Option<PaymentError>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PaymentError {
    pub(crate) message: Option<String>,
}

impl PaymentIntent {
    /// The order number, which the shop writes into the metadata when it creates the payment;
    /// without one, the payment's id.
    pub(crate) fn order(&self) -> &str {
        self.metadata.get("order").unwrap_or(&self.id)
    }

    /// Where to write to: an address, or the id of a customer whose address the mail service knows.
    pub(crate) fn recipient(&self) -> Option<&str> {
        self.receipt_email.as_deref().or(self.customer.as_deref())
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) customer: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Invoice {
    pub(crate) id: String,
    pub(crate) customer: Option<String>,
    pub(crate) amount_due: u64,
}

/// A push, as GitHub sends it: without an envelope.
#[derive(Debug, Deserialize)]
pub(crate) struct Push {
    /// Only their number is needed, so their content is not decoded.
    pub(crate) commits: Vec<serde::de::IgnoredAny>,
    pub(crate) repository: Repository,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Repository {
    pub(crate) full_name: String,
}
