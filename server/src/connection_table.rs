//! The open connections of a listener, shared between clients. A client is an address, or the /64
//! of an IPv6 address.
//!
//! At the limit, a new connection takes the place of one that owes the server something: a head, a
//! body, or the reading of an answer. It is the oldest such connection of the client that has the
//! most of them. So a client that opens connections and leaves them silent ends its own, and a
//! genuine sender, whose head arrives within moments, is served. The connections of a trusted proxy
//! belong to many senders and count as one client each.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookward_engine::ingest::client_group;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// How much longer than a head a body is waited for: at the limit, an idle connection is ended
/// before a body that is as old.
const BODY_GRACE: Duration = Duration::from_secs(2);

/// A proof takes milliseconds, unless it waits for a key that is fetched.
const PROOF_GRACE: Duration = Duration::from_secs(1);

/// How long a complete request is being answered. Longer takes only what waits for something that
/// others hold up.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

/// The most connections that are chosen at once. Choosing looks at all connections, which would take
/// too long for each new one of a flood.
const MAX_CHOSEN: usize = 64;

/// The part of the limit that is chosen at once, so that with few connections the choice is exact.
const CHOSEN_DIVISOR: usize = 64;

/// Connections that have lost their place and are not closed yet. They still have their file
/// descriptors, for which the listener has a reserve (`fd_limit.rs`).
const MAX_CLOSING: usize = 64;

/// The pause while too many connections are being closed, and for how many of them.
const CLOSING_PAUSE: Duration = Duration::from_millis(1);
const MAX_CLOSING_PAUSES: usize = 100;

/// What a connection is doing. The value is kept in two bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The peer owes a head, or the rest of a TLS handshake, or reads its answer.
    Waiting = 0,
    /// The head is complete, and the peer owes the body.
    Body = 1,
    /// The request is complete, and its sender is not proven yet.
    Proving = 2,
    /// The request is complete, and the server owes the answer.
    Answering = 3,
}

/// The open connections of one listener.
#[derive(Debug)]
pub(crate) struct ConnectionTable {
    limit: usize,
    epoch: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<u64, Arc<Connection>>,
    next_id: u64,
    /// Connections that have lost their place and are not closed yet.
    closing: usize,
    /// The next to lose their places, with the phase in which they were chosen.
    chosen: VecDeque<(Arc<Connection>, u64)>,
}

/// One open connection.
#[derive(Debug)]
struct Connection {
    id: u64,
    owner: Mutex<Owner>,
    /// The phase in two bits, and above them the milliseconds since the epoch of the table at which
    /// it began. One word, so that a request costs no lock.
    phase: AtomicU64,
    eviction: Notify,
}

/// Whose connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    Client(IpAddr),
    /// A trusted proxy, which is waited for by any of many senders. Holds the id of the connection,
    /// so that each is an owner of its own.
    Proxy(u64),
}

impl ConnectionTable {
    /// At most `limit` connections, and at least one.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), epoch: Instant::now(), state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a connection, if need be in the place of another one. `None`: all places are taken by
    /// requests that are being answered.
    pub(crate) fn open(
        self: &Arc<Self>,
        peer: IpAddr,
        is_trusted_proxy: bool,
    ) -> Option<OpenConnection> {
        let now = self.now_ms();
        let mut state = self.lock();
        if state.open.len() >= self.limit {
            let victim = state.next_victim(peer, now, self.limit)?;
            state.open.remove(&victim.id);
            state.closing += 1;
            victim.eviction.notify_one();
        }
        let id = state.next_id;
        state.next_id += 1;
        let owner =
            if is_trusted_proxy { Owner::Proxy(id) } else { Owner::Client(client_group(peer)) };
        let connection = Arc::new(Connection {
            id,
            owner: Mutex::new(owner),
            phase: AtomicU64::new(encode(Phase::Waiting, now)),
            eviction: Notify::new(),
        });
        state.open.insert(id, connection.clone());
        Some(OpenConnection { table: self.clone(), connection, is_trusted_proxy })
    }

