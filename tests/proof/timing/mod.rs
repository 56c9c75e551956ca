//! Suite `timing`: comparing two tags or two tokens takes the same time wherever they differ.
//!
//! The method is that of dudect: two classes of inputs, which differ in the first and in the last
//! byte, are measured in random order in one buffer, outliers are cropped, and Welch's t-test
//! compares the classes. The canary is the same work with `==`, which returns at the first
//! difference.

mod library_comparison;

use std::hint::black_box;
use std::time::{Duration, Instant};

use hookward_core::crypto::{Encoding, HmacAlgorithm, HmacContext, Tag, tokens_equal};

use crate::RunOptions;

pub(crate) use library_comparison::{COMPARE_SECRETS, compare_secrets};

/// A |t| above this value is a difference in time.
const T_THRESHOLD: f64 = 10.0;
/// Attempts of a measurement. A busy machine disturbs some of them; a leak shows in each.
const MAX_ATTEMPTS: usize = 6;
/// Samples of an attempt for each of `--runs`.
const SAMPLES_PER_RUN: usize = 1_500;
/// Length in bytes of a tag of HMAC-SHA-512 and of the tokens.
const INPUT_BYTES: usize = 64;
/// Tags compared in one sample, which multiplies what one comparison may leak.
const TAGS_PER_SAMPLE: usize = 48;

pub(crate) fn run(options: &RunOptions) -> Result<String, String> {
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let samples = SAMPLES_PER_RUN * options.runs.max(2);
    let (tags, tokens) = (Tags::new()?, Tokens::new());
    let watched = library_comparison::check()?;
    let mut summary = vec![watched.clone()];
    let mut rounds = 0;
    loop {
        let mut compare = |name: &str, ours: &mut dyn FnMut(bool), canary: &mut dyn FnMut(bool)| {
            let ours = measure_until_equal(samples, &mut rng, ours);
            let canary = measure_until_different(samples, &mut rng, canary);
            summary.push(format!(
                "{name}: |t| {:.1} in {samples} samples (resolution {:.0} ns), canary {:.0}",
                ours.t, ours.resolution, canary.t
            ));
            match (ours.t < T_THRESHOLD, canary.t > T_THRESHOLD) {
                (true, true) => Ok(()),
                (false, _) => Err(format!(
                    "{name}: the time depends on where inputs differ: |t| {:.1}, at most {T_THRESHOLD} is allowed",
                    ours.t
                )),
                (_, false) => Err(format!(
                    "{name}: the canary, an early return, was not found: |t| {:.1}",
                    canary.t
                )),
            }
        };
        compare("tags", &mut tags.compare(), &mut tags.compare_early_return())?;
        compare("tokens", &mut tokens.compare(), &mut tokens.compare_early_return())?;
        rounds += 1;
        if options.until.is_none() || !options.wants_another(rounds) {
            return Ok(summary.join("; "));
        }
        summary = vec![watched.clone()];
    }
}

/// Tags that differ from the MAC of one message in the first byte and from that of another message
/// in the last. Both classes compare the same tags, so only the computed MAC differs.
struct Tags {
    messages: [[u8; INPUT_BYTES]; 2],
    tags: Vec<Tag>,
    bytes: Vec<Vec<u8>>,
}

impl Tags {
    fn new() -> Result<Self, String> {
        let messages = [[1; INPUT_BYTES], [2; INPUT_BYTES]];
        let compute = |message: &[u8]| start_mac(message).map(HmacContext::finish);
        let mut bytes = compute(&messages[1]).ok_or("no MAC")?;
        bytes[INPUT_BYTES - 1] ^= 1;
        if compute(&messages[0]).ok_or("no MAC")?[0] == bytes[0] {
            return Err(
                "both MACs begin with the same byte; the suite needs other messages".to_owned()
            );
        }
        let text = Encoding::Hex.encode(&bytes);
        let tag = Tag::decode(&text, Encoding::Hex, INPUT_BYTES..=INPUT_BYTES).ok_or("no tag")?;
        Ok(Self { messages, tags: vec![tag; TAGS_PER_SAMPLE], bytes: vec![bytes; TAGS_PER_SAMPLE] })
    }

    fn compare(&self) -> impl FnMut(bool) {
        let mut message = [0; INPUT_BYTES];
        move |late| {
            message.copy_from_slice(&self.messages[usize::from(late)]);
            let mac = start_mac(black_box(&message));
            black_box(mac.is_some_and(|mac| mac.matches_any(&self.tags)));
        }
    }

    fn compare_early_return(&self) -> impl FnMut(bool) {
        let mut message = [0; INPUT_BYTES];
        move |late| {
            message.copy_from_slice(&self.messages[usize::from(late)]);
            let expected =
                start_mac(black_box(&message)).map(HmacContext::finish).unwrap_or_default();
            let same = |found: bool, tag: &Vec<u8>| found | early_return_eq(tag, &expected);
            black_box(self.bytes.iter().fold(false, same));
        }
    }
}

