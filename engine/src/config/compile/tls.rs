//! `server.tls`: reads and checks the certificate, its key, and the authorities of clients, so that `hookward check` finds what
//! would stop a start.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use hookward_core::keys::x509;

use super::compile_cx::CompileCx;
use super::file_access;
use crate::compiled::Tls;
use crate::config::document::Location;
use crate::config::environment::read_file;
use crate::config::raw_config;

const CERTIFICATE: &str = "/server/tls/certificate";
const KEY: &str = "/server/tls/key";
const CLIENT_CA: &str = "/server/tls/client_ca";
const CLIENT_CRL: &str = "/server/tls/client_crl";

/// Reads both files and checks that they belong together; reports why they cannot be used.
pub(super) fn load(cx: &mut CompileCx<'_>, raw: Option<raw_config::Tls>) -> Option<Tls> {
    let raw = raw?;
    let has_client_ca = raw.client_ca.is_some();
    if !has_client_ca {
        report_useless_client_keys(cx);
    }
    let authorities = raw.client_ca.and_then(|file| read_authorities(cx, &file));
    let revocation_lists = raw.client_crl.map(|file| read_revocation_lists(cx, &file));
    let chain = raw.certificate.and_then(|file| read_certificates(cx, &file));
    let key = raw.key.and_then(|file| {
        let path = cx.base_dir.join(&file);
        file_access::warn_secret(cx, Location::Value(KEY), &path, &file);
        read_private_key(cx, &file)
    });
    let (chain, key) = (chain?, key?);
    let clients = match (has_client_ca, authorities) {
        (true, None) => return None,
        (_, authorities) => authorities,
    };
    let revoked = match revocation_lists {
        Some(lists) => lists?,
        None => Vec::new(),
    };
    let clients = match clients {
        None => None,
        Some(roots) => {
            let required = raw.client_auth != Some(raw_config::ClientAuth::Optional);
            Some(client_verifier(cx, roots, revoked, required)?)
        }
    };
    match CertifiedKey::from_der(chain, key, &default_provider()) {
        Ok(certified) => match Tls::new(certified, clients) {
            Ok(tls) => Some(tls),
            Err(e) => report_tls_error(cx, &e),
        },
        Err(e) => {
            let mismatch =
                matches!(e, rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch));
            let message = match mismatch {
                true => "this key does not belong to the certificate".to_owned(),
                false => format!("the certificate and its key cannot be used: {e}"),
            };
            cx.document.error(Location::Value(KEY), message).help(
                "write two files that were issued together: in `certificate` the server's own certificate first, in `key` its private key (RSA, ECDSA on P-256 or P-384, or Ed25519)",
            );
            None
        }
    }
}

fn report_tls_error<T>(cx: &mut CompileCx<'_>, error: &rustls::Error) -> Option<T> {
    cx.document
        .error(Location::Key("/server/tls"), format!("TLS cannot be set up: {error}"))
        .help("write a certificate, a key and authorities that this version of TLS supports");
    None
}

/// Reports `client_auth` and `client_crl` without `client_ca`.
fn report_useless_client_keys(cx: &mut CompileCx<'_>) {
    for key in ["client_auth", "client_crl"] {
        let at = format!("/server/tls/{key}");
        if cx.contains(&at) && !cx.document.has_error_at(CLIENT_CA) {
            cx.document
                .error(Location::Key(&at), format!("`{key}` without `client_ca` has no effect"))
                .help("add `client_ca: FILE`, or remove this key");
        }
    }
}

