//! The log lines of the handler, one function each.

use hookward_core::{Event, HandlerCx};

/// Logs an event at INFO. Texts of the sender are recorded as strings, which subscribers quote and
/// escape, so a type cannot forge a line.
pub(crate) fn log_event(event: &Event, cx: &HandlerCx) {
    tracing::info!(
        id = %event.id(),
        source = event.source(),
        event_type = event.event_type(),
        route = &*cx.route,
        attempt = cx.attempt,
        "event"
    );
}
