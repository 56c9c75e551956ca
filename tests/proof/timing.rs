//! Comparing tags and tokens takes the same time wherever they differ. In the manner of dudect: two
//! classes of inputs that differ in their first and in their last byte, measured in random order in
//! one buffer, outliers cropped, and Welch's t of the difference. The canary is the same work with
//! `==`, which stops at the first difference: it must be seen.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext, Tag, tokens_equal};

use crate::RunOptions;

/// A larger |t| is a difference, a smaller one is none.
const THRESHOLD: f64 = 10.0;
/// A busy machine may spoil a measurement; a leak is in every one.
const ATTEMPTS: usize = 6;
/// Measurements of an attempt, per run of the suite's options.
const SAMPLES: usize = 1_500;
/// Bytes of a tag of HMAC-SHA-512, and of the tokens.
const LENGTH: usize = 64;
/// Tags compared in one measurement: what one comparison may leak is that many times larger.
const TAGS: usize = 48;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let mut chance = fastrand::Rng::with_seed(options.seed);
    let samples = SAMPLES * options.runs.max(2);
    let (tags, tokens) = (Tags::new()?, Tokens::new());
    let mut told = Vec::new();
    let mut rounds = 0;
    loop {
        let mut compare = |name: &str, ours: &mut dyn FnMut(bool), canary: &mut dyn FnMut(bool)| {
            let ours = quietest(samples, &mut chance, ours);
            let canary = loudest(samples, &mut chance, canary);
            told.push(format!(
                "{name}: |t| {:.1} of {samples} (sees {:.0} ns), canary {:.0}",
                ours.t, ours.resolution, canary.t
            ));
            match (ours.t < THRESHOLD, canary.t > THRESHOLD) {
                (true, true) => Ok(()),
                (false, _) => Err(format!("{name} leaks where inputs differ: |t| {:.1}", ours.t)),
                (_, false) => Err(format!("{name}: an early end is not seen: |t| {:.1}", canary.t)),
            }
        };
        compare("tags", &mut tags.ours(), &mut tags.canary())?;
        compare("tokens", &mut tokens.ours(), &mut tokens.canary())?;
        rounds += 1;
        if options.until.is_none() || !options.wants_another(rounds) {
            return Ok(told.join("; "));
        }
        told.clear();
    }
}

/// Tags that differ from the one message's MAC in their first byte, and from the other's in the last.
/// The tags are the same ones for both classes; what is expected of them varies.
struct Tags {
    messages: [[u8; LENGTH]; 2],
    tags: Vec<Tag>,
    bytes: Vec<Vec<u8>>,
}

impl Tags {
    fn new() -> Result<Self, String> {
        let messages = [[1; LENGTH], [2; LENGTH]];
        let first = |message: &[u8]| mac(message).map(HmacContext::finish);
        let mut bytes = first(&messages[1]).ok_or("no MAC")?;
        bytes[LENGTH - 1] ^= 1;
        if first(&messages[0]).ok_or("no MAC")?[0] == bytes[0] {
            return Err("both MACs begin alike; take another message".to_owned());
        }
        let text = Encoding::Hex.encode(&bytes);
        let tag = Tag::decode(&text, Encoding::Hex, LENGTH..=LENGTH).ok_or("no tag")?;
        Ok(Self { messages, tags: vec![tag; TAGS], bytes: vec![bytes; TAGS] })
    }

    fn ours(&self) -> impl FnMut(bool) {
        let mut message = [0; LENGTH];
        move |late| {
            message.copy_from_slice(&self.messages[usize::from(late)]);
            let mac = mac(black_box(&message));
            black_box(mac.is_some_and(|mac| mac.matches_any(&self.tags)));
        }
    }

    fn canary(&self) -> impl FnMut(bool) {
        let mut message = [0; LENGTH];
        move |late| {
            message.copy_from_slice(&self.messages[usize::from(late)]);
            let expected = mac(black_box(&message)).map(HmacContext::finish).unwrap_or_default();
            let same = |found: bool, tag: &Vec<u8>| found | early_end(tag, &expected);
            black_box(self.bytes.iter().fold(false, same));
        }
    }
}

/// A MAC under way.
fn mac(message: &[u8]) -> Option<HmacContext> {
    let mut mac = HmacContext::new(HmacAlgorithm::Sha512, b"a key of the timing suite")?;
    mac.update(message);
    Some(mac)
}

