//! What is asked, kept and answered, over a transport that is a list of answers.

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
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_760_000_000 + self.0.load(Ordering::SeqCst))
    }
}

/// A document with its age, or why there is none.
type Answer = Result<(&'static str, Option<u64>), &'static str>;

/// Answers in order, each after a while, and the last one for ever.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Transport for Script {
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

struct Bench {
    clock: Arc<Hand>,
    script: Arc<Script>,
    keys: NetworkKeys,
}

fn bench(answers: &[Answer]) -> Bench {
    let clock = Arc::new(Hand::default());
    let answers = Mutex::new(answers.iter().copied().collect());
    let script = Arc::new(Script { answers, asked: AtomicUsize::new(0) });
    let keys = NetworkKeys::over(clock.clone(), script.clone());
    Bench { clock, script, keys }
}

impl Bench {
    async fn at(&self, seconds: i64, want: &KeyRequest) -> Result<String, String> {
        self.clock.0.store(seconds, Ordering::SeqCst);
        let found = self.keys.fetch(want).await;
        let text = |d: KeyDocument| String::from_utf8(d.bytes.to_vec()).unwrap();
        found.map(text).map_err(|e| e.to_string())
    }

    fn asked(&self) -> usize {
        self.script.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_copy_is_fresh_as_long_as_its_owner_says_within_five_minutes_and_a_day() {
    for (max_age, fresh) in
        [(None, HOUR), (Some(0), 5 * MINUTE), (Some(7200), 2 * HOUR), (Some(u64::MAX), 24 * HOUR)]
    {
        let bench = bench(&[Ok(("old", max_age)), Ok(("new", None))]);
        let want = KeyRequest::for_url(URL);
        assert_eq!(bench.at(0, &want).await.as_deref(), Ok("old"));
        assert_eq!(bench.at(fresh - 1, &want).await.as_deref(), Ok("old"));
        assert_eq!(bench.asked(), 1, "{max_age:?}");
        assert_eq!(bench.at(fresh, &want).await.as_deref(), Ok("new"), "{max_age:?}");
        assert_eq!(bench.asked(), 2);
    }
}

#[tokio::test]
async fn many_who_ask_at_a_time_are_answered_by_one_request_even_if_the_first_goes_away() {
    let bench = bench(&[Ok(("keys", None))]);
    let want = KeyRequest::for_url(URL);
    let first = {
        let (keys, want) = (bench.keys.clone(), want.clone());
        tokio::spawn(async move { keys.fetch(&want).await })
    };
    tokio::time::sleep(Duration::from_millis(5)).await;
    first.abort();
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let (keys, want) = (bench.keys.clone(), want.clone());
            tokio::spawn(async move { keys.fetch(&want).await })
        })
        .collect();
    for one in asking {
        assert_eq!(one.await.unwrap().unwrap().bytes, "keys");
    }
    assert_eq!(bench.asked(), 1);
}

#[tokio::test]
async fn a_newer_copy_is_asked_for_at_most_once_a_minute() {
    let bench = bench(&[Ok(("one", None)), Ok(("two", None)), Ok(("three", None))]);
    let newer = |seconds: i64| {
        KeyRequest::for_url(URL).newer_than(Timestamp::from_secs(1_760_000_000 + seconds))
    };
    assert_eq!(bench.at(0, &KeyRequest::for_url(URL)).await.as_deref(), Ok("one"));
    assert_eq!(bench.at(30, &newer(30)).await.as_deref(), Ok("one"));
    assert_eq!(bench.at(59, &newer(59)).await.as_deref(), Ok("one"));
    assert_eq!(bench.at(60, &newer(60)).await.as_deref(), Ok("two"));
    assert_eq!(bench.at(61, &newer(61)).await.as_deref(), Ok("two"));
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn an_old_copy_serves_another_day_while_its_owner_is_out_of_reach() {
    let bench = bench(&[Ok(("keys", None)), Err("no route")]);
    let want = KeyRequest::for_url(URL);
    assert_eq!(bench.at(0, &want).await.as_deref(), Ok("keys"));
    assert_eq!(bench.at(2 * HOUR, &want).await.as_deref(), Ok("keys"));
    assert_eq!(bench.at(2 * HOUR + 59, &want).await.as_deref(), Ok("keys"));
    assert_eq!(bench.asked(), 2, "not asked again within a minute");
    assert_eq!(bench.at(25 * HOUR - 1, &want).await.as_deref(), Ok("keys"));
    let error = bench.at(26 * HOUR, &want).await.unwrap_err();
    assert!(error.contains("a key is unavailable") && error.contains("no route"), "{error}");
}

#[tokio::test]
async fn a_failure_is_remembered_for_a_minute_and_then_mended() {
    let bench = bench(&[Err("no route"), Ok(("keys", None))]);
    let want = KeyRequest::for_url(URL);
    for second in [0, 1, 59] {
        assert!(bench.at(second, &want).await.unwrap_err().contains("no route"));
    }
    assert_eq!(bench.asked(), 1);
    assert_eq!(bench.at(60, &want).await.as_deref(), Ok("keys"));
}

#[tokio::test]
async fn addresses_and_questions_are_kept_apart() {
    let bench = bench(&[Ok(("a", None)), Ok(("b", None)), Ok(("c", None))]);
    let ask = |body: &'static str| KeyRequest::for_url(URL).with_post(body);
    assert_eq!(bench.at(0, &KeyRequest::for_url(URL)).await.as_deref(), Ok("a"));
    assert_eq!(bench.at(0, &ask("{1}")).await.as_deref(), Ok("b"));
    assert_eq!(bench.at(0, &ask("{2}")).await.as_deref(), Ok("c"));
    assert_eq!(bench.at(0, &ask("{1}")).await.as_deref(), Ok("b"));
}

#[tokio::test]
async fn a_flood_of_made_up_addresses_is_bounded_and_costs_no_known_document() {
    let bench = bench(&[Ok(("keys", None)), Err("404")]);
    assert_eq!(bench.at(0, &KeyRequest::for_url(URL)).await.as_deref(), Ok("keys"));
    for n in 0..(2 * MAX_DOCUMENTS) {
        let made_up = KeyRequest::for_url(format!("https://keys.example.com/{n}"));
        assert!(bench.at(1, &made_up).await.is_err());
    }
    assert!(bench.keys.slots.lock().unwrap().len() <= MAX_DOCUMENTS);
    assert!(bench.asked() <= 31, "{}", bench.asked());
    let asked = bench.asked();
    assert_eq!(bench.at(2, &KeyRequest::for_url(URL)).await.as_deref(), Ok("keys"));
    assert_eq!(bench.asked(), asked);
}

#[tokio::test]
async fn only_plain_https_addresses_are_asked_or_called() {
    let bench = bench(&[Ok(("keys", None))]);
    for url in ["http://keys.example.com/x", "https://127.0.0.1/x", "https://a.example:8443/x", ""]
    {
        assert!(bench.at(0, &KeyRequest::for_url(url)).await.is_err(), "{url}");
        assert!(bench.keys.confirm(url).await.is_err(), "{url}");
    }
    assert_eq!(bench.asked(), 0);
    assert!(bench.keys.confirm("https://keys.example.com/confirm").await.is_ok());
}
