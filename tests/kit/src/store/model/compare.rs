//! Compares the visible state of a store with the model.

use std::collections::BTreeMap;

use hookward_core::store::{
    AttemptOutcome, AttemptRecord, Browse, EventDetail, EventFilter, EventStatus, JobCounts,
    JobDetail, JobState, QueueDepth, Store,
};

use super::contract_model::{ContractModel, ModelEvent};
use super::model_job::ModelJob;

/// Compares depth, every event and every listing.
pub(super) async fn compare_all(store: &dyn Store, model: &ContractModel) -> Result<(), String> {
    compare_depth(&store.depth().await.map_err(|e| format!("depth: {e}"))?, model)?;
    let Some(browse) = store.browse() else { return Ok(()) };
    for event in model.stored_events() {
        compare_event(browse, event).await?;
    }
    let purged = model.events.iter().filter(|event| event.purged);
    for event in purged {
        let found = browse.show(event.new.id).await.map_err(|e| format!("show: {e}"))?;
        if found.is_some() {
            return Err(format!("{} was purged and is shown", event.new.id));
        }
    }
    for status in [None].into_iter().chain(EventStatus::ALL.map(Some)) {
        compare_listing(browse, model, status).await?;
    }
    Ok(())
}

async fn compare_event(browse: &dyn Browse, event: &ModelEvent) -> Result<(), String> {
    let found = browse.show(event.new.id).await.map_err(|e| format!("show: {e}"))?;
    let Some(found) = found else { return Err(format!("{} is gone: {event:?}", event.new.id)) };
    let same = found.summary.status == event.status()
        && found.summary.jobs == counts(event)
        && found.event.body().bytes() == event.own_body().bytes()
        && found.event.headers() == event.headers
        && found.event.event_type() == event.new.event_type.as_deref()
        && found.event.event_id() == event.new.event_id.as_deref()
        && (found.event.source(), found.event.received_at()) == (&*event.source, event.received_at)
        && found.notes == event.new.notes
        && same_content_duplicates(&found, event)
        && found.jobs.len() == event.jobs.len();
    let jobs = (0..).zip(found.jobs.iter().zip(&event.jobs));
    let differs = jobs.into_iter().find(|(n, (actual, expected))| !same_job(*n, actual, expected));
    match differs {
        None if same => Ok(()),
        None => Err(format!("shown: {found:?}, expected {event:?}")),
        Some((_, (actual, expected))) => Err(format!("shown: {actual:?}, expected {expected:?}")),
    }
}

fn counts(event: &ModelEvent) -> JobCounts {
    let mut counts = JobCounts::default();
    event.jobs.iter().for_each(|job| counts.add(job.state));
    counts
}

fn same_content_duplicates(found: &EventDetail, event: &ModelEvent) -> bool {
    let actual = found
        .content_duplicates
        .iter()
        .map(|duplicate| (&duplicate.event_id, duplicate.received_at));
    actual.eq(event
        .content_duplicates
        .iter()
        .map(|duplicate| (&duplicate.event_id, duplicate.received_at)))
}

fn same_job(n: u32, actual: &JobDetail, expected: &ModelJob) -> bool {
    let same_reason = match (&actual.reason, &expected.reason) {
        // The store chooses the wording.
        (Some(actual), Some(expected)) => actual.contains(&**expected),
        (actual, expected) => actual.is_none() && expected.is_none(),
    };
    actual.n == n
        && actual.route == *expected.route
        && actual.state == expected.state
        && (actual.attempt == expected.attempt && actual.step == expected.step)
        && actual.due == (expected.state == JobState::Pending).then_some(expected.due)
        && same_reason
        && actual.attempts.len() == expected.attempts.len()
        && actual
            .attempts
            .iter()
            .zip(&expected.attempts)
            .all(|(actual, expected)| same_attempt(actual, expected))
}

fn same_attempt(actual: &AttemptRecord, expected: &AttemptRecord) -> bool {
    // The duration of an attempt without an outcome is the store's estimate.
    let is_estimate = matches!(expected.outcome, AttemptOutcome::Lease | AttemptOutcome::Crash);
    let duration_ms = if is_estimate { actual.duration_ms } else { expected.duration_ms };
    *actual == expected.clone().with_duration_ms(duration_ms)
}

async fn compare_listing(
    browse: &dyn Browse,
    model: &ContractModel,
    status: Option<EventStatus>,
) -> Result<(), String> {
    let filter = EventFilter::new().with_status(status);
    let (mut actual, mut after) = (Vec::new(), None);
    loop {
        let page = browse.list(&filter, 7, after).await.map_err(|e| format!("list: {e}"))?;
        actual.extend(page.events.into_iter().map(|event| event.id));
        after = match page.next {
            Some(next) if Some(next) == after => {
                return Err("a listing returns the same cursor".to_owned());
            }
            Some(next) => Some(next),
            None => break,
        };
    }
    let matching = model.stored_events().rev().filter(|e| status.is_none_or(|s| e.status() == s));
    let expected: Vec<_> = matching.map(|event| event.new.id).collect();
    if actual == expected {
        Ok(())
    } else {
        Err(format!("listed {status:?}: {actual:?}, not {expected:?}"))
    }
}

fn compare_depth(depth: &QueueDepth, model: &ContractModel) -> Result<(), String> {
    let mut expected: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (_, job) in model.jobs() {
        let (open, dead) = (job.is_open(), job.state == JobState::Dead);
        if open || dead {
            let counts = expected.entry(&*job.route).or_default();
            *counts = (counts.0 + u64::from(open), counts.1 + u64::from(dead));
        }
    }
    let actual: Vec<_> = depth.routes.iter().map(|r| (&*r.route, (r.open, r.dead))).collect();
    if !actual.iter().copied().eq(expected.iter().map(|(route, counts)| (*route, *counts))) {
        return Err(format!("the depth: {actual:?}, expected {expected:?}"));
    }
    let waiting = model.jobs().filter(|(_, job)| job.state == JobState::Pending);
    let received =
        waiting.filter_map(|(position, _)| Some(model.events.get(position.0)?.received_at));
    let received: Vec<_> = received.collect();
    // Where a clock was set back, the first that came need not be the one with the oldest date.
    let oldest = (received.first().max(received.iter().min()), received.iter().min());
    match (depth.oldest, oldest) {
        (None, (None, None)) => Ok(()),
        (Some(actual), (Some(last), Some(first))) if (*first..=*last).contains(&actual) => Ok(()),
        (actual, expected) => Err(format!("the oldest: {actual:?}, expected {expected:?}")),
    }
}
