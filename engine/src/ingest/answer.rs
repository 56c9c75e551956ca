//! Stage 6, answer: the reply that was stored with the delivery, and the audit line about it.
//!
//! `make_reply` chooses the reply of an accepted delivery; it runs before the commit, because the
//! reply is stored with the event.

use hookward_core::store::{Acceptance, DedupeKeyKind};
use hookward_core::{DeliveryOutcome, Receipt, Reply, Verified};

use super::delivery_builder::DeliverySummary;
use crate::compiled::Source;
use crate::telemetry;

/// Counts and logs how the delivery ended. Returns the answer of the first delivery for a
/// duplicate, byte for byte, and else this delivery's own.
pub(super) fn answer(source: &Source, acceptance: Acceptance, summary: DeliverySummary) -> Reply {
    match acceptance {
        Acceptance::Duplicate { answer, of, by } => {
            record_duplicate(source, &of.to_string(), by);
            answer
        }
        Acceptance::DuplicateOfPurged { by } => {
            record_duplicate(source, "purged", by);
            // Kept keys may be left from a configuration with a longer window.
            summary.answer_if_purged.unwrap_or(summary.answer)
        }
        Acceptance::Accepted { .. } => {
            let outcome = match summary.outcome {
                DeliveryOutcome::Accepted => "accepted",
                DeliveryOutcome::Unrouted => "unrouted",
                DeliveryOutcome::Invalid => "invalid",
                DeliveryOutcome::NoEvents => "handshake",
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

fn record_duplicate(source: &Source, of: &str, by: DedupeKeyKind) {
    let by = match by {
        DedupeKeyKind::Id => "id",
        DedupeKeyKind::Content => {
            telemetry::count_content_duplicate(&source.name);
            "content"
        }
    };
    telemetry::count_request(&source.name, "duplicate");
    telemetry::log_duplicate(&source.name, of, by);
}

/// The answer to an accepted delivery: the source's `reply:`, or else what the provider answers.
pub(super) fn make_reply(source: &Source, verified: &Verified, receipt: &Receipt) -> Reply {
    match &source.reply {
        Some(reply) => reply.clone(),
        None => source.provider.reply(verified, receipt),
    }
}

/// Answers a proven delivery whose batch is empty. Senders send one to try a URL. There is nothing
/// to store and nothing to lose, so it counts as a handshake and spends no rate.
pub(super) fn answer_empty_batch(source: &Source, verified: &Verified) -> Reply {
    make_reply(source, verified, &Receipt::new(DeliveryOutcome::NoEvents, Vec::new()))
}
