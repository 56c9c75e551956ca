//! A request as it came: anyone's bytes. Made by the server, the CLI and tests; only
//! [`crate::prove`] takes it further.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderMap, Method};

use crate::body::Body;
use crate::verify_error::VerifyError;

/// Longer header values are refused before anything looks into them.
const MAX_HEADER: usize = 16 * 1024;

/// Method, target and headers: what is known before a body is read.
#[derive(Clone, Default)]
pub struct Head {
    /// The HTTP method.
    pub method: Method,
    /// Path and query as received, such as `/webhooks/stripe?x=1`.
    pub target: String,
    /// All headers as received.
    pub headers: HeaderMap,
    /// Who sent it, where that is known.
    pub client: Option<IpAddr>,
}

impl Head {
    /// The one value of a header that a proof uses. `None` where it is absent; an error where it is
    /// given with different values, is not visible ASCII or is over 16 KiB. The same value twice is one.
    pub fn single(&self, name: &str) -> Result<Option<&str>, VerifyError> {
        let mut values = self.headers.get_all(name).iter();
        let Some(first) = values.next() else { return Ok(None) };
        if values.any(|other| other != first) {
            return Err(VerifyError::invalid_format(format!(
                "the header {name} came with different values"
            )));
        }
        if first.len() > MAX_HEADER {
            return Err(VerifyError::invalid_format(format!(
                "the header {name} is over {MAX_HEADER} bytes"
            )));
        }
        match first.to_str() {
            Ok(text) => Ok(Some(text)),
            Err(_) => {
                Err(VerifyError::invalid_format(format!("the header {name} is not visible ASCII")))
            }
        }
    }

    /// Like [`Head::single`], and an absent header is [`VerifyError::MissingSignature`].
    pub fn required(&self, name: &str) -> Result<&str, VerifyError> {
        self.single(name)?
            .ok_or_else(|| VerifyError::missing_signature(format!("the header {name}")))
    }

    /// The query part of the target, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }
}

/// Names the headers and hides their values: some of them are secrets.
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

/// Head and body of a request that nobody has proven yet.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Method, target and headers.
    pub head: Head,
    /// The exact bytes.
    pub body: Body,
}

impl Request {
    /// Puts the two together.
    pub fn new(head: Head, body: Body) -> Self {
        Self { head, body }
    }

    /// The URL that the sender called: that of `public_url` with this request's path and query.
    pub fn url(&self, public_url: Option<&str>) -> Option<String> {
        public_url.map(|base| format!("{}{}", base.trim_end_matches('/'), self.head.target))
    }
}
