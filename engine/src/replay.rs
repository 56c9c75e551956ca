//! What an operator does with stored events: replay one, replay all that a filter matches, and ask
//! why an event does or does not match each route. Called by the admin API and the command line.

use std::sync::Arc;

use hookward_core::store::{
    Browse, EventDetail, EventFilter, JobId, JobState, NewJob, ReplayJob, StoreError,
};
use hookward_core::{EventId, Store};
use tokio::task::spawn_blocking;

use crate::compiled::{CompiledConfig, Route, RouteDecision};
use crate::engine::Engine;
use crate::routing::{EvaluationBudget, EventView};

/// The number of events that a bulk replay reads and replays at a time. Between two pages the
/// store serves other work.
const PAGE_EVENTS: usize = 100;

/// How many events and jobs a replay queued or, as a dry run, would queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReplayCounts {
    /// The number of events with at least one job to run.
    pub events: usize,
    /// The number of jobs revived or added.
    pub jobs: usize,
}

/// Why a replay is not possible.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The store does not implement [`Browse`].
    #[error("this store cannot list or replay events")]
    NotBrowsable,
    /// The store holds no event with this id.
    #[error("there is no event {0}")]
    NoEvent(EventId),
    /// The configuration has no route of this name.
    #[error("there is no route `{found}`; there are: {known}")]
    NoRoute {
        /// The name that was asked for.
        found: String,
        /// The names of all routes, separated by commas.
        known: String,
    },
    /// The store failed while reading or replaying.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the store's ability to list and replay.
///
/// # Errors
/// [`ReplayError::NotBrowsable`] for a store without it.
pub fn require_browse(store: &dyn Store) -> Result<&dyn Browse, ReplayError> {
    store.browse().ok_or(ReplayError::NotBrowsable)
}

