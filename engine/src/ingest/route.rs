//! Stage 4, route: which routes take the events of a delivery, and with which jobs.
//!
//! Routing itself is pure. What it costs depends on the sender's bytes, so all conditions of a
//! delivery share one [`EvaluationBudget`]. Nearly every delivery is routed on the thread of its
//! request. One that costs more is routed again on a blocking thread, of which few run at the same
//! time: it delays its own kind, and no other delivery.

use std::sync::Arc;
use std::time::Duration;

use hookward_core::store::{NewJob, NewStatus};
use hookward_core::{Identity, Verified};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::RequestCx;
use super::rejection::Rejection;
use super::validate::ValidatedEvent;
use crate::compiled::{CompiledConfig, OnInvalid, RouteDecision, Source};
use crate::routing::{BudgetSpent, EvaluationBudget, EventView, MAX_EVALUATION_TIME};
use crate::telemetry;

/// How long a delivery waits for its evaluation before it is rejected as overloaded; the sender
/// tries again.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// An evaluation ends by its own clock. A single operation of a condition that takes longer, such
/// as a regular expression over a text of megabytes, cannot be interrupted; its sender is answered
/// without it.
const MAX_ANSWER_DELAY: Duration = MAX_EVALUATION_TIME.saturating_add(Duration::from_millis(500));

/// One event with the jobs that its routes make of it.
pub(super) struct RoutedEvent {
    pub(super) identity: Identity,
    pub(super) routing: Routing,
}

/// What the routes make of one event.
#[derive(Debug)]
pub(super) struct Routing {
    pub(super) status: NewStatus,
    pub(super) jobs: Vec<NewJob>,
    /// What operators read about the event: which route found it invalid, and why.
    pub(super) notes: Vec<String>,
    /// Why the configuration says to reject the event. Goes to the log, so it names routes and
    /// positions only; notes may quote member names of the payload.
    pub(super) rejection: Option<String>,
    /// The routes whose `when` could not be evaluated.
    failed_conditions: Vec<Arc<str>>,
    /// The routes for which the budget did not suffice.
    unaffordable: Vec<Arc<str>>,
}

/// A delivery as its routing sees it; shared with the thread that routes it.
struct Task {
    config: Arc<CompiledConfig>,
    source: Arc<Source>,
    verified: Arc<Verified>,
    headers: Arc<[(String, String)]>,
    events: Vec<ValidatedEvent>,
}

/// Routes deliveries, and bounds how many costly ones are routed at the same time.
#[derive(Debug)]
pub(super) struct Router {
    costly: Arc<Semaphore>,
}

impl Default for Router {
    /// Half of the cores, so that costly deliveries leave the rest to all others.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { costly: Arc::new(Semaphore::new((cores / 2).max(1))) }
    }
}

impl Router {
    /// Routes the events of a delivery, in its order.
    ///
    /// Each route whose globs match an event's type is asked for `match`, then `when`, then
    /// `schema`. It decides for itself, and one that finds the event invalid gets no job. An event
    /// whose conditions cost more than the delivery may take is invalid.
    ///
    /// # Errors
    /// [`Rejection::QueueFull`] where too many costly deliveries wait.
    pub(super) async fn route(
        &self,
        cx: &RequestCx<'_>,
        verified: &Arc<Verified>,
        headers: &Arc<[(String, String)]>,
        events: Vec<ValidatedEvent>,
    ) -> Result<Vec<RoutedEvent>, Rejection> {
        let task = Task {
            config: cx.config.clone(),
            source: cx.source.clone(),
            verified: verified.clone(),
            headers: headers.clone(),
            events,
        };
        let (events, routings) = match task.route(&EvaluationBudget::inline()) {
            Ok(routings) => (task.events, routings),
            Err(BudgetSpent) => self.route_costly(task).await?,
        };
        for routing in &routings {
            routing.failed_conditions.iter().for_each(|r| telemetry::count_condition_error(r));
            routing.unaffordable.iter().for_each(|r| telemetry::count_unaffordable(r));
        }
        let routed = events.into_iter().zip(routings);
        let routed =
            routed.map(|(event, routing)| RoutedEvent { identity: event.identity, routing });
        Ok(routed.collect())
    }

    /// Routes a delivery with its whole budget, on a blocking thread.
    async fn route_costly(
        &self,
        task: Task,
    ) -> Result<(Vec<ValidatedEvent>, Vec<Routing>), Rejection> {
        let waiting = self.costly.clone().acquire_owned();
        let Ok(Ok(permit)) = timeout(QUEUE_TIMEOUT, waiting).await else {
            return Err(Rejection::QueueFull);
        };
        let task = Arc::new(task);
        let running = spawn_blocking({
            let task = task.clone();
            move || {
                let routings = task.route_within(&EvaluationBudget::default());
                // Held also where nobody waits for the result any more.
                drop((task, permit));
                routings
            }
        });
        let routings = match timeout(MAX_ANSWER_DELAY, running).await {
            Ok(Ok(routings)) => routings,
            // A panic in a condition, or an operation that does not end: neither is a reason to
            // lose the events.
            Ok(Err(_)) | Err(_) => task.route_within(&EvaluationBudget::with_steps(0)),
        };
        // Shared only with a thread that nobody waits for.
        let events = Arc::try_unwrap(task).map_or_else(|task| task.events.clone(), |t| t.events);
        Ok((events, routings))
    }
}

