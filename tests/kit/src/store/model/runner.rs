//! Runs the steps: calls the store and compares each answer with the model.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookward_core::store::{
    AttemptOutcome, Cause, ClaimRequest, DedupeKeyKind, JobId, JobOutcome, Lease, NewDelivery,
    NewEvent, NewJob, NewStatus, PurgeRequest, ReplayJob, Settlement,
};
use hookward_core::{Body, EventId, Store, Timestamp};

use super::compare;
use super::contract_model::ContractModel;
use super::step::{DeliverySpec, EventSpec, JobSpec, LeaseChoice, SettlementSpec, Step};
use crate::store::{Subject, sample};

pub(super) struct Runner<S> {
    subject: S,
    store: Arc<dyn Store>,
    model: ContractModel,
    now: Timestamp,
    /// All leases that were ever issued.
    leases: Vec<Lease>,
    deliveries_made: u64,
}

impl<S: Subject> Runner<S> {
    pub(super) async fn new(subject: S) -> Self {
        let now = sample::now();
        let store = subject.open(now).await;
        Self {
            subject,
            store,
            model: ContractModel::default(),
            now,
            leases: Vec::new(),
            deliveries_made: 0,
        }
    }

    pub(super) async fn run_step(&mut self, step: &Step) -> Result<(), String> {
        let name_step = |e| format!("{step:?}: {e}");
        let result = match step {
            Step::Accept(specs) => self.accept(specs).await,
            Step::Claim { orders, mail, unknown, lease } => {
                self.claim([*orders, *mail, *unknown], *lease).await
            }
            Step::Settle(settlements) => self.settle(settlements).await,
            Step::Extend(choices, secs) => self.extend(choices, *secs).await,
            Step::Revive(jobs) => {
                let all: Vec<_> = self.jobs().collect();
                let jobs = jobs.iter().filter_map(|n| pick(&all, *n)).map(ReplayJob::Revive);
                self.replay(jobs.collect()).await
            }
            Step::Add(specs) => {
                let jobs = specs.iter().filter_map(|(n, spec)| {
                    let events = &self.model.events;
                    let event = events.get(n.checked_rem(events.len())?)?.new.id;
                    Some(ReplayJob::Add { event, job: job(spec) })
                });
                self.replay(jobs.collect()).await
            }
            Step::Purge { events, dead, limit } => self.purge(*events, *dead, *limit).await,
            Step::AdvanceClock(secs) => {
                self.now = self.after(*secs);
                Ok(())
            }
            Step::SetClockBack(secs) => {
                let by = Duration::from_secs(*secs);
                self.now = self.now.minus(by);
                self.model.total_set_back += by;
                Ok(())
            }
            Step::Compare => compare::compare_all(self.store.as_ref(), &self.model).await,
            Step::Reopen => self.reopen().await,
        };
        result.map_err(name_step)?;
        self.check_next_due().await.map_err(name_step)
    }

    /// Compares the whole state and closes the store.
    pub(super) async fn finish(self) -> Result<(), String> {
        let compared = compare::compare_all(self.store.as_ref(), &self.model).await;
        self.store.close().await;
        compared.map_err(|e| format!("at the end: {e}"))
    }

    fn after(&self, secs: u64) -> Timestamp {
        self.now.plus(Duration::from_secs(secs))
    }

    fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.model.events.iter().flat_map(|event| {
            let numbers = (0..).zip(&event.jobs);
            numbers.map(|(n, _)| JobId { event: event.new.id, n })
        })
    }

    async fn accept(&mut self, specs: &[DeliverySpec]) -> Result<(), String> {
        let deliveries: Vec<_> = specs.iter().map(|spec| self.delivery(spec)).collect();
        let expected: Vec<_> = deliveries.iter().map(|d| self.model.accept(d)).collect();
        let actual = self.store.accept(deliveries).await.map_err(|e| e.to_string())?;
        let (actual, expected) = (format!("{actual:?}"), format!("{expected:?}"));
        if actual == expected {
            Ok(())
        } else {
            Err(format!("it answered {actual}, not {expected}"))
        }
    }

    /// Makes a delivery whose answer and bytes are unique, so that a mix-up is detected.
    fn delivery(&mut self, spec: &DeliverySpec) -> NewDelivery {
        self.deliveries_made += 1;
        let n = self.deliveries_made;
        let batch = spec.events.len() > 1;
        let items: Vec<_> = (0..spec.events.len()).map(|i| format!(r#"{{"i": {i}.0}}"#)).collect();
        let body = format!(r#"{{"n":{n}, "items":[{}]}}"#, items.join(" , "));
        let events = spec.events.iter().enumerate();
        NewDelivery::new("partner", Body::new(body), self.now, sample::answer(&n.to_string()))
            .with_headers(Arc::from([("x-n".to_owned(), n.to_string())]))
            .with_dedupe_since(self.now.minus(Duration::from_secs(spec.window)))
            .with_events(events.map(|(i, item)| event(n, i, batch, item)).collect())
    }

    async fn claim(&mut self, slots: [usize; 3], lease: u64) -> Result<(), String> {
        let [orders, mail, unknown] = slots;
        let slots = vec![(Arc::from("orders"), orders), (Arc::from("mail"), mail)];
        let request =
            ClaimRequest::new(self.now, self.after(lease), slots).with_max_unrouted(unknown);
        let jobs = self.store.claim(request.clone()).await.map_err(|e| e.to_string())?;
        self.leases.extend(jobs.iter().map(|job| job.lease));
        self.model.check_claim(&request, &jobs)
    }

    fn lease(&self, choice: &LeaseChoice) -> Option<Lease> {
        let held: Vec<_> =
            self.model.jobs().filter_map(|(_, job)| Some(job.held_lease?.lease)).collect();
        match choice {
            LeaseChoice::Held(n) => pick(&held, *n),
            LeaseChoice::AnyIssued(n) => pick(&self.leases, *n),
            LeaseChoice::Forged(n) => {
                let lease = pick(&held, *n)?;
                Some(Lease::new(lease.job, lease.token ^ (1 << 62)))
            }
        }
    }

    async fn settle(
        &mut self,
        settlements: &[(LeaseChoice, SettlementSpec)],
    ) -> Result<(), String> {
        let outcomes = settlements.iter().filter_map(|(choice, spec)| {
            let lease = self.lease(choice)?;
            Some(self.outcome(lease, spec))
        });
        let outcomes: Vec<_> = outcomes.collect();
        let expected: Vec<_> = outcomes.iter().map(|o| self.model.settle(o)).collect();
        let actual = self.store.settle(outcomes).await.map_err(|e| e.to_string())?;
        if actual == expected {
            Ok(())
        } else {
            Err(format!("it answered {actual:?}, not {expected:?}"))
        }
    }

    fn outcome(&self, lease: Lease, spec: &SettlementSpec) -> JobOutcome {
        let step = |some: &bool| some.then(|| "send".to_owned());
        let body = |some: &bool| some.then(|| Bytes::from(format!("as of {}", lease.token)));
        let (attempt_outcome, settlement) = match spec {
            SettlementSpec::Done => (AttemptOutcome::Done, Settlement::Done),
            SettlementSpec::Unrouted => (AttemptOutcome::Done, Settlement::Unrouted),
            SettlementSpec::Retry { secs, step: s, body: b } => {
                let (at, step, body) = (self.after(*secs), step(s), body(b));
                (AttemptOutcome::Error, Settlement::Retry { at, step, body, cause: Cause::Error })
            }
            SettlementSpec::Dead { step: s, body: b } => {
                let reason = format!("dead of {}", lease.token);
                (AttemptOutcome::Error, Settlement::Dead { reason, step: step(s), body: body(b) })
            }
            SettlementSpec::Released { step: s, body: b } => {
                (AttemptOutcome::Released, Settlement::Released { step: step(s), body: body(b) })
            }
        };
        let ran = !matches!(spec, SettlementSpec::Unrouted);
        let attempt = ran.then(|| sample::record(1, attempt_outcome));
        JobOutcome::new(lease, settlement).with_attempt(attempt)
    }

    async fn extend(&mut self, choices: &[LeaseChoice], secs: u64) -> Result<(), String> {
        let leases: Vec<_> = choices.iter().filter_map(|choice| self.lease(choice)).collect();
        let until = self.after(secs);
        let expected: Vec<_> =
            leases.iter().map(|lease| self.model.extend(*lease, until)).collect();
        let actual = self.store.extend(leases, until).await.map_err(|e| e.to_string())?;
        if actual == expected {
            Ok(())
        } else {
            Err(format!("it answered {actual:?}, not {expected:?}"))
        }
    }

    async fn replay(&mut self, jobs: Vec<ReplayJob>) -> Result<(), String> {
        let Some(browse) = self.store.browse() else { return Ok(()) };
        let expected = self.model.replay(self.now, &jobs);
        let actual = browse.replay(self.now, jobs).await.map_err(|e| e.to_string())?;
        if actual == expected {
            Ok(())
        } else {
            Err(format!("it made {actual} jobs, not {expected}"))
        }
    }

    async fn purge(&mut self, events: u64, dead: u64, limit: usize) -> Result<(), String> {
        let ago = |secs| self.now.minus(Duration::from_secs(secs));
        let mut request = PurgeRequest::new(ago(events), ago(dead), limit);
        if self.store.browse().is_none() {
            // Without `browse` the runner cannot see which events were purged.
            request.limit = usize::MAX;
        }
        let expired_events = self.model.expired_events(&request);
        let expected = expired_events.len().min(request.limit);
        let actual = self.store.purge(request).await.map_err(|e| e.to_string())?;
        if usize::try_from(actual) != Ok(expected) {
            return Err(format!("it removed {actual}, not {expected}"));
        }
        for at in expired_events {
            let shown = match (self.store.browse(), self.model.events.get(at)) {
                (Some(browse), Some(event)) => {
                    browse.show(event.new.id).await.map_err(|e| e.to_string())?.is_some()
                }
                _ => false,
            };
            if !shown {
                self.model.remove(at);
            }
        }
        Ok(())
    }

    async fn reopen(&mut self) -> Result<(), String> {
        if !self.store.durable() {
            return Ok(());
        }
        self.store.close().await;
        self.store = self.subject.open(self.now).await;
        self.model.reopen(self.now);
        compare::compare_all(self.store.as_ref(), &self.model).await
    }

    /// Checks `next_due`: a worker that sleeps until then misses no job and does not wake too early.
    async fn check_next_due(&self) -> Result<(), String> {
        let actual = self.store.next_due().await.map_err(|e| format!("next_due: {e}"))?;
        let expected = self.model.next_due();
        let is_correct = match (actual, expected) {
            (Some(actual), Some((first, last))) => {
                let first = first.minus(self.model.total_set_back);
                (first..=last).contains(&actual) || actual.max(last) <= self.model.latest
            }
            (actual, expected) => actual.is_none() && expected.is_none(),
        };
        if is_correct {
            Ok(())
        } else {
            Err(format!("next_due: {actual:?}, expected {expected:?}"))
        }
    }
}

fn pick<T: Copy>(all: &[T], n: usize) -> Option<T> {
    all.get(n.checked_rem(all.len())?).copied()
}

fn job(spec: &JobSpec) -> NewJob {
    let order_key = spec.order.map(|key| key.to_string());
    NewJob::new(spec.route).with_order_key(order_key)
}

fn event(n: u64, i: usize, batch: bool, item: &EventSpec) -> NewEvent {
    let id = item.id.map(|id| format!("id-{id}"));
    let content = item.content.map(|key| format!("content-{key}"));
    let by_id = id.iter().map(|key| sample::key(DedupeKeyKind::Id, key));
    let by_content = content.iter().map(|key| sample::key(DedupeKeyKind::Content, key));
    let status = match (item.jobs.is_empty(), item.invalid) {
        (false, _) => NewStatus::Routed,
        (true, false) => NewStatus::Unrouted,
        (true, true) => NewStatus::Invalid,
    };
    let invalid = status == NewStatus::Invalid;
    NewEvent::new(EventId::from_bytes((u128::from(n) << 64 | i as u128).to_be_bytes()), status)
        .with_event_type((!invalid).then(|| "order.paid".to_owned()))
        .with_event_id(id.clone())
        .with_item_pointer(batch.then(|| format!("/items/{i}")))
        .with_keys(by_id.chain(by_content).collect())
        .with_notes(invalid.then(|| "it is \"odd\"".to_owned()).into_iter().collect())
        .with_jobs(item.jobs.iter().map(job).collect())
}
