//! Slows whoever guesses admin tokens. After a few wrong ones, the requests of an address have their
//! tokens compared one after the other, a tenth of a second each. The right token is never refused:
//! an operator may share the address, for example behind a proxy.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hookward_engine::ingest::client_group;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// Wrong tokens of one address after which its requests are slowed.
const MAX_WRONG_TOKENS: u32 = 10;
/// Time without a wrong token after which an address is forgotten.
const MEMORY: Duration = Duration::from_secs(60);
/// Time that one comparison takes at least for an address that is slowed.
const COMPARISON_TIME: Duration = Duration::from_millis(100);
/// The most requests of one address that wait for their turn. Further ones get 429.
const MAX_WAITING: usize = 100;
/// The most addresses that are remembered; past it, all are forgotten.
const MAX_ADDRESSES: usize = 10_000;

/// The wrong tokens of all addresses.
#[derive(Debug, Default)]
pub(crate) struct TokenAttempts(Mutex<HashMap<Option<IpAddr>, Attempts>>);

#[derive(Debug)]
struct Attempts {
    wrong: u32,
    last: Instant,
    turns: Arc<Turns>,
}

/// The queue of an address: one token is compared at a time.
#[derive(Debug)]
struct Turns {
    waiting: Semaphore,
    comparing: tokio::sync::Mutex<()>,
}

/// There are too many requests of this address already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooManyWaiting;

impl TokenAttempts {
    /// Waits until this address may have a token compared: no time at all, unless it has sent
    /// several wrong ones lately.
    pub(crate) async fn wait_for_turn(&self, client: Option<IpAddr>) -> Result<(), TooManyWaiting> {
        let Some(turns) = self.slowed(client.map(client_group)) else { return Ok(()) };
        let _waiting = turns.waiting.try_acquire().map_err(|_| TooManyWaiting)?;
        let _comparing = turns.comparing.lock().await;
        sleep(COMPARISON_TIME).await;
        Ok(())
    }

    /// Counts a wrong token. Returns how many this address has sent lately.
    pub(crate) fn count_wrong(&self, client: Option<IpAddr>) -> u32 {
        let mut addresses = self.lock();
        if addresses.len() >= MAX_ADDRESSES {
            addresses.clear();
        }
        let now = Instant::now();
        let new = || Attempts {
            wrong: 0,
            last: now,
            turns: Arc::new(Turns {
                waiting: Semaphore::new(MAX_WAITING),
                comparing: tokio::sync::Mutex::default(),
            }),
        };
        let attempts = addresses.entry(client.map(client_group)).or_insert_with(new);
        if attempts.last.elapsed() > MEMORY {
            attempts.wrong = 0;
        }
        (attempts.wrong, attempts.last) = (attempts.wrong.saturating_add(1), now);
        attempts.wrong
    }

    fn slowed(&self, address: Option<IpAddr>) -> Option<Arc<Turns>> {
        let addresses = self.lock();
        let attempts = addresses.get(&address)?;
        let is_slowed = attempts.wrong >= MAX_WRONG_TOKENS && attempts.last.elapsed() <= MEMORY;
        is_slowed.then(|| attempts.turns.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Option<IpAddr>, Attempts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the wrong token with this number is logged: the first few, and then ever fewer.
pub(crate) fn is_logged(wrong: u32) -> bool {
    wrong <= MAX_WRONG_TOKENS || wrong.is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8) -> Option<IpAddr> {
        Some(IpAddr::from([198, 51, 100, n]))
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_with_wrong_tokens_waits_and_others_do_not() {
        let attempts = TokenAttempts::default();
        let start = Instant::now();
        for _ in 0..MAX_WRONG_TOKENS {
            attempts.wait_for_turn(client(1)).await.unwrap();
            attempts.count_wrong(client(1));
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        let all = (0..10).map(|_| attempts.wait_for_turn(client(1)));
        for result in futures_join(all).await {
            assert_eq!(result, Ok(()));
        }
        assert_eq!(start.elapsed(), COMPARISON_TIME * 10, "one after the other");
        attempts.wait_for_turn(client(2)).await.unwrap();
        attempts.wait_for_turn(None).await.unwrap();
        assert_eq!(start.elapsed(), COMPARISON_TIME * 10);
        tokio::time::advance(MEMORY + Duration::from_millis(1)).await;
        let later = Instant::now();
        attempts.wait_for_turn(client(1)).await.unwrap();
        assert_eq!(later.elapsed(), Duration::ZERO, "forgotten after a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bounded_number_of_requests_waits() {
        let attempts = TokenAttempts::default();
        for _ in 0..MAX_WRONG_TOKENS {
            attempts.count_wrong(client(1));
        }
        let all = (0..MAX_WAITING + 5).map(|_| attempts.wait_for_turn(client(1)));
        let results = futures_join(all).await;
        let rejected = results.iter().filter(|result| **result == Err(TooManyWaiting)).count();
        assert_eq!(rejected, 5);
    }

    /// Runs futures at the same time on this task.
    async fn futures_join<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
        let mut pending: Vec<_> = all.map(|f| (Box::pin(f), None)).collect();
        std::future::poll_fn(|cx| {
            for (future, result) in &mut pending {
                if result.is_none()
                    && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
                {
                    *result = Some(output);
                }
            }
            match pending.iter().all(|(_, result)| result.is_some()) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
        pending.into_iter().filter_map(|(_, result)| result).collect()
    }
}
