//! `firewall:` of a source, the rules by which a request is rejected for its head alone.

use std::fmt;

use http::{HeaderName, Method};
use ipnet::IpNet;

/// The compiled `firewall:` block of a source. An empty rule admits every request.
#[derive(Debug, Clone, Default)]
pub struct Firewall {
    /// `allow_networks`: the only networks that may call.
    pub allow_networks: Vec<IpNet>,
    /// `deny_networks`: networks that may not call, also where `allow_networks` contains them.
    pub deny_networks: Vec<IpNet>,
    /// `methods`: the only methods that are admitted.
    pub methods: Vec<Method>,
    /// `content_types`: the only media types of a body, in lower case, such as `application/json`
    /// or `text/*`.
    pub content_types: Vec<String>,
    /// `max_size`: the maximum size of a body, in bytes.
    pub max_size: Option<usize>,
    /// `require_headers`: the headers that must be present.
    pub require_headers: Vec<HeaderName>,
    /// `deny_headers`: the headers that must be absent.
    pub deny_headers: Vec<HeaderName>,
}

/// The rule of a firewall that rejects a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirewallRule {
    /// `allow_networks` or `deny_networks`.
    Network,
    /// `methods`.
    Method(Vec<Method>),
    /// `require_headers`, with the header that is missing.
    HeaderMissing(HeaderName),
    /// `deny_headers`, with the header that is present.
    HeaderDenied(HeaderName),
    /// `content_types`.
    ContentType,
    /// `max_size`, in bytes.
    Size(usize),
}

/// The reason for the operator.
impl fmt::Display for FirewallRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network => f.write_str("`firewall` does not admit the client's network"),
            Self::Method(_) => f.write_str("`firewall.methods` does not admit the method"),
            Self::HeaderMissing(name) => {
                write!(f, "the header {name} of `firewall.require_headers` is missing")
            }
            Self::HeaderDenied(name) => {
                write!(f, "the header {name} of `firewall.deny_headers` is present")
            }
            Self::ContentType => {
                f.write_str("`firewall.content_types` does not admit the media type")
            }
            Self::Size(max) => {
                write!(f, "the body is larger than {max} bytes, `firewall.max_size`")
            }
        }
    }
}
