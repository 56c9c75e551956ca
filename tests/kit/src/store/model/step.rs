//! What may be done to a store, made up at random. Steps name things by number, to be looked up
//! when they are taken: so a sequence stays one when steps are left out of it.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;
use proptest_state_machine::ReferenceStateMachine;

/// One call, or the passing of time.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Accept(Vec<Post>),
    /// Free slots of the routes `orders` and `mail`; how many of others; seconds of the lease.
    Claim {
        orders: usize,
        mail: usize,
        unknown: usize,
        lease: u64,
    },
    Settle(Vec<(Pick, Say)>),
    Extend(Vec<Pick>, u64),
    /// Jobs, by number.
    Revive(Vec<usize>),
    /// Events, by number, and the work.
    Add(Vec<(usize, Work)>),
    /// Removes what is older than so many seconds: events, and dead ones.
    Purge {
        events: u64,
        dead: u64,
        limit: usize,
    },
    Pass(u64),
    SetBack(u64),
    Look,
    Reopen,
}

/// A delivery.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) events: Vec<Item>,
    /// Its dedupe window, in seconds.
    pub(super) window: u64,
}

/// An event of it. Few ids and few contents, so that many are repetitions.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) id: Option<u8>,
    pub(super) content: Option<u8>,
    pub(super) work: Vec<Work>,
    pub(super) invalid: bool,
}

/// A job of it.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) route: &'static str,
    pub(super) order: Option<u8>,
}

/// A lease: one that is out, one of all that were ever given, or one that never was.
#[derive(Debug, Clone)]
pub(super) enum Pick {
    Out(usize),
    Ever(usize),
    Forged(usize),
}

/// What a worker says.
#[derive(Debug, Clone)]
pub(super) enum Say {
    Done,
    Retry { secs: u64, step: bool, body: bool },
    Dead { step: bool, body: bool },
    Released { step: bool, body: bool },
    Unrouted,
}

/// What has to have happened before a step makes sense; it steers what is made up, no more.
#[derive(Debug, Clone, Default)]
pub(super) struct Plot {
    accepted: bool,
    claimed: bool,
}

impl ReferenceStateMachine for Plot {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(plot: &Self) -> BoxedStrategy<Step> {
        let (some, out) = (u32::from(plot.accepted), u32::from(plot.claimed));
        let (posts, picks) = (vec(post(), 1..=3), vec(pick(), 1..=3));
        let says = vec((pick(), say()), 1..=4);
        let steps = vec![
            (6, posts.prop_map(Step::Accept).boxed()),
            (7 * some, claim().boxed()),
            (8 * out, says.prop_map(Step::Settle).boxed()),
            (2 * out, (picks, 1..60_u64).prop_map(|(p, secs)| Step::Extend(p, secs)).boxed()),
            (2 * out, vec(0..30_usize, 1..=3).prop_map(Step::Revive).boxed()),
            (some, vec((0..20_usize, work()), 1..=2).prop_map(Step::Add).boxed()),
            (some, purge().boxed()),
            (4, (1..45_u64).prop_map(Step::Pass).boxed()),
            (1, (1..90_u64).prop_map(Step::SetBack).boxed()),
            (some, Just(Step::Look).boxed()),
            (some, Just(Step::Reopen).boxed()),
        ];
        let possible = steps.into_iter().filter(|(weight, _)| *weight > 0);
        Union::new_weighted(possible.collect()).boxed()
    }

    fn apply(plot: Self, step: &Step) -> Self {
        Self {
            accepted: plot.accepted || matches!(step, Step::Accept(_)),
            claimed: plot.claimed || matches!(step, Step::Claim { .. }),
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

fn post() -> impl Strategy<Value = Post> {
    let one = vec(item(), 1);
    let some = vec(item(), 2..=3);
    let window = prop_oneof![3 => Just(100_000_u64), 1 => 0..60_u64];
    (prop_oneof![4 => one, 1 => some], window).prop_map(|(events, window)| Post { events, window })
}

fn item() -> impl Strategy<Value = Item> {
    let id = prop_oneof![8 => (0..12_u8).prop_map(Some), 1 => Just(None)];
    let content = prop_oneof![2 => (0..12_u8).prop_map(Some), 1 => Just(None)];
    let work = vec(work(), 0..=2);
    (id, content, work, any::<bool>()).prop_map(|(id, content, work, invalid)| Item {
        id,
        content,
        work,
        invalid,
    })
}

fn work() -> impl Strategy<Value = Work> {
    let route = prop_oneof![4 => Just("orders"), 2 => Just("mail"), 1 => Just("gone")];
    let order = prop_oneof![1 => Just(None), 1 => (0..3_u8).prop_map(Some)];
    (route, order).prop_map(|(route, order)| Work { route, order })
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        6 => (0..12_usize).prop_map(Pick::Out),
        2 => (0..60_usize).prop_map(Pick::Ever),
        1 => (0..12_usize).prop_map(Pick::Forged),
    ]
}

fn say() -> impl Strategy<Value = Say> {
    let coin = any::<bool>;
    prop_oneof![
        3 => Just(Say::Done),
        3 => (0..50_u64, coin(), coin())
            .prop_map(|(secs, step, body)| Say::Retry { secs, step, body }),
        2 => (coin(), coin()).prop_map(|(step, body)| Say::Dead { step, body }),
        1 => (coin(), coin()).prop_map(|(step, body)| Say::Released { step, body }),
        1 => Just(Say::Unrouted),
    ]
}
