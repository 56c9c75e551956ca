//! A request as received, written by anybody. Made by the server, the CLI and tests; only
//! [`crate::prove`] turns it into something that the rest may use.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::body::Body;
use crate::client_certificate::ClientCertificate;
use crate::verify_error::VerifyError;

/// The longest header value that a proof reads, in bytes. Longer ones are rejected unread.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// The part of a request that arrives before its body: method, target and headers.
///
/// ```
/// use hookward_core::{Head, VerifyError};
/// use http::{HeaderMap, HeaderValue, Method};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-signature", HeaderValue::from_static("sha256=00ff"));
/// let head = Head::new(Method::POST, "/webhooks/shop?x=1", headers);
/// assert_eq!(head.required("x-signature"), Ok("sha256=00ff"));
/// assert_eq!(head.query(), Some("x=1"));
/// assert!(matches!(head.required("x-other"), Err(VerifyError::MissingSignature { .. })));
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Head {
    /// The HTTP method, as received.
    pub method: Method,
    /// Path and query as received, such as `/webhooks/stripe?x=1`.
    pub target: String,
    /// All headers as received, repeated ones included.
    pub headers: HeaderMap,
    /// The client's address, as far as trusted proxies vouch for it. `None` outside a server.
    pub client: Option<IpAddr>,
    /// The certificate that the client proved in its TLS handshake. `None` without one.
    pub client_certificate: Option<Arc<ClientCertificate>>,
}

impl Head {
    /// The head of a request whose client is unknown.
    pub fn new(method: Method, target: impl Into<String>, headers: HeaderMap) -> Self {
        let (client, client_certificate) = (None, None);
        Self { method, target: target.into(), headers, client, client_certificate }
    }

    setters! {
        with_method => method: Method;
        with_target => target: into String;
        with_headers => headers: HeaderMap;
        with_client => client: into Option<IpAddr>;
        with_client_certificate => client_certificate: into Option<Arc<ClientCertificate>>;
    }

    /// The one value of a header that a proof uses; `None` where the header is absent. A header
    /// that is repeated with the same value counts as one, since proxies do that.
    ///
    /// # Errors
    /// [`VerifyError::InvalidFormat`] where the header has several different values, holds anything
    /// but visible ASCII, or is longer than 16 KiB. An ambiguous header must not prove anything:
    /// what reads the request later might take the other value.
    pub fn single(&self, name: &str) -> Result<Option<&str>, VerifyError> {
        let mut values = self.headers.get_all(name).iter();
        let Some(first) = values.next() else { return Ok(None) };
        if values.any(|other| other != first) {
            return Err(VerifyError::invalid_format(format!(
                "the header {name} came with different values"
            )));
        }
        if first.len() > MAX_HEADER_BYTES {
            return Err(VerifyError::invalid_format(format!(
                "the header {name} is over {MAX_HEADER_BYTES} bytes"
            )));
        }
        match first.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => {
                Err(VerifyError::invalid_format(format!("the header {name} is not visible ASCII")))
            }
        }
    }

    /// The one value of a header that the proof cannot do without.
    ///
    /// # Errors
    /// Those of [`Head::single`], and [`VerifyError::MissingSignature`] where the header is absent.
    pub fn required(&self, name: &str) -> Result<&str, VerifyError> {
        self.single(name)?
            .ok_or_else(|| VerifyError::missing_signature(format!("the header {name}")))
    }

    /// The query of the target, without the question mark; `None` where there is no question mark.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }
}

/// Shows header names without values, because some values are secrets.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("path", &path)
            .field("headers", &self.headers.keys().map(|k| k.as_str()).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A whole request that is not proven yet: anybody may have written it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Request {
    /// The part that arrived before the body: method, target and headers.
    pub head: Head,
    /// The body as received, byte for byte.
    pub body: Body,
}

impl Request {
    /// A request from its two parts.
    pub fn new(head: Head, body: Body) -> Self {
        Self { head, body }
    }

    /// The URL that the sender called: `public_url` with the path and query of this request. `None`
    /// where `public_url` is `None`, because the `Host` header is the sender's own claim.
    pub fn url(&self, public_url: Option<&str>) -> Option<String> {
        public_url.map(|base| format!("{}{}", base.trim_end_matches('/'), self.head.target))
    }
}
