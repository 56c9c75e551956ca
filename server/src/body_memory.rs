//! The memory for the bodies of all requests, shared between clients. A client is an address, or
//! the /64 of an IPv6 address; behind trusted proxies it is the one that they name.
//!
//! A client may take all memory that is free. When all is taken, a client that holds less
//! takes it from the one that holds the most, by ending a body of it that is still arriving. So a
//! client that holds no more than an equal share is never rejected because of what others send. One
//! quarter is kept for small bodies, because most events are small, and a few large bodies must not
//! delay all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hookward_engine::ingest::{ReadError, client_group};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// A body up to this size is small and may use the reserve. Almost all events of almost all senders
/// are smaller.
const SMALL_BODY_BYTES: usize = 64 * 1024;

/// A body that has received nothing for this time gives way to another body of its own client.
const STALL_DURATION: Duration = Duration::from_secs(1);

/// A body that has been arriving for this time gives way to a small body of its own client. Genuine
/// small bodies arrive within a round trip or two.
const SMALL_BODY_PATIENCE: Duration = Duration::from_millis(250);

/// A body that has been arriving for this time gives way to a large body of its own client. Not
/// earlier: slow uploads from one address would otherwise end one another for ever.
const LARGE_BODY_PATIENCE: Duration = Duration::from_secs(5);

/// How long a body that was too slow counts against its client.
const CHARGE_DURATION: Duration = Duration::from_secs(60);

/// A client that was charged may hold this part of the memory in large bodies.
const CHARGED_CLIENT_DIVISOR: usize = 4;

/// The complete large bodies of a client whose sender is not proven yet may hold this part of the
/// memory for large bodies, because nobody can take it from them. Most proofs take milliseconds, but
/// some wait for a key that is fetched.
const UNPROVEN_DIVISOR: usize = 2;

/// How long a complete large body waits for others of its client to be proven, and how often it
/// looks.
const UNPROVEN_TIMEOUT: Duration = Duration::from_secs(2);
const UNPROVEN_PAUSE: Duration = Duration::from_millis(5);

/// The number of clients at which those are looked for that hold nothing any more.
const MIN_SWEEP_CLIENTS: usize = 1024;

/// The memory for bodies of a server.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    limit: usize,
    /// The most that large bodies and parsed JSON may take together.
    large_limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    /// The part of `used` that large bodies and parsed JSON take.
    used_large: usize,
    clients: HashMap<IpAddr, Client>,
    /// The number of clients at which the next sweep happens.
    sweep_at: usize,
}

/// What one client holds. Removed when it holds nothing and is not charged.
#[derive(Debug, Default)]
struct Client {
    held: usize,
    /// The part of `held` in complete large bodies that are not proven.
    unproven: usize,
    /// Its bodies that are still arriving.
    arriving: Vec<Arc<Account>>,
    /// The bytes of its bodies that were too slow, and until when they count as held.
    charge: Option<(usize, Instant)>,
}

/// One body and what it holds.
#[derive(Debug)]
struct Account {
    client: IpAddr,
    start: Instant,
    /// Changed while [`BodyMemory::state`] is locked, as are the next two.
    held: AtomicUsize,
    /// The part of `held` that counts as large.
    held_large: AtomicUsize,
    /// Another body took the memory of this one.
    evicted: AtomicBool,
    /// The time of the last bytes, in milliseconds since `start`.
    progress_ms: AtomicUsize,
    /// In here and not with the reader, so that whoever evicts this body frees its memory
    /// immediately, and the limit holds at every moment. Locked after the state, never before it.
    bytes: Mutex<Vec<u8>>,
    eviction: Notify,
}

impl Account {
    fn lock_bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last_progress(&self) -> Instant {
        let ms = self.progress_ms.load(Ordering::Relaxed);
        self.start + Duration::from_millis(ms as u64)
    }
}

impl Client {
    /// What the client counts as holding, for the comparison with others.
    fn weight(&self) -> usize {
        self.held + self.charge.map_or(0, |(bytes, _)| bytes)
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.held == 0 && self.charge.is_none_or(|(_, until)| until <= now)
    }
}

/// What a body asks for.
#[derive(Clone, Copy)]
struct Demand {
    bytes: usize,
    /// What of `bytes`, and of what the body holds already, becomes large.
    large_bytes: usize,
    /// Whether only memory that is free may be taken, and no other body is ended for it.
    only_free: bool,
}

