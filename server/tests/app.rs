//! Hookward inside an app: every form of handler function, the app's own routes and server beside
//! it, the errors of a failed start, and the JSON errors of both ports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::future::IntoFuture;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use hookward::{
    App, AppError, BuildAppError, Event, Flow, HandlerCx, HandlerError, Hooks, Payload,
};
use hookward_core::store::{EventDetail, EventFilter, EventStatus, JobState};
use hookward_core::{Body, plugin::Plugin};
use hookward_testkit::handler::Recorder;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PLUGINS: &[&[Plugin]] = &[hookward_provider_none::PLUGINS, hookward_store_sqlite::PLUGINS];

/// A routes.yaml with the source `hooks` and one route with this chain.
fn routes_yaml(chain: &str) -> String {
    format!(
        "store: 'memory:'\n\
         sources: {{ hooks: {{ provider: none, with: {{ event_type: /type }} }} }}\n\
         routes:\n\
         - {{ name: all, events: hooks/**, retry: {{ first_delay: 0s }}, chain: {chain} }}\n"
    )
}

fn write_routes(routes: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.yaml");
    std::fs::write(&file, routes).unwrap();
    (folder, file)
}

fn app(routes: &str) -> (TempDir, App) {
    let (folder, file) = write_routes(routes);
    (folder, App::with_plugins(file, PLUGINS).unwrap())
}

#[derive(Debug, serde::Deserialize)]
struct Order {
    id: u64,
}