/// What `==` does: it stops where the two differ. Written out, because a library may compare so short
/// texts a word at a time and hide on this machine what shows on another.
#[inline(never)]
fn early_end(given: &[u8], expected: &[u8]) -> bool {
    given.len() == expected.len() && given.iter().zip(expected).all(|(a, b)| a == b)
}

/// Tokens that differ in their first or their last byte from the configured one.
struct Tokens {
    configured: [u8; LENGTH],
    given: [[u8; LENGTH]; 2],
}

impl Tokens {
    fn new() -> Self {
        let configured = [b'a'; LENGTH];
        let (mut early, mut late) = (configured, configured);
        early[0] = b'b';
        late[LENGTH - 1] = b'b';
        Self { configured, given: [early, late] }
    }

    fn ours(&self) -> impl FnMut(bool) {
        let mut given = [0; LENGTH];
        move |late| {
            given.copy_from_slice(&self.given[usize::from(late)]);
            black_box(tokens_equal(black_box(&given), black_box(&self.configured)));
        }
    }

    fn canary(&self) -> impl FnMut(bool) {
        let mut given = [0; LENGTH];
        move |late| {
            given.copy_from_slice(&self.given[usize::from(late)]);
            black_box(tokens_equal(black_box(&given), black_box(&self.configured)));
            black_box(early_end(black_box(&given), black_box(&self.configured)));
        }
    }
}

/// Welch's t, as large as any crop shows it, and the least difference that would be over the
/// threshold in some crop.
#[derive(Debug, Clone, Copy)]
struct Measured {
    t: f64,
    resolution: f64,
}

/// The attempt with the smallest t: what always leaks has no quiet attempt.
fn quietest(n: usize, chance: &mut fastrand::Rng, work: &mut dyn FnMut(bool)) -> Measured {
    best(n, chance, work, |t| t < THRESHOLD)
}

/// The first attempt in which the difference shows.
fn loudest(n: usize, chance: &mut fastrand::Rng, work: &mut dyn FnMut(bool)) -> Measured {
    best(n, chance, work, |t| t > THRESHOLD)
}

fn best(
    samples: usize,
    chance: &mut fastrand::Rng,
    work: &mut dyn FnMut(bool),
    enough: impl Fn(f64) -> bool,
) -> Measured {
    let mut last = measure(samples, chance, work);
    for _ in 1..ATTEMPTS {
        if enough(last.t) {
            break;
        }
        last = measure(samples, chance, work);
    }
    last
}

fn measure(samples: usize, chance: &mut fastrand::Rng, work: &mut dyn FnMut(bool)) -> Measured {
    for n in 0..200 {
        work(n % 2 == 0);
    }
    let times: Vec<(bool, f64)> = (0..samples)
        .map(|_| {
            let late = chance.bool();
            let start = Instant::now();
            work(late);
            (late, nanos(start.elapsed()))
        })
        .collect();
    let mut sorted: Vec<f64> = times.iter().map(|(_, t)| *t).collect();
    sorted.sort_by(f64::total_cmp);
    let crops = [50, 75, 90].map(|percent| sorted[samples * percent / 100]);
    let all = crops.map(|bound| {
        let of = |class: bool| times.iter().filter(move |(c, t)| *c == class && *t <= bound);
        let early = Moments::of(of(false).map(|(_, t)| *t));
        let late = Moments::of(of(true).map(|(_, t)| *t));
        let error = (early.error() + late.error()).sqrt().max(f64::MIN_POSITIVE);
        Measured { t: ((early.mean - late.mean) / error).abs(), resolution: THRESHOLD * error }
    });
    let worst = |a: Measured, b: Measured| Measured {
        t: a.t.max(b.t),
        resolution: a.resolution.min(b.resolution),
    };
    all.into_iter().reduce(worst).unwrap_or(all[0])
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

#[derive(Debug, Default)]
struct Moments {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut moments = Self::default();
        for value in values {
            moments.n += 1.0;
            let away = value - moments.mean;
            moments.mean += away / moments.n;
            moments.squares += away * (value - moments.mean);
        }
        moments
    }

    /// The square of the standard error of the mean.
    fn error(&self) -> f64 {
        self.squares / (self.n - 1.0).max(1.0) / self.n.max(1.0)
    }
}
