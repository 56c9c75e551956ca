//! Stage 6, answer: the reply that was stored with the delivery, and the audit line about it.

use hookward_core::store::{Acceptance, DedupeKeyKind};
use hookward_core::{DeliveryOutcome, Reply};

use super::delivery_builder::DeliverySummary;
use crate::compiled::Source;
use crate::telemetry;

/// Counts and logs how the delivery ended. Returns the answer of the first delivery for a
/// duplicate, byte for byte, and else this delivery's own.
pub(super) fn answer(source: &Source, acceptance: Acceptance, summary: DeliverySummary) -> Reply {
    match acceptance {
        Acceptance::Duplicate { answer, of, by } => {
            let by = match by {
                DedupeKeyKind::Id => "id",
                DedupeKeyKind::Content => {
                    telemetry::count_content_duplicate(&source.name);
                    "content"
                }
            };
            telemetry::count_request(&source.name, "duplicate");
            telemetry::log_duplicate(&source.name, &of.to_string(), by);
            answer
        }
        Acceptance::Accepted { .. } => {
            let outcome = match summary.outcome {
                DeliveryOutcome::Accepted => "accepted",
                DeliveryOutcome::Unrouted => "unrouted",
                DeliveryOutcome::Invalid => "invalid",
            };
            telemetry::count_request(&source.name, outcome);
            if let Some((event, event_type)) = summary.first_event {
                let event_type = event_type.as_deref();
                telemetry::log_accepted(&source.name, &event, event_type, outcome, summary.jobs);
            }
            summary.answer
        }
    }
}
