//! `server.tls`: the certificate of the receiving port, its private key, and how clients prove
//! themselves.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, UnixTime};

/// A certificate chain with the private key that belongs to it, and the check of certificates of
/// clients. `Debug` shows none of them. Clones share one value.
#[derive(Clone)]
pub struct Tls(Arc<Parts>);

struct Parts {
    certified_key: Arc<CertifiedKey>,
    /// `None` where clients are asked for no certificate.
    clients: Option<Arc<dyn ClientCertVerifier>>,
    server_config: Arc<ServerConfig>,
}

impl Tls {
    pub(crate) fn new(
        certified: CertifiedKey,
        clients: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<Self, rustls::Error> {
        // Named, because rustls panics if an app links several crypto providers and has chosen none.
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?;
        let builder = match &clients {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        // One certificate, whatever name the peer asks for: a receiver has one name, and a peer
        // that checks it fails by itself on another.
        let resolver = SingleCertAndKey::from(certified.clone());
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if clients.is_some() {
            // A resumed session would skip the check of the client's certificate, which may have
            // expired since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        let (certified_key, server_config) = (Arc::new(certified), Arc::new(config));
        Ok(Self(Arc::new(Parts { certified_key, clients, server_config })))
    }

    /// Returns the certificate and key for the TLS handshakes of the receiving port.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.0.certified_key
    }

    /// Returns the settings of TLS handshakes: HTTP/1.1 over TLS 1.2 and 1.3.
    pub fn server_config(&self) -> &Arc<ServerConfig> {
        &self.0.server_config
    }

    /// Whether every client must show a certificate.
    pub fn requires_client(&self) -> bool {
        self.0.clients.as_ref().is_some_and(|clients| clients.client_auth_mandatory())
    }

    /// Checks the chain of a client's certificate, the client's own first, as a handshake does now.
    ///
    /// # Errors
    /// Why the certificate is not accepted.
    pub fn verify_client(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let no_certificates =
            || rustls::Error::General("no client certificates are asked for".into());
        let clients = self.0.clients.as_ref().ok_or_else(no_certificates)?;
        let (own, intermediates) =
            chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        clients.verify_client_cert(own, intermediates, UnixTime::now()).map(drop)
    }

    /// Whether both are the same value, loaded once.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