impl Engine {
    /// Queues jobs for one event and returns their number; 0 where it has nothing to replay.
    ///
    /// Its dead jobs are revived. Where it has none, it gets new jobs: for `route` if one is named,
    /// else for every route it had a job for, else for the routes that match it now. A route whose
    /// job is still pending or running gets no second one.
    ///
    /// # Errors
    /// See [`ReplayError`].
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
        let browse = require_browse(self.store().as_ref())?;
        let detail = browse.show(id).await?.ok_or(ReplayError::NoEvent(id))?;
        let jobs = find_jobs(&config, detail, route.map(str::to_owned)).await;
        let jobs = browse.replay(self.now(), jobs).await?;
        self.wake_worker();
        Ok(jobs)
    }

    /// Queues jobs for up to `limit` events that match a filter, the newest first, each as
    /// [`replay_event`](Self::replay_event) does. A `dry_run` counts them and changes nothing.
    ///
    /// # Errors
    /// See [`ReplayError`]. Pages replayed before the error stay replayed.
    pub async fn replay_matching(
        &self,
        filter: &EventFilter,
        limit: usize,
        dry_run: bool,
    ) -> Result<ReplayCounts, ReplayError> {
        let config = self.config();
        let browse = require_browse(self.store().as_ref())?;
        // Without an upper bound, events that arrive while this runs would be replayed too.
        let filter = filter.clone().with_until(filter.until.or(Some(self.now())));
        let (mut total, mut after) = (ReplayCounts::default(), None);
        loop {
            let page_limit = PAGE_EVENTS.min(limit.saturating_sub(total.events));
            if page_limit == 0 {
                break;
            }
            let page = browse.list(&filter, page_limit, after).await?;
            let mut page_jobs = Vec::new();
            for summary in &page.events {
                let Some(detail) = browse.show(summary.id).await? else { continue };
                let jobs = find_jobs(&config, detail, None).await;
                total.events += usize::from(!jobs.is_empty());
                page_jobs.extend(jobs);
            }
            total.jobs += match dry_run {
                true => page_jobs.len(),
                false => browse.replay(self.now(), page_jobs).await?,
            };
            if !dry_run {
                self.wake_worker();
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        Ok(total)
    }
}

/// Finds the jobs of an event; on a blocking thread where its conditions cost more than the thread
/// of a request has time for.
async fn find_jobs(
    config: &Arc<CompiledConfig>,
    mut detail: EventDetail,
    route: Option<String>,
) -> Vec<ReplayJob> {
    detail.event = config.with_json_options(&detail.event);
    let budget = EvaluationBudget::inline();
    let jobs = jobs_to_replay(config, &detail, route.as_deref(), &budget);
    if !budget.is_spent() {
        return jobs;
    }
    let config = config.clone();
    let finding = spawn_blocking(move || {
        jobs_to_replay(&config, &detail, route.as_deref(), &EvaluationBudget::default())
    });
    // A panic in a condition leaves the event as it is.
    finding.await.unwrap_or_default()
}

/// The jobs to revive or add so that an event runs again; see [`Engine::replay_event`].
fn jobs_to_replay(
    config: &CompiledConfig,
    detail: &EventDetail,
    route: Option<&str>,
    budget: &EvaluationBudget,
) -> Vec<ReplayJob> {
    let event = detail.event.id();
    let is_wanted = |name: &str| route.is_none_or(|r| r == name);
    let dead: Vec<ReplayJob> = detail
        .jobs
        .iter()
        .filter(|job| job.state == JobState::Dead && is_wanted(&job.route))
        .map(|job| ReplayJob::Revive(JobId { event, n: job.n }))
        .collect();
    if !dead.is_empty() {
        return dead;
    }
    let is_unfinished = |name: &str| {
        let unfinished = |s| matches!(s, JobState::Pending | JobState::Running);
        detail.jobs.iter().any(|job| job.route == name && unfinished(job.state))
    };
    let mut routes: Vec<&Arc<Route>> = match route {
        Some(name) => config.routes.get(name).into_iter().collect(),
        None => {
            let had_job =
                |r: &&Arc<Route>| detail.jobs.iter().any(|job| job.route == r.name.as_ref());
            config.routes.values().filter(had_job).collect()
        }
    };
    if routes.is_empty() && detail.jobs.iter().all(|job| job.state == JobState::Unrouted) {
        routes = matching_routes(config, detail, budget);
    }
    routes
        .into_iter()
        .filter(|r| !is_unfinished(&r.name))
        .map(|r| ReplayJob::Add { event, job: new_job(r, detail, budget) })
        .collect()
}

fn new_job(route: &Route, detail: &EventDetail, budget: &EvaluationBudget) -> NewJob {
    let view = EventView::of_event(&detail.event, budget);
    let order_key = route.order_by.as_ref().zip(view).and_then(|(at, view)| at.order_key(&view));
    NewJob::new(route.name.clone()).with_order_key(order_key)
}

/// The routes that match a stored event under the configuration in force.
fn matching_routes<'a>(
    config: &'a CompiledConfig,
    detail: &EventDetail,
    budget: &EvaluationBudget,
) -> Vec<&'a Arc<Route>> {
    let Some(view) = EventView::of_event(&detail.event, budget) else { return Vec::new() };
    let candidates = config.route_table.find(view.source, view.event_type);
    candidates.into_iter().filter(|r| r.evaluate(&view) == RouteDecision::Matches).collect()
}

/// Why one route matches an event or does not.
#[derive(Debug, Clone)]
pub struct RouteExplanation<'a> {
    /// The route that was evaluated.
    pub route: &'a Route,
    /// The route's decision; `None` where none of its globs matches the event type.
    pub decision: Option<RouteDecision>,
}

/// Evaluates every route for an event, in the order of the file.
pub fn explain<'a>(config: &'a CompiledConfig, event: &EventView<'_>) -> Vec<RouteExplanation<'a>> {
    let candidates = config.route_table.find(event.source, event.event_type);
    let explain_route = |route: &'a Arc<Route>| {
        let is_candidate = candidates.iter().any(|c| c.name == route.name);
        RouteExplanation { route, decision: is_candidate.then(|| route.evaluate(event)) }
    };
    config.route_table.all().iter().map(explain_route).collect()
}