/// Starts the MAC of a message.
fn start_mac(message: &[u8]) -> Option<HmacContext> {
    let mut mac = HmacContext::new(HmacAlgorithm::Sha512, b"a key of the timing suite")?;
    mac.update(message);
    Some(mac)
}

/// Compares like `==` and returns at the first difference. Written out, because the library's
/// comparison of short texts works in words, which hides the difference on some machines.
#[inline(never)]
fn early_return_eq(given: &[u8], expected: &[u8]) -> bool {
    given.len() == expected.len() && given.iter().zip(expected).all(|(a, b)| a == b)
}

/// Tokens that differ from the configured one in the first or in the last byte.
struct Tokens {
    configured: [u8; INPUT_BYTES],
    given: [[u8; INPUT_BYTES]; 2],
}

impl Tokens {
    fn new() -> Self {
        let configured = [b'a'; INPUT_BYTES];
        let (mut early, mut late) = (configured, configured);
        early[0] = b'b';
        late[INPUT_BYTES - 1] = b'b';
        Self { configured, given: [early, late] }
    }

    fn compare(&self) -> impl FnMut(bool) {
        let mut given = [0; INPUT_BYTES];
        move |late| {
            given.copy_from_slice(&self.given[usize::from(late)]);
            black_box(tokens_equal(black_box(&given), black_box(&self.configured)));
        }
    }

    fn compare_early_return(&self) -> impl FnMut(bool) {
        let mut given = [0; INPUT_BYTES];
        move |late| {
            given.copy_from_slice(&self.given[usize::from(late)]);
            black_box(tokens_equal(black_box(&given), black_box(&self.configured)));
            black_box(early_return_eq(black_box(&given), black_box(&self.configured)));
        }
    }
}

/// The largest |t| of all crops, and the smallest difference in nanoseconds that would exceed the
/// threshold in one of them.
#[derive(Debug, Clone, Copy)]
struct Measurement {
    t: f64,
    resolution: f64,
}

/// Measures until an attempt stays below the threshold: a real leak shows in each attempt.
fn measure_until_equal(
    samples: usize,
    rng: &mut fastrand::Rng,
    work: &mut dyn FnMut(bool),
) -> Measurement {
    measure_until(samples, rng, work, |t| t < T_THRESHOLD)
}

/// Measures until an attempt exceeds the threshold.
fn measure_until_different(
    samples: usize,
    rng: &mut fastrand::Rng,
    work: &mut dyn FnMut(bool),
) -> Measurement {
    measure_until(samples, rng, work, |t| t > T_THRESHOLD)
}

fn measure_until(
    samples: usize,
    rng: &mut fastrand::Rng,
    work: &mut dyn FnMut(bool),
    is_enough: impl Fn(f64) -> bool,
) -> Measurement {
    let mut last = measure(samples, rng, work);
    for _ in 1..MAX_ATTEMPTS {
        if is_enough(last.t) {
            break;
        }
        last = measure(samples, rng, work);
    }
    last
}

fn measure(samples: usize, rng: &mut fastrand::Rng, work: &mut dyn FnMut(bool)) -> Measurement {
    for n in 0..200 {
        work(n % 2 == 0);
    }
    let times: Vec<(bool, f64)> = (0..samples)
        .map(|_| {
            let late = rng.bool();
            let start = Instant::now();
            work(late);
            (late, as_nanos(start.elapsed()))
        })
        .collect();
    let mut sorted: Vec<f64> = times.iter().map(|(_, t)| *t).collect();
    sorted.sort_by(f64::total_cmp);
    let crops = [50, 75, 90].map(|percent| sorted[samples * percent / 100]);
    let measurements = crops.map(|bound| {
        let of_class = |class: bool| times.iter().filter(move |(c, t)| *c == class && *t <= bound);
        let early = Moments::from_values(of_class(false).map(|(_, t)| *t));
        let late = Moments::from_values(of_class(true).map(|(_, t)| *t));
        let error = (early.squared_error() + late.squared_error()).sqrt().max(f64::MIN_POSITIVE);
        Measurement { t: ((early.mean - late.mean) / error).abs(), resolution: T_THRESHOLD * error }
    });
    let worst = |a: Measurement, b: Measurement| Measurement {
        t: a.t.max(b.t),
        resolution: a.resolution.min(b.resolution),
    };
    measurements.into_iter().reduce(worst).unwrap_or(measurements[0])
}

fn as_nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// Running mean and variance, by Welford's method.
#[derive(Debug, Default)]
struct Moments {
    n: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn from_values(values: impl Iterator<Item = f64>) -> Self {
        let mut moments = Self::default();
        for value in values {
            moments.n += 1.0;
            let deviation = value - moments.mean;
            moments.mean += deviation / moments.n;
            moments.squares += deviation * (value - moments.mean);
        }
        moments
    }

    /// Returns the square of the standard error of the mean.
    fn squared_error(&self) -> f64 {
        self.squares / (self.n - 1.0).max(1.0) / self.n.max(1.0)
    }
}
