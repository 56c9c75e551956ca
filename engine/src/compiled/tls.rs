//! `server.tls`: the certificate of the receiving port and its private key.

use std::fmt;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

/// A certificate chain with the private key that belongs to it. `Debug` shows neither.
#[derive(Clone)]
pub struct Tls(Arc<CertifiedKey>);

impl Tls {
    pub(crate) fn new(certified: CertifiedKey) -> Self {
        Self(Arc::new(certified))
    }

    /// Returns the certificate and key for the TLS handshakes of the receiving port.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.0
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
