//! Compares the visible state of a store with the model.

use std::collections::BTreeMap;

use hookward_core::store::{
    AttemptOutcome, AttemptRecord, Browse, EventDetail, EventFilter, EventStatus, JobCounts,
    JobDetail, JobState, QueueDepth, Store,
};

use super::contract_model::{ContractModel, ModelEvent};
use super::model_job::ModelJob;

/// Compares depth, every event and every listing.
pub(super) async fn whole(store: &dyn Store, model: &ContractModel) -> Result<(), String> {
    depth(&store.depth().await.map_err(|e| format!("depth: {e}"))?, model)?;
    let Some(browse) = store.browse() else { return Ok(()) };
    for event in model.present() {
        shown(browse, event).await?;
    }
    let gone = model.events.iter().filter(|event| event.purged);
    for event in gone {
        let found = browse.show(event.new.id).await.map_err(|e| format!("show: {e}"))?;
        if found.is_some() {
            return Err(format!("{} was purged and is shown", event.new.id));
        }
    }
    for status in [None].into_iter().chain(EventStatus::ALL.map(Some)) {
        listed(browse, model, status).await?;
    }
    Ok(())
}

async fn shown(browse: &dyn Browse, event: &ModelEvent) -> Result<(), String> {
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
    let differs = jobs.into_iter().find(|(n, (is, expected))| !same_job(*n, is, expected));
    match differs {
        None if same => Ok(()),
        None => Err(format!("shown is {found:?}, it expected be {event:?}")),
        Some((_, (is, expected))) => Err(format!("shown is {is:?}, it expected be {expected:?}")),
    }
}

fn counts(event: &ModelEvent) -> JobCounts {
    let mut counts = JobCounts::default();
    event.jobs.iter().for_each(|job| counts.add(job.state));
    counts
}

fn same_content_duplicates(found: &EventDetail, event: &ModelEvent) -> bool {
    let is = found
        .content_duplicates
        .iter()
        .map(|duplicate| (&duplicate.event_id, duplicate.received_at));
    is.eq(event
        .content_duplicates
        .iter()
        .map(|duplicate| (&duplicate.event_id, duplicate.received_at)))
}

fn same_job(n: u32, is: &JobDetail, expected: &ModelJob) -> bool {
    let reason = match (&is.reason, &expected.reason) {
        // The store chooses the wording.
        (Some(is), Some(expected)) => is.contains(&**expected),
        (is, expected) => is.is_none() && expected.is_none(),
    };
    is.n == n
        && is.route == *expected.route
        && is.state == expected.state
        && (is.attempt == expected.attempt && is.step == expected.step)
        && is.due == (expected.state == JobState::Pending).then_some(expected.due)
        && reason
        && is.attempts.len() == expected.attempts.len()
        && is
            .attempts
            .iter()
            .zip(&expected.attempts)
            .all(|(is, expected)| same_attempt(is, expected))
}

fn same_attempt(is: &AttemptRecord, expected: &AttemptRecord) -> bool {
    // The duration of an attempt without an outcome is the store's estimate.
    let guessed = matches!(expected.outcome, AttemptOutcome::Lease | AttemptOutcome::Crash);
    let duration_ms = if guessed { is.duration_ms } else { expected.duration_ms };
    *is == expected.clone().with_duration_ms(duration_ms)
}

async fn listed(
    browse: &dyn Browse,
    model: &ContractModel,
    status: Option<EventStatus>,
) -> Result<(), String> {
    let filter = EventFilter::new().with_status(status);
    let (mut is, mut after) = (Vec::new(), None);
    loop {
        let page = browse.list(&filter, 7, after).await.map_err(|e| format!("list: {e}"))?;
        is.extend(page.events.into_iter().map(|event| event.id));
        after = match page.next {
            Some(next) if Some(next) == after => {
                return Err("a listing returns the same cursor".to_owned());
            }
            Some(next) => Some(next),
            None => break,
        };
    }
    let wanted = model.present().rev().filter(|e| status.is_none_or(|s| e.status() == s));
    let expected: Vec<_> = wanted.map(|event| event.new.id).collect();
    if is == expected {
        Ok(())
    } else {
        Err(format!("listed {status:?}: {is:?}, not {expected:?}"))
    }
}

fn depth(depth: &QueueDepth, model: &ContractModel) -> Result<(), String> {
    let mut expected: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (_, job) in model.jobs() {
        let (open, dead) = (job.is_open(), job.state == JobState::Dead);
        if open || dead {
            let counts = expected.entry(&*job.route).or_default();
            *counts = (counts.0 + u64::from(open), counts.1 + u64::from(dead));
        }
    }
    let is: Vec<_> = depth.routes.iter().map(|r| (&*r.route, (r.open, r.dead))).collect();
    if !is.iter().copied().eq(expected.iter().map(|(route, counts)| (*route, *counts))) {
        return Err(format!("the depth is {is:?}, it expected be {expected:?}"));
    }
    let waiting = model.jobs().filter(|(_, job)| job.state == JobState::Pending);
    let received = waiting.filter_map(|(place, _)| Some(model.events.get(place.0)?.received_at));
    let received: Vec<_> = received.collect();
    // Where a clock was set back, the first that came need not be the one with the oldest date.
    let oldest = (received.first().max(received.iter().min()), received.iter().min());
    match (depth.oldest, oldest) {
        (None, (None, None)) => Ok(()),
        (Some(is), (Some(last), Some(first))) if (*first..=*last).contains(&is) => Ok(()),
        (is, expected) => Err(format!("the oldest is {is:?}, it expected be {expected:?}")),
    }
}