impl BodyMemory {
    /// `limit` bytes for all bodies, of which `reserve` are for small ones.
    pub(crate) fn new(limit: usize, reserve: usize) -> Arc<Self> {
        let large_limit = limit.saturating_sub(reserve);
        Arc::new(Self { limit, large_limit, state: Mutex::default() })
    }

    /// The bytes that all bodies hold.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.lock().used
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes memory for a body, if need be from another one.
    fn acquire(&self, account: &Arc<Account>, demand: Demand) -> Result<(), ReadError> {
        let mut state = self.lock();
        if account.evicted.load(Ordering::Relaxed) {
            return Err(ReadError::NoMemory);
        }
        while let Some(shortage) = state.shortage(self, account.client, demand) {
            if demand.only_free {
                return Err(ReadError::NoMemory);
            }
            let victim = state.victim(account, demand, shortage).ok_or(ReadError::NoMemory)?;
            state.evict(&victim);
        }
        state.used += demand.bytes;
        state.used_large += demand.large_bytes;
        state.client(account.client).held += demand.bytes;
        account.held.fetch_add(demand.bytes, Ordering::Relaxed);
        account.held_large.fetch_add(demand.large_bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Counts the bytes of a body that was too slow against its client for a minute.
    fn charge(&self, account: &Account) {
        let mut state = self.lock();
        let now = Instant::now();
        let bytes = account.held.load(Ordering::Relaxed).max(SMALL_BODY_BYTES);
        let client = state.client(account.client);
        let before = client.charge.filter(|(_, until)| *until > now).map_or(0, |(bytes, _)| bytes);
        let charged = before.saturating_add(bytes).min(self.limit);
        client.charge = Some((charged, now + CHARGE_DURATION));
    }
}

/// Which bound a demand exceeds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shortage {
    /// That of all bodies.
    All,
    /// That of large bodies.
    Large,
    /// That of the large bodies of a client that was charged.
    Charged,
}

impl State {
    fn client(&mut self, client: IpAddr) -> &mut Client {
        // Charged clients stay for a minute, so they are swept, each time that their number has
        // doubled.
        if self.clients.len() >= self.sweep_at.max(MIN_SWEEP_CLIENTS) {
            let now = Instant::now();
            self.clients.retain(|_, client| !client.is_idle(now));
            self.sweep_at = self.clients.len() * 2;
        }
        self.clients.entry(client).or_default()
    }

    fn shortage(&self, memory: &BodyMemory, client: IpAddr, demand: Demand) -> Option<Shortage> {
        if self.used.saturating_add(demand.bytes) > memory.limit {
            return Some(Shortage::All);
        }
        if demand.large_bytes == 0 {
            return None;
        }
        if self.used_large.saturating_add(demand.large_bytes) > memory.large_limit {
            return Some(Shortage::Large);
        }
        let client = self.clients.get(&client)?;
        let charged = client.charge.is_some_and(|(_, until)| until > Instant::now());
        let limit = memory.large_limit / CHARGED_CLIENT_DIVISOR;
        (charged && client.held.saturating_add(demand.bytes) > limit).then_some(Shortage::Charged)
    }

    /// The body that gives way to a demand of this account, if there is one.
    fn victim(
        &self,
        of: &Arc<Account>,
        demand: Demand,
        shortage: Shortage,
    ) -> Option<Arc<Account>> {
        // Where large bodies are short of memory, ending a small one would not help.
        let helps = |account: &&Arc<Account>| {
            !Arc::ptr_eq(account, of)
                && (shortage == Shortage::All || account.held_large.load(Ordering::Relaxed) > 0)
        };
        let own = self.clients.get(&of.client);
        let weight = own.map_or(0, Client::weight).saturating_add(demand.bytes);
        let others = self.clients.iter().filter(|(client, other)| {
            shortage != Shortage::Charged && **client != of.client && other.weight() > weight
        });
        let oldest = others.filter_map(|(_, other)| {
            let oldest = other.arriving.iter().filter(helps).min_by_key(|body| body.start)?;
            Some((other.weight(), oldest))
        });
        if let Some((_, oldest)) = oldest.max_by_key(|(weight, _)| *weight) {
            return Some(oldest.clone());
        }
        let now = Instant::now();
        let small = demand.large_bytes == 0;
        let patience = if small { SMALL_BODY_PATIENCE } else { LARGE_BODY_PATIENCE };
        let gives_way = |body: &&Arc<Account>| {
            now - body.last_progress() >= STALL_DURATION || now - body.start >= patience
        };
        let own = own.into_iter().flat_map(|own| &own.arriving).filter(helps).filter(gives_way);
        if let Some(slowest) = own.min_by_key(|body| body.last_progress()) {
            return Some(slowest.clone());
        }
        // Last, whatever has stalled: many clients that hold little each may be one party with many
        // addresses.
        let is_stalled = |body: &&Arc<Account>| now - body.last_progress() >= STALL_DURATION;
        let all = self.clients.values().flat_map(|client| &client.arriving);
        let stalled = all.filter(helps).filter(is_stalled);
        stalled
            .filter(|_| shortage != Shortage::Charged)
            .min_by_key(|body| body.last_progress())
            .cloned()
    }

