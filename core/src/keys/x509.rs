//! X.509 certificates (RFC 5280) that senders publish their keys in. Called by providers.
//!
//! A certificate fetched over https from a host that only the sender controls is the sender's by
//! that. Where the host also serves what others upload, a provider checks the chain to a public
//! root and the host names as well ([`Certificates::check_chain`]), or the chain to issuers that
//! the operator trusts ([`Certificates::check_chain_to`]).

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::PublicKey;
use crate::clock::Timestamp;
use crate::crypto::der::{Der, SEQUENCE};
use crate::key_source::KeyDocument;
use crate::plugin::BuildError;
use crate::verify_error::VerifyError;

/// Most certificates that are read from a document; the rest are ignored.
const MAX_CERTIFICATES: usize = 10;

/// Certificate authorities that an operator trusts to issue a sender's certificate, in place of the
/// public ones. One of them stands in for the intermediate certificates that a sender leaves out.
///
/// ```
/// use hookward_core::keys::x509::TrustedIssuers;
///
/// let error = TrustedIssuers::from_pem("issuers.pem", "/trusted_issuers").unwrap_err();
/// assert_eq!(error.at, "/trusted_issuers");
/// ```
#[derive(Debug, Clone)]
pub struct TrustedIssuers(Vec<TrustedIssuer>);

/// An issuer, with the time from which and the time until which its certificate is valid.
#[derive(Debug, Clone)]
struct TrustedIssuer {
    anchor: TrustAnchor<'static>,
    valid: (Timestamp, Timestamp),
}

impl TrustedIssuers {
    /// Reads the issuers' certificates in PEM (RFC 7468), one or more. `at` is the JSON pointer to
    /// the text in the `with:` block, for errors.
    ///
    /// # Errors
    /// [`BuildError`] where there is no certificate, one that cannot be read, or one that is not a
    /// certificate authority's, such as the sender's own.
    pub fn from_pem(pem: &str, at: &str) -> Result<Self, BuildError> {
        const HELP: &str = "give the certificates of the authority that issues the sender's \
                            certificate, in PEM: `${file:issuers.pem}` reads them from a file";
        let error = |message: String| BuildError::at(at, message).help(HELP);
        let mut issuers = Vec::new();
        for (n, certificate) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
            let issuer = certificate.ok().and_then(|der| TrustedIssuer::from_der(&der));
            issuers.push(issuer.ok_or_else(|| {
                error(format!("certificate {} is not that of a certificate authority", n + 1))
            })?);
        }
        if issuers.is_empty() {
            return Err(error("there is no certificate in PEM".to_owned()));
        }
        Ok(Self(issuers))
    }
}

impl TrustedIssuer {
    /// Reads a certificate; `None` unless it is an authority's.
    fn from_der(certificate: &CertificateDer<'_>) -> Option<Self> {
        let valid = validity(certificate)?;
        let anchor = anchor_from_trusted_cert(certificate).ok()?.to_owned();
        let issuer = Self { anchor, valid };
        // webpki shows in this error alone that a certificate is an authority's. It checks the
        // validity first, hence a time within it.
        let as_leaf = verify_chain(certificate, &[], std::slice::from_ref(&issuer.anchor), valid.0);
        matches!(as_leaf, Err(webpki::Error::CaUsedAsEndEntity)).then_some(issuer)
    }
}

/// A sender's certificate, with the intermediate certificates that came with it.
///
/// A provider reads the document that its [`KeySource`](super::KeySource) returned, checks what
/// ties the certificate to the sender, and verifies with its key:
///
/// ```
/// use hookward_core::crypto::{Encoding, ProofAlgorithm};
/// use hookward_core::keys::KeyDocument;
/// use hookward_core::keys::x509::Certificates;
/// use hookward_core::{Timestamp, VerifyError};
///
/// fn verify(
///     document: &KeyDocument,
///     signed: &[u8],
///     signature: &str,
///     now: Timestamp,
/// ) -> Result<(), VerifyError> {
///     let certificates = Certificates::from_pem(document)?;
///     certificates.check_validity(now)?;
///     certificates.check_host(&["sns.amazonaws.com"])?;
///     let algorithm = ProofAlgorithm::RsaSha256;
///     certificates.key().verify(algorithm, signed, signature, Encoding::Base64)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The sender's certificate (the leaf) first; never empty.
    chain: Vec<CertificateDer<'static>>,
    key: PublicKey,
    trusted_offline: bool,
}

