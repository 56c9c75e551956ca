//! Stage 4, route: which routes take an event, and with which jobs. Pure, except for the counter of
//! conditions that fail.

use hookward_core::store::{NewJob, NewStatus};
use hookward_core::{Body, Identity, Verified};

use super::RequestCx;
use super::validate::ValidatedEvent;
use crate::compiled::{OnInvalid, RouteDecision};
use crate::routing::EventView;
use crate::telemetry;

/// One event with the jobs that its routes make of it.
pub(super) struct RoutedEvent {
    pub(super) identity: Identity,
    pub(super) status: NewStatus,
    pub(super) jobs: Vec<NewJob>,
    /// What operators read about the event: which route found it invalid, and why.
    pub(super) notes: Vec<String>,
    /// Why the configuration says to reject the event. Goes to the log, so it names routes and
    /// positions only; notes may quote member names of the payload.
    pub(super) rejection: Option<String>,
}

/// Asks each route whose globs match the event's type for `match`, then `when`, then `schema`. Each
/// route decides for itself, and one that finds the event invalid gets no job.
pub(super) fn route(
    cx: &RequestCx<'_>,
    verified: &Verified,
    headers: &[(String, String)],
    event: ValidatedEvent,
) -> RoutedEvent {
    let ValidatedEvent { identity, problem } = event;
    if let Some(problem) = problem {
        return unroutable(identity, problem, cx.source.on_parse_error);
    }
    let event_type = identity.event_type.as_deref().unwrap_or_default();
    let candidates = cx.config.route_table.find(&cx.source.name, event_type);
    // In a batch, conditions see the event's own item and not the whole delivery.
    let item =
        identity.item_pointer.as_deref().and_then(|p| verified.json().ok()?.pointer(p)).cloned();
    let body = item.map_or_else(|| verified.body().clone(), Body::from_json);
    let event_id = identity.event_id.as_ref().map(|id| id.value.as_str());
    let view = EventView::new(&cx.source.name, event_type, event_id, headers, &body);

    let (mut jobs, mut notes, mut rejecting) = (Vec::new(), Vec::new(), Vec::new());
    let mut invalid_for = 0;
    for route in candidates {
        match route.evaluate(&view) {
            RouteDecision::Matches => {
                let order_key = route.order_by.as_ref().and_then(|at| at.order_key(&view));
                jobs.push(NewJob::new(route.name.clone()).with_order_key(order_key));
            }
            RouteDecision::PatternMismatch(_) | RouteDecision::ConditionFalse => {}
            RouteDecision::ConditionError(reason) => {
                telemetry::count_condition_error(&route.name);
                notes.push(format!("{}: `when` could not be evaluated: {reason}", route.name));
            }
            RouteDecision::Invalid(errors) => {
                invalid_for += 1;
                let unreadable = body.json().is_err();
                let policy = if unreadable { cx.source.on_parse_error } else { route.on_invalid };
                if policy == OnInvalid::Reject {
                    rejecting.push(route.name.as_ref());
                }
                notes.extend(errors.into_iter().map(|e| format!("{}: {e}", route.name)));
            }
        }
    }
    let status = match (jobs.is_empty(), invalid_for) {
        (false, _) => NewStatus::Routed,
        (true, 0) => NewStatus::Unrouted,
        (true, _) => NewStatus::Invalid,
    };
    // One route that takes the event outweighs all that find it invalid: it must be stored.
    let is_rejected = status == NewStatus::Invalid && !rejecting.is_empty();
    let rejection = is_rejected.then(|| format!("not valid for {}", rejecting.join(", ")));
    RoutedEvent { identity, status, jobs, notes, rejection }
}

fn unroutable(identity: Identity, problem: String, policy: OnInvalid) -> RoutedEvent {
    let rejection = (policy == OnInvalid::Reject).then(|| problem.clone());
    let (status, jobs, notes) = (NewStatus::Invalid, Vec::new(), vec![problem]);
    RoutedEvent { identity, status, jobs, notes, rejection }
}
