//! Behind nginx as Debian ships it: the client's address comes from the proxy, and from nobody else.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use crate::http;
use crate::sender::{Signed, paid};
use crate::server::{ServerDir, eventually};
use crate::sharing::connect_from;

/// The one client that may call.
const ALLOWED_CLIENT: &str = "127.0.0.9";
/// A client that may not.
const OTHER_CLIENT: &str = "127.0.0.8";

/// A private nginx, which ends when it is dropped.
struct Nginx {
    child: Child,
    addr: String,
}

impl Nginx {
    /// Starts nginx in front of a server. `None` where there is no nginx.
    fn start(dir: &ServerDir, upstream: &str) -> Option<Self> {
        if !Command::new("nginx").arg("-v").output().is_ok_and(|o| o.status.success()) {
            let required = std::env::var_os("HOOKWARD_REQUIRE_SERVICES");
            assert!(required.is_none_or(|value| value != "1"), "no nginx");
            println!("SKIP: no nginx");
            return None;
        }
        // The port is free now; nginx binds it next.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let folder = dir.0.path().display();
        dir.write(
            "nginx.conf",
            &format!(
                "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n\
                 events {{ }}\n\
                 http {{\n\
                 access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n\
                 fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n\
                 server {{ listen {free}; client_max_body_size 12m; location / {{\n\
                 proxy_pass http://{upstream}; proxy_set_header Host $host;\n\
                 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
                 }} }} }}\n"
            ),
        );
        let child = Command::new("nginx")
            .args(["-p", &folder.to_string(), "-c", &format!("{folder}/nginx.conf")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self { child, addr: free.to_string() };
        eventually("nginx listens", || std::net::TcpStream::connect(free).is_ok());
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request from an address of the loopback network.
fn post_from(client: &str, addr: &str, signed: &Signed) -> http::Answer {
    use std::io::Write;
    let mut stream = connect_from(client, addr);
    let request = http::encode_request(addr, "POST", &signed.target, &signed.headers, &signed.body);
    stream.write_all(&request).unwrap();
    http::read(&mut stream).unwrap()
}

fn server_dir(server: &str) -> ServerDir {
    ServerDir::new(&format!(
        "store: sqlite:events.db\nserver: {{ {server} }}\nsources:\n  stripe: {{ secrets: [whsec_e2e_stripe], limits: {{ allow_ips: [{ALLOWED_CLIENT}] }} }}\nroutes: []\n"
    ))
}

#[test]
fn a_trusted_nginx_names_the_client_and_a_client_cannot_name_another() {
    let dir = server_dir("trusted_proxies: [127.0.0.1]");
    let server = dir.start();
    let Some(nginx) = Nginx::start(&dir, &server.addr) else { return };
    let allowed = post_from(ALLOWED_CLIENT, &nginx.addr, &paid("evt_1"));
    assert_eq!(allowed.status, 200, "{}", allowed.text());
    assert_eq!(post_from(OTHER_CLIENT, &nginx.addr, &paid("evt_2")).status, 403);
    let forged = paid("evt_3").with("x-forwarded-for", ALLOWED_CLIENT);
    assert_eq!(post_from(OTHER_CLIENT, &nginx.addr, &forged).status, 403);
    // Without the proxy, the word of a client counts for nothing.
    assert_eq!(post_from(OTHER_CLIENT, &server.addr, &forged).status, 403);
    let line = || server.log().contains(&format!("client={OTHER_CLIENT}"));
    eventually("the log names the client and not the proxy", line);
}

#[test]
fn forgeries_through_a_trusted_nginx_do_not_hold_up_other_clients() {
    let dir = server_dir("trusted_proxies: [127.0.0.1]");
    let server = dir.start();
    let Some(nginx) = Nginx::start(&dir, &server.addr) else { return };
    let tag = format!("t={},v1={}", crate::sender::now().as_secs(), "0".repeat(64));
    for n in 0..80 {
        let forged = paid(&format!("evt_forged_{n}")).with("stripe-signature", &tag);
        let answer = post_from(ALLOWED_CLIENT, &nginx.addr, &forged);
        assert!(matches!(answer.status, 401 | 429), "{}", answer.text());
    }
    let genuine = post_from(ALLOWED_CLIENT, &nginx.addr, &paid("evt_genuine"));
    assert_eq!(genuine.status, 200, "{}", genuine.text());
}

#[test]
fn behind_an_untrusted_nginx_every_client_has_the_address_of_the_proxy() {
    let dir = server_dir("trusted_proxies: []");
    let server = dir.start();
    let Some(nginx) = Nginx::start(&dir, &server.addr) else { return };
    assert_eq!(post_from(ALLOWED_CLIENT, &nginx.addr, &paid("evt_1")).status, 403);
    eventually("the log names the proxy", || server.log().contains("client=127.0.0.1"));
}
