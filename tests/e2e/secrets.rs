//! No secret and no payload appears where it must not. The test plants a unique text for every kind of secret and
//! personal data, sends it through every path at every log level, and searches all output for it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use data_encoding::{BASE64, HEXLOWER};
use serde_json::json;

use crate::http::{self, Answer};
use crate::sender::{Signed, now, sign_at};
use crate::server::{HOOKWARD, ServerDir, eventually};

/// Variables and their values. They must not appear anywhere, not even in the database.
const SECRETS: &[(&str, &str)] = &[
    ("C_STRIPE", "whsec_0aKanarek7stripe"),
    ("C_STRIPE_OLD", "whsec_1bKanarek7before"),
    ("C_ADMIN", "2cKanarek7admin-token"),
    ("C_FORWARD", "3dKanarek7authorization"),
    ("C_URL", "4eKanarek7in-the-query"),
    ("C_EXEC", "5fKanarek7environment"),
    ("C_TOKEN", "6gKanarek7gitlab-token"),
];
/// Secrets in files, in the configuration and in URLs.
const IN_FILE: &str = "7hKanarek7github-file";
const WRITTEN_OUT: &str = "8iKanarek7written-out";
const STORE_PASSWORD: &str = "9jKanarek7store-password";
const URL_PASSWORD: &str = "AkKanarek7url-password";
const WRONG_TOKEN: &str = "BlKanarek7wrong-token";
/// Secrets that a sender chooses and hands over at set-up.
const HANDED_OVER: &str = "CmKanarek7handed-over";
const TOO_LATE: &str = "DnKanarek7too-late";

/// Personal data: only in the database and in the page of one event.
const PERSONAL: &[&str] =
    &["4111-Pii-1111", "jane.pii@example.org", "Pii-in-a-header", "Pii-in-a-query"];

const ROUTES: &str = r#"
store: sqlite:events.db
admin: { token: "${C_ADMIN}" }
defaults: { retry: { attempts: 2, first_delay: 10ms, max_delay: 20ms }, step_timeout: 5s }
sources:
  stripe:
    secrets: ["${C_STRIPE}", { value: "${C_STRIPE_OLD}", until: 2099-01-01 }]
  github: { secrets: ["${file:github.secret}"], limits: { body: 4KiB } }
  gitlab: { secrets: ["${C_TOKEN}"], limits: { rate: 1/h } }
  asana: { secret_file: asana.secret }
  partner:
    provider: hmac
    secrets: ["8iKanarek7written-out"]
    with: { signature: { in: header, name: X-Sig }, alg: hmac-sha256, message: "{body}" }
