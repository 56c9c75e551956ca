//! `server.tls`: two files, read and judged, so that `check` finds what a start would run into.

use rustls::crypto::ring::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use hookward_core::keys::x509;

use super::{Gate, Location};
use crate::compiled::Tls;
use crate::config::{MAX_FILE, interpolate, raw_config};

const CERTIFICATE: &str = "/server/tls/certificate";
const KEY: &str = "/server/tls/key";

/// Both files, and whether they belong together.
pub(super) fn tls(gate: &mut Gate<'_>, spec: Option<raw_config::Tls>) -> Option<Tls> {
    let spec = spec?;
    let chain = spec.certificate.and_then(|file| certificates(gate, &file));
    let key = spec.key.and_then(|file| private_key(gate, &file));
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
            gate.doc.error(Location::Value(KEY), message).help(
                "both come from one issue: `certificate` holds the server's own certificate first, `key` the private key that it was issued for (RSA, or ECDSA on P-256 or P-384, or Ed25519)",
            );
            None
        }
    }
}

fn certificates(gate: &mut Gate<'_>, file: &str) -> Option<Vec<CertificateDer<'static>>> {
    let pem = read(gate, CERTIFICATE, file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = match found {
        Ok(chain) if !chain.is_empty() => chain,
        Ok(_) => return unusable(gate, CERTIFICATE, file, "it holds no certificate"),
        Err(_) => return unusable(gate, CERTIFICATE, file, "its PEM is damaged"),
    };
    let now = gate.cx.now;
    let days = chain.first().and_then(|own| x509::validity(own));
    let complaint = match days {
        Some((from, _)) if now < from => Some(format!("is valid from {from} on, and not yet")),
        Some((_, until)) if until < now => Some(format!("ended on {until}")),
        _ => None,
    };
    if let Some(complaint) = complaint {
        gate.doc
            .warn(Location::Value(CERTIFICATE), format!("the certificate in `{file}` {complaint}"))
            .help("senders refuse to connect; put a valid one in its place and reload (SIGHUP)");
    }
    Some(chain)
}

fn private_key(gate: &mut Gate<'_>, file: &str) -> Option<PrivateKeyDer<'static>> {
    let pem = read(gate, KEY, file)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => Some(key),
        Err(pem::Error::NoItemsFound) => {
            let sealed = String::from_utf8_lossy(&pem).contains("BEGIN ENCRYPTED PRIVATE KEY");
            let why = match sealed {
                true => "it is sealed with a password; unseal it with `openssl pkey`",
                false => "it holds no private key",
            };
            unusable(gate, KEY, file, why)
        }
        Err(_) => unusable(gate, KEY, file, "its PEM is damaged"),
    }
}

fn read(gate: &mut Gate<'_>, at: &str, file: &str) -> Option<Vec<u8>> {
    match gate.cx.environment.read(&gate.base_dir.join(file)) {
        Ok(bytes) if bytes.len() > MAX_FILE => unusable(gate, at, file, "it is larger than 1 MiB"),
        Ok(bytes) => Some(bytes),
        Err(e) => unusable(gate, at, file, &interpolate::reason(&e)),
    }
}

fn unusable<T>(gate: &mut Gate<'_>, at: &str, file: &str, why: &str) -> Option<T> {
    gate.doc
        .error(Location::Value(at), format!("`{file}` cannot be used: {why}"))
        .help("a path to a PEM file, from the folder of routes.yaml on");
    None
}
