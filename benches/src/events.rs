//! The load: GitHub pushes, all different, signed before anything is measured. Every variant and
//! round gets the same ones.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The secret of all events, which both servers are configured with.
pub(crate) const SECRET: &str = "a-secret-for-measuring-only";

/// The path on which both servers receive.
pub(crate) const PATH: &str = "/webhooks/github";

/// The body; each [`COMMIT_PLACEHOLDER`] in it becomes the commit id of the event.
const BODY_TEMPLATE: &str = include_str!("push.json");
const COMMIT_PLACEHOLDER: &str = "{{commit}}";

/// Signed events. Only what differs between them is in memory: 140 bytes each.
pub(crate) struct Events {
    head: Head,
    /// The parts of the body between the commit ids.
    body_parts: Vec<&'static [u8]>,
    signed: Vec<Signed>,
}

/// The parts of a request head, in order, between which the values of one event stand.
struct Head {
    before_delivery: Vec<u8>,
    before_signature: Vec<u8>,
    before_body: Vec<u8>,
}

/// The values of one event.
struct Signed {
    delivery: [u8; 36],
    commit: [u8; 40],
    signature: [u8; 64],
}

impl Events {
    /// Signs `count` events; the same count gives the same events.
    pub(crate) fn sign(count: usize) -> Result<Self, hmac::digest::InvalidLength> {
        let key = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
        let body_parts: Vec<_> =
            BODY_TEMPLATE.trim_end().split(COMMIT_PLACEHOLDER).map(str::as_bytes).collect();
        let mut bytes = Vec::new();
        let signed = (0..count as u64).map(|n| {
            let (delivery, commit) = ids(n);
            bytes.clear();
            interleave(&body_parts, &commit, &mut bytes);
            let mut mac = key.clone();
            mac.update(&bytes);
            let mut signature = [0; 64];
            HEXLOWER.encode_mut(&mac.finalize().into_bytes(), &mut signature);
            Signed { delivery, commit, signature }
        });
        let signed = signed.collect();
        let head = Head {
            before_delivery: format!(
                "POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: GitHub-Hookshot/bench\r\n\
                 accept: */*\r\ncontent-type: application/json\r\nx-github-event: push\r\n\
                 x-github-hook-id: 292430182\r\nx-github-delivery: "
            )
            .into_bytes(),
            before_signature: b"\r\nx-hub-signature-256: sha256=".to_vec(),
            before_body: format!("\r\ncontent-length: {}\r\n\r\n", bytes.len()).into_bytes(),
        };
        Ok(Self { head, body_parts, signed })
    }

    /// The length of each body; all have the same.
    pub(crate) fn body_bytes(&self) -> usize {
        let mut bytes = Vec::new();
        interleave(&self.body_parts, &[0; 40], &mut bytes);
        bytes.len()
    }

    /// Writes the complete request of event `n` into `out`; returns false if there are fewer
    /// events.
    pub(crate) fn request(&self, n: usize, out: &mut Vec<u8>) -> bool {
        let Some(signed) = self.signed.get(n) else { return false };
        out.clear();
        out.extend_from_slice(&self.head.before_delivery);
        out.extend_from_slice(&signed.delivery);
        out.extend_from_slice(&self.head.before_signature);
        out.extend_from_slice(&signed.signature);
        out.extend_from_slice(&self.head.before_body);
        interleave(&self.body_parts, &signed.commit, out);
        true
    }
}

/// Writes the parts with `between` between each two.
fn interleave(parts: &[&[u8]], between: &[u8], out: &mut Vec<u8>) {
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            out.extend_from_slice(between);
        }
        out.extend_from_slice(part);
    }
}

/// The delivery id and commit id of event `n`. Spread like random ids, because a store would look
/// better than it is if its index were filled in order; all different, because `mix` is a
/// bijection.
fn ids(n: u64) -> ([u8; 36], [u8; 40]) {
    let (high, low) = (mix(n), mix(n ^ 0x5bd1_e995_97f4_a7c5));
    let hex = format!("{high:016x}{low:016x}");
    let mut digits = hex.bytes();
    let mut delivery = [b'-'; 36];
    for (at, byte) in delivery.iter_mut().enumerate() {
        if ![8, 13, 18, 23].contains(&at) {
            *byte = digits.next().unwrap_or(b'0');
        }
    }
    let mut commit = [b'0'; 40];
    for (byte, digit) in commit.iter_mut().zip(hex.bytes().cycle()) {
        *byte = digit;
    }
    (delivery, commit)
}

/// The finishing step of splitmix64.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_event_is_a_different_push_of_one_and_a_half_kilobytes() {
        let events = Events::sign(1_000).unwrap();
        let mut seen = HashSet::new();
        let mut out = Vec::new();
        for n in 0..1_000 {
            assert!(events.request(n, &mut out));
            let text = String::from_utf8(out.clone()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!((1_450..=1_550).contains(&body.len()), "{} bytes", body.len());
            assert_eq!(body.len(), events.body_bytes());
            assert!(head.ends_with(&format!("content-length: {}", body.len())));
            let push: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(push["after"], push["commits"][0]["id"]);
            let delivery = head.split_once("x-github-delivery: ").unwrap().1[..36].to_owned();
            assert!(seen.insert(delivery));
            assert!(seen.insert(body.to_owned()));
        }
        assert!(!events.request(1_000, &mut out));
    }
}
