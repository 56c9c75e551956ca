//! Failed proofs per source and address. Every request is verified, whoever else uses its address:
//! an address may be a proxy, a shared network or a sender that somebody abuses. Past the limit, the
//! proofs of an address run a few at a time, so that forgeries take no more than that, and those
//! that fail are answered with 429.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookward_core::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bucket::Bucket;
use super::client_ip::client_group;
use crate::compiled::{Rate, Source};

/// Failed proofs of one address at one source before its proofs are bounded.
const FAILED_PROOF_RATE: Rate = Rate { count: 60, per: Duration::from_secs(60), burst: None };
/// Proofs that run at the same time for an address over the limit.
const MAX_BOUNDED_PROOFS: usize = 2;
/// How long a genuine proof exempts its address from the bound.
const GENUINE_PROOF_EXEMPTION: Duration = Duration::from_secs(600);
/// The most addresses whose failures are counted. Past it, those that have refilled are dropped.
const MAX_ADDRESSES: usize = 100_000;

/// The failed proofs of all sources of a process.
#[derive(Debug, Default)]
pub(super) struct FailedProofs(Mutex<HashMap<(Arc<str>, IpAddr), AddressState>>);

#[derive(Debug)]
struct AddressState {
    failures: Bucket,
    last_genuine: Option<Timestamp>,
    /// Made when the address first exceeds the limit.
    proofs: Option<Arc<Semaphore>>,
}

impl FailedProofs {
    /// Waits for a proof slot if the address is over the limit and has no recent genuine proof.
    /// The slot is held while the proof runs.
    pub(super) async fn proof_slot(
        &self,
        source: &Source,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<OwnedSemaphorePermit> {
        let proofs = {
            let mut addresses = self.lock();
            let address = addresses.get_mut(&(source.name.clone(), client_group(client?)))?;
            address.failures.wait(FAILED_PROOF_RATE, now)?;
            if address.last_genuine.is_some_and(|at| now.since(at) < GENUINE_PROOF_EXEMPTION) {
                return None;
            }
            let new = || Arc::new(Semaphore::new(MAX_BOUNDED_PROOFS));
            address.proofs.get_or_insert_with(new).clone()
        };
        // Without a deadline: a proof takes microseconds, and a genuine event behind forgeries must
        // not be rejected because of them. The server bounds how many requests wait here.
        proofs.acquire_owned().await.ok()
    }

    /// Counts a failed proof. Returns how long the address must wait if it was over the limit.
    pub(super) fn count_failure(
        &self,
        source: &Source,
        client: Option<IpAddr>,
        now: Timestamp,
    ) -> Option<Duration> {
        let client = client?;
        let mut addresses = self.lock();
        // A scan of all addresses takes too long to run for each request, so it must leave at least
        // half of them free. What is forgotten is little: a flood from 50,000 addresses is not
        // stopped by the failures of one of them.
        if addresses.len() >= MAX_ADDRESSES {
            addresses.retain(|_, address| !address.failures.is_full(now));
            if addresses.len() >= MAX_ADDRESSES / 2 {
                addresses.clear();
            }
        }
        let new = || AddressState { failures: Bucket::full(now), last_genuine: None, proofs: None };
        let address =
            addresses.entry((source.name.clone(), client_group(client))).or_insert_with(new);
        let retry_after = address.failures.wait(FAILED_PROOF_RATE, now);
        address.failures.spend(FAILED_PROOF_RATE, now);
        retry_after
    }

    /// Records a genuine proof, which exempts an address with failures from the bound.
    pub(super) fn record_genuine(&self, source: &Source, client: Option<IpAddr>, now: Timestamp) {
        let Some(client) = client else { return };
        if let Some(address) = self.lock().get_mut(&(source.name.clone(), client_group(client))) {
            address.last_genuine = Some(now);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Arc<str>, IpAddr), AddressState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
