//! A batch that is rolled back, or dropped, leaves the memory as it was: over random groups of all
//! operations, on memories with queued, overflowed, leased and dead jobs and a flush in progress.

use hookward_core::EventId;
use hookward_core::store::{JobId, Lease, NewJob, PurgeRequest, ReplayJob};
use hookward_testkit::store::with_jobs;

use super::*;

/// A small random generator: the same seed makes the same groups.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.below(of.len())])
    }
}

/// Leases and events that committed groups returned, to be named by later operations.
#[derive(Default)]
struct Known {
    leases: Vec<Lease>,
    events: Vec<EventId>,
}

fn operation(random: &mut Random, known: &mut Known) -> Operation {
    match random.below(9) {
        0..=2 => {
            Operation::Accept((0..1 + random.below(3)).map(|_| accept(random, known)).collect())
        }
        3 | 4 => {
            let (now, lease_until) = (now(), after(30 + random.below(2) as u64));
            let slots = vec![("a".into(), random.below(3)), ("b".into(), random.below(3))];
            Operation::Claim(
                ClaimRequest::new(now, lease_until, slots).with_max_unrouted(random.below(2)),
            )
        }
        5 | 6 => {
            let leases: Vec<_> = (0..2).filter_map(|_| random.pick(&known.leases)).collect();
            Operation::Settle(leases.into_iter().map(|lease| outcome(random, lease)).collect())
        }
        7 => {
            let Some(event) = random.pick(&known.events) else { return Operation::Probe };
            let revive = ReplayJob::Revive(JobId { event, n: 0 });
            let route = ["a", "b", "new"][random.below(3)];
            let job = NewJob::new(route);
            Operation::Replay(now(), vec![revive, ReplayJob::Add { event, job }])
        }
        _ => {
            let (events_before, dead_before) = (after(1), after(1));
            Operation::Purge(PurgeRequest::new(events_before, dead_before, random.below(3)))
        }
    }
}

fn accept(random: &mut Random, known: &mut Known) -> hookward_core::store::NewDelivery {
    let routes: &[&str] = [&["a"][..], &["a", "b"], &["other"], &[]][random.below(4)];
    let mut delivery = with_jobs(&random.below(40).to_string(), routes);
    if random.below(3) == 0 {
        delivery.source = format!("source {}", random.below(9)).into();
    }
    if random.below(4) == 0 {
        // A content duplicate of an event with another id.
        delivery.events[0].keys.remove(0);
    }
    known.events.push(delivery.events[0].id);
    delivery
}

fn outcome(random: &mut Random, lease: Lease) -> JobOutcome {
    let settlement = match random.below(4) {
        0 => Settlement::Done,
        1 => Settlement::Dead { reason: "no".into(), step: None, body: None },
        2 => Settlement::Retry {
            at: now(),
            step: None,
            body: None,
            cause: hookward_core::store::Cause::Error,
        },
        _ => Settlement::Released { step: None, body: None },
    };
    JobOutcome::new(lease, settlement)
}

/// A group that is committed. Later groups use what it returned.
fn commit(writer: &mut Writer, random: &mut Random, known: &mut Known) {
    let operations = (0..1 + random.below(4)).map(|_| operation(random, known)).collect();
    for output in group(writer, operations) {
        if let Output::Jobs(jobs) = output {
            known.leases.extend(jobs.iter().map(|job| job.lease));
        }
    }
    if random.below(2) == 0 {
        writer.flush_step();
    }
}

#[test]
fn a_batch_that_is_not_committed_leaves_the_memory_as_it_was() {
    for seed in 1..=40 {
        let (_folder, path) = folder();
        let mut writer = open(&path);
        writer.memory.queue_mut().set_max_per_route(4);
        writer.memory.index_mut().set_flush_size(12, 3);
        let (mut random, mut known) = (Random(seed * 0x9e37_79b9), Known::default());
        for round in 0..40 {
            commit(&mut writer, &mut random, &mut known);
            writer.memory.refill(&writer.conn).unwrap();
            let before = writer.memory.snapshot();

            let transaction = Transaction::begin(&writer.conn).unwrap();
            let (reply, mut output) = oneshot::channel();
            let mut batch = Batch::new(&mut writer.memory, vec![reply]);
            let operations: Vec<_> =
                (0..1 + random.below(4)).map(|_| operation(&mut random, &mut known)).collect();
            let context = format!("seed {seed}, round {round}: {operations:?}");
            for operation in operations {
                execute(&transaction, &mut batch, operation).unwrap();
            }
            if random.below(2) == 0 {
                let full = StoreError::Full("no space".to_owned());
                assert!(batch.rollback(full.clone()).send().is_empty());
                assert_eq!(output.try_recv().unwrap().unwrap_err(), full);
            } else {
                drop(batch);
                assert!(output.try_recv().is_err(), "a dropped batch sends no answer");
            }
            drop(transaction);
            assert_eq!(writer.memory.snapshot(), before, "{context}");
        }
    }
}

#[test]
fn jobs_of_a_batch_that_is_rolled_back_can_be_claimed_again_with_their_bodies() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    group(&mut writer, vec![Operation::Accept(vec![delivery("a"), delivery("b")])]);
    let transaction = Transaction::begin(&writer.conn).unwrap();
    let mut batch = Batch::new(&mut writer.memory, Vec::new());
    let first = execute(&transaction, &mut batch, claim(now())).unwrap();
    drop((batch, transaction));
    let second = group(&mut writer, vec![claim(now())]);
    let claimed =
        |output| jobs(output).iter().map(|job| (job.event.id(), job.attempt)).collect::<Vec<_>>();
    assert_eq!((claimed(&first).len(), claimed(&first)), (2, claimed(&second[0])));
    let tokens = |output| jobs(output).iter().map(|job| job.lease.token).collect::<Vec<_>>();
    assert!(tokens(&first).iter().all(|token| !tokens(&second[0]).contains(token)));
}

/// An extension writes nothing, so the failure of another caller's write does not undo it.
#[test]
fn an_extended_lease_stays_extended_when_its_group_fails() {
    let (_folder, path) = folder();
    let mut writer = open(&path);
    group(&mut writer, vec![Operation::Accept(vec![delivery("a")])]);
    let claimed = group(&mut writer, vec![claim(now())]);
    let lease = jobs(&claimed[0])[0].lease;
    let mut batch = Batch::new(&mut writer.memory, Vec::new());
    assert!(batch.extend_lease(&lease, after(70)));
    drop(batch);
    assert_eq!(writer.memory.next_due(), Some(after(70)));
}
