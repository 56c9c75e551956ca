//! What a store shows against what the books say.

use std::collections::BTreeMap;

use hookward_core::store::{
    AttemptRecord, Browse, Depth, EventDetail, Filter, JobCounts, JobDetail, JobState, Status,
    Store,
};

use super::books::{Books, MEvent};
use super::job::MJob;

/// Everything that can be seen from outside.
pub(super) async fn whole(store: &dyn Store, books: &Books) -> Result<(), String> {
    depth(&store.depth().await.map_err(|e| format!("depth: {e}"))?, books)?;
    let Some(browse) = store.browse() else { return Ok(()) };
    for event in books.present() {
        shown(browse, event).await?;
    }
    let gone = books.events.iter().filter(|event| event.purged);
    for event in gone {
        let found = browse.show(event.new.id).await.map_err(|e| format!("show: {e}"))?;
        if found.is_some() {
            return Err(format!("{} was purged and is shown", event.new.id));
        }
    }
    for status in [None].into_iter().chain(Status::ALL.map(Some)) {
        listed(browse, books, status).await?;
    }
    Ok(())
}

async fn shown(browse: &dyn Browse, event: &MEvent) -> Result<(), String> {
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
        && same_twins(&found, event)
        && found.jobs.len() == event.jobs.len();
    let jobs = (0..).zip(found.jobs.iter().zip(&event.jobs));
    let differs = jobs.into_iter().find(|(n, (is, should))| !same_job(*n, is, should));
    match differs {
        None if same => Ok(()),
        None => Err(format!("shown is {found:?}, it should be {event:?}")),
        Some((_, (is, should))) => Err(format!("shown is {is:?}, it should be {should:?}")),
    }
}

fn counts(event: &MEvent) -> JobCounts {
    let mut counts = JobCounts::default();
    event.jobs.iter().for_each(|job| counts.add(job.state));
    counts
}

fn same_twins(found: &EventDetail, event: &MEvent) -> bool {
    let is = found.content_duplicates.iter().map(|twin| (&twin.event_id, twin.received_at));
    is.eq(event.content_duplicates.iter().map(|twin| (&twin.event_id, twin.received_at)))
}

fn same_job(n: u32, is: &JobDetail, should: &MJob) -> bool {
    let reason = match (&is.reason, &should.reason) {
        // The store finds its own words for it.
        (Some(is), Some(should)) => is.contains(&**should),
        (is, should) => is.is_none() && should.is_none(),
    };
    is.n == n
        && is.route == *should.route
        && is.state == should.state
        && (is.attempt == should.attempt && is.step == should.step)
        && is.due == (should.state == JobState::Pending).then_some(should.due)
        && reason
        && is.attempts.len() == should.attempts.len()
        && is.attempts.iter().zip(&should.attempts).all(|(is, should)| same_attempt(is, should))
}

fn same_attempt(is: &AttemptRecord, should: &AttemptRecord) -> bool {
    // How long a run took that nobody told of is the store's guess.
    let guessed = matches!(&*should.outcome, "lease" | "crash");
    let duration_ms = if guessed { is.duration_ms } else { should.duration_ms };
    *is == AttemptRecord { duration_ms, ..should.clone() }
}

async fn listed(browse: &dyn Browse, books: &Books, status: Option<Status>) -> Result<(), String> {
    let filter = Filter { status, ..Filter::default() };
    let (mut is, mut after) = (Vec::new(), None);
    loop {
        let page = browse.list(&filter, 7, after).await.map_err(|e| format!("list: {e}"))?;
        is.extend(page.events.into_iter().map(|event| event.id));
        after = match page.next {
            Some(next) if Some(next) == after => return Err("a listing stands still".to_owned()),
            Some(next) => Some(next),
            None => break,
        };
    }
    let wanted = books.present().rev().filter(|e| status.is_none_or(|s| e.status() == s));
    let should: Vec<_> = wanted.map(|event| event.new.id).collect();
    if is == should { Ok(()) } else { Err(format!("listed {status:?}: {is:?}, not {should:?}")) }
}

fn depth(depth: &Depth, books: &Books) -> Result<(), String> {
    let mut should: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (_, job) in books.jobs() {
        let (open, dead) = (job.is_open(), job.state == JobState::Dead);
        if open || dead {
            let counts = should.entry(&*job.route).or_default();
            *counts = (counts.0 + u64::from(open), counts.1 + u64::from(dead));
        }
    }
    let is: Vec<_> = depth.routes.iter().map(|r| (&*r.route, (r.open, r.dead))).collect();
    if !is.iter().copied().eq(should.iter().map(|(route, counts)| (*route, *counts))) {
        return Err(format!("the depth is {is:?}, it should be {should:?}"));
    }
    let waiting = books.jobs().filter(|(_, job)| job.state == JobState::Pending);
    let received = waiting.filter_map(|(place, _)| Some(books.events.get(place.0)?.received_at));
    let received: Vec<_> = received.collect();
    // Where a clock was set back, the first that came need not be the one with the oldest date.
    let oldest = (received.first().max(received.iter().min()), received.iter().min());
    match (depth.oldest, oldest) {
        (None, (None, None)) => Ok(()),
        (Some(is), (Some(last), Some(first))) if (*first..=*last).contains(&is) => Ok(()),
        (is, should) => Err(format!("the oldest is {is:?}, it should be {should:?}")),
    }
}
