//! `allow_ips: provider` and `hookward ranges`, with a server on loopback in the place of the sender.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::sender::paid;
use crate::server::{ServerDir, eventually};

const ROUTES: &str = "store: sqlite:events.db\nserver: { trusted_proxies: [127.0.0.1] }\nsources:\n  stripe: { secrets: [whsec_e2e_stripe], limits: { allow_ips: provider } }\n  github: { secrets: [e2e-github] }\nroutes: []\n";

/// Answers each request with this document; returns its URL.
fn serve_document(document: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/list", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let length = document.len();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(format!("{head}{document}").as_bytes());
        }
    });
    url
}

#[test]
fn only_the_networks_that_the_sender_publishes_may_call() {
    let dir = ServerDir::new(ROUTES);
    let server = dir.start();
    let from =
        |id: &str, client: &str| paid(id).with("x-forwarded-for", client).post(&server.addr).status;
    assert_eq!(from("evt_1", "3.18.12.63"), 200, "an address of the shipped list");
    assert_eq!(from("evt_2", "203.0.113.7"), 403);
    assert_eq!(paid("evt_3").post(&server.addr).status, 403);

    let url = serve_document(r#"{"WEBHOOKS":["203.0.113.7","198.18.0.1"]}"#);
    let mirror = format!("stripe={url}");
    let output = dir.run(&["ranges", "update", "--provider", "stripe", "--mirror", &mirror]);
    assert_eq!(output.status.code(), Some(1), "198.18.0.1 is not a public address");
    assert!(!dir.path("hookward-ranges.json").exists() || !dir_text(&dir).contains("203.0.113.7"));

    let url = serve_document(r#"{"WEBHOOKS":["8.8.4.4"]}"#);
    let mirror = format!("stripe={url}");
    let output = dir.run(&["ranges", "update", "--provider", "stripe", "--mirror", &mirror]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    server.signal("-HUP");
    eventually("the new list is in force", || from("evt_4", "8.8.4.4") == 200);
    assert_eq!(from("evt_5", "3.18.12.63"), 403, "no longer listed");
    let listed = dir.run(&["ranges", "list"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("stripe: 1 networks"));
}

fn dir_text(dir: &ServerDir) -> String {
    std::fs::read_to_string(dir.path("hookward-ranges.json")).unwrap_or_default()
}

#[test]
fn check_reports_unknown_and_warns_of_old_networks() {
    let check = |source: &str, local: Option<&str>| {
        let dir = ServerDir::new(&format!("sources:\n  one: {{ {source} }}\nroutes: []\n"));
        if let Some(local) = local {
            dir.write("hookward-ranges.json", local);
        }
        let output = dir.run(&["check"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, messages) =
        check("provider: slack, secrets: [x], limits: { allow_ips: provider }", None);
    assert_eq!(code, Some(1), "{messages}");
    assert!(messages.contains("no networks are known"), "{messages}");
    let stripe =
        "provider: stripe, secrets: [whsec_x], limits: { allow_ips: [provider, 203.0.113.7] }";
    let (code, messages) = check(stripe, None);
    assert_eq!(code, Some(0), "{messages}");
    let old = r#"{"stripe":{"date":"2020-01-01","source":"https://stripe.com/files/ips/ips_webhooks.json","networks":["3.18.12.63"]}}"#;
    let (code, messages) = check(stripe, Some(old));
    assert_eq!(code, Some(0), "{messages}");
    assert!(messages.contains("the networks of `stripe` are those of 2020-01-01"), "{messages}");
    let (code, messages) = check(stripe, Some("{"));
    assert_eq!(code, Some(1), "{messages}");
    assert!(messages.contains("hookward-ranges.json cannot be used"), "{messages}");
    let (code, messages) =
        check("provider: bitbucket, secrets: [x], limits: { allow_ips: provider }", None);
    assert_eq!(code, Some(1), "{messages}");
    assert!(messages.contains("hookward ranges update --provider bitbucket"), "{messages}");
}