routes:
  - name: forward
    events: stripe/payment_intent.succeeded
    chain:
      - log
      - { handler: http_forward, with: { url: "http://127.0.0.1:9/hook?key=${C_URL}", allow_private: true, headers: { authorization: "Bearer ${C_FORWARD}" } } }
  - name: private
    events: stripe/payout.paid
    chain: [{ handler: http_forward, with: { url: "http://127.0.0.1:9/${C_URL}", headers: { x-key: "${C_FORWARD}" } } }]
  - { name: kept, events: stripe/invoice.paid, schema: strict.json, chain: [noop] }
  - { name: rejected, events: stripe/charge.failed, schema: strict.json, on_invalid: reject, chain: [noop] }
  - { name: conditions, events: stripe/**, match: { /data/object/email: [x] }, when: "body.data.object.card > 1", chain: [noop] }
  - { name: fails, events: github/push, chain: [{ handler: exec, with: { command: [sh, -c, "cat > /dev/null; exit 1"], env: { KEY: "${C_EXEC}" } } }] }
  - { name: is-not-there, events: github/issues, chain: [{ handler: exec, with: { command: ["./no-such-program"], env: { KEY: "${C_EXEC}" } } }] }
  - { name: hangs, events: github/ping, chain: [{ handler: exec, timeout: 100ms, with: { command: [sleep, "30"] } }] }
"#;

/// Searches for texts, also in base64 and hexadecimal.
struct Scanner(Vec<(String, Vec<String>)>);

impl Scanner {
    fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let forms = |text: &str| {
            let bytes = text.as_bytes();
            // The end of an encoded text depends on the bytes that follow.
            let coded = BASE64.encode(&bytes[..bytes.len() / 3 * 3]);
            vec![text.to_owned(), HEXLOWER.encode(bytes), coded]
        };
        Self(texts.into_iter().map(|t| (t.to_owned(), forms(t))).collect())
    }

    fn secrets() -> Self {
        let others = [
            IN_FILE,
            WRITTEN_OUT,
            STORE_PASSWORD,
            URL_PASSWORD,
            WRONG_TOKEN,
            HANDED_OVER,
            TOO_LATE,
        ];
        Self::of(SECRETS.iter().map(|(_, value)| *value).chain(others))
    }

    fn personal() -> Self {
        Self::of(PERSONAL.iter().copied())
    }

    /// The texts that the bytes contain.
    fn find(&self, bytes: &[u8]) -> Vec<&str> {
        let holds = |form: &String| bytes.windows(form.len()).any(|w| w == form.as_bytes());
        self.0.iter().filter(|(_, f)| f.iter().any(holds)).map(|(t, _)| t.as_str()).collect()
    }
}

/// All output, with its dir.
#[derive(Default)]
struct Seen(Vec<(String, Vec<u8>)>);

impl Seen {
    fn add(&mut self, origin: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((origin.into(), bytes.into()));
    }

    fn answer(&mut self, origin: &str, answer: &Answer) {
        self.add(origin, [answer.head.as_bytes(), &answer.body].concat());
    }

    fn output(&mut self, origin: &str, output: &Output) {
        self.add(origin, [output.stdout.as_slice(), &output.stderr].concat());
    }

    /// The places where something was found, and what.
    fn hits(&self, scanner: &Scanner) -> Vec<String> {
        let hit = |(origin, bytes): &(String, Vec<u8>)| {
            let found = scanner.find(bytes);
            let shown = String::from_utf8_lossy(bytes);
            (!found.is_empty()).then(|| format!("{found:?} in {origin}:\n{shown}"))
        };
        self.0.iter().filter_map(hit).collect()
    }
}

/// A server whose output goes to files; killed when dropped.
struct Live {
    child: Child,
    folder: PathBuf,
    addr: String,
    admin: String,
}

impl Live {
    fn start(dir: &ServerDir, level: &str) -> Self {
        let folder = dir.0.path().to_owned();
        let file = |name: &str| std::fs::File::create(folder.join(name)).unwrap();
        let child = Command::new(HOOKWARD)
            .args(["serve", "routes.yaml", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .current_dir(&folder)
            .envs(SECRETS.iter().copied())
            .env("RUST_LOG", level)
            .stdout(Stdio::from(file("stdout")))
            .stderr(Stdio::from(file("stderr")))
            .spawn()
            .unwrap();
        let announced_addr = |start: &str| {
            let text = std::fs::read_to_string(folder.join("stdout")).unwrap_or_default();
            text.lines().find_map(|l| l.trim().strip_prefix(start).map(str::to_owned))
        };
        let mut live =
            Self { child, folder: folder.clone(), addr: String::new(), admin: String::new() };
        eventually("it is ready", || announced_addr("admin on http://").is_some());
        live.addr = announced_addr("listening on http://").unwrap();
        live.admin = announced_addr("admin on http://").unwrap();
        live
    }

    fn output_of(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    fn admin(&self, method: &str, target: &str, body: &str) -> Answer {
        let headers = [
            ("authorization".to_owned(), format!("Bearer {}", secret("C_ADMIN"))),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        http::send(&self.admin, method, target, &headers, body.as_bytes()).unwrap()
    }

    fn settled(&self) -> bool {
        self.admin("GET", "/api/v1/stats", "").json()["open"] == 0
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn secret(name: &str) -> &'static str {
    SECRETS.iter().find(|(n, _)| *n == name).unwrap().1
}

fn server_dir() -> ServerDir {
    let dir = ServerDir::new(ROUTES);
    dir.write("github.secret", IN_FILE);
    dir.write("strict.json", r#"{"properties":{"data":{"properties":{"object":{"properties":{"card":{"type":"integer"},"email":{"maxLength":2}}}}}}}"#);
    dir
}

/// A Stripe event that contains all personal data.
fn stripe(id: &str, event_type: &str, key: &str) -> Signed {
    let object = json!({"id": "o_1", "card": PERSONAL[0], "email": PERSONAL[1], "amount": 1});
    let body = json!({"id": id, "type": event_type, "created": 1, "data": {"object": object}});
    signed(hookward_provider_stripe::PLUGINS, "stripe", key, (event_type, id), &body.to_string())
}

fn github(id: &str, event_type: &str) -> Signed {
    let body = json!({"ref": PERSONAL[0], "email": PERSONAL[1]}).to_string();
    signed(hookward_provider_github::PLUGINS, "github", IN_FILE, (event_type, id), &body)
}

fn signed(
    plugins: &[hookward_core::plugin::Plugin],
    source: &str,
    key: &str,
    names: (&str, &str),
    body: &str,
) -> Signed {
    let mut signed = sign_at(plugins, source, key, names, body.as_bytes(), now());
    signed.target = format!("/webhooks/{source}?who={}", PERSONAL[3]);
    signed.with("x-customer", PERSONAL[2]).with("cookie", &format!("session={}", PERSONAL[2]))
}

/// Uses every path through the receiving port.
fn send_everything(live: &Live, seen: &mut Seen) {
    let paid = "payment_intent.succeeded";
    let key = secret("C_STRIPE");
    let first = stripe("evt_1", paid, key);
    let mut stale = stripe("evt_2", paid, key);
    let old = now().minus(std::time::Duration::from_secs(4000));
    stale.headers = sign_at(
        hookward_provider_stripe::PLUGINS,
        "stripe",
        key,
        (paid, "evt_2"),
        &stale.body,
        old,
    )
    .headers;
    let mut changed = first.clone();
    changed.body.push(b' ');
    let broken = format!("{{\"id\":\"evt_3\",\"email\":\"{}", PERSONAL[1]);
    let huge = format!("{{\"email\":\"{}\",\"x\":\"{}\"}}", PERSONAL[1], "x".repeat(8000));
    let plugins = hookward_provider_github::PLUGINS;
    let token = |token: &str| Signed {
        target: format!("/webhooks/gitlab?who={}", PERSONAL[3]),
        headers: vec![
            ("x-gitlab-token".into(), token.into()),
            ("x-gitlab-event".into(), "Push Hook".into()),
        ],
        body: json!({"email": PERSONAL[1], "object_kind": "push"}).to_string().into_bytes(),
    };
    // The log shows the path of such a request, because it is often a mistyped one of ours.
    let elsewhere = Signed { target: format!("/nowhere?t={}", PERSONAL[3]), ..first.clone() };
    let odd = first.clone().with("content-type", "text/Pii-in-a-header");
    let cases = [
        ("accepted", first.clone(), 200),
        ("duplicate", first.clone(), 200),
        ("under the old secret", stripe("evt_4", paid, secret("C_STRIPE_OLD")), 200),
        ("a changed body", changed, 401),
        (
            "a forged signature",
            first.clone().with("stripe-signature", &format!("t=1,v1={}", PERSONAL[2])),
            401,
        ),
        (
            "an odd signature",
            first.clone().with("stripe-signature", &format!("t={},v1=x", PERSONAL[2])),
            401,
        ),
        ("without a signature", first.clone().without("stripe-signature"), 401),
        ("signed with the wrong secret", stripe("evt_5", paid, secret("C_TOKEN")), 401),
        ("stale", stale, 401),
        (
            "malformed",
            signed(hookward_provider_stripe::PLUGINS, "stripe", key, (paid, "evt_3"), &broken),
            0,
        ),
        ("invalid and kept", stripe("evt_6", "invoice.paid", key), 200),
        ("invalid and rejected", stripe("evt_7", "charge.failed", key), 422),
        ("to an address that is not public", stripe("evt_8", "payout.paid", key), 200),
        ("a step that fails", github("gh-1", "push"), 200),
        ("a step that is not there", github("gh-2", "issues"), 200),
        ("a step that hangs", github("gh-3", "ping"), 200),
        ("too large", signed(plugins, "github", IN_FILE, ("push", "gh-4"), &huge), 413),
        ("a token", token(secret("C_TOKEN")), 200),
        ("over the rate", token(secret("C_TOKEN")), 0),
        ("a wrong token", token(WRONG_TOKEN), 401),
        ("no such path", elsewhere, 404),
        ("an odd media type", odd, 0),
    ];
    for (what, request, status) in cases {
        let answer = request.post(&live.addr);
        assert!(status == 0 || answer.status == status, "{what}: {}", answer.text());
        seen.answer(what, &answer);
    }
    for (secret, status) in [(HANDED_OVER, 200), (TOO_LATE, 401)] {
        let headers = vec![("x-hook-secret".to_owned(), secret.to_owned())];
        let target = "/webhooks/asana".to_owned();
        let answer = Signed { target, headers, body: Vec::new() }.post(&live.addr);
        assert_eq!(answer.status, status, "{}", answer.text());
        // The sender expects its token back.
        match status {
            200 => assert_eq!(answer.header("x-hook-secret").as_deref(), Some(secret)),
            _ => seen.answer("a second handshake", &answer),
        }
    }
    let raw = [
        format!("GET /webhooks/stripe?{} HTTP/1.1\r\nhost: h\r\n\r\n", PERSONAL[3]),
        format!("POST /webhooks/stripe HTTP/1.1\r\nhost: h\r\nx {}: 1\r\n\r\n", PERSONAL[2]),
        format!("{} / HTTP/1.1\r\nhost: h\r\n\r\n", PERSONAL[3]),
        format!("POST /{} HTTP/9.9\r\n\r\n", PERSONAL[3]),
    ];
    for bytes in raw {
        if let Ok(answer) = http::raw(&live.addr, bytes.as_bytes()) {
            seen.answer("a malformed request", &answer);
        }
    }
}

/// Reads every page of both ports except the pages of single events.
fn read_every_page(live: &Live, seen: &mut Seen) {
    for target in [
        "/metrics",
        "/openapi.json",
        "/livez",
        "/readyz",
        "/api/v1/events?limit=500",
        "/api/v1/dead",
        "/api/v1/sources",
        "/api/v1/routes",
        "/api/v1/plugins",
        "/api/v1/stats",
        "/api/v1/events?status=odd",
        "/api/v1/events/nobody",
        "/nowhere",
    ] {
        seen.answer(target, &live.admin("GET", target, ""));
    }
    for (target, body) in [
        ("/api/v1/replay", r#"{"status":"dead","dryRun":true}"#),
        ("/api/v1/replay", "nonsense"),
        ("/api/v1/events/gh-1/replay", r#"{"route":"nobody"}"#),
        ("/api/v1/events/gh-1/replay", ""),
    ] {
        seen.answer(target, &live.admin("POST", target, body));
    }
    for token in ["", WRONG_TOKEN] {
        let headers = [("authorization".to_owned(), format!("Bearer {token}"))];
        let target = format!("/api/v1/events?token={}", secret("C_ADMIN"));
        let answer = http::send(&live.admin, "GET", &target, &headers, b"").unwrap();
        assert_eq!(answer.status, 401);
        seen.answer("a wrong admin token", &answer);
    }
    for target in ["/health", "/", "/webhooks/stripe"] {
        seen.answer(target, &http::send(&live.addr, "GET", target, &[], b"").unwrap());
    }
}

/// Invalid files, each with a secret in a wrong dir.
fn wrong_files() -> Vec<String> {
    let with = |from: &str, to: &str| {
        assert!(ROUTES.contains(from), "{from}");
        ROUTES.replacen(from, to, 1)
    };
    vec![
        with("rate: 1/h", "rate: \"${C_STRIPE}\""),
        with("provider: hmac", "provider: \"${C_STRIPE}\""),
        with("\"8iKanarek7written-out\"", "{ value: 8iKanarek7written-out, util: 2099-01-01 }"),
        with("\"8iKanarek7written-out\"", "8iKanarek7written-out, \"${C_NOT_SET}\""),
        with("secrets: [\"8iKanarek7written-out\"]", "secrets: 8iKanarek7written-out"),
        with("secrets: [\"8iKanarek7written-out\"]", "secrets: [\"8iKanarek7written-out]"),
        with("secrets: [\"8iKanarek7written-out\"]", "secret: [\"8iKanarek7written-out\"]"),
        with("admin: {", "admin: { listen: \"${C_ADMIN}\","),
        with("events: stripe/payout.paid", "events: \"${C_EXEC}\""),
        with("http://127.0.0.1:9/${C_URL}", "http://u:${C_URL}@127.0.0.1:9/"),
        with("http://127.0.0.1:9/${C_URL}", "http://u:AkKanarek7url-password@127.0.0.1:9/"),
        with("http://127.0.0.1:9/${C_URL}", "ftp://u:AkKanarek7url-password@127.0.0.1:9/"),
        with("x-key: \"${C_FORWARD}\"", "\"x key\": \"${C_FORWARD}\""),
        with("sqlite:events.db", "\"postgres:/u:9jKanarek7store-password@db/hooks\""),
        with("sqlite:events.db", "\"postgress://u:9jKanarek7store-password@db/hooks\""),
        with(
            "sqlite:events.db",
            "\"mongo://u:9jKanarek7store-password@db/hooks?password=9jKanarek7store-password\"",
        ),
        with("    secrets: [\"8i", "  secrets: [\"8i"),
        with("signature: {", "signature: { sort: 1,"),
    ]
}

fn run(dir: &ServerDir, args: &[&str]) -> Output {
    Command::new(HOOKWARD)
        .args(args)
        .current_dir(dir.0.path())
        .envs(SECRETS.iter().copied())
        .env("RUST_LOG", "trace")
        .output()
        .unwrap()
}

#[test]
fn a_server_reveals_no_secret_and_no_payload_at_any_log_level() {
    for level in ["info", "trace"] {
        let dir = server_dir();
        let live = Live::start(&dir, level);
        let mut seen = Seen::default();
        send_everything(&live, &mut seen);
        eventually("all is settled", || live.settled());
        read_every_page(&live, &mut seen);
        eventually("all is settled again", || live.settled());

        for (n, wrong) in wrong_files().iter().enumerate() {
            dir.write("routes.yaml", wrong);
            live.signal("-HUP");
            let logged = || live.output_of("stderr").matches("reload failed").count() > n;
            eventually("the mistake is logged", logged);
            seen.answer("after a reload", &live.admin("GET", "/api/v1/stats", ""));
        }
        let event = live.admin("GET", "/api/v1/events/evt_1", "");
        live.signal("-TERM");
        let mut live = live;
        assert_eq!(live.child.wait().unwrap().code(), Some(0));
        let (stdout, stderr) = (live.output_of("stdout"), live.output_of("stderr"));
        assert!(stderr.lines().count() > 20, "it logged: {stderr}");
        seen.add(format!("stdout at {level}"), stdout);
        seen.add(format!("stderr at {level}"), stderr);

        let personal = seen.hits(&Scanner::personal());
        assert!(personal.is_empty(), "{}", personal.join("\n"));
        seen.answer("one event", &event);
        for name in ["events.db", "events.db-wal"] {
            let file = dir.path(name);
            seen.add(name, std::fs::read(file).unwrap_or_default());
        }
        let secrets = seen.hits(&Scanner::secrets());
        assert!(secrets.is_empty(), "{}", secrets.join("\n"));

        // The scanner works: it finds payload where it belongs, and a planted secret.
        assert_eq!(Scanner::personal().find(&event.body), &PERSONAL[..2]);
        let database = std::fs::read(dir.path("events.db")).unwrap();
        assert_eq!(Scanner::personal().find(&database), &PERSONAL[..2]);
    }
}

#[test]
fn the_scanner_finds_a_planted_secret() {
    let dir = server_dir();
    let live = Live::start(&dir, "info");
    let planted = BASE64.encode(format!("xyz{}", secret("C_EXEC")).as_bytes());
    let body = json!({"id": "evt_1", "type": "x", "plain": secret("C_URL"), "coded": planted});
    let plugins = hookward_provider_stripe::PLUGINS;
    let key = secret("C_STRIPE");
    let request = signed(plugins, "stripe", key, ("x", "evt_1"), &body.to_string());
    assert_eq!(request.post(&live.addr).status, 200);
    let mut seen = Seen::default();
    seen.answer("one event", &live.admin("GET", "/api/v1/events/evt_1", ""));
    seen.answer("the list", &live.admin("GET", "/api/v1/events", ""));
    let hits = seen.hits(&Scanner::secrets());
    assert_eq!(hits.len(), 1, "{hits:?}");
    assert!(hits[0].contains(secret("C_URL")) && hits[0].contains(secret("C_EXEC")));
}

#[test]
fn the_commands_reveal_no_secret() {
    let dir = server_dir();
    let mut seen = Seen::default();
    for args in
        [&["check"][..], &["check", "--live"], &["routes"], &["routes", "--json"], &["plugins"]]
    {
        seen.output(&args.join(" "), &run(&dir, args));
    }
    dir.write(
        "event.json",
        &json!({"id": "e", "data": {"object": {"card": PERSONAL[0]}}}).to_string(),
    );
    let source = ["--source", "stripe", "--type", "payout.paid"];
    seen.output(
        "explain",
        &run(&dir, &[&["explain"], &source[..], &["--data", "event.json"]].concat()),
    );
    let sent = run(&dir, &["send", "stripe", "payout.paid", "--to", "http://127.0.0.1:9"]);
    assert!(!sent.status.success());
    seen.output("send", &sent);
    let printed = run(&dir, &["send", "stripe", "payout.paid", "--print"]);
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    seen.output("send --print", &printed);
    std::fs::write(dir.path("one.http"), &printed.stdout).unwrap();
    for (provider, secret) in [
        ("stripe", secret("C_STRIPE")),
        ("stripe", IN_FILE),
        ("github", WRITTEN_OUT),
        ("standard_webhooks", WRITTEN_OUT),
        ("nobody", WRITTEN_OUT),
    ] {
        let args = ["verify", "--provider", provider, "--secret", secret, "one.http"];
        seen.output("verify", &run(&dir, &args));
        seen.output("verify --json", &run(&dir, &[&args[..], &["--json"]].concat()));
    }
    seen.output("events list", &run(&dir, &["events", "list", "--admin", "http://127.0.0.1:9"]));
    for (n, wrong) in wrong_files().iter().enumerate() {
        dir.write("routes.yaml", wrong);
        for command in ["check", "routes", "serve"] {
            let output = run(&dir, &[command]);
            assert!(!output.status.success(), "{command} of wrong file {n}");
            seen.output(&format!("{command} of wrong file {n}"), &output);
        }
    }
    let hits = seen.hits(&Scanner::secrets());
    assert!(hits.is_empty(), "{} hits:\n{}", hits.len(), hits.join("\n"));
}

#[test]
fn a_store_error_does_not_show_the_password() {
    let dir = server_dir();
    let broken = Path::new("nowhere").join("events.db");
    dir.write("routes.yaml", &ROUTES.replace("events.db", &broken.display().to_string()));
    let mut seen = Seen::default();
    let output = run(&dir, &["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(70));
    seen.output("serve", &output);
    assert_eq!(seen.hits(&Scanner::secrets()), [""; 0]);
}
