//! PROVIDER-12 to -14: hostile requests.

use hookward_core::{Body, Proof, Request, VerifyError};
use http::{HeaderName, HeaderValue, Method};

use super::{BuiltSubject, Checked, GenuineRequest, ensure};

const HOSTILE_REQUESTS: usize = 2_000;

pub(super) async fn nothing_shows_a_secret(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    let secret = built.subject.secret.as_str();
    let hides_secret = |what: &str, text: String| {
        ensure(!text.contains(secret), || format!("{what} shows the secret"))
    };
    hides_secret("`Debug` of the provider", format!("{:?}", built.provider))?;
    let mut random = Random(0x5eed);
    for genuine in genuine_requests {
        hides_secret("`Debug` of a request", format!("{:?}", genuine.request))?;
        match genuine.prove(built, genuine.request.clone()).await {
            Ok(Proof::Genuine(delivery)) => {
                hides_secret("`Debug` of a delivery", format!("{delivery:?}"))?
            }
            Ok(Proof::Handshake(reply)) => {
                hides_secret("a handshake's answer", format!("{reply:?}"))?
            }
            Err(_) => {}
        }
        for _ in 0..50 {
            if let Err(e) = genuine.prove(built, random.mutated(genuine)).await {
                hides_secret("an error", format!("{e} {e:?}"))?;
            }
        }
    }
    built
        .subject
        .descriptor
        .samples
        .iter()
        .try_for_each(|s| hides_secret("a sample", s.body.to_owned()))
}

pub(super) async fn arbitrary_bytes(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    let mut random = Random(0xf00d);
    for round in 0..HOSTILE_REQUESTS {
        let Some(genuine) = genuine_requests.get(round % genuine_requests.len().max(1)) else {
            break;
        };
        let request = random.request(genuine);
        let proof = genuine.prove(built, request).await;
        if let Ok(Proof::Genuine(delivery)) = &proof {
            // Any result is allowed, a panic is not.
            let _ = built.provider.identify(delivery);
        }
        ensure(proof.is_err() || !built.subject.verified, || {
            format!("arbitrary bytes are accepted in round {round}, made from {}", genuine.label)
        })?;
    }
    Ok(())
}

pub(super) async fn precheck_agrees(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    let mut random = Random(0xbeef);
    for round in 0..HOSTILE_REQUESTS {
        let Some(genuine) = genuine_requests.get(round % genuine_requests.len().max(1)) else {
            break;
        };
        let request =
            if round % 2 == 0 { random.mutated(genuine) } else { random.request(genuine) };
        let Err(early) = built.provider.precheck(&request.head) else { continue };
        let found = built.provider.verify(&request, &genuine.cx(genuine.now)).await;
        let late = found.err().map_or("accepted", |e: VerifyError| e.code());
        ensure(late == early.code(), || {
            let head = &request.head;
            format!("precheck says {}, verify says {late}, of {head:?}", early.code())
        })?;
    }
    Ok(())
}

/// A small deterministic generator (xorshift), so that a failing round can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap_or(0) % bound.max(1)
    }

    fn bytes(&mut self, max_len: usize) -> Vec<u8> {
        let len = self.below(max_len + 1);
        (0..len).map(|_| self.next().to_le_bytes().first().copied().unwrap_or(0)).collect()
    }

    /// Text made of pieces that signatures contain.
    fn likely_text(&mut self) -> String {
        const PIECES: [&str; 24] = [
            "sha256=",
            "v0=",
            "v1=",
            "v1,",
            "t=",
            "ts=",
            "h1=",
            ",",
            ";",
            " ",
            "=",
            "==",
            ".",
            "0",
            "1760000000",
            "-1",
            "1e9",
            "99999999999999999999",
            "AAAA",
            "deadbeef",
            "a",
            "%",
            "+/",
            "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ];
        let count = self.below(12);
        (0..count).filter_map(|_| PIECES.get(self.below(PIECES.len())).copied()).collect()
    }

    /// A request with the right header names and random values.
    fn request(&mut self, genuine: &GenuineRequest) -> Request {
        let mut request = Request::default();
        request.head.method = if self.below(8) == 0 { Method::PUT } else { Method::POST };
        request.head.target = format!("/{}?{}", self.likely_text(), self.likely_text());
        for name in genuine.request.head.headers.keys() {
            for _ in 0..self.below(4).min(2) {
                let value = match self.below(3) {
                    0 => self.bytes(80),
                    _ => self.likely_text().into_bytes(),
                };
                self.append(&mut request, name, &value);
            }
        }
        let body = match self.below(4) {
            0 => self.bytes(300),
            1 => format!("{}={}&x", self.likely_text(), self.likely_text()).into_bytes(),
            2 => {
                let bytes = genuine.request.body.bytes();
                bytes.get(..bytes.len() / 2).unwrap_or_default().to_vec()
            }
            _ => format!("{{\"type\":[{}],\"id\":{{}}}}", self.below(9)).into_bytes(),
        };
        request.body = Body::new(body);
        request
    }

    /// A genuine request with one or two changes in its head.
    fn mutated(&mut self, genuine: &GenuineRequest) -> Request {
        let mut request = genuine.request.clone();
        let names: Vec<HeaderName> = request.head.headers.keys().cloned().collect();
        for _ in 0..=self.below(2) {
            let Some(name) = names.get(self.below(names.len())) else { break };
            let old = request.head.headers.get(name).map(|v| v.as_bytes().to_vec());
            let mut value = old.unwrap_or_default();
            match self.below(6) {
                0 => drop(request.head.headers.remove(name)),
                1 => {
                    let text = self.likely_text();
                    self.append(&mut request, name, text.as_bytes());
                }
                n => {
                    let at = self.below(value.len());
                    match n {
                        2 => value.truncate(at),
                        3 => value.clear(),
                        4 => value.insert(at, b' '),
                        _ => value.extend_from_slice(self.likely_text().as_bytes()),
                    }
                    request.head.headers.remove(name);
                    self.append(&mut request, name, &value);
                }
            }
        }
        request
    }

    fn append(&mut self, request: &mut Request, name: &HeaderName, value: &[u8]) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            request.head.headers.append(name, value);
        }
    }
}