    /// Ends a body that is still arriving and frees its memory.
    fn evict(&mut self, victim: &Account) {
        victim.evicted.store(true, Ordering::Relaxed);
        *victim.lock_bytes() = Vec::new();
        self.remove_arriving(victim);
        self.release(victim, usize::MAX);
        victim.eviction.notify_one();
    }

    fn remove_arriving(&mut self, account: &Account) {
        let Some(client) = self.clients.get_mut(&account.client) else { return };
        let at = client.arriving.iter().position(|other| std::ptr::eq(&raw const **other, account));
        at.map(|at| client.arriving.swap_remove(at));
    }

    /// Returns at most `bytes` of what a body holds.
    fn release(&mut self, account: &Account, bytes: usize) {
        let held = account.held.load(Ordering::Relaxed);
        let held_large = account.held_large.load(Ordering::Relaxed);
        let (bytes, large) = (bytes.min(held), bytes.min(held_large));
        account.held.store(held - bytes, Ordering::Relaxed);
        account.held_large.store(held_large - large, Ordering::Relaxed);
        self.used -= bytes;
        self.used_large -= large;
        let Some(client) = self.clients.get_mut(&account.client) else { return };
        client.held -= bytes;
        if client.held == 0
            && client.arriving.is_empty()
            && (client.charge.is_none() || client.is_idle(Instant::now()))
        {
            self.clients.remove(&account.client);
        }
    }
}

/// The buffer of one body, and the memory that it holds until it is dropped.
#[derive(Debug)]
pub(crate) struct BodyBuffer {
    memory: Arc<BodyMemory>,
    account: Arc<Account>,
    /// Length and capacity of the account's bytes, unless they were taken away.
    len: usize,
    capacity: usize,
    arriving: bool,
    /// What this body counts as in [`Client::unproven`].
    unproven: usize,
}

impl BodyBuffer {
    /// An empty buffer for a body of this client.
    pub(crate) fn new(memory: Arc<BodyMemory>, client: IpAddr) -> Self {
        let account = Arc::new(Account {
            client: client_group(client),
            start: Instant::now(),
            held: AtomicUsize::new(0),
            held_large: AtomicUsize::new(0),
            evicted: AtomicBool::new(false),
            progress_ms: AtomicUsize::new(0),
            bytes: Mutex::default(),
            eviction: Notify::new(),
        });
        Self { memory, account, len: 0, capacity: 0, arriving: false, unproven: 0 }
    }

