//! What an operator does: replays, by event and by filter, and asking why an event goes where it
//! goes. Used by the admin API and the command line.

use hookward_core::store::{
    Browse, EventDetail, Filter, JobState, NewJob, ReplayJob, Status, StoreError,
};
use hookward_core::{EventId, Store};

use crate::compiled::{CompiledConfig, Route};
use crate::engine::Engine;
use crate::routing::{self, Subject, Verdict};

/// Events looked at in one step of a long replay.
const PAGE: usize = 100;

/// How much was, or would be, made to run again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Replayed {
    /// Events.
    pub events: usize,
    /// Jobs.
    pub jobs: usize,
}

/// Why a replay cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The store cannot list and replay.
    #[error("this store cannot list or replay events")]
    NotBrowsable,
    /// No such event.
    #[error("there is no event {0}")]
    NoEvent(EventId),
    /// No such route.
    #[error("there is no route `{found}`; there are: {known}")]
    NoRoute {
        /// As asked for.
        found: String,
        /// All names.
        known: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The browsing ability, or the words that it is missing.
pub fn browse(store: &dyn Store) -> Result<&dyn Browse, ReplayError> {
    store.browse().ok_or(ReplayError::NotBrowsable)
}

impl Engine {
    /// Makes one event run again: with a route, that one; without, its dead jobs, else all routes it
    /// took, else those that it would take now. Returns how many jobs that makes.
    pub async fn replay_event(
        &self,
        id: EventId,
        route: Option<&str>,
    ) -> Result<usize, ReplayError> {
        let config = self.config();
        if let Some(found) = route.filter(|name| !config.routes.contains_key(*name)) {
            let known = config.routes.keys().map(|n| n.as_ref()).collect::<Vec<_>>().join(", ");
            return Err(ReplayError::NoRoute { found: found.to_owned(), known });
        }
        let browse = browse(self.store().as_ref())?;
        let detail = browse.show(id).await?.ok_or(ReplayError::NoEvent(id))?;
        let jobs = browse.replay(self.now(), jobs_again(&config, &detail, route)).await?;
        self.work_waits();
        Ok(jobs)
    }

    /// Makes all events that a filter lets through run again, oldest page last; with `plan_only` it
    /// counts and changes nothing. `told` hears how far it is.
    pub async fn replay_all(
        &self,
        filter: &Filter,
        limit: usize,
        plan_only: bool,
        told: &mut (dyn FnMut(Replayed) + Send),
    ) -> Result<Replayed, ReplayError> {
        let config = self.config();
        let browse = browse(self.store().as_ref())?;
        // What arrives, or changes its status, while this runs is not swept along.
        let filter = Filter { until: filter.until.or(Some(self.now())), ..filter.clone() };
        let (mut total, mut after) = (Replayed::default(), None);
        loop {
            let want = PAGE.min(limit.saturating_sub(total.events));
            if want == 0 {
                break;
            }
            let page = browse.list(&filter, want, after).await?;
            let mut again = Vec::new();
            for summary in &page.events {
                let Some(detail) = browse.show(summary.id).await? else { continue };
                let jobs = jobs_again(&config, &detail, None);
                total.events += usize::from(!jobs.is_empty());
                again.extend(jobs);
            }
            total.jobs += match plan_only {
                true => again.len(),
                false => browse.replay(self.now(), again).await?,
            };
            told(total);
            if !plan_only {
                self.work_waits();
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        Ok(total)
    }
}

fn jobs_again(
    config: &CompiledConfig,
    detail: &EventDetail,
    route: Option<&str>,
) -> Vec<ReplayJob> {
    let event = detail.event.id();
    let wanted = |name: &str| route.is_none_or(|r| r == name);
    let dead: Vec<ReplayJob> = detail
        .jobs
        .iter()
        .filter(|job| job.state == JobState::Dead && wanted(&job.route))
        .map(|job| ReplayJob::Revive(hookward_core::store::JobId { event, n: job.n }))
        .collect();
    if !dead.is_empty() {
        return dead;
    }
    let open = |name: &str| {
        let waits = |s| matches!(s, JobState::Pending | JobState::Running);
        detail.jobs.iter().any(|job| job.route == name && waits(job.state))
    };
    let mut routes: Vec<&std::sync::Arc<Route>> = match route {
        Some(name) => config.routes.get(name).into_iter().collect(),
        None => {
            let taken = |r: &&std::sync::Arc<Route>| {
                detail.jobs.iter().any(|job| job.route == r.name.as_ref())
            };
            config.routes.values().filter(taken).collect()
        }
    };
    if routes.is_empty() && detail.jobs.iter().all(|job| job.state == JobState::Unrouted) {
        routes = would_take(config, detail);
    }
    routes
        .into_iter()
        .filter(|r| !open(&r.name))
        .map(|r| ReplayJob::Add { event, job: new_job(r, detail) })
        .collect()
}

fn new_job(route: &Route, detail: &EventDetail) -> NewJob {
    let subject = Subject::of(&detail.event);
    let key = route.order_by.as_ref().zip(subject).and_then(|(at, s)| at.key(&s));
    NewJob { route: route.name.clone(), order_key: key, config_hash: route.config_hash }
}

fn would_take<'a>(
    config: &'a CompiledConfig,
    detail: &EventDetail,
) -> Vec<&'a std::sync::Arc<Route>> {
    let Some(subject) = Subject::of(&detail.event) else { return Vec::new() };
    let candidates = config.table.find(subject.source, subject.event_type);
    candidates.into_iter().filter(|r| routing::judge(r, &subject) == Verdict::Takes).collect()
}

/// Why one route takes an event or does not.
#[derive(Debug, Clone)]
pub struct Explained<'a> {
    /// The route.
    pub route: &'a Route,
    /// `None`: none of its globs lets the type through.
    pub verdict: Option<Verdict>,
}

/// Asks every route, in the order of the file.
pub fn explain<'a>(config: &'a CompiledConfig, subject: &Subject<'_>) -> Vec<Explained<'a>> {
    let candidates = config.table.find(subject.source, subject.event_type);
    let ask = |route: &'a std::sync::Arc<Route>| {
        let matches = candidates.iter().any(|c| c.name == route.name);
        Explained { route, verdict: matches.then(|| routing::judge(route, subject)) }
    };
    config.table.all().iter().map(ask).collect()
}

/// Whether a status word is one; the error names all.
pub fn parse_status(text: &str) -> Result<Status, String> {
    let all = Status::ALL.map(Status::as_str).join(", ");
    Status::parse(text).ok_or_else(|| format!("`{text}` is no status; there are: {all}"))
}
