//! Listing, showing and replaying events of the memory store.

use async_trait::async_trait;
use hookward_core::store::{
    Browse, EventDetail, EventFilter, EventPage, JobState, PageCursor, ReplayJob, StoreError,
};
use hookward_core::{EventId, Timestamp};

use super::MemoryStore;
use super::rows::JobRow;
use super::state::MemoryState;

#[async_trait]
impl Browse for MemoryStore {
    async fn list(
        &self,
        filter: &EventFilter,
        limit: usize,
        after: Option<PageCursor>,
    ) -> Result<EventPage, StoreError> {
        self.with(|s| s.list(filter, limit, after))
    }

    async fn show(&self, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        self.with(|s| Some(s.events.get(s.sequence_by_id.get(&id)?)?.detail()))
    }

    async fn find(&self, event_id: &str, limit: usize) -> Result<Vec<EventId>, StoreError> {
        self.with(|s| {
            let rows = s.events.values().rev();
            let same_id = rows.filter(|row| row.event.event_id() == Some(event_id));
            same_id.take(limit).map(|row| row.event.id()).collect()
        })
    }

    async fn replay(&self, now: Timestamp, jobs: Vec<ReplayJob>) -> Result<usize, StoreError> {
        self.with(|s| jobs.into_iter().filter_map(|job| s.replay(now, job)).count())
    }
}

impl MemoryState {
    /// Lists matching events from the newest to the oldest. The cursor of a page is the sequence
    /// number of the last event that was read, whether it matched or not.
    fn list(&self, filter: &EventFilter, limit: usize, after: Option<PageCursor>) -> EventPage {
        let before = after.map_or(u64::MAX, |PageCursor(at)| u64::try_from(at).unwrap_or(0));
        let mut page = EventPage::default();
        let mut last = None;
        for (sequence, row) in self.events.range(..before).rev() {
            if page.events.len() >= limit {
                page.next = last;
                break;
            }
            let summary = row.summary();
            let has_status = filter.status.is_none_or(|status| summary.status == status);
            if has_status && filter.matches(&summary) {
                page.events.push(summary);
            }
            last = i64::try_from(*sequence).ok().map(PageCursor);
        }
        page
    }

    /// Revives or adds one job; `None` where there is nothing to replay.
    fn replay(&mut self, now: Timestamp, job: ReplayJob) -> Option<()> {
        let key = match job {
            ReplayJob::Revive(id) => {
                let key = (*self.sequence_by_id.get(&id.event)?, id.n);
                let dead = self.job_mut(key).filter(|job| job.state == JobState::Dead)?;
                dead.reset_for_replay(now);
                key
            }
            ReplayJob::Add { event, job } => {
                let sequence = *self.sequence_by_id.get(&event)?;
                let jobs = &mut self.events.get_mut(&sequence)?.jobs;
                let n = u32::try_from(jobs.len()).ok()?;
                let mut job = JobRow::new(job, now);
                job.reset_for_replay(now);
                jobs.push(job);
                (sequence, n)
            }
        };
        self.requeue(key, now);
        Some(())
    }
}
