//! Certificates that senders publish their keys in. A certificate that came over https from a pinned
//! host is its sender's by that; where a sender's host also serves what others put there, the chain
//! to a public root and the name in it are asked for as well. Called by providers.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};

use super::{KeyDocument, PublicKey};
use crate::clock::Timestamp;
use crate::crypto::der::{Der, SEQUENCE};
use crate::verify_error::VerifyError;

/// The most certificates that are looked at.
const MAX_CERTIFICATES: usize = 10;

/// A certificate with those above it.
#[derive(Debug, Clone)]
pub struct Certificates {
    chain: Vec<CertificateDer<'static>>,
    key: PublicKey,
    trusted_offline: bool,
}

impl Certificates {
    /// Reads PEM: first the sender's certificate, then those above it, in any order.
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] where there is none, or one that cannot be read.
    pub fn from_pem(document: &KeyDocument) -> Result<Self, VerifyError> {
        let none = || VerifyError::key_unavailable("what was fetched is no certificate");
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&document.bytes)
            .take(MAX_CERTIFICATES)
            .collect::<Result<_, _>>()
            .map_err(|_| none())?;
        let first = chain.first().ok_or_else(none)?;
        let leaf = EndEntityCert::try_from(first).map_err(|_| none())?;
        let key = PublicKey::from_spki(&leaf.subject_public_key_info()).ok_or_else(|| {
            VerifyError::key_unavailable(
                "the certificate holds no key of RSA from 2048 bits or of P-256",
            )
        })?;
        Ok(Self { key, trusted_offline: document.trusted_offline, chain })
    }

    /// The key of the first certificate.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Whether the document holds the first certificate and none above it: no chain can be made of it.
    pub fn is_leaf_only(&self) -> bool {
        self.chain.len() == 1
    }

    /// Whether the first certificate names one of these hosts. One given by hand is taken as it is.
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] with the reason.
    pub fn check_host(&self, hosts: &[&str]) -> Result<(), VerifyError> {
        let leaf = self.chain.first().and_then(|first| EndEntityCert::try_from(first).ok());
        let is = |host: &str| {
            let name = ServerName::try_from(host).ok();
            name.zip(leaf.as_ref())
                .is_some_and(|(name, leaf)| leaf.verify_is_valid_for_subject_name(&name).is_ok())
        };
        if self.trusted_offline || hosts.iter().any(|host| is(host)) {
            return Ok(());
        }
        Err(VerifyError::key_unavailable("the certificate is for another host"))
    }

    /// Whether the first certificate is valid at this moment. One given by hand always is.
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] with the reason.
    pub fn check_validity(&self, now: Timestamp) -> Result<(), VerifyError> {
        let days = self.chain.first().and_then(|certificate| validity(certificate));
        match days {
            Some((from, until)) if from <= now && now <= until => Ok(()),
            _ if self.trusted_offline => Ok(()),
            Some(_) => {
                Err(VerifyError::key_unavailable("the certificate is not valid at this time"))
            }
            None => Err(VerifyError::key_unavailable("the certificate's days cannot be read")),
        }
    }

    /// Whether a public certificate authority says, at this moment, that the first certificate
    /// belongs to one of these hosts. One given by hand is taken as it is.
    ///
    /// # Errors
    /// [`VerifyError::KeyUnavailable`] with the reason.
    pub fn check_chain(&self, hosts: &[&str], now: Timestamp) -> Result<(), VerifyError> {
        if self.trusted_offline {
            return Ok(());
        }
        self.check_chain_to(webpki_roots::TLS_SERVER_ROOTS, hosts, now)
    }

    fn check_chain_to(
        &self,
        roots: &[TrustAnchor<'_>],
        hosts: &[&str],
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        let untrusted = |e: webpki::Error| {
            VerifyError::key_unavailable(format!("the certificate's chain is not trusted: {e}"))
        };
        let (first, above) = self
            .chain
            .split_first()
            .ok_or_else(|| VerifyError::key_unavailable("there is no certificate"))?;
        let leaf = EndEntityCert::try_from(first).map_err(untrusted)?;
        let since_1970 = now.since(Timestamp::from_secs(0));
        leaf.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            roots,
            above,
            UnixTime::since_unix_epoch(since_1970),
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map_err(untrusted)?;
        self.check_host(hosts)
    }
}

/// From when until when a certificate is valid.
pub fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    const VERSION: u8 = 0xa0;
    const SERIAL: u8 = 0x02;
    let mut outer = Der(Der(certificate).take(SEQUENCE)?);
    let mut body = Der(outer.take(SEQUENCE)?);
    if body.peek() == Some(VERSION) {
        body.take(VERSION)?;
    }
    body.take(SERIAL)?;
    body.take(SEQUENCE)?;
    body.take(SEQUENCE)?;
    let mut validity = Der(body.take(SEQUENCE)?);
    Some((time(&mut validity)?, time(&mut validity)?))
}

/// A `UTCTime` (two digits of a year from 1950 on) or a `GeneralizedTime`, both to the second in UTC.
fn time(der: &mut Der<'_>) -> Option<Timestamp> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let tag = der.peek()?;
    let text = std::str::from_utf8(der.take(tag)?).ok()?;
    let digits = text.strip_suffix('Z').filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?;
    let full = match (tag, digits.len()) {
        (UTC_TIME, 12) if digits >= "50" => format!("19{digits}"),
        (UTC_TIME, 12) => format!("20{digits}"),
        (GENERALIZED_TIME, 14) => digits.to_owned(),
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
