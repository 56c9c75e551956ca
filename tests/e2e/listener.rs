//! What the receiving port does with requests that are unusual and not wrong, and with those on
//! paths that belong to no source.

use std::io::{Read, Write};
use std::process::Command;

use crate::http::{self, connect};
use crate::sender::paid;
use crate::server::{SOURCES, Server, ServerDir, eventually};
use crate::tls;

fn server_dir() -> ServerDir {
    ServerDir::new(&format!("store: sqlite:events.db\n{SOURCES}routes: []\n"))
}

/// A genuine event, with this in front of its path.
fn request_with(target_prefix: &str, server: &Server, id: &str) -> Vec<u8> {
    let signed = paid(id);
    let target = format!("{target_prefix}{}", signed.target);
    http::encode_request(&server.addr, "POST", &target, &signed.headers, &signed.body)
}

#[test]
fn a_target_in_absolute_form_is_accepted_on_both_ports() {
    let dir = server_dir();
    let server = dir.start();
    let prefix = format!("http://{}", server.addr);
    let answer = http::raw(&server.addr, &request_with(&prefix, &server, "evt_abs")).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.events("source=stripe").len(), 1);
    let health = format!("GET {prefix}/health HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(http::raw(&server.addr, health.as_bytes()).unwrap().status, 200);
    let admin = |host: &str| {
        let get = format!("GET http://{host}/api/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n");
        http::raw(&server.admin, get.as_bytes()).unwrap().status
    };
    assert_eq!(admin(&server.admin), 200);
    // The host of the target counts, so a page of another name cannot use the port.
    assert_eq!(admin("evil.example"), 403);
}

#[test]
fn http2_without_asking_is_rejected_in_http2() {
    let dir = server_dir();
    let server = dir.start();
    let mut stream = connect(&server.addr);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    // An empty SETTINGS frame, and GOAWAY with HTTP_1_1_REQUIRED.
    assert_eq!(answer[..9], [0, 0, 0, 4, 0, 0, 0, 0, 0]);
    assert_eq!(usize::from(answer[11]), answer.len() - 9 - 9);
    assert_eq!((answer[12], &answer[22..26]), (7, &[0, 0, 0, 0x0d][..]));
}

/// The HTTP version and status with which curl was answered; `None` if curl is not installed.
fn curl(args: &[&str]) -> Option<(bool, String)> {
    let output = Command::new("curl")
        .args(["-sS", "-k", "-m", "10", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"])
        .args(args)
        .output()
        .ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

#[test]
fn clients_that_prefer_http2_are_served_with_http_1() {
    let dir = ServerDir::new(&format!("{}{SOURCES}routes: []\n", tls::SERVER));
    tls::install(&dir, tls::ONE);
    let (tls_server, plain_dir) = (dir.start(), server_dir());
    let server = plain_dir.start();
    let (plain, https) =
        (format!("http://{}/health", server.addr), format!("https://{}/health", tls_server.addr));
    for (preference, url) in [("--http2", &plain), ("--http2", &https), ("--http1.1", &https)] {
        let Some(answered) = curl(&[preference, url]) else { return };
        assert_eq!(answered, (true, "1.1 200".to_owned()), "{preference} {url}");
    }
    // A client that insists learns immediately that it may not.
    let Some((served, _)) = curl(&["--http2-prior-knowledge", &plain]) else { return };
    assert!(!served);
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn the_log_names_an_unknown_path_and_the_source_that_was_meant() {
    let dir = server_dir();
    let server = dir.start();
    for path in ["/webhooks/stripe/", "/Webhooks/GitHub", "/api/webhooks/stripe", "/stripe"] {
        let answer = http::send(&server.addr, "POST", path, &[], b"{}").unwrap();
        assert_eq!(answer.status, 404, "{path}");
    }
    let lines = || {
        let log = server.log();
        log.lines().filter(|l| l.contains("unknown path")).map(str::to_owned).collect::<Vec<_>>()
    };
    eventually("four lines", || lines().len() == 4);
    for (line, [path, nearest, differs_by]) in lines().iter().zip([
        ["/webhooks/stripe/", "/webhooks/stripe", "a trailing slash"],
        ["/Webhooks/GitHub", "/webhooks/github", "letter case"],
        ["/api/webhooks/stripe", "/webhooks/stripe", "a prefix that the source does not have"],
        ["/stripe", "/webhooks/stripe", "a missing prefix"],
    ]) {
        for part in [path, nearest, differs_by, "127.0.0.1"] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    for n in 0..300 {
        let answer = http::send(&server.addr, "POST", &format!("/flood/{n}"), &[], b"{}").unwrap();
        assert_eq!(answer.status, 404);
    }
    assert!(lines().len() <= 6, "{:?}", lines());
    assert!(!server.log().contains("UNKNOWN_SOURCE"), "{}", server.log());
}

#[test]
fn an_ambiguous_request_closes_its_connection_or_is_rejected_if_framing_is_strict() {
    let ambiguous = |signed: &crate::sender::Signed, end: &str, extra: &str| {
        let mut request = format!("POST {} HTTP/1.1\r\nhost: x\r\n", signed.target);
        for (name, value) in &signed.headers {
            request.push_str(&format!("{name}: {value}{end}"));
        }
        request.push_str(&format!("content-length: {}\r\n{extra}\r\n", signed.body.len()));
        [request.as_bytes(), &signed.body].concat()
    };
    for is_strict in [false, true] {
        let dir = ServerDir::new(&format!(
            "store: sqlite:events.db\nserver: {{ strict_framing: {is_strict} }}\n{SOURCES}routes: []\n"
        ));
        let server = dir.start();
        let first = paid("evt_bare_lf");
        let twice = format!("content-length: {}\r\n", first.body.len());
        for request in [ambiguous(&first, "\n", ""), ambiguous(&first, "\r\n", &twice)] {
            let mut stream = connect(&server.addr);
            stream
                .write_all(&[&request[..], b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"].concat())
                .unwrap();
            let mut answers = String::new();
            stream.read_to_string(&mut answers).unwrap();
            let status = if is_strict { "HTTP/1.1 400" } else { "HTTP/1.1 200" };
            assert!(answers.starts_with(status), "{answers}");
            assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
            assert!(answers.contains("connection: close"), "{answers}");
        }
        // Clear requests share a connection.
        let mut stream = connect(&server.addr);
        for id in ["evt_1", "evt_2"] {
            stream.write_all(&request_with("", &server, id)).unwrap();
            assert_eq!(http::read(&mut stream).unwrap().status, 200);
        }
    }
}