impl Certificates {
    /// Reads PEM (RFC 7468): first the sender's certificate, then intermediate ones in any order.
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] where the document has no certificate, one that cannot be
    /// read, or a key other than RSA from 2048 bits and P-256.
    pub fn from_pem(document: &KeyDocument) -> Result<Self, VerifyError> {
        let not_pem =
            || VerifyError::key_unavailable("the fetched document is not a certificate in PEM");
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&document.bytes)
            .take(MAX_CERTIFICATES)
            .collect::<Result<_, _>>()
            .map_err(|_| not_pem())?;
        let first = chain.first().ok_or_else(not_pem)?;
        let leaf = EndEntityCert::try_from(first).map_err(|_| not_pem())?;
        let key = PublicKey::from_spki(&leaf.subject_public_key_info()).ok_or_else(|| {
            VerifyError::key_unavailable(
                "the certificate's key is of an unsupported kind; RSA from 2048 bits and P-256 are \
                 supported",
            )
        })?;
        Ok(Self { key, trusted_offline: document.trusted_offline, chain })
    }

    /// The public key of the sender's certificate.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Whether the document has no intermediate certificates, so that no chain can be built.
    pub fn is_leaf_only(&self) -> bool {
        self.chain.len() == 1
    }

    /// Checks that the sender's certificate names one of these hosts (RFC 6125). Passes for a
    /// document that is [trusted offline](KeyDocument::trusted_offline).
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] where the certificate is for other hosts.
    pub fn check_host(&self, hosts: &[&str]) -> Result<(), VerifyError> {
        let leaf = self.chain.first().and_then(|first| EndEntityCert::try_from(first).ok());
        let names = |host: &str| {
            let name = ServerName::try_from(host).ok();
            name.zip(leaf.as_ref())
                .is_some_and(|(name, leaf)| leaf.verify_is_valid_for_subject_name(&name).is_ok())
        };
        if self.trusted_offline || hosts.iter().any(|host| names(host)) {
            return Ok(());
        }
        Err(VerifyError::key_unavailable(format!(
            "the certificate does not name the host {}",
            hosts.join(" or ")
        )))
    }

    /// Checks that the sender's certificate is valid at this time. Passes for a document that is
    /// [trusted offline](KeyDocument::trusted_offline).
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] where the certificate has expired, is not valid yet, or its
    /// validity cannot be read.
    pub fn check_validity(&self, now: Timestamp) -> Result<(), VerifyError> {
        match self.chain.first().and_then(|certificate| validity(certificate)) {
            Some((from, until)) if from <= now && now <= until => Ok(()),
            _ if self.trusted_offline => Ok(()),
            Some((from, until)) => Err(VerifyError::key_unavailable(format!(
                "the certificate is valid from {from} to {until}, not now"
            ))),
            None => Err(VerifyError::key_unavailable("the certificate's validity cannot be read")),
        }
    }

    /// Checks that a public certificate authority vouches, at this time, for the sender's
    /// certificate as that of one of these hosts. The roots are those of Mozilla (crate
    /// webpki-roots). Passes for a document that is [trusted
    /// offline](KeyDocument::trusted_offline).
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] with the reason.
    pub fn check_chain(&self, hosts: &[&str], now: Timestamp) -> Result<(), VerifyError> {
        if self.trusted_offline {
            return Ok(());
        }
        self.check_chain_to_roots(webpki_roots::TLS_SERVER_ROOTS, hosts, now)
    }

    /// Checks that one of these issuers vouches, at this time, for the sender's certificate as that
    /// of one of these hosts, directly or through the intermediate certificates that came with it.
    /// An issuer whose own certificate is not valid at this time vouches for none. Passes for a
    /// document that is [trusted offline](KeyDocument::trusted_offline).
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] with the reason.
    pub fn check_chain_to(
        &self,
        issuers: &TrustedIssuers,
        hosts: &[&str],
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        if self.trusted_offline {
            return Ok(());
        }
        let is_valid = |issuer: &&TrustedIssuer| issuer.valid.0 <= now && now <= issuer.valid.1;
        let valid = issuers.0.iter().filter(is_valid);
        let anchors: Vec<_> = valid.map(|issuer| issuer.anchor.clone()).collect();
        if anchors.is_empty() {
            return Err(VerifyError::key_unavailable(
                "no trusted issuer's certificate is valid now: each has expired or is not valid yet",
            ));
        }
        self.check_chain_to_roots(&anchors, hosts, now)
    }

    fn check_chain_to_roots(
        &self,
        roots: &[TrustAnchor<'_>],
        hosts: &[&str],
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        let (leaf, intermediates) = self
            .chain
            .split_first()
            .ok_or_else(|| VerifyError::key_unavailable("there is no certificate"))?;
        // Not `check_validity`: webpki checks the validity of every certificate of the chain.
        verify_chain(leaf, intermediates, roots, now).map_err(|e| {
            VerifyError::key_unavailable(format!("the certificate's chain is not trusted: {e}"))
        })?;
        self.check_host(hosts)
    }
}

