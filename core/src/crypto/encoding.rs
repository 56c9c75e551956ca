//! The text forms in which senders write tags.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};

/// How a tag or a signature is written as text. Base64 is accepted in its canonical form alone
/// (RFC 4648, section 3.5), so that one tag has one text.
///
/// ```
/// use hookward_core::crypto::Encoding;
///
/// assert_eq!(Encoding::Hex.decode("C0ffee"), Some(vec![0xc0, 0xff, 0xee]));
/// assert_eq!(Encoding::Base64.decode("wP/u"), Some(vec![0xc0, 0xff, 0xee]));
/// assert_eq!(Encoding::Base64url.encode(&[0xc0, 0xff, 0xee]), "wP_u");
/// assert_eq!(Encoding::Base64.decode("QR=="), None, "not canonical: stray bits at the end");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal, in upper or lower case.
    Hex,
    /// Base64 with padding (RFC 4648, section 4).
    Base64,
    /// URL-safe base64 without padding (RFC 4648, section 5).
    Base64url,
}

impl Encoding {
    /// The bytes that a text stands for; `None` where the text is malformed or not canonical.
    pub fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
            Self::Base64 => BASE64.decode(text.as_bytes()).ok(),
            Self::Base64url => BASE64URL_NOPAD.decode(text.as_bytes()).ok(),
        }
    }

    /// The text for these bytes; hexadecimal is written in lower case.
    pub fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => HEXLOWER_PERMISSIVE.encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
            Self::Base64url => BASE64URL_NOPAD.encode(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_with_missing_padding_stray_bits_or_white_space_is_not_decoded() {
        assert!(Encoding::Base64.decode("QQ==").is_some());
        for odd in ["QQ", "QR==", "QQ=", "QQ==\n", " QQ=="] {
            assert!(Encoding::Base64.decode(odd).is_none(), "{odd:?}");
        }
    }
}
