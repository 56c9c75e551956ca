//! The services in memory: they record the work that they did, and fail when a test asks for it.
//! The example runs on them, and the tests check their records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::services::{
    Accounts, Alert, Alerts, Analytics, Email, Inventory, Mail, Measurement, OrderStatus, Orders,
    Reservation, ServiceResult, Services, SubscriptionState, Unavailable,
};

/// One fake of each service.
#[derive(Debug, Default)]
pub struct Fakes {
    /// The orders that events have named.
    pub orders: Arc<MemoryOrders>,
    /// The mails that were sent.
    pub mail: Arc<Ledger<Email>>,
    /// The reservations that were made.
    pub inventory: Arc<Ledger<Reservation>>,
    /// The measurements that were recorded.
    pub analytics: Arc<Ledger<Measurement>>,
    /// The alerts that were raised.
    pub alerts: Arc<Ledger<Alert>>,
    /// The accounts that events have named.
    pub accounts: Arc<MemoryAccounts>,
}

impl Fakes {
    /// The fakes as the handlers see them: behind the traits of `services.rs`.
    pub fn services(&self) -> Services {
        Services {
            orders: self.orders.clone(),
            mail: self.mail.clone(),
            inventory: self.inventory.clone(),
            analytics: self.analytics.clone(),
            alerts: self.alerts.clone(),
            accounts: self.accounts.clone(),
        }
    }
}

/// A service that does the work of each key once, and records it.
#[derive(Debug)]
pub struct Ledger<T> {
    done: Mutex<Vec<(String, T)>>,
    calls: AtomicUsize,
    failures_left: AtomicUsize,
    lost_responses_left: AtomicUsize,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self {
            done: Mutex::default(),
            calls: AtomicUsize::default(),
            failures_left: AtomicUsize::default(),
            lost_responses_left: AtomicUsize::default(),
        }
    }
}

impl<T: Clone> Ledger<T> {
    /// Makes the next `calls` calls fail without doing their work.
    pub fn fail_next(&self, calls: usize) {
        self.failures_left.store(calls, Ordering::SeqCst);
    }

    /// Makes the next `calls` calls do their work and fail all the same, as if the response were
    /// lost.
    pub fn lose_next_responses(&self, calls: usize) {
        self.lost_responses_left.store(calls, Ordering::SeqCst);
    }

    /// The number of calls, failed ones included.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The work that was done, in order.
    pub fn done(&self) -> Vec<T> {
        lock(&self.done).iter().map(|(_, work)| work.clone()).collect()
    }

    fn do_once(&self, service: &'static str, key: &str, work: T) -> ServiceResult {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if take_one(&self.failures_left) {
            return Err(Unavailable { service });
        }
        let mut done = lock(&self.done);
        if !done.iter().any(|(known, _)| known == key) {
            done.push((key.to_owned(), work));
        }
        if take_one(&self.lost_responses_left) { Err(Unavailable { service }) } else { Ok(()) }
    }
}

#[async_trait]
impl Mail for Ledger<Email> {
    async fn send(&self, key: &str, email: Email) -> ServiceResult {
        self.do_once("mail", key, email)
    }
}

#[async_trait]
impl Inventory for Ledger<Reservation> {
    async fn reserve(&self, key: &str, reservation: Reservation) -> ServiceResult {
        self.do_once("inventory", key, reservation)
    }
}

#[async_trait]
impl Analytics for Ledger<Measurement> {
    async fn track(&self, key: &str, measurement: Measurement) -> ServiceResult {
        self.do_once("analytics", key, measurement)
    }
}

#[async_trait]
impl Alerts for Ledger<Alert> {
    async fn raise(&self, key: &str, alert: Alert) -> ServiceResult {
        self.do_once("alerts", key, alert)
    }
}

/// The status of every order that an event has named.
#[derive(Debug, Default)]
pub struct MemoryOrders {
    orders: Mutex<BTreeMap<String, OrderStatus>>,
    updates: AtomicUsize,
}

impl MemoryOrders {
    /// The number of calls that set a status, whether or not it changed.
    pub fn updates(&self) -> usize {
        self.updates.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Orders for MemoryOrders {
    async fn set_status(&self, order: &str, status: OrderStatus) -> ServiceResult<OrderStatus> {
        self.updates.fetch_add(1, Ordering::SeqCst);
        let mut orders = lock(&self.orders);
        let current = orders.entry(order.to_owned()).or_insert(status);
        if *current != OrderStatus::Paid {
            *current = status;
        }
        Ok(*current)
    }

    async fn status(&self, order: &str) -> ServiceResult<Option<OrderStatus>> {
        Ok(lock(&self.orders).get(order).copied())
    }
}

/// Accounts by customer, subscriptions by id.
#[derive(Debug, Default)]
pub struct MemoryAccounts {
    subscriptions: Mutex<BTreeMap<String, SubscriptionState>>,
    suspended: Mutex<BTreeSet<String>>,
    cleaned_up: Mutex<BTreeSet<String>>,
}

impl MemoryAccounts {
    /// The state of a subscription; `None` if no event has named it.
    pub fn subscription(&self, id: &str) -> Option<SubscriptionState> {
        lock(&self.subscriptions).get(id).copied()
    }

    /// Whether a customer's account was suspended.
    pub fn is_suspended(&self, customer: &str) -> bool {
        lock(&self.suspended).contains(customer)
    }

    /// Whether the access of a subscription was removed.
    pub fn is_cleaned_up(&self, subscription: &str) -> bool {
        lock(&self.cleaned_up).contains(subscription)
    }
}

#[async_trait]
impl Accounts for MemoryAccounts {
    async fn set_subscription(
        &self,
        _: &str,
        subscription: &str,
        state: SubscriptionState,
    ) -> ServiceResult<SubscriptionState> {
        let mut subscriptions = lock(&self.subscriptions);
        let current = subscriptions.entry(subscription.to_owned()).or_insert(state);
        if *current != SubscriptionState::Closed {
            *current = state;
        }
        Ok(*current)
    }

    async fn suspend(&self, customer: &str) -> ServiceResult {
        lock(&self.suspended).insert(customer.to_owned());
        Ok(())
    }

    async fn clean_up(&self, _: &str, subscription: &str) -> ServiceResult {
        lock(&self.cleaned_up).insert(subscription.to_owned());
        Ok(())
    }
}

/// Lowers a counter and returns whether it was above zero.
fn take_one(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
