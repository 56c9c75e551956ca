//! Set-up handshakes: what a sender asks before its first event. A provider answers from what is
//! proven or harmless and says what else has to be done; the engine does that before it answers.

use http::{Method, header};

use crate::reply::Reply;
use crate::request::{Head, Request};
use crate::secret::Secret;
use crate::verify_error::VerifyError;

/// A recognised set-up handshake: the answer, and what has to be done before it is sent.
///
/// A reply with a status of 400 or above rejects the handshake and counts against the client's
/// address like a failed proof.
///
/// ```
/// use hookward_core::{Handshake, Reply};
/// use http::StatusCode;
///
/// // A challenge that the sender wants back, with nothing else to do.
/// let handshake = Handshake::new(Reply::text(StatusCode::OK, "u2J8dK3ZtRrQ"));
/// assert!(handshake.effect.is_none());
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Handshake {
    /// The answer to the sender.
    pub reply: Reply,
    /// What the engine does before it sends the reply; `None` where nothing is to be done. If the
    /// effect fails, the sender gets an error instead of the reply.
    pub effect: Option<HandshakeEffect>,
}

impl Handshake {
    /// A handshake that is answered with `reply` and needs nothing else.
    pub fn new(reply: Reply) -> Self {
        Self { reply, effect: None }
    }

    setters! {
        with_effect => effect: into Option<HandshakeEffect>;
    }
}

impl From<Reply> for Handshake {
    fn from(reply: Reply) -> Self {
        Self::new(reply)
    }
}

/// What a handshake needs done. Closed on purpose: the engine carries out every case.
#[derive(Debug, Clone)]
pub enum HandshakeEffect {
    /// Call this URL once with GET: the sender wants its subscription confirmed that way.
    Confirm {
        /// The URL. The provider has made sure that its host belongs to the sender.
        url: String,
    },
    /// Store this as the source's secret: the sender chose it and sends it only now. The engine
    /// stores it only while the source has no secret, and rejects the handshake otherwise.
    KeepSecret(Secret),
}

/// The largest body of an unsigned probe, in bytes.
const MAX_PROBE_BYTES: usize = 1024;

/// Whether a head may be that of an unsigned probe, by which a sender tries a URL: a POST without
/// the signature header, whose announced body has at most 1 KiB. A chunked body is of unknown length
/// and is not read for it.
///
/// Some senders try a URL before they have a secret, or with a request that they sign at no time.
/// A provider whose sender does so lets such a head pass [`Provider::precheck`], compares the whole
/// body with the documented probe by [`unsigned_probe_body`], and rejects anything else. The answer
/// to a probe is empty or constant: nothing of the request is reflected or stored.
///
/// [`Provider::precheck`]: crate::Provider::precheck
///
/// ```
/// use hookward_core::{Head, may_be_unsigned_probe};
/// use http::{HeaderMap, HeaderValue, Method};
///
/// let mut headers = HeaderMap::new();
/// assert!(may_be_unsigned_probe(&Head::new(Method::POST, "/in", headers.clone()), "x-signature"));
/// headers.insert("x-signature", HeaderValue::from_static("v0=00ff"));
/// assert!(!may_be_unsigned_probe(&Head::new(Method::POST, "/in", headers), "x-signature"));
/// ```
pub fn may_be_unsigned_probe(head: &Head, signature_header: &str) -> bool {
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    let is_small = length.is_none_or(|n| n.parse().is_ok_and(|n: usize| n <= MAX_PROBE_BYTES));
    let has = |name: &str| head.headers.contains_key(name);
    head.method == Method::POST && !has(signature_header) && !has("transfer-encoding") && is_small
}

/// The body of a request that may be an unsigned probe; `None` where its head may not be one, or
/// its body has more than 1 KiB.
pub fn unsigned_probe_body<'a>(request: &'a Request, signature_header: &str) -> Option<&'a [u8]> {
    let body = request.body.bytes();
    let may_be = may_be_unsigned_probe(&request.head, signature_header);
    (may_be && body.len() <= MAX_PROBE_BYTES).then_some(body)
}

/// The longest token that is echoed, in bytes.
const MAX_ECHO_TOKEN_BYTES: usize = 1024;

/// Checks a token that a handshake wants echoed, and returns it: 1 to 1,024 letters, digits, spaces
/// and `-._~+/=:,;`. Text that could be read as markup or as an event's body is rejected, so that
/// an unproven request cannot make the server reflect it.
///
/// ```
/// use hookward_core::check_echo_token;
///
/// assert_eq!(check_echo_token("512d38b6-c7b8", "the challenge"), Ok("512d38b6-c7b8"));
/// assert!(check_echo_token("<script>", "the challenge").is_err());
/// ```
///
/// # Errors
/// [`VerifyError::InvalidFormat`]; `what` names the token in its message.
pub fn check_echo_token<'a>(text: &'a str, what: &str) -> Result<&'a str, VerifyError> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b" -._~+/=:,;".contains(&b);
    if text.is_empty() || text.len() > MAX_ECHO_TOKEN_BYTES || !text.bytes().all(is_plain) {
        return Err(VerifyError::invalid_format(format!(
            "{what} is not a token that can be echoed"
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_small_post_without_signature_and_chunks_may_be_an_unsigned_probe() {
        let may_be = |method, headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            });
            may_be_unsigned_probe(&Head::new(method, "/in", headers.collect()), "x-signature")
        };
        assert!(may_be(Method::POST, &[]));
        assert!(may_be(Method::POST, &[("content-length", "1024")]));
        assert!(!may_be(Method::POST, &[("content-length", "1025")]));
        assert!(!may_be(Method::POST, &[("content-length", "many")]));
        assert!(!may_be(Method::POST, &[("transfer-encoding", "chunked")]));
        assert!(!may_be(Method::POST, &[("x-signature", "")]));
        assert!(!may_be(Method::GET, &[]));
    }

    #[test]
    fn plain_tokens_are_echoed_and_markup_json_and_long_text_are_rejected() {
        for good in ["u2J8dK3ZtRrQ", "512d38b6-c7b8", "Validation: Testing client, Id: 1a"] {
            assert_eq!(check_echo_token(good, "it"), Ok(good));
        }
        let long = "a".repeat(MAX_ECHO_TOKEN_BYTES + 1);
        for bad in ["", "<b>", "{\"id\":1}", "a\nb", "ü", "a&b", "a\"b", long.as_str()] {
            assert!(check_echo_token(bad, "it").is_err(), "{bad:?}");
        }
    }
}
