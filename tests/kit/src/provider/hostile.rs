//! PROVIDER-12 to -14: requests that nobody means well with.

use hookward_core::{Body, Proof, Request, VerifyError};
use http::{HeaderName, HeaderValue, Method};

use super::{Good, Kept, Trial, ensure};

const ROUNDS: usize = 2_000;

pub(super) async fn nothing_shows_a_secret(trial: &Trial<'_>, goods: &[Good]) -> Kept {
    let secret = trial.subject.secret.as_str();
    let silent = |what: &str, text: String| {
        ensure(!text.contains(secret), || format!("{what} shows the secret"))
    };
    silent("`Debug` of the provider", format!("{:?}", trial.provider))?;
    let mut random = Random(0x5eed);
    for good in goods {
        silent("`Debug` of a request", format!("{:?}", good.request))?;
        match good.prove(trial, good.request.clone()).await {
            Ok(Proof::Genuine(delivery)) => {
                silent("`Debug` of a delivery", format!("{delivery:?}"))?
            }
            Ok(Proof::Handshake(reply)) => silent("a handshake's answer", format!("{reply:?}"))?,
            Err(_) => {}
        }
        for _ in 0..50 {
            if let Err(e) = good.prove(trial, random.mutated(good)).await {
                silent("an error", format!("{e} {e:?}"))?;
            }
        }
    }
    trial.subject.descriptor.samples.iter().try_for_each(|s| silent("a sample", s.body.to_owned()))
}

pub(super) async fn arbitrary_bytes(trial: &Trial<'_>, goods: &[Good]) -> Kept {
    let mut random = Random(0xf00d);
    for round in 0..ROUNDS {
        let Some(good) = goods.get(round % goods.len().max(1)) else { break };
        let request = random.request(good);
        let proof = good.prove(trial, request).await;
        if let Ok(Proof::Genuine(delivery)) = &proof {
            // Whatever comes of it: it may not panic.
            let _ = trial.provider.identify(delivery);
        }
        ensure(proof.is_err() || !trial.subject.verified, || {
            format!("arbitrary bytes are accepted in round {round}, made from {}", good.label)
        })?;
    }
    Ok(())
}

pub(super) async fn precheck_agrees(trial: &Trial<'_>, goods: &[Good]) -> Kept {
    let mut random = Random(0xbeef);
    for round in 0..ROUNDS {
        let Some(good) = goods.get(round % goods.len().max(1)) else { break };
        let request = if round % 2 == 0 { random.mutated(good) } else { random.request(good) };
        let Err(early) = trial.provider.precheck(&request.head) else { continue };
        let found = trial.provider.verify(&request, &good.cx(good.now)).await;
        let late = found.err().map_or("accepted", |e: VerifyError| e.code());
        ensure(late == early.code(), || {
            let head = &request.head;
            format!("precheck says {}, verify says {late}, of {head:?}", early.code())
        })?;
    }
    Ok(())
}

/// Small and repeatable: xorshift. A failing round is the same one tomorrow.
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

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.below(most + 1);
        (0..len).map(|_| self.next().to_le_bytes().first().copied().unwrap_or(0)).collect()
    }

    /// Text made of what signatures are made of.
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

    /// Headers with the right names, and nothing right in them.
    fn request(&mut self, good: &Good) -> Request {
        let mut request = Request::default();
        request.head.method = if self.below(8) == 0 { Method::PUT } else { Method::POST };
        request.head.target = format!("/{}?{}", self.likely_text(), self.likely_text());
        for name in good.request.head.headers.keys() {
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
                let bytes = good.request.body.bytes();
                bytes.get(..bytes.len() / 2).unwrap_or_default().to_vec()
            }
            _ => format!("{{\"type\":[{}],\"id\":{{}}}}", self.below(9)).into_bytes(),
        };
        request.body = Body::new(body);
        request
    }

    /// A good request with one or two things wrong in its head.
    fn mutated(&mut self, good: &Good) -> Request {
        let mut request = good.request.clone();
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