/// Records what handlers saw, in order.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn record(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Serves a router on a free port with axum's own server; returns the address.
async fn serve_with_axum(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

async fn call(address: &str, method: &str, target: &str, body: &str) -> (u16, String) {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Builds the app, posts one event, and returns it once it is settled.
async fn run_event(app: App, body: Value) -> EventDetail {
    let hooks = app.build().await.unwrap();
    let address = serve_with_axum(hooks.router()).await;
    let (status, answer) = call(&address, "POST", "/webhooks/hooks", &body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    let detail = wait_until_settled(&hooks).await;
    hooks.stop().await;
    detail
}

/// Waits until no job of the newest event is pending, and returns it.
async fn wait_until_settled(hooks: &Hooks) -> EventDetail {
    let store = hooks.store().clone();
    let browse = store.browse().unwrap();
    for _ in 0..1000 {
        let page = browse.list(&EventFilter::default(), 1, None).await.unwrap();
        if let Some(event) = page.events.first().filter(|e| e.status != EventStatus::Pending) {
            return browse.show(event.id).await.unwrap().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the event is not settled after ten seconds");
}

fn order_paid() -> Value {
    json!({"type": "order.paid", "id": 7})
}

async fn record_payload(
    seen: Seen,
    order: Payload<Order>,
    _: HandlerCx,
) -> Result<(), HandlerError> {
    seen.record(format!("{} of {}", order.id, order.event().event_type().unwrap()));
    Ok(())
}

async fn record_event(seen: Seen, event: Event, cx: HandlerCx) -> Result<Flow, HandlerError> {
    seen.record(format!("{} at {}", event.source(), cx.step));
    Ok(Flow::Next)
}

async fn expect_order_7(order: Payload<Order>, _: HandlerCx) -> Result<(), HandlerError> {
    if order.into_inner().id == 7 { Ok(()) } else { Err(HandlerError::fatal("not the order sent")) }
}

#[tokio::test]
async fn every_form_of_function_and_closure_is_a_handler() {
    let seen = Seen::default();
    let (captured, recorder) = (seen.clone(), Recorder::new());
    let (_folder, app) = app(&routes_yaml("[one, two, three, four, five, six]"));
    let app = app
        .handler("one", expect_order_7)
        .handler("two", (seen.clone(), record_payload))
        .handler("three", (seen.clone(), record_event))
        .handler("four", move |order: Payload<Order>, _: HandlerCx| {
            captured.record(format!("captured {}", order.id));
            async { Ok(()) }
        })
        .handler("five", |event: Event, _: HandlerCx| async move {
            event.json()?;
            Ok::<_, HandlerError>(())
        })
        .handler_value("six", Arc::new(recorder.clone()));
    let detail = run_event(app, order_paid()).await;
    assert_eq!(detail.summary.status, EventStatus::Done, "{:?}", detail.jobs);
    assert_eq!(seen.all(), ["7 of order.paid", "hooks at three", "captured 7"]);
    assert_eq!(recorder.runs().len(), 1);
}

#[tokio::test]
async fn a_flow_replaces_the_event_for_later_steps_or_stops_the_chain() {
    let seen = Seen::default();
    let (_folder, app) = app(&routes_yaml("[replace, two, stop, never]"));
    let app = app
        .handler("replace", |event: Event, _: HandlerCx| async move {
            Ok::<_, HandlerError>(Flow::Replace(event.with_body(Body::from_json(json!({"id": 8})))))
        })
        .handler("two", (seen.clone(), record_payload))
        .handler("stop", |_: Event, _: HandlerCx| async {
            Ok::<_, HandlerError>(Flow::Stop { reason: "enough".to_owned() })
        })
        .handler("never", (seen.clone(), record_event));
    let detail = run_event(app, order_paid()).await;
    assert_eq!(seen.all(), ["8 of order.paid"]);
    let last = detail.jobs[0].attempts.last().unwrap();
    assert_eq!((last.outcome.as_str(), last.error.as_deref()), ("stopped", Some("enough")));
}

#[tokio::test]
async fn an_error_by_question_mark_is_retried_with_the_same_idempotency_key() {
    let seen = Seen::default();
    let (_folder, app) = app(&routes_yaml("[flaky]"));
    let flaky = |seen: Seen, _: Event, cx: HandlerCx| async move {
        seen.record(cx.idempotency_key());
        if cx.attempt < 3 {
            "x".parse::<u8>()?;
        }
        Ok::<_, HandlerError>(())
    };
    let detail = run_event(app.handler("flaky", (seen.clone(), flaky)), order_paid()).await;
    assert_eq!((detail.jobs[0].state, detail.jobs[0].attempt), (JobState::Done, 3));
    let key = format!("{}:all", detail.summary.id);
    assert_eq!(seen.all(), [key.clone(), key.clone(), key]);
}

#[tokio::test]
async fn a_body_of_the_wrong_type_is_dead_after_one_attempt_and_not_quoted() {
    let bodies = [
        (json!({"type": "x"}), "`id` is missing"),
        (json!({"type": "x", "id": "4111-secret"}), "u64 is expected"),
    ];
    for (body, expected) in bodies {
        let (_folder, app) = app(&routes_yaml("[one]"));
        let detail = run_event(app.handler("one", expect_order_7), body).await;
        let job = &detail.jobs[0];
        let reason = job.reason.as_deref().unwrap();
        assert_eq!((job.state, job.attempt), (JobState::Dead, 1));
        assert!(reason.contains("Order") && reason.contains(expected), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
    }
}

#[tokio::test]
async fn the_apps_own_pages_and_fallback_are_served_beside_the_webhooks() {
    let (_folder, app) = app(&routes_yaml("[one]"));
    let hooks = app.handler("one", expect_order_7).build().await.unwrap();
    let own = Router::new()
        .route("/", get(|| async { "home" }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such page") });
    let address = serve_with_axum(own.merge(hooks.router())).await;
    assert_eq!(call(&address, "GET", "/", "").await, (200, "home".to_owned()));
    assert_eq!(call(&address, "GET", "/nowhere", "").await, (404, "no such page".to_owned()));
    assert_eq!(call(&address, "GET", "/health", "").await.0, 200);
    let (status, answer) = call(&address, "POST", "/webhooks/nobody", "{}").await;
    assert!(status == 404 && answer.contains("UNKNOWN_SOURCE"), "{status} {answer}");
    let body = order_paid().to_string();
    assert_eq!(call(&address, "POST", "/webhooks/hooks", &body).await.0, 200);
    assert_eq!(wait_until_settled(&hooks).await.summary.status, EventStatus::Done);
    hooks.stop().await;
    assert_eq!(call(&address, "POST", "/webhooks/hooks", &body).await.0, 503);
}

/// `hookward-provider-none` is linked into this test and must stay unknown to the first app.
#[test]
fn with_plugins_ignores_other_linked_plugins() {
    let (_folder, file) = write_routes(&routes_yaml("[one]"));
    let app = App::with_plugins(&file, &[]).unwrap().handler("one", expect_order_7);
    assert_eq!(app.registry().names("store"), ["memory"]);
    let mistakes = app.check().unwrap_err().to_string();
    assert!(mistakes.contains("`none`"), "{mistakes}");
    let app = App::from_file(&file).unwrap().handler("one", expect_order_7);
    assert!(app.check().is_ok());
}

#[test]
fn a_plugin_listed_twice_is_an_error_that_names_its_crate() {
    let twice = [hookward_provider_none::PLUGINS, hookward_provider_none::PLUGINS];
    let error = App::with_plugins("routes.yaml", &twice).unwrap_err();
    assert!(matches!(error, AppError::Plugins(_)), "{error:?}");
    assert!(error.to_string().contains("hookward-provider-none"), "{error}");
}

#[tokio::test]
async fn an_unknown_handler_name_fails_check_and_build_and_suggests_the_nearest() {
    let (_folder, app) = app(&routes_yaml("[fulfil_oder]"));
    let app = app.handler("fulfil_order", expect_order_7);
    let checked = app.check().unwrap_err().to_string();
    assert!(checked.contains("did you mean `fulfil_order`?"), "{checked}");
    match app.build().await.unwrap_err() {
        BuildAppError::Config(mistakes) => assert_eq!(mistakes.to_string(), checked),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_handler_function_accepts_no_with_block() {
    let (_folder, app) = app(&routes_yaml("[{ handler: one, with: { at: /data } }]"));
    let mistakes = app.handler("one", expect_order_7).check().unwrap_err().to_string();
    assert!(mistakes.contains("`one` is a function of this app and takes no `with`"), "{mistakes}");
}

#[test]
fn a_handler_function_takes_precedence_over_a_linked_handler() {
    let (_folder, file) = write_routes(&routes_yaml("[noop]"));
    let plugins = [hookward_provider_none::PLUGINS, hookward_handler_noop::PLUGINS];
    let app = App::with_plugins(file, &plugins).unwrap();
    let step = |app: &App| {
        let config = hookward::internal::load(app).unwrap().config;
        format!("{:?}", config.routes["all"].chain[0].handler)
    };
    assert_eq!(step(&app), "Noop");
    assert_eq!(step(&app.handler("noop", expect_order_7)), "FnHandler(noop)");
}

#[tokio::test]
async fn an_unopenable_store_fails_the_build_with_its_url_and_reason() {
    let text = routes_yaml("[one]").replace("memory:", "sqlite:taken");
    let (folder, app) = app(&text);
    std::fs::create_dir(folder.path().join("taken")).unwrap();
    match app.handler("one", expect_order_7).build().await.unwrap_err() {
        BuildAppError::Store { url, reason } => {
            assert_eq!(url, "sqlite:taken");
            assert!(reason.contains("is a folder"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_store_has_one_owner_until_its_hooks_are_stopped() {
    let text = routes_yaml("[one]").replace("memory:", "sqlite:kept.db");
    let (_folder, app) = app(&text);
    let app = app.handler("one", expect_order_7);
    let first = app.clone().build().await.unwrap();
    let second = app.clone().build().await.unwrap_err();
    assert!(matches!(second, BuildAppError::Store { .. }), "{second:?}");
    first.stop().await;
    app.build().await.unwrap().stop().await;
}

#[tokio::test]
async fn dropping_hooks_without_stop_does_not_panic() {
    let (_folder, app) = app(&routes_yaml("[idle]"));
    let seen = Seen::default();
    let hooks = app.handler("idle", (seen.clone(), record_event)).build().await.unwrap();
    let address = serve_with_axum(hooks.router()).await;
    let (status, _) = call(&address, "POST", "/webhooks/hooks", r#"{"type":"t"}"#).await;
    assert_eq!(status, 200);
    drop(hooks);
}

/// `nc -N` and some client libraries close their sending side right after the request.
#[tokio::test]
async fn a_sender_that_closes_its_side_after_the_request_gets_its_answer() {
    let (_folder, app) = app(&routes_yaml("[one]").replace("memory:", "sqlite:kept.db"));
    let hooks = app.handler("one", expect_order_7).build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = hookward::serve(listener, hooks.standalone(), std::future::pending());
    tokio::spawn(server.into_future());
    let body = order_paid().to_string();
    let length = body.len();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("POST /webhooks/hooks HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    hooks.stop().await;
}

#[tokio::test]
async fn an_invalid_replay_limit_is_rejected_and_replays_nothing() {
    let (_folder, app) = app(&routes_yaml("[one]"));
    let hooks = app.handler("one", expect_order_7).build().await.unwrap();
    let address = serve_with_axum(hooks.admin()).await;
    for limit in ["0", "-1", "0.5", "1e300", "\"x\"", "[1]"] {
        let body = format!(r#"{{"limit":{limit}}}"#);
        let (status, answer) = call(&address, "POST", "/api/v1/replay", &body).await;
        assert_eq!(status, 400, "{limit}: {answer}");
    }
    hooks.stop().await;
}

#[tokio::test]
async fn dropping_hooks_without_stop_closes_the_store() {
    let text = routes_yaml("[one]").replace("memory:", "sqlite:kept.db");
    let (_folder, app) = app(&text);
    let app = app.handler("one", expect_order_7);
    drop(app.clone().build().await.unwrap());
    for _ in 0..200 {
        if let Ok(hooks) = app.clone().build().await {
            return hooks.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the store is still open after four seconds");
}

#[tokio::test]
async fn every_admin_error_is_json_with_error_and_code() {
    let (_folder, app) = app(&routes_yaml("[noop]"));
    let hooks = app.handler_value("noop", Arc::new(Recorder::default())).build().await.unwrap();
    let address = serve_with_axum(hooks.admin()).await;
    for (method, target, expected) in [
        ("PUT", "/api/v1/events", 405),
        ("GET", "/api/v1/replay", 405),
        ("POST", "/livez", 405),
        ("GET", "/api/v1/events/%ff", 400),
        ("GET", "/api/v1/events?limit=many", 400),
        ("GET", "/api/v1/events?limit=0", 400),
        ("GET", "/api/v1/dead?limit=0", 400),
        ("GET", "/nothing", 404),
    ] {
        let (status, body) = call(&address, method, target, "").await;
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        assert_eq!(status, expected, "{method} {target}");
        assert!(body["error"].as_str().is_some_and(|e| !e.is_empty()), "{method} {target}: {body}");
        let code = match expected {
            400 => "BAD_REQUEST",
            404 => "NOT_FOUND",
            _ => "METHOD_NOT_ALLOWED",
        };
        assert_eq!(body["code"], code, "{method} {target}: {body}");
    }
    hooks.stop().await;
}

#[tokio::test]
async fn a_head_that_hyper_cannot_parse_is_rejected_with_json() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/", get(|| async { StatusCode::BAD_REQUEST }));
    let server = hookward::serve(listener, app, std::future::pending());
    tokio::spawn(server.into_future());
    let send = async |request: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let rejected = send("GET / HTTP/1.1\r\nhost x\r\n\r\n").await;
    assert!(rejected.starts_with("HTTP/1.1 400 "), "{rejected}");
    assert!(
        rejected.ends_with(r#"{"error":"Malformed request","code":"BAD_REQUEST"}"#),
        "{rejected}"
    );
    // A response of the app is not rewritten, even if it looks the same.
    let own = send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(own.starts_with("HTTP/1.1 400 ") && own.ends_with("\r\n\r\n"), "{own}");
}
