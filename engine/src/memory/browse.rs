//! Listing, showing and replaying, in the memory store.

use async_trait::async_trait;
use hookward_core::store::{
    Browse, Cursor, EventDetail, EventPage, Filter, JobState, ReplayJob, StoreError,
};
use hookward_core::{EventId, Timestamp};

use super::MemoryStore;
use super::rows::KeptJob;
use super::state::State;

#[async_trait]
impl Browse for MemoryStore {
    async fn list(
        &self,
        filter: &Filter,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<EventPage, StoreError> {
        self.with(|s| s.list(filter, limit, after))
    }

    async fn show(&self, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        self.with(|s| Some(s.events.get(s.places.get(&id)?)?.detail()))
    }

    async fn find(&self, event_id: &str, limit: usize) -> Result<Vec<EventId>, StoreError> {
        self.with(|s| {
            let named = s.events.values().rev().filter(|k| k.event.event_id() == Some(event_id));
            named.take(limit).map(|k| k.event.id()).collect()
        })
    }

    async fn replay(&self, now: Timestamp, jobs: Vec<ReplayJob>) -> Result<usize, StoreError> {
        self.with(|s| jobs.into_iter().filter_map(|job| s.replay(now, job)).count())
    }
}

impl State {
    fn list(&self, filter: &Filter, limit: usize, after: Option<Cursor>) -> EventPage {
        let before = after.map_or(u64::MAX, |Cursor(at)| u64::try_from(at).unwrap_or(0));
        let mut page = EventPage::default();
        let mut last = None;
        for (place, kept) in self.events.range(..before).rev() {
            if page.events.len() >= limit {
                page.next = last;
                break;
            }
            let summary = kept.summary();
            let status = filter.status.is_none_or(|status| summary.status == status);
            if status && filter.matches(&summary) {
                page.events.push(summary);
            }
            last = i64::try_from(*place).ok().map(Cursor);
        }
        page
    }

    fn replay(&mut self, now: Timestamp, job: ReplayJob) -> Option<()> {
        let key = match job {
            ReplayJob::Revive(id) => {
                let key = (*self.places.get(&id.event)?, id.n);
                let dead = self.job_mut(key).filter(|job| job.state == JobState::Dead)?;
                dead.replayed(now);
                key
            }
            ReplayJob::Add { event, job } => {
                let place = *self.places.get(&event)?;
                let jobs = &mut self.events.get_mut(&place)?.jobs;
                let n = u32::try_from(jobs.len()).ok()?;
                let mut job = KeptJob::new(job, now);
                job.replayed(now);
                jobs.push(job);
                (place, n)
            }
        };
        self.line_up_again(key, now);
        Some(())
    }
}