impl Task {
    /// Routes all events with one budget.
    ///
    /// # Errors
    /// [`BudgetSpent`] where it did not suffice.
    fn route(&self, budget: &EvaluationBudget) -> Result<Vec<Routing>, BudgetSpent> {
        let mut routings = Vec::with_capacity(self.events.len());
        for event in &self.events {
            let routing = self.route_event(event, budget);
            if !routing.unaffordable.is_empty() {
                return Err(BudgetSpent);
            }
            routings.push(routing);
        }
        Ok(routings)
    }

    /// Routes all events with one budget; those for which it does not suffice are invalid.
    fn route_within(&self, budget: &EvaluationBudget) -> Vec<Routing> {
        self.events.iter().map(|event| self.route_event(event, budget)).collect()
    }

    fn route_event(&self, event: &ValidatedEvent, budget: &EvaluationBudget) -> Routing {
        let ValidatedEvent { identity, problem } = event;
        if let Some(problem) = problem {
            return unroutable(problem, self.source.on_parse_error);
        }
        let event_type = identity.event_type.as_deref().unwrap_or_default();
        let candidates = self.config.route_table.find(&self.source.name, event_type);
        let body = self.verified.body();
        // In a batch, conditions see the event's own item and not the whole delivery.
        let item = identity.item_pointer.as_deref();
        let item = item.and_then(|pointer| body.exact_json().ok()?.pointer(pointer));
        let event_id = identity.event_id.as_ref().map(|id| id.value.as_str());
        let (source, headers) = (&self.source.name, &self.headers);
        let view = EventView::new(source, event_type, event_id, headers, body, budget);
        let view = view.with_item(item);

        let mut routing = Routing::new(NewStatus::Unrouted);
        let mut rejecting = Vec::new();
        let mut is_invalid = false;
        for route in candidates {
            match route.evaluate(&view) {
                RouteDecision::Matches => {
                    let order_key = route.order_by.as_ref().and_then(|at| at.order_key(&view));
                    let job = NewJob::new(route.name.clone()).with_order_key(order_key);
                    routing.jobs.push(job);
                }
                RouteDecision::PatternMismatch(_) | RouteDecision::ConditionFalse => {}
                RouteDecision::ConditionError(reason) => {
                    let note = format!("{}: `when` could not be evaluated: {reason}", route.name);
                    routing.notes.push(note);
                    routing.failed_conditions.push(route.name.clone());
                }
                RouteDecision::Invalid(errors) => {
                    is_invalid = true;
                    let unreadable = view.json().is_err();
                    let policy =
                        if unreadable { self.source.on_parse_error } else { route.on_invalid };
                    if policy == OnInvalid::Reject {
                        rejecting.push(route.name.as_ref());
                    }
                    routing
                        .notes
                        .extend(errors.into_iter().map(|e| format!("{}: {e}", route.name)));
                }
                // Never rejected: whether the sender's event is valid is not known.
                RouteDecision::BudgetSpent(spent) => {
                    is_invalid = true;
                    routing.notes.push(format!("{}: {spent}", route.name));
                    routing.unaffordable.push(route.name.clone());
                }
            }
        }
        routing.status = match (routing.jobs.is_empty(), is_invalid) {
            (false, _) => NewStatus::Routed,
            (true, false) => NewStatus::Unrouted,
            (true, true) => NewStatus::Invalid,
        };
        // One route that takes the event outweighs all that find it invalid: it must be stored. So
        // does one that might take it.
        let is_rejected = routing.status == NewStatus::Invalid
            && !rejecting.is_empty()
            && routing.unaffordable.is_empty();
        routing.rejection = is_rejected.then(|| format!("not valid for {}", rejecting.join(", ")));
        routing
    }
}

impl Routing {
    fn new(status: NewStatus) -> Self {
        Self {
            status,
            jobs: Vec::new(),
            notes: Vec::new(),
            rejection: None,
            failed_conditions: Vec::new(),
            unaffordable: Vec::new(),
        }
    }
}

fn unroutable(problem: &str, policy: OnInvalid) -> Routing {
    let rejection = (policy == OnInvalid::Reject).then(|| problem.to_owned());
    Routing { notes: vec![problem.to_owned()], rejection, ..Routing::new(NewStatus::Invalid) }
}
