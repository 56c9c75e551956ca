//! The services in memory: they write down what they did, and fail where they are told to. The
//! example runs on them, and the tests look into them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::services::{
    Accounts, Alert, Alerts, Analytics, Answer, Fact, Inventory, Letter, Mail, OrderStatus, Orders,
    Reservation, Services, Subscribed, Unavailable,
};

/// One of each.
#[derive(Debug, Default)]
pub struct Fakes {
    pub orders: Arc<MemoryOrders>,
    pub mail: Arc<Ledger<Letter>>,
    pub inventory: Arc<Ledger<Reservation>>,
    pub analytics: Arc<Ledger<Fact>>,
    pub alerts: Arc<Ledger<Alert>>,
    pub accounts: Arc<MemoryAccounts>,
}

impl Fakes {
    /// As the handlers see them.
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

/// What a service did, once per key.
#[derive(Debug)]
pub struct Ledger<T> {
    done: Mutex<Vec<(String, T)>>,
    calls: AtomicUsize,
    failures: AtomicUsize,
    lost_answers: AtomicUsize,
}

impl<T> Default for Ledger<T> {
    fn default() -> Self {
        Self {
            done: Mutex::default(),
            calls: AtomicUsize::default(),
            failures: AtomicUsize::default(),
            lost_answers: AtomicUsize::default(),
        }
    }
}

impl<T: Clone> Ledger<T> {
    /// The next `times` calls do nothing and fail.
    pub fn fail(&self, times: usize) {
        self.failures.store(times, Ordering::SeqCst);
    }

    /// The next `times` calls do their work, and their answer does not arrive.
    pub fn lose_answers(&self, times: usize) {
        self.lost_answers.store(times, Ordering::SeqCst);
    }

    /// How often it was called, whatever came of it.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// What was done, in order.
    pub fn done(&self) -> Vec<T> {
        locked(&self.done).iter().map(|(_, what)| what.clone()).collect()
    }

    fn once(&self, service: &'static str, key: &str, what: T) -> Answer {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if take_one(&self.failures) {
            return Err(Unavailable { service });
        }
        let mut done = locked(&self.done);
        if !done.iter().any(|(known, _)| known == key) {
            done.push((key.to_owned(), what));
        }
        if take_one(&self.lost_answers) { Err(Unavailable { service }) } else { Ok(()) }
    }
}

#[async_trait]
impl Mail for Ledger<Letter> {
    async fn send(&self, key: &str, letter: Letter) -> Answer {
        self.once("mail", key, letter)
    }
}

#[async_trait]
impl Inventory for Ledger<Reservation> {
    async fn reserve(&self, key: &str, reservation: Reservation) -> Answer {
        self.once("inventory", key, reservation)
    }
}

#[async_trait]
impl Analytics for Ledger<Fact> {
    async fn track(&self, key: &str, fact: Fact) -> Answer {
        self.once("analytics", key, fact)
    }
}

#[async_trait]
impl Alerts for Ledger<Alert> {
    async fn raise(&self, key: &str, alert: Alert) -> Answer {
        self.once("alerts", key, alert)
    }
}

/// The orders that were heard of.
#[derive(Debug, Default)]
pub struct MemoryOrders {
    orders: Mutex<BTreeMap<String, OrderStatus>>,
    updates: AtomicUsize,
}

impl MemoryOrders {
    /// How often a status was set, whatever came of it.
    pub fn updates(&self) -> usize {
        self.updates.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Orders for MemoryOrders {
    async fn set_status(&self, order: &str, status: OrderStatus) -> Answer<OrderStatus> {
        self.updates.fetch_add(1, Ordering::SeqCst);
        let mut orders = locked(&self.orders);
        let now = orders.entry(order.to_owned()).or_insert(status);
        if *now != OrderStatus::Paid {
            *now = status;
        }
        Ok(*now)
    }

    async fn status(&self, order: &str) -> Answer<Option<OrderStatus>> {
        Ok(locked(&self.orders).get(order).copied())
    }
}

/// Accounts by customer, subscriptions by id.
#[derive(Debug, Default)]
pub struct MemoryAccounts {
    subscriptions: Mutex<BTreeMap<String, Subscribed>>,
    suspended: Mutex<BTreeSet<String>>,
    cleaned_up: Mutex<BTreeSet<String>>,
}

impl MemoryAccounts {
    pub fn subscription(&self, id: &str) -> Option<Subscribed> {
        locked(&self.subscriptions).get(id).copied()
    }

    pub fn is_suspended(&self, customer: &str) -> bool {
        locked(&self.suspended).contains(customer)
    }

    pub fn is_cleaned_up(&self, subscription: &str) -> bool {
        locked(&self.cleaned_up).contains(subscription)
    }
}

#[async_trait]
impl Accounts for MemoryAccounts {
    async fn set(&self, _: &str, subscription: &str, to: Subscribed) -> Answer<Subscribed> {
        let mut subscriptions = locked(&self.subscriptions);
        let now = subscriptions.entry(subscription.to_owned()).or_insert(to);
        if *now != Subscribed::Closed {
            *now = to;
        }
        Ok(*now)
    }

    async fn suspend(&self, customer: &str) -> Answer {
        locked(&self.suspended).insert(customer.to_owned());
        Ok(())
    }

    async fn clean_up(&self, _: &str, subscription: &str) -> Answer {
        locked(&self.cleaned_up).insert(subscription.to_owned());
        Ok(())
    }
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
