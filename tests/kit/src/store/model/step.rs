//! Random steps against a store. A step refers to jobs, events and leases by number and resolves the number when
//! it runs, so a sequence stays valid when shrinking removes steps from it.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;
use proptest_state_machine::ReferenceStateMachine;

/// One call of the store, or a change of the clock.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Accept(Vec<DeliverySpec>),
    /// Free slots of the routes `orders` and `mail` and of all others; length of the lease in seconds.
    Claim {
        orders: usize,
        mail: usize,
        unknown: usize,
        lease: u64,
    },
    Settle(Vec<(LeaseChoice, SettlementSpec)>),
    Extend(Vec<LeaseChoice>, u64),
    /// Revives dead jobs, by number.
    Revive(Vec<usize>),
    /// Adds a job to an event, by number.
    Add(Vec<(usize, JobSpec)>),
    /// Purges events, and dead events, that are older than this many seconds.
    Purge {
        events: u64,
        dead: u64,
        limit: usize,
    },
    AdvanceClock(u64),
    SetClockBack(u64),
    Compare,
    Reopen,
}

/// A delivery to accept.
#[derive(Debug, Clone)]
pub(super) struct DeliverySpec {
    pub(super) events: Vec<EventSpec>,
    /// Dedupe window in seconds.
    pub(super) window: u64,
}

/// An event of a delivery. There are few ids and few contents, so that many events are repetitions.
#[derive(Debug, Clone)]
pub(super) struct EventSpec {
    pub(super) id: Option<u8>,
    pub(super) content: Option<u8>,
    pub(super) jobs: Vec<JobSpec>,
    pub(super) invalid: bool,
}

/// A job of an event.
#[derive(Debug, Clone)]
pub(super) struct JobSpec {
    pub(super) route: &'static str,
    pub(super) order: Option<u8>,
}

/// Chooses a lease: one that is held, any that was ever issued, or a forged one.
#[derive(Debug, Clone)]
pub(super) enum LeaseChoice {
    Held(usize),
    AnyIssued(usize),
    Forged(usize),
}

/// The settlement that a worker reports.
#[derive(Debug, Clone)]
pub(super) enum SettlementSpec {
    Done,
    Retry { secs: u64, step: bool, body: bool },
    Dead { step: bool, body: bool },
    Released { step: bool, body: bool },
    Unrouted,
}

/// Which steps have happened, so that the generator chooses steps that can have an effect.
#[derive(Debug, Clone, Default)]
pub(super) struct StepPreconditions {
    accepted: bool,
    claimed: bool,
}

impl ReferenceStateMachine for StepPreconditions {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Step> {
        let (if_accepted, if_claimed) = (u32::from(state.accepted), u32::from(state.claimed));
        let (deliveries, choices) = (vec(delivery_spec(), 1..=3), vec(lease_choice(), 1..=3));
        let settlements = vec((lease_choice(), settlement_spec()), 1..=4);
        let steps = vec![
            (6, deliveries.prop_map(Step::Accept).boxed()),
            (7 * if_accepted, claim().boxed()),
            (8 * if_claimed, settlements.prop_map(Step::Settle).boxed()),
            (
                2 * if_claimed,
                (choices, 1..60_u64)
                    .prop_map(|(choices, secs)| Step::Extend(choices, secs))
                    .boxed(),
            ),
            (2 * if_claimed, vec(0..30_usize, 1..=3).prop_map(Step::Revive).boxed()),
            (if_accepted, vec((0..20_usize, job_spec()), 1..=2).prop_map(Step::Add).boxed()),
            (if_accepted, purge().boxed()),
            (4, (1..45_u64).prop_map(Step::AdvanceClock).boxed()),
            (1, (1..90_u64).prop_map(Step::SetClockBack).boxed()),
            (if_accepted, Just(Step::Compare).boxed()),
            (if_accepted, Just(Step::Reopen).boxed()),
        ];
        let possible = steps.into_iter().filter(|(weight, _)| *weight > 0);
        Union::new_weighted(possible.collect()).boxed()
    }

    fn apply(state: Self, step: &Step) -> Self {
        Self {
            accepted: state.accepted || matches!(step, Step::Accept(_)),
            claimed: state.claimed || matches!(step, Step::Claim { .. }),
        }
    }
}

fn claim() -> impl Strategy<Value = Step> {
    let slots = || prop_oneof![Just(0_usize), Just(1), Just(2), Just(9)];
    (slots(), slots(), slots(), 1..40_u64).prop_map(|(orders, mail, unknown, lease)| Step::Claim {
        orders,
        mail,
        unknown,
        lease,
    })
}

fn purge() -> impl Strategy<Value = Step> {
    let limit = prop_oneof![Just(1_usize), Just(3), Just(50)];
    (0..120_u64, 0..200_u64, limit).prop_map(|(events, dead, limit)| Step::Purge {
        events,
        dead,
        limit,
    })
}

fn delivery_spec() -> impl Strategy<Value = DeliverySpec> {
    let single = vec(event_spec(), 1);
    let batch = vec(event_spec(), 2..=3);
    let window = prop_oneof![3 => Just(100_000_u64), 1 => 0..60_u64];
    (prop_oneof![4 => single, 1 => batch], window)
        .prop_map(|(events, window)| DeliverySpec { events, window })
}

fn event_spec() -> impl Strategy<Value = EventSpec> {
    let id = prop_oneof![8 => (0..12_u8).prop_map(Some), 1 => Just(None)];
    let content = prop_oneof![2 => (0..12_u8).prop_map(Some), 1 => Just(None)];
    let jobs = vec(job_spec(), 0..=2);
    (id, content, jobs, any::<bool>()).prop_map(|(id, content, jobs, invalid)| EventSpec {
        id,
        content,
        jobs,
        invalid,
    })
}

fn job_spec() -> impl Strategy<Value = JobSpec> {
    let route = prop_oneof![4 => Just("orders"), 2 => Just("mail"), 1 => Just("gone")];
    let order = prop_oneof![1 => Just(None), 1 => (0..3_u8).prop_map(Some)];
    (route, order).prop_map(|(route, order)| JobSpec { route, order })
}

fn lease_choice() -> impl Strategy<Value = LeaseChoice> {
    prop_oneof![
        6 => (0..12_usize).prop_map(LeaseChoice::Held),
        2 => (0..60_usize).prop_map(LeaseChoice::AnyIssued),
        1 => (0..12_usize).prop_map(LeaseChoice::Forged),
    ]
}

fn settlement_spec() -> impl Strategy<Value = SettlementSpec> {
    let coin = any::<bool>;
    prop_oneof![
        3 => Just(SettlementSpec::Done),
        3 => (0..50_u64, coin(), coin())
            .prop_map(|(secs, step, body)| SettlementSpec::Retry { secs, step, body }),
        2 => (coin(), coin()).prop_map(|(step, body)| SettlementSpec::Dead { step, body }),
        1 => (coin(), coin()).prop_map(|(step, body)| SettlementSpec::Released { step, body }),
        1 => Just(SettlementSpec::Unrouted),
    ]
}
