//! What the handlers work with: each service behind a trait, so that a handler cannot tell the real
//! one from the one in memory (`fakes.rs`).
//!
//! A step may run again: after a failure further down, or because the process died before it could
//! note that the step was done. Every method here bears that, in one of two ways. Where it *sets*
//! something (orders, accounts), a second time changes nothing. Where it *does* something (mail,
//! inventory, analytics, alerts), it takes a `key` that names the work, and does each key once; mail
//! and payment APIs have the same as their `Idempotency-Key` header.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;

/// All of them. A clone shares them.
#[derive(Debug, Clone)]
pub struct Services {
    pub orders: Arc<dyn Orders>,
    pub mail: Arc<dyn Mail>,
    pub inventory: Arc<dyn Inventory>,
    pub analytics: Arc<dyn Analytics>,
    pub alerts: Arc<dyn Alerts>,
    pub accounts: Arc<dyn Accounts>,
}

/// A service does not answer. In a handler, `?` makes this "try again by the route's policy".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{service} does not answer")]
pub struct Unavailable {
    pub service: &'static str,
}

pub type Answer<T = ()> = Result<T, Unavailable>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    PaymentFailed,
    Paid,
}

#[async_trait]
pub trait Orders: Debug + Send + Sync {
    /// Sets the status and returns the one that counts now: events may arrive out of order, and
    /// what is paid stays paid.
    async fn set_status(&self, order: &str, status: OrderStatus) -> Answer<OrderStatus>;

    async fn status(&self, order: &str) -> Answer<Option<OrderStatus>>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// An address, or a customer's id.
    pub to: String,
    pub subject: String,
    pub text: String,
}

#[async_trait]
pub trait Mail: Debug + Send + Sync {
    async fn send(&self, key: &str, letter: Letter) -> Answer;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    pub order: String,
}

#[async_trait]
pub trait Inventory: Debug + Send + Sync {
    async fn reserve(&self, key: &str, reservation: Reservation) -> Answer;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub name: &'static str,
    pub about: String,
    pub value: u64,
}

#[async_trait]
pub trait Analytics: Debug + Send + Sync {
    async fn track(&self, key: &str, fact: Fact) -> Answer;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    pub text: String,
}

#[async_trait]
pub trait Alerts: Debug + Send + Sync {
    async fn raise(&self, key: &str, alert: Alert) -> Answer;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscribed {
    Open,
    Closed,
}

#[async_trait]
pub trait Accounts: Debug + Send + Sync {
    /// Sets where a subscription stands and returns what counts now: what is closed stays closed,
    /// since a customer who comes back gets another subscription.
    async fn set(&self, customer: &str, subscription: &str, to: Subscribed) -> Answer<Subscribed>;

    /// Until the customer pays, the account can be looked at and not used.
    async fn suspend(&self, customer: &str) -> Answer;

    /// Removes what the subscription gave access to.
    async fn clean_up(&self, customer: &str, subscription: &str) -> Answer;
}
