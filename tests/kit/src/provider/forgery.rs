//! PROVIDER-1 to -8: genuine requests are accepted, and changed ones are rejected.

use hookward_core::{Body, Proof, Request, VerifyError};
use hookward_vectors::run_vector;
use http::{HeaderName, HeaderValue, Method};

use super::{BuiltSubject, Checked, GenuineRequest, ensure};
use crate::provider::genuine::recordings;

/// Up to this number of bytes every bit of a body is flipped; of larger bodies as many bits, evenly spread.
const MAX_BYTES_FLIPPED: usize = 2048;

pub(super) async fn recordings_are_accepted(built: &BuiltSubject<'_>) -> Checked {
    for (vector, now_default) in recordings(built) {
        let outcome = run_vector(built.provider, vector, now_default).await;
        ensure(outcome.matches(vector), || {
            format!("{} ({}): {outcome:?}", vector.id, vector.name)
        })?;
    }
    Ok(())
}

pub(super) async fn body_bits_are_covered(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    if !built.subject.body_is_signed {
        return Ok(());
    }
    // Every bit of the first two bodies and a sample of the others: more would repeat the same code paths.
    for (n, genuine) in genuine_requests.iter().enumerate() {
        let bytes = genuine.request.body.bytes();
        let bits = bytes.len() * 8;
        let max_bits = if n < 2 { MAX_BYTES_FLIPPED * 8 } else { 256 };
        for bit in (0..bits).step_by(bits.div_ceil(max_bits).max(1)) {
            let changed = with_bit_flipped(bytes, bit);
            let other = genuine.changed(|r| r.body = Body::new(changed));
            expect_rejected(built, genuine, other, || {
                format!("with bit {bit} of the body changed")
            })
            .await?;
        }
        let longer = [bytes.as_ref(), b"\n"].concat();
        let other = genuine.changed(|r| r.body = Body::new(longer));
        expect_rejected(built, genuine, other, || "with a line feed after the body".to_owned())
            .await?;
    }
    Ok(())
}

pub(super) async fn head_bits_are_covered(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    for genuine in genuine_requests.iter().filter(|g| g.signed_by_kit) {
        for name in &genuine.needed {
            let Some(value) = genuine.request.head.headers.get(name) else { continue };
            let text = value.as_bytes();
            for bit in 0..text.len() * 8 {
                let changed = with_bit_flipped(text, bit);
                if differs_in_hex_case_only(text, &changed) {
                    continue;
                }
                let Ok(changed) = HeaderValue::from_bytes(&changed) else { continue };
                let other =
                    genuine.changed(|r| drop(r.head.headers.insert(header_name(name), changed)));
                expect_rejected(built, genuine, other, || {
                    format!("with bit {bit} of {name} changed")
                })
                .await?;
            }
            for cut in 0..text.len() {
                let Ok(shorter) = HeaderValue::from_bytes(text.get(..cut).unwrap_or_default())
                else {
                    continue;
                };
                let other =
                    genuine.changed(|r| drop(r.head.headers.insert(header_name(name), shorter)));
                expect_rejected(built, genuine, other, || {
                    format!("with {name} cut to {cut} bytes")
                })
                .await?;
            }
        }
    }
    Ok(())
}

pub(super) async fn missing_headers_are_rejected(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    for genuine in genuine_requests {
        for name in &genuine.needed {
            let other = genuine.changed(|r| drop(r.head.headers.remove(name)));
            let found = genuine.prove(built, other).await;
            ensure(matches!(found, Err(VerifyError::MissingSignature { .. })), || {
                format!("{} without {name}: {}", genuine.label, describe_proof(&found))
            })?;
        }
        // A POST, because some senders check an address with a bare GET or HEAD.
        let mut bare = Request::default();
        bare.head.method = Method::POST;
        expect_rejected(built, genuine, bare, || "without headers and body".to_owned()).await?;
    }
    Ok(())
}

pub(super) async fn empty_headers_are_rejected(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    replace_each_needed_header(built, genuine_requests, "empty", |_| Some(String::new())).await
}

