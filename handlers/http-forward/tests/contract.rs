//! Runs the conformance suite of `handler: http_forward` and tests its promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/sink.rs"]
mod sink;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use hookward_core::plugin::{BuildCx, BuildError, Plugin};
use hookward_core::{Clock, Event, Flow, Handler, HandlerError, RetryDecision, SystemClock};
use hookward_testkit::handler::{cx, sample_event, sample_parts};
use serde_json::{Value, json};

use crate::sink::{Answer, Seen, Sink};

hookward_testkit::handler_suite!(
    hookward_handler_http_forward::PLUGINS,
    "http_forward",
    json!({
        "url": Sink::start(Answer::status(200, "", "")).url("/events"),
        "headers": { "authorization": "Bearer hunter2-hunter2" },
        "allow_private": true,
    })
);

fn try_build(with: Value) -> Result<Arc<dyn Handler>, BuildError> {
    let Plugin::Handler(forward) = hookward_handler_http_forward::PLUGINS[0] else {
        panic!("not a handler")
    };
    (forward.build)(with, &BuildCx::new(Path::new("."), "http_forward"))
}

fn to(url: String) -> Arc<dyn Handler> {
    try_build(json!({ "url": url, "allow_private": true })).unwrap()
}

async fn forward(handler: &Arc<dyn Handler>, event: &Event) -> Result<Flow, HandlerError> {
    handler.handle(event.clone(), &cx(event)).await
}

/// Returns the result of a step whose receiver gives this answer.
async fn outcome(answer: Answer) -> Result<Flow, HandlerError> {
    forward(&to(Sink::start(answer).url("/in?key=k3y")), &sample_event("order.paid", "{}")).await
}

async fn sent(with: Value, event: &Event) -> Seen {
    let sink = Sink::start(Answer::status(204, "", ""));
    let mut with = with;
    with["url"] = sink.url("/in?key=k3y").into();
    with["allow_private"] = true.into();
    forward(&try_build(with).unwrap(), event).await.unwrap();
    sink.seen().remove(0)
}

#[tokio::test]
async fn the_raw_body_and_the_default_headers_are_sent() {
    let event = sample_event("order.paid", "{ \"n\": 1.0 }\n");
    let sink = Sink::start(Answer::status(200, "", "ok"));
    let cx = cx(&event).with_attempt(3);
    to(sink.url("/in?key=k3y")).handle(event.clone(), &cx).await.unwrap();
    let seen = sink.seen().remove(0);
    assert_eq!(seen.line, "POST /in?key=k3y HTTP/1.1");
    assert_eq!(seen.body, b"{ \"n\": 1.0 }\n");
    let id = event.id().to_string();
    for (name, value) in [
        ("content-type", "application/json"),
        ("user-agent", concat!("hookward/", env!("CARGO_PKG_VERSION"))),
        ("x-hookward-event-id", id.as_str()),
        ("x-hookward-event-type", "order.paid"),
        ("x-hookward-source", "partner"),
        ("x-hookward-attempt", "3"),
        ("idempotency-key", &format!("{id}:sample")),
        ("host", &format!("127.0.0.1:{}", sink.port)),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    let own = format!("00-{}-", id.replace('-', ""));
    assert!(seen.header("traceparent").unwrap().starts_with(&own), "{seen:?}");
}

#[tokio::test]
async fn a_valid_trace_of_the_sender_continues_and_an_invalid_one_is_replaced() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traced = |header: String| {
        let headers = Arc::from([("traceparent".to_owned(), header)]);
        Event::new(sample_parts("order.paid", "{}").with_headers(headers))
    };
    let seen = sent(json!({}), &traced(format!("00-{trace}-b7ad6b7169203331-00"))).await;
    let continued: Vec<_> = seen.header("traceparent").unwrap().split('-').collect();
    assert_eq!((continued[1], continued[3]), (trace, "00"));
    assert_ne!(continued[2], "b7ad6b7169203331", "the span is our own");
    let zero = "0".repeat(32);
    for invalid in
        [format!("00-{zero}-b7ad6b7169203331-00"), format!("00-{trace}-x-00"), "x".into()]
    {
        let seen = sent(json!({}), &traced(invalid)).await;
        assert!(!seen.header("traceparent").unwrap().contains(trace));
        assert_eq!(seen.header("content-type"), Some("application/octet-stream"));
    }
}

