//! One address that takes all it can get, beside genuine senders: connections that owe their
//! requests, and bodies that never end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::http;
use crate::sender::{Signed, paid, stripe};
use crate::server::{SOURCES, Server, ServerDir};
use crate::tls;

/// A limit of connections that a test reaches immediately.
const MAX_CONNECTIONS: usize = 24;
/// Connections that the hostile address opens.
const FLOOD: usize = 4 * MAX_CONNECTIONS;
/// The limit of one body, as shipped.
const MAX_BODY_BYTES: usize = 10 << 20;

fn server_dir(server: &str) -> ServerDir {
    ServerDir::new(&format!(
        "store: sqlite:events.db\nserver: {{ {server} }}\n{SOURCES}routes: []\n"
    ))
}

/// Connects from an address of the loopback network.
pub(crate) fn connect_from(source: &str, addr: &str) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let source: SocketAddr = format!("{source}:0").parse().unwrap();
        let socket = match source {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
        }
        .unwrap();
        socket.bind(source).unwrap();
        socket.connect(addr.parse().unwrap()).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Opens connections that send these bytes and then nothing.
fn flood(addr: &str, sources: &[&str], bytes: &[u8]) -> Vec<TcpStream> {
    let connect = |n: usize| {
        let mut stream = connect_from(sources[n % sources.len()], addr);
        // A server that has closed the connection by now needs no bytes.
        let _ = stream.write_all(bytes);
        stream
    };
    (0..FLOOD).map(connect).collect()
}

#[track_caller]
fn assert_served(server: &Server, name: &str) {
    for n in 0..10 {
        let answer = paid(&format!("evt_{name}_{n}")).try_post(&server.addr);
        let answer = answer.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
}

#[test]
fn connections_that_owe_a_request_give_way_to_genuine_senders_of_their_address() {
    let head = "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\n";
    let signature = format!("stripe-signature: t=1,v1={}\r\n", "0".repeat(64));
    let half_body = format!("{head}{signature}content-length: 60000\r\n\r\nabc");
    let chunk = format!("{head}{signature}transfer-encoding: chunked\r\n\r\n1\r\na\r\n");
    let answered = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
    for (name, bytes) in [
        ("silent", ""),
        ("half_head", head),
        ("answered", answered),
        ("half_body", &half_body),
        ("chunk", &chunk),
        ("pipelined", &answered.repeat(20)),
    ] {
        let dir = server_dir(&format!("max_connections: {MAX_CONNECTIONS}"));
        let server = dir.start();
        let open = flood(&server.addr, &["127.0.0.1"], bytes.as_bytes());
        assert_served(&server, name);
        drop(open);
    }
}

#[test]
fn connections_of_many_addresses_give_way_to_genuine_senders() {
    let dir = server_dir(&format!("max_connections: {MAX_CONNECTIONS}"));
    let server = dir.start();
    let sources: Vec<String> = (2..=50).map(|n| format!("127.0.0.{n}")).collect();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let open = flood(&server.addr, &sources, b"");
    assert_served(&server, "many");
    drop(open);
}

#[test]
fn silent_connections_over_ipv6_give_way_to_genuine_senders() {
    let dir = server_dir(&format!("max_connections: {MAX_CONNECTIONS}"));
    let server = Server::start_on(dir.0.path(), "[::1]:0");
    let open = flood(&server.addr, &["[::1]"], b"");
    assert_served(&server, "ipv6");
    drop(open);
}

#[test]
fn stalled_tls_handshakes_give_way_to_genuine_senders() {
    let dir = ServerDir::new(&format!(
        "server: {{ tls: {{ certificate: server.pem, key: server.key }}, max_connections: {MAX_CONNECTIONS} }}\n{SOURCES}routes: []\n"
    ));
    tls::install(&dir, tls::ONE);
    let server = dir.start();
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let open = flood(&server.addr, &["127.0.0.1"], bytes);
        for n in 0..5 {
            let signed = paid(&format!("evt_tls_{}_{n}", bytes.len()));
            let request = http::encode_request(
                "localhost",
                "POST",
                &signed.target,
                &signed.headers,
                &signed.body,
            );
            let answer = tls::send(&server, tls::ONE[0], &request).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        drop(open);
    }
}

/// Announces a body of the largest size, and sends all of it but the last byte.
fn hoard(addr: &str, source: &str, headers: &str) -> TcpStream {
    let mut stream = connect_from(source, addr);
    let signature = format!("stripe-signature: t=1,v1={}\r\n", "0".repeat(64));
    let head = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\n{signature}{headers}content-length: {MAX_BODY_BYTES}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // A server without memory for it may close the connection meanwhile.
    let _ = stream.write_all(&vec![b'x'; MAX_BODY_BYTES - 1]);
    stream
}

/// A genuine event whose body has at least this size.
fn event_of(id: &str, bytes: usize) -> Signed {
    stripe(id, "payment_intent.succeeded", serde_json::json!({ "note": "x".repeat(bytes) }))
}

#[test]
fn hoarded_bodies_leave_memory_to_genuine_events() {
    let dir = server_dir("max_connections: 10000");
    let server = dir.start();
    let start = Instant::now();
    let hoarders: Vec<_> = (0..7).map(|_| hoard(&server.addr, "127.0.0.2", "")).collect();
    // From the same address and from another one; large events from another one.
    for n in 0..20 {
        let small = event_of(&format!("evt_small_{n}"), 3000);
        assert_eq!(small.post(&server.addr).status, 200);
        let large = event_of(&format!("evt_large_{n}"), 300_000);
        assert_eq!(large.post(&server.addr).status, 200);
        let same = event_of(&format!("evt_same_{n}"), 3000);
        let request =
            http::encode_request(&server.addr, "POST", &same.target, &same.headers, &same.body);
        let mut stream = connect_from("127.0.0.2", &server.addr);
        stream.write_all(&request).unwrap();
        assert_eq!(http::read(&mut stream).unwrap().status, 200);
    }
    // Each hoarder is answered long before the time for a body has passed.
    for mut hoarder in hoarders {
        let mut answer = String::new();
        // An answer to a body that is still being sent may be lost by a reset.
        if hoarder.read_to_string(&mut answer).is_ok() && !answer.is_empty() {
            let status = answer.get(9..12).unwrap_or_default();
            assert!(matches!(status, "408" | "503"), "{answer}");
        }
    }
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn behind_a_trusted_proxy_the_clients_that_it_names_share_the_memory() {
    let dir = server_dir("trusted_proxies: [127.0.0.1]");
    let server = dir.start();
    let hostile = "x-forwarded-for: 198.51.100.1\r\n";
    let hoarders: Vec<_> = (0..7).map(|_| hoard(&server.addr, "127.0.0.1", hostile)).collect();
    for n in 0..10 {
        let large = event_of(&format!("evt_proxied_{n}"), 300_000);
        let answer = large.with("x-forwarded-for", "203.0.113.5").post(&server.addr);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    drop(hoarders);
}
