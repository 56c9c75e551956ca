//! Builds what the store commits: one delivery with its events, their dedupe keys and jobs, and the
//! answer that every repetition gets. Pure.

use std::sync::Arc;

use hookward_core::store::{JobId, NewDelivery, NewEvent, NewStatus};
use hookward_core::{DeliveryOutcome, Receipt, ReceiptEvent, Reply, Verified};
use hookward_core::{TLS_CLIENT_SAN, TLS_CLIENT_SUBJECT};

use super::RequestCx;
use super::answer::make_reply;
use super::dedupe::DedupeKeyBuilder;
use super::rejection::Rejection;
use super::route::{RoutedEvent, Routing};
use crate::retention_clock::RetentionTime;

/// Collects the routed events of one delivery.
pub(super) struct DeliveryBuilder<'a> {
    cx: &'a RequestCx<'a>,
    headers: Arc<[(String, String)]>,
    dedupe_keys: DedupeKeyBuilder,
    events: Vec<NewEvent>,
    /// Why events are rejected, where the configuration says so; at most one text per event.
    rejections: Vec<String>,
}

/// What remains of a delivery for the answer and the log, once the store owns the rest.
pub(super) struct DeliverySummary {
    pub(super) answer: Reply,
    /// The answer where the delivery repeats an event that was purged, and the stored answer with
    /// it: the provider's own, of an event without jobs.
    /// `None` where keys do not outlive their events.
    pub(super) answer_if_purged: Option<Reply>,
    pub(super) outcome: DeliveryOutcome,
    /// Id and type of the first event.
    pub(super) first_event: Option<(String, Option<String>)>,
    pub(super) jobs: usize,
}

impl<'a> DeliveryBuilder<'a> {
    /// Starts with the headers that are stored: those that the provider names, and a few that are
    /// always safe. By allow-list, because others may hold credentials.
    pub(super) fn new(cx: &'a RequestCx<'a>, verified: &Verified) -> Self {
        let stored =
            |name: &String| verified.header(name).map(|value| (name.clone(), value.to_owned()));
        let kept = cx.source.keep_headers.iter().filter_map(stored);
        let headers = kept.chain(client_names(verified)).collect();
        let (dedupe_keys, events) = (DedupeKeyBuilder::default(), Vec::new());
        Self { cx, headers, dedupe_keys, events, rejections: Vec::new() }
    }

    /// The headers that are stored with the delivery.
    pub(super) fn headers(&self) -> &Arc<[(String, String)]> {
        &self.headers
    }

    /// Adds the next event, in the order of the delivery.
    pub(super) fn add(&mut self, verified: &Verified, event: RoutedEvent) {
        let RoutedEvent { identity, routing } = event;
        let Routing { status, jobs, notes, rejection, .. } = routing;
        self.rejections.extend(rejection);
        let index = self.events.len();
        let found = self.dedupe_keys.keys_of_event(self.cx.source, verified, &identity, index);
        let notes = notes.into_iter().chain(found.note.map(str::to_owned)).collect();
        self.events.push(
            NewEvent::new((self.cx.generate_event_id)(self.cx.received_at), status)
                .with_event_type(identity.event_type)
                .with_event_id(identity.event_id.map(|id| id.value))
                .with_item_pointer(identity.item_pointer)
                .with_keys(found.keys)
                .with_variant_keys(found.variant_keys)
                .with_unsigned_id(found.unsigned_id)
                .with_notes(notes)
                .with_jobs(jobs),
        );
    }

    /// Finishes the delivery, or rejects it where every one of its events is rejected. Consumes the
    /// proven request, so that the stored body is the only owner of its parsed JSON.
    pub(super) fn build(
        self,
        verified: Arc<Verified>,
        retention: RetentionTime,
    ) -> Result<(NewDelivery, DeliverySummary), Rejection> {
        let Self { cx, headers, events, rejections, .. } = self;
        // One event that is to be stored outweighs all that are rejected: the sender gets one
        // answer.
        if rejections.len() == events.len() {
            return Err(Rejection::Invalid { reason: rejections.join("; ") });
        }
        // Worded before the commit, because it is stored with the event: a duplicate gets it byte
        // for byte.
        let receipt = build_receipt(&events, true);
        let answer = make_reply(cx.source, &verified, &receipt);
        let summary = DeliverySummary {
            answer: answer.clone(),
            answer_if_purged: (cx.source.dedupe_window > cx.config.retention.events)
                .then(|| make_reply(cx.source, &verified, &build_receipt(&events, false))),
            outcome: receipt.outcome,
            first_event: events.first().map(|e| (e.id.to_string(), e.event_type.clone())),
            jobs: events.iter().map(|e| e.jobs.len()).sum(),
        };
        let mut events = events;
        if let Some(stamp) = retention.later_stamp {
            let note = format!(
                "the clock of this machine showed {}, which is in doubt; it was received at {stamp} \
                 by the retention clock",
                cx.received_at
            );
            events.iter_mut().for_each(|event| event.notes.push(note.clone()));
        }
        let delivery = NewDelivery::new(
            cx.source.name.clone(),
            verified.body().clone(),
            retention.later_stamp.unwrap_or(cx.received_at),
            answer,
        )
        // By the wall clock, as claims.
        .with_due(cx.received_at)
        .with_headers(headers)
        .with_dedupe_since(retention.now.minus(cx.source.dedupe_window))
        .with_events(events);
        Ok((delivery, summary))
    }
}

/// The names of the client's certificate, as they are stored beside the headers.
fn client_names(verified: &Verified) -> Vec<(String, String)> {
    let Some(certificate) = verified.head().client_certificate.as_deref() else { return vec![] };
    let mut names = vec![(TLS_CLIENT_SUBJECT.to_owned(), certificate.subject.clone())];
    if !certificate.alternative_names.is_empty() {
        names.push((TLS_CLIENT_SAN.to_owned(), certificate.joined_names()));
    }
    names
}

/// Builds what the provider learns about the delivery before it makes the answer. `with_jobs` is
/// false where the jobs will never exist.
fn build_receipt(events: &[NewEvent], with_jobs: bool) -> Receipt {
    let has = |status| events.iter().any(|e| e.status == status);
    let outcome = if has(NewStatus::Routed) {
        DeliveryOutcome::Accepted
    } else if has(NewStatus::Invalid) {
        DeliveryOutcome::Invalid
    } else {
        DeliveryOutcome::Unrouted
    };
    let receipt_event = |e: &NewEvent| {
        ReceiptEvent::new(e.id)
            .with_event_type(e.event_type.clone())
            .with_event_id(e.event_id.clone())
            .with_job((with_jobs && !e.jobs.is_empty()).then_some(JobId { event: e.id, n: 0 }))
    };
    Receipt::new(outcome, events.iter().map(receipt_event).collect())
}