#[tokio::test]
async fn configured_headers_and_method_replace_the_defaults() {
    let with =
        json!({ "method": "PUT", "headers": { "X-Team": "blue", "Content-Type": "text/plain" } });
    let seen = sent(with, &sample_event("order.paid", "{}")).await;
    assert!(seen.line.starts_with("PUT /in"));
    assert_eq!(seen.header("x-team"), Some("blue"));
    assert_eq!(seen.header("content-type"), Some("text/plain"));
}

#[tokio::test]
async fn body_event_sends_the_json_of_the_file_handler() {
    let seen = sent(json!({ "body": "event" }), &sample_event("order.paid", "a=1")).await;
    let line: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!((&line["bodyText"], &line["route"]), (&json!("a=1"), &json!("sample")));
    assert_eq!(seen.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn an_event_type_is_percent_encoded_and_a_missing_one_is_omitted() {
    let seen = sent(json!({}), &sample_event("größe 5%\r\nx: y", "{}")).await;
    let encoded = "gr%C3%B6%C3%9Fe%205%25%0D%0Ax:%20y";
    assert_eq!(seen.header("x-hookward-event-type"), Some(encoded));
    let untyped = Event::new(sample_parts("", "{}").with_event_type(None));
    assert_eq!(sent(json!({}), &untyped).await.header("x-hookward-event-type"), None);
}

#[tokio::test]
async fn the_status_decides_between_done_retry_and_dead() {
    for status in [200, 201, 202, 204, 299] {
        outcome(Answer::status(status, "", "")).await.unwrap();
    }
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        let error = outcome(Answer::status(status, "", "")).await.unwrap_err();
        assert_eq!(error.retry_decision(), RetryDecision::Retry, "{status}");
    }
    for status in [400, 401, 403, 404, 409, 410, 413, 422, 499] {
        let error = outcome(Answer::status(status, "", "")).await.unwrap_err();
        assert_eq!(error.retry_decision(), RetryDecision::Fatal, "{status}");
        assert_eq!(error.message(), format!("the receiver answered {status}"));
    }
}

#[tokio::test]
async fn retry_after_is_honoured_up_to_an_hour() {
    let date = |secs: i64| {
        let at = SystemClock.now().as_secs() + secs;
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at.try_into().unwrap()))
    };
    for (value, secs) in [
        ("7".to_owned(), Some(7..=7)),
        ("0".to_owned(), Some(0..=0)),
        ("86400".to_owned(), Some(3600..=3600)),
        ("99999999999999999999999".to_owned(), Some(3600..=3600)),
        (date(30), Some(25..=30)),
        (date(-30), Some(0..=0)),
        (date(86_400), Some(3600..=3600)),
        ("soon".to_owned(), None),
        ("-1".to_owned(), None),
    ] {
        let headers = format!("retry-after: {value}\r\n");
        let retry_decision =
            outcome(Answer::status(503, &headers, "")).await.unwrap_err().retry_decision();
        match (retry_decision, secs) {
            (RetryDecision::RetryAfter(wait), Some(secs)) => {
                assert!(secs.contains(&wait.as_secs()), "{value}: {wait:?}");
            }
            (RetryDecision::Retry, None) => {}
            other => panic!("{value}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Sink::start(Answer::status(200, "", ""));
    for status in [301, 302, 303, 307, 308] {
        let headers = format!("location: {}\r\n", elsewhere.url("/"));
        let error = outcome(Answer::status(status, &headers, "")).await.unwrap_err();
        assert_eq!(error.retry_decision(), RetryDecision::Fatal);
        assert!(error.message().contains("redirects are not followed"), "{error:?}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn connection_failures_are_retried() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unsolicited = |text: &str| Sink::start(Answer::Unsolicited(text.as_bytes().to_vec()));
    let event = sample_event("order.paid", "x".repeat(200_000));
    for (what, url) in [
        ("reset", Sink::start(Answer::Reset).url("/k3y")),
        ("not HTTP", unsolicited("SSH-2.0-x\r\n\r\n").url("/k3y")),
        ("cut off", unsolicited("HTTP/1.1 20").url("/k3y")),
        ("no TLS", unsolicited("HTTP/1.1 400 X\r\n\r\n").url("/k3y").replace("http:", "https:")),
        ("nobody there", format!("http://{closed}/k3y")),
        ("no such name", "http://no-such-name.invalid/k3y".to_owned()),
    ] {
        let error = forward(&to(url), &event).await.expect_err(what);
        assert_eq!(error.retry_decision(), RetryDecision::Retry, "{what}: {error:?}");
        assert!(!error.message().contains("k3y"), "{what}: {error:?}");
    }
}

#[tokio::test]
async fn errors_do_not_contain_the_response() {
    let error = outcome(Answer::status(400, "x-internal: s3cret\r\n", "s3cret")).await.unwrap_err();
    assert_eq!(error.message(), "the receiver answered 400");
}

#[tokio::test]
async fn a_dropped_step_closes_its_connection() {
    let sink = Sink::start(Answer::Silence);
    let (handler, event) = (to(sink.url("/")), sample_event("order.paid", "{}"));
    let step = tokio::time::timeout(Duration::from_millis(300), forward(&handler, &event));
    assert!(step.await.is_err(), "the step waits for a response");
    for _ in 0..100 {
        if sink.closed_connections() == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the connection is still open");
}

#[tokio::test]
async fn a_connection_is_reused_unless_the_response_is_too_long() {
    for (len, connections) in [(10_000, 1), (5_000_000, 3)] {
        let sink = Sink::start(Answer::status(200, "", &"x".repeat(len)));
        let (handler, event) = (to(sink.url("/")), sample_event("order.paid", "{}"));
        for _ in 0..3 {
            forward(&handler, &event).await.unwrap();
            // The pool takes a connection back in a separate task.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(sink.connections(), connections, "{len}: {:?}", sink.seen());
    }
}

#[tokio::test]
async fn private_targets_are_never_connected_to_in_any_spelling() {
    let sink = Sink::start(Answer::status(200, "", ""));
    let event = sample_event("order.paid", "{}");
    let mut tried = 0;
    let targets = include_str!("private-targets.txt").lines();
    for target in targets.filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let url = target.replace("{port}", &sink.port.to_string());
        let handler = try_build(json!({ "url": url })).unwrap();
        let forwarding = forward(&handler, &event);
        let result = tokio::time::timeout(Duration::from_secs(2), forwarding).await;
        let error = result.unwrap_or_else(|_| panic!("{url} is being connected to")).unwrap_err();
        assert_eq!(error.retry_decision(), RetryDecision::Fatal, "{url}: {error:?}");
        assert!(error.message().contains("allow_private"), "{url}: {error:?}");
        assert!(handler.probe().await.unwrap_err().message.contains("allow_private"), "{url}");
        tried += 1;
    }
    assert!(tried >= 60, "{tried}");
    assert_eq!(sink.connections(), 0);
}

#[test]
fn the_neighbours_of_private_ranges_are_public() {
    let addresses = include_str!("public-addresses.txt").lines();
    for address in addresses.filter(|l| !l.starts_with('#')) {
        let ip: IpAddr = address.parse().unwrap();
        assert!(hookward_core::is_public_address(ip), "{ip}");
    }
}

#[tokio::test]
async fn the_probe_connects_and_sends_nothing() {
    let sink = Sink::start(Answer::status(200, "", ""));
    to(sink.url("/")).probe().await.unwrap();
    assert!(sink.seen().is_empty());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(
        to(format!("http://{closed}/"))
            .probe()
            .await
            .unwrap_err()
            .message
            .contains("no connection")
    );
}

#[test]
fn invalid_urls_and_headers_are_config_errors_at_their_key() {
    for url in [
        "",
        "/orders",
        "example.com/orders",
        "ftp://example.com/",
        "file:///etc/passwd",
        "unix:/run/docker.sock",
        "http://",
        "http://user@example.com/",
        "http://user:k3y@example.com/",
        "http://exa mple.com/",
        "http://example.com:99999/",
        "http://[::1/",
    ] {
        let error = try_build(json!({ "url": url })).unwrap_err();
        assert_eq!(error.at, "/url", "{url}");
        assert!(!format!("{error:?}").contains("k3y"), "{error:?}");
    }
    for name in [
        "Host",
        "connection",
        "Keep-Alive",
        "Transfer-Encoding",
        "content-length",
        "TE",
        "Trailer",
        "upgrade",
        "Expect",
        "Proxy-Authorization",
        "proxy-connection",
        "not a name",
        "",
    ] {
        let with = json!({ "url": "https://example.com/", "headers": { name: "x" } });
        assert_eq!(try_build(with).unwrap_err().at, format!("/headers/{name}"));
    }
    let split = json!({ "url": "https://example.com/", "headers": { "x-a": "k3y\r\nx-b: c" } });
    let error = try_build(split).unwrap_err();
    assert!(error.at == "/headers/x-a" && !error.message.contains("k3y"), "{error:?}");
    assert!(try_build(json!({ "url": "https://example.com/", "method": "CONNECT" })).is_err());
}

#[test]
fn debug_shows_neither_path_nor_query_nor_header_values() {
    let with = json!({
        "url": "https://hooks.example.com/T0/k3y?token=k3y",
        "headers": { "authorization": "Bearer k3y" }
    });
    let shown = format!("{:?}", try_build(with).unwrap());
    assert!(shown.contains("https://hooks.example.com") && !shown.contains("k3y"), "{shown}");
}

/// An event with headers of every kind.
fn event_with_headers() -> Event {
    let headers = [
        ("connection", "close"),
        ("content-type", "application/json"),
        ("forwarded", "for=127.0.0.1"),
        ("host", "elsewhere.example"),
        ("idempotency-key", "theirs"),
        ("transfer-encoding", "chunked"),
        ("user-agent", "Shopify-Captain-Hook"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-hookward-attempt", "99"),
        ("x-shopify-shop-domain", "orchard.myshopify.com"),
        ("x-team", "red"),
    ];
    let owned = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Event::new(sample_parts("order.paid", "{}").with_headers(Arc::from(owned)))
}

#[tokio::test]
async fn kept_headers_are_sent_with_a_prefix_by_default() {
    let seen = sent(json!({}), &event_with_headers()).await;
    let prefixed = |name: &str| seen.header(&format!("x-hookward-source-header-{name}"));
    assert_eq!(prefixed("x-shopify-shop-domain"), Some("orchard.myshopify.com"));
    assert_eq!(prefixed("user-agent"), Some("Shopify-Captain-Hook"));
    assert_eq!(prefixed("x-hookward-attempt"), Some("99"));
    assert_eq!(prefixed("content-type"), None, "it is sent as Content-Type");
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("x-hookward-attempt"), Some("1"));
    assert_eq!(seen.header("x-shopify-shop-domain"), None);
}

#[tokio::test]
async fn kept_headers_sent_unchanged_replace_no_header_of_the_handler_or_the_connection() {
    let with = json!({ "source_headers": "unchanged", "headers": { "X-Team": "blue" } });
    let event = event_with_headers();
    let seen = sent(with, &event).await;
    assert_eq!(seen.header("x-shopify-shop-domain"), Some("orchard.myshopify.com"));
    assert_eq!(seen.header("x-team"), Some("blue"), "the step's own header wins");
    assert_eq!(seen.header("x-hookward-attempt"), Some("1"));
    assert_eq!(seen.header("idempotency-key"), Some(format!("{}:sample", event.id()).as_str()));
    assert!(seen.header("user-agent").unwrap().starts_with("hookward/"));
    assert!(seen.header("host").unwrap().starts_with("127.0.0.1:"));
    for name in ["connection", "transfer-encoding", "forwarded", "x-forwarded-for"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn kept_headers_are_not_sent_where_the_step_says_none() {
    let seen = sent(json!({ "source_headers": "none" }), &event_with_headers()).await;
    assert_eq!(seen.header("x-hookward-source-header-x-shopify-shop-domain"), None);
    assert_eq!(seen.header("x-shopify-shop-domain"), None);
}