    /// Appends a part of a body whose declared length is `declared`, 0 if it has none.
    ///
    /// # Errors
    /// [`ReadError::NoMemory`] if there is no memory, or another body took that of this one.
    pub(crate) fn append(&mut self, data: &[u8], declared: usize) -> Result<(), ReadError> {
        let total = self.len + data.len();
        if total > self.capacity {
            let grown = grown_capacity(total, self.capacity, declared);
            // The memory before the allocation, so that the limit can never be exceeded.
            self.acquire(grown - self.capacity, false)?;
            self.capacity = grown;
        }
        let mut bytes = self.account.lock_bytes();
        if self.account.evicted.load(Ordering::Relaxed) {
            return Err(ReadError::NoMemory);
        }
        bytes.reserve_exact(self.capacity - self.len);
        bytes.extend_from_slice(data);
        drop(bytes);
        self.len = total;
        if self.arriving {
            let ms = self.account.start.elapsed().as_millis();
            let ms = usize::try_from(ms).unwrap_or(usize::MAX);
            self.account.progress_ms.store(ms, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The number of bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// When the buffer was made.
    pub(crate) fn start(&self) -> Instant {
        self.account.start
    }

    /// Marks the body as still arriving: from now on another body may take its memory.
    pub(crate) fn mark_arriving(&mut self) {
        if !self.arriving {
            self.arriving = true;
            let mut state = self.memory.lock();
            state.client(self.account.client).arriving.push(self.account.clone());
        }
    }

    /// Completes when another body has taken the memory of this one.
    pub(crate) async fn evicted(&self) {
        self.account.eviction.notified().await;
    }

    /// Counts this body against its client, because it was too slow.
    pub(crate) fn charge(&self) {
        self.memory.charge(&self.account);
    }

    /// Takes the complete body out. Its memory is held until this buffer is dropped, and nobody can
    /// take it any more. Waits while its client has too much in bodies that are not proven; until
    /// then another body may take the memory of this one.
    ///
    /// # Errors
    /// [`ReadError::NoMemory`] if another body took the memory of this one, or the wait is too long.
    pub(crate) async fn finish(&mut self) -> Result<Bytes, ReadError> {
        if self.account.evicted.load(Ordering::Relaxed) {
            return Err(ReadError::NoMemory);
        }
        let len = self.len;
        if len > SMALL_BODY_BYTES {
            let deadline = Instant::now() + UNPROVEN_TIMEOUT;
            while !self.count_unproven(len) {
                self.mark_arriving();
                tokio::select! {
                    biased;
                    () = self.evicted() => return Err(ReadError::NoMemory),
                    () = sleep(UNPROVEN_PAUSE) => {}
                }
                if Instant::now() >= deadline {
                    return Err(ReadError::NoMemory);
                }
            }
        }
        if self.arriving {
            self.arriving = false;
            let mut state = self.memory.lock();
            if self.account.evicted.load(Ordering::Relaxed) {
                return Err(ReadError::NoMemory);
            }
            state.remove_arriving(&self.account);
        }
        let mut bytes = std::mem::take(&mut *self.account.lock_bytes());
        let spare = bytes.capacity() - bytes.len();
        if spare > 0 {
            bytes.shrink_to_fit();
            self.memory.lock().release(&self.account, spare);
        }
        Ok(bytes.into())
    }

    /// Counts a complete large body as not proven, if its client may have one more.
    fn count_unproven(&mut self, bytes: usize) -> bool {
        let mut state = self.memory.lock();
        let client = state.client(self.account.client);
        let limit = self.memory.large_limit / UNPROVEN_DIVISOR;
        // One is always allowed, because its size is bounded by that of its source.
        if client.unproven > 0 && client.unproven + bytes > limit {
            return false;
        }
        client.unproven += bytes;
        self.unproven = bytes;
        true
    }

    /// The sender of the complete body is proven.
    pub(crate) fn mark_proven(&mut self) {
        if self.unproven > 0 {
            let mut state = self.memory.lock();
            state.client(self.account.client).unproven -= self.unproven;
            self.unproven = 0;
        }
    }

    /// Takes `bytes` more if they are free, for what is made of the body. They count as large.
    pub(crate) fn try_reserve(&mut self, bytes: usize) -> bool {
        self.acquire(bytes, true).is_ok()
    }

    fn acquire(&self, bytes: usize, only_free: bool) -> Result<(), ReadError> {
        let held = self.account.held.load(Ordering::Relaxed);
        let held_large = self.account.held_large.load(Ordering::Relaxed);
        let large_bytes = match held + bytes {
            _ if only_free => bytes,
            total if total > SMALL_BODY_BYTES => total - held_large,
            _ => 0,
        };
        self.memory.acquire(&self.account, Demand { bytes, large_bytes, only_free })
    }
}

impl Drop for BodyBuffer {
    fn drop(&mut self) {
        self.mark_proven();
        let mut state = self.memory.lock();
        if self.arriving {
            state.remove_arriving(&self.account);
        }
        state.release(&self.account, usize::MAX);
    }
}

/// The next capacity of a buffer that must hold `total` bytes: twice the present one, so that a
/// body in small frames is copied a constant number of times, but no more than the declared length.
///
/// The declared length alone is not allocated in advance: a peer could announce much and send
/// nothing.
fn grown_capacity(total: usize, capacity: usize, declared: usize) -> usize {
    let doubled = capacity * 2;
    total.max(if declared > 0 { doubled.min(declared) } else { doubled })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn memory() -> Arc<BodyMemory> {
        BodyMemory::new(64 * MIB, 16 * MIB)
    }

    /// A body of `client` that has received `bytes` and is still arriving.
    fn arriving(memory: &Arc<BodyMemory>, client: u8, bytes: usize) -> BodyBuffer {
        let mut body = BodyBuffer::new(memory.clone(), ip(client));
        body.append(&vec![b'x'; bytes], bytes).unwrap();
        body.mark_arriving();
        body
    }

    fn append(body: &mut BodyBuffer, bytes: usize) -> Result<(), ReadError> {
        body.append(&vec![b'x'; bytes], 0)
    }

    fn used(memory: &BodyMemory) -> (usize, usize, usize) {
        let state = memory.lock();
        (state.used, state.used_large, state.clients.len())
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_leave_the_reserve_to_small_ones() {
        let memory = memory();
        let mut large = Vec::new();
        for _ in 0..4 {
            let mut body = arriving(&memory, 1, 12 * MIB);
            // Complete, so that nobody can take its memory.
            body.finish().await.unwrap();
            body.mark_proven();
            large.push(body);
        }
        let mut rejected = BodyBuffer::new(memory.clone(), ip(2));
        assert_eq!(append(&mut rejected, 65 * KIB), Err(ReadError::NoMemory));
        let mut small = BodyBuffer::new(memory.clone(), ip(2));
        append(&mut small, 64 * KIB).unwrap();
        // It becomes large, and all of it counts as such.
        assert_eq!(append(&mut small, 1), Err(ReadError::NoMemory));
        drop((large, small, rejected));
        assert_eq!(used(&memory), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_holds_less_takes_memory_from_the_one_that_holds_the_most() {
        let memory = memory();
        let mut most = [arriving(&memory, 1, 10 * MIB), arriving(&memory, 1, 18 * MIB)];
        let mut less = arriving(&memory, 2, 20 * MIB);
        let mut body = BodyBuffer::new(memory.clone(), ip(3));
        append(&mut body, MIB).unwrap();
        // The oldest body of the first client is gone, and its memory with it.
        tokio::time::timeout(Duration::from_millis(1), most[0].evicted()).await.unwrap();
        assert_eq!(append(&mut most[0], 1), Err(ReadError::NoMemory));
        assert_eq!(most[0].finish().await, Err(ReadError::NoMemory));
        assert_eq!(used(&memory).0, 39 * MIB);
        assert_eq!(most[1].finish().await.unwrap().len(), 18 * MIB);
        assert_eq!(less.finish().await.unwrap().len(), 20 * MIB);
        drop((most, less, body));
        assert_eq!(used(&memory), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_would_hold_more_than_the_others_is_rejected() {
        let memory = memory();
        let mut first = arriving(&memory, 1, 24 * MIB);
        let mut second = arriving(&memory, 2, 24 * MIB);
        assert_eq!(append(&mut second, 1), Err(ReadError::NoMemory));
        assert_eq!(append(&mut first, 1), Err(ReadError::NoMemory));
        assert!(first.finish().await.is_ok());
        assert!(second.finish().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_wait_for_their_proof_leave_half_to_other_clients() {
        let memory = memory();
        let mut waiting = [arriving(&memory, 1, 20 * MIB), arriving(&memory, 1, 10 * MIB)];
        waiting[0].finish().await.unwrap();
        assert_eq!(waiting[1].finish().await, Err(ReadError::NoMemory));
        waiting[0].mark_proven();
        let mut next = arriving(&memory, 1, 8 * MIB);
        next.finish().await.unwrap();
        drop((waiting, next));
        assert_eq!(used(&memory), (0, 0, 0));
        // A single body may be larger.
        arriving(&memory, 1, 40 * MIB).finish().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn complete_bodies_keep_their_memory() {
        let memory = memory();
        let mut complete = arriving(&memory, 1, 48 * MIB);
        complete.finish().await.unwrap();
        let mut body = BodyBuffer::new(memory.clone(), ip(2));
        assert_eq!(append(&mut body, MIB), Err(ReadError::NoMemory));
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_bodies_give_way_to_others_of_their_client() {
        let memory = memory();
        let stalled = arriving(&memory, 1, 24 * MIB);
        let mut moving = arriving(&memory, 1, 20 * MIB);
        let mut large = BodyBuffer::new(memory.clone(), ip(1));
        assert_eq!(append(&mut large, 5 * MIB), Err(ReadError::NoMemory), "nothing has stalled");
        tokio::time::advance(STALL_DURATION).await;
        append(&mut moving, 1).unwrap();
        append(&mut large, 5 * MIB).unwrap();
        assert!(stalled.account.evicted.load(Ordering::Relaxed));
        assert!(!moving.account.evicted.load(Ordering::Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_bodies_of_many_clients_give_way_to_one_that_needs_more_than_each_holds() {
        let memory = memory();
        let stalled: Vec<_> = (0..192).map(|n| arriving(&memory, n, 256 * KIB)).collect();
        let mut body = BodyBuffer::new(memory.clone(), ip(200));
        assert_eq!(append(&mut body, MIB), Err(ReadError::NoMemory));
        tokio::time::advance(STALL_DURATION).await;
        append(&mut body, MIB).unwrap();
        let evicted = |body: &&BodyBuffer| body.account.evicted.load(Ordering::Relaxed);
        assert_eq!(stalled.iter().filter(evicted).count(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_find_memory_beside_thousands_of_their_client_that_trickle() {
        let memory = BodyMemory::new(MIB, MIB / 4);
        let mut trickling: Vec<_> = (0..64).map(|_| arriving(&memory, 1, 16 * KIB)).collect();
        tokio::time::advance(SMALL_BODY_PATIENCE).await;
        let mut genuine = BodyBuffer::new(memory.clone(), ip(1));
        append(&mut genuine, 3 * KIB).unwrap();
        let mut ended = 0;
        for body in &mut trickling {
            ended += usize::from(body.finish().await.is_err());
        }
        assert_eq!(ended, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_with_slow_bodies_may_hold_a_quarter_for_a_minute() {
        let memory = memory();
        let slow = arriving(&memory, 1, 10 * MIB);
        slow.charge();
        drop(slow);
        let mut body = BodyBuffer::new(memory.clone(), ip(1));
        append(&mut body, 12 * MIB).unwrap();
        assert_eq!(append(&mut body, 1), Err(ReadError::NoMemory));
        append(&mut BodyBuffer::new(memory.clone(), ip(1)), 3 * KIB).unwrap();
        append(&mut BodyBuffer::new(memory.clone(), ip(2)), 13 * MIB).unwrap();
        tokio::time::advance(CHARGE_DURATION).await;
        append(&mut body, 12 * MIB).unwrap();
        drop(body);
        assert_eq!(used(&memory), (0, 0, 0), "the charge has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_of_one_ipv6_prefix_are_one_client() {
        let memory = memory();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut bodies = Vec::new();
        for n in 1..=24 {
            let mut body = BodyBuffer::new(memory.clone(), address(&format!("2001:db8::{n}")));
            append(&mut body, 2 * MIB).unwrap();
            body.mark_arriving();
            bodies.push(body);
        }
        assert_eq!(used(&memory).2, 1);
        let mut other = BodyBuffer::new(memory.clone(), address("2001:db8:0:1::1"));
        append(&mut other, 10 * MIB).unwrap();
        drop((bodies, other));
        assert_eq!(used(&memory), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn charged_clients_are_forgotten() {
        let memory = memory();
        for n in 0..5000_u32 {
            let body = BodyBuffer::new(memory.clone(), IpAddr::from(n.to_be_bytes()));
            body.charge();
            if n % 100 == 0 {
                tokio::time::advance(CHARGE_DURATION / 4).await;
            }
        }
        assert!(used(&memory).2 <= 2 * MIN_SWEEP_CLIENTS, "{}", used(&memory).2);
    }

    #[test]
    fn capacity_doubles_up_to_the_declared_length() {
        assert_eq!(grown_capacity(100, 0, 1000), 100);
        assert_eq!(grown_capacity(150, 100, 1000), 200);
        assert_eq!(grown_capacity(700, 600, 1000), 1000);
        assert_eq!(grown_capacity(700, 600, 0), 1200);
        assert_eq!(grown_capacity(5000, 600, 1000), 5000);
    }
}
