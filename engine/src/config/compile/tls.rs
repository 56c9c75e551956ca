//! `server.tls`: reads and checks the certificate and its key, so that `hookward check` finds what
//! would stop a start.

use rustls::crypto::ring::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use hookward_core::keys::x509;

use super::compile_cx::CompileCx;
use crate::compiled::Tls;
use crate::config::document::Location;
use crate::config::environment::read_file;
use crate::config::raw_config;

const CERTIFICATE: &str = "/server/tls/certificate";
const KEY: &str = "/server/tls/key";

/// Reads both files and checks that they belong together; reports why they cannot be used.
pub(super) fn load(cx: &mut CompileCx<'_>, raw: Option<raw_config::Tls>) -> Option<Tls> {
    let raw = raw?;
    let chain = raw.certificate.and_then(|file| read_certificates(cx, &file));
    let key = raw.key.and_then(|file| read_private_key(cx, &file));
    let (chain, key) = (chain?, key?);
    match CertifiedKey::from_der(chain, key, &default_provider()) {
        Ok(certified) => Some(Tls::new(certified)),
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
