//! The services that the handlers call, each behind a trait, so that the tests can replace the real
//! ones by those in memory (`fakes.rs`).
//!
//! Hookward runs a step *at least* once: again after a failure further down the chain, and again if
//! the process died before it could record that the step was done. So every method here must be
//! safe to call twice, and is so in one of two ways:
//!
//! - A method that *sets* something (orders, accounts) changes nothing the second time.
//! - A method that *does* something (mail, inventory, analytics, alerts) takes a `key` that names
//!   the work, and does the work of each key once. Mail and payment APIs offer the same as their
//!   `Idempotency-Key` header.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

/// All services of the shop. A clone shares them, so it is cheap: each call of a handler gets one.
#[derive(Debug, Clone)]
pub struct Services {
    /// Which orders are paid.
    pub orders: Arc<dyn Orders>,
    /// Writes to customers.
    pub mail: Arc<dyn Mail>,
    /// Reserves the items of paid orders.
    pub inventory: Arc<dyn Inventory>,
    /// Counts orders and pushes.
    pub analytics: Arc<dyn Analytics>,
    /// Wakes the people on call.
    pub alerts: Arc<dyn Alerts>,
    /// Customers' accounts and their subscriptions.
    pub accounts: Arc<dyn Accounts>,
}

/// A service does not answer. Any error type will do in a handler: `?` turns it into "retry by the
/// route's policy".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{service} does not answer")]
pub struct Unavailable {
    /// The name of the service, for the error message.
    pub service: &'static str,
}

/// What a call of a service returns.
pub type ServiceResult<T = ()> = Result<T, Unavailable>;

/// How far the payment of an order is; served as JSON by `GET /orders/{id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// The last payment failed; the customer may try again.
    PaymentFailed,
    /// Paid, which is final.
    Paid,
}

/// The orders of the shop. Its only writer is the handler `update_order`.
#[async_trait]
pub trait Orders: Debug + Send + Sync {
    /// Sets the status and returns the status that holds now. Events may arrive out of order, so
    /// `Paid` is final: a failure that arrives after the payment changes nothing.
    async fn set_status(&self, order: &str, status: OrderStatus) -> ServiceResult<OrderStatus>;

    /// Returns the status of an order; `None` if no event has named it yet.
    async fn status(&self, order: &str) -> ServiceResult<Option<OrderStatus>>;
}

/// A mail to one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// An address, or a customer's id, whose address the mail service knows.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// The body, as plain text.
    pub text: String,
}

/// The mail service.
#[async_trait]
pub trait Mail: Debug + Send + Sync {
    /// Sends an email, once per key.
    async fn send(&self, key: &str, email: Email) -> ServiceResult;
}

/// The items of one order, taken from the stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The order number; the inventory knows the items of it.
    pub order: String,
}

/// The stock of the shop.
#[async_trait]
pub trait Inventory: Debug + Send + Sync {
    /// Reserves the items of an order, once per key.
    async fn reserve(&self, key: &str, reservation: Reservation) -> ServiceResult;
}

/// One record in the analytics service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    /// What is measured, such as `order_paid`.
    pub name: &'static str,
    /// What it was measured of: an order, a repository.
    pub subject: String,
    /// The measured number.
    pub value: u64,
}

/// The analytics service.
#[async_trait]
pub trait Analytics: Debug + Send + Sync {
    /// Records a measurement, once per key.
    async fn track(&self, key: &str, measurement: Measurement) -> ServiceResult;
}

/// A message for the people on call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What happened, in one line.
    pub text: String,
}

/// The service that reaches the people on call.
#[async_trait]
pub trait Alerts: Debug + Send + Sync {
    /// Alerts the people on call, once per key.
    async fn raise(&self, key: &str, alert: Alert) -> ServiceResult;
}

/// Whether a subscription gives access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionState {
    /// It gives access.
    Open,
    /// It has ended, which is final.
    Closed,
}

/// The accounts of customers.
#[async_trait]
pub trait Accounts: Debug + Send + Sync {
    /// Sets the state of a subscription and returns the state that holds now. `Closed` is final: a
    /// customer who comes back gets another subscription.
    async fn set_subscription(
        &self,
        customer: &str,
        subscription: &str,
        state: SubscriptionState,
    ) -> ServiceResult<SubscriptionState>;

    /// Makes an account read-only until its customer pays.
    async fn suspend(&self, customer: &str) -> ServiceResult;

    /// Removes what the subscription gave access to.
    async fn clean_up(&self, customer: &str, subscription: &str) -> ServiceResult;
}
