//! PROVIDER-1 to -8: what is genuine is accepted, and whatever was changed is not.

use hookward_core::{Body, Proof, Request, VerifyError};
use hookward_vectors::run_vector;
use http::{HeaderName, HeaderValue, Method};

use super::{Good, Kept, Trial, ensure};
use crate::provider::good::recordings;

/// Bodies up to this size have every bit changed, larger ones as many bits, spread evenly.
const EVERY_BIT_UP_TO: usize = 2048;

pub(super) async fn recordings_are_accepted(trial: &Trial<'_>) -> Kept {
    for (vector, now_default) in recordings(trial) {
        let outcome = run_vector(trial.provider, vector, now_default).await;
        ensure(outcome.agrees(vector), || format!("{} ({}): {outcome:?}", vector.id, vector.name))?;
    }
    Ok(())
}

pub(super) async fn bits_of_the_body(trial: &Trial<'_>, goods: &[Good]) -> Kept {
    if !trial.subject.body_is_signed {
        return Ok(());
    }
    // Every bit of the first two bodies, and a sample of the others: the rest is repetition.
    for (n, good) in goods.iter().enumerate() {
        let bytes = good.request.body.bytes();
        let bits = bytes.len() * 8;
        let most = if n < 2 { EVERY_BIT_UP_TO * 8 } else { 256 };
        for bit in (0..bits).step_by(bits.div_ceil(most).max(1)) {
            let changed = with_bit_flipped(bytes, bit);
            let other = good.changed(|r| r.body = Body::new(changed));
            refused(trial, good, other, || format!("with bit {bit} of the body changed")).await?;
        }
        let longer = [bytes.as_ref(), b"\n"].concat();
        let other = good.changed(|r| r.body = Body::new(longer));
        refused(trial, good, other, || "with a line feed after the body".to_owned()).await?;
    }
    Ok(())
}

pub(super) async fn bits_of_the_head(trial: &Trial<'_>, goods: &[Good]) -> Kept {
    for good in goods.iter().filter(|g| g.signed_here) {
        for name in &good.used {
            let Some(value) = good.request.head.headers.get(name) else { continue };
            let text = value.as_bytes();
            for bit in 0..text.len() * 8 {
                let changed = with_bit_flipped(text, bit);
                if same_hex(text, &changed) {
                    continue;
                }
                let Ok(changed) = HeaderValue::from_bytes(&changed) else { continue };
                let other = good.changed(|r| drop(r.head.headers.insert(header(name), changed)));
                refused(trial, good, other, || format!("with bit {bit} of {name} changed")).await?;
            }
            for cut in 0..text.len() {
                let Ok(shorter) = HeaderValue::from_bytes(text.get(..cut).unwrap_or_default())
                else {
                    continue;
                };
                let other = good.changed(|r| drop(r.head.headers.insert(header(name), shorter)));
                refused(trial, good, other, || format!("with {name} cut to {cut} bytes")).await?;
            }
        }
    }
    Ok(())
}

pub(super) async fn missing_headers(trial: &Trial<'_>, goods: &[Good]) -> Kept {
    for good in goods {
        for name in &good.used {
            let other = good.changed(|r| drop(r.head.headers.remove(name)));
            let found = good.prove(trial, other).await;
            ensure(matches!(found, Err(VerifyError::MissingSignature { .. })), || {
                format!("{} without {name}: {}", good.label, describe_proof(&found))
            })?;
        }
        // A POST: some senders try an address with a bare GET or HEAD before they use it.
        let mut bare = Request::default();
        bare.head.method = Method::POST;
        refused(trial, good, bare, || "with nothing in it at all".to_owned()).await?;
    }
    Ok(())
}

pub(super) async fn empty_headers(trial: &Trial<'_>, goods: &[Good]) -> Kept {
    with_each_used(trial, goods, "empty", |_| Some(String::new())).await
}

pub(super) async fn long_headers(trial: &Trial<'_>, goods: &[Good]) -> Kept {
    with_each_used(trial, goods, "of 20 KB", |_| Some("a".repeat(20 * 1024))).await?;
    let padded = |value: &str| Some(format!("{value}{}", " ".repeat(20 * 1024)));
    with_each_used(trial, goods, "with 20 KB of spaces after it", padded).await
}

async fn with_each_used(
    trial: &Trial<'_>,
    goods: &[Good],
    how: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Kept {
    for good in goods {
        for name in &good.used {
            let given = good.request.head.headers.get(name).and_then(|v| v.to_str().ok());
            let Some(value) = given.and_then(&value) else { continue };
            let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else { continue };
            let other = good.changed(|r| drop(r.head.headers.insert(header(name), value)));
            refused(trial, good, other, || format!("with {name} {how}")).await?;
        }
    }
    Ok(())
}

pub(super) async fn different_duplicates(trial: &Trial<'_>, goods: &[Good]) -> Kept {
    for good in goods {
        for name in good.used.iter().chain(&good.naming) {
            let Some(value) = good.request.head.headers.get(name) else { continue };
            let text = [value.as_bytes(), b"1"].concat();
            let Ok(second) = HeaderValue::from_bytes(&text) else { continue };
            let after = good.changed(|r| add(r, name, second.clone()));
            refused(trial, good, after, || format!("with a second, different {name}")).await?;
            let before = good.changed(|r| {
                r.head.headers.insert(header(name), second);
                add(r, name, value.clone());
            });
            refused(trial, good, before, || format!("with a different {name} first")).await?;
        }
    }
    Ok(())
}

pub(super) async fn same_duplicates(trial: &Trial<'_>, goods: &[Good]) -> Kept {
    for good in goods {
        for name in good.used.iter().chain(&good.naming) {
            let Some(value) = good.request.head.headers.get(name) else { continue };
            let other = good.changed(|r| add(r, name, value.clone()));
            let found = good.prove(trial, other).await;
            ensure(found.is_ok(), || {
                format!("{} with {name} twice: {}", good.label, describe_proof(&found))
            })?;
        }
    }
    Ok(())
}

async fn refused(
    trial: &Trial<'_>,
    good: &Good,
    other: Request,
    how: impl FnOnce() -> String,
) -> Kept {
    let found = good.prove(trial, other).await;
    ensure(found.is_err(), || format!("{} is accepted {}", good.label, how()))
}

fn describe_proof(found: &Result<Proof, VerifyError>) -> String {
    match found {
        Ok(_) => "accepted".to_owned(),
        Err(e) => e.code().to_owned(),
    }
}

fn add(request: &mut Request, name: &str, value: HeaderValue) {
    request.head.headers.append(header(name), value);
}

fn header(name: &str) -> HeaderName {
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
fn same_hex(one: &[u8], two: &[u8]) -> bool {
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
