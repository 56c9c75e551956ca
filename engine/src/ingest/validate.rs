//! Stage 3, validate: can this event be routed at all? Pure.
//!
//! An event needs a type, and a body that can be read where the type stands in the body. The JSON
//! Schema of a route is part of that route: [`route`](mod@super::route) checks it after `match` and
//! `when`, because it counts only for routes that would take the event.

use hookward_core::{Identity, Verified};

use super::identify::{IdentifiedEvent, MAX_NAME_BYTES};

/// One event whose readability is known.
#[derive(Clone)]
pub(super) struct ValidatedEvent {
    pub(super) identity: Identity,
    /// Why the event cannot be routed; `None`: it has a type.
    pub(super) problem: Option<String>,
}

/// Finds out whether the event has a type by which it can be routed.
pub(super) fn validate(verified: &Verified, event: IdentifiedEvent) -> ValidatedEvent {
    let IdentifiedEvent { mut identity, problem } = event;
    let problem = problem.or_else(|| type_problem(verified, &mut identity));
    ValidatedEvent { identity, problem }
}

fn type_problem(verified: &Verified, identity: &mut Identity) -> Option<String> {
    if identity.event_type.take_if(|name| name.len() > MAX_NAME_BYTES).is_some() {
        return Some(format!("the event type is longer than {MAX_NAME_BYTES} bytes"));
    }
    if identity.event_type.is_some() {
        return None;
    }
    // A body that is not JSON explains a missing type better than the missing type does.
    Some(match verified.json() {
        Err(error) => error.to_string(),
        Ok(_) => "the event type is not where this provider puts it".to_owned(),
    })
}
