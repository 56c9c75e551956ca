//! Slots: how many jobs of each route run at the same time, at most `concurrency`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookward_core::Timestamp;

use super::breaker::Breakers;
use crate::compiled::{CompiledConfig, Route};

/// The used slots of each route.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<HashMap<Arc<str>, usize>>);

impl Slots {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slots of every route that may be filled now. Routes without a free slot are listed with
    /// zero, because the store takes a route that is not listed for one that the configuration no
    /// longer has.
    pub(super) fn free_slots(
        &self,
        config: &CompiledConfig,
        breakers: &Breakers,
        now: Timestamp,
    ) -> Vec<(Arc<str>, usize)> {
        // One lock for all routes, so that the claim sees one state.
        let used_slots = self.lock();
        let free = |route: &Route| {
            let used = used_slots.get(&route.name).copied().unwrap_or(0);
            // A reload may have lowered `concurrency` below what is running.
            breakers.allowed_slots(route, route.concurrency.saturating_sub(used), used, now)
        };
        config.routes.values().map(|r| (r.name.clone(), free(r))).collect()
    }

    /// Takes a slot of a route.
    pub(super) fn take(&self, route: &Arc<str>) {
        // Also for a route that a reload has just removed: its claimed jobs still end and release.
        *self.lock().entry(route.clone()).or_insert(0) += 1;
    }

    /// Releases a slot of a route.
    pub(super) fn release(&self, route: &Arc<str>) {
        if let Some(used) = self.lock().get_mut(route) {
            // The entry stays at zero: there are as many as routes.
            *used = used.saturating_sub(1);
        }
    }
}