    /// Waits while many connections have lost their places and are not closed yet.
    pub(crate) async fn wait_for_closing(&self) {
        for _ in 0..MAX_CLOSING_PAUSES {
            if self.lock().closing < MAX_CLOSING {
                return;
            }
            sleep(CLOSING_PAUSE).await;
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl State {
    /// The connection that gives its place to a new one of `peer`.
    fn next_victim(&mut self, peer: IpAddr, now: u64, limit: usize) -> Option<Arc<Connection>> {
        if let Some(victim) = self.next_chosen() {
            return Some(victim);
        }
        let count = (limit / CHOSEN_DIVISOR).clamp(1, MAX_CHOSEN);
        self.chosen = choose(self.open.values(), Owner::Client(client_group(peer)), now, count);
        self.next_chosen()
    }

    /// The next of those that were chosen, if it is still open and has done nothing since.
    fn next_chosen(&mut self) -> Option<Arc<Connection>> {
        while let Some((connection, phase)) = self.chosen.pop_front() {
            if self.open.contains_key(&connection.id)
                && connection.phase.load(Ordering::Relaxed) == phase
            {
                return Some(connection);
            }
        }
        None
    }
}

/// Chooses up to `count` connections, one after the other: each time the oldest of the owner that
/// has the most. `newcomer` has one more than is counted.
fn choose<'a>(
    open: impl Iterator<Item = &'a Arc<Connection>>,
    newcomer: Owner,
    now: u64,
    count: usize,
) -> VecDeque<(Arc<Connection>, u64)> {
    let mut owners = HashMap::<Owner, Vec<(u64, &Arc<Connection>, u64)>>::new();
    for connection in open {
        let phase = connection.phase.load(Ordering::Relaxed);
        if let Some(due) = due(phase, now) {
            let owner = *connection.owner.lock().unwrap_or_else(PoisonError::into_inner);
            owners.entry(owner).or_default().push((due, connection, phase));
        }
    }
    // Each list from the youngest to the oldest, which is taken first. Among owners with the same
    // number, the one with the oldest connection. A proxy's connection only when there is no other.
    let mut heap = BinaryHeap::new();
    let mut lists = Vec::new();
    for (owner, mut list) in owners {
        list.sort_unstable_by_key(|(due, connection, _)| Reverse((*due, connection.id)));
        let is_client = matches!(owner, Owner::Client(_));
        let number = list.len() + usize::from(owner == newcomer);
        if let Some((due, connection, _)) = list.last() {
            heap.push((is_client, number, Reverse((*due, connection.id)), lists.len()));
        }
        lists.push(list);
    }
    let mut chosen = VecDeque::new();
    while chosen.len() < count
        && let Some((is_client, number, _, at)) = heap.pop()
        && let Some(list) = lists.get_mut(at)
        && let Some((_, connection, phase)) = list.pop()
    {
        chosen.push_back((connection.clone(), phase));
        if let Some((due, next, _)) = list.last() {
            heap.push((is_client, number - 1, Reverse((*due, next.id)), at));
        }
    }
    chosen
}

fn encode(phase: Phase, now_ms: u64) -> u64 {
    now_ms << 2 | phase as u64
}

/// When a connection in this phase becomes one that may be ended, in milliseconds of the table; the
/// smaller, the earlier it is ended. `None`: it may not be.
fn due(phase: u64, now: u64) -> Option<u64> {
    let millis = |grace: Duration| u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let since = phase >> 2;
    let phase = phase & 3;
    if phase == Phase::Waiting as u64 {
        return Some(since);
    }
    if phase == Phase::Body as u64 {
        return Some(since + millis(BODY_GRACE));
    }
    let grace = if phase == Phase::Proving as u64 { PROOF_GRACE } else { ANSWER_GRACE };
    let due = since + millis(grace);
    (due <= now).then_some(due)
}

/// A place in the table, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    table: Arc<ConnectionTable>,
    connection: Arc<Connection>,
    is_trusted_proxy: bool,
}

impl OpenConnection {
    /// Completes when another connection has taken the place of this one, which must be closed.
    pub(crate) async fn evicted(&self) {
        self.connection.eviction.notified().await;
    }