/// Reads the certificates of the authorities that vouch for clients.
fn read_authorities(cx: &mut CompileCx<'_>, file: &str) -> Option<RootCertStore> {
    let pem = read(cx, CLIENT_CA, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let Ok(certificates) = found else {
        return report_unusable(cx, CLIENT_CA, file, "its PEM is damaged");
    };
    let mut roots = RootCertStore::empty();
    for (n, certificate) in certificates.into_iter().enumerate() {
        let expired_at = x509::validity(&certificate).map(|(_, until)| until);
        if let Err(e) = roots.add(certificate) {
            let reason = format!("certificate {} cannot be read: {e}", n + 1);
            return report_unusable(cx, CLIENT_CA, file, &reason);
        }
        if let Some(until) = expired_at.filter(|until| *until < cx.load.now) {
            cx.document
                .warn(
                    Location::Value(CLIENT_CA),
                    format!("certificate {} in `{file}` expired on {until}", n + 1),
                )
                .help("replace it and reload (SIGHUP); TLS itself does not check when an authority expires");
        }
    }
    if roots.is_empty() {
        return report_unusable(cx, CLIENT_CA, file, "it holds no certificate");
    }
    Some(roots)
}

fn read_revocation_lists(
    cx: &mut CompileCx<'_>,
    file: &str,
) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    let pem = read(cx, CLIENT_CRL, file)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(lists) if !lists.is_empty() => Some(lists),
        Ok(_) => report_unusable(cx, CLIENT_CRL, file, "it holds no revocation list"),
        Err(_) => report_unusable(cx, CLIENT_CRL, file, "its PEM is damaged"),
    }
}

/// Builds the check of a client's certificate.
fn client_verifier(
    cx: &mut CompileCx<'_>,
    roots: RootCertStore,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    required: bool,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let provider = Arc::new(default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = builder.with_crls(revoked);
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    match builder.build() {
        Ok(verifier) => Some(verifier),
        Err(e) => {
            cx.document
                .error(
                    Location::Value(if cx.contains(CLIENT_CRL) { CLIENT_CRL } else { CLIENT_CA }),
                    format!("client certificates cannot be checked: {e}"),
                )
                .help("write PEM files of X.509 certificates and of revocation lists (CRL, version 2)");
            None
        }
    }
}

fn read_certificates(cx: &mut CompileCx<'_>, file: &str) -> Option<Vec<CertificateDer<'static>>> {
    let pem = read(cx, CERTIFICATE, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = match found {
        Ok(chain) if !chain.is_empty() => chain,
        Ok(_) => return report_unusable(cx, CERTIFICATE, file, "it holds no certificate"),
        Err(_) => return report_unusable(cx, CERTIFICATE, file, "its PEM is damaged"),
    };
    let now = cx.load.now;
    let validity = chain.first().and_then(|own| x509::validity(own));
    let problem = match validity {
        Some((from, _)) if now < from => Some(format!("is not valid before {from}")),
        Some((_, until)) if until < now => Some(format!("expired on {until}")),
        _ => None,
    };
    if let Some(problem) = problem {
        // A warning and not an error: the start must not fail because a renewal is late.
        cx.document
            .warn(Location::Value(CERTIFICATE), format!("the certificate in `{file}` {problem}"))
            .help("senders do not connect; replace the file with a valid certificate and reload (SIGHUP)");
    }
    Some(chain)
}

fn read_private_key(cx: &mut CompileCx<'_>, file: &str) -> Option<PrivateKeyDer<'static>> {
    let pem = read(cx, KEY, file)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => Some(key),
        Err(pem::Error::NoItemsFound) => {
            let encrypted = String::from_utf8_lossy(&pem).contains("BEGIN ENCRYPTED PRIVATE KEY");
            let reason = match encrypted {
                true => "it is encrypted with a password; decrypt it with `openssl pkey`",
                false => "it holds no private key",
            };
            report_unusable(cx, KEY, file, reason)
        }
        Err(_) => report_unusable(cx, KEY, file, "its PEM is damaged"),
    }
}

fn read(cx: &mut CompileCx<'_>, at: &str, file: &str) -> Option<Vec<u8>> {
    match read_file(cx.load.environment, &cx.base_dir.join(file)) {
        Ok(bytes) => Some(bytes),
        Err(reason) => report_unusable(cx, at, file, &reason),
    }
}

fn report_unusable<T>(cx: &mut CompileCx<'_>, at: &str, file: &str, reason: &str) -> Option<T> {
    cx.document
        .error(Location::Value(at), format!("`{file}` cannot be used: {reason}"))
        .help("write the path of a PEM file, relative to the folder of routes.yaml");
    None
}
