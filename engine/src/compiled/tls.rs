//! `server.tls`: the certificate that senders see, and its key.

use std::fmt;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

/// A certificate with its key, which fits. `Debug` shows neither.
#[derive(Clone)]
pub struct Tls(Arc<CertifiedKey>);

impl Tls {
    pub(crate) fn new(certified: CertifiedKey) -> Self {
        Self(Arc::new(certified))
    }

    /// What handshakes are made with.
    pub fn certified(&self) -> &Arc<CertifiedKey> {
        &self.0
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