    /// What requests on this connection report to.
    pub(crate) fn progress(&self) -> ConnectionProgress {
        let (table, connection) = (self.table.clone(), self.connection.clone());
        ConnectionProgress { table, connection, is_trusted_proxy: self.is_trusted_proxy }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let mut state = self.table.lock();
        if state.open.remove(&self.connection.id).is_none() {
            state.closing -= 1;
        }
    }
}

/// Reports to the table how far the request of a connection is.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionProgress {
    table: Arc<ConnectionTable>,
    connection: Arc<Connection>,
    is_trusted_proxy: bool,
}

impl ConnectionProgress {
    /// Whether the peer is a trusted proxy, which names the client of each request.
    pub(crate) fn is_trusted_proxy(&self) -> bool {
        self.is_trusted_proxy
    }

    /// The head is complete. `client` is the one that a trusted proxy names.
    pub(crate) fn head_complete(&self, client: Option<IpAddr>) {
        if let Some(client) = client {
            self.set_owner(Owner::Client(client_group(client)));
        }
        self.set(Phase::Body);
    }

    /// The request is complete. `waited`: its body did not arrive together with the head.
    pub(crate) fn body_complete(&self, waited: bool) {
        if waited {
            self.set(Phase::Answering);
        } else {
            self.continue_as(Phase::Answering);
        }
    }

    /// The sender of the complete request is not proven yet.
    pub(crate) fn proving(&self) {
        self.continue_as(Phase::Proving);
    }

    /// The sender of the complete request is proven.
    pub(crate) fn proven(&self) {
        self.continue_as(Phase::Answering);
    }

    /// The answer is known, and the next head may come.
    pub(crate) fn answered(&self) {
        if self.is_trusted_proxy {
            self.set_owner(Owner::Proxy(self.connection.id));
        }
        self.set(Phase::Waiting);
    }

    fn set(&self, phase: Phase) {
        let word = encode(phase, self.table.now_ms());
        self.connection.phase.store(word, Ordering::Relaxed);
    }

    /// Enters a phase with the time of the present one, because reading the clock takes longer than
    /// everything else here. Only the task of the connection writes the word.
    fn continue_as(&self, phase: Phase) {
        let word = self.connection.phase.load(Ordering::Relaxed);
        self.connection.phase.store(word & !3 | phase as u64, Ordering::Relaxed);
    }

