//! The log lines of this handler.

use hookward_core::{Event, HandlerCx};

/// An event came by. INFO. Texts of the sender are recorded as strings, which subscribers quote
/// and escape, so a type cannot forge a line.
pub(crate) fn event_passed(event: &Event, cx: &HandlerCx) {
    tracing::info!(
        id = %event.id(),
        source = event.source(),
        event_type = event.event_type(),
        route = &*cx.route,
        attempt = cx.attempt,
        "event"
    );
}
