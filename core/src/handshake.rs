//! Set-up handshakes: what a sender asks before its first event. A provider answers them from what
//! is proven or harmless, and says what else has to be done; the engine does it before the answer.

use crate::reply::Reply;
use crate::secret::Secret;
use crate::verify_error::VerifyError;

/// A handshake that was recognised. An answer of 400 and above refuses it, and counts against the
/// address that asked like a failed proof.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The answer.
    pub reply: Reply,
    /// What must have been done before it is given.
    pub effect: Option<HandshakeEffect>,
}

/// What a handshake wants done.
#[derive(Debug, Clone)]
pub enum HandshakeEffect {
    /// Call this address, which the provider has pinned to its sender's hosts.
    Confirm {
        /// The address.
        url: String,
    },
    /// Keep this as the source's secret: the sender made it up, and says it only now. Only where the
    /// source has no secret yet; whoever comes later is refused.
    KeepSecret(Secret),
}

impl From<Reply> for Handshake {
    fn from(reply: Reply) -> Self {
        Self { reply, effect: None }
    }
}

/// The longest token that is sent back.
const MAX_TOKEN: usize = 1024;

/// A token that a handshake wants back, if it is one: up to 1,024 letters, digits, spaces and
/// `-._~+/=:,;`. Whatever could be read as markup or as an event's body is refused.
///
/// # Errors
/// [`VerifyError::InvalidFormat`] that names `what`.
pub fn echo_token<'a>(text: &'a str, what: &str) -> Result<&'a str, VerifyError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b" -._~+/=:,;".contains(&b);
    if text.is_empty() || text.len() > MAX_TOKEN || !text.bytes().all(plain) {
        return Err(VerifyError::invalid_format(format!(
            "{what} is no token that can be sent back"
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_back_and_markup_json_and_endless_text_do_not() {
        for good in ["u2J8dK3ZtRrQ", "512d38b6-c7b8", "Validation: Testing client, Id: 1a"] {
            assert_eq!(echo_token(good, "it"), Ok(good));
        }
        let long = "a".repeat(MAX_TOKEN + 1);
        for bad in ["", "<b>", "{\"id\":1}", "a\nb", "ü", "a&b", "a\"b", long.as_str()] {
            assert!(echo_token(bad, "it").is_err(), "{bad:?}");
        }
    }
}
