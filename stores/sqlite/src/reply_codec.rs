//! Encodes the answer to a delivery for its row, byte for byte. The form is that of an HTTP
//! response (status, headers, empty line, body), so that it can be read in an SQLite shell. Part of
//! the on-disk format; changing it needs a migration.

use bytes::Bytes;
use hookward_core::Reply;
use http::{HeaderName, HeaderValue, StatusCode};

/// Encodes an answer for the column `deliveries.answer`.
pub(crate) fn encode(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::with_capacity(96 + reply.body.len());
    out.extend_from_slice(reply.status.as_str().as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in &reply.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&reply.body);
    out
}

/// Decodes an answer; `None` if the bytes are not an output of [`encode`].
pub(crate) fn decode(bytes: &[u8]) -> Option<Reply> {
    let (status, mut rest) = line(bytes)?;
    let mut reply = Reply::empty(StatusCode::from_bytes(status).ok()?);
    loop {
        let (header, after) = line(rest)?;
        rest = after;
        if header.is_empty() {
            reply.body = Bytes::copy_from_slice(rest);
            return Some(reply);
        }
        let colon = header.iter().position(|b| *b == b':')?;
        let name = HeaderName::from_bytes(header.get(..colon)?).ok()?;
        let value = HeaderValue::from_bytes(header.get(colon + 2..)?).ok()?;
        reply.headers.push((name, value));
    }
}

/// Splits off the first line. Names and values of headers cannot contain a line break.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some((bytes.get(..end)?, bytes.get(end + 2..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoded_answer_equals_the_encoded_one() {
        let mut odd = Reply::text(StatusCode::IM_A_TEAPOT, &b"\xff\r\n\r\n\x00"[..]);
        odd.headers.push(("x-a".parse().unwrap(), HeaderValue::from_bytes(b" \xe9: ").unwrap()));
        odd.headers.push(("x-a".parse().unwrap(), HeaderValue::from_static("")));
        for reply in [odd, Reply::empty(StatusCode::NO_CONTENT)] {
            assert_eq!(decode(&encode(&reply)), Some(reply));
        }
        assert_eq!(decode(b"200"), None);
    }
}