    fn set_owner(&self, owner: Owner) {
        *self.connection.owner.lock().unwrap_or_else(PoisonError::into_inner) = owner;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn is_evicted(connection: &OpenConnection) -> bool {
        !connection.table.lock().open.contains_key(&connection.connection.id)
    }

    async fn after_ms(ms: u64) {
        tokio::time::advance(Duration::from_millis(ms)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_limit_the_oldest_silent_connection_of_the_largest_client_is_ended() {
        let table = ConnectionTable::new(5);
        let genuine = table.open(ip(1), false).unwrap();
        let mut silent = Vec::new();
        for _ in 0..4 {
            after_ms(1).await;
            silent.push(table.open(ip(2), false).unwrap());
        }
        let _next = table.open(ip(2), false).unwrap();
        let _other = table.open(ip(3), false).unwrap();
        assert!(!is_evicted(&genuine));
        assert_eq!(silent.iter().map(is_evicted).collect::<Vec<_>>(), [true, true, false, false]);
        let evicted = tokio::time::timeout(Duration::from_millis(1), silent[0].evicted());
        evicted.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_sends_its_head_is_not_ended_by_a_flood_of_its_own_address() {
        let table = ConnectionTable::new(100);
        let mut open = VecDeque::new();
        for n in 0..1000 {
            after_ms(1).await;
            let connection = table.open(ip(1), false).unwrap();
            if n % 10 == 0 {
                // A genuine sender, whose head needs 20 ms.
                let genuine = connection;
                for _ in 0..20 {
                    after_ms(1).await;
                    open.push_back(table.open(ip(1), false).unwrap());
                }
                assert!(!is_evicted(&genuine));
                genuine.progress().head_complete(None);
                genuine.progress().body_complete(false);
            } else {
                open.push_back(connection);
            }
            while open.front().is_some_and(is_evicted) {
                open.pop_front();
            }
        }
        assert!(open.len() <= 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_being_answered_keeps_its_place_for_five_seconds() {
        let table = ConnectionTable::new(1);
        let first = table.open(ip(1), false).unwrap();
        first.progress().head_complete(None);
        first.progress().body_complete(false);
        assert!(table.open(ip(2), false).is_none());
        after_ms(4999).await;
        assert!(table.open(ip(2), false).is_none());
        after_ms(1).await;
        assert!(table.open(ip(2), false).is_some());
        assert!(is_evicted(&first));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_not_proven_keeps_its_place_for_a_second() {
        let table = ConnectionTable::new(2);
        let [waiting, proven] = [(); 2].map(|()| table.open(ip(1), false).unwrap());
        for connection in [&waiting, &proven] {
            connection.progress().head_complete(None);
            connection.progress().proving();
        }
        proven.progress().proven();
        after_ms(999).await;
        assert!(table.open(ip(2), false).is_none());
        after_ms(1).await;
        assert!(table.open(ip(2), false).is_some());
        assert!(is_evicted(&waiting) && !is_evicted(&proven));
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_do_not_end_give_way_like_silent_connections() {
        let table = ConnectionTable::new(3);
        let body = table.open(ip(1), false).unwrap();
        body.progress().head_complete(None);
        after_ms(3000).await;
        let silent = table.open(ip(1), false).unwrap();
        let answered = table.open(ip(2), false).unwrap();
        let _new = table.open(ip(3), false).unwrap();
        assert!(is_evicted(&body) && !is_evicted(&silent) && !is_evicted(&answered));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_from_many_addresses_ends_its_own_connections_first() {
        let table = ConnectionTable::new(200);
        let genuine: Vec<_> = (0..3).map(|_| table.open(ip(1), false).unwrap()).collect();
        let mut flood = Vec::new();
        for _ in 0..100 {
            for address in 2..=50 {
                flood.push(table.open(ip(address), false).unwrap());
            }
            after_ms(1).await;
        }
        assert!(genuine.iter().all(|connection| !is_evicted(connection)));
        assert_eq!(flood.iter().filter(|connection| !is_evicted(connection)).count(), 197);
    }

    #[tokio::test(start_paused = true)]
    async fn the_connections_of_a_trusted_proxy_are_many_clients() {
        let table = ConnectionTable::new(10);
        let proxied: Vec<_> = (0..7).map(|_| table.open(ip(9), true).unwrap()).collect();
        let direct: Vec<_> = (0..3).map(|_| table.open(ip(1), false).unwrap()).collect();
        let _new: Vec<_> = (0..3).map(|_| table.open(ip(9), true).unwrap()).collect();
        assert!(!proxied.iter().any(is_evicted) && direct.iter().all(is_evicted));
        // One client behind the proxy holds several, and those are ended first.
        for connection in &proxied[..2] {
            connection.progress().head_complete(Some(ip(66)));
        }
        after_ms(3000).await;
        let _next = table.open(ip(9), true).unwrap();
        assert_eq!(proxied.iter().filter(|connection| is_evicted(connection)).count(), 1);
        assert!(is_evicted(&proxied[0]));
        proxied[1].progress().answered();
        let _another = table.open(ip(9), true).unwrap();
        assert!(is_evicted(&proxied[2]), "the oldest, because all are of the proxy again");
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_of_one_ipv6_prefix_are_one_client() {
        let table = ConnectionTable::new(4);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let genuine = table.open(address("2001:db8:0:1::1"), false).unwrap();
        after_ms(1).await;
        let flood: Vec<_> = (0..30)
            .map(|n| table.open(address(&format!("2001:db8::{n}")), false).unwrap())
            .collect();
        assert!(!is_evicted(&genuine));
        assert_eq!(flood.iter().filter(|connection| !is_evicted(connection)).count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn closed_connections_leave_nothing_behind() {
        let table = ConnectionTable::new(64);
        let all: Vec<_> = (0..200).map(|_| table.open(ip(1), false).unwrap()).collect();
        assert_eq!(table.lock().closing, 136);
        tokio::time::timeout(Duration::from_secs(1), table.wait_for_closing()).await.unwrap();
        drop(all);
        let state = table.lock();
        assert_eq!((state.open.len(), state.closing), (0, 0));
    }
}