pub(super) async fn long_headers_are_rejected(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    replace_each_needed_header(built, genuine_requests, "of 20 KB", |_| {
        Some("a".repeat(20 * 1024))
    })
    .await?;
    let padded = |value: &str| Some(format!("{value}{}", " ".repeat(20 * 1024)));
    replace_each_needed_header(built, genuine_requests, "with 20 KB of spaces after it", padded)
        .await
}

async fn replace_each_needed_header(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
    how: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Checked {
    for genuine in genuine_requests {
        for name in &genuine.needed {
            let given = genuine.request.head.headers.get(name).and_then(|v| v.to_str().ok());
            let Some(value) = given.and_then(&value) else { continue };
            let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else { continue };
            let other = genuine.changed(|r| drop(r.head.headers.insert(header_name(name), value)));
            expect_rejected(built, genuine, other, || format!("with {name} {how}")).await?;
        }
    }
    Ok(())
}

pub(super) async fn different_duplicates_are_rejected(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    for genuine in genuine_requests {
        for name in genuine.needed.iter().chain(&genuine.identifying) {
            let Some(value) = genuine.request.head.headers.get(name) else { continue };
            let text = [value.as_bytes(), b"1"].concat();
            let Ok(second) = HeaderValue::from_bytes(&text) else { continue };
            let after = genuine.changed(|r| append_header(r, name, second.clone()));
            expect_rejected(built, genuine, after, || format!("with a second, different {name}"))
                .await?;
            let before = genuine.changed(|r| {
                r.head.headers.insert(header_name(name), second);
                append_header(r, name, value.clone());
            });
            expect_rejected(built, genuine, before, || format!("with a different {name} first"))
                .await?;
        }
    }
    Ok(())
}

pub(super) async fn same_duplicates_are_accepted(
    built: &BuiltSubject<'_>,
    genuine_requests: &[GenuineRequest],
) -> Checked {
    for genuine in genuine_requests {
        for name in genuine.needed.iter().chain(&genuine.identifying) {
            let Some(value) = genuine.request.head.headers.get(name) else { continue };
            let other = genuine.changed(|r| append_header(r, name, value.clone()));
            let found = genuine.prove(built, other).await;
            ensure(found.is_ok(), || {
                format!("{} with {name} twice: {}", genuine.label, describe_proof(&found))
            })?;
        }
    }
    Ok(())
}

async fn expect_rejected(
    built: &BuiltSubject<'_>,
    genuine: &GenuineRequest,
    other: Request,
    how: impl FnOnce() -> String,
) -> Checked {
    let found = genuine.prove(built, other).await;
    ensure(found.is_err(), || format!("{} is accepted {}", genuine.label, how()))
}

fn describe_proof(found: &Result<Proof, VerifyError>) -> String {
    match found {
        Ok(_) => "accepted".to_owned(),
        Err(e) => e.code().to_owned(),
    }
}

fn append_header(request: &mut Request, name: &str, value: HeaderValue) {
    request.head.headers.append(header_name(name), value);
}

fn header_name(name: &str) -> HeaderName {
    HeaderName::from_bytes(name.as_bytes()).unwrap_or(HeaderName::from_static("x-unreadable"))
}

fn with_bit_flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    if let Some(byte) = changed.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    changed
}

/// Whether the two differ only in the case of hexadecimal digits, which is the same tag.
fn differs_in_hex_case_only(one: &[u8], two: &[u8]) -> bool {
    let tag = |text: &[u8]| {
        let digits = text.iter().rev().take_while(|b| b.is_ascii_hexdigit()).count();
        (digits >= 40).then(|| text.len() - digits)
    };
    let before = |text: &[u8], at| text.get(..at).map(<[u8]>::to_vec);
    match (tag(one), tag(two)) {
        (Some(a), Some(b)) => {
            a == b && before(one, a) == before(two, b) && one.eq_ignore_ascii_case(two)
        }
        _ => false,
    }
}
