//! Content encodings of a body (RFC 9110, section 8.4.1), and their decoders. Bounded in size and in
//! ratio, because a few bytes can stand for gigabytes.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::body_error::BodyError;

/// The most bytes of the content of one body, whatever a source allows.
pub const MAX_CONTENT_BYTES: usize = 64 * 1024 * 1024;
/// The most bytes of content for one byte of a compressed body. JSON of equal lines comes to 100,
/// zeros to 1,030.
pub const MAX_COMPRESSION_RATIO: usize = 250;
/// Up to this size the ratio is not checked: a few bytes compress to less than their headers.
const UNCHECKED_RATIO_BYTES: usize = 64 * 1024;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentEncoding {
    /// `gzip` or `x-gzip` (RFC 1952).
    Gzip,
    /// `deflate`: the zlib format (RFC 1950) or, as some clients send it, without its header.
    Deflate,
}

impl ContentEncoding {
    /// By the value of `Content-Encoding`; `None` for one that is not supported, and for
    /// `identity`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            _ => None,
        }
    }

    /// The value of `Content-Encoding`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// The content of a compressed body, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`DecodeError`] where the body is not of this encoding, ends early, or its content is larger
    /// than `limit` or than 250 times the body.
    pub fn decode(self, body: &[u8], limit: usize) -> Result<Bytes, DecodeError> {
        match self {
            Self::Gzip => read_bounded(MultiGzDecoder::new(body), body.len(), limit),
            Self::Deflate if has_zlib_header(body) => {
                read_bounded(ZlibDecoder::new(body), body.len(), limit)
            }
            Self::Deflate => read_bounded(DeflateDecoder::new(body), body.len(), limit),
        }
    }
}

/// Why a compressed body has no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The body is not of its encoding, or ends early.
    #[error("the compressed body is damaged, or not of its Content-Encoding")]
    Malformed,
    /// The content is larger than the limit.
    #[error("the decompressed body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The content is more than 250 times as large as the body.
    #[error(
        "the decompressed body is more than {MAX_COMPRESSION_RATIO} times as large as the body"
    )]
    RatioTooHigh,
}

impl From<DecodeError> for BodyError {
    fn from(e: DecodeError) -> Self {
        Self::new(e.to_string())
    }
}

fn read_bounded(decoder: impl Read, body_bytes: usize, limit: usize) -> Result<Bytes, DecodeError> {
    let by_ratio = body_bytes.saturating_mul(MAX_COMPRESSION_RATIO).max(UNCHECKED_RATIO_BYTES);
    let most = limit.min(by_ratio).min(MAX_CONTENT_BYTES);
    let mut content = Vec::new();
    // One byte more than allowed, so that larger content is recognised and not decoded further.
    let mut bounded = decoder.take(u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1));
    bounded.read_to_end(&mut content).map_err(|_| DecodeError::Malformed)?;
    match content.len() > most {
        true if most == by_ratio => Err(DecodeError::RatioTooHigh),
        true => Err(DecodeError::TooLarge { limit: most }),
        false => Ok(content.into()),
    }
}

/// Whether the two bytes of a zlib header stand at the start (RFC 1950, section 2.2).
fn has_zlib_header(body: &[u8]) -> bool {
    matches!(body, [cmf, flg, ..]
        if cmf & 0x0F == 8 && (u16::from(*cmf) * 256 + u16::from(*flg)).is_multiple_of(31))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_zlib_and_bare_deflate_are_decoded() {
        let content = b"{\"a\":1}";
        assert_eq!(ContentEncoding::Gzip.decode(&gzip(content), 100).unwrap(), content[..]);
        let members = [gzip(b"{\"a\""), gzip(b":1}")].concat();
        assert_eq!(ContentEncoding::Gzip.decode(&members, 100).unwrap(), content[..]);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(content).unwrap();
        let zlib = zlib.finish().unwrap();
        assert_eq!(ContentEncoding::Deflate.decode(&zlib, 100).unwrap(), content[..]);
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(content).unwrap();
        let bare = bare.finish().unwrap();
        assert_eq!(ContentEncoding::Deflate.decode(&bare, 100).unwrap(), content[..]);
    }

    #[test]
    fn content_beyond_the_limit_or_the_ratio_is_an_error() {
        let zeros = gzip(&vec![0; 4 << 20]);
        let decode = |limit| ContentEncoding::Gzip.decode(&zeros, limit);
        assert_eq!(decode(1 << 16), Err(DecodeError::TooLarge { limit: 1 << 16 }));
        assert_eq!(decode(8 << 20), Err(DecodeError::RatioTooHigh));
        let lines = "{\"event\":\"click\",\"id\":12345}\n".repeat(2000);
        assert!(ContentEncoding::Gzip.decode(&gzip(lines.as_bytes()), 1 << 20).is_ok());
    }

    #[test]
    fn damaged_and_unfinished_bodies_are_errors() {
        let whole = gzip(b"some content");
        for body in [&b""[..], b"plain", &whole[..whole.len() - 9], &whole[..4]] {
            let read = ContentEncoding::Gzip.decode(body, 100);
            assert_eq!(read, Err(DecodeError::Malformed), "{body:?}");
        }
    }
}
