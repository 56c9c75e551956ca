//! What the cache fetches, keeps and answers, over a transport that plays a list of answers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hookward_core::Timestamp;

use super::transport::Fetched;
use super::*;

const URL: &str = "https://keys.example.com/jwks";
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

#[derive(Debug, Default)]
struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_760_000_000 + self.0.load(Ordering::SeqCst))
    }
}

/// A document with its `max-age` in seconds, or the reason of a failure.
type Answer = Result<(&'static str, Option<u64>), &'static str>;

/// Plays its answers in order, each after 20 ms, and repeats the last one.
#[derive(Debug, Default)]
struct ScriptedTransport {
    answers: Mutex<VecDeque<Answer>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Transport for ScriptedTransport {
    async fn fetch(&self, _: &str, _: Option<&Bytes>) -> Result<Fetched, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
        let fetched = |(text, max_age): (&'static str, Option<u64>)| Fetched {
            bytes: text.into(),
            max_age: max_age.map(Duration::from_secs),
        };
        answer.unwrap().map(fetched).map_err(str::to_owned)
    }
}

struct Fixture {
    clock: Arc<ManualClock>,
    transport: Arc<ScriptedTransport>,
    keys: NetworkKeys,
}

fn fixture(answers: &[Answer]) -> Fixture {
    let clock = Arc::new(ManualClock::default());
    let answers = Mutex::new(answers.iter().copied().collect());
    let transport = Arc::new(ScriptedTransport { answers, asked: AtomicUsize::new(0) });
    let keys = NetworkKeys::with_transport(clock.clone(), transport.clone());
    Fixture { clock, transport, keys }
}

impl Fixture {
    /// What `want` gets this many seconds after the start.
    async fn at(&self, seconds: i64, want: &KeyRequest) -> Result<String, String> {
        self.clock.0.store(seconds, Ordering::SeqCst);
        let fetched = self.keys.fetch(want).await;
        let text = |d: KeyDocument| String::from_utf8(d.bytes.to_vec()).unwrap();
        fetched.map(text).map_err(|e| e.to_string())
    }

    /// How many times the transport was asked.
    fn asked(&self) -> usize {
        self.transport.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_copy_is_fresh_for_its_max_age_between_five_minutes_and_a_day() {
    for (max_age, fresh) in
        [(None, HOUR), (Some(0), 5 * MINUTE), (Some(7200), 2 * HOUR), (Some(u64::MAX), 24 * HOUR)]
    {
        let fixture = fixture(&[Ok(("old", max_age)), Ok(("new", None))]);
        let want = KeyRequest::for_url(URL);
        assert_eq!(fixture.at(0, &want).await.as_deref(), Ok("old"));
        assert_eq!(fixture.at(fresh - 1, &want).await.as_deref(), Ok("old"));
        assert_eq!(fixture.asked(), 1, "{max_age:?}");
        assert_eq!(fixture.at(fresh, &want).await.as_deref(), Ok("new"), "{max_age:?}");
        assert_eq!(fixture.asked(), 2);
    }
}

#[tokio::test]
async fn concurrent_lookups_share_one_fetch_even_if_the_first_is_cancelled() {
    let fixture = fixture(&[Ok(("keys", None))]);
    let want = KeyRequest::for_url(URL);
    let first = {
        let (keys, want) = (fixture.keys.clone(), want.clone());
        tokio::spawn(async move { keys.fetch(&want).await })
    };
    tokio::time::sleep(Duration::from_millis(5)).await;
    first.abort();
    let lookups: Vec<_> = (0..50)
        .map(|_| {
            let (keys, want) = (fixture.keys.clone(), want.clone());
            tokio::spawn(async move { keys.fetch(&want).await })
        })
        .collect();
    for lookup in lookups {
        assert_eq!(lookup.await.unwrap().unwrap().bytes, "keys");
    }
    assert_eq!(fixture.asked(), 1);
}

#[tokio::test]
async fn an_address_is_asked_for_a_newer_copy_at_most_once_a_minute() {
    let fixture = fixture(&[Ok(("one", None)), Ok(("two", None)), Ok(("three", None))]);
    let newer = |seconds: i64| {
        KeyRequest::for_url(URL).newer_than(Timestamp::from_secs(1_760_000_000 + seconds))
    };
    assert_eq!(fixture.at(0, &KeyRequest::for_url(URL)).await.as_deref(), Ok("one"));
    assert_eq!(fixture.at(30, &newer(30)).await.as_deref(), Ok("one"));
    assert_eq!(fixture.at(59, &newer(59)).await.as_deref(), Ok("one"));
    assert_eq!(fixture.at(60, &newer(60)).await.as_deref(), Ok("two"));
    assert_eq!(fixture.at(61, &newer(61)).await.as_deref(), Ok("two"));
    assert_eq!(fixture.asked(), 2);
}

#[tokio::test]
async fn a_stale_copy_is_used_for_another_day_while_its_owner_is_unreachable() {
    let fixture = fixture(&[Ok(("keys", None)), Err("no route")]);
    let want = KeyRequest::for_url(URL);
    assert_eq!(fixture.at(0, &want).await.as_deref(), Ok("keys"));
    assert_eq!(fixture.at(2 * HOUR, &want).await.as_deref(), Ok("keys"));
    assert_eq!(fixture.at(2 * HOUR + 59, &want).await.as_deref(), Ok("keys"));
    assert_eq!(fixture.asked(), 2, "not asked again within a minute");
    assert_eq!(fixture.at(25 * HOUR - 1, &want).await.as_deref(), Ok("keys"));
    let error = fixture.at(26 * HOUR, &want).await.unwrap_err();
    assert!(error.contains("a key is unavailable") && error.contains("no route"), "{error}");
}

#[tokio::test]
async fn a_failed_fetch_is_not_repeated_within_a_minute() {
    let fixture = fixture(&[Err("no route"), Ok(("keys", None))]);
    let want = KeyRequest::for_url(URL);
    for second in [0, 1, 59] {
        assert!(fixture.at(second, &want).await.unwrap_err().contains("no route"));
    }
    assert_eq!(fixture.asked(), 1);
    assert_eq!(fixture.at(60, &want).await.as_deref(), Ok("keys"));
}

#[tokio::test]
async fn addresses_and_questions_have_separate_entries() {
    let fixture = fixture(&[Ok(("a", None)), Ok(("b", None)), Ok(("c", None))]);
    let ask = |body: &'static str| KeyRequest::for_url(URL).with_post(body);
    assert_eq!(fixture.at(0, &KeyRequest::for_url(URL)).await.as_deref(), Ok("a"));
    assert_eq!(fixture.at(0, &ask("{1}")).await.as_deref(), Ok("b"));
    assert_eq!(fixture.at(0, &ask("{2}")).await.as_deref(), Ok("c"));
    assert_eq!(fixture.at(0, &ask("{1}")).await.as_deref(), Ok("b"));
}

#[tokio::test]
async fn a_flood_of_made_up_addresses_is_bounded_and_evicts_no_document_in_use() {
    let fixture = fixture(&[Ok(("keys", None)), Err("404")]);
    assert_eq!(fixture.at(0, &KeyRequest::for_url(URL)).await.as_deref(), Ok("keys"));
    for n in 0..(2 * MAX_DOCUMENTS) {
        let made_up = KeyRequest::for_url(format!("https://keys.example.com/{n}"));
        assert!(fixture.at(1, &made_up).await.is_err());
    }
    assert!(fixture.keys.entries.lock().unwrap().len() <= MAX_DOCUMENTS);
    assert!(fixture.asked() <= 31, "{}", fixture.asked());
    let asked = fixture.asked();
    assert_eq!(fixture.at(2, &KeyRequest::for_url(URL)).await.as_deref(), Ok("keys"));
    assert_eq!(fixture.asked(), asked);
}

#[tokio::test]
async fn only_plain_https_addresses_are_fetched_or_confirmed() {
    let fixture = fixture(&[Ok(("keys", None))]);
    for url in ["http://keys.example.com/x", "https://127.0.0.1/x", "https://a.example:8443/x", ""]
    {
        assert!(fixture.at(0, &KeyRequest::for_url(url)).await.is_err(), "{url}");
        assert!(fixture.keys.confirm(url).await.is_err(), "{url}");
    }
    assert_eq!(fixture.asked(), 0);
    assert!(fixture.keys.confirm("https://keys.example.com/confirm").await.is_ok());
}
