//! Mutual TLS on the receiving port: who is rejected in the handshake and by a source, what routes
//! see of the certificate, and what a reload changes. `tls/clients` has an authority, its revocation
//! list, and certificates that are genuine, expired, revoked and of another authority.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http::{self, Answer};
use crate::sender::{paid, push};
use crate::server::{Server, ServerDir, eventually};
use crate::tls::{ONE, install};

const CA: &str = include_str!("tls/clients/ca.pem");
const CRL: &str = include_str!("tls/clients/ca.crl.pem");

type Pair = [&'static str; 2];
const ORDERS: Pair =
    [include_str!("tls/clients/orders.pem"), include_str!("tls/clients/orders.key.pem")];
const REVOKED: Pair =
    [include_str!("tls/clients/revoked.pem"), include_str!("tls/clients/revoked.key.pem")];
const EXPIRED: Pair =
    [include_str!("tls/clients/expired.pem"), include_str!("tls/clients/expired.key.pem")];
const FOREIGN: Pair =
    [include_str!("tls/clients/foreigner.pem"), include_str!("tls/clients/foreigner.key.pem")];

const WITHOUT_CRL: &str = "client_ca: ca.pem";
const WITH_CRL: &str = "client_ca: ca.pem, client_crl: ca.crl.pem";

fn routes(tls: &str, stripe: &str, routes: &str) -> String {
    format!(
        "server: {{ tls: {{ certificate: server.pem, key: server.key, {tls} }} }}\nsources:\n  stripe: {{ secrets: [\"whsec_e2e_stripe\"], {stripe} }}\n  github: {{ secrets: [\"e2e-github\"] }}\nroutes:\n{routes}"
    )
}

const ALL: &str = "  - { name: all, events: \"*/**\", chain: [noop] }\n";

fn server_dir(text: &str) -> ServerDir {
    let dir = ServerDir::new(text);
    install(&dir, ONE);
    dir.write("ca.pem", CA);
    dir.write("ca.crl.pem", CRL);
    dir
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

fn connect(server: &Server, client: Option<Pair>) -> Connection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ONE[0].as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some([certificate, key]) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(&server.addr).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    StreamOwned::new(connection, socket)
}

fn exchange(connection: &mut Connection, request: &[u8]) -> std::io::Result<Answer> {
    connection.write_all(request)?;
    http::read(connection)
}

fn stripe(id: &str) -> Vec<u8> {
    let signed = paid(id);
    http::encode_request("localhost", "POST", &signed.target, &signed.headers, &signed.body)
}

fn send(server: &Server, client: Option<Pair>, request: &[u8]) -> std::io::Result<Answer> {
    exchange(&mut connect(server, client), request)
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn only_valid_certificates_of_the_authority_connect_and_the_log_says_why() {
    let dir = server_dir(&routes(WITH_CRL, "", ALL));
    let server = dir.start();
    let answer = send(&server, Some(ORDERS), &stripe("evt_mtls")).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    for (client, words) in [
        (None, "the client shows no certificate"),
        (Some(EXPIRED), "the client's certificate has expired"),
        (Some(REVOKED), "the client's certificate is revoked"),
        (Some(FOREIGN), "no authority of `server.tls.client_ca` issued"),
    ] {
        assert!(send(&server, client, &stripe("evt_rejected")).is_err(), "{words}");
        eventually(words, || server.log().contains(words));
    }
    assert!(server.log().contains("client=127.0.0.1"), "{}", server.log());
    let rejected = "hookward_rejected_total{source=\"\",code=\"CLIENT_CERTIFICATE_INVALID\"}";
    assert_eq!(server.metric(rejected), 4.0);
    // Its names are kept with the event.
    let events = server.events("");
    assert_eq!(events.len(), 1);
    let id = events[0]["id"].as_str().unwrap();
    let event = server.admin("GET", &format!("/api/v1/events/{id}"), "").json();
    assert_eq!(event["headers"]["tls:client_subject"], "CN=orders,O=Partner");
    let names = "DNS:orders.partner.example, URI:spiffe://partner.example/orders";
    assert_eq!(event["headers"]["tls:client_san"], names);
    let admin = format!("http://{}", server.admin);
    let shown = dir.run(&["events", "show", id, "--admin", &admin]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("CN=orders,O=Partner") && shown.contains(names), "{shown}");
}

#[test]
fn a_source_can_need_a_certificate_that_others_do_not() {
    let optional = "client_ca: ca.pem, client_auth: optional";
    for (source, client, status, expected) in [
        ("client_certificate: required", None, 403, "CLIENT_CERTIFICATE_REQUIRED"),
        ("client_certificate: required", Some(ORDERS), 200, ""),
        ("client_subjects: [\"DNS:*.partner.example\"]", Some(ORDERS), 200, ""),
        ("client_subjects: [\"CN=*,O=Partner\"]", Some(ORDERS), 200, ""),
        ("client_subjects: [\"CN=other,O=Partner\"]", Some(ORDERS), 403, "CLIENT_NOT_ALLOWED"),
        ("client_subjects: [\"CN=*\"]", Some(ORDERS), 403, "CLIENT_NOT_ALLOWED"),
        ("client_subjects: [\"CN=*,O=Partner\"]", None, 403, "CLIENT_CERTIFICATE_REQUIRED"),
    ] {
        let dir = server_dir(&routes(optional, source, ALL));
        let server = dir.start();
        let answer = send(&server, client, &stripe("evt_source")).unwrap();
        assert_eq!((answer.status, code(&answer)), (status, expected.to_owned()), "{source}");
        let push = push("d-1", b"{}");
        let other =
            http::encode_request("localhost", "POST", &push.target, &push.headers, &push.body);
        assert_eq!(send(&server, None, &other).unwrap().status, 200, "{source}");
        // One of another authority is rejected also where none is needed.
        assert!(send(&server, Some(FOREIGN), &stripe("evt_foreign")).is_err());
    }
}

#[test]
fn routes_decide_by_the_names_of_the_certificate() {
    let table = r#"  - { name: subject, events: stripe/**, match: { "tls:client_subject": ["CN=orders,O=Partner"] }, chain: [noop] }
  - { name: san, events: stripe/**, match: { "tls:client_san": [{ prefix: "URI:spiffe://partner.example/" }] }, chain: [noop] }
  - { name: not-san, events: stripe/**, match: { "tls:client_san": [{ anything-but: ["DNS:orders.partner.example"] }] }, chain: [noop] }
  - { name: when, events: stripe/**, when: "'DNS:orders.partner.example' in tls.client_san and tls.client_subject == 'CN=orders,O=Partner'", chain: [noop] }
  - { name: other, events: stripe/**, match: { "tls:client_subject": ["CN=other,O=Partner"] }, chain: [noop] }
"#;
    let dir = server_dir(&routes(WITHOUT_CRL, "", table));
    let server = dir.start();
    // A header of this name cannot be sent; one that is close to it changes nothing.
    let request = String::from_utf8(stripe("evt_routes")).unwrap();
    let request = request.replacen("\r\n", "\r\ntls-client_subject: CN=other,O=Partner\r\n", 1);
    assert_eq!(send(&server, Some(ORDERS), request.as_bytes()).unwrap().status, 200);
    let event = server.events("").remove(0);
    let id = event["id"].as_str().unwrap();
    let event = server.admin("GET", &format!("/api/v1/events/{id}"), "").json();
    let jobs = event["jobs"].as_array().unwrap().iter();
    let taken: Vec<_> = jobs.map(|job| job["route"].as_str().unwrap().to_owned()).collect();
    assert_eq!(taken, ["subject", "san", "when"]);
    let explained = dir.run(&[
        "explain",
        "--source",
        "stripe",
        "--type",
        "payment_intent.succeeded",
        "--client-subject",
        "CN=orders,O=Partner",
        "--client-san",
        "DNS:orders.partner.example",
        "--client-san",
        "URI:spiffe://partner.example/orders",
    ]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("3 of 5 routes take it"), "{explained}");
}

#[test]
fn a_reload_revokes_a_certificate_also_on_an_open_connection() {
    let dir = server_dir(&routes(WITHOUT_CRL, "", ALL));
    let server = dir.start();
    let mut open = connect(&server, Some(REVOKED));
    assert_eq!(exchange(&mut open, &stripe("evt_before")).unwrap().status, 200);
    dir.write("routes.yaml", &routes(WITH_CRL, "", ALL));
    server.signal("-HUP");
    eventually("it is reloaded", || server.log().contains("configuration reloaded"));
    let answer = exchange(&mut open, &stripe("evt_after")).unwrap();
    assert_eq!((answer.status, code(&answer).as_str()), (403, "CLIENT_CERTIFICATE_INVALID"));
    assert!(send(&server, Some(REVOKED), &stripe("evt_new")).is_err());
    assert_eq!(send(&server, Some(ORDERS), &stripe("evt_orders")).unwrap().status, 200);
    // Without authorities, clients show nothing, and their open connections continue as others do.
    dir.write("routes.yaml", &routes("client_ca: missing.pem", "", ALL));
    server.signal("-HUP");
    eventually("the mistake is logged", || server.log().contains("`missing.pem` cannot be used"));
    assert_eq!(send(&server, Some(ORDERS), &stripe("evt_kept")).unwrap().status, 200);
}

#[test]
fn a_connection_from_before_certificates_were_required_is_not_admitted() {
    let optional = "client_ca: ca.pem, client_auth: optional";
    let dir = server_dir(&routes(optional, "", ALL));
    let server = dir.start();
    let mut open = connect(&server, None);
    assert_eq!(exchange(&mut open, &stripe("evt_before")).unwrap().status, 200);
    dir.write("routes.yaml", &routes(WITHOUT_CRL, "", ALL));
    server.signal("-HUP");
    eventually("it is reloaded", || server.log().contains("configuration reloaded"));
    let answer = exchange(&mut open, &stripe("evt_after")).unwrap();
    assert_eq!((answer.status, code(&answer).as_str()), (403, "CLIENT_CERTIFICATE_REQUIRED"));
}
