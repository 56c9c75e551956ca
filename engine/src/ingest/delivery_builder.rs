//! From a proven delivery to the record that the store takes: events named, routes asked, the answer
//! made. Pure.

use std::sync::Arc;

use hookward_core::store::{JobId, NewDelivery, NewEvent, NewJob, NewStatus};
use hookward_core::{
    Body, DeliveryOutcome, EventId, Identity, Receipt, ReceiptEvent, Timestamp, Verified,
};

use crate::compiled::{CompiledConfig, OnInvalid, RouteDecision, Source};
use crate::ingest::dedupe::DedupeKeys;
use crate::ingest::rejection::Rejection;
use crate::routing::EventView;
use crate::telemetry;

/// The longest type and id of an event, in bytes.
const MAX_NAME: usize = 1024;

/// What is stored, and how it was taken.
pub(crate) struct Record {
    pub(crate) delivery: NewDelivery,
    pub(crate) outcome: DeliveryOutcome,
}

/// An event as judged.
struct Judged {
    status: NewStatus,
    jobs: Vec<NewJob>,
    notes: Vec<String>,
    /// Why it is refused, where the configuration says so. For the log: it names routes and places,
    /// while notes may quote names that the payload holds.
    reject: Option<String>,
}

/// Makes the record, or refuses what the configuration says to refuse. By `retention_now` repetitions are old.
pub(crate) fn of(
    config: &CompiledConfig,
    source: &Source,
    delivery: &Verified,
    now: Timestamp,
    retention_now: Timestamp,
) -> Result<Record, Rejection> {
    let headers = kept_headers(source, delivery);
    let mut events = Vec::new();
    let mut rejected = Vec::new();
    let mut claims = DedupeKeys::default();
    for (index, identity) in identities(source, delivery).into_iter().enumerate() {
        let (identity, unreadable) = identity;
        let judged = match unreadable {
            Some(reason) => invalid(reason, source.on_parse_error),
            None => judge(config, source, delivery, &identity, &headers),
        };
        rejected.extend(judged.reject);
        let keys = claims.of(source, delivery, &identity, index);
        let event_id = identity.event_id.map(|name| name.value);
        let Judged { status, jobs, notes, .. } = judged;
        let (event_type, part, id) = (identity.event_type, identity.part, EventId::generate(now));
        events.push(NewEvent { id, event_type, event_id, part, keys, status, notes, jobs });
    }
    if rejected.len() == events.len() {
        return Err(Rejection::Invalid { reason: rejected.join("; ") });
    }
    let receipt = receipt(&events);
    let delivery = NewDelivery {
        source: source.name.clone(),
        body: delivery.body().clone(),
        headers,
        received_at: now,
        answer: source.provider.reply(&receipt),
        dedupe_since: retention_now.minus(config.retention.events),
        events,
    };
    Ok(Record { delivery, outcome: receipt.outcome })
}

/// The events, and for each why it cannot be read, if so. What cannot be taken apart is one event.
fn identities(source: &Source, delivery: &Verified) -> Vec<(Identity, Option<String>)> {
    match source.provider.identify(delivery) {
        Ok(list) if !list.is_empty() => list
            .into_iter()
            .map(|mut identity| {
                // Such a name names nothing that anyone could look for.
                identity.event_id.take_if(|name| name.value.len() > MAX_NAME);
                if identity.event_type.take_if(|name| name.len() > MAX_NAME).is_some() {
                    let reason = format!("the event type is longer than {MAX_NAME} bytes");
                    return (identity, Some(reason));
                }
                let unreadable = identity.event_type.is_none().then(|| match delivery.json() {
                    Err(e) => e.to_string(),
                    Ok(_) => "the event type is not where this provider puts it".to_owned(),
                });
                (identity, unreadable)
            })
            .collect(),
        Ok(_) => vec![(Identity::default(), Some("there is no event in it".to_owned()))],
        Err(e) => vec![(Identity::default(), Some(e.to_string()))],
    }
}

fn invalid(reason: String, policy: OnInvalid) -> Judged {
    let reject = (policy == OnInvalid::Reject).then(|| reason.clone());
    Judged { status: NewStatus::Invalid, jobs: Vec::new(), notes: vec![reason], reject }
}

/// Asks every route whose globs let the type through.
fn judge(
    config: &CompiledConfig,
    source: &Source,
    delivery: &Verified,
    identity: &Identity,
    headers: &[(String, String)],
) -> Judged {
    let event_type = identity.event_type.as_deref().unwrap_or_default();
    let candidates = config.route_table.find(&source.name, event_type);
    let item = identity.part.as_deref().and_then(|p| delivery.json().ok()?.pointer(p)).cloned();
    let body = item.map_or_else(|| delivery.body().clone(), Body::from_json);
    let event_id = identity.event_id.as_ref().map(|name| name.value.as_str());
    let event = EventView::new(&source.name, event_type, event_id, headers, &body);

    let (mut jobs, mut notes, mut refusing) = (Vec::new(), Vec::new(), Vec::new());
    let mut failed = 0;
    for route in candidates {
        match route.evaluate(&event) {
            RouteDecision::Matches => {
                let order_key = route.order_by.as_ref().and_then(|at| at.order_key(&event));
                jobs.push(NewJob {
                    route: route.name.clone(),
                    order_key,
                    config_hash: route.config_hash,
                });
            }
            RouteDecision::PatternMismatch(_) | RouteDecision::ConditionFalse => {}
            RouteDecision::ConditionError(reason) => {
                telemetry::when_failed(&route.name);
                notes.push(format!("{}: `when` could not be computed: {reason}", route.name));
            }
            RouteDecision::Invalid(errors) => {
                failed += 1;
                let unreadable = body.json().is_err();
                let policy = if unreadable { source.on_parse_error } else { route.on_invalid };
                if policy == OnInvalid::Reject {
                    refusing.push(route.name.as_ref());
                }
                notes.extend(errors.into_iter().map(|e| format!("{}: {e}", route.name)));
            }
        }
    }
    let status = match (jobs.is_empty(), failed) {
        (false, _) => NewStatus::Routed,
        (true, 0) => NewStatus::Unrouted,
        (true, _) => NewStatus::Invalid,
    };
    let refused = status == NewStatus::Invalid && !refusing.is_empty();
    let reject = refused.then(|| format!("not valid for {}", refusing.join(", ")));
    Judged { status, jobs, notes, reject }
}

fn receipt(events: &[NewEvent]) -> Receipt {
    let has = |status| events.iter().any(|e| e.status == status);
    let outcome = if has(NewStatus::Routed) {
        DeliveryOutcome::Accepted
    } else if has(NewStatus::Invalid) {
        DeliveryOutcome::Invalid
    } else {
        DeliveryOutcome::Unrouted
    };
    let line = |e: &NewEvent| ReceiptEvent {
        id: e.id,
        event_type: e.event_type.clone(),
        event_id: e.event_id.clone(),
        job: (!e.jobs.is_empty()).then_some(JobId { event: e.id, n: 0 }),
    };
    Receipt { outcome, events: events.iter().map(line).collect() }
}

/// By allow-list: what the provider names, and a few that are always safe.
fn kept_headers(source: &Source, delivery: &Verified) -> Arc<[(String, String)]> {
    let value = |name: &String| delivery.header(name).map(|v| (name.clone(), v.to_owned()));
    source.keep_headers.iter().filter_map(value).collect()
}
