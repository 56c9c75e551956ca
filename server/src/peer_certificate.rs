//! The certificate of a client, by its names, and whether it is still accepted.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hookward_core::ClientCertificate;
use hookward_engine::compiled::Tls;
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The maximum size of all names of a certificate, in bytes. They are stored with each event.
const MAX_NAMES_BYTES: usize = 8 * 1024;

/// How long a certificate that was checked counts as accepted, unless the configuration changes.
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);

/// The chain that a client proved in its handshake. Its connection may outlive it.
#[derive(Debug)]
pub(crate) struct PeerCertificate {
    chain: Vec<CertificateDer<'static>>,
    names: Arc<ClientCertificate>,
    /// When the chain was accepted last, and under which settings.
    accepted: Mutex<Option<(Instant, Tls)>>,
}

impl PeerCertificate {
    /// Reads the names of the first certificate.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub(crate) fn new(chain: &[CertificateDer<'_>]) -> Result<Self, &'static str> {
        let own = chain.first().ok_or("it is empty")?;
        let certificate = Certificate::from_der(own).map_err(|_| "it cannot be read")?;
        let names = Arc::new(read_names(&certificate)?);
        let chain = chain.iter().map(|c| c.clone().into_owned()).collect();
        Ok(Self { chain, names, accepted: Mutex::default() })
    }

    /// The names by which the client is known.
    pub(crate) fn names(&self) -> &Arc<ClientCertificate> {
        &self.names
    }

    /// Checks that the chain is accepted by the settings in force: it can have expired, and a
    /// reload can have revoked it. The result holds for a minute.
    ///
    /// # Errors
    /// Why the certificate is not accepted.
    pub(crate) fn check(&self, tls: &Tls) -> Result<(), String> {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent =
            |(at, by): &(Instant, Tls)| at.elapsed() < RECHECK_INTERVAL && by.is_same(tls);
        if accepted.as_ref().is_some_and(is_recent) {
            return Ok(());
        }
        tls.verify_client(&self.chain).map_err(|e| rejection_reason(&e))?;
        *accepted = Some((Instant::now(), tls.clone()));
        Ok(())
    }
}

/// Why a handshake failed, in words for the log.
pub(crate) fn rejection_reason(error: &Error) -> String {
    let words = match error {
        Error::NoCertificatesPresented => "the client shows no certificate",
        Error::InvalidCertificate(reason) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the client's certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the client's certificate is not valid yet"
            }
            CertificateError::Revoked => "the client's certificate is revoked",
            CertificateError::UnknownIssuer => {
                "no authority of `server.tls.client_ca` issued the client's certificate"
            }
            CertificateError::UnknownRevocationStatus => {
                "`server.tls.client_crl` has no list of the authority that issued the client's \
                 certificate"
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "the client's certificate is not one for clients"
            }
            _ => return format!("the client's certificate is not accepted: {error}"),
        },
        _ => return error.to_string(),
    };
    words.to_owned()
}

fn read_names(certificate: &Certificate) -> Result<ClientCertificate, &'static str> {
    let body = certificate.tbs_certificate();
    let subject = body.subject().to_string();
    let extension = body.get_extension::<SubjectAltName>();
    let extension = extension.map_err(|_| "its alternative names cannot be read")?;
    let general_names = extension.map(|(_, names)| names.0).unwrap_or_default();
    let names: Vec<String> = general_names.iter().filter_map(alternative_name).collect();
    let size = subject.len() + names.iter().map(String::len).sum::<usize>();
    if size > MAX_NAMES_BYTES {
        return Err("its names are longer than 8 KiB");
    }
    Ok(ClientCertificate::new(subject, names))
}

/// A name with its kind; `None` for kinds that nothing compares.
fn alternative_name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(format!("DNS:{}", name.as_str())),
        GeneralName::UniformResourceIdentifier(name) => Some(format!("URI:{}", name.as_str())),
        GeneralName::Rfc822Name(name) => Some(format!("email:{}", name.as_str())),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let ip = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()?;
            Some(format!("IP:{ip}"))
        }
        _ => None,
    }
}