/// Verifies a leaf's chain to one of the roots, of which only the names and keys are checked.
fn verify_chain(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &[TrustAnchor<'_>],
    now: Timestamp,
) -> Result<(), webpki::Error> {
    let since_1970 = UnixTime::since_unix_epoch(now.since(Timestamp::from_secs(0)));
    let usage = KeyUsage::server_auth();
    EndEntityCert::try_from(leaf)?
        .verify_for_usage(
            ALL_VERIFICATION_ALGS,
            roots,
            intermediates,
            since_1970,
            usage,
            None,
            None,
        )
        .map(drop)
}

/// The time from which and the time until which a certificate (DER) is valid, both included; `None`
/// where the bytes are not a certificate (RFC 5280, section 4.1).
pub fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    const VERSION_TAG: u8 = 0xa0;
    const SERIAL_NUMBER_TAG: u8 = 0x02;
    let mut outer = Der(Der(certificate).read_value(SEQUENCE)?);
    let mut body = Der(outer.read_value(SEQUENCE)?);
    // Optional: certificates of version 1 leave it out.
    if body.peek() == Some(VERSION_TAG) {
        body.read_value(VERSION_TAG)?;
    }
    body.read_value(SERIAL_NUMBER_TAG)?;
    let _signature_algorithm = body.read_value(SEQUENCE)?;
    let _issuer = body.read_value(SEQUENCE)?;
    let mut validity = Der(body.read_value(SEQUENCE)?);
    Some((read_time(&mut validity)?, read_time(&mut validity)?))
}

/// Reads a time (RFC 5280, section 4.1.2.5): a `UTCTime`, whose two digits of the year count from
/// 1950, or a `GeneralizedTime`, both in UTC and to the second.
fn read_time(der: &mut Der<'_>) -> Option<Timestamp> {
    const UTC_TIME_TAG: u8 = 0x17;
    const GENERALIZED_TIME_TAG: u8 = 0x18;
    let tag = der.peek()?;
    let text = std::str::from_utf8(der.read_value(tag)?).ok()?;
    let digits = text.strip_suffix('Z').filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?;
    let full = match (tag, digits.len()) {
        (UTC_TIME_TAG, 12) if digits >= "50" => format!("19{digits}"),
        (UTC_TIME_TAG, 12) => format!("20{digits}"),
        (GENERALIZED_TIME_TAG, 14) => digits.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| full.get(from..to).unwrap_or_default();
    Timestamp::parse_rfc3339(&format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14)
    ))
}

#[cfg(test)]
mod tests;
