//! HTTPS on the receiving port: requests, a renewed certificate, and peers that do not speak TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http::{self, Answer};
use crate::sender::paid;
use crate::server::{SOURCES, Server, ServerDir, eventually};

/// A certificate for localhost, and its key.
pub(crate) const ONE: [&str; 2] = [include_str!("tls/one.pem"), include_str!("tls/one.key.pem")];
/// Another certificate for localhost, and its key.
const TWO: [&str; 2] = [include_str!("tls/two.pem"), include_str!("tls/two.key.pem")];

pub(crate) const SERVER: &str = "server: { tls: { certificate: server.pem, key: server.key } }\n";

fn server_dir(certificate: [&str; 2]) -> ServerDir {
    let routes = "routes: [{ name: r, events: stripe/**, chain: [{ handler: file, with: { path: done.jsonl } }] }]\n";
    let dir = ServerDir::new(&format!("{SERVER}{SOURCES}{routes}"));
    install(&dir, certificate);
    dir
}

pub(crate) fn install(dir: &ServerDir, [certificate, key]: [&str; 2]) {
    dir.write("server.pem", certificate);
    dir.write("server.key", key);
}

/// Sends over TLS and trusts only this certificate.
pub(crate) fn send(server: &Server, certificate: &str, bytes: &[u8]) -> std::io::Result<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(&server.addr)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream = StreamOwned::new(client, socket);
    stream.write_all(bytes)?;
    http::read(&mut stream)
}

fn signed(id: &str) -> Vec<u8> {
    let signed = paid(id);
    http::encode_request("localhost", "POST", &signed.target, &signed.headers, &signed.body)
}

#[test]
fn a_server_with_a_certificate_accepts_events_over_https() {
    let dir = server_dir(ONE);
    let server = dir.start();
    for n in 0..2 {
        let answer = send(&server, ONE[0], &signed(&format!("evt_tls_{n}"))).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let forged = String::from_utf8(signed("evt_forged")).unwrap().replace("v1=", "v1=0");
    assert_eq!(send(&server, ONE[0], forged.as_bytes()).unwrap().status, 401);
    // Errors that hyper itself answers have our body over TLS too.
    let answer = send(&server, ONE[0], b"GET / HTTP/1.1\r\nhost : x\r\n\r\n").unwrap();
    assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("BAD_REQUEST")));
    eventually("both are handled", || dir.lines("done.jsonl").len() == 2);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_large_body_over_https_is_received_completely() {
    let dir = server_dir(ONE);
    let server = dir.start();
    let object = serde_json::json!({ "id": "pi_large", "note": "x".repeat(2_000_000) });
    let signed = crate::sender::stripe("evt_large", "payment_intent.succeeded", object);
    let bytes =
        http::encode_request("localhost", "POST", &signed.target, &signed.headers, &signed.body);
    assert_eq!(send(&server, ONE[0], &bytes).unwrap().status, 200);
    eventually("it is handled", || dir.lines("done.jsonl").len() == 1);
    let expected: serde_json::Value = serde_json::from_slice(&signed.body).unwrap();
    assert_eq!(dir.lines("done.jsonl")[0]["body"], expected);
}

#[test]
fn a_reload_applies_a_renewed_certificate_and_ignores_an_invalid_one() {
    let dir = server_dir(ONE);
    let server = dir.start();
    install(&dir, TWO);
    server.signal("-HUP");
    eventually("the new certificate is shown", || send(&server, TWO[0], &signed("evt_1")).is_ok());
    assert!(send(&server, ONE[0], &signed("evt_2")).is_err());
    install(&dir, [TWO[0], ONE[1]]);
    server.signal("-HUP");
    eventually("the mistake is logged", || {
        server.log().contains("does not belong to the certificate")
    });
    dir.write("routes.yaml", &format!("{SOURCES}routes: []\n"));
    server.signal("-HUP");
    eventually("it stays with https", || server.log().contains("server.tls cannot change"));
    assert_eq!(send(&server, TWO[0], &signed("evt_3")).unwrap().status, 200);
}

#[test]
fn send_trusts_the_configured_certificate() {
    let dir = server_dir(ONE);
    let server = dir.start();
    let port = server.addr.rsplit(':').next().unwrap();
    let listen = format!("server: {{ listen: 127.0.0.1:{port}, tls:");
    let routes = std::fs::read_to_string(dir.path("routes.yaml")).unwrap();
    dir.write("sender.yaml", &routes.replace("server: { tls:", &listen));
    let send = ["send", "stripe", "payment_intent.succeeded", "--routes", "sender.yaml"];
    let output = dir.run(&send);
    assert!(output.status.success(), "{output:?}");
    // A server with another certificate is not trusted.
    install(&dir, TWO);
    let output = dir.run(&send);
    assert!(!output.status.success(), "{output:?}");
}

#[test]
fn a_peer_without_tls_is_closed_immediately_and_a_silent_one_after_the_timeout() {
    let dir = server_dir(ONE);
    let server = dir.start();
    let mut plain = http::connect(&server.addr);
    plain.write_all(&signed("evt_plain")).unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP/"), "{said:?}");
    let start = Instant::now();
    let mut silent = http::connect(&server.addr);
    assert_eq!(silent.read(&mut [0; 16]).unwrap_or(0), 0);
    assert!(start.elapsed() > Duration::from_secs(3), "closed before it could speak");
    assert!(server.events("").is_empty());
}
