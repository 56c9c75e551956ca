//! What the handlers read from a body, and no more: members that are not here may come and go.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Stripe wraps every object in an event of this form.
#[derive(Debug, Deserialize)]
pub(crate) struct StripeEvent<T> {
    pub(crate) data: Changed<T>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Changed<T> {
    pub(crate) object: T,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PaymentIntent {
    id: String,
    /// In the smallest unit of the currency.
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
    /// The shop writes its order number into the metadata when it makes the payment.
    pub(crate) fn order(&self) -> &str {
        self.metadata.get("order").unwrap_or(&self.id)
    }

    /// Whom to write to: an address, or a customer whose address the mail service knows.
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

/// GitHub's bodies have no envelope.
#[derive(Debug, Deserialize)]
pub(crate) struct Push {
    pub(crate) commits: Vec<serde::de::IgnoredAny>,
    pub(crate) repository: Repository,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Repository {
    pub(crate) full_name: String,
}
